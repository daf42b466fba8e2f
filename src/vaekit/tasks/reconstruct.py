"""Test examples, through the latent space and back."""

from __future__ import annotations

import torch
from rich.progress import track
from torch import Tensor

from vaekit.media.medium import SHOWN
from vaekit.tasks.checks import within
from vaekit.tasks.context import Context


def reconstruct(context: Context, n: int = 32, levels: int | None = None) -> Tensor:
    """The first n test examples x and their reconstructions `[n, *space.shape]`, the means of p(x | z) at mean z.

    levels: how many latent levels, from the top, look at x; the others are at their prior's mean. None for all.

    Writes reconstructions.png, each original left of its reconstruction, and reconstructions.npz: x, reconstruction.
    Raises `Refusal` unless n is from 1 to the number of test rows, and levels to that of latent levels.
    """
    within("task.n", n, 1, len(context.test.indices))
    starts = track(range(0, n, context.batch_size), "reconstructing")
    parts = (slice(start, min(n, start + context.batch_size)) for start in starts)
    examples = ((context.examples(part), context.condition(part)) for part in parts)
    batches = ({"x": x, "reconstruction": context.vae.reconstruct(x, levels, c)} for x, c in examples)
    arrays = context.stream("reconstructions", n, batches)
    pairs = torch.stack([array[:SHOWN] for array in arrays.values()], 1)
    context.show("reconstructions", pairs.flatten(0, 1), columns=8)
    return arrays["reconstruction"]
