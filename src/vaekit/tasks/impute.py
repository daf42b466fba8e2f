"""Imputation of missing values."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vaekit import run_files
from vaekit.batch import Batch
from vaekit.capabilities import Capability
from vaekit.data.module import Part
from vaekit.media.medium import Imputed, medium
from vaekit.refusal import Refusal
from vaekit.spaces import Maps, Pairs, Space
from vaekit.tasks.shared import imputers
from vaekit.tasks.shared.checks import one_of, within
from vaekit.tasks.shared.context import Context, ExamplesFile
from vaekit.tasks.shared.imputation import Imputation, IncompleteRows, gibbs, importance_weighted, train_on_missing
from vaekit.tasks.shared.requires import requires
from vaekit.track import track
from vaekit.vae import VAE


@requires(Capability.PARTIAL)
def impute(
    context: Context,
    method: str = "miwae",
    hole: str | None = None,
    fraction: float = 0.5,
    input: ExamplesFile = None,
    mask: ExamplesFile = None,
    n: int | None = None,
    num_samples: int = 1000,
    draws: int = 5,
    steps: int = 100,
    updates: int = 1000,
) -> Imputation:
    """Write means and multiple imputations of missing values, given the observed ones.

    The encoder reads the training mean in place of missing values, or 0 if the training rows have missing values.
    Writes imputed.npy (rows with means), imputed.npz (mean, draws, observed) and imputed.png; for a table imputed.csv
    (means in the units of the file) and draw_1.csv, ... instead, in which observed cells of the input are kept. If
    values were hidden, also metrics.json: their RMSE and nll in nats for each value, or cell of a table, in the numbers
    of the model, and those of the imputers of scikit-learn.

    Args:
        context: The run.
        method: `miwae`, by num_samples importance-weighted draws of z, or `gibbs`, by `steps` of pseudo-Gibbs sampling;
            see `vaekit.tasks.shared.imputation`.
        hole: Values that are hidden, to be scored: `half` (the lower half of an image, the last half of a vector),
            `box` (a rectangle in an image), `random` (each value separately), `none` (only values that are missing
            already). None: none for an input, random for test rows.
        fraction: Of the values that box and random hide.
        input: Rows in .npy or .npz with NaN for missing values, an image, a folder of images, or a .csv or .parquet
            file of a table. None for test rows.
        mask: An image or an array of one row, 0 (black) where every row of the input is missing.
        n: Number of test rows; None for 256, or all if there are fewer.
        num_samples: Draws of z for miwae.
        draws: Number of multiple imputations.
        steps: Steps for gibbs.
        updates: Steps in which the encoder is trained for such missing values
            (`vaekit.tasks.shared.imputation.train_on_missing`); 0 to leave it unchanged.

    Returns:
        The imputed rows.

    Raises:
        Refusal: For settings and files that do not fit, if nothing is missing, and for likelihoods that score several
            values together.
    """
    vae, space = context.vae, context.vae.space
    hole = hole or ("none" if input is not None else "random")
    _check_settings(vae, method, hole, fraction, updates)
    if mask is not None and input is None:
        raise Refusal("task.mask marks missing values of an input, but task.input is not set. Use task.input=FILE.")
    for name, value, least in (("num_samples", num_samples, 1), ("draws", draws, 1), ("steps", steps, 2)):
        within(f"task.{name}", value, least)
    if input is None:
        total = len(context.test.indices)
        n = min(256, total) if n is None else n
        within("task.n", n, 1, total)
        batch = context.data.sample("test", n)
        x, known, condition = batch.x, _known(batch), vae.condition_of(batch.to(vae.device))
    else:
        batch = context.medium.read_incomplete(input)
        known = _known(batch) if mask is None else _known(batch) & _mask(space, mask)
        x, condition = batch.x * known, vae.condition_of(batch)

    def draw(count: int) -> Tensor:
        if hole == "none":
            return space.whole_cells(known[torch.randint(len(known), (count,))])
        return draw_observed(hole, fraction, space, count)

    def hide(x: Tensor, known: Tensor) -> IncompleteRows:
        observed = known if hole == "none" else known & draw(len(x))
        return IncompleteRows(x, observed, known & ~observed & ~space.indicators)

    rows = replace(hide(x, known), condition=condition)
    if rows.observed.all():
        raise Refusal("No value is missing; hide some by task.hole=random, half or box.")
    masked = isinstance(space, Pairs) or context.data.in_order("train").mask is not None
    fill = torch.zeros(space.shape) if masked else context.data.mean()
    fill = torch.where(space.indicators, 1.0, fill).to(vae.device)
    reader = train_on_missing(vae, context.data, draw, fill, updates) if updates else vae

    at_once = max(1, context.batch_size // draws) if method == "gibbs" else context.batch_size
    parts = []
    for start in track(range(0, len(rows), at_once), "imputing"):
        part = rows[start : start + at_once].to(vae.device)
        if method == "gibbs":
            parts.append(gibbs(vae, reader, part, fill, steps, draws).cpu())
        else:
            parts.append(importance_weighted(reader, part, fill, num_samples, draws).cpu())
    imputed = Imputation.join(parts)
    _save(context, rows, imputed, input)
    if rows.hidden.any():
        train = IncompleteRows.fully_observed(*_rows(context, "train", 10 * imputers.TRAINING_ROWS))
        figures = imputers.classical(train, hide(*_rows(context, "val", len(rows))), rows, space)
        figures[method] = (
            imputers.rmse(space, imputed.mean, rows),
            float(imputed.nll.sum() / space.per_cell(rows.hidden).sum()),
        )
        _report(context, figures, rows)
    return imputed


def draw_observed(hole: str, fraction: float, space: Space, n: int) -> Tensor:
    """Which values are observed when some are hidden. The values of a cell (`Space.cell_shape`) are hidden together.

    Args:
        hole: half, box or random.
        fraction: Of the values that box and random hide.
        space: Space of x.
        n: Number of rows.

    Returns:
        `[n, *space.shape]`, true or false.

    Example:
        >>> from vaekit.spaces import Real
        >>> from vaekit.tasks.impute import draw_observed
        >>> draw_observed("half", 0.5, Real((4,)), 1)
        tensor([[ True,  True, False, False]])
    """
    size = space.cell_shape
    observed = torch.rand(n, *size) >= fraction if hole == "random" else torch.ones(n, *size, dtype=torch.bool)
    if hole == "half":
        observed[:, size[0] // 2 :] = False
    if hole == "box":
        down, right = (_interval(side, max(1, round(math.sqrt(fraction) * side)), n) for side in size)
        observed = ~(down.unsqueeze(2) & right.unsqueeze(1))
    return space.per_value(observed)


def _interval(side: int, length: int, n: int) -> Tensor:
    """An interval of `length` positions at a random place among `side`, `[n, side]`."""
    first = torch.randint(side - length + 1, (n, 1))
    place = torch.arange(side)
    return (first <= place) & (place < first + length)


def _check_settings(vae: VAE, method: str, hole: str, fraction: float, updates: int) -> None:
    """Raise `Refusal` for settings that do not fit; reads no rows."""
    one_of("task.method", method, ("miwae", "gibbs"))
    one_of("task.hole", hole, ("random", "half", "box", "none"))
    within("task.updates", updates, 0)
    if not isinstance(fraction, float) or not 0 < fraction < 1:
        raise Refusal(f"Got task.fraction={fraction}, expected a number between 0 and 1; use task.fraction=0.5.")
    if hole == "box" and not isinstance(vae.space, Maps):
        raise Refusal("task.hole=box is a rectangle of an image, but the data are vectors; use task.hole=random.")
    if method == "gibbs" and Capability.FACTORISED not in vae.likelihood.gives:
        raise Refusal(
            "This model's likelihood draws each value given those before it alone, and gibbs needs all; "
            "use task.method=miwae."
        )
    if method == "miwae" and not vae.has_density:
        raise Refusal(
            "This model's posterior has no density for importance weights; use task.method=gibbs task.updates=0."
        )
    if updates and not all(Capability.DENSITY in level.gives for level in vae.latents.levels):
        raise Refusal("This model's posterior cannot be trained for missing values. Use task.updates=0.")


def _rows(context: Context, part: Part, n: int) -> tuple[Tensor, Tensor]:
    """n rows of a part of the data, and which of their values are known."""
    batch = context.data.sample(part, n)
    return batch.x, _known(batch)


def _known(batch: Batch) -> Tensor:
    return torch.ones_like(batch.x).bool() if batch.mask is None else batch.mask.bool()


def _mask(space: Space, path: str | Path) -> Tensor:
    """Which values are known, `[1, *space.shape]`: white pixels of an image, or ones in an array."""
    gray = replace(space, bins=None) if isinstance(space, Maps) else space
    return medium(gray).one(path) >= 0.5


def _save(context: Context, rows: IncompleteRows, imputed: Imputation, source: str | Path | None) -> None:
    np.save(context.out / "imputed.npy", imputed.mean.numpy())
    arrays = {"mean": imputed.mean, "draws": imputed.draws, "observed": rows.observed}
    plain: dict[str, Any] = {name: each.numpy() for name, each in arrays.items()}
    np.savez(context.out / "imputed.npz", **plain)
    truth = rows.x if rows.hidden.any() else None
    observed = rows.filled(torch.tensor(math.nan))
    mean = imputed.mean if imputed.plain is None else imputed.plain
    context.medium.write_imputed(context.out, Imputed(observed, mean, imputed.draws, truth, source))


def _report(context: Context, figures: dict[str, tuple[float, float]], rows: IncompleteRows) -> None:
    kinds = ("rmse", "nll")
    named = {f"{kind}/{name}": pair[i] for name, pair in figures.items() for i, kind in enumerate(kinds)}
    run_files.write_metrics(context.out, named)
    title = f"{int(context.vae.space.per_cell(rows.hidden).sum()):,} hidden values of {len(rows)} rows"
    if context.vae.space.size > imputers.NARROW:
        fitted = min(imputers.TRAINING_ROWS, context.data.num_train)
        title += f"; the others fitted on {fitted:,} training rows, iterative imputation with "
        title += f"n_nearest_features={imputers.NEAREST}"
    Console().print(title, highlight=False, soft_wrap=True)
    table = Table("", "RMSE", "nats per value")
    for name, (error, nll) in figures.items():
        table.add_row(name, f"{error:.4f}", f"{nll:.4f}")
    Console().print(table)
