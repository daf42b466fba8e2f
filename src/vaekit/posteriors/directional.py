"""What the posteriors on the sphere share."""

from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head


class Direction(nn.Module):
    """context `[B, ...]` -> a unit vector `[B, d]` and a concentration `[B]` above 1, where gradients still carry."""

    def __init__(self, context_shape: tuple[int, ...], d: int):
        super().__init__()
        self.head = head(context_shape, d, rest=1)

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor]:
        out = full_precision(self.head(context.flatten(1)))
        return normalize(out[:, :-1], dim=-1), softplus(out[:, -1]) + 1
