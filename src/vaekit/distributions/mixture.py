"""Even mixtures of Gaussians with reparameterized draws."""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size


class EvenMixture(Distribution):
    """1/C sum_c N(loc_c, diag(scale_c^2)) over the C components that are observed, at least one.

    Draws `[K, B, D]` are stratified (Shi et al. 2019, section 3.1): they take the components in turn, starting from a
    random one. So each draw follows the mixture, and if K is a multiple of C, every component is drawn from equally
    often, by draws c, c + C, c + 2 C, ... .

    Args:
        loc: `[B, components, D]`.
        scale: `[B, components, D]`.
        observed: Which components take part, `[B, components]`, boolean.

    Example:
        >>> import torch
        >>> from vaekit.distributions.mixture import EvenMixture
        >>> loc = torch.tensor([[[0.0], [4.0], [100.0]]])
        >>> EvenMixture(loc, torch.ones_like(loc), torch.tensor([[True, True, False]])).mean
        tensor([[2.]])
    """

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, observed: Tensor):
        self.loc, self.scale, self.observed = loc, scale, observed
        self.count = observed.sum(-1)
        super().__init__(loc.shape[:-2], loc.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        normals = torch.distributions.Normal(self.loc, self.scale, validate_args=False)
        each = normals.log_prob(value.unsqueeze(-2)).sum(-1)
        return each.masked_fill(~self.observed, -torch.inf).logsumexp(-1) - self.count.log()

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        shape = torch.Size(sample_shape)
        first = (torch.rand_like(self.loc[..., 0, 0]) * self.count).long().clamp(max=self.count - 1)
        draws = torch.arange(shape.numel(), device=self.loc.device).reshape(-1, *[1] * len(self.batch_shape))
        order = self.observed.int().sort(dim=-1, descending=True, stable=True).indices  # observed ones first
        chosen = torch.take_along_dim(order.unsqueeze(0), ((first + draws) % self.count).unsqueeze(-1), -1).unsqueeze(
            -1
        )
        loc, scale = (
            torch.take_along_dim(each.unsqueeze(0), chosen, -2).squeeze(-2) for each in (self.loc, self.scale)
        )
        return (loc + scale * torch.randn_like(loc)).reshape(*shape, *self.batch_shape, *self.event_shape)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    @property
    def mean(self) -> Tensor:
        return (self.loc * self.observed.unsqueeze(-1)).sum(-2) / self.count.unsqueeze(-1)

    def tempered(self, temperature: float) -> "EvenMixture":
        """Each component about its own mean."""
        return EvenMixture(self.loc, self.scale * temperature, self.observed)
