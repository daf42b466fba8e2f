"""What a trained VAE is worth, as sums over examples that are divided once."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import Metric

from vaekit.spaces import Real
from vaekit.vae import Terms, posterior_mean

ACTIVE = 0.01  # variance of the posterior's mean above which a unit counts as active (Burda et al. 2016, section 5.2)


class Evaluation(Metric):
    """elbo, rate, distortion, rate per level, active units, and nll and bits per dimension where weights are given.

    All in nats per example, averaged over every example of every process: sums are added up and divided once.
    `nll` is the importance-sampled bound of as many samples as `log_w` holds. has_density: False for an autoencoder,
    of which distortion and active units are all there is.
    """

    full_state_update = False
    count: Tensor
    loss: Tensor
    distortion: Tensor
    rates: Tensor
    nll: Tensor

    def __init__(self, space: Real, levels: int, has_density: bool = True):
        super().__init__()
        self.space, self.num_levels, self.has_density = space, levels, has_density
        for name in ("count", "loss", "distortion", "nll"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rates", torch.zeros(levels, dtype=torch.float64), dist_reduce_fx="sum")
        for level in range(levels):
            for moment in ("mean", "square"):
                self.add_state(f"{moment}_{level}", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, terms: Terms, loss: Tensor, log_w: Tensor | None = None) -> None:
        """terms and loss `[B]` of a batch; log_w `[K, B]` are log importance weights."""
        self.count += len(terms.batch)
        self.loss += loss.double().sum()
        self.distortion += terms.distortion.double().sum()
        if self.has_density:
            self.rates += torch.stack(terms.rates).double().sum(1)
        for level, step in enumerate(terms.steps):
            mean = _location(step.q, step.z).double()
            setattr(self, f"mean_{level}", getattr(self, f"mean_{level}") + mean.sum(0))
            setattr(self, f"square_{level}", getattr(self, f"square_{level}") + mean.square().sum(0))
        if log_w is not None:
            self.nll += (math.log(len(log_w)) - log_w.double().logsumexp(0)).sum()

    def compute(self) -> dict[str, float]:
        """The figures by name; `nll` and `bits_per_dim` only if weights were given."""
        distortion, rates = self.distortion / self.count, self.rates / self.count
        figures = {"loss": self.loss / self.count, "distortion": distortion}
        if self.has_density:
            figures |= {"elbo": -(distortion + rates.sum()), "rate": rates.sum()}
        active = 0
        for level in range(self.num_levels):
            mean, square = (getattr(self, f"{moment}_{level}") / self.count for moment in ("mean", "square"))
            active += int((square - mean.square() > ACTIVE).sum())
            if self.num_levels > 1:
                figures[f"rate_{level}"] = rates[level]
        named = {name: float(value) for name, value in figures.items()} | {"active_units": float(active)}
        if self.nll != 0:
            named["nll"] = float(self.nll / self.count)
            if (bits := self.space.bits_per_dim(named["nll"])) is not None:
                named["bits_per_dim"] = float(bits)
        return named


def _location(q: torch.distributions.Distribution | None, z: Tensor) -> Tensor:
    """The posterior's mean `[B, ...]`, or the mean of its draws where it knows none."""
    assert q is not None, "evaluation reads draws from the posterior"
    mean = posterior_mean(q, otherwise=z)
    return mean.mean(0) if mean.dim() == z.dim() else mean
