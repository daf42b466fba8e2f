"""The base class of objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.terms import Terms


class Objective:
    """The loss of each example, computed from the `Terms` of `num_samples` draws of z.

    A subclass declares `requires`, what it requires of posterior, prior and latents, and `num_samples`; None stands for
    every value of the top level once.

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.objectives.elbo import ELBO
        >>> terms = SimpleNamespace(distortion=torch.tensor([90.0]), rates=[torch.tensor([5.0])])   # [B], nats
        >>> ELBO()(terms, epoch=None)
        tensor([95.])
    """

    requires: frozenset[Capability]
    num_samples: int | None = 1

    @classmethod
    def requires_with(cls, settings: Mapping[str, Any]) -> frozenset[Capability]:
        """What the objective requires if it is built with these settings."""
        return cls.requires

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`; `epoch` is the time for schedules, None for their final values."""
        raise NotImplementedError
