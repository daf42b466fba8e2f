"""The tower of height one: the flat VAE."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.latents.tower import Tower


class Flat(nn.Module):
    """A level that nothing stands above: posterior and prior over the same space."""

    def __init__(self, posterior: nn.Module, prior: nn.Module):
        super().__init__()
        self.posterior, self.prior = posterior, prior
        self.space, self.gives = posterior.space, posterior.gives

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        return self.posterior(features)

    def generate(self, state: Tensor | None) -> Distribution:
        return self.prior(state)

    def merge(self, state: Tensor | None, z: Tensor) -> Tensor:
        return z


class Single(Tower):
    """One latent variable of `dim` dimensions.

    posterior(space) and prior(space, posterior) build the two arrows over it; latent(shape) is the kind of space.

    Cite: none
    """

    def __init__(
        self,
        posterior: Callable[[Any], nn.Module],
        prior: Callable[[Any, nn.Module], nn.Module],
        latent: Callable[[tuple[int, ...]], Any],
        dim: int,
    ):
        super().__init__()
        space = latent((dim,))
        below = posterior(space)
        self.levels = nn.ModuleList([Flat(below, prior(space, below))])
        self.out_shape = (dim,)
