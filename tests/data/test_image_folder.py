import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image as Picture

from vaekit.data import decode
from vaekit.data.image_folder import ImageFolder
from vaekit.refusal import Refusal
from vaekit.spaces import Image


def paint(path, color=(10, 20, 30), size=(8, 8), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.new(mode, size, color).save(path, **options)
    return path


def only(folder, **options):
    (row,) = ImageFolder(folder, image_size=None, **options).load("train").x
    return row


def test_class_folders_are_labels(tmp_path):
    for place, name in enumerate(["b/x.png", "a/deep/x.PNG", "c/1.bmp", "c/2.gif", "a/x.webp", "c/3.TIFF"]):
        paint(tmp_path / name, (place, place, place), lossless=True)
    (tmp_path / "README").write_text("not an image")
    paint(tmp_path / ".hidden" / "x.png")
    paint(tmp_path / "a" / "._x.png")
    source = ImageFolder(tmp_path, image_size=None)
    rows = source.load("train")
    assert source.space == Image((3, 8, 8), levels=256) and rows.x.dtype == np.uint8
    assert rows.x[:, 0, 0, 0].tolist() == [1, 4, 0, 2, 3, 5] and rows.label.tolist() == [0, 0, 1, 2, 2, 2]
    assert source.load("test") is None


def test_images_beside_the_folders_mean_no_labels(tmp_path):
    for name in ("a/x.png", "x.png"):
        paint(tmp_path / name)
    rows = ImageFolder(tmp_path).load("train")
    assert len(rows) == 2 and rows.label is None


def test_official_splits(tmp_path):
    for place, name in enumerate(["train/b/1.png", "train/a/2.png", "val/a/3.png", "test/b/4.png"]):
        paint(tmp_path / name, (place, 0, 0))
    source = ImageFolder(tmp_path, image_size=None)
    train, test = source.load("train"), source.load("test")
    assert train.x[:, 0, 0, 0].tolist() == [1, 0, 2] and train.label.tolist() == [0, 1, 0]
    assert test.x[:, 0, 0, 0].tolist() == [3] and test.label.tolist() == [1]


@pytest.mark.parametrize(("size", "shape"), [(16, (16, 16)), ([10, 20], (10, 20)), ((12, 6), (12, 6))])
def test_images_are_resized_and_cropped_at_the_centre(tmp_path, size, shape):
    x = np.zeros((40, 120, 3), np.uint8)
    x[:, 40:80, 0], x[:, :40, 1], x[:, 80:, 1] = 255, 255, 255  # the middle is red, both sides are green
    Picture.fromarray(x).save(tmp_path / "wide.png")
    source = ImageFolder(tmp_path, image_size=size)
    (row,) = source.load("train").x
    assert source.space.shape == (3, *shape) == row.shape
    assert (row[0, :, shape[1] // 2] == 255).all() and (row[1, :, shape[1] // 2] == 0).all()
    assert (row[1, :, 0] > 200).all() == (shape == (10, 20))  # square and tall crops cut the sides off


def test_resizing_is_antialiased(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    Picture.fromarray(stripes).save(tmp_path / "stripes.png")
    (row,) = ImageFolder(tmp_path, image_size=16, channels=1).load("train").x
    assert abs(row.astype(int) - 128).max() < 20


def test_conversions(tmp_path):
    grey16 = np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)
    Picture.fromarray(grey16).save(tmp_path / "grey16.png")
    (tmp_path / "grey16.pgm").write_bytes(b"P5 2 2 65535\n" + grey16.astype(">u2").tobytes())
    for file in ("grey16.png", "grey16.pgm"):
        folder = tmp_path / file.replace(".", "_")
        folder.mkdir()
        (tmp_path / file).rename(folder / file)
        assert only(folder, channels=1).tolist() == [[[0, 100], [200, 255]]]
    cases = {
        "grey": (paint(tmp_path / "grey" / "x.png", 77, mode="L"), [77, 77, 77]),
        "alpha": (paint(tmp_path / "alpha" / "x.png", (100, 0, 200, 0), mode="RGBA"), [255, 255, 255]),
        "half": (paint(tmp_path / "half" / "x.png", (100, 0, 200, 51), mode="RGBA"), [224, 204, 244]),
        "cmyk": (paint(tmp_path / "cmyk" / "x.tif", (255, 0, 0, 0), mode="CMYK"), [0, 255, 255]),
        "jpeg": (paint(tmp_path / "jpeg" / "x.jpg", (255, 0, 0, 0), mode="CMYK"), [0, 255, 255]),
        "bits": (paint(tmp_path / "bits" / "x.png", 1, mode="1"), [255, 255, 255]),
    }
    for name, (_, color) in cases.items():
        assert only(tmp_path / name)[:, 0, 0].tolist() == color, name
    palette = Picture.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    (tmp_path / "palette").mkdir()
    palette.save(tmp_path / "palette" / "x.png", transparency=0)
    assert only(tmp_path / "palette")[:, 0, 0].tolist() == [9, 8, 7]
    assert only(paint(tmp_path / "color" / "x.png", (255, 0, 0)).parent, channels=1)[0, 0, 0] == 76


def test_photographs_are_turned_as_their_camera_says(tmp_path):
    exif = Picture.Exif()
    exif[0x0112] = 6
    paint(tmp_path / "x.jpg", size=(24, 16), exif=exif)
    source = ImageFolder(tmp_path, image_size=None)
    assert source.space.shape == (3, 24, 16) == source.load("train").x.shape[1:]


def test_broken_images_are_named_counted_and_skipped(tmp_path, caplog):
    for i in range(3):
        paint(tmp_path / "a" / f"{i}.png", (i, i, i))
    for i in range(12):
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / f"broken{i:02}.jpg").write_bytes(b"no picture")
    paint(tmp_path / "c" / "good.png", (9, 9, 9))
    whole = paint(tmp_path / "a" / "0cut.png", size=(64, 64)).read_bytes()
    (tmp_path / "a" / "0cut.png").write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        rows = ImageFolder(tmp_path, image_size=8).load("train")
    assert rows.x[:, 0, 0, 0].tolist() == [0, 1, 2, 9] and rows.label.tolist() == [0, 0, 0, 2]
    assert "Skipped 13 of 17" in caplog.text and "0cut.png" in caplog.text and "broken08.jpg" in caplog.text
    assert "broken09.jpg" not in caplog.text and "\n..." in caplog.text


def test_rows_are_cached_until_an_image_changes(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        paint(tmp_path / name)
    assert ImageFolder(tmp_path, image_size=4).load("train").x.shape == (2, 3, 4, 4)
    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "_build", None)
        assert ImageFolder(tmp_path, image_size=4).load("train").x[0, 0, 0, 0] == 10
    paint(tmp_path / "a.png", (99, 0, 0))
    os.utime(tmp_path / "a.png", (1, 1))
    assert ImageFolder(tmp_path, image_size=4).load("train").x[0, 0, 0, 0] == 99
    assert ImageFolder(tmp_path, image_size=6, channels=1).load("train").x.shape == (2, 1, 6, 6)


KILLED = """
import os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from vaekit.data import decode
from vaekit.data.image_folder import ImageFolder

def read_image(*args, read=decode.read_image, files=[]):
    files.append(args)
    if len(files) == 500:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(*args)

decode.read_image, decode.BLOCK, decode._pool = read_image, 32, lambda images: ThreadPoolExecutor(2)
ImageFolder(sys.argv[1], image_size=4).load("train")
"""


def test_a_killed_build_goes_on_where_it_stopped(tmp_path, monkeypatch, caplog):
    for i in range(600):
        paint(tmp_path / f"{i:03}.png", (i % 256, i // 256, 7))
    (tmp_path / "100.png").write_bytes(b"broken")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    read, files = decode.read_image, []
    monkeypatch.setattr(decode, "read_image", lambda *args: files.append(os.path.basename(args[0])) or read(*args))
    x = ImageFolder(tmp_path, image_size=4).load("train").x
    assert 100 < len(files) < 300 and "100.png" in files, "499 were read before, of which some blocks did not count yet"
    rows = np.delete(np.arange(600), 100)
    assert x[:, 0, 0, 0].tolist() == (rows % 256).tolist() and x[:, 1, 0, 0].tolist() == (rows // 256).tolist()
    assert "Skipped 1 of 600" in caplog.text and "100.png" in caplog.text


def test_processes_decode_as_threads_do(tmp_path, monkeypatch):
    for i in range(40):
        paint(tmp_path / f"{i:02}.png", (i, 0, 0))
    (tmp_path / "07.png").write_bytes(b"broken")
    monkeypatch.setattr(decode, "FEW", 0)
    monkeypatch.setattr(decode, "BLOCK", 8)
    assert ImageFolder(tmp_path, image_size=4).load("train").x[:, 0, 0, 0].tolist() == [*range(7), *range(8, 40)]
    paint(tmp_path / "20.png", size=(9, 9))
    with pytest.raises(Refusal, match=r"20\.png is 9x9, .* 8x8"):
        ImageFolder(tmp_path, image_size=None).load("train")


ORPHANS = """
import multiprocessing, os, signal, time
from vaekit.data import decode

if __name__ == "__main__":
    pool = decode._pool(decode.FEW + 1)
    pool.submit(os.getpid).result()
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_that_decode_die_with_the_one_that_started_them(tmp_path):
    (tmp_path / "orphans.py").write_text(ORPHANS)
    killed = subprocess.run([sys.executable, tmp_path / "orphans.py"], stdout=subprocess.PIPE, text=True)
    assert killed.returncode == -signal.SIGKILL and killed.stdout

    def alive(pid):
        try:
            return os.kill(pid, 0) is None
        except ProcessLookupError:
            return False

    for _ in range(100):
        if not any(alive(int(pid)) for pid in killed.stdout.split()):
            return
        time.sleep(0.1)
    pytest.fail("they still wait for work after 10 seconds")


def test_space_touches_nothing_where_the_size_is_given_and_a_header_where_not(tmp_path):
    assert ImageFolder(tmp_path / "nowhere", image_size=32, channels=1).space == Image((1, 32, 32), levels=256)
    paint(tmp_path / "x.bmp", size=(6, 4))
    header = (tmp_path / "x.bmp").read_bytes()[:60]
    (tmp_path / "x.bmp").write_bytes(header)  # the pixels are gone
    (tmp_path / "broken.png").write_bytes(b"")
    assert ImageFolder(tmp_path, image_size=None).space.shape == (3, 4, 6)


def test_refusals(tmp_path):
    with pytest.raises(Refusal, match=r"data\.root=photos"):
        ImageFolder(None)
    with pytest.raises(Refusal, match=r"data\.channels=3"):
        ImageFolder(tmp_path, channels=4)
    for size in (0, [3], [4, -1]):
        with pytest.raises(Refusal, match=r"data\.image_size=64"):
            ImageFolder(tmp_path, image_size=size)
    with pytest.raises(Refusal, match=r"no folder .*nowhere.*data\.root"):
        ImageFolder(tmp_path / "nowhere").load("train")
    with pytest.raises(Refusal, match=r"no images .*data\.root"):
        ImageFolder(tmp_path).load("train")
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(Refusal, match=r"None of the 1 images .*data\.root"):
        ImageFolder(tmp_path).load("train")
    with pytest.raises(Refusal, match=r"no readable image .*data\.root"):
        _ = ImageFolder(tmp_path, image_size=None).space


def test_different_sizes_are_refused_unless_resized(tmp_path):
    paint(tmp_path / "a.png", size=(8, 6))
    paint(tmp_path / "b.png", size=(6, 6))
    with pytest.raises(Refusal, match=r"images of different sizes \(.*b\.png is 6x6, .* 6x8\).*data\.image_size=64"):
        ImageFolder(tmp_path, image_size=None).load("train")
    assert len(ImageFolder(tmp_path, image_size=5).load("train")) == 2
