"""Every combination of the parts trains and answers, or is refused with a sentence; there is no third outcome."""

import itertools
import random
import re

import pytest
import torch

from helpers import BINARY, DEQUANTIZED, GREY, VECTORS, config, examples
from vaekit.compose import compose
from vaekit.configs import options
from vaekit.refusal import Refusal

SPACES = {"binary": BINARY, "grey": GREY, "dequantized": DEQUANTIZED, "vectors": VECTORS}
GROUPS = ("posterior", "prior", "likelihood", "objective", "network")
SMALL = {
    "network=mlp": ["network.hidden=[8]"],
    "network=conv": ["network.channels=[4]", "network.features=8"],
    "network=resnet": ["network.channels=[4]", "network.features=8"],
    "prior=vamp": ["prior.components=4"],
    "prior=exemplar": ["prior.components=4"],
    "prior=mixture": ["prior.components=4"],
    "prior=flow": ["prior.flow.transforms=2", "prior.flow.hidden_features=[8]"],
    "posterior=flow": ["posterior.flow.hidden_features=[8]", "posterior.context=4"],
    "objective=miwae": ["objective.outer=2", "objective.inner=2"],
    "objective=piwae": ["objective.outer=2", "objective.inner=2"],
    **{
        f"objective={name}": ["objective.num_samples=3"]
        for name in ("iwae", "dreg", "sticking_the_landing", "ciwae", "renyi", "reweighted_wake_sleep")
    },
}
CHOICES = {group: sorted(options(group)) for group in GROUPS}
WHOLE = list(itertools.product(SPACES, *CHOICES.values()))
SAMPLE = random.Random(0).sample(WHOLE, 400)


def build(combination):
    """VAE and objective of a combination, composed group by group: the whole product in minutes rather than hours."""
    choices = [f"{group}={name}" for group, name in zip(GROUPS, combination[1:], strict=True)]
    groups = {each.partition("=")[0]: config(each, *SMALL.get(each, []))[each.partition("=")[0]] for each in choices}
    torch.manual_seed(0)
    return compose({**groups, "latents": config("latents.dim=3").latents}, SPACES[combination[0]])


def check(combination):
    """Train two steps and use every verb, or see it refused: whether it trained."""
    space = SPACES[combination[0]]
    try:
        vae, objective = build(combination)
    except Refusal as refusal:
        fix = str(refusal).rpartition("use ")[2]
    else:
        fix = None
    if fix is not None:
        assert re.search(r"[a-z]+=\w+", fix), f"nothing to paste: {fix}"
        return False
    batch = examples(space, 5)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        loss = objective(vae(batch, objective.num_samples), 0.5)
        assert loss.shape == (5,)
        assert torch.isfinite(loss).all()
        loss.mean().backward()
        assert all(torch.isfinite(p.grad).all() for p in vae.parameters() if p.grad is not None)
        optimizer.step()

    assert vae.sample(2).shape == vae.sample(2, draw=True).shape == (2, *space.shape)
    assert vae.reconstruct(batch.x).shape == batch.x.shape
    assert vae.interpolate(batch.x[:1], batch.x[1:2], steps=3).shape == (1, 3, *space.shape)
    assert vae.vary(batch.x, n=2).shape == (5, 2, *space.shape)
    if vae.has_density:
        assert torch.isfinite(vae.log_likelihood(batch.x, num_samples=3)).all()
    else:
        with pytest.raises(Refusal, match="density"):
            vae.log_likelihood(batch.x)
    return True


@pytest.mark.parametrize("combination", SAMPLE, ids="-".join)
def test_trains_and_answers_or_is_refused(combination):
    check(combination)


@pytest.mark.slow
@pytest.mark.parametrize("first", list(itertools.product(SPACES, CHOICES["posterior"])), ids="-".join)
def test_the_whole_product(first):
    trained = [check((*first, *rest)) for rest in itertools.product(*list(CHOICES.values())[1:])]
    assert any(trained)


@pytest.mark.parametrize(("group", "choice"), [(group, name) for group in GROUPS for name in CHOICES[group]], ids=str)
def test_each_part_trains_somewhere(group, choice):
    """A part whose every use is refused would pass the tests above."""
    rest = [combination for combination in WHOLE if combination[1 + GROUPS.index(group)] == choice]
    random.Random(0).shuffle(rest)
    assert any(check(combination) for combination in rest[:300])


@pytest.mark.parametrize(
    ("group", "choice"), [(group, name) for group in ("prior", "posterior", "likelihood") for name in CHOICES[group]]
)
def test_every_weight_of_a_part_learns(group, choice):
    for combination in WHOLE:
        if combination[1 + GROUPS.index(group)] != choice or combination[4] not in ("elbo", "reconstruction"):
            continue
        try:
            vae, objective = build(combination)
        except Refusal:
            continue
        objective(vae(examples(SPACES[combination[0]], 5)), None).mean().backward()
        silent = [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        if combination[4] == "reconstruction":
            silent = [name for name in silent if ".prior." not in name]
        assert not silent
        return
    pytest.fail(f"{group}={choice} is refused everywhere")
