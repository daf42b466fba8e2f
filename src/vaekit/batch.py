"""What travels from the data to the model."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass
class Batch:
    """One batch. Nothing else travels.

    x: `[B, *space.shape]`, in the data space. label: `[B]`, or `[B, F]` of F factors, integers.
    mask: like `x`, 1 where observed. condition: `[B, ...]`.
    """

    x: Tensor
    label: Tensor | None = None
    mask: Tensor | None = None
    condition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on `device`."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{k: v.to(device, non_blocking=non_blocking) for k, v in tensors.items() if v is not None}
        )
