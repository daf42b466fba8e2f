"""Every preset composes on the embedded data, trains, samples, reconstructs and, where it has a density, evaluates."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers import GRAY, LEVELS, PAIRS, SERIES, SOUND, TABLE, TEXT, build_all, config, examples
from vaekit.configs import options
from vaekit.data.batches import Batches
from vaekit.data.source import Rows
from vaekit.spaces import Audio, Image

SMALL = {
    "mlp": ("network.hidden=[16]",),
    "conv": ("network.channels=[4]", "network.features=8"),
    "resnet": ("network.channels=[4]", "network.features=8"),
    "resnet_map": ("network.channels=[4]",),
    "gru": ("network.width=4", "network.embedding=4", "likelihood.writer.width=4", "likelihood.writer.embedding=4"),
    "sequence": ("network.width=4", "network.features=8", "likelihood=multivariate_student"),
    "wave": ("network.channels=[4]", "network.blocks=1", "network.features=8"),
    "paired": ("network.image.hidden=[16]", "network.label=8", "likelihood=paired"),
    "pyramid": ("network.channels=4", "latents.blocks=[4x2,1x1]"),
}

# of networks and likelihoods of other data than images
SPACES = {"gru": TEXT, "sequence": SERIES, "wave": SOUND, "paired": PAIRS, "table_autoregressive": TABLE}


class Data:
    """What parts start from."""

    num_train = 100

    def __init__(self, space):
        self.space = space

    def mean(self):
        return torch.full(self.space.shape, 0.3)

    def deviation(self):
        return torch.full(self.space.shape, 0.2)

    def sample(self, part, n):
        return replace(examples(self.space, n), row=torch.arange(n))

    def in_order(self, part):
        return Batches(Rows(np.zeros((100, 1), np.float32), np.arange(100) % 10), torch.arange(100), 10)


@pytest.mark.parametrize("name", sorted(options("model")))
def test_trains_and_answers(name):
    chosen = config(f"model={name}")
    network, likelihood = (each._target_.split(".")[-2] for each in (chosen.network.encoder, chosen.likelihood))
    check(SPACES.get(network, SPACES.get(likelihood, GRAY)), f"model={name}", *SMALL[network])


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (Audio((1, 40, 20)), ["model=latent_flow", "likelihood=beta", *SMALL["conv"]]),
        (LEVELS, ["model=latent_flow", "likelihood=tiles", *SMALL["conv"]]),
        (GRAY, ["model=latent_flow", "network=resnet_map", "network.channels=[4]", "latents=map", "prior.width=8"]),
        (TABLE, ["model=table_flow", "likelihood=table", *SMALL["mlp"]]),
    ],
    ids=["spectrograms", "levels", "maps", "tables"],
)
def test_a_flow_of_latents_is_of_any_data(space, words):
    check(space, *words)


def check(space, *words):
    """Train two steps, and use every verb."""
    vae, objective, penalties = build_all(space, *words)
    for whole in [vae, *penalties.values()]:
        if hasattr(whole, "start_from"):
            whole.start_from(Data(space))
    batch = replace(examples(space, 6), label=torch.arange(6))
    parameters = [*vae.parameters(), *penalties.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3)
    for _ in range(2):
        terms = vae(batch, objective.num_samples)
        loss = objective(terms, 0.5).mean() + sum(0.1 * each(terms, vae, 0.5) for each in penalties.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    space.check(vae.sample(3, draw=True))
    given = vae.condition_of(batch)
    assert vae.reconstruct(batch.x, condition=given).shape == batch.x.shape
    if vae.has_density:
        assert torch.isfinite(vae.log_likelihood(batch.x, 2, given)).all()


@pytest.mark.parametrize("name", sorted(options("model")))
def test_opens_with_its_paper(name):
    from vaekit.configs import CONF

    package, first = (CONF / "model" / f"{name}.yaml").read_text().splitlines()[:2]
    assert package == "# @package _global_"
    assert first.startswith("# ") and len(first) > 30


def test_color_images_fit_the_convolutional_presets():
    vae, *_ = build_all(Image((3, 16, 16)), "model=conv_vae", "data=cifar10", *SMALL["conv"])
    assert vae.sample(2).shape == (2, 3, 16, 16)
