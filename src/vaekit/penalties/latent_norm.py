"""Codes that stay near the origin."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.terms import Terms
from vaekit.vae import VAE


class LatentNorm(Penalty):
    """|z|^2 / 2, averaged over draws: what bounds the codes of a regularised autoencoder.

    References:
        Partha Ghosh et al. From Variational to Deterministic Autoencoders. In ICLR 2020.
            https://arxiv.org/abs/1903.12436
    """

    requires = frozenset({Capability.RSAMPLE, Capability.EUCLIDEAN})

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        squares = (step.z.flatten(2).square().sum(-1).mean() for step in terms.steps)
        return sum(squares, terms.log_px.new_zeros(())) / 2
