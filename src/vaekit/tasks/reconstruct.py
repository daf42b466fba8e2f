"""Test examples, through the latent space and back."""

from __future__ import annotations

import torch
from rich.progress import track
from torch import Tensor

from vaekit.tasks.checks import within
from vaekit.tasks.context import Context


def reconstruct(context: Context, n: int = 32) -> Tensor:
    """The first n test examples x and their reconstructions `[n, *space.shape]`, the means of p(x | z) at mean z.

    Writes reconstructions.png, each original left of its reconstruction, and reconstructions.npz: x, reconstruction.
    Raises `Refusal` unless n is from 1 to the number of test rows.
    """
    within("task.n", n, 1, len(context.test.indices))
    x, reconstruction = [], []
    for start in track(range(0, n, context.batch_size), "reconstructing"):
        batch = context.examples(slice(start, min(n, start + context.batch_size)))
        x.append(batch.cpu())
        reconstruction.append(context.vae.reconstruct(batch).cpu())
    originals, reconstructions = torch.cat(x), torch.cat(reconstruction)
    pairs = torch.stack([originals, reconstructions], 1).flatten(0, 1)
    context.save("reconstructions", pairs, columns=8, x=originals, reconstruction=reconstructions)
    return reconstructions
