"""The base class of conditions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vaekit.batch import Batch
from vaekit.refusal import Refusal

MAX_VALUES = 1000  # number of distinct values that are kept for `draw`


class Condition(nn.Module):
    """c of p(x | c): maps values of each row, `[B, *shape]`, to a vector each, `[B, size]`, for posterior, prior and
    likelihood.

    A subclass names the `column` of a batch that it reads, `label` or `condition`, and defines `forward` and `fix`. For
    `draw`, the buffer `training_values` holds values of training rows and `training_counts` their frequencies: of all
    distinct values if there are at most `MAX_VALUES`, else of `MAX_VALUES` random rows.

    Args:
        shape: The shape of a row's value.
        size: Length of the vector.
        like: A tensor of the data type of the values.

    Example:
        >>> import torch
        >>> from vaekit.conditions.label import Label
        >>> Label(classes=3)(torch.tensor([0, 2]))
        tensor([[1., 0., 0.],
                [0., 0., 1.]])
    """

    column: str
    training_values: Tensor
    training_counts: Tensor
    missing = False  # whether values may be missing (-1), because the model infers them

    def __init__(self, shape: tuple[int, ...], size: int, like: Tensor):
        super().__init__()
        self.shape, self.size = shape, size
        self.register_buffer("training_values", like.new_zeros(MAX_VALUES, *shape))
        self.register_buffer("training_counts", torch.ones(MAX_VALUES))

    def values_of(self, batch: Batch) -> Tensor:
        """The values of a batch.

        Raises:
            Refusal: If the batch has none, or in evaluation if one is invalid.
        """
        if (values := getattr(batch, self.column)) is None:
            raise Refusal(
                f"This model is conditional on the {self.column} and got rows without it. Use rows that have it: a "
                "table's file with that column, or, in place of task.input, data of the run's kind by data.path=FILE "
                "or data.root=FOLDER (in Python, give condition=7)."
            )
        if not self.training:  # other files may lack some values
            self.check(values)
        return values

    def draw(self, n: int) -> Tensor:
        """n values with the frequencies of the training rows, `[n, *shape]`."""
        return self.training_values[self.training_counts.multinomial(n, replacement=True)]

    def rows(self, n: int) -> Tensor:
        """n values for figures, `[n, *shape]`."""
        return self.draw(n)

    def parse(self, values: Any, n: int) -> Tensor:
        """The values that a caller gives for n rows, one for all of them or one each, as `[n, *shape]`.

        Raises:
            Refusal: If their shape or a value is wrong.
        """
        given = torch.as_tensor(values).to(self.training_values)
        if given.shape not in (self.shape, (1, *self.shape), (n, *self.shape)):
            one = "the numbers of one" if self.shape else f"one, as in task.label={self.training_values[0]}"
            raise Refusal(
                f"Got a condition of shape {list(given.shape)}, expected {self._shapes(n)}; give {one}, for all rows, "
                f"or as many as there are rows, {n}."
            )
        self.check(given)
        return given.expand(n, *self.shape)

    def _shapes(self, n: int) -> str:
        return " or ".join(str(list(shape)) for shape in (self.shape, (n, *self.shape)))

    def check(self, values: Tensor) -> None:
        """Raise `Refusal` if a value is invalid."""

    def start_from(self, data: Any) -> None:
        """Keep values of training rows. Unless values may be missing, those of test rows are checked as well.

        Raises:
            Refusal: If the rows have no such column, or one of another shape or with invalid values.
        """
        rows = data.in_order("train")
        if (column := getattr(rows, self.column)) is None:
            without = "" if self.missing else ", or '~condition' for a model without"
            raise Refusal(f"The training rows have no {self.column} for the condition; use data that have it{without}.")
        if column.shape[1:] != self.shape:
            raise Refusal(
                f"The {self.column} of a row has shape {list(column.shape[1:])}, but condition.* says "
                f"{list(self.shape)}; {self.fix(column)}."
            )
        self.check(column[column != -1] if self.missing else column)
        if not self.missing and (tested := getattr(data.in_order("test"), self.column)) is not None:
            self.check(tested)
        some, all_rows = column[rows.sample(MAX_VALUES, 0).long()], column[rows.indices.long()]
        if self.missing:
            some, all_rows = some[some != -1], all_rows[all_rows != -1]
        repeated = len(some.unique(dim=0)) <= MAX_VALUES // 2
        values, counts = (all_rows if repeated else some).unique(dim=0, return_counts=True)
        if len(values) > MAX_VALUES:
            values, counts = some.unique(dim=0, return_counts=True)
        self.training_counts.zero_()
        self.training_values[: len(values)], self.training_counts[: len(values)] = values, counts.float()

    def fix(self, column: Tensor) -> str:
        """What to type for a column of this shape."""
        raise NotImplementedError
