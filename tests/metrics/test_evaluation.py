"""Evaluation metrics: sums over examples, divided once."""

import math

import pytest
import torch

from helpers import BINARY, DEQUANTIZED, SMALL, build, examples
from vaekit.batch import Batch
from vaekit.metrics.evaluation import Evaluation


@pytest.fixture
def trained():
    vae, objective = build(BINARY, "model=mlp_vae", *SMALL)
    with torch.no_grad():  # a posterior without noise, so that every split of the data sees the same z
        vae.latents.levels[0].posterior.head.weight[3:].zero_()
        vae.latents.levels[0].posterior.head.bias[3:] = -20.0
        vae.latents.levels[0].posterior.head.weight[:3] *= 10
    return vae.double(), objective


def evaluate(trained, x, sizes, k=4):
    vae, objective = trained
    evaluation = Evaluation(vae.space, 1)
    torch.manual_seed(0)
    log_w = vae.log_weights(Batch(x), k)  # drawn once: how the data are split must not change the noise
    with torch.no_grad():
        for part, weights in zip(x.split(sizes), log_w.split(sizes, dim=1), strict=True):
            terms = vae(Batch(part))
            evaluation.update(terms, objective(terms, None), weights)
    return evaluation.compute()


@pytest.mark.parametrize("sizes", [[12], [5, 5, 2], [1] * 12, [11, 1]])
def test_any_split_of_the_data_gives_the_same_figures(trained, sizes):
    x = examples(BINARY, 12, dtype=torch.float64).x
    assert evaluate(trained, x, sizes) == pytest.approx(evaluate(trained, x, [12]), rel=1e-5)


def test_figures_are_their_definitions(trained):
    vae, _ = trained
    x = examples(BINARY, 9, dtype=torch.float64).x
    figures = evaluate(trained, x, [9], k=3)
    torch.manual_seed(0)
    log_w = vae.log_weights(Batch(x), 3)
    with torch.no_grad():
        terms = vae(Batch(x))
    assert figures["elbo"] == pytest.approx(terms.elbo.mean().item())
    assert figures["elbo"] == pytest.approx(-(figures["rate"] + figures["distortion"]))
    assert figures["rate"] > 0
    assert figures["distortion"] > 0
    assert figures["nll"] == pytest.approx((math.log(3) - log_w.logsumexp(0)).mean().item())
    assert figures["bits_per_dim"] == pytest.approx(figures["nll"] / 64 / math.log(2))


def test_without_importance_weights_there_is_no_nll(trained):
    vae, objective = trained
    evaluation = Evaluation(vae.space, 1)
    with torch.no_grad():
        terms = vae(examples(BINARY, 3, dtype=torch.float64))
        evaluation.update(terms, objective(terms, None))
    assert "nll" not in evaluation.compute()


def test_active_units_are_those_whose_mean_moves(trained):
    vae, _ = trained
    assert evaluate(trained, examples(BINARY, 50, dtype=torch.float64).x, [50])["active_units"] == 3
    with torch.no_grad():
        vae.latents.levels[0].posterior.head.weight[1].zero_()
    assert evaluate(trained, examples(BINARY, 50, dtype=torch.float64).x, [20, 30])["active_units"] == 2


def test_noise_is_not_an_active_unit():
    """A flow's draw is not its mean: figures of a posterior that knows none are without active units."""
    vae, objective = build(BINARY, "model=mlp_vae", *SMALL, "posterior=planar")
    evaluation = Evaluation(vae.space, 1)
    with torch.no_grad():
        terms = vae(examples(BINARY, 9))
        evaluation.update(terms, objective(terms, None))
    assert evaluation.compute().keys() == {"loss", "distortion", "elbo", "rate"}


def test_bits_of_dequantized_data_count_the_cell():
    vae, objective = build(DEQUANTIZED, "model=mlp_vae", *SMALL, "likelihood=gaussian")
    evaluation = Evaluation(vae.space, 1)
    batch = examples(DEQUANTIZED, 4)
    with torch.no_grad():
        terms = vae(batch)
        evaluation.update(terms, objective(terms, None), vae.log_weights(batch, 5))
    figures = evaluation.compute()
    assert figures["bits_per_dim"] == pytest.approx((figures["nll"] / 64 + math.log(17)) / math.log(2))


def test_the_use_of_codes_is_counted_over_all_batches():
    vae, objective = build(BINARY, "model=vq_vae", "likelihood=bernoulli", "network.channels=[4,4]")
    vae.eval()
    batches = [examples(BINARY, 5, seed=seed) for seed in range(3)]
    evaluation = Evaluation(vae.space, 1, atoms=[128])
    with torch.no_grad():
        for batch in batches:
            terms = vae(batch, 1)
            evaluation.update(terms, objective(terms, None))
        numbers = torch.cat([vae(batch, 1).steps[0].q.indices.mode for batch in batches]).flatten()
    fraction = numbers.bincount(minlength=128).double() / len(numbers)
    found = evaluation.compute()
    assert found["code_usage"] == pytest.approx(len(numbers.unique()) / 128)
    assert found["perplexity"] == pytest.approx((-(fraction * fraction.clamp_min(1e-30).log()).sum()).exp().item())


def test_units_below_a_class_are_active_as_often_as_the_class_is_likely():
    """A posterior whose mean is far out for a class that nobody takes for likely has no active unit."""
    steps = ["latents=labelled", "condition=label", "condition.classes=2", "objective=semi_supervised"]
    vae, _ = build(BINARY, "network=mlp", "network.hidden=[16]", "latents.given.dim=3", *steps)
    vae = vae.double()
    top, x = vae.latents.levels[0], examples(BINARY, 9, dtype=torch.float64).x
    with torch.no_grad():
        top.posterior.head.weight.zero_()
        top.posterior.head.bias.copy_(torch.tensor([20.0, -20.0]))
        terms = vae(Batch(x), None)
        far = terms.steps[1].q.base_dist
        far.loc[1] = torch.linspace(-9, 9, 9).unsqueeze(1)  # of the class with probability 4e-18
        far.loc[0] = 0.5
        evaluation = Evaluation(vae.space, 2, classifies=True)
        evaluation.update(terms, -terms.elbo)
        assert evaluation.compute()["active_units"] == 0
        far.loc[0, :, 1] = torch.linspace(-1, 1, 9)
        evaluation.reset()
        evaluation.update(terms, -terms.elbo)
        assert evaluation.compute()["active_units"] == 1
