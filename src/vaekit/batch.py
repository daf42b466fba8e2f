"""What travels from the data to the model."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass
class Batch:
    """One batch. Nothing else travels.

    x: `[B, *space.shape]`, in the data space. label: `[B]`, or `[B, F]` of F factors, integers, -1 where missing.
    mask: like `x`, 1 where observed. condition: `[B, ...]`. row: `[B]`, the numbers of the rows in the file of their
    part, by which a prior of training rows knows them.
    """

    x: Tensor
    label: Tensor | None = None
    mask: Tensor | None = None
    condition: Tensor | None = None
    row: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on `device`."""
        return replace(self, **{k: v.to(device, non_blocking=non_blocking) for k, v in self._tensors().items()})

    def split(self, rows: int) -> list[Batch]:
        """The same batch in parts of at most `rows` rows."""
        columns = {name: tensor.split(rows) for name, tensor in self._tensors().items()}
        return [Batch(**dict(zip(columns, part, strict=True))) for part in zip(*columns.values(), strict=True)]

    def filled(self, made: Tensor) -> Tensor:
        """x; where values are missing, with those `made`, `[..., B, ...]`, in their place, which give no gradient."""
        return self.x if self.mask is None else torch.where(self.mask.bool(), self.x, made.detach())

    def _tensors(self) -> dict[str, Tensor]:
        return {field.name: tensor for field in fields(self) if (tensor := getattr(self, field.name)) is not None}
