"""A class that stays the same when an image is bent."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from helpers import GREY, build, build_all, examples
from vaekit.penalties.consistency import Consistency, bent
from vaekit.refusal import Refusal

M2 = ("model=m2_vae", "network.hidden=[16]", "latents.given.dim=3")


def labelled(*label):
    return replace(examples(GREY, len(label)), label=torch.tensor(label))


def test_images_are_bent_each_by_itself_and_little_by_little_strength():
    x = examples(GREY, 1).x.expand(4, -1, -1, -1)
    torch.testing.assert_close(bent(x, 1e-6), x, atol=1e-4, rtol=0)
    one, two, *_ = bent(x, 0.3)
    assert (one - two).abs().mean() > 0.01
    assert bent(x, 0.3).min() >= 0 and bent(x, 0.3).max() <= 1


def test_a_classifier_that_sees_nothing_is_consistent_and_a_labelled_row_costs_its_cross_entropy():
    vae, _ = build(GREY, *M2)
    top = vae.latents.levels[0].posterior.head
    with torch.no_grad():
        top.weight.zero_()
        top.bias.copy_(torch.arange(10.0))
    penalty = Consistency(vae)
    assert penalty(vae(labelled(-1, -1), None), vae, 0.5).abs() < 1e-5
    cost = penalty(vae(labelled(3, 3), None), vae, 0.5)
    torch.testing.assert_close(cost, cross_entropy(torch.arange(10.0), torch.tensor(3)))
    assert penalty(vae(labelled(3, 3), None), vae, None).abs() < 1e-5, "in evaluation no label is used"


def test_no_gradient_goes_through_the_class_of_the_image_as_it_is():
    """It is the bent one that has to follow."""
    vae, _, penalties = build_all(GREY, *M2, "penalty=consistency")
    batch = labelled(-1, -1, -1)
    torch.manual_seed(0)
    terms = vae(batch, None)
    torch.manual_seed(1)
    value = penalties["consistency"](terms, vae, 0.5)
    assert value > 0
    loose = torch.autograd.grad(value, terms.steps[0].q.logits, allow_unused=True, retain_graph=True)
    assert loose == (None,)
    value.backward()
    assert vae.latents.levels[0].posterior.head.weight.grad.abs().sum() > 0


def test_a_strength_that_cannot_be():
    with pytest.raises(Refusal, match=r"strength=0\.2"):
        build_all(GREY, *M2, "penalty=consistency", "penalty.consistency.strength=1.5")
