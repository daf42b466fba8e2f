"""A smooth decoder, by its weights."""

from torch import Tensor

from vaekit.penalties.penalty import Penalty
from vaekit.terms import Terms
from vaekit.vae import VAE


class DecoderWeights(Penalty):
    """|theta|^2 of the likelihood's network: the RAE-L2's.

    References:
        Partha Ghosh et al. From Variational to Deterministic Autoencoders. In ICLR 2020.
            https://arxiv.org/abs/1903.12436
    """

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        weights = vae.likelihood.network.parameters()
        return sum((weight.square().sum() for weight in weights), terms.log_px.new_zeros(()))
