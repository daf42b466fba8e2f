"""What all objectives share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.terms import Terms


class Objective:
    """The loss of each example, of the `Terms` of `num_samples` draws; None for every value of the top level once.

    requires: of posterior, prior and latents.
    """

    requires: frozenset[Capability]
    num_samples: int | None = 1

    @classmethod
    def requires_with(cls, settings: Mapping[str, Any]) -> frozenset[Capability]:
        """What it requires when it is built with these settings."""
        return cls.requires

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`. epoch: time since the start, for schedules; None for their end."""
        raise NotImplementedError
