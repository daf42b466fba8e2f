"""The base class of likelihoods."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vaekit.capabilities import Capability
from vaekit.configs import choices
from vaekit.distributions.precision import full_precision
from vaekit.refusal import Refusal
from vaekit.spaces import Space

BuildNetwork = Callable[[int], Any]
"""Builds the network of a likelihood, which has an `in_shape`, of the numbers that it gives for each value of x."""


class Likelihood(nn.Module):
    """p(x | z): a network gives `params` numbers for each value of x, and `distribution` makes a distribution of them.

    A subclass declares the `values` that it scores, the kind of space that it `reads` and what it `gives`, and defines
    `distribution` and `bias_at`. The network has no output bias: the bias is a parameter here, one for each value, so
    that training can start at the mean of the data.

    Args:
        space: The space of x.
        network: `network(params)` builds the network, `[N, *in_shape]` -> `[N, params, *space.shape]`.
        params: Numbers for each value of x.

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.gaussian import Gaussian
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Real
        >>> likelihood = Gaussian(Real((3,)), lambda params: Decoder((2,), Real((3,)), params, hidden=[8]))
        >>> likelihood(torch.zeros(7, 5, 2)).batch_shape
        torch.Size([7, 5])
    """

    values: ClassVar[frozenset[str]]
    reads: ClassVar[type[Space]] = Space
    gives = frozenset({Capability.FACTORISED})

    def __init__(self, space: Space, network: BuildNetwork, params: int):
        super().__init__()
        self.space = space
        self.network = network(params)
        self.bias = nn.Parameter(torch.zeros(params, *space.shape))

    def forward(self, state: Tensor) -> Distribution:
        """p(x | z) with batch shape `[...]` and event shape `space.shape`, for a latent state `[..., *in_shape]`."""
        lead = state.shape[: state.dim() - len(self.network.in_shape)]
        out = full_precision(self.network(state.reshape(-1, *self.network.in_shape))) + self.bias
        out = out.unflatten(0, lead)
        # the gradient of unbind is a copy, which a single parameter does not need
        params = out.unbind(len(lead)) if len(self.bias) > 1 else [out.squeeze(len(lead))]
        px = self.distribution(*params)
        return Independent(px, len(self.space.shape) - len(px.event_shape), validate_args=False)

    def distribution(self, *params: Tensor) -> Distribution:
        """The distribution of each value, or of all jointly, from `params` tensors `[..., *space.shape]`."""
        raise NotImplementedError

    def bias_at(self, mean: Tensor) -> Tensor:
        """The bias `[params, *space.shape]` with which p(x | z) has a mean `[*space.shape]` if the network gives 0."""
        raise NotImplementedError

    @classmethod
    def scores(cls, space: Space) -> bool:
        """Whether it scores the values of this space."""
        return space.values in cls.values and isinstance(space, cls.reads)

    @torch.no_grad()
    def start_from(self, data: Any) -> None:
        """Start at the mean of the data (Burda et al. 2016)."""
        self.bias.copy_(self.bias_at(data.mean().to(self.bias)))


@torch.no_grad()
def start_scale(log_scale: Tensor, data: Any, ratio: float | Tensor, floor: float, each: bool = False) -> None:
    """Start a learned scale, exp(log_scale) + floor, where the density is as wide as the data, whatever their units.

    Args:
        log_scale: A single one, or `[*space.shape]`; it is changed.
        data: Of the training, with a `deviation`.
        ratio: Of the scale to the standard deviation of the density.
        floor: Least scale.
        each: Whether each value starts at its own standard deviation, rather than that over all. A network that gives
            the scales would be too sure of values that hardly vary, such as pixels at the edge.
    """
    deviation = data.deviation().to(log_scale)
    deviation = deviation if each else deviation.square().mean().sqrt()
    log_scale.copy_((ratio * deviation - floor).clamp(min=floor).log())


def one_by_one(space: Space) -> str:
    """The overrides of the likelihoods that score each value of a space separately.

    Args:
        space: Space of x.

    Returns:
        E.g. `likelihood=gaussian or likelihood=laplace`; empty if there are none.
    """
    return choices("likelihood", lambda part: Capability.FACTORISED in part.gives and part.scores(space))


def check_missing(space: Space, likelihood: frozenset[Capability], posteriors: Iterable[frozenset[Capability]]) -> None:
    """Refuse a model that cannot leave out missing values.

    Args:
        space: Space of x.
        likelihood: What the likelihood gives.
        posteriors: What the posterior of each latent level gives.

    Raises:
        Refusal: If a posterior reads whole rows, or the likelihood scores several values together.
    """
    if any(Capability.WHOLE in gives for gives in posteriors):
        raise Refusal(
            "Some values are missing, and this model's posterior needs log p(x, z) of whole rows. "
            "Train with posterior=gaussian."
        )
    if not likelihood & {Capability.FACTORISED, Capability.MARGINAL}:
        binary = ", or likelihood=bernoulli data.binarize=dynamic" if space.values == "discrete" else ""
        raise Refusal(
            "Some values are missing, and this model's likelihood scores several values together, so that none can be "
            f"left out. Train with {one_by_one(space) or 'other data'}{binary}."
        )
