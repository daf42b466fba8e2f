import logging
import os
import signal
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image as Picture

from vaekit.coding import originals
from vaekit.data import decode
from vaekit.data.audio import sound_files
from vaekit.data.image_folder import ImageFolder
from vaekit.data.levels import level_files
from vaekit.data.module import DataModule
from vaekit.media.medium import medium
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
    assert source.space == Image((3, 8, 8), bins=256) and rows.x.dtype == np.uint8
    assert rows.x[:, 0, 0, 0].tolist() == [1, 4, 0, 2, 3, 5] and rows.label.tolist() == [0, 0, 1, 2, 2, 2]
    assert source.load("test") is None


def pixels(path, values, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.asarray(values, dtype)).save(path)
    return path


@pytest.mark.parametrize(
    ("files", "train", "validation", "test", "classes"),
    [
        ("train/b/1 train/a/2 val/a/3", [2, 1, 3], 1, None, ["a", "b"]),
        ("Train/a/1 Valid/b/2 TEST/a/3", [1, 2], 1, [3], ["a", "b"]),
        ("training/a/1 training/b/2 testing/b/3", [1, 2], None, [3], ["a", "b"]),
        ("train/b/1 train/a/2", [2, 1], None, None, ["a", "b"]),
        ("train/1 dev/2 validation/3", [1, 2, 3], 2, None, None),
        ("cat/train/1 cat/val/2 dog/test/3 dog/train/4", [1, 4, 2], 1, [3], ["cat", "dog"]),
        ("train/a/1 test/b/2 masks/3", [1], None, [2], ["a", "b"]),
        ("train/1 ship/2 car/3", [3, 2, 1], None, None, ["car", "ship", "train"]),
        ("cat/train/1 cat/2", [2, 1], None, None, ["cat"]),
        ("seg_train/a/1 seg_train/b/2 seg_test/b/3 seg_pred/4", [1, 2], None, [3], ["a", "b"]),
        ("Train-set/a/1 Test_set/b/2 val2/a/3", [1, 3], 1, [2], ["a", "b"]),
        ("trainset/1 testset/2", [1], None, [2], None),
        ("train/a/1 evaluation/b/2", [1], None, [2], ["a", "b"]),
        ("seg_train/seg_train/a/1 seg_train/seg_train/b/2 seg_test/seg_test/b/3", [1, 2], None, [3], ["a", "b"]),
        ("train/images/a/1 train/images/b/2 val/images/b/3", [1, 2, 3], 1, None, ["a", "b"]),
        ("zip/data/train/a/1 zip/data/val/b/2", [1, 2], 1, None, ["a", "b"]),
        ("zip/a/1 zip/b/2", [1, 2], None, None, ["a", "b"]),
        ("train/train/1 train/car/2 val/car/3", [2, 1, 3], 1, None, ["car", "train"]),
        ("toy_train/1 toy_car/2", [2, 1], None, None, ["toy_car", "toy_train"]),
        ("trains/1 tests/2", [2, 1], None, None, ["tests", "trains"]),
    ],
)
def test_folders_of_splits_are_not_classes(tmp_path, caplog, files, train, validation, test, classes):
    for name in files.split():
        pixels(tmp_path / f"{name}.png", np.full((4, 4), int(name[-1])))
    source = ImageFolder(tmp_path, image_size=None, channels=1)
    with caplog.at_level(logging.INFO):
        rows, held_out = source.load("train"), source.load("test")
    assert sorted(rows.x[:, 0, 0, 0].tolist()) == sorted(train) and rows.validation == validation
    assert rows.x[len(train) - (validation or 0) :, 0, 0, 0].tolist() == train[len(train) - (validation or 0) :]
    assert test is None if held_out is None else held_out.x[:, 0, 0, 0].tolist() == test
    assert list(source.classes() or ()) == (classes or [])
    assert ("comes with splits" in caplog.text) == (source._depth is not None)


