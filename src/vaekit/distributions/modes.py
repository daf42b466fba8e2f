"""torch's distributions on [0, 1] with modes and stable densities."""

import torch
from torch import Tensor


class ContinuousBernoulli(torch.distributions.ContinuousBernoulli):
    """torch's, with a mode at 0 or 1, and with a mean and a log density that are accurate for every logit.

    Example:
        >>> import torch
        >>> from vaekit.distributions.modes import ContinuousBernoulli
        >>> p = ContinuousBernoulli(logits=torch.tensor([0.0, 2.0]))
        >>> p.mean, p.mode
        (tensor([0.500, 0.656]), tensor([0., 1.]))
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """logit x - log((e^logit - 1) / logit) = logit (x - 1/2) - log(sinh(a / 2) / (a / 2)), a = |logit|.

        torch's, which computes it from the probability, loses 0.01 nats at a logit of 15 in single precision.
        """
        a = self.logits.abs()
        small = a < 1e-2
        large = torch.where(small, 1.0, a)  # so that neither branch is 0 / 0, in the gradient as well
        log_ratio = torch.where(small, a.square() / 24, a / 2 + (-torch.expm1(-large) / large).log())
        return (value - 0.5) * self.logits - log_ratio

    @property
    def mean(self) -> Tensor:
        """Computed in double precision, because it is a difference of large numbers: single precision errs by 0.002."""
        return torch.distributions.ContinuousBernoulli(self.probs.double()).mean.to(self.probs)

    @property
    def mode(self) -> Tensor:
        return (self.probs > 0.5).to(self.probs)


class Beta(torch.distributions.Beta):
    """torch's, for parameters above 1, with values clamped away from 0 and 1, where the log density is infinite.

    Example:
        >>> import torch
        >>> from vaekit.distributions.modes import Beta
        >>> bool(Beta(torch.tensor(2.0), torch.tensor(3.0)).log_prob(torch.tensor(0.0)).isfinite())
        True
    """

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.clamp(1e-6, 1 - 1e-6))
