"""What a trained VAE is worth, as sums over examples that are divided once."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import Metric

from vaekit.spaces import Real
from vaekit.vae import Terms

ACTIVE = 0.01  # variance of the posterior's mean above which a unit counts as active (Burda et al. 2016, section 5.2)


class Evaluation(Metric):
    """elbo, rate, distortion, rate per level, active units, and nll and bits per dimension where weights are given.

    All in nats per example, averaged over every example of every process: sums are added up and divided once.
    `nll` is the importance-sampled bound of as many samples as `log_w` holds.
    """

    full_state_update = False

    def __init__(self, space: Real, levels: int):
        super().__init__()
        self.space, self.num_levels = space, levels
        for name in ("count", "distortion", "nll", "loss"):
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
        figures = {
            "loss": self.loss / self.count,
            "elbo": -(distortion + rates.sum()),
            "rate": rates.sum(),
            "distortion": distortion,
        }
        active = 0
        for level in range(self.num_levels):
            mean, square = (getattr(self, f"{moment}_{level}") / self.count for moment in ("mean", "square"))
            active += int((square - mean.square() > ACTIVE).sum())
            if self.num_levels > 1:
                figures[f"rate_{level}"] = rates[level]
        figures["active_units"] = active
        if self.nll != 0:
            figures["nll"] = self.nll / self.count
            if (bits := self.space.bits_per_dim(figures["nll"])) is not None:
                figures["bits_per_dim"] = bits
        return {name: float(value) for name, value in figures.items()}


def _location(q: torch.distributions.Distribution, z: Tensor) -> Tensor:
    """The posterior's mean `[B, ...]`, or the mean of its draws where it knows none."""
    try:
        mean = q.mean
    except NotImplementedError:
        mean = z
    return mean.mean(0) if mean.dim() == z.dim() else mean
