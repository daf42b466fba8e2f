"""A mixture of posteriors of learned pseudo-inputs as prior (VampPrior)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from vaekit.capabilities import Capability, Input
from vaekit.priors.prior import Prior
from vaekit.refusal import at_least_one
from vaekit.spaces import Maps, Real, Space


class Vamp(Prior):
    """p(z) = 1/K sum_k q(z | u_k): a mixture of the posteriors of K learned pseudo-inputs u_k.

    Tomczak and Welling 2018, equation 9. Pseudo-inputs start at training rows.

    Args:
        space: The space of z.
        infer: q(z | x) as a function of x `[N, *data_space.shape]`.
        data_space: The space of x and of the pseudo-inputs.
        components: Number K of pseudo-inputs; 500 as in the paper. Each step encodes all of them.

    Raises:
        Refusal: If `components` is below 1.

    References:
        Jakub Tomczak, Max Welling. VAE with a VampPrior. In AISTATS 2018. https://arxiv.org/abs/1705.07120

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.priors.vamp import Vamp
        >>> from vaekit.spaces import Real
        >>> prior = Vamp(Real((2,)), lambda x: Independent(Normal(x, 1.0), 1), Real((2,)), components=5)
        >>> prior().sample((4,)).shape
        torch.Size([4, 2])
    """

    latent = Real
    gives = frozenset({Capability.CODED})
    inputs = frozenset({Input.INFER, Input.DATA_SPACE})
    requires = frozenset({Capability.DENSITY})
    learns_inputs = True

    def __init__(self, space: Real, infer: Callable[[Tensor], Distribution], data_space: Space, components: int = 500):
        super().__init__()
        at_least_one(components=(components, 500))
        self.space, self.infer, self.bounded = space, infer, isinstance(data_space, Maps)  # in [0, 1]
        self.pseudo_inputs = nn.Parameter(torch.randn(components, *data_space.shape))

    def forward(self, context: Tensor | None = None) -> Distribution:
        u = self.pseudo_inputs.sigmoid() if self.bounded else self.pseudo_inputs
        even = Categorical(logits=u.new_zeros(len(u)), validate_args=False)
        return MixtureSameFamily(even, self.infer(u), validate_args=False)

    @torch.no_grad()
    def start_from(self, data: Any) -> None:
        x = data.sample("train", len(self.pseudo_inputs)).x.to(self.pseudo_inputs)
        self.pseudo_inputs[: len(x)] = x.clamp(0.05, 0.95).logit() if self.bounded else x
