"""Relaxation by temperature, in training and evaluation."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from helpers import BINARY, build, build_all, examples
from vaekit.training.module import Training

SMALL = ("likelihood=bernoulli", "network=mlp", "network.hidden=[32]", "latents.dim=6", "prior=code_uniform")
GUMBEL = (*SMALL, "posterior=gumbel", "posterior.codes=3")


def one_hot(z):
    return ((z == 0) | (z == 1)).all() and (z.unflatten(-1, (2, 3)).sum(-1) == 1).all()


@pytest.mark.long
def test_only_training_sees_the_softmax_and_only_if_asked():
    for hard in (True, False):
        vae, _ = build(BINARY, *GUMBEL, f"posterior.hard={hard}")
        for training in (True, False):
            (step,), _ = vae.train(training).infer(vae.encoder(examples(BINARY, 5).x), 4)
            assert one_hot(step.z) == (hard or not training)
            torch.testing.assert_close(step.z.unflatten(-1, (2, 3)).sum(-1), torch.ones(4, 5, 2))


def test_the_temperature_follows_its_schedule():
    words = ("schedule@posterior.temperature=linear", "posterior.temperature.value=0.5")
    parts = build_all(BINARY, *GUMBEL, *words, "posterior.temperature.start=2", "posterior.temperature.epochs=10")
    training = Training(*parts, partial(torch.optim.Adam, lr=1e-3))
    posterior = parts[0].latents.levels[0].posterior
    trainer = SimpleNamespace(
        num_training_batches=10, accumulate_grad_batches=1, log_every_n_steps=100, current_epoch=0
    )
    seen = []
    for epoch in (0, 5, 30):
        trainer.current_epoch = epoch
        training._trainer = SimpleNamespace(**vars(trainer), global_step=0, callback_metrics={}, loggers=[])
        training.training_step(examples(BINARY, 5), 0)
        seen.append(posterior.current_temperature.item())
    assert seen == pytest.approx([2.0, 1.25, 0.5])


@pytest.mark.long
@pytest.mark.parametrize("posterior", ["gumbel", "bernoulli"])
@pytest.mark.parametrize("objective", ["elbo", "vimco"])
def test_random_codes_learn_to_tell_examples_apart(posterior, objective):
    """Several seeds are tried, because rounding decides which of them ends with two examples on one code."""
    words = (*SMALL, f"posterior={posterior}", f"objective={objective}")
    batch = examples(BINARY, 8)  # fewer than there are codes, 2^6 or 3^2

    def learned(seed):
        vae, objective = build(BINARY, *words, *GUMBEL[-1:] * (posterior == "gumbel"), seed=seed)
        optimizer = torch.optim.Adam(vae.parameters(), 3e-2)
        torch.manual_seed(seed)
        for _ in range(300):
            optimizer.zero_grad()
            objective(vae(batch, objective.num_samples), None).mean().backward()
            optimizer.step()
        return vae.eval().log_likelihood(batch.x, 200).mean()

    # all examples alike: -39.5; two of eight alike: -13
    assert any(learned(seed) > -20 for seed in range(4))
