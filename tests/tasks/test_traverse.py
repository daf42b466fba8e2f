"""Traversals of single latent variables."""

import numpy as np
import pytest
import torch

from helpers import drawn, texts
from vaekit.refusal import Refusal
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.traverse import survey, traverse


def read(context):
    return dict(np.load(context.out / "traversals.npz"))


@pytest.mark.long
def test_shapes_and_files(digits, monkeypatch):
    figures = drawn(monkeypatch)
    x = traverse(digits, n=2, steps=5)
    assert x.shape == (2, 5, 1, 8, 8)
    held = read(digits)
    assert np.array_equal(held["x"], x.numpy())
    assert {name: array.shape for name, array in held.items() if name != "x"} == {
        "variable": (2,), "z": (2, 5), "information": (2,),
    }  # fmt: skip
    walks, rates = figures
    first, rate = held["variable"][0], held["information"][0]
    assert {"-3", "-1.5", "0", "+1.5", "+3", f"z {first}: {rate:.2f}", "latent variable: rate (nats)"} <= texts(walks)
    assert walks.axes[0].images[0].get_array().shape[:2] == (2 * 58 + 2, 5 * 58 + 2)
    assert max(bar.get_height() for bar in rates.axes[0].patches) == pytest.approx(rate), "of all variables"
    assert len(rates.axes[0].patches) == 3 and rates.axes[0].get_ylabel() == "rate (nats)"


def test_more_variables_than_there_are_gives_all(digits):
    assert traverse(digits, n=10).shape[0] == 3


def test_variables_are_ordered_by_their_rate(digits):
    """The posterior ignores x in two variables, and depends on it weakly in a third."""
    posterior = digits.vae.latents.levels[0].posterior
    with torch.no_grad():
        posterior.head.weight[[1, 4]] = 0
        posterior.head.bias[[1, 4]] = 0
        posterior.head.weight[2] *= 0.1
    traverse(digits)
    held = read(digits)
    assert held["variable"][-1] == 1
    assert held["information"][-1] == pytest.approx(0, abs=1e-6)
    assert (np.diff(held["information"]) <= 0).all()
    terms = digits.vae(digits.data.sample("test", 359))
    assert held["information"].sum() == pytest.approx(terms.rate.mean().item(), rel=1e-4)


@pytest.mark.parametrize("batch_size", [7, 1000])
def test_a_walk_is_the_decoder_s_along_one_axis(digits, batch_size):
    digits.batch_size = batch_size
    x = traverse(digits, index=4, n=3, steps=3, deviations=2.0)
    held, (start,) = read(digits), digits.vae.encode(digits.examples(slice(4, 5)))
    for row, variable in enumerate(held["variable"]):
        for step in range(3):
            z = start.clone()
            z[0, variable] = held["z"][row, step].item()
            assert torch.allclose(x[row, step], digits.vae.decode([z])[0], atol=1e-5)


def test_values_span_the_codes_of_the_data(digits):
    torch.manual_seed(0)
    (codes,), *_ = survey(digits, 0)
    torch.manual_seed(0)
    traverse(digits, steps=3, deviations=2.0)
    held = read(digits)
    mean, deviation = (moment[held["variable"]].numpy() for moment in (codes.mean(0), codes.std(0)))
    assert held["z"] == pytest.approx(np.stack([mean - 2 * deviation, mean, mean + 2 * deviation], 1), rel=1e-4)


def test_traversals_without_an_example_start_at_a_typical_one(digits, monkeypatch):
    figures = drawn(monkeypatch)
    torch.manual_seed(0)
    x = traverse(digits, steps=3)
    title = figures[0].axes[0].get_title("left")
    index = int(title.removeprefix("Traversals from test example "))
    torch.manual_seed(0)
    assert torch.equal(traverse(digits, steps=3, index=index), x)
    (means,) = digits.vae.encode(digits.examples(slice(None)))
    distance = (means - means.mean(0)).norm(dim=1)
    assert (distance < distance[index]).float().mean().item() == pytest.approx(0.5, abs=0.1), "neither near nor far"


@pytest.mark.long
def test_vectors(vectors, tmp_path):
    np.save(tmp_path / "row.npy", np.zeros((1, 5)))
    assert traverse(vectors, input=tmp_path / "row.npy", n=2, steps=4).shape == (2, 4, 5)


@pytest.mark.parametrize(
    "overrides",
    [("posterior=dirac", "objective=reconstruction"), ("posterior=flow",), ("posterior=full_gaussian",)],
)
def test_posteriors_without_factors_are_ordered_by_the_variance_of_their_mean(untrained, tmp_path, capsys, overrides):
    context = open_run(untrained(*overrides), tmp_path, device="cpu")
    assert traverse(context, n=2, steps=3).shape == (2, 3, 1, 8, 8)
    assert "variance of the mean" in capsys.readouterr().out
    assert (np.diff(read(context)["information"]) <= 0).all()


def test_every_level_of_a_tower(untrained, tmp_path):
    context = open_run(untrained("latents=ladder", "latents.levels=2", "latents.width=8"), tmp_path, device="cpu")
    assert [traverse(context, steps=3, level=level).shape[0] for level in (0, 1)] == [1, 3]
    with pytest.raises(Refusal, match=r"use task.level=1"):
        traverse(context, level=2)


def test_a_sphere_has_no_axes(untrained, tmp_path):
    run = untrained("posterior=power_spherical", "prior=sphere_uniform")
    with pytest.raises(Refusal, match=r"in Euclidean space, .* task=interpolate"):
        traverse(open_run(run, tmp_path, device="cpu"))
