"""Variants of one example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from vaekit.media.medium import SHOWN
from vaekit.tasks.shared.checks import positive, within
from vaekit.tasks.shared.context import Context, Examples


def vary(
    context: Context,
    input: str | Path | None = None,
    index: int = 0,
    n: int = 15,
    temperature: float = 1.0,
    label: int | Sequence[int] | None = None,
) -> Examples:
    """n variants of one example: x `[n, *space.shape]`, the means of p(x | z) at draws z from the posterior.

    input: a file (an image, or one row in .npy or .npz); else test example number `index`.
    temperature multiplies the posterior's standard deviation: above 1 the variants differ more. label: as which it is
    read and written, where the model has labels; None for the test example's own.
    Writes variants.png, the example first, and variants.npz: original `[1, *space.shape]` and x.
    Raises `Refusal` for n < 1, a temperature that is not above 0, an index without a row, a file that does not fit.
    """
    within("task.n", n, 1)
    positive("task.temperature", temperature)
    if input is None:
        within("task.index", index, 0, len(context.test.indices) - 1)
        original = context.examples(slice(index, index + 1))
        label = context.condition(slice(index, index + 1), label)
    else:
        original = context.read_one(input)
    batches = ({"x": context.vae.vary(original, chunk, temperature, label)[0]} for chunk in context.chunks(n))
    x = context.stream("variants", n, batches, original=original)["x"]
    context.show("variants", torch.cat([original.cpu(), x[:SHOWN]]), columns=min(16, math.ceil(math.sqrt(n + 1))))
    return Examples(x)
