"""Class labels as conditions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vaekit.conditions.condition import Condition
from vaekit.overrides import typed
from vaekit.refusal import Refusal


class Label(Condition):
    """The label of each row, `[B]`, one-hot encoded, `[B, classes]`; of F labels a row, `[B, F]`, the one-hot codes
    side by side.

    Args:
        classes: The number of classes; for F labels a row, a list of F numbers.

    Raises:
        Refusal: If `classes` is missing or a number is below 1.

    References:
        Kihyuk Sohn, Honglak Lee, Xinchen Yan. Learning Structured Output Representation using Deep Conditional
            Generative Models. In NeurIPS 2015. https://papers.nips.cc/paper/5775

    Example:
        >>> import torch
        >>> from vaekit.conditions.label import Label
        >>> Label(classes=[2, 3])(torch.tensor([[1, 0]]))
        tensor([[0., 1., 1., 0., 0.]])
    """

    column = "label"

    def __init__(self, classes: int | Sequence[int] | None):
        if classes is None:
            raise Refusal(
                "How many classes these data have is not known before they are read. Where rows have labels, use "
                "condition.classes=10. Otherwise name the classes: data.label=COLUMN of tables, "
                "'data.pattern=\"([^_]+)_.*\"' of names of sounds, a folder for each class of images, labels=... of "
                "vaekit.fit."
            )
        self.classes = [classes] if isinstance(classes, int) else list(classes)
        if not self.classes or min(self.classes) < 1:
            raise Refusal(f"condition.classes={classes} must be at least 1; use condition.classes=10.")
        shape = () if isinstance(classes, int) else (len(self.classes),)
        super().__init__(shape, sum(self.classes), torch.tensor(0))

    def forward(self, label: Tensor) -> Tensor:
        factors = zip(label.reshape(len(label), -1).unbind(1), self.classes, strict=True)
        one_hot = [factor[:, None] == torch.arange(count, device=label.device) for factor, count in factors]
        return torch.cat(one_hot, 1).float()

    def rows(self, n: int) -> Tensor:
        """Eight labels of each class in turn, up to n."""
        return self.draw(n) if self.shape else torch.arange(n, device=self.training_values.device) // 8 % self.size

    def check(self, values: Tensor) -> None:
        most = torch.tensor(self.classes, device=values.device) - 1
        wrong = ((values < 0) | (values > most)).reshape(-1, len(self.classes))
        if wrong.any():
            row, factor = wrong.nonzero()[0].tolist()
            value, last = int(values.reshape(-1, len(self.classes))[row, factor]), self.classes[factor] - 1
            if value == -1:
                raise Refusal(
                    f"Got the label -1, expected 0 to {last}: -1 is a missing one, which model=m2_vae learns with; use "
                    "that, or drop those rows."
                )
            more = f", or train with condition.classes={value + 1}" if value > last else ""
            raise Refusal(
                f"Got the label {value}, expected 0 to {last}; give one of these, as in task.label={last}{more}."
            )

    def fix(self, column: Tensor) -> str:
        sizes = [int(factor.max()) + 1 for factor in column.reshape(len(column), -1).unbind(1)]
        return f"use {typed('condition.classes', sizes[0] if column.dim() == 1 else sizes)}"
