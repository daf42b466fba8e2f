"""The evidence lower bound."""

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.objectives.objective import Objective
from vaekit.refusal import at_least_one
from vaekit.schedules.schedule import Schedule, at, refuse_below
from vaekit.terms import Terms


class ELBO(Objective):
    """distortion + beta * rate (Kingma and Welling 2014, equation 3; beta: Higgins et al. 2017).

    Args:
        beta: Weight of the rate; 1 for the evidence lower bound.
        free_bits: Nats a level below which the rate of an example costs nothing more (Kingma et al. 2016, equation 15,
            for each example rather than each minibatch, so that the loss does not depend on how examples are batched).
        balance: While beta changes, weight the rate of each level by its nats per dimension, so that no level collapses
            early (Vahdat and Kautz 2020, appendix A).
        num_samples: Number of draws of z for each example.

    Raises:
        Refusal: If `num_samples` is below 1, or the final `beta` or `free_bits` below 0.

    References:
        Diederik Kingma, Max Welling. Auto-Encoding Variational Bayes. In ICLR 2014. https://arxiv.org/abs/1312.6114
        (beta) Irina Higgins et al. beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework.
            In ICLR 2017. https://openreview.net/forum?id=Sy2fzU9gl
        (free_bits) Diederik Kingma et al. Improving Variational Inference with Inverse Autoregressive Flow. In NeurIPS
            2016. https://arxiv.org/abs/1606.04934
        (balance) Arash Vahdat, Jan Kautz. NVAE: A Deep Hierarchical Variational Autoencoder. In NeurIPS 2020.
            https://arxiv.org/abs/2007.03898

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.objectives.elbo import ELBO
        >>> terms = SimpleNamespace(distortion=torch.tensor([90.0]), rates=[torch.tensor([5.0])])   # [B], nats
        >>> ELBO(beta=4.0)(terms, epoch=None)
        tensor([110.])
    """

    requires = frozenset({Capability.RSAMPLE, Capability.LOG_PROB})

    def __init__(
        self,
        beta: float | Schedule = 1.0,
        free_bits: float | Schedule = 0.0,
        balance: bool = False,
        num_samples: int = 1,
    ):
        at_least_one(num_samples=(num_samples, 10))
        refuse_below(0.0, objective__beta=beta, objective__free_bits=free_bits)
        self.beta, self.free_bits, self.balance, self.num_samples = beta, free_bits, balance, num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        rates = torch.stack(terms.rates)
        if free_bits := at(self.free_bits, epoch):
            rates = rates.clamp_min(free_bits)
        beta = at(self.beta, epoch)
        if self.balance and beta != at(self.beta, None):
            rates = rates * balance_weights(terms, rates.detach())
        return terms.distortion + beta * rates.sum(0)


def balance_weights(terms: Terms, rates: Tensor) -> Tensor:
    """The nats per dimension of each level, relative to the mean over levels.

    Args:
        terms: The terms, of which the shapes of z are read.
        rates: Rates of the L levels, `[L, B]`, nats. Estimates may be negative.

    Returns:
        `[L, 1]`, positive, with mean 1.
    """
    sizes = rates.new_tensor([step.z[0, 0].numel() for step in terms.steps])
    per_dimension = (rates.abs().mean(1) + 0.01) / sizes  # a rate of 0 keeps a small weight
    return (per_dimension / per_dimension.mean()).unsqueeze(1)
