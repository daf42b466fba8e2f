"""New examples."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.progress import track
from torch import Tensor

from vaekit.tasks.checks import flag, positive, within
from vaekit.tasks.context import Context
from vaekit.tasks.quality import judge


def sample(
    context: Context,
    n: int = 64,
    temperature: float | Sequence[float] = 1.0,
    draw: bool = False,
    quality: bool = False,
    label: int | Sequence[int] | None = None,
) -> Tensor:
    """n new examples x `[n, *space.shape]`: samples.png, of a table samples.csv, and samples.npz.

    temperature multiplies the prior's standard deviation, of every level or one for each, top first. draw: x is drawn
    from p(x | z), as rows of a table always are; without, it is its mean. quality: also judge as many means as there
    are test rows, in the features of a classifier of the training rows: quality.json (`vaekit.tasks.quality.judge`).
    label: of all of them, where the model has labels; None as frequent as in training.
    Raises `Refusal` for n < 1, a label that the model does not know, a temperature that is not above 0, a prior that
    has no standard deviation, or the quality of data without labels.
    """
    within("task.n", n, 1)
    for each in temperature if isinstance(temperature, Sequence) else [temperature]:
        positive("task.temperature", each)
    flag("task.draw", draw)
    flag("task.quality", quality)
    draw = draw or context.medium.drawn
    chunks = track(context.chunks(n), "sampling")
    batches = ({"x": context.vae.sample(chunk, temperature, draw, label)} for chunk in chunks)
    x = context.stream("samples", n, batches)["x"]
    context.show("samples", x, columns=min(16, math.ceil(math.sqrt(n))))
    if quality:
        judge(context, temperature)
    return x
