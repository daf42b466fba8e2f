"""Weight decay of the decoder."""

from torch import Tensor

from vaekit.penalties.penalty import Penalty
from vaekit.terms import Terms
from vaekit.vae import VAE


class DecoderWeights(Penalty):
    """|theta|^2 of the weights of the likelihood's network: the penalty of the RAE-L2.

    References:
        Partha Ghosh et al. From Variational to Deterministic Autoencoders. In ICLR 2020.
            https://arxiv.org/abs/1903.12436

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.penalties.decoder_weights import DecoderWeights
        >>> network = torch.nn.Linear(2, 3)
        >>> network.weight.data.fill_(1.0), network.bias.data.zero_()
        (tensor(...), tensor(...))
        >>> vae = SimpleNamespace(likelihood=SimpleNamespace(network=network))
        >>> DecoderWeights(vae)(SimpleNamespace(log_px=torch.zeros(1, 5)), vae, epoch=None)
        tensor(6., grad_fn=...)
    """

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        weights = vae.likelihood.network.parameters()
        return sum((weight.square().sum() for weight in weights), terms.log_px.new_zeros(()))
