"""The maximum mean discrepancy of latents and prior."""

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty, posterior_draws, prior_draws
from vaekit.refusal import one_of
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # as in the code of the WAE


class MMD(Penalty):
    """MMD(q(z), p(z))^2: the penalty of the WAE (Tolstikhin et al. 2018, algorithm 2) and of the InfoVAE.

    The kernel is summed over seven scales C around 2 D, the mean squared distance of two draws from N(0, I). The
    estimator is unbiased: zero on average where q(z) = p(z), so it may be negative. Its noise falls as the batch grows;
    for a batch of one it is 0.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        kernel: `imq`, C / (C + |a - b|^2), or `rbf`, exp(-|a - b|^2 / C).

    Raises:
        Refusal: If `kernel` is unknown.

    References:
        Ilya Tolstikhin et al. Wasserstein Auto-Encoders. In ICLR 2018. https://arxiv.org/abs/1711.01558
        (kernel=rbf) Shengjia Zhao, Jiaming Song, Stefano Ermon. InfoVAE: Balancing Learning and Inference in
            Variational Autoencoders. In AAAI 2019. https://arxiv.org/abs/1706.02262

    Example:
        >>> import torch
        >>> from vaekit.penalties.mmd import MMD
        >>> near, far = torch.zeros(1, 4, 2), torch.full((1, 4, 2), 100.0)   # [K, B, D]
        >>> mmd = MMD(vae=None)
        >>> bool(mmd.distance(near, far) > mmd.distance(near, near))
        True
    """

    requires = frozenset({Capability.RSAMPLE, Capability.SINGLE_LEVEL})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, kernel: str = "imq"):
        super().__init__(vae, weight)
        one_of(kernel=(kernel, ("imq", "rbf")))
        self.kernel = kernel

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        return self.distance(posterior_draws(terms), prior_draws(terms))

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """The estimate for two sets of draws `[K, B, D]`, averaged over K, `[]`."""
        if a.shape[1] == 1:  # no pair within either set
            return 0 * a.sum()
        within = off_diagonal_mean(self.similarity(a, a)) + off_diagonal_mean(self.similarity(b, b))
        return within - 2 * self.similarity(a, b).mean()

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """The kernel of each pair of two sets of draws `[K, B, D]`, `[K, B, B]`."""
        squares = (a.unsqueeze(2) - b.unsqueeze(1)).square().sum(-1)  # exact and differentiable where a = b
        scales = [2 * a.shape[-1] * scale for scale in SCALES]
        if self.kernel == "rbf":
            return torch.stack([(-squares / scale).exp() for scale in scales]).sum(0)
        return torch.stack([scale / (scale + squares) for scale in scales]).sum(0)


def off_diagonal_mean(k: Tensor) -> Tensor:
    """The mean of square matrices without their diagonals.

    Args:
        k: `[K, B, B]`, with B at least 2.

    Returns:
        `[]`.

    Example:
        >>> import torch
        >>> from vaekit.penalties.mmd import off_diagonal_mean
        >>> off_diagonal_mean(torch.tensor([[[9.0, 1.0], [3.0, 9.0]]]))
        tensor(2.)
    """
    pairs = k.shape[0] * k.shape[1] * (k.shape[1] - 1)
    return (k.sum() - k.diagonal(dim1=1, dim2=2).sum()) / pairs
