"""Class predictions under deformations."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from helpers import GRAY, build, build_all, examples
from vaekit.penalties.consistency import Consistency, deform
from vaekit.refusal import Refusal

M2 = ("model=m2_vae", "network.hidden=[16]", "latents.given.dim=3")


def labeled(*label):
    return replace(examples(GRAY, len(label)), label=torch.tensor(label))


def blind():
    """A model whose classifier sees nothing, and gives the class 9 a little more than the others."""
    vae, _ = build(GRAY, *M2)
    top = vae.latents.levels[0].posterior.head
    with torch.no_grad():
        top.weight.zero_()
        top.bias.copy_(torch.arange(10.0))
    return vae, torch.arange(10.0).softmax(0)[9].item()  # .63


@pytest.mark.parametrize(("strength", "elastic"), [(0.3, 0.0), (0.0, 0.12), (0.3, 0.12)])
def test_images_are_deformed_separately_and_by_strength(strength, elastic):
    x = examples(GRAY, 1).x.expand(4, -1, -1, -1)
    torch.testing.assert_close(deform(x, strength * 1e-5, elastic * 1e-5), x, atol=1e-4, rtol=0)
    y = deform(x, strength, elastic)
    assert (y[0] - y[1]).abs().mean() > 0.01
    assert y.min() >= 0 and y.max() <= 1


def test_an_elastic_image_is_not_an_affine_one():
    """Lines that were straight are not any more."""
    columns = torch.arange(28.0).expand(8, 1, 28, 28)  # each pixel holds its column

    def bend(x):
        """How far the columns of the middle are from a straight line's."""
        inside = x[:, 0, 10:18, 10:18]
        return inside.diff(n=2, dim=2).abs().max()

    torch.manual_seed(0)
    assert bend(deform(columns, 0.1, 0.0)) < 1e-3
    assert bend(deform(columns, 0.1, 0.12)) > 0.01


def test_the_loss_of_an_unlabeled_row_is_that_of_its_likeliest_class_if_confident():
    vae, confidence = blind()
    terms = vae(labeled(-1, -1), None)
    cost = Consistency(vae, threshold=confidence - 0.01)(terms, vae, 0.5)
    torch.testing.assert_close(cost, torch.tensor(-math.log(confidence)))
    assert Consistency(vae, threshold=confidence + 0.01)(terms, vae, 0.5) == 0


def test_the_loss_of_a_labeled_row_is_its_cross_entropy_at_any_confidence():
    vae, _ = blind()
    penalty, terms = Consistency(vae), vae(labeled(3, 3), None)
    torch.testing.assert_close(penalty(terms, vae, 0.5), cross_entropy(torch.arange(10.0), torch.tensor(3)))
    assert penalty(vae(labeled(3, -1), None), vae, 0.5) == penalty(terms, vae, 0.5) / 2, "averaged over all rows"
    assert penalty(terms, vae, None) == 0, "in evaluation no label is used"


def test_no_gradient_passes_through_the_class_of_the_original_image():
    """It is the bent one that has to follow."""
    vae, _, penalties = build_all(GRAY, *M2, "penalty=consistency", "penalty.consistency.threshold=0")
    batch = labeled(-1, -1, -1)
    terms = vae(batch, None)
    value = penalties["consistency"](terms, vae, 0.5)
    assert value > 0
    loose = torch.autograd.grad(value, terms.steps[0].q.logits, allow_unused=True, retain_graph=True)
    assert loose == (None,)
    value.backward()
    assert vae.latents.levels[0].posterior.head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("wrong", ["strength=1.5", "elastic=-0.1", "threshold=1.0"])
def test_invalid_numbers_are_refused(wrong):
    name = wrong.partition("=")[0]
    with pytest.raises(Refusal, match=rf"use penalty\.consistency\.{name}="):
        build_all(GRAY, *M2, "penalty=consistency", f"penalty.consistency.{wrong}")
