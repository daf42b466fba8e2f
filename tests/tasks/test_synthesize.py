"""A synthetic data set, and whether another run can be trained on it."""

import json
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch

from vaekit.data.arrays import Arrays
from vaekit.data.image_folder import ImageFolder
from vaekit.data.module import DataModule
from vaekit.latents.tower import Draw, Step
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real
from vaekit.tasks.shared import classifier
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.shared.synthetic import mixture, to_raw
from vaekit.tasks.synthesize import synthesize

from .conftest import train


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 60)


def test_arrays_are_read_as_data(digits, tmp_path):
    digits.batch_size = 100
    found = synthesize(digits, n=250).figures
    assert {path.name for path in digits.out.iterdir()} == {"synthetic.npz", "synthesize.json", "nearest.png"}
    source = Arrays(tmp_path / "synthetic.npz", cache=tmp_path / "cache")
    assert source.space == Image((1, 8, 8), bins=256)
    rows = source.load("train")
    assert rows.x.shape == (250, 1, 8, 8) and set(rows.label) <= set(range(10)) and len(set(rows.label)) > 5
    levels = rows.x / 255 * 16
    assert np.abs(levels - levels.round()).max() < 0.05  # the digits have 17
    assert json.loads((digits.out / "synthesize.json").read_text()) == {"rows": 250, "source": "mixture", **found}


@pytest.mark.long
def test_a_run_is_trained_on_synthetic_data(digits, tmp_path):
    synthesize(digits, n=200)
    data = ("data=arrays", f"data.path={tmp_path}/synthetic.npz", f"data.cache={tmp_path}/cache")
    run = train(tmp_path / "run", *data, "likelihood=discretized_logistic", "trainer.max_epochs=1")
    assert (run / "model.safetensors").is_file()


def test_as_many_rows_as_there_are_training_rows_in_their_proportions(digits):
    synthesize(digits, source="posterior")
    label = np.load(digits.out / "synthetic.npz")["y"]
    real = digits.data.in_order("train")
    assert len(label) == len(real.indices) == 1294
    shares = [np.bincount(each, minlength=10) / 1294 for each in (label, real.label[real.indices].numpy())]
    assert np.abs(shares[0] - shares[1]).max() < 0.04


