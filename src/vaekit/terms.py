"""The terms of the ELBO for draws of z: all that objectives and metrics read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.batch import Batch
from vaekit.distributions.fitting import Fitted
from vaekit.distributions.kl import closed_form_kl
from vaekit.latents.tower import Step


@dataclass
class Terms:
    """Log densities of draws of z for each example, in nats; K importance samples come first, `[K, B]`.

    Densities are computed on first use. `log_pz` and `log_qz` have a `[K, B]` for each level; `kl` has for each level
    `[B]`, `[K, B]`, or None where there is no closed form.

    Args:
        batch: The rows x.
        steps: Draw, posterior and prior of each latent level, top first.
        px: p(x | z).
        log_px: log p(x | z), `[K, B]`.
        weight: The weight of each draw, `[K, B]`, if these are not draws but every value of the top level; else None.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.batch import Batch
        >>> from vaekit.latents.tower import Step
        >>> from vaekit.terms import Terms
        >>> p = Independent(Normal(torch.zeros(2), 1.0), 1)
        >>> q = Independent(Normal(torch.ones(3, 2), 1.0), 1)
        >>> steps = [Step(q.sample((5,)), q, p)]
        >>> terms = Terms(Batch(torch.zeros(3, 4)), steps, px=None, log_px=torch.full((5, 3), -90.0))
        >>> terms.rate, terms.elbo
        (tensor([1., 1., 1.]), tensor([-91., -91., -91.]))
    """

    batch: Batch
    steps: list[Step]
    px: Distribution
    log_px: Tensor
    weight: Tensor | None = None

    def mean(self, x: Tensor) -> Tensor:
        """The mean `[B, ...]` of x `[K, B, ...]` over draws."""
        if self.weight is None:
            return x.mean(0)
        return (self.weight.reshape(*self.weight.shape, *[1] * (x.dim() - 2)) * x).sum(0)

    @cached_property
    def log_pz(self) -> list[Tensor]:
        return [step.p.log_prob(step.z) for step in self.steps]

    @cached_property
    def _bound_of_log_pz(self) -> list[Tensor]:
        return [
            step.p.lower_bound(step.z) if isinstance(step.p, Fitted) else self.log_pz[level]
            for level, step in enumerate(self.steps)
        ]

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
        """Zero, `[K, B]`, with the gradient of log q at fixed z: the score, which gradient estimators add or remove.

        For one latent level. With several, fixing z would also stop the gradient through the levels above.
        """
        (step,) = self.steps
        log_q = posterior(step).log_prob(step.z.detach())
        return log_q - log_q.detach()

    @cached_property
    def rates(self) -> list[Tensor]:
        """KL(q || p) of each level, `[B]`: in closed form where there is one, else log q - log p at the draws.

        A prior whose density is costly gives a lower bound on log p, so that the rate is an upper bound.
        """
        closed_or_drawn = [
            kl if kl is not None else self.log_qz[level] - self._bound_of_log_pz[level]
            for level, kl in enumerate(self.kl)
        ]
        return [self.mean(kl) if kl.dim() == 2 else kl for kl in closed_or_drawn]

    @property
    def rate(self) -> Tensor:
        """The sum of `rates`, `[B]`."""
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
    """The posterior of a step; a step without one was not drawn from a posterior, which is an error.

    Args:
        step: A step of a draw.
    """
    assert step.q is not None, "only draws from the posterior are scored against it"
    return step.q
