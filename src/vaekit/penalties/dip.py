"""The penalty of the DIP-VAE."""

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.refusal import one_of
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class DIP(Penalty):
    """The squared distance of a covariance of latents from the identity: off the diagonal, plus `diagonal` times on it.

    Kumar et al. 2018, equations 6 and 7, estimated over the batch; its noise falls as the batch grows.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss: lambda_od of the paper.
        kind: `i` for the covariance of the posterior means; `ii` adds the mean of the variances, for the covariance of
            z.
        diagonal: lambda_d / lambda_od of the paper.

    Raises:
        Refusal: If `kind` is unknown.

    References:
        Abhishek Kumar, Prasanna Sattigeri, Avinash Balakrishnan. Variational Inference of Disentangled Latent Concepts
            from Unlabeled Observations. In ICLR 2018. https://arxiv.org/abs/1711.00848

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.penalties.dip import DIP
        >>> q = Independent(Normal(torch.zeros(5, 2), 1.0), 1)   # the same for each x: the covariance is 0
        >>> terms = SimpleNamespace(steps=[SimpleNamespace(q=q)])
        >>> DIP(vae=None, diagonal=10.0)(terms, None, epoch=None)
        tensor(20.)
    """

    requires = frozenset({Capability.MEAN, Capability.FACTORISED, Capability.SINGLE_LEVEL})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, kind: str = "i", diagonal: float = 10.0):
        super().__init__(vae, weight)
        one_of(kind=(kind, ("i", "ii")))
        self.kind, self.diagonal = kind, diagonal

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        (step,) = terms.steps
        assert step.q is not None
        covariance = torch.atleast_2d(torch.cov(step.q.mean.flatten(1).T, correction=0))
        if self.kind == "ii":
            covariance = covariance + step.q.variance.flatten(1).mean(0).diag()
        squares = (covariance - torch.eye(len(covariance)).to(covariance)).square()
        return squares.sum() + (self.diagonal - 1) * squares.trace()
