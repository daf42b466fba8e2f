"""How a distribution is fitted to draws, where that is not by its density."""

from typing import Protocol, runtime_checkable

from torch import Tensor
from torch.distributions import Distribution


@runtime_checkable
class Fitted(Protocol):
    """A distribution with a loss of its own, and with a lower bound that costs less than its density."""

    def fitting_loss(self, z: Tensor) -> Tensor: ...
    def lower_bound(self, z: Tensor) -> Tensor: ...


def fitting_loss(p: Distribution, z: Tensor) -> Tensor:
    """The loss that fits `p` to draws z: -log p(z), unless `p` has its own.

    Args:
        p: A distribution.
        z: `[..., *batch_shape, *event_shape]`.

    Returns:
        `[..., *batch_shape]`.

    Example:
        >>> import torch
        >>> from torch.distributions import Normal
        >>> from vaekit.distributions.fitting import fitting_loss
        >>> fitting_loss(Normal(0.0, 1.0), torch.tensor(0.0))
        tensor(0.9189)
    """
    return p.fitting_loss(z) if isinstance(p, Fitted) else -p.log_prob(z)
