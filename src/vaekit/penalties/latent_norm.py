"""Latents near the origin."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.terms import Terms
from vaekit.vae import VAE


class LatentNorm(Penalty):
    """|z|^2 / 2, averaged over draws: it bounds the latents of a regularized autoencoder.

    References:
        Partha Ghosh et al. From Variational to Deterministic Autoencoders. In ICLR 2020.
            https://arxiv.org/abs/1903.12436

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.batch import Batch
        >>> from vaekit.latents.tower import Step
        >>> from vaekit.penalties.latent_norm import LatentNorm
        >>> from vaekit.terms import Terms
        >>> p = Independent(Normal(torch.zeros(2), 1.0), 1)
        >>> z = torch.ones(1, 8, 2)   # [K, B, D]
        >>> terms = Terms(Batch(z[0]), [Step(z, p.expand([8]), p)], px=None, log_px=torch.zeros(1, 8))
        >>> LatentNorm(vae=None)(terms, None, epoch=None)
        tensor(1.)
    """

    requires = frozenset({Capability.RSAMPLE, Capability.EUCLIDEAN})

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        squares = (step.z.flatten(2).square().sum(-1).mean() for step in terms.steps)
        return sum(squares, terms.log_px.new_zeros(())) / 2
