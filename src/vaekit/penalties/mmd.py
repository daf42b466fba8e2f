"""The maximum mean discrepancy between codes and prior."""

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty, codes, prior_codes
from vaekit.refusal import one_of
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # those of the WAE's published code


class MMD(Penalty):
    """MMD(q(z), p(z))^2: the penalty of the WAE (Tolstikhin et al. 2018, algorithm 2) and of the InfoVAE.

    kernel: `imq`, C / (C + |a - b|^2), or `rbf`, exp(-|a - b|^2 / C), summed over seven scales C about 2 D, which is
    the mean squared distance of two draws from N(0, I). The unbiased estimator, which is zero in mean where q(z) is
    p(z), and so may be negative; its noise falls as the batch grows, and a batch of one says nothing.

    References:
        Ilya Tolstikhin et al. Wasserstein Auto-Encoders. In ICLR 2018. https://arxiv.org/abs/1711.01558
        (kernel=rbf) Shengjia Zhao, Jiaming Song, Stefano Ermon. InfoVAE: Balancing Learning and Inference in
            Variational Autoencoders. In AAAI 2019. https://arxiv.org/abs/1706.02262
    """

    requires = frozenset({Capability.RSAMPLE, Capability.SINGLE_LEVEL})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, kernel: str = "imq"):
        super().__init__(vae, weight)
        one_of(kernel=(kernel, ("imq", "rbf")))
        self.kernel = kernel

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        return self.distance(codes(terms), prior_codes(terms))

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """The estimate for two sets of draws `[K, B, D]`, averaged over K."""
        if a.shape[1] == 1:  # no pair within either set
            return 0 * a.sum()
        within = off_diagonal_mean(self.similarity(a, a)) + off_diagonal_mean(self.similarity(b, b))
        return within - 2 * self.similarity(a, b).mean()

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        squares = (a.unsqueeze(2) - b.unsqueeze(1)).square().sum(-1)  # exact and differentiable where a = b
        scales = [2 * a.shape[-1] * scale for scale in SCALES]
        if self.kernel == "rbf":
            return torch.stack([(-squares / scale).exp() for scale in scales]).sum(0)
        return torch.stack([scale / (scale + squares) for scale in scales]).sum(0)


def off_diagonal_mean(k: Tensor) -> Tensor:
    """The mean of `[K, B, B]` without the diagonals."""
    pairs = k.shape[0] * k.shape[1] * (k.shape[1] - 1)
    return (k.sum() - k.diagonal(dim1=1, dim2=2).sum()) / pairs
