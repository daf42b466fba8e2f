"""Figures of parts, drawn while the site is built: a schedule over time, and the distribution of one value."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from vaekit.capabilities import Capability
from vaekit.catalogue import Choice
from vaekit.configs import options
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.media.figures import save_panels
from vaekit.spaces import Image, Real

SPACES = [  # of one value each
    Image((1, 1, 1), bins=17),
    Image((1, 1, 1), bins=2),
    Real((1,)),
    Image((1, 1, 1), bins=17, dequantized=True),
]
MEANS = (0.1, 0.3, 0.7)


class Silent(torch.nn.Module):
    """A network that gives zeros, so that p(x | z) is that of the likelihood's bias."""

    in_shape = (1,)

    def __init__(self, *shape: int):
        super().__init__()
        self.shape = shape

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(z), *self.shape)


def figure(choice: Choice) -> tuple[bytes, str] | None:
    """The PNG of a part and its caption; None for parts of which nothing is drawn."""
    draw = {"schedule": _schedule, "likelihood": _likelihood}.get(choice.group)
    panel = draw and draw(choice.name)
    if not panel:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "part.png")
        save_panels(path, {f"{choice.group}={choice.name}": panel[0]})
        return path.read_bytes(), panel[1]


def _schedule(name: str) -> tuple[Any, str]:
    schedule = instantiate({**options("schedule")[name], "value": 1.0})
    epochs = torch.linspace(0, 50, 501).tolist()

    def draw(axis: Any) -> None:
        axis.plot(epochs, [schedule(epoch) for epoch in epochs])
        axis.set(xlabel="epoch", ylabel="coefficient", ylim=(-0.05, 1.1))

    return draw, "The coefficient in training with `value=1` and the default settings."


def _likelihood(name: str) -> tuple[Any, str] | None:
    make = instantiate({**options("likelihood")[name], "_partial_": True})
    kind: type[Likelihood] = make.func
    space = next((each for each in SPACES if kind.scores(each)), None)
    if space is None or Capability.FACTORISED not in kind.gives:
        return None
    likelihood = make(space, lambda params: Silent(params, *space.shape))
    biases = {mean: likelihood.bias_at(torch.full(space.shape, mean)) for mean in MEANS}
    if torch.equal(biases[MEANS[0]], biases[MEANS[-1]]):
        return None  # it starts at the same distribution, whatever the mean
    discrete = space.values in ("binary", "discrete")
    low, high = (-3.0, 4.0) if space.values == "continuous" else (0.001, 0.999)
    x = torch.linspace(0, 1, space.bins) if discrete else torch.linspace(low, high, 500)

    @torch.no_grad()
    def draw(axis: Any) -> None:
        for mean, bias in biases.items():
            likelihood.bias.copy_(bias)
            log_px = likelihood(torch.zeros(1, 1)).log_prob(x.reshape(-1, *space.shape))
            axis.plot(
                x, log_px.exp(), marker="o" if discrete else None, linestyle=":" if discrete else "-", label=f"{mean:g}"
            )
        axis.set(xlabel="x", ylabel="p(x | z)" if discrete else "density p(x | z)", ylim=(0, None))
        axis.legend(title="mean")

    return (
        draw,
        f"The {'probability' if discrete else 'density'} of one value, for three means, with the default settings.",
    )
