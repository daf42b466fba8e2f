"""Rows of a table with some cells fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.distributions import Categorical, Independent

from vaekit.batch import Batch
from vaekit.capabilities import Capability
from vaekit.data.containers import cell_text
from vaekit.distributions.marginal import log_prob_observed
from vaekit.distributions.row import Row
from vaekit.distributions.table import Cells
from vaekit.refusal import Refusal
from vaekit.spaces import Table
from vaekit.spaces.column import WrongCell
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.synthetic import Draw, prior

CANDIDATES = 20  # draws of z for each row, of which one is chosen by its weight
MAX_TRIES = 1_000_000  # number of rows after which drawing ends if none fits


def cells(given: str | Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """Cells by the names of their columns.

    Args:
        given: Texts like `income=>50K`, or a mapping.

    Raises:
        Refusal: For texts of another form.

    Example:
        >>> from vaekit.tasks.shared.given import cells
        >>> cells(["income=>50K", "sex=Female"])
        {'income': '>50K', 'sex': 'Female'}
    """
    if isinstance(given, Mapping):
        return {str(name): cell_text(cell) for name, cell in given.items()}
    texts = [given] if isinstance(given, str) else list(given)
    if not texts or not all(isinstance(text, str) and "=" in text for text in texts):
        raise Refusal(f"Got task.given={given}, expected COLUMN=CELL; use 'task.given=\"income=>50K\"'.")
    return {name.strip(): cell.strip() for name, _, cell in (text.partition("=") for text in texts)}


@torch.no_grad()
def draw(context: Context, given: str | Sequence[str] | Mapping[str, Any], n: int, label: Any = None) -> Batch:
    """Draw rows from p(x | given cells).

    By rejection sampling, which is exact, however rare such cells are: z from p(z) is accepted with the probability
    p(cells | z) over its upper bound, which is 1 for counts and categories, and the peak of the normal for numbers,
    whose scale is the same for all z. With `likelihood=table_autoregressive` no row is rejected: z is chosen among
    `CANDIDATES` from p(z) with weights p(cells | z), and the other cells are drawn given these and z.

    Args:
        context: The run.
        given: The cells, see `cells`.
        n: Number of rows.
        label: Of all rows, for a model with labels; None for the cell of the column of labels, if given.

    Raises:
        Refusal: For data that are not a table, cells that it cannot hold, and cells that are too rare.
    """
    vae, space = context.vae, context.vae.space
    if not isinstance(space, Table):
        raise Refusal("task.given names cells of a table, and this run's data are not a table; leave it out.")
    named = cells(given)
    if space.label is not None and space.label.name in named:
        label = context.class_number(named.pop(space.label.name))
    known = [column.name for column in space.columns if column.width]
    if unknown := named.keys() - set(known):
        raise Refusal(f"task.given names the column {unknown.pop()!r}, expected one of {', '.join(known)}.")
    try:
        for column in space.columns:
            column.check([named.get(column.name)])
        numbers, _ = space.encode([[named.get(column.name)] for column in space.columns])
    except WrongCell as wrong:
        why = wrong.why.replace("leave the cell empty", "leave the column out")
        raise Refusal(f"task.given, column {wrong.column!r}: {why}") from None
    x = torch.from_numpy(numbers[0]).to(vae.device)
    mask = space.per_value(torch.tensor([column.name in named for column in space.ordered], device=vae.device))
    draw_z = prior(context, label)
    if Capability.MARGINAL in vae.likelihood.gives:
        return _resample(context, draw_z, x, mask, n)
    numeric = space.order[: space.sizes[0]]
    kept, labels, found, tried = list[Tensor](), list[Tensor](), 0, 0
    while found < n:
        state, drawn = draw_z(context.batch_size)
        px = vae.likelihood(state)
        assert isinstance(px, Independent) and isinstance(px.base_dist, Cells)
        log_p = px.base_dist.log_prob(x)
        log_p[:, numeric] -= px.base_dist.normal.log_prob(px.base_dist.normal.loc)
        fits = torch.rand(len(log_p), device=vae.device).log() < (log_p * mask).sum(-1)
        kept.append(torch.where(mask, x, px.sample()[fits]).cpu())
        labels += [] if drawn is None else [drawn[fits.cpu()]]
        found, tried = found + len(kept[-1]), tried + len(fits)
        if tried >= MAX_TRIES and not found:
            raise Refusal(f"Not one of {tried:,} rows had the cells of task.given; give fewer of them.")
    Console().print(f"{found / tried:.2%} of {tried:,} rows had these cells", highlight=False)
    return Batch(torch.cat(kept)[:n], torch.cat(labels)[:n] if labels else None)


def _resample(context: Context, draw_z: Draw, x: Tensor, known: Tensor, n: int) -> Batch:
    """n rows with the known numbers of x `[numbers]`, by sampling-importance-resampling of z."""
    kept, labels, effective = list[Tensor](), list[Tensor](), 0.0
    for count in context.chunks(n):
        state, drawn = draw_z(count * CANDIDATES)
        log_w = log_prob_observed(context.vae.likelihood(state), x, known).unflatten(0, (count, CANDIDATES))
        chosen = Categorical(logits=log_w).sample() + CANDIDATES * torch.arange(count, device=x.device)
        px = context.vae.likelihood(state[chosen])
        assert isinstance(px, Independent) and isinstance(px.base_dist, Row)
        kept.append(px.base_dist.sample_given(x, known)[0].cpu())
        labels += [] if drawn is None else [drawn[chosen.cpu()]]
        effective += float((1 / log_w.softmax(1).square().sum(1)).sum())
    Console().print(f"{effective / n:.1f} of {CANDIDATES} draws of z weigh in a row", highlight=False)
    return Batch(torch.cat(kept), torch.cat(labels) if labels else None)
