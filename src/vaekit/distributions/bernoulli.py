"""The Bernoulli distribution, with a mode for every probability."""

import torch
from torch import Tensor
from torch.distributions.utils import lazy_property
from torch.nn import functional as F


class Bernoulli(torch.distributions.Bernoulli):
    """torch's, but its mode at probability 1/2 is 0 instead of NaN, so that images of modes are complete.

    Example:
        >>> import torch
        >>> from vaekit.distributions.bernoulli import Bernoulli
        >>> Bernoulli(logits=torch.tensor([-1.0, 0.0, 1.0])).mode
        tensor([0., 0., 1.])
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """For values 0 and 1, as torch's, in half as many passes over memory."""
        return F.logsigmoid((2 * value - 1) * self.logits)

    @lazy_property
    def mode(self) -> Tensor:
        return (self.logits > 0).to(self.logits)
