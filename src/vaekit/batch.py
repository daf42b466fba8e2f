"""A batch of rows, as the data pass it to the model."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass
class Batch:
    """A batch of B rows and what is known about each of them.

    Args:
        x: Values `[B, *space.shape]` in the data space.
        label: Integers `[B]`, or `[B, F]` for F factors; -1 where missing.
        mask: As `x`, 1 where a value is observed and 0 where it is missing; None if all are observed.
        condition: What a conditional model needs to know about each row, `[B, ...]`.
        row: Row numbers `[B]` within the training, validation or test part. The exemplar prior needs them to leave a
            row's own component out.

    Example:
        >>> import torch
        >>> from vaekit.batch import Batch
        >>> batch = Batch(torch.zeros(5, 2), label=torch.arange(5))
        >>> [part.label.tolist() for part in batch.split(2)]
        [[0, 1], [2, 3], [4]]
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
        return replace(self, **{k: v.to(device, non_blocking=non_blocking) for k, v in self.tensors().items()})

    def split(self, rows: int) -> list[Batch]:
        """The same batch in parts of at most `rows` rows."""
        columns = {name: tensor.split(rows) for name, tensor in self.tensors().items()}
        return [Batch(**dict(zip(columns, part, strict=True))) for part in zip(*columns.values(), strict=True)]

    def filled(self, values: Tensor) -> Tensor:
        """x with its missing values replaced by `values` `[..., B, *space.shape]`, which get no gradient."""
        return self.x if self.mask is None else torch.where(self.mask.bool(), self.x, values.detach())

    def tensors(self) -> dict[str, Tensor]:
        """The fields that are known, by name."""
        return {field.name: tensor for field in fields(self) if (tensor := getattr(self, field.name)) is not None}
