"""A distribution with exact draws and an estimated density."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size


class Estimated(Distribution):
    """Exact draws, and the log of an unbiased estimate of their density, which is recomputed at each call.

    Args:
        draw: `draw(n)` gives n draws, `[n, *event_shape]`.
        log_estimate: Maps z `[N, *event_shape]` to the log of the estimate, `[N]`, in nats.
        event_shape: Shape of a draw.

    Example:
        >>> import torch
        >>> from vaekit.distributions.estimated import Estimated
        >>> Estimated(lambda n: torch.zeros(n, 2), lambda z: -z.sum(1), (2,)).sample((3, 4)).shape
        torch.Size([3, 4, 2])
    """

    arg_constraints = {}
    support = constraints.real

    def __init__(
        self, draw: Callable[[int], Tensor], log_estimate: Callable[[Tensor], Tensor], event_shape: tuple[int, ...]
    ):
        self.draw, self.log_estimate = draw, log_estimate
        super().__init__(torch.Size(), torch.Size(event_shape), validate_args=False)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        shape = torch.Size(sample_shape)
        return self.draw(shape.numel()).reshape(shape + self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        flat = value.reshape(-1, *self.event_shape)
        return self.log_estimate(flat).reshape(value.shape[: value.dim() - len(self.event_shape)])
