"""What all likelihoods share: a network, a bias, and the way from the latent state to p(x | z)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vaekit.capabilities import Capability
from vaekit.distributions.precision import full_precision
from vaekit.spaces import Space


class Likelihood(nn.Module):
    """p(x | z): a network gives `params` numbers per value of x, `distribution` says what they mean.

    A likelihood states which `values` it scores, of which spaces it `reads` them, how many `params` it takes,
    `distribution` and `bias_at`.
    network(params) builds the network, `[N, *in_shape]` -> `[N, params, *space.shape]`; it has no output bias of its
    own, because the bias is a parameter here, one per value, so that it can start at the data's mean.
    """

    values: ClassVar[frozenset[str]]
    reads: ClassVar[type[Space]] = Space
    gives = frozenset({Capability.FACTORISED})

    def __init__(self, space: Space, network: Callable[[int], Any], params: int):
        super().__init__()
        self.space = space
        self.network = network(params)
        self.bias = nn.Parameter(torch.zeros(params, *space.shape))

    def forward(self, state: Tensor) -> Distribution:
        """state `[..., *in_shape]` -> p(x | z), batch shape `[...]`, event shape `space.shape`."""
        lead = state.shape[: state.dim() - len(self.network.in_shape)]
        out = full_precision(self.network(state.reshape(-1, *self.network.in_shape))) + self.bias
        out = out.unflatten(0, lead)
        # the gradient of unbind is a copy, which a single parameter does not need
        params = out.unbind(len(lead)) if len(self.bias) > 1 else [out.squeeze(len(lead))]
        px = self.distribution(*params)
        return Independent(px, len(self.space.shape) - len(px.event_shape), validate_args=False)

    def distribution(self, *params: Tensor) -> Distribution:
        """The distribution of each value (or of all together), from `params` tensors `[..., *space.shape]`."""
        raise NotImplementedError

    def bias_at(self, mean: Tensor) -> Tensor:
        """The bias `[params, *space.shape]` under which a silent network has this mean `[*space.shape]`."""
        raise NotImplementedError

    @torch.no_grad()
    def start_from(self, data: Any) -> None:
        """Start training from the data's mean rather than from nowhere (as Burda et al. 2016 do)."""
        self.bias.copy_(self.bias_at(data.mean().to(self.bias)))
