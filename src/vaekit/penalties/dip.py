"""The DIP-VAE's penalty."""

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.refusal import one_of
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class DIP(Penalty):
    """How far the codes' covariance is from the identity: the squares off its diagonal, plus `diagonal` times those on
    it.

    Kumar et al. 2018, equations 6 and 7: `weight` is their lambda_od, `diagonal` lambda_d / lambda_od. kind: `i` takes
    the covariance of the posterior's means, `ii` adds the mean of its variances, which makes it the covariance of z.
    Taken over the batch, so that its noise falls as the batch grows.

    References:
        Abhishek Kumar, Prasanna Sattigeri, Avinash Balakrishnan. Variational Inference of Disentangled Latent Concepts
            from Unlabeled Observations. In ICLR 2018. https://arxiv.org/abs/1711.00848
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
