"""Grey levels, a free probability each."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions.levels import Levels
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import Space


class Categorical(Likelihood):
    """p(x | z): a softmax over the grey levels of each value (van den Oord et al. 2016, section 3.4). The number of
    levels is the data's.

    References:
        Aäron van den Oord, Nal Kalchbrenner, Koray Kavukcuoglu. Pixel Recurrent Neural Networks. In ICML 2016.
            https://arxiv.org/abs/1601.06759
    """

    values = frozenset({"binary", "discrete"})

    def __init__(self, space: Space, network: Callable):
        assert space.levels is not None
        super().__init__(space, network, params=space.levels)

    def distribution(self, *params: Tensor) -> Distribution:
        return Levels(torch.stack(params, dim=-1))

    def bias_at(self, mean: Tensor) -> Tensor:
        """Uniform: a mean says too little of so many free probabilities."""
        return torch.zeros_like(self.bias)
