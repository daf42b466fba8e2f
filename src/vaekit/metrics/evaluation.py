"""What a trained VAE is worth, as sums over examples that are divided once."""

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
    """elbo, rate, distortion, rate per level, active units, the use of codes, and nll and bits per dimension where
    weights are given.

    All in nats per example, averaged over every example of every process: sums are added up and divided once.
    `nll` is the importance-sampled bound of as many samples as `log_w` holds. has_density: False for an autoencoder,
    of which distortion and active units are all there is. Active units are those of levels whose posterior knows its
    mean (a flow does not), without the class. atoms: of how many each level's positions choose, 0 where
    they are not discrete. Of those, over all positions, `code_usage` is the share that was chosen at all, and
    `perplexity` exp(entropy) of how often each was: `atoms` at most. classifies: whether the top level is a class,
    whose `accuracy` on labelled rows is then among the figures. Of text `token_perplexity` is exp(nll per token), <eos>
    among them.
    """

    full_state_update = False
    count: Tensor
    loss: Tensor
    distortion: Tensor
    rates: Tensor
    nll: Tensor
    right: Tensor
    labelled: Tensor
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
        for name in ("count", "loss", "distortion", "nll", "right", "labelled", "tokens"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rates", torch.zeros(levels, dtype=torch.float64), dist_reduce_fx="sum")
        for level in range(levels):
            for moment in ("mean", "square"):
                self.add_state(f"{moment}_{level}", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.coded = [level for level, count in enumerate(atoms) if count]
        for level in self.coded:
            self.add_state(f"uses_{level}", torch.zeros(atoms[level], dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, terms: Terms, loss: Tensor, log_w: Tensor | None = None) -> None:
        """terms and loss `[B]` of a batch; log_w `[K, B]` are log importance weights."""
        self.count += len(terms.batch)
        self.loss += loss.double().sum()
        self.distortion += terms.distortion.double().sum()
        if self.has_density:
            self.rates += torch.stack(terms.rates).double().sum(1)
        if self.classifies and (label := terms.batch.label) is not None:
            found = posterior_mean(posterior(terms.steps[0])).argmax(-1)
            self.right += (found == label).double().sum()
            self.labelled += (label >= 0).double().sum()
        for level in range(self.classifies, self.num_levels):
            if (location := _location(terms, level)) is not None:
                mean = location.double()
                setattr(self, f"mean_{level}", getattr(self, f"mean_{level}") + mean.sum(0))
                setattr(self, f"square_{level}", getattr(self, f"square_{level}") + mean.square().sum(0))
        for level in self.coded:
            step, uses = terms.steps[level], getattr(self, f"uses_{level}")
            assert isinstance(step.p, Coded)
            uses += step.p.index(step.z).flatten().bincount(minlength=len(uses))
        if log_w is not None:
            self.nll += (math.log(len(log_w)) - log_w.double().logsumexp(0)).sum()
            if isinstance(self.space, Text):
                self.tokens += sentence_mask(terms.batch.x).sum()

    def compute(self) -> dict[str, float]:
        """The figures by name; `nll` and `bits_per_dim` only if weights were given."""
        distortion, rates = self.distortion / self.count, self.rates / self.count
        figures = {"loss": self.loss / self.count, "distortion": distortion}
        if self.has_density:
            figures |= {"elbo": -(distortion + rates.sum()), "rate": rates.sum()}
        active = []
        for level in range(self.num_levels):
            mean, square = (getattr(self, f"{moment}_{level}") / self.count for moment in ("mean", "square"))
            if mean.dim():  # it was known
                active.append((square - mean.square() > ACTIVE).sum())
            if self.num_levels > 1:
                figures[f"rate_{level}"] = rates[level]
        if active:
            figures["active_units"] = sum(active)
        for level in self.coded:
            uses, which = getattr(self, f"uses_{level}"), f"_{level}" if self.num_levels > 1 else ""
            share = uses / uses.sum()
            figures[f"code_usage{which}"] = (uses > 0).double().mean()
            figures[f"perplexity{which}"] = torch.special.entr(share).sum().exp()
        named = {name: float(value) for name, value in figures.items()}
        if self.labelled != 0:
            named["accuracy"] = float(self.right / self.labelled)
        if self.nll != 0:
            named["nll"] = float(self.nll / self.count)
            if (bits := self.space.bits_per_dim(named["nll"])) is not None:
                named["bits_per_dim"] = float(bits)
            if self.tokens != 0:
                named["token_perplexity"] = float((self.nll / self.tokens).exp())
        return named


def _location(terms: Terms, level: int) -> Tensor | None:
    """The posterior's mean `[B, ...]`, over the draws of the levels above; None where it knows none."""
    step = terms.steps[level]
    mean = posterior_mean(posterior(step), otherwise=step.z)
    if mean is step.z:
        return None
    return terms.mean(mean) if mean.dim() == step.z.dim() else mean
