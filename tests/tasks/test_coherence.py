"""Whether images generated from labels, and labels from images, have the right class."""

import json
import os

import pytest
import torch

from helpers import PAIRS
from vaekit.refusal import Refusal
from vaekit.tasks.coherence import coherence
from vaekit.tasks.impute import impute
from vaekit.tasks.shared import classifier
from vaekit.tasks.shared.context import open_run

from .conftest import train
from .test_uses import use

DIGITS = ("data=paired", "data.of=digits", "likelihood=paired")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A few epochs of a mixture of experts on small digits."""
    small = ("model=mmvae", "network.image.hidden=[64]", "network.label=32", "latents.dim=8", "objective.inner=1")
    words = ("trainer.max_epochs=6", "data.batch_size=32", "optimizer.lr=3e-3", "evaluation.num_samples=2")
    return train(tmp_path_factory.mktemp("pairs") / "run", *DIGITS, *words, small=small)


@pytest.mark.slow  # trains a run
def test_images_and_labels_are_generated_from_each_other(run, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 150)
    torch.manual_seed(0)
    found = coherence(open_run(run, tmp_path, device="cpu"), num_samples=5)
    assert json.loads((tmp_path / "coherence.json").read_text()) == found
    assert found["real"] > 0.6 and found["label_given_image"] > 0.4 and found["image_given_label"] > 0.3
    for name in ("from_labels", "from_images"):
        assert (tmp_path / f"{name}.png").is_file() and (tmp_path / f"{name}.csv").is_file()


@pytest.mark.slow  # trains a run
def test_a_missing_label_or_image_is_imputed(run, tmp_path):
    (tmp_path / "labels.csv").write_text("label\n3\n0\n")
    context = open_run(run, tmp_path, device="cpu")
    filled = impute(context, input=tmp_path / "labels.csv", num_samples=20, draws=2, updates=0)
    assert filled.mean.shape == (2, *PAIRS.shape) and filled.draws.shape == (2, 2, *PAIRS.shape)
    assert PAIRS.split(filled.mean)[1].argmax(-1).tolist() == [3, 0] and (filled.mean[:, -2:] == 1).all()
    PAIRS.check(filled.draws)
    assert (tmp_path / "imputed.png").is_file() and (tmp_path / "draw_2.csv").is_file()


def test_other_data_are_refused(digits):
    with pytest.raises(Refusal, match="Train with data=paired"):
        coherence(digits)


# label given image, image given label, pairs from nothing
WORTH = {"mmvae": (0.9, 0.9, 0.6), "mopoe": (0.9, 0.91, 0.63)}


@pytest.mark.slow
@pytest.mark.skipif("VAEKIT_DATA" not in os.environ, reason="VAEKIT_DATA does not say where real data are")
@pytest.mark.parametrize("preset", WORTH)
def test_digits_and_their_names(preset, tmp_path):
    """The figures of docs/paired.md: a minute or two each on one core."""
    words = ("data=paired", "trainer.max_epochs=4", "trainer.precision=bf16-mixed", "optimizer/decay=cosine")
    run = train(tmp_path / "run", f"model={preset}", *words, "evaluation.num_samples=2", small=())
    found = use(run, "coherence")
    names = ("label_given_image", "image_given_label", "joint")
    assert all(found[name] > least for name, least in zip(names, WORTH[preset], strict=True)), found
