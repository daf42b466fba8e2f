"""The Bernoulli distribution, with a mode everywhere."""

import torch
from torch import Tensor
from torch.distributions.utils import lazy_property


class Bernoulli(torch.distributions.Bernoulli):
    """torch's, but the mode at probability 1/2 is 0 rather than NaN, so that pictures of modes have no holes."""

    @lazy_property
    def mode(self) -> Tensor:
        return (self.logits > 0).to(self.logits)
