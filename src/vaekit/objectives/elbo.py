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

    free_bits: nats per level below which the rate of an example costs nothing more (Kingma et al. 2016, equation 15,
    per example rather than per minibatch, so that the loss does not depend on how data falls into batches).
    balance: as long as beta is on its way, weigh the rate of each level by what it carries per dimension, so that none
    is given up early (Vahdat and Kautz 2020, appendix A). num_samples: draws of z per example.

    References:
        Diederik Kingma, Max Welling. Auto-Encoding Variational Bayes. In ICLR 2014. https://arxiv.org/abs/1312.6114
        (beta) Irina Higgins et al. beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework.
            In ICLR 2017. https://openreview.net/forum?id=Sy2fzU9gl
        (free_bits) Diederik Kingma et al. Improving Variational Inference with Inverse Autoregressive Flow. In NeurIPS
            2016. https://arxiv.org/abs/1606.04934
        (balance) Arash Vahdat, Jan Kautz. NVAE: A Deep Hierarchical Variational Autoencoder. In NeurIPS 2020.
            https://arxiv.org/abs/2007.03898
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
            rates = rates * shares(terms, rates.detach())
        return terms.distortion + beta * rates.sum(0)


def shares(terms: Terms, rates: Tensor) -> Tensor:
    """What each level carries per dimension, over the mean of all levels: `[L, 1]`, for rates `[L, B]`."""
    sizes = rates.new_tensor([step.z[0, 0].numel() for step in terms.steps])
    per_dimension = (rates.abs().mean(1) + 0.01) / sizes  # a drawn rate may be negative; none at all costs a little
    return (per_dimension / per_dimension.mean()).unsqueeze(1)
