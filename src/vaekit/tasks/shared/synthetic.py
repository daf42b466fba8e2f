"""Synthetic rows: states of the decoder from the prior, the posterior or a mixture, and rows drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from sklearn.mixture import GaussianMixture
from torch import Tensor

from vaekit.batch import Batch
from vaekit.latents import tower
from vaekit.latents.tower import Step, descend
from vaekit.spaces import Space
from vaekit.spaces import Table as TableSpace
from vaekit.tasks.shared.classifier import class_of, real_rows
from vaekit.tasks.shared.context import Context
from vaekit.track import track

MOST = 100_000  # training rows that mixtures are fitted to
FULL = 256  # largest number of latent dimensions for mixtures with full covariances
VALUES = 2**26  # largest number of values of rows that are compared at once

Draw = Callable[[int], tuple[Tensor, Tensor | None]]
"""n -> the state that the likelihood reads, and labels `[n]`."""


def prior(context: Context, label: Any = None, temperature: float | Sequence[float] = 1.0) -> Draw:
    """A function that draws states of the decoder from p(z), with labels.

    Args:
        context: The run.
        label: Of all rows, for a model with labels; None for random ones.
        temperature: Multiplies the standard deviation, of all levels or of each, top first.

    Raises:
        Refusal: For a label of a model without labels.
    """
    vae = context.vae
    if vae.condition is None:
        vae.parse_condition(label, 1)  # refuses a wrong label before drawing

    def draw(n: int) -> tuple[Tensor, Tensor | None]:
        given = vae.parse_condition(label, n)
        if given is None and vae.condition is not None and not vae.latents.infers:
            given = vae.condition.draw(n)
        drawn = vae.generate(n, temperature, given)
        if vae.condition is None or vae.condition.column != "label":
            return drawn.state, None
        return drawn.state, (drawn.steps[0].z.argmax(1) if given is None else class_of(given)).cpu()

    return draw


def posterior(context: Context) -> Draw:
    """A function that draws states of the decoder from q(z | x) of random training rows, with their labels.

    Args:
        context: The run.
    """
    rows, label = context.data.in_order("train"), real_rows(context, "train").label

    def draw(n: int) -> tuple[Tensor, Tensor | None]:
        picked = torch.randint(len(rows.indices), (n,))
        drawn = infer(context, rows.gather(rows.indices[picked]))
        return drawn.state[0], None if label is None else label[picked]

    return draw


def mixture(context: Context, components: int) -> Draw:
    """A function that draws states of the decoder from a mixture of Gaussians for each class, with labels.

    The mixture is over the top level; lower levels are drawn from their prior given the levels above.

    Args:
        context: The run.
        components: Number of Gaussians of each class.
    """
    rows, levels = context.data.in_order("train"), context.vae.latents.levels
    rows.indices = rows.indices[torch.randperm(len(rows.indices))[:MOST]]
    assert rows.label is not None
    label = class_of(rows.label[rows.indices])
    latents = torch.cat([infer(context, batch).steps[0].z[0].cpu() for batch in track(rows, "encoding")])
    flat, random = latents.flatten(1).double(), np.random.RandomState(int(torch.randint(2**31, ())))
    mixtures = {}
    for value in track(label.unique().tolist(), "fitting mixtures"):
        z = flat[label == value].numpy()  # in double precision: in single, covariances are not symmetric
        z = np.resize(z, (max(2, len(z)), z.shape[1]))  # a single row has no covariance
        count = max(1, min(components, len(z) // (2 * z.shape[1])))
        kind = "full" if z.shape[1] <= FULL else "diag"
        mixtures[value] = GaussianMixture(count, covariance_type=kind, reg_covar=1e-4, random_state=random).fit(z)

    def draw(n: int) -> tuple[Tensor, Tensor | None]:
        picked = label[torch.randint(len(label), (n,))]
        drawn = torch.empty(n, flat.shape[1])
        for value, count in zip(*picked.unique(return_counts=True), strict=True):
            drawn[picked == value] = torch.from_numpy(mixtures[int(value)].sample(int(count))[0]).float()
        top = drawn.reshape(n, *latents.shape[1:]).to(context.vae.device)
        return descend(levels, lambda _, state, p: Step(top if state is None else p.sample(), None, p)).state, picked

    return draw


@torch.no_grad()
def infer(context: Context, batch: Batch) -> tower.Draw:
    """A draw from q(z | x) for each row.

    Args:
        context: The run.
        batch: Raw rows.
    """
    batch = context.ready(batch)
    return context.vae.infer(context.vae.encoder(batch.x), condition=context.vae.condition_of(batch))


# Rows -----------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def write_rows(context: Context, path: Path, n: int, draw_z: Draw, draw: bool) -> tuple[np.memmap, Tensor | None]:
    """Write rows into a memory-mapped file.

    Args:
        context: The run.
        path: The .npy file.
        n: Number of rows.
        draw_z: Draws states of the decoder, with labels.
        draw: Whether x is drawn from p(x | z), rather than its mean.

    Returns:
        x `[n, *space.shape]`, mapped, and labels `[n]` or None.
    """
    vae, shape = context.vae, (n, *context.vae.space.shape)
    x, labels, row = None, [], 0
    for count in track(context.chunks(n), "synthesizing"):
        state, label = draw_z(count)
        px = vae.likelihood(state)
        raw = to_raw(px.sample() if draw else px.mean, vae.space, context.data.source.space).cpu().numpy()
        x = open_memmap(path, "w+", raw.dtype, shape) if x is None else x
        x[row : row + count] = raw
        row += count
        labels += [] if label is None else [label]
    assert x is not None
    x.flush()
    return x, torch.cat(labels) if labels else None


def to_raw(x: Tensor, space: Space, raw: Space) -> Tensor:
    """x in the form of raw rows: floats, bool for 2 gray levels, uint8 up to 255 for more.

    Args:
        x: `[n, *space.shape]`.
        space: Space of x.
        raw: Space of the raw rows.

    Example:
        >>> import torch
        >>> from vaekit.spaces import Image
        >>> from vaekit.tasks.shared.synthetic import to_raw
        >>> to_raw(torch.tensor([0.0, 0.5, 1.0]), Image((1, 1, 3)), Image((1, 1, 3)))
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    if isinstance(raw, TableSpace):
        return raw.clear_missing(x.float())
    if raw.bins is None:
        return x.float()
    most = raw.bins - 1
    level = (x * raw.bins).floor().clamp(0, most) if space.dequantized else (x * most).round()
    return level > 0 if most == 1 else (level * (255 / most)).round().byte()
