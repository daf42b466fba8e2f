"""The ELBOs of the modalities alone."""

import pytest
import torch

from helpers import PAIRS, build_all, examples
from vaekit.batch import Batch

SMALL = ("network.image.hidden=[16]", "network.label=8", "latents.dim=3")


def test_it_adds_the_elbo_of_each_modality_of_the_pairs_that_are_whole():
    vae, objective, penalties = build_all(PAIRS, "model=mvae", "data=paired", *SMALL)
    vae.double()
    x = examples(PAIRS, 6, dtype=torch.float64).x
    vae.latents.levels[0].posterior.heads.requires_grad_(False)
    with torch.no_grad():  # no noise: draws are the mean, and the rate stays what it is
        for head in vae.latents.levels[0].posterior.heads:
            head.weight[3:] = 0
            head.bias[3:] = -12
    expected = sum(-vae(Batch(PAIRS.keep_modality(x[:4], m)), 1).elbo.sum() for m in range(2)) / 6
    found = penalties["sub_sampling"](vae(Batch(x), 1), vae, None)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)
    assert objective(vae(Batch(x), 1), None).shape == (6,)


def test_the_gradient_reaches_each_expert_separately():
    vae, _, penalties = build_all(PAIRS, "model=mvae", "data=paired", *SMALL)
    penalties["sub_sampling"](vae(examples(PAIRS, 6), 1), vae, None).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())


def test_a_batch_without_complete_pairs_has_penalty_zero():
    vae, _, penalties = build_all(PAIRS, "model=mvae", "data=paired", *SMALL)
    x = PAIRS.keep_modality(examples(PAIRS, 6).x[:4], 0)
    assert penalties["sub_sampling"](vae(Batch(x), 1), vae, None).item() == pytest.approx(0)
