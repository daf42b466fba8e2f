"""The base classes of posteriors of several modalities, with a Gaussian expert for each."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability, Input
from vaekit.distributions.mixture import EvenMixture
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Real


class Experts(Posterior):
    """A Gaussian N(mu_m, diag(sigma_m^2)) over `space` for each modality m of x.

    Args:
        context_shape: (modalities * (F + 1),): the features of each modality, followed by 1 if it is observed, else 0.
        space: The space of z.
        modalities: Number of modalities.
    """

    latent = Real
    inputs = frozenset({Input.MODALITIES})

    def __init__(self, context_shape: tuple[int, ...], space: Real, modalities: int):
        super().__init__()
        self.space, self.modalities = space, modalities
        width = context_shape[0] // modalities - 1
        self.heads = nn.ModuleList(head((width,), space.size, space.size, space.size) for _ in range(modalities))

    def experts(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means and precisions, `[..., modalities, D]`, and 1 for each observed modality, else 0."""
        parts = context.unflatten(-1, (self.modalities, -1))
        outs = [each(part) for each, part in zip(self.heads, parts[..., :-1].unbind(-2), strict=True)]
        loc, log_scale = full_precision(torch.stack(outs, -2)).chunk(2, -1)
        return loc, (-2 * log_scale).exp(), (parts[..., -1] > 0.5).to(loc)


class Mixture(Experts):
    """The even mixture of products of experts, one product for each subset whose modalities are all observed.

    A product of Gaussians is Gaussian: its precision is the sum of their precisions, its mean their precision-weighted
    mean. If nothing is observed, q(z | x) = N(0, I).

    Args:
        context_shape: (modalities * (F + 1),): the features of each modality, followed by 1 if it is observed, else 0.
        space: The space of z.
        modalities: Number of modalities.
        subsets: The modalities of each product, as numbers from 0.

    Example:
        >>> import torch
        >>> from vaekit.posteriors.experts import Mixture
        >>> from vaekit.spaces import Real
        >>> q = Mixture((2 * 9,), Real((3,)), 2, subsets=[(0,), (0, 1)])(torch.zeros(5, 18))  # nothing is observed
        >>> q.mean.unique().item()
        0.0
    """

    gives = frozenset(
        {Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MEAN, Capability.STRATIFIED}
    )
    member: Tensor
    empty: Tensor

    def __init__(self, context_shape: tuple[int, ...], space: Real, modalities: int, subsets: list[tuple[int, ...]]):
        super().__init__(context_shape, space, modalities)
        member = torch.tensor([[float(m in subset) for m in range(modalities)] for subset in [*subsets, ()]])
        self.register_buffer("member", member, persistent=False)
        self.register_buffer("empty", (member.sum(1, keepdim=True) == 0).float(), persistent=False)

    def forward(self, context: Tensor) -> Distribution:
        loc, precision, observed = self.experts(context)

        def add(each: Tensor) -> Tensor:
            """The sums over the experts of each subset: `[..., modalities, D]` -> `[..., subsets, D]`."""
            return (self.member.unsqueeze(-1) * each.unsqueeze(-3)).sum(-2)

        total = add(precision) + self.empty
        lacking = add(1 - observed.unsqueeze(-1)) + self.empty * observed.sum(-1)[..., None, None]
        return EvenMixture(add(precision * loc) / total, total.rsqrt(), lacking.squeeze(-1) == 0)
