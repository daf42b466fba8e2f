"""The uniform prior over discrete codes."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.coded import Choice
from vaekit.priors.prior import Prior
from vaekit.spaces import Codes


class CodeUniform(Prior):
    """p(z) uniform: each position is one of the K atoms with probability 1/K, independent of the others.

    van den Oord et al. 2017, section 3.1.

    Args:
        space: The space of z.

    References:
        Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. In NeurIPS 2017.
            https://arxiv.org/abs/1711.00937

    Example:
        >>> import torch
        >>> from vaekit.priors.code_uniform import CodeUniform
        >>> from vaekit.spaces import Codes
        >>> CodeUniform(Codes((3,), atoms=2))().log_prob(torch.zeros(3))   # -3 log 2
        tensor(-2.0794)
    """

    latent = Codes
    learned = False
    gives = frozenset({Capability.FACTORISED, Capability.CODED})
    logits: Tensor

    def __init__(self, space: Codes):
        super().__init__()
        self.space = space
        self.register_buffer("logits", torch.zeros(*space.positions, space.atoms), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Choice(self.logits, self.space)
