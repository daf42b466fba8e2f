"""The top-down pass: z from the posterior, from the prior or given, in a tower of several levels."""

import torch
from torch import nn
from torch.distributions import Independent, Normal

from vaekit.latents.tower import Step, descend
from vaekit.spaces import Real


class Level(nn.Module):
    """z_l ~ N(state, 1), state = state + z."""

    space = Real((2,))

    def infer(self, features, state):
        return Independent(Normal(features if state is None else features + state, 0.1), 1)

    def generate(self, state):
        return Independent(Normal(torch.zeros(2) if state is None else state, 1.0), 1)

    def merge(self, state, z):
        return z if state is None else state + z


def test_each_level_sees_what_was_picked_above():
    levels = [Level(), Level(), Level()]
    seen = []

    def pick(level, state, p):
        seen.append((level, state, p))
        return Step(torch.full((4, 2), float(len(seen))), None, p)

    steps, state = descend(levels, pick)
    assert [level for level, _, _ in seen] == levels
    assert seen[0][1] is None
    torch.testing.assert_close(seen[1][1], torch.full((4, 2), 1.0))
    torch.testing.assert_close(seen[2][2].mean, torch.full((4, 2), 3.0))
    torch.testing.assert_close(state, torch.full((4, 2), 6.0))
    assert [step.z[0, 0].item() for step in steps] == [1.0, 2.0, 3.0]


def test_a_hierarchy_has_the_interface_of_a_flat_vae():
    from helpers import BINARY, build, examples

    vae, objective = build(BINARY, "model=mlp_vae", "network.hidden=[2]", "latents.dim=2")
    vae.latents.levels = nn.ModuleList([Level(), Level()])
    batch = examples(BINARY, 5)
    terms = vae(batch, 3)
    assert [step.z.shape for step in terms.steps] == [(3, 5, 2), (3, 5, 2)]
    assert [rate.shape for rate in terms.rates] == [(5,), (5,)]
    assert terms.log_w.shape == (3, 5)
    assert objective(terms, None).shape == (5,)
    assert vae.sample(7).shape == (7, 1, 8, 8)
    assert [z.shape for z in vae.encode(batch.x)] == [(5, 2), (5, 2)]
    torch.testing.assert_close(vae.reconstruct(batch.x), vae.decode(vae.encode(batch.x)))
    # replaying a draw meets the same priors and the same state
    draw = vae.infer(vae.encoder(batch.x), 3)
    again = vae.replay([step.z for step in draw.steps])
    torch.testing.assert_close(again.state, draw.state)
    torch.testing.assert_close(again.steps[1].p.mean, draw.steps[1].p.mean)
