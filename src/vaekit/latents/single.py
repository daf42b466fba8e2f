"""The tower of height one: the flat VAE."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution


class Flat(nn.Module):
    """A level that nothing stands above: posterior and prior over the same space."""

    def __init__(self, posterior: nn.Module, prior: nn.Module):
        super().__init__()
        self.posterior, self.prior = posterior, prior
        self.space = posterior.space

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        return self.posterior(features)

    def generate(self, state: Tensor | None) -> Distribution:
        return self.prior(state)

    def merge(self, state: Tensor | None, z: Tensor) -> Tensor:
        return z


class Single(nn.Module):
    """One latent variable of `dim` dimensions.

    posterior(context_shape, space) and prior(space) build the two arrows; `posterior.latent` is the kind of space.
    """

    def __init__(
        self,
        posterior: Callable[..., nn.Module],
        prior: Callable[..., nn.Module],
        latent: Callable[[tuple[int, ...]], object],
        context_shape: tuple[int, ...],
        dim: int,
    ):
        super().__init__()
        space = latent((dim,))
        self.levels = nn.ModuleList([Flat(posterior(context_shape, space), prior(space))])
        self.out_shape = (dim,)