def test_the_folder_s_own_validation_images_are_the_validation_split(tmp_path):
    for i in range(30):
        pixels(tmp_path / f"{'val' if i % 3 == 0 else 'train'}" / f"{i}.png", np.full((4, 4), i))
    data = DataModule(ImageFolder(tmp_path, image_size=None, channels=1), test=0.2)
    parts = {part: {round(i * 255) for i in data.sample(part, 30).x[:, 0, 0, 0].tolist()} for part in ("val", "test")}
    assert parts["val"] == set(range(0, 30, 3)) and len(parts["test"]) == 4 and not parts["val"] & parts["test"]


def test_splits_without_training_images_are_refused(tmp_path):
    for name in ("val/a/1.png", "test/a/2.png"):
        paint(tmp_path / name)
    with pytest.raises(Refusal, match=r"images in test and val, but none in train.* data.root=FOLDER"):
        ImageFolder(tmp_path).load("train")
    assert len(ImageFolder(tmp_path / "test").load("train")) == 1


@pytest.mark.parametrize(
    ("dtype", "suffix", "most", "white"),
    [
        (np.uint16, "png", 4095, 4095),
        (np.uint16, "png", 4000, 4095),
        (np.uint16, "tif", 65_535, 65_535),
        (np.int32, "tif", 100_000, 131_071),
        (np.float32, "tif", 1.0, 1),
        (np.float32, "tif", 1000.0, 1023),
    ],
)
def test_many_bits_use_the_range_of_the_folder_s_files(tmp_path, caplog, dtype, suffix, most, white):
    ramp = np.linspace(0, most, 256).astype(dtype).reshape(16, 16)
    pixels(tmp_path / "images" / f"0dark.{suffix}", ramp / 4, dtype)
    file = pixels(tmp_path / "images" / f"1bright.{suffix}", ramp, dtype)
    source = ImageFolder(tmp_path / "images", image_size=None, channels=1)
    with caplog.at_level(logging.INFO):
        dark, bright = source.load("train").x[:, 0].astype(float)
    assert source.space.white == white and f"{white} is white" in caplog.text
    assert np.abs(bright - ramp / white * 255).max() <= 0.5 and len(np.unique(bright)) > 190 and bright.max() > 190
    assert np.abs(dark - bright / 4).max() <= 1, "one range for all, or dark images would become bright"
    _, read = medium(source.space).find(file.with_name(f"0dark.{suffix}"))
    assert np.array_equal((read(slice(None)).x[0, 0] * 255).round(), dark), "files of a task have that of the run"
    beyond = pixels(tmp_path / f"beyond.{suffix}", ramp.astype(float) * 2 + (dtype == np.float32), dtype)
    if most * 2 < np.iinfo(np.uint16).max or dtype != np.uint16:
        with pytest.raises(Refusal, match=rf"beyond.* those of the data set only to {white}"):
            medium(source.space).find(beyond)[1](slice(None))


def test_colors_of_twelve_bits_in_sixteen_are_named_and_skipped(tmp_path, caplog):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for bits in (16, 12):
        x = np.linspace(0, 2**bits - 1, 48).reshape(4, 4, 3).astype(">u2")
        rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in x))
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
        png = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
        (tmp_path / f"{bits}.png").write_bytes(png)
    rows = ImageFolder(tmp_path, image_size=None).load("train")
    assert len(rows) == 1 and rows.x.max() == 255
    assert "12.png: its colors use 14 of 16 bits or fewer" in caplog.text


