"""New examples."""

from __future__ import annotations

import math

import torch
from rich.progress import track
from torch import Tensor

from vaekit.refusal import Refusal
from vaekit.tasks.checks import positive, within
from vaekit.tasks.context import Context


def sample(context: Context, n: int = 64, temperature: float = 1.0, draw: bool = False) -> Tensor:
    """n new examples x `[n, *space.shape]`: samples.png and samples.npz.

    temperature multiplies the prior's standard deviation. draw: x is drawn from p(x | z); without, it is its mean.
    Raises `Refusal` for n < 1, a temperature that is not above 0, or a prior that has no standard deviation.
    """
    within("task.n", n, 1)
    positive("task.temperature", temperature)
    if not isinstance(draw, bool):
        raise Refusal(f"Got task.draw={draw}, expected true or false; use task.draw=true.")
    chunks = track(context.chunks(n), "sampling")
    x = torch.cat([context.vae.sample(chunk, temperature, draw).cpu() for chunk in chunks])
    context.save("samples", x, columns=min(16, math.ceil(math.sqrt(n))), x=x)
    return x
