"""Interpolations between examples in the latent space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.media.album import interpolation_headings
from vaekit.media.figures import save_animation
from vaekit.media.medium import SHOWN
from vaekit.refusal import Refusal
from vaekit.spaces import Image
from vaekit.tasks.shared.checks import within
from vaekit.tasks.shared.context import Context, Examples, ExamplesFile


def interpolate(
    context: Context,
    a: ExamplesFile = None,
    b: ExamplesFile = None,
    n: int = 8,
    steps: int = 10,
    label: int | Sequence[int] | None = None,
) -> Examples:
    """Write decoded points of latent paths between pairs of examples.

    The path is that of the latent space, e.g. a straight line or a geodesic. Writes interpolations.png, in each row a
    on the left and b on the right; for images interpolations.gif, all pairs at once, forwards and backwards; and
    interpolations.npz: a, b, x.

    Args:
        context: The run.
        a: A file with the first example (an image, or one row in .npy or .npz); None for test examples.
        b: A file with the last example; None for test examples.
        n: Number of pairs of test examples.
        steps: Points of each path.
        label: Of all points, for a model with labels; None for that of a.

    Returns:
        x `[n, steps, *space.shape]`.

    Raises:
        Refusal: For one file without the other, files that do not fit, fewer than 2 steps, and too few test rows.
    """
    within("task.steps", steps, 2)
    if (a is None) != (b is None):
        raise Refusal("Got one of task.a and task.b, expected both or neither; use task.a=FILE task.b=FILE.")
    pairs: Iterable[tuple[Tensor, Tensor, Any]]
    if a is not None and b is not None:
        start, end = (context.read_one(file) for file in (a, b))
        n, pairs = 1, [(start, end, label)]
    elif len(context.test.indices) < 2:
        raise Refusal("Got one test row, expected two to interpolate between; use task.a=FILE task.b=FILE.")
    else:
        within("task.n", n, 1, len(context.test.indices) // 2)
        at_once = max(1, context.batch_size // steps)
        starts, ends = (part.split(at_once) for part in context.sample(2 * n).split(n))
        pairs = (
            (context.examples(i), context.examples(j), context.condition(i, label))
            for i, j in zip(starts, ends, strict=True)
        )
    batches = ({"a": a, "b": b, "x": context.vae.interpolate(a, b, steps, c)} for a, b, c in pairs)
    arrays = context.stream("interpolations", n, batches)
    a_shown, b_shown, x = (array[:SHOWN] for array in arrays.values())
    rows = torch.cat([a_shown.unsqueeze(1), x, b_shown.unsqueeze(1)], 1)
    of = "test examples a and b" if a is None or b is None else "examples a and b"
    if a is not None and b is not None and Path(a).name != Path(b).name:  # rows in memory have no names of their own
        of = f"{Path(a).name} (a) and {Path(b).name} (b)"
    context.show("interpolations", rows.flatten(0, 1), steps + 2, interpolation_headings(of, steps, ends=True))
    if isinstance(context.vae.space, Image):
        save_animation(context.out / "interpolations.gif", x, context.vae.space)
    return Examples(arrays["x"])