def test_every_page_and_frame_is_an_image(tmp_path, caplog):
    first, *others = (Picture.new("L", (4, 4), gray) for gray in (10, 20, 30))
    deep = [Picture.fromarray(np.full((4, 4), gray, np.uint16)) for gray in (4095, 2048)]
    preview = Picture.new("L", (2, 2), 99)
    (tmp_path / "val").mkdir()
    paint(tmp_path / "train" / "b.png", 40, (4, 4), "L")
    first.save(tmp_path / "val" / "stack.tif", save_all=True, append_images=[*others, preview])
    first.save(tmp_path / "train" / "moving.gif", save_all=True, append_images=others)
    deep[1].save(tmp_path / "train" / "deep.tif", save_all=True, append_images=deep[:1])
    first.save(tmp_path / "train" / "single.gif")
    source = ImageFolder(tmp_path, image_size=None, channels=1)
    with caplog.at_level(logging.INFO):
        rows = source.load("train")
    assert rows.x[:, 0, 0, 0].tolist() == [40, 128, 255, 10, 20, 30, 10, 10, 20, 30] and rows.validation == 3
    assert "Each page or frame is an image: 8 in 3 files." in caplog.text and source.space.white == 4095
    names, read = medium(source.space).find(tmp_path)
    assert names[1:3] == ["train/deep.tif#1", "train/deep.tif#2"] and names[-1] == "val/stack.tif#3"
    assert (read(slice(4, 8)).x[:, 0, 0, 0] * 255).round().tolist() == [20, 30, 10, 10]
    names, read = medium(source.space).find(tmp_path / "val" / "stack.tif")
    assert names == [f"stack.tif#{page}" for page in (1, 2, 3)] and len(read(slice(1, 3)).x) == 2
    (tmp_path / "val" / "stack.tif").write_bytes((tmp_path / "val" / "stack.tif").read_bytes()[:40])
    with pytest.raises(Refusal, match=r"val/stack\.tif as an image"):
        read(slice(0, 3))


def test_fractions_and_large_whole_numbers_in_one_folder_are_refused(tmp_path):
    pixels(tmp_path / "a.tif", np.linspace(0, 1, 16).reshape(4, 4), np.float32)
    pixels(tmp_path / "b.png", np.linspace(0, 4095, 16).reshape(4, 4), np.uint16)
    with pytest.raises(Refusal, match=r"a\.tif holds values up to 1 and .*b\.png up to 4095, expected one range"):
        ImageFolder(tmp_path, channels=1).load("train")
    pixels(tmp_path / "a.tif", np.linspace(0, 1, 16).reshape(4, 4) * 4095, np.float32)
    a, b = ImageFolder(tmp_path, image_size=None, channels=1).load("train").x.astype(int)
    assert np.abs(a - b).max() <= 1 and a.max() == 255


def test_images_of_zeros_and_ones_are_refused(tmp_path):
    mask = np.arange(16).reshape(4, 4) % 2
    pixels(tmp_path / "a.png", mask)
    with pytest.raises(
        Refusal, match=r"only the gray values 0 and 1 of 256, .* Multiply them by 255, or save them with one bit"
    ):
        ImageFolder(tmp_path, image_size=None, channels=1).load("train")
    pixels(tmp_path / "a.png", mask * 255)
    pixels(tmp_path / "b.png", mask == 1, bool)
    assert (ImageFolder(tmp_path, image_size=None, channels=1).load("train").x[:, 0] == mask * 255).all()


