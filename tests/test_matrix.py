"""Every combination of the parts trains and answers, or is refused with a sentence; there is no third outcome."""

import itertools
import re

import pytest
import torch

from helpers import BINARY, DEQUANTIZED, GREY, VECTORS, build, examples
from vaekit.configs import options
from vaekit.refusal import Refusal

SPACES = {"binary": BINARY, "grey": GREY, "dequantized": DEQUANTIZED, "vectors": VECTORS}
GROUPS = ("posterior", "prior", "likelihood", "objective", "network")
SMALL = {
    "mlp": ["network.hidden=[8]"],
    "conv": ["network.channels=[4]", "network.features=8"],
    "resnet": ["network.channels=[4]", "network.features=8"],
}
COMBINATIONS = list(itertools.product(SPACES, *(sorted(options(group)) for group in GROUPS)))


@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_trains_and_answers_or_is_refused(combination):
    space, choice = SPACES[combination[0]], dict(zip(GROUPS, combination[1:], strict=True))
    overrides = [*(f"{group}={name}" for group, name in choice.items()), *SMALL[choice["network"]], "latents.dim=3"]
    if choice["objective"] == "iwae":
        overrides.append("objective.num_samples=3")
    try:
        vae, objective = build(space, *overrides)
    except Refusal as refusal:
        assert re.search(r"\b[a-z]+[a-z./]*=\w+", str(refusal).rpartition("use ")[2]), f"nothing to paste: {refusal}"
        return
    batch = examples(space, 5)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-3)
    before = [p.clone() for p in vae.parameters()]
    for _ in range(2):
        optimizer.zero_grad()
        loss = objective(vae(batch, objective.num_samples), 0.5)
        assert loss.shape == (5,)
        assert torch.isfinite(loss).all()
        loss.mean().backward()
        optimizer.step()
    names = [name for name, _ in vae.named_parameters()]
    still = [name for name, old, new in zip(names, before, vae.parameters(), strict=True) if torch.equal(old, new)]
    assert not still, f"not trained: {still}"

    assert vae.sample(2).shape == vae.sample(2, draw=True).shape == (2, *space.shape)
    assert vae.reconstruct(batch.x).shape == batch.x.shape
    assert vae.interpolate(batch.x[:1], batch.x[1:2], steps=3).shape == (1, 3, *space.shape)
    assert vae.vary(batch.x, n=2).shape == (5, 2, *space.shape)
    assert torch.isfinite(vae.log_likelihood(batch.x, num_samples=3)).all()


def test_some_combinations_of_each_part_train():
    """A group whose every use is refused would pass the test above."""
    trained = {group: set() for group in GROUPS}
    for combination in COMBINATIONS:
        choice = dict(zip(GROUPS, combination[1:], strict=True))
        if all(choice[group] in trained[group] for group in GROUPS):
            continue
        try:
            build(SPACES[combination[0]], *(f"{group}={name}" for group, name in choice.items()))
        except Refusal:
            continue
        for group in GROUPS:
            trained[group].add(choice[group])
    assert trained == {group: set(options(group)) for group in GROUPS}
