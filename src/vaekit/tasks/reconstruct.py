"""Reconstructions of test examples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from vaekit.media.album import reconstruction_headings
from vaekit.media.image import write_png
from vaekit.media.medium import SHOWN
from vaekit.tasks.shared.checks import within
from vaekit.tasks.shared.context import Context, Examples, ExamplesFile
from vaekit.tasks.shared.tiles import by_tiles, of_files
from vaekit.track import track


def reconstruct(
    context: Context,
    n: int = 32,
    levels: int | None = None,
    input: ExamplesFile = None,
    overlap: float = 0.25,
) -> Examples | list[Tensor]:
    """Write examples and their reconstructions, the means of p(x | z) at the posterior mean of z.

    Writes reconstructions.png, each original left of its reconstruction, and reconstructions.npz: x, reconstruction,
    and `example`, the numbers of the test examples, or of those of the input, from 0; for image files at their own size
    reconstructions/NAME.png.

    Args:
        context: The run.
        n: Number of test examples.
        levels: Number of latent levels, from the top, that are inferred from x; the others are at the mean of their
            prior. None for all.
        input: In place of test examples, those of a file or folder. A model with latent maps reads image files at their
            own size `[C, H, W]`, by patches of the size of the training images (`vaekit.tasks.shared.tiles`).
        overlap: Fraction of the side of a patch that it has in common with the next; there both are blended.

    Returns:
        x and reconstructions `[n, *space.shape]`; for image files at their own size their reconstructions.

    Raises:
        Refusal: Unless n is from 1 to the number of test rows, and levels from 1 to the number of latent levels; for an
            input that does not fit.
    """
    if input is not None and by_tiles(context, input):
        size = context.vae.space.shape[1:]
        return [write(context, *each) for each in of_files(context, input, context.vae.reconstruct, size, overlap)]
    examples: Iterable[tuple[Tensor, Any]]
    if input is None:
        within("task.n", n, 1, len(context.test.indices))
        numbers = context.sample(n)
        parts = track(numbers.split(context.batch_size), "reconstructing")
        examples = ((context.examples(part), context.condition(part)) for part in parts)
    else:
        names, read = context.read(input)
        n, numbers = len(names), torch.arange(len(names))
        examples = ((batch.x, context.vae.condition_of(batch)) for batch in track(read, "reconstructing"))
    batches = ({"x": x, "reconstruction": context.vae.reconstruct(x, levels, c)} for x, c in examples)
    arrays = context.stream("reconstructions", n, batches, example=numbers)
    pairs = torch.stack([array[:SHOWN] for array in arrays.values()], 1)
    of = "test examples" if levels is None else f"test examples from the top {levels} latent levels"
    context.show("reconstructions", pairs.flatten(0, 1), 8, reconstruction_headings(of))
    return Examples(arrays["reconstruction"])


def write(context: Context, name: str, x: Tensor) -> Tensor:
    """Write an image as reconstructions/NAME.png.

    Args:
        context: The run.
        name: Name of the image.
        x: `[C, H, W]`.

    Returns:
        x.
    """
    file = (context.out / "reconstructions" / name).with_suffix(".png")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_png(file, x.numpy())
    return x
