"""Metrics of a trained VAE, as sums over examples that are divided once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from vaekit.distributions.coded import Coded
from vaekit.spaces import Space, Text, sentence_mask
from vaekit.terms import Terms, posterior
from vaekit.vae import posterior_mean

ACTIVE = 0.01  # variance of the posterior's mean above which a unit counts as active (Burda et al. 2016, section 5.2)


class Evaluation(Metric):
    """elbo, rate, distortion, rate per level, active units, codebook usage; with importance weights nll and bits per
    dimension.

    All are nats per example, averaged over the examples of all processes. `nll` is the importance-sampled bound with as
    many samples as `log_w` has. Active units (Burda et al. 2016, section 5.2) are counted on levels whose posterior has
    a mean in closed form, so not for a flow. Of discrete levels, `code_usage` is the fraction of atoms that are used,
    and `perplexity` exp(entropy) of their frequencies. For text `token_perplexity` is exp(nll per token), including
    <eos>.

    Args:
        space: The space of x.
        levels: Number of latent levels.
        has_density: False for an autoencoder, which has distortion and active units only.
        atoms: Number of atoms of each level, 0 where it is not discrete.
        classifies: Whether the top level is a class; `accuracy` is then that on labeled rows.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.batch import Batch
        >>> from vaekit.latents.tower import Step
        >>> from vaekit.metrics.evaluation import Evaluation
        >>> from vaekit.spaces import Real
        >>> from vaekit.terms import Terms
        >>> p = Independent(Normal(torch.zeros(2), 1.0), 1)
        >>> step = Step(torch.zeros(1, 3, 2), p.expand([3]), p)
        >>> terms = Terms(Batch(torch.zeros(3, 4)), [step], None, log_px=torch.zeros(1, 3))
        >>> evaluation = Evaluation(Real((4,)), levels=1)
        >>> evaluation.update(terms, loss=torch.ones(3))
        >>> evaluation.compute()["loss"]
        1.0
    """

    full_state_update = False
    count: Tensor
    loss: Tensor
    distortion: Tensor
    rates: Tensor
    nll: Tensor
    right: Tensor
    labeled: Tensor
    tokens: Tensor

    def __init__(
        self,
        space: Space,
        levels: int,
        has_density: bool = True,
        atoms: Sequence[int] = (),
        classifies: bool = False,
    ):
        super().__init__()
        self.classifies = classifies
        self.space, self.num_levels, self.has_density = space, levels, has_density
        for name in ("count", "loss", "distortion", "nll", "right", "labeled", "tokens"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rates", torch.zeros(levels, dtype=torch.float64), dist_reduce_fx="sum")
        for level in range(levels):
            for moment in ("mean", "square"):
                self.add_state(f"{moment}_{level}", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.discrete = [level for level, count in enumerate(atoms) if count]
        for level in self.discrete:
            self.add_state(f"uses_{level}", torch.zeros(atoms[level], dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, terms: Terms, loss: Tensor, log_w: Tensor | None = None) -> None:
        """Add the terms and the loss `[B]` of a batch, and log importance weights `[K, B]` if they were computed."""
        self.count += len(terms.batch)
        self.loss += loss.double().sum()
        self.distortion += terms.distortion.double().sum()
        if self.has_density:
            self.rates += torch.stack(terms.rates).double().sum(1)
        if self.classifies and (label := terms.batch.label) is not None:
            predicted = posterior_mean(posterior(terms.steps[0])).argmax(-1)
            self.right += (predicted == label).double().sum()
            self.labeled += (label >= 0).double().sum()
        for level in range(self.classifies, self.num_levels):
            if (location := _location(terms, level)) is not None:
                mean = location.double()
                setattr(self, f"mean_{level}", getattr(self, f"mean_{level}") + mean.sum(0))
                setattr(self, f"square_{level}", getattr(self, f"square_{level}") + mean.square().sum(0))
        for level in self.discrete:
            step, uses = terms.steps[level], getattr(self, f"uses_{level}")
            assert isinstance(step.p, Coded)
            uses += step.p.index(step.z).flatten().bincount(minlength=len(uses))
        if log_w is not None:
            self.nll += (math.log(len(log_w)) - log_w.double().logsumexp(0)).sum()
            if isinstance(self.space, Text):
                self.tokens += sentence_mask(terms.batch.x).sum()

    def compute(self) -> dict[str, float]:
        """The metrics by name; `nll` and `bits_per_dim` only with importance weights."""
        distortion, rates = self.distortion / self.count, self.rates / self.count
        metrics = {"loss": self.loss / self.count, "distortion": distortion}
        if self.has_density:
            metrics |= {"elbo": -(distortion + rates.sum()), "rate": rates.sum()}
        active = []
        for level in range(self.num_levels):
            mean, square = (getattr(self, f"{moment}_{level}") / self.count for moment in ("mean", "square"))
            if mean.dim():  # had a closed form
                active.append((square - mean.square() > ACTIVE).sum())
            if self.num_levels > 1:
                metrics[f"rate_{level}"] = rates[level]
        if active:
            metrics["active_units"] = sum(active)
        for level in self.discrete:
            uses, which = getattr(self, f"uses_{level}"), f"_{level}" if self.num_levels > 1 else ""
            frequency = uses / uses.sum()
            metrics[f"code_usage{which}"] = (uses > 0).double().mean()
            metrics[f"perplexity{which}"] = torch.special.entr(frequency).sum().exp()
        named = {name: float(value) for name, value in metrics.items()}
        if self.labeled != 0:
            named["accuracy"] = float(self.right / self.labeled)
        if self.nll != 0:
            named["nll"] = float(self.nll / self.count)
            if (bits := self.space.bits_per_dim(named["nll"])) is not None:
                named["bits_per_dim"] = float(bits)
            if self.tokens != 0:
                named["token_perplexity"] = float((self.nll / self.tokens).exp())
        return named


def _location(terms: Terms, level: int) -> Tensor | None:
    """The posterior's mean `[B, ...]`, averaged over draws of the levels above; None without a closed form."""
    step = terms.steps[level]
    mean = posterior_mean(posterior(step), otherwise=step.z)
    if mean is step.z:
        return None
    return terms.mean(mean) if mean.dim() == step.z.dim() else mean
