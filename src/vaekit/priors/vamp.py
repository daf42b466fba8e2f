"""The variational mixture of posteriors."""

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
    """p(z) = 1/K sum_k q(z | u_k): the posterior's own mixture over K learned pseudo-inputs.

    Tomczak and Welling 2018, equation 9. infer(x) is the posterior of data; data_space is where pseudo-inputs live;
    they start at training rows.

    References:
        Jakub Tomczak, Max Welling. VAE with a VampPrior. In AISTATS 2018. https://arxiv.org/abs/1705.07120
    """

    latent = Real
    inputs = frozenset({Input.INFER, Input.DATA_SPACE})
    requires = frozenset({Capability.DENSITY})
    learns_inputs = True

    def __init__(self, space: Real, infer: Callable[[Tensor], Distribution], data_space: Space, components: int = 500):
        super().__init__()
        at_least_one(components=(components, 500))
        self.space, self.infer, self.bounded = space, infer, isinstance(data_space, Maps)  # in [0, 1]
        self.pseudo = nn.Parameter(torch.randn(components, *data_space.shape))

    def forward(self, context: Tensor | None = None) -> Distribution:
        u = self.pseudo.sigmoid() if self.bounded else self.pseudo
        even = Categorical(logits=u.new_zeros(len(u)), validate_args=False)
        return MixtureSameFamily(even, self.infer(u), validate_args=False)

    @torch.no_grad()
    def start_from(self, data: Any) -> None:
        x = data.sample("train", len(self.pseudo)).x.to(self.pseudo)
        self.pseudo[: len(x)] = x.clamp(0.05, 0.95).logit() if self.bounded else x
