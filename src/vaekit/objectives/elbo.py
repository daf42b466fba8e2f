"""The evidence lower bound."""

import torch
from torch import Tensor

from vaekit.objectives.weights import refuse_below_one
from vaekit.schedules.schedule import Schedule, at, refuse_below
from vaekit.vae import Terms


class ELBO:
    """distortion + beta * rate (Kingma and Welling 2014, equation 3; beta: Higgins et al. 2017).

    free_bits: nats per level below which the rate of an example costs nothing more (Kingma et al. 2016, equation 15,
    per example rather than per minibatch, so that the loss does not depend on how data falls into batches).
    num_samples: draws of z per example.

    Cite: Diederik Kingma, Max Welling. Auto-Encoding Variational Bayes. In ICLR 2014. https://arxiv.org/abs/1312.6114
    Cite (beta): Irina Higgins et al. beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework.
        In ICLR 2017. https://openreview.net/forum?id=Sy2fzU9gl
    Cite (free_bits): Diederik Kingma et al. Improving Variational Inference with Inverse Autoregressive Flow. In
        NeurIPS 2016. https://arxiv.org/abs/1606.04934
    """

    needs = frozenset({"rsample", "log_prob"})

    def __init__(self, beta: float | Schedule = 1.0, free_bits: float | Schedule = 0.0, num_samples: int = 1):
        refuse_below_one(num_samples=num_samples)
        refuse_below(0.0, objective__beta=beta, objective__free_bits=free_bits)
        self.beta, self.free_bits, self.num_samples = beta, free_bits, num_samples

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        rates = torch.stack(terms.rates)
        if free_bits := at(self.free_bits, epoch):
            rates = rates.clamp_min(free_bits)
        return terms.distortion + at(self.beta, epoch) * rates.sum(0)
