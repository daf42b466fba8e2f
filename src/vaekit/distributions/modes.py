"""torch's distributions on [0, 1] with what they lack."""

import torch
from torch import Tensor


class ContinuousBernoulli(torch.distributions.ContinuousBernoulli):
    """torch's, with a mode: the end on which it leans, and a mean that is exact about one half."""

    @property
    def mean(self) -> Tensor:
        """In double precision: it is the difference of two large numbers, which in single is wrong by 0.002."""
        return torch.distributions.ContinuousBernoulli(self.probs.double()).mean.to(self.probs)

    @property
    def mode(self) -> Tensor:
        return (self.probs > 0.5).to(self.probs)


class Beta(torch.distributions.Beta):
    """torch's, for parameters above 1, scored a little inside the ends, where the log of the density is infinite."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.clamp(1e-6, 1 - 1e-6))
