"""What is known of a draw of z and of x: all that an objective or a metric reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.batch import Batch
from vaekit.distributions.kl import closed_form_kl
from vaekit.latents.tower import Step


@dataclass
class Terms:
    """Everything an objective or a metric may read, per example, in nats. K importance samples come first.

    log_px: `[K, B]`. log_pz, log_qz: a `[K, B]` per level. kl: per level `[B]` or `[K, B]`, or None where q and p
    have no closed form. Densities that nobody asks for are not computed.
    weight: how much each draw counts, `[K, B]`, where they are no draws but every value of the top level; else None.
    """

    batch: Batch
    steps: list[Step]
    px: Distribution
    log_px: Tensor
    weight: Tensor | None = None

    def mean(self, x: Tensor) -> Tensor:
        """The mean `[B, ...]` of x `[K, B, ...]` over the draws."""
        if self.weight is None:
            return x.mean(0)
        return (self.weight.reshape(*self.weight.shape, *[1] * (x.dim() - 2)) * x).sum(0)

    @cached_property
    def log_pz(self) -> list[Tensor]:
        return [step.p.log_prob(step.z) for step in self.steps]

    @cached_property
    def log_qz(self) -> list[Tensor]:
        return [posterior(step).log_prob(step.z) for step in self.steps]

    @cached_property
    def kl(self) -> list[Tensor | None]:
        return [closed_form_kl(posterior(step), step.p) for step in self.steps]

    @cached_property
    def log_w(self) -> Tensor:
        """log p(x, z) - log q(z | x), `[K, B]`: the log importance weights."""
        return self.log_px + sum(self.log_pz) - sum(self.log_qz)

    @cached_property
    def score(self) -> Tensor:
        """Zero, `[K, B]`, with the gradient of log q at a fixed z: the score that gradient estimators add or remove.

        For towers of height one; in a taller one, fixing z would stop the path through the levels above as well.
        """
        (step,) = self.steps
        log_q = posterior(step).log_prob(step.z.detach())
        return log_q - log_q.detach()

    @cached_property
    def rates(self) -> list[Tensor]:
        """KL(q || p) per level, `[B]`: in closed form where there is one, else log q - log p at the draws."""
        closed_or_drawn = [
            kl if kl is not None else self.log_qz[level] - self.log_pz[level] for level, kl in enumerate(self.kl)
        ]
        return [self.mean(kl) if kl.dim() == 2 else kl for kl in closed_or_drawn]

    @property
    def rate(self) -> Tensor:
        """Nats per example that the latents carry, `[B]`."""
        return torch.stack(self.rates).sum(0)

    @property
    def distortion(self) -> Tensor:
        """-log p(x | z), `[B]`."""
        return -self.mean(self.log_px)

    @property
    def elbo(self) -> Tensor:
        """-(distortion + rate), `[B]`."""
        return -(self.distortion + self.rate)


def posterior(step: Step) -> Distribution:
    assert step.q is not None, "only draws from the posterior are scored against it"
    return step.q