@pytest.mark.long
def test_the_command_writes_images_again_over_those_of_an_earlier_call(digits_run, apply, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for file in ("config.yaml", "model.safetensors"):
        (run / file).write_bytes((digits_run / file).read_bytes())
    for n in (30, 20):
        code, printed = apply(f"run={run}", "task=synthesize", f"task.n={n}", "task.format=image_folder", "device=cpu")
        assert code == 0, printed
    images = run / "tasks/synthesize/images"
    assert len(list(images.rglob("*.png"))) == 20
    source = ImageFolder(images, image_size=None, channels=1, cache=tmp_path / "cache")
    rows = source.load("train")
    names = sorted(path.name for path in images.iterdir())
    assert rows.x.shape == (20, 1, 8, 8)
    assert sorted(names[label] for label in rows.label) == sorted(path.parent.name for path in images.rglob("*.png"))


@pytest.mark.long
def test_folders_have_the_names_of_the_original_s_classes(untrained, tmp_path):
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            gray = random.integers(0, 256, (8, 8), dtype=np.uint8)
            PIL.Image.fromarray(gray).save(tmp_path / "photos" / name / f"{number}.png")
    options = (f"data.root={tmp_path}/photos", "data.image_size=8", "data.channels=1", f"data.cache={tmp_path}/cache")
    run = untrained("data=image_folder", *options, space=Image((1, 8, 8)))
    out = tmp_path / "out"
    out.mkdir()
    synthesize(open_run(run, out, device="cpu"), n=12)
    assert {path.name for path in (out / "images").iterdir()} <= {"cat", "dog"}
    with PIL.Image.open(next((out / "images").rglob("*.png"))) as picture:
        assert (picture.size, picture.mode) == ((8, 8), "L")


@pytest.mark.long
def test_rows_without_labels(vectors):
    found = synthesize(vectors, n=64).figures
    held = np.load(vectors.out / "synthetic.npz")
    assert held.files == ["x"] and held["x"].shape == (64, 5) and held["x"].dtype == np.float32
    assert set(found) == {"distance", "distance_real", "copied", "copied_real"}


def test_copied_rows_are_detected(digits, monkeypatch):
    """A decoder that knows its training rows by heart."""
    real = digits.data.sample("train", 1294).x
    monkeypatch.setattr(
        digits.vae.likelihood, "forward", lambda state: Memory(real[torch.randint(1294, (len(state),))])
    )
    found = synthesize(digits, n=300).figures
    assert found["distance"] < 0.02 < found["distance_real"]
    assert found["copied"] > 0.95 > found["copied_real"]


class Memory:
    def __init__(self, mean):
        self.mean = mean


def test_unseen_real_rows_are_not_copies(digits, monkeypatch):
    real = digits.data.sample("val", 144).x
    monkeypatch.setattr(digits.vae.likelihood, "forward", lambda state: Memory(real[torch.randint(144, (len(state),))]))
    found = synthesize(digits, n=300).figures
    assert found["copied"] == pytest.approx(found["copied_real"], abs=0.1)
    assert found["distance"] == pytest.approx(found["distance_real"], rel=0.2)


@pytest.mark.long
def test_labels_that_fit_the_rows_train_a_classifier_as_well_as_real_ones(digits, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 300)
    real = digits.data.sample("train", 1294)
    given = torch.arange(1294).split(digits.batch_size)
    monkeypatch.setattr(
        "vaekit.tasks.synthesize.prior",
        lambda context, label: lambda n, rows=iter(given): (part := next(rows), real.label[part]),
    )
    monkeypatch.setattr(digits.vae.likelihood, "forward", lambda rows: Memory(real.x[rows]))
    found = synthesize(digits, source="prior").figures
    assert found["accuracy"] == pytest.approx(found["accuracy_real"], abs=0.03)
    assert found["accuracy_real"] > 0.9


def test_each_class_of_the_mixture_lies_where_its_codes_lie(digits, monkeypatch):
    def infer(context, batch):
        z = 10 * batch.label[:, None] + torch.randn(len(batch), 3)
        return Draw([Step(z.unsqueeze(0), None, None)], z)

    monkeypatch.setattr("vaekit.tasks.shared.synthetic.infer", infer)
    z, label = mixture(digits, components=3)(5000)
    assert torch.equal((z.mean(1) / 10).round().long(), label)
    assert (z - 10 * label[:, None]).std(0) == pytest.approx(torch.ones(3), abs=0.1)
    assert len(label.unique()) == 10


@pytest.mark.parametrize(
    ("space", "raw", "x", "expected"),
    [
        (Real((2,)), Real((2,)), [0.25, -1.5], [0.25, -1.5]),
        (Image((1, 1, 2), None), Image((1, 1, 2), None), [0.25, 0.5], [0.25, 0.5]),
        (Image((1, 1, 2), 2), Image((1, 1, 2), 2), [0.4, 0.6], [False, True]),
        (Image((1, 1, 2), 2), Image((1, 1, 2), 256), [0.1, 1.0], [26, 255]),  # binarized: gray again
        (Image((1, 1, 2), 17), Image((1, 1, 2), 17), [0.49, 1.0], [128, 255]),  # the nearest of 17 levels, 8 / 16
        (Image((1, 1, 2), 256, True), Image((1, 1, 2), 256), [0.5 / 256, 1.0], [0, 255]),
    ],
)
def test_values_of_the_raw_file(space, raw, x, expected):
    found = to_raw(torch.tensor(x), space, raw)
    assert found.tolist() == expected


def test_draws_of_binarized_images_are_black_and_white(untrained, tmp_path):
    run = untrained("data.binarize=dynamic", "likelihood=bernoulli", space=Image((1, 8, 8), 2))
    synthesize(open_run(run, tmp_path, device="cpu"), n=40, draw=True)
    assert set(np.unique(np.load(tmp_path / "synthetic.npz")["x"])) == {0, 255}


@pytest.mark.parametrize(
    ("overrides", "source"),
    [
        (("posterior=dirac", "objective=reconstruction"), "mixture"),
        (("posterior=flow",), "mixture"),
        (("latents=ladder", "latents.levels=2", "latents.width=8"), "mixture"),
        (("posterior=von_mises_fisher", "prior=sphere_uniform"), "posterior"),
        (("posterior=von_mises_fisher", "prior=sphere_uniform"), None),
    ],
)
def test_other_latent_spaces(untrained, tmp_path, overrides, source):
    found = synthesize(open_run(untrained(*overrides), tmp_path, device="cpu"), n=50, source=source).figures
    assert ("accuracy" in found) == (source is not None)
    assert len(np.load(tmp_path / "synthetic.npz")["x"]) == 50


def test_refusals(untrained, vectors, tmp_path):
    sphere = open_run(untrained("posterior=von_mises_fisher", "prior=sphere_uniform"), tmp_path, device="cpu")
    for context in (sphere, vectors):
        with pytest.raises(Refusal, match=r"use task.source=posterior"):
            synthesize(context, source="mixture")
    with pytest.raises(Refusal, match=r"use task.format=arrays"):
        synthesize(vectors, format="image_folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_class_of_one_row(vectors, tmp_path):
    x = np.random.default_rng(1).normal(size=(60, 5)).astype("float32")
    np.savez(tmp_path / "rows.npz", x_train=x, x_test=x, y_train=[9] + [1] * 59, y_test=[1] * 60)
    synthesize(replace(vectors, changes={"path": str(tmp_path / "rows.npz"), "validation": 1}), n=300, components=2)
    assert set(np.load(vectors.out / "synthetic.npz")["y"]) <= {1, 9}


def test_the_synthetic_file_makes_a_data_module(digits, tmp_path):
    synthesize(digits, n=100, draw=True)
    data = DataModule(Arrays(tmp_path / "synthetic.npz", cache=tmp_path / "cache"), batch_size=10)
    assert data.sample("test", 5).label.shape == (5,)
