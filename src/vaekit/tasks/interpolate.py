"""From one example to another, through the latent space."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vaekit.refusal import Refusal
from vaekit.tasks.checks import within
from vaekit.tasks.context import Context
from vaekit.tasks.inputs import read_one


def interpolate(
    context: Context, a: str | Path | None = None, b: str | Path | None = None, n: int = 8, steps: int = 10
) -> Tensor:
    """`steps` decoded points of the latent space's own path from each a to its b: x `[n, steps, *space.shape]`.

    a, b: a file each (an image, or one row in .npy or .npz); else the first n test examples and the n after them.
    Writes interpolations.png, a row each with a on the left and b on the right, and interpolations.npz: a, b, x.
    Raises `Refusal` for one file without the other, files that do not fit, fewer than 2 steps, too few test rows.
    """
    within("task.steps", steps, 2)
    if (a is None) != (b is None):
        raise Refusal("Got one of task.a and task.b, expected both or neither; use task.a=FILE task.b=FILE.")
    if a is not None and b is not None:
        starts, ends = (read_one(file, context.vae.space).to(context.vae.device) for file in (a, b))
    else:
        within("task.n", n, 1, len(context.test.indices) // 2)
        starts, ends = context.examples(slice(n)), context.examples(slice(n, 2 * n))
    at_once = max(1, context.batch_size // steps)
    pairs = zip(starts.split(at_once), ends.split(at_once), strict=True)
    x = torch.cat([context.vae.interpolate(start, end, steps).cpu() for start, end in pairs])
    rows = torch.cat([starts.cpu().unsqueeze(1), x, ends.cpu().unsqueeze(1)], 1)
    context.save("interpolations", rows.flatten(0, 1), columns=steps + 2, a=starts, b=ends, x=x)
    return x