def test_a_small_file_of_very_many_pixels_is_named_and_skipped(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(decode, "PIXELS", 1000)
    monkeypatch.setattr(decode, "PACKED", 1)
    page = Picture.new("L", (64, 64))
    page.save(tmp_path / "a.gif", save_all=True, append_images=[Picture.new("L", (64, 64), i) for i in range(1, 40)])
    paint(tmp_path / "b.png", 40, (8, 8), "L")
    rows = ImageFolder(tmp_path, image_size=8, channels=1).load("train")
    assert rows.x[:, 0, 0, 0].tolist() == [40] and "40 times 64x64 pixels in a file of" in caplog.text


def test_files_that_are_not_images_are_named_or_ignored(tmp_path, caplog, monkeypatch):
    for i in range(4):
        paint(tmp_path / "a" / f"{i}.png", (i, i, i))
    os.rename(tmp_path / "a" / "3.png", os.fsencode(tmp_path / "a") + b"/caf\xe9.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "a" / "gone.png").symlink_to("nowhere.png")
    paint(tmp_path / "elsewhere" / "x.png").parent.rename(tmp_path.with_name("elsewhere"))
    (tmp_path / "b").symlink_to(tmp_path.with_name("elsewhere"))
    for hidden in ("a/.ipynb_checkpoints/0.png", "__MACOSX/a/._0.png", "a/._0.png", ".DS_Store", "a/Thumbs.db"):
        (tmp_path / hidden).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / hidden).write_bytes(b"no image")
    source = ImageFolder(tmp_path, image_size=None)
    rows = source.load("train")
    assert rows.label.tolist() == [0, 0, 0, 0, 1] and rows.x[:4, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert "gone.png, which links to nothing" in caplog.text and "pipe.png, which is not a file" in caplog.text
    names, read = medium(source.space).find(tmp_path)
    assert names == ["a/0.png", "a/1.png", "a/2.png", "a/caf\\xe9.png", "b/x.png"] and len(read(slice(None)).x) == 5
    assert [each.name for each in originals.image_files(tmp_path)] == [os.path.basename(f) for f in source._found]
    monkeypatch.setattr(Picture, "MAX_IMAGE_PIXELS", 40)
    paint(tmp_path / "a" / "0.png", size=(8, 8))
    with pytest.raises(Refusal, match=r"0\.png as an image .*exceeds limit"):
        read(slice(None))
    monkeypatch.setattr(Picture, "MAX_IMAGE_PIXELS", 20)  # twice as many are an error, once a warning
    with pytest.raises(Refusal, match=r"no readable image"):
        _ = ImageFolder(tmp_path, image_size=None).space
    with pytest.raises(Refusal, match=r"None of the 5 images .*exceeds limit"):
        ImageFolder(tmp_path, image_size=4).load("train")


def test_images_next_to_class_folders_mean_no_labels(tmp_path):
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
def test_images_are_resized_and_cropped_at_the_center(tmp_path, size, shape):
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
    gray16 = np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)
    Picture.fromarray(gray16).save(tmp_path / "gray16.png")
    (tmp_path / "gray16.pgm").write_bytes(b"P5 2 2 65535\n" + gray16.astype(">u2").tobytes())
    for file in ("gray16.png", "gray16.pgm"):
        folder = tmp_path / file.replace(".", "_")
        folder.mkdir()
        (tmp_path / file).rename(folder / file)
        assert only(folder, channels=1).tolist() == [[[0, 100], [200, 255]]]
    cases = {
        "gray": (paint(tmp_path / "gray" / "x.png", 77, mode="L"), [77, 77, 77]),
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


def test_photographs_are_rotated_by_their_exif_orientation(tmp_path):
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

def read_pages(*args, read=decode.read_pages, files=[]):
    files.append(args)
    if len(files) == 500:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(*args)

decode.read_pages, decode.BLOCK, decode._pool = read_pages, 32, lambda images: ThreadPoolExecutor(2)
ImageFolder(sys.argv[1], image_size=4).load("train")
"""


@pytest.mark.long
def test_a_killed_build_is_continued(tmp_path, monkeypatch, caplog):
    for i in range(600):
        paint(tmp_path / f"{i:03}.png", (i % 256, i // 256, 7))
    (tmp_path / "100.png").write_bytes(b"broken")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    read, files = decode.read_pages, []
    monkeypatch.setattr(decode, "read_pages", lambda *args: files.append(os.path.basename(args[0])) or read(*args))
    x = ImageFolder(tmp_path, image_size=4).load("train").x
    assert 100 < len(files) < 300 and "100.png" in files, "499 were read before, of which some blocks did not count yet"
    rows = np.delete(np.arange(600), 100)
    assert x[:, 0, 0, 0].tolist() == (rows % 256).tolist() and x[:, 1, 0, 0].tolist() == (rows // 256).tolist()
    assert "Skipped 1 of 600" in caplog.text and "100.png" in caplog.text


@pytest.mark.long
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
    assert ImageFolder(tmp_path / "nowhere", image_size=32, channels=1).space == Image((1, 32, 32), bins=256)
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


def test_a_file_instead_of_a_folder_is_refused_as_a_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    for root, says in ((tmp_path / "a.png", f"is a file.*Try data.root={tmp_path}"), (tmp_path / "b", "no folder")):
        with pytest.raises(Refusal, match=says):
            ImageFolder(root).load("train")
    for check, kind in ((level_files, "levels"), (sound_files, "sounds")):
        with pytest.raises(Refusal, match=f"no folder .*{kind}"):
            check(tmp_path / "b")
    with pytest.raises(Refusal, match="is a file"):
        level_files(tmp_path / "a.png")
