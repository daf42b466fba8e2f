"""Initial weights: signals keep their size, and a VAE uses z from its first steps."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
import torch
from torch import nn

from helpers import build
from vaekit.batch import Batch
from vaekit.networks.glorot import INITIAL_RATE, glorot, initial_log_scale
from vaekit.spaces import Image


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(64, 64),
        nn.Conv2d(64, 64, 3),
        nn.ConvTranspose2d(64, 64, 4, stride=2),
        nn.ConvTranspose2d(64, 64, 2, stride=2),
        nn.ConvTranspose1d(64, 64, 8, stride=4),
    ],
    ids=str,
)
def test_a_layer_of_as_many_inputs_as_outputs_keeps_the_variance(layer):
    torch.manual_seed(0)
    sides = {nn.Linear: (), nn.ConvTranspose1d: (64,)}.get(type(layer), (16, 16))
    y = glorot(layer)(torch.randn(200, 64, *sides))
    inner = y if not sides else y[(..., *[slice(8, -8) if y.shape[2] > 20 else slice(None)] * len(sides))]
    assert inner.var().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(("size", "least", "most"), [(2, 1.1, 1.2), (32, 18, 19), (1024, 25, 32), (100_000, 30, 33)])
def test_a_posterior_starts_with_a_rate_of_about_thirty_nats_at_most(size, least, most):
    s = torch.tensor(initial_log_scale(size), dtype=torch.float64)
    assert least < size * (((2 * s).exp() - 1) / 2 - s) < most


def strokes(count):
    """`[count, 1, 28, 28]`: one to four lines from anywhere to anywhere, white on black."""
    random, rows = np.random.default_rng(0), []
    for _ in range(count):
        picture = PIL.Image.new("L", (28, 28))
        for line in random.integers(1, 27, (random.integers(1, 5), 4)):
            PIL.ImageDraw.Draw(picture).line(line.tolist(), fill=1, width=2)
        rows.append(np.array(picture))
    return torch.from_numpy(np.stack(rows)).float().unsqueeze(1)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["conv_vae", "mlp_vae"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_preset_uses_z_within_150_steps(preset, seed):
    """Where the posterior starts as wide as the prior, conv_vae's rate is 0.00 after 400 steps."""
    x = strokes(5000)
    vae, objective = build(
        Image((1, 28, 28), bins=2), f"model={preset}", "likelihood=bernoulli", seed=seed, start=INITIAL_RATE
    )
    with torch.no_grad():
        vae.likelihood.bias.copy_(vae.likelihood.bias_at(x.mean(0)))
    optimizer = torch.optim.Adam(vae.parameters(), 1e-3)
    for _ in range(150):
        terms = vae(Batch(x[torch.randint(len(x), (128,))]), 1)
        optimizer.zero_grad()
        objective(terms, None).mean().backward()
        optimizer.step()
    assert terms.rate.mean() > 5
