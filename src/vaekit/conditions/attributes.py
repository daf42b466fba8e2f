"""Numbers as conditions."""

from __future__ import annotations

import torch
from torch import Tensor

from vaekit.conditions.condition import Condition
from vaekit.refusal import Refusal


class Attributes(Condition):
    """F numbers of each row, `[B, F]`, used as they are.

    They are the array `condition` of the data (data=arrays).

    Args:
        features: The number F.

    Raises:
        Refusal: If `features` is missing or below 1.

    References:
        Xinchen Yan et al. Attribute2Image: Conditional Image Generation from Visual Attributes. In ECCV 2016.
            https://arxiv.org/abs/1512.00570

    Example:
        >>> import torch
        >>> from vaekit.conditions.attributes import Attributes
        >>> Attributes(features=3)(torch.zeros(5, 3)).shape
        torch.Size([5, 3])
    """

    column = "condition"

    def __init__(self, features: int | None):
        if features is None or features < 1:
            raise Refusal(f"condition.features={features} must be the number of attributes; use condition.features=5.")
        super().__init__((features,), features, torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        return values

    def check(self, values: Tensor) -> None:
        if not torch.isfinite(values).all():
            raise Refusal("Got NaN or infinite attributes, expected finite ones; drop those rows, or use '~condition'.")

    def fix(self, column: Tensor) -> str:
        return f"use condition.features={column.shape[-1]}"
