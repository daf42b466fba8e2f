"""A grid over each kind of latent space with the measure of its cells, to integrate densities by."""

import math

import torch
from hydra.utils import get_class

from helpers import BINARY, PAIRS, build
from vaekit.configs import options
from vaekit.spaces import Ball, Codes, Real, Sphere

DIM = {Real: 2, Ball: 2, Sphere: 3, Codes: 6}
PRIOR = {Real: "standard_normal", Ball: "wrapped_normal", Sphere: "sphere_uniform", Codes: "code_uniform"}
POSTERIOR = {Real: "gaussian", Ball: "wrapped_normal", Sphere: "von_mises_fisher", Codes: "fsq"}
CODES = {
    "categorical": ("posterior.codes=3",),
    "gumbel": ("posterior.codes=3",),
    "vq": ("posterior.codes=4", "posterior.depth=3"),
    "fsq": ("posterior.levels=[3,2]",),
    "code_uniform": ("posterior.levels=[3,2]",),
    "autoregressive": ("posterior.levels=[3,2]", "prior.width=8", "prior.blocks=2", "prior.heads=2"),
}


def part(group, name):
    return get_class(options(group)[name]["_target_"])


def small_vae(group, name, *overrides):
    """A VAE in double precision with that part and others that fit it."""
    latent = part(group, name).latent
    assert latent in DIM, f"add {latent.__name__} to DIM, PRIOR and POSTERIOR of tests/spaces_of_z.py, and to its grid"
    other_part = f"prior={PRIOR[latent]}" if group == "posterior" else f"posterior={POSTERIOR[latent]}"
    objective = "reconstruction" if name == "dirac" else "elbo"
    if group == "posterior" and "rsample" not in part(group, name).gives:
        objective = "vimco"
    if (group, name) == ("prior", "flow"):
        overrides = ("prior.flow.transforms=2",)
    if (group, name) == ("prior", "flow_matching"):
        overrides = ("prior.width=8", "prior.blocks=1", "prior.steps=5")
    if (group, name) == ("prior", "two_stage"):
        overrides = ("prior.second.network.hidden=[8]", "prior.second.latents.dim=2", "prior.num_samples=3")
    overrides = (*CODES.get(name, ()), *overrides)
    if name in ("vamp", "exemplar", "mixture") and not overrides:
        overrides = ("prior.components=5",)
    small = ("model=mlp_vae", "likelihood=bernoulli", "network.hidden=[16]", f"latents.dim={DIM[latent]}")
    experts = group == "posterior" and "modalities" in part(group, name).inputs
    if experts:
        small = ("model=mvae", "likelihood=paired", "network.image.hidden=[16]", "penalty=[]", small[-1])
    vae, _ = build(
        PAIRS if experts else BINARY, *small, f"{group}={name}", other_part, f"objective={objective}", *overrides
    )
    return vae.double()


def grid(space):
    """Points `[N, d]` and cells `[N]`."""
    if isinstance(space, Codes):  # all there are
        every = torch.cartesian_prod(*[torch.arange(space.atoms)] * math.prod(space.positions))
        points = space.array(space.codebook()[every.reshape(-1, *space.positions)])
        return points, torch.ones(len(points), dtype=torch.float64)
    if isinstance(space, Real):
        axis = torch.linspace(-12, 12, 601, dtype=torch.float64)
        points = torch.cartesian_prod(axis, axis)
        return points, torch.full((len(points),), float(axis[1] - axis[0]) ** 2, dtype=torch.float64)
    if isinstance(space, Ball):  # finer towards the edge, where the density may pile up
        distance = torch.linspace(0, 12, 401, dtype=torch.float64)
        radius = (distance / 2).tanh()
        width = (1 - radius**2) / 2 * (distance[1] - distance[0])
        angle = torch.arange(1024, dtype=torch.float64) * (2 * torch.pi / 1024)
        points = radius[:, None, None] * torch.stack([angle.cos(), angle.sin()], -1)
        cells = (radius * width * (2 * torch.pi / 1024))[:, None].expand(-1, 1024)
        return points.flatten(0, 1), cells.flatten()
    assert isinstance(space, Sphere), f"say in tests/spaces_of_z.py how to integrate over {type(space).__name__}"
    polar = (torch.arange(300, dtype=torch.float64) + 0.5) * torch.pi / 300
    around = torch.arange(300, dtype=torch.float64) * 2 * torch.pi / 300
    p, a = torch.meshgrid(polar, around, indexing="ij")
    points = torch.stack([p.sin() * a.cos(), p.sin() * a.sin(), p.cos()], -1)
    return points.flatten(0, 1), (p.sin() * torch.pi / 300 * 2 * torch.pi / 300).flatten()
