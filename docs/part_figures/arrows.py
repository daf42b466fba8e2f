"""Figures of priors and posteriors: densities and draws in two dimensions."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import normalize

from part_figures.drawing import Drawing, chosen, fit
from vaekit.batch import Batch
from vaekit.capabilities import Capability, Input
from vaekit.distributions.fitting import fitting_loss
from vaekit.media.plots import colors_of
from vaekit.spaces import Ball, Codes, Real, Space, Sphere

FEATURES = 4  # of x, which a posterior reads
DRAWS = 300
ESTIMATES = 10  # of a density that is only estimated
CODES = 8


@dataclass(frozen=True)
class Plane:
    """A space of z as a plane.

    Args:
        space: Of z.
        x: Grid on the horizontal axis.
        y: Grid on the vertical axis.
        labels: Of the axes.
        aspect: Of the axes' units.
        target: log of a density that posteriors approximate, up to a constant, of z `[N, d]`.
    """

    space: Space
    x: Tensor
    y: Tensor
    labels: tuple[str, str] = ("z[0]", "z[1]")
    aspect: str = "equal"
    target: Callable[[Tensor], Tensor] = lambda z: z.new_zeros(len(z))

    def point(self, x: Tensor, y: Tensor) -> Tensor:
        """z `[..., d]` of coordinates."""
        return torch.stack([x, y], -1)

    def coordinates(self, z: Tensor) -> Tensor:
        """`[2, N]`."""
        return z.T

    def contains(self, z: Tensor) -> Tensor:
        return torch.ones(z.shape[:-1], dtype=torch.bool)

    def density(self, log_prob: Callable[[Tensor], Tensor]) -> Tensor:
        """A density on the grid, `[y, x]`; NaN outside of the space. Estimates are averaged."""
        y, x = torch.meshgrid(self.y, self.x, indexing="ij")
        z = self.point(x, y).flatten(0, 1)
        inside = self.contains(z)
        with torch.no_grad():
            z = torch.where(inside.unsqueeze(-1), z, self.point(self.x[:1] * 0, self.y[:1] * 0))
            exact = torch.equal(log_prob(z[:2]), log_prob(z[:2]))
            p = torch.stack([log_prob(z).exp() for _ in range(1 if exact else ESTIMATES)]).mean(0)
        return torch.where(inside, p, torch.nan).reshape(x.shape)


class Disc(Plane):
    """The Poincaré ball."""

    def contains(self, z: Tensor) -> Tensor:
        return z.norm(dim=-1) < 0.999


class Globe(Plane):
    """The sphere in a projection that keeps areas: longitude, and height above the equator."""

    def point(self, x: Tensor, y: Tensor) -> Tensor:
        longitude, radius = x.deg2rad(), (1 - y**2).clamp(min=0).sqrt()
        return normalize(torch.stack([radius * longitude.cos(), radius * longitude.sin(), y], -1), dim=-1)

    def coordinates(self, z: Tensor) -> Tensor:
        return torch.stack([torch.atan2(z[:, 1], z[:, 0]).rad2deg(), z[:, 2]])


def banana(z: Tensor) -> Tensor:
    return -(z[..., 0] ** 2) / 2 - (z[..., 1] - z[..., 0] ** 2 / 2 + 1) ** 2 / (2 * 0.3**2)


def arc(z: Tensor) -> Tensor:
    radius = z.norm(dim=-1)
    return -((radius - 0.7) ** 2) / (2 * 0.08**2) + 2 * z[..., 0] / radius


def crescent(z: Tensor) -> Tensor:
    return -((z[..., 2] - 0.3) ** 2) / (2 * 0.15**2) + 2 * z[..., 0]


AXIS = torch.linspace(-3, 3, 41)
INDEX = torch.arange(float(CODES))
PLANES: dict[type[Space], Plane] = {
    Real: Plane(Real((2,)), AXIS, AXIS, target=banana),
    Ball: Disc(Ball((2,)), AXIS / 3, AXIS / 3, target=arc),
    Sphere: Globe(
        Sphere((3,)),
        torch.linspace(-180, 180, 41),
        torch.linspace(-1, 1, 41),
        ("longitude, degrees", "z[2]"),
        "auto",
        crescent,
    ),
    Codes: Plane(
        Codes((2,), CODES, codebook=lambda: INDEX.unsqueeze(1)),
        INDEX,
        INDEX,
        ("code at position 0", "at position 1"),
        "auto",
    ),
}


def no_plane(latent: type[Space]) -> str:
    return (
        f"No figure: PLANES of docs/part_figures/arrows.py does not say how z of the space {latent.__name__} is drawn."
    )


def show(axis: Any, plane: Plane, density: Tensor | None, z: Tensor | None = None, what: str = "draws") -> None:
    """A density as colors, and points z as dots."""
    if density is not None:
        most = 1.2 * float(density.nan_to_num(0).max())
        shown = axis.pcolormesh(plane.x, plane.y, density, cmap="Blues", vmin=0, vmax=most, shading="nearest")
        axis.figure.colorbar(shown, label="probability" if isinstance(plane.space, Codes) else "density")
    if z is not None:
        axis.scatter(*plane.coordinates(z), s=4, color="tab:orange", label=what)
        axis.legend(loc="upper right", fontsize=8)
    edges = [
        (float(1.5 * each[0] - 0.5 * each[1]), float(1.5 * each[-1] - 0.5 * each[-2])) for each in (plane.x, plane.y)
    ]
    axis.set(xlabel=plane.labels[0], ylabel=plane.labels[1], xlim=edges[0], ylim=edges[1], aspect=plane.aspect)


# Priors ---------------------------------------------------------------------------------------------------------------


class Rows:
    """Examples as training data."""

    def __init__(self, x: Tensor):
        self.x = x

    def sample(self, split: str, n: int) -> Batch:
        return Batch(self.x[:n], row=torch.arange(len(self.x[:n])))


def moons(n: int) -> Tensor:
    """Two half circles that interlock."""
    angle, second = torch.pi * torch.rand(n), torch.rand(n) < 0.5
    x = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1) * 1.5
    return torch.where(second.unsqueeze(1), -x, x) + 0.15 * torch.randn(n, 2)


def pairs_of_codes(n: int) -> Tensor:
    """Two codes, the second of which is near the first or opposite to it."""
    first = torch.randint(CODES, (n,))
    step = torch.randint(2, (n,)) + CODES // 2 * torch.randint(2, (n,))
    return torch.stack([first, (first + step) % CODES], 1).float()


def nearby(x: Tensor) -> Distribution:
    """A posterior q(z | x) of rows in the plane."""
    return Independent(Normal(x, 0.3), 1)


def prior(name: str) -> Drawing | str:
    choice = chosen("prior", name)
    if choice.kind.latent not in PLANES:
        return no_plane(choice.kind.latent)
    plane = PLANES[choice.kind.latent]
    part = choice.with_inputs({Input.DATA_SPACE: plane.space, Input.INFER: nearby})(plane.space)
    if not choice.kind.learned:
        return Drawing({"p(z)": partial(shown_prior, part, plane)}, "Its density, and draws from it.")
    data = (pairs_of_codes if isinstance(plane.space, Codes) else moons)(2000)
    with torch.no_grad():
        part.start_at(data)
        part.start_from(Rows(data))

    def loss() -> Tensor:
        return fitting_loss(part(), data[torch.randint(len(data), (64,))]).mean()

    layers = [each for child in part.children() for each in child.parameters()]  # these need a smaller rate
    groups = [{"params": [*part.parameters(recurse=False)], "lr": 3e-2}, {"params": layers}]
    fit(groups, loss, steps=250, lr=4e-3)
    part.eval()
    return Drawing(
        {"z of the training rows": partial(show_rows, plane, data), "p(z)": partial(shown_prior, part, plane)},
        "Left: z of 2,000 rows. Right: the prior with its default settings after 250 steps of its loss.",
    )


def shown_prior(part: Any, plane: Plane, axis: Any) -> None:
    with torch.no_grad():
        draws = None if isinstance(plane.space, Codes) else part().sample((DRAWS,))
        show(axis, plane, plane.density(part().log_prob), draws)


def show_rows(plane: Plane, z: Tensor, axis: Any) -> None:
    if not isinstance(plane.space, Codes):
        return show(axis, plane, None, z[:DRAWS], "rows")
    counts = torch.zeros(CODES, CODES).index_put(tuple(z.long().T.flip(0)), torch.ones(len(z)), accumulate=True)
    show(axis, plane, counts / len(z))


# Posteriors -----------------------------------------------------------------------------------------------------------


def posterior(name: str) -> Drawing | str:
    choice = chosen("posterior", name)
    if choice.kind.latent not in PLANES:
        return no_plane(choice.kind.latent)
    plane = PLANES[choice.kind.latent]
    if isinstance(plane.space, Codes):
        return codes_of_features(choice)
    if Input.MODALITIES in choice.kind.inputs:
        return of_modalities(choice, plane)
    joint = Input.JOINT in choice.kind.inputs  # x itself then comes after the features
    inputs = {Input.DATA_SPACE: Real((1,)), Input.JOINT: lambda x, z: plane.target(z)}
    part = choice.with_inputs(inputs)((FEATURES + joint,), plane.space)
    features = torch.ones(256, FEATURES + joint)
    scored = Capability.LOG_PROB in choice.gives
    fit(part.parameters(), lambda: divergence(part(features), plane.target, scored), steps=500, lr=2e-2)
    part.eval()
    q = part(torch.ones(1, FEATURES + joint))
    density = plane.density(lambda z: q.log_prob(z)) if Capability.DENSITY in choice.gives else None

    def draw(axis: Any) -> None:
        show(axis, plane, density, q.sample((DRAWS,)).flatten(0, 1).detach())
        contours(axis, plane, plane.target)

    how = "KL(q || p)" if scored else "-log p(z | x), as there is no density,"
    return Drawing(
        {"q(z | x)": draw},
        f"A target density p(z | x) (black lines), and q(z | x) of one x after 500 steps that minimize {how} with the "
        "default settings.",
    )


def divergence(q: Distribution, target: Callable[[Tensor], Tensor], scored: bool) -> Tensor:
    """KL(q || target) at draws, up to a constant; without log q where there is none."""
    z = q.rsample()
    return ((q.log_prob(z) if scored else 0) - target(z)).mean()


def contours(axis: Any, plane: Plane, target: Callable[[Tensor], Tensor]) -> None:
    p = plane.density(target)
    top = p.nan_to_num(0).max()
    axis.contour(plane.x, plane.y, p, levels=[0.05 * top, 0.3 * top, 0.75 * top], colors="black", linewidths=0.8)


def of_modalities(choice: Any, plane: Plane) -> Drawing:
    """q(z | x) of each modality separately, and of both."""
    part = choice.with_inputs({Input.MODALITIES: 2})((2 * (FEATURES + 1),), plane.space)
    # the features of each modality, followed by 1 if it is observed
    observed = {"the first modality": (1.0, 0.0), "the second modality": (0.0, 1.0), "both": (1.0, 1.0)}
    width = FEATURES + 1
    contexts = {name: torch.tensor(each).repeat_interleave(width) for name, each in observed.items()}
    scales = torch.tensor([[1.2, 0.25], [0.25, 1.2]])
    centers = torch.tensor([[0.5, -0.7], [-0.7, 0.5]])
    targets = [
        lambda z, center=center, scale=scale: -((z - center) / scale).square().sum(-1) / 2
        for center, scale in zip(centers, scales, strict=True)
    ]
    alone = list(contexts.values())[:2]

    def loss() -> Tensor:
        pairs = zip(alone, targets, strict=True)
        return sum(divergence(part(context.expand(256, -1)), target, True) for context, target in pairs)

    fit(part.parameters(), loss, steps=300, lr=2e-2)

    def panel(context: Tensor) -> Callable[[Any], None]:
        q = part(context.unsqueeze(0))
        return lambda axis: show(axis, plane, plane.density(lambda z: q.log_prob(z)), q.sample((DRAWS,))[:, 0])

    return Drawing(
        {f"q(z | {name})": panel(context) for name, context in contexts.items()},
        "q(z | x) given one of two modalities, and given both. Each expert was fitted to a density that is narrow in "
        "one direction.",
    )


def codes_of_features(choice: Any) -> Drawing:
    """The most probable code of each point in a plane of features."""
    features = torch.cartesian_prod(AXIS, AXIS)
    part = choice((2,), Codes((CODES,)))
    part(torch.randn(1000, 2))  # a first step of training, in which codebooks may start
    part.eval()
    with torch.no_grad():
        q = part(features)
    z = q.mode
    _, number = torch.unique(z, dim=0, return_inverse=True)
    colors = torch.tensor(colors_of(int(number.max()) + 1))[torch.randperm(int(number.max()) + 1)][:, :3]
    p = (q.log_prob(z) / math.prod(part.space.positions)).exp().unsqueeze(1)  # a position
    image = (p * colors[number] + 1 - p).reshape(len(AXIS), len(AXIS), 3).transpose(0, 1)

    def draw(axis: Any) -> None:
        axis.imshow(image, origin="lower", extent=(-3, 3, -3, 3))
        axis.set(xlabel="first feature of x", ylabel="second feature of x")

    return Drawing(
        {f"{int(number.max()) + 1} codes z": draw},
        "The most probable z of each point in a plane of features, a color for each z, paler where its positions are "
        f"less certain: {CODES} latent dimensions, default settings, before training.",
    )
