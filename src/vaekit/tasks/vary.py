"""Variants of an example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from vaekit.media.figures import Headings
from vaekit.media.medium import SHOWN
from vaekit.tasks.shared.checks import positive, within
from vaekit.tasks.shared.context import Context, Examples, ExamplesFile


def vary(
    context: Context,
    input: ExamplesFile = None,
    index: int = 0,
    n: int = 15,
    temperature: float = 1.0,
    label: int | Sequence[int] | None = None,
) -> Examples:
    """Write variants of one example: the means of p(x | z) at draws z from the posterior.

    Writes variants.png, the example first, and variants.npz: original `[1, *space.shape]` and x.

    Args:
        context: The run.
        input: A file with the example (an image, or one row in .npy or .npz); None for a test example.
        index: Number of the test example, from 0.
        n: Number of variants.
        temperature: Multiplies the standard deviation of the posterior: above 1 the variants differ more.
        label: Of the example and its variants, for a model with labels; None for that of the test example.

    Returns:
        x `[n, *space.shape]`.

    Raises:
        Refusal: For n < 1, a temperature that is not above 0, an index without a row, and a file that does not fit.
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
    shown = torch.cat([original.cpu(), x[:SHOWN]])
    cells = ["original", *(f"variant {number}" for number in range(1, len(shown)))]
    title = f"Variants of {f'test example {index}' if input is None else Path(input).name}, temperature {temperature:g}"
    context.show("variants", shown, min(16, math.ceil(math.sqrt(n + 1))), Headings(title, cells=cells))
    return Examples(x)
