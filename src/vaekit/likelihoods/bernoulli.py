"""Binary values."""

from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import bernoulli
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import Space


class Bernoulli(Likelihood):
    """p(x | z) = Bernoulli(sigmoid(network(z))), for values in {0, 1} and no others.

    Kingma and Welling 2014, appendix C.1.

    References:
        Diederik Kingma, Max Welling. Auto-Encoding Variational Bayes. In ICLR 2014. https://arxiv.org/abs/1312.6114
    """

    values = frozenset({"binary"})

    def __init__(self, space: Space, network: Callable):
        super().__init__(space, network, params=1)

    def distribution(self, *params: Tensor) -> Distribution:
        return bernoulli.Bernoulli(logits=params[0], validate_args=False)

    def bias_at(self, mean: Tensor) -> Tensor:
        return mean.clamp(0.001, 0.999).logit().unsqueeze(0)
