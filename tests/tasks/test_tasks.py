"""The tasks as plain functions."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest
import torch

from vaekit.refusal import Refusal
from vaekit.tasks.evaluate import evaluate
from vaekit.tasks.interpolate import interpolate
from vaekit.tasks.reconstruct import reconstruct
from vaekit.tasks.sample import sample
from vaekit.tasks.score import score
from vaekit.tasks.shared import classifier
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.shared.quality import write_quality
from vaekit.tasks.vary import vary


@pytest.fixture
def picture(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    gray = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    PIL.Image.fromarray(gray).save(folder / "b.png")
    PIL.Image.fromarray(np.stack([255 - gray] * 3, -1)).save(folder / "a.jpg")
    return folder / "b.png"


def table(context):
    with (context.out / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_sample_works_in_batches_and_draws_from_the_space(digits):
    digits.batch_size, sizes = 4, []
    digits.vae.likelihood.network.register_forward_hook(lambda module, inputs, out: sizes.append(len(inputs[0])))
    x = sample(digits, n=10, draw=True)
    assert sizes == [4, 4, 2]
    assert x.shape == (10, 1, 8, 8)
    digits.vae.space.check(x)
    assert (x > 0).any()
    assert not torch.allclose(sample(digits, n=1000, temperature=0.1).std(0), sample(digits, n=1000).std(0), rtol=0.1)


def test_a_grid_has_a_largest_number_of_panels(digits):
    sample(digits, n=1000)
    assert len(np.load(digits.out / "samples.npz")["x"]) == 1000
    with PIL.Image.open(digits.out / "samples.png") as grid:
        assert grid.width >= 16 * 58 + 2 and grid.height > 16 * 58 + 2  # with a title


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_reconstruct_is_the_vae_s_own_whatever_the_batch_size(digits, batch_size):
    digits.batch_size = batch_size
    x = digits.data.sample("test", 5).x
    assert torch.allclose(reconstruct(digits, n=5), digits.vae.reconstruct(x), atol=1e-6)
    assert np.array_equal(np.load(digits.out / "reconstructions.npz")["x"], x.numpy())


@pytest.mark.parametrize("batch_size", [1, 512])
def test_interpolate_begins_and_ends_at_the_reconstructions(digits, batch_size):
    digits.batch_size = batch_size
    x = digits.data.sample("test", 6).x
    path = interpolate(digits, n=3, steps=4)
    assert path.shape == (3, 4, 1, 8, 8)
    ends = digits.vae.reconstruct(x).unflatten(0, (2, 3))
    assert torch.allclose(path[:, [0, -1]].transpose(0, 1), ends, atol=1e-6)


def test_interpolate_between_two_files(digits, picture):
    path = interpolate(digits, picture, picture.with_name("a.jpg"), steps=5)
    assert path.shape == (1, 5, 1, 8, 8)
    assert np.load(digits.out / "interpolations.npz")["a"].shape == (1, 1, 8, 8)


@pytest.mark.long
def test_variants_differ_more_at_a_higher_temperature(digits):
    spread = [vary(digits, n=200, temperature=t).std(0).mean() for t in (0.1, 1.0)]
    assert spread[0] < spread[1]
    variants = np.load(digits.out / "variants.npz")
    assert np.array_equal(variants["original"], digits.examples(slice(1)).numpy())
    vary(digits, index=4, n=1)
    assert np.array_equal(np.load(digits.out / "variants.npz")["original"], digits.examples(slice(4, 5)).numpy())


def test_vary_a_file(digits, picture):
    assert vary(digits, input=picture, n=3).shape == (3, 1, 8, 8)


def test_score_equals_the_log_likelihood(digits):
    digits.batch_size = 1000
    torch.manual_seed(0)
    log_px = score(digits, num_samples=3)
    torch.manual_seed(0)
    expected = digits.vae.log_likelihood(digits.examples(slice(359)), 3)
    assert torch.allclose(log_px, expected, atol=1e-4)
    assert [float(row["log_px"]) for row in table(digits)] == pytest.approx(expected.tolist(), abs=1e-3)


@pytest.mark.parametrize(("split", "count"), [("train", 1294), ("val", 144)])
def test_score_other_splits(digits, split, count):
    assert len(score(digits, split=split, num_samples=1)) == count


def test_score_a_folder_of_images_and_an_array(digits, picture):
    digits.batch_size = 1
    log_px = score(digits, input=picture.parent, num_samples=2)
    assert [row["file"] for row in table(digits)] == ["a.jpg", "b.png"]
    assert log_px.shape == (2,)
    sample(digits, n=5, draw=True)
    score(digits, input=digits.out / "samples.npz", num_samples=2)
    assert [row["row"] for row in table(digits)] == list("01234")


@pytest.mark.long
def test_evaluate_with_more_samples_tightens_the_bound(digits):
    few, many = (evaluate(digits, num_samples=k) for k in (1, 50))
    assert many["test/nll"] < few["test/nll"]
    assert many["test/elbo"] == pytest.approx(few["test/elbo"], rel=0.01)


@pytest.mark.long
def test_vectors(vectors, tmp_path):
    """Every task, where there are no pictures and no bits per dimension."""
    assert sample(vectors, n=3).shape == (3, 5)
    assert reconstruct(vectors, n=3).shape == (3, 5)
    assert interpolate(vectors, n=2, steps=3).shape == (2, 3, 5)
    np.save(tmp_path / "row.npy", np.zeros((1, 5)))
    assert vary(vectors, input=tmp_path / "row.npy", n=2).shape == (2, 5)
    assert len(score(vectors, num_samples=2)) == 40
    assert list(table(vectors)[0]) == ["row", "log_px"]
    assert "test/bits_per_dim" not in evaluate(vectors, num_samples=2)
    for path in tmp_path.glob("*.png"):
        with PIL.Image.open(path) as grid:
            assert np.asarray(grid).std() > 0


def test_files_of_images_are_refused_for_vectors(vectors, picture):
    with pytest.raises(Refusal, match=r"numpy.save .* rows.npy"):
        vary(vectors, input=picture)


def test_missing_values_are_left_out_of_the_score(vectors, tmp_path):
    x = np.random.default_rng(1).normal(size=(40, 5)).astype("float32")
    missing = x.copy()
    missing[:, 3:] = np.nan
    np.savez(tmp_path / "missing.npz", x_train=missing, x_test=missing)
    vectors = replace(vectors, changes={"path": str(tmp_path / "missing.npz")})
    log_px = score(vectors, num_samples=5)
    assert torch.isfinite(log_px).all()


def test_the_bound_of_many_samples_reaches_a_plain_sum_over_the_prior(vectors):
    x = vectors.examples(slice(3))
    with torch.no_grad():
        vectors.vae.latents.levels[0].posterior.head.bias[3:].zero_()  # wide, so that weights vary little
        state = vectors.vae.generate(100_000).state
        log_px_z = torch.stack([vectors.vae.likelihood(state).log_prob(row) for row in x])
    plain = log_px_z.logsumexp(1) - math.log(100_000)
    assert torch.allclose(vectors.vae.log_likelihood(x, 5000), plain, atol=0.1)


def test_data_of_another_space_are_refused(vectors_run, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros((50, 6), "float32"))
    context = open_run(vectors_run, tmp_path, data={"path": str(tmp_path / "wide.npy")})
    sample(context, n=2)  # needs no data
    with pytest.raises(Refusal, match=r"The data are Real 6, .* trained on Real 5, continuous; leave out data.path"):
        reconstruct(context)


@pytest.mark.long
def test_the_animation_plays_forwards_and_backwards(digits, vectors):
    interpolate(digits, n=3, steps=5)
    with PIL.Image.open(digits.out / "interpolations.gif") as animation:
        assert animation.n_frames == 5 + 3
        assert animation.size == (2 * 58 + 2, 2 * 58 + 2)
        frames = [np.asarray(frame.convert("L"), dtype=float) for frame in PIL.ImageSequence.Iterator(animation)]
    for forth, back in ((1, 7), (2, 6), (3, 5)):
        assert np.abs(frames[forth] - frames[back]).max() < 5
    assert np.abs(frames[0] - frames[4]).max() > 15
    (digits.out / "interpolations.gif").unlink()
    interpolate(vectors, n=3, steps=5)
    assert not (vectors.out / "interpolations.gif").exists()


def test_quality_distinguishes_samples_from_real_rows(digits, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 100)
    found = write_quality(digits)
    assert json.loads((digits.out / "quality.json").read_text()) == found
    assert found["samples"]["frechet"] > 5 * found["real"]["frechet"] > 0
    assert found["samples"]["recall"] < 0.5 < 0.8 < min(found["real"]["precision"], found["real"]["recall"])


def test_rows_that_are_drawn_from_the_data_have_the_quality_of_real_ones(digits, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 100)
    real = digits.data.sample("val", 144).x
    monkeypatch.setattr(digits.vae, "sample", lambda n, temperature, condition: real[torch.randint(144, (n,))])
    found = write_quality(digits)
    assert found["samples"]["precision"] > 0.75
    assert found["samples"]["frechet"] < 6 * found["real"]["frechet"]


def test_a_classifier_is_trained_once_for_all_runs_on_the_same_rows(digits, untrained, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 11)
    calls, fit = [], classifier.fit
    monkeypatch.setattr(classifier, "fit", lambda *given: calls.append(given) or fit(*given))
    other = open_run(untrained("prior=gaussian"), tmp_path, device="cpu")
    found, drawn = [], []
    for context in (digits, other):
        torch.manual_seed(5)
        found.append(classifier.of_training_rows(context))
        drawn.append(torch.rand(3))
    assert len(calls) == 1
    assert torch.equal(*drawn)  # what is drawn next does not depend on who trained it
    x = digits.data.sample("test", 20).x
    assert torch.equal(found[0](x), found[1](x)) and torch.equal(found[1].classes, torch.arange(10))
    classifier.of_training_rows(replace(digits, changes={"classes": [*range(9)]}))
    assert len(calls) == 2


def test_quality_needs_labels(digits, vectors, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 10)
    sample(digits, n=2, quality=True)
    assert (digits.out / "quality.json").is_file()
    with pytest.raises(Refusal, match="no labels"):
        sample(vectors, n=2, quality=True)
