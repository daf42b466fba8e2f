"""What can be drawn exactly, but has its density only by an estimate."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class Estimated(Distribution):
    """Draws of `draw(n)` `[n, *event_shape]`, and the log of an unbiased estimate of their density, made afresh at
    each call: `log_estimate(z)` `[N]` for z `[N, *event_shape]`, in nats.
    """

    arg_constraints = {}
    support = constraints.real

    def __init__(
        self, draw: Callable[[int], Tensor], log_estimate: Callable[[Tensor], Tensor], event_shape: tuple[int, ...]
    ):
        self.draw, self.log_estimate = draw, log_estimate
        super().__init__(torch.Size(), torch.Size(event_shape), validate_args=False)

    def sample(self, sample_shape=torch.Size()) -> Tensor:
        shape = torch.Size(sample_shape)
        return self.draw(shape.numel()).reshape(shape + self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        flat = value.reshape(-1, *self.event_shape)
        return self.log_estimate(flat).reshape(value.shape[: value.dim() - len(self.event_shape)])
