"""Images of any size, by patches of the size that the model was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from vaekit.data.npz import holds_arrays
from vaekit.latents.map import Map
from vaekit.media.image import Image as Images
from vaekit.refusal import Refusal
from vaekit.spaces import Image
from vaekit.tasks.shared.context import Context


def windows(length: int, tile: int, overlap: int) -> list[tuple[int, Tensor]]:
    """Windows that cover a line, and the weights that blend them.

    Args:
        length: Number of positions on the line.
        tile: Length of a window.
        overlap: Positions that two neighboring windows have in common; the last two may have more.

    Returns:
        The start of each window and its weights `[tile]`, which rise and fall linearly where windows overlap. The
            weights
        sum to one at every position.

    Example:
        >>> from vaekit.tasks.shared.tiles import windows
        >>> [start for start, _ in windows(10, 4, 1)]
        [0, 3, 6]
    """
    starts = [*range(0, length - tile, tile - overlap), length - tile]
    place = torch.arange(tile) + 0.5
    rising = torch.minimum(place, place.flip(0)).clamp(max=max(overlap, 0.5))
    total = torch.zeros(length)
    for start in starts:
        total[start : start + tile] += rising
    return [(start, rising / total[start : start + tile]) for start in starts]


def tiled(
    x: Tensor,
    call: Callable[[Tensor], Tensor],
    tile: Sequence[int],
    out: Sequence[int],
    overlap: float,
    at_once: int,
) -> Tensor:
    """Apply a function to overlapping patches of an image, and blend the results.

    At the edges the image is padded to whole patches by repetition. Besides x and the result there is one batch of
    patches in memory.

    Args:
        x: `[C, H, W]`.
        call: `[B, C, *tile]` to `[B, D, *out]`.
        tile: Height and width of a patch.
        out: Height and width of its result; the factor f = tile / out is a whole number.
        overlap: Fraction of the side of a patch that it has in common with the next.
        at_once: Patches in a batch.

    Returns:
        `[D, H / f, W / f]`, rounded up.
    """
    by = [whole // part for whole, part in zip(tile, out, strict=True)]
    size = [-(-side // f) for side, f in zip(x.shape[1:], by, strict=True)]  # of the result
    padded = [max(side, part) for side, part in zip(size, out, strict=True)]
    down, right = (side * f - own for side, f, own in zip(padded, by, x.shape[1:], strict=True))
    x = pad(x[None], (0, right, 0, down), mode="replicate")[0]
    axes = (windows(side, part, round(overlap * part)) for side, part in zip(padded, out, strict=True))
    places, result = list(product(*axes)), torch.zeros(0)
    for group in (places[start : start + at_once] for start in range(0, len(places), at_once)):
        corners = [(i * by[0], j * by[1]) for (i, _), (j, _) in group]
        made = call(torch.stack([x[:, i : i + tile[0], j : j + tile[1]] for i, j in corners]))
        if not len(result):
            result = made.new_zeros(made.shape[1], *padded)
        for each, ((i, of_rows), (j, of_columns)) in zip(made, group, strict=True):
            result[:, i : i + out[0], j : j + out[1]] += each * of_rows[:, None] * of_columns
    return result[:, : size[0], : size[1]]


def by_tiles(context: Context, path: str | Path) -> bool:
    """Whether a model reads the images of a file or folder at their own size.

    Args:
        context: The run.
        path: A file or folder.
    """
    files = type(context.vae.space) is Image and not holds_arrays(Path(path))
    return files and isinstance(context.vae.latents, Map)


def of_files(
    context: Context, path: str | Path, call: Callable[[Tensor], Tensor], out: Sequence[int], overlap: float
) -> Iterator[tuple[str, Tensor]]:
    """`tiled` images of a file or folder.

    Args:
        context: The run.
        path: An image file, or a folder.
        call: Applied to batches of patches.
        out: Height and width of a result.
        overlap: Fraction of the side of a patch that it has in common with the next.

    Returns:
        Name and result of each image.

    Raises:
        Refusal: For files that cannot be read.
    """
    space, device = context.vae.space, context.vae.device
    assert isinstance(space, Image)
    if not isinstance(overlap, int | float) or not 0 <= overlap <= 0.5:
        raise Refusal(
            f"Got task.overlap={overlap}, expected a fraction of the side of a patch, 0 to 0.5. Try task.overlap=0.25."
        )
    tile = space.shape[1:]
    if any(whole % part for whole, part in zip(tile, out, strict=True)):
        raise Refusal(
            f"{tile[0]}x{tile[1]} pixels are not a multiple of the latent map, {out[0]}x{out[1]}, so patches cannot be "
            "blended. Train with data.image_size=64, or another size that can be halved as often."
        )
    for name, x in Images(space).whole(path):
        yield name, tiled(x, lambda tiles: call(tiles.to(device)).cpu(), tile, out, overlap, context.batch_size)
