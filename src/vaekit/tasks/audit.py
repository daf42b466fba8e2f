"""An audit of synthetic rows: what they reveal about the training rows, and how good they are."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.data.module import Part
from vaekit.media import page
from vaekit.media.figures import Headings
from vaekit.metrics.fidelity import Columns, column_shapes, pair_trends, two_sample_auc
from vaekit.metrics.membership import Attack, attack, scores
from vaekit.refusal import Refusal
from vaekit.spaces import Space
from vaekit.spaces import Table as TableSpace
from vaekit.tasks.shared import audit_report as report
from vaekit.tasks.shared.anonymity import Risk, risks
from vaekit.tasks.shared.checks import within
from vaekit.tasks.shared.context import Context, ExamplesFile
from vaekit.tasks.shared.synthetic import VALUES, prior, to_raw, write_rows
from vaekit.track import track

PARTS: tuple[Part, ...] = ("train", "val", "test")
FEWEST = 10  # rows of each part to attack, or to compare
CONFIDENCE = 0.95  # of all intervals together
NUM_SAMPLES = 10  # draws of z for the attack on the model
GRID = 64  # rows in synthetic.png


def audit(context: Context, input: ExamplesFile = None, n: int | None = None, attacked: int = 2000) -> dict[str, float]:
    """Write how well an attacker separates training rows from test rows (membership inference), and how similar
    synthetic rows are to test rows: report.html, a single file, and audit.json.

    For each attack NAME of `vaekit.metrics.membership.scores`, and for `model`, which ranks rows by log p(x), there are
    NAME/auc, 0.5 by chance; NAME/low and NAME/high, the limits of intervals with a joint confidence of 95 %; and
    NAME/hits, the fraction of training rows found at a false positive rate of 1 %. copies is the fraction of synthetic
    rows that equal a training row as written, copies_real that of test rows, i.e. the value without copying. c2st_auc
    is the AUC of gradient boosting that classifies rows as synthetic or test rows. For tables, columns and pairs are
    mean similarities, from 0 to 1, and columns_real and pairs_real those of training rows. If anonymeter is installed,
    tables also have NAME/risk, NAME/low and NAME/high of `vaekit.tasks.shared.anonymity.risks`. The distance to the
    nearest training row is not reported, because alone it is no evidence about privacy.

    The attacker knows the validation rows, as a sample of the population. Test rows must be new to the model and come
    from the same population: if they were collected later, attacks detect that difference.

    Args:
        context: The run.
        input: A file of synthetic rows, e.g. synthetic.csv; otherwise rows are drawn from the prior.
        n: Number of rows to draw, as many as will be published; None for as many as there are training rows.
        attacked: Number of training rows, and of test rows, that are attacked.

    Returns:
        The contents of audit.json.

    Raises:
        Refusal: For too few rows, and for a file that does not fit.
    """
    data, space, seed = context.data, context.vae.space, context.data.seed
    within("task.attacked", attacked, FEWEST)
    n = len(data.in_order("train").indices) if n is None else n
    within("task.n", n, FEWEST)
    for part in PARTS:
        if (count := len(data.in_order(part).indices)) < FEWEST:
            raise Refusal(f"There are {count} {part} rows, expected at least {FEWEST}. Train on more rows.")
    most = max(FEWEST, VALUES // space.size)
    synthetic = _drawn(context, min(n, most)) if input is None else _read(context, input)
    counts = (attacked, most, attacked)
    members, reference, others = (_rows(context, part, count) for part, count in zip(PARTS, counts, strict=True))
    found = _attacks(context, members, others, reference, synthetic, attacked)
    attacks = {name: attack(*each, confidence=1 - (1 - report.CONFIDENCE) / len(found)) for name, each in found.items()}
    train, test = set(_written(_rows(context, "train", most), space)), _rows(context, "test", most)
    copies = {
        name: float(np.mean([row in train for row in _written(x, space)]))
        for name, x in (("copies", synthetic), ("copies_real", test))
    }
    compared = min(len(test), len(synthetic))
    c2st = two_sample_auc(test[:compared].flatten(1), synthetic[:compared].flatten(1), seed)

    sections = {
        "Can training rows be recognized?": report.on_attacks(context.out, attacks, found, len(synthetic)),
        "Copies": report.on_copies(copies),
        "Can synthetic rows be distinguished from real ones?": report.on_c2st(c2st, compared)
        + _pictures(context, synthetic),
    }
    figures = _flat(attacks) | copies | {"c2st_auc": c2st}
    if isinstance(space, TableSpace):
        old, real, made = (_columns(x, space) for x in (members, test, synthetic))
        shapes, pairs = column_shapes(real, made), pair_trends(real, made)
        by_chance = [_mean(compare(real, old)) for compare in (column_shapes, pair_trends)]
        figures |= {"columns": _mean(shapes), "columns_real": by_chance[0]}
        sections["Columns"] = report.on_columns(context.out, real, made, shapes, by_chance[0], space)
        if pairs:  # a table of one column has none
            figures |= {"pairs": _mean(pairs), "pairs_real": by_chance[1]}
            sections["Pairs of columns"] = report.on_pairs(context.out, pairs, by_chance[1], list(shapes))
        if found_risks := risks(old, real, made, attacked, seed):
            figures |= _flat(found_risks)
            sections["Singling out and linking"] = report.on_risks(found_risks)
    sections["What was audited"] = [
        page.table(
            [
                ["run", str(context.run)],
                ["synthetic rows", f"{len(synthetic):,}, " + ("from the prior" if input is None else str(input))],
                ["attacked", f"{len(members):,} training rows and {len(others):,} test rows"],
                ["known to the attacker", f"{len(reference):,} validation rows"],
            ]
        )
    ]
    page.save_page(context.out / "report.html", "Audit of synthetic rows", sections)
    context.write_json("audit.json", {"rows": len(synthetic), "attacked": len(members)} | figures)
    report.show(attacks, copies, c2st)
    return figures


# Rows -----------------------------------------------------------------------------------------------------------------


def _rows(context: Context, part: Part, n: int) -> Tensor:
    """n random rows of a part of the data before random transforms, or all where there are fewer, `[n, *shape]`."""
    rows = context.data.in_order(part)
    rows.draw, rows.indices = None, rows.sample(n, context.data.seed)
    return torch.cat([context.data.transform.expected(batch.x).cpu() for batch in rows])


def _drawn(context: Context, n: int) -> Tensor:
    path = context.out / "rows.npy"
    x, _ = write_rows(context, path, n, prior(context), context.medium.drawn)
    path.unlink()
    return torch.from_numpy(np.array(x)).float() / (255 if x.dtype == np.uint8 else 1)


def _read(context: Context, path: ExamplesFile) -> Tensor:
    assert path is not None
    names, batches = context.read(path)
    if len(names) < FEWEST:
        raise Refusal(f"{path} has {len(names)} rows, expected at least {FEWEST}. Name a file with more.")
    read = [batch.to("cpu") for batch in batches]
    x = torch.cat([batch.x for batch in read])
    space = context.vae.space
    if isinstance(space, TableSpace):
        observed = torch.cat([torch.ones_like(batch.x) if batch.mask is None else batch.mask for batch in read]).bool()
        for end, column in zip(accumulate(each.width for each in space.ordered), space.ordered, strict=True):
            if not column.nullable and (missing := int((~observed[:, end - 1]).sum())):
                raise Refusal(
                    f"{path} has {missing} rows without {column.name!r}, which no training row lacks. Expected rows "
                    "like those of the training file. Fill these cells, or leave out their rows."
                )
    return x


def _written(x: Tensor, space: Space) -> Iterator[Hashable]:
    """Each row as it is written, without identifiers and labels; None for one with a category that is not known."""
    if isinstance(space, TableSpace):
        names, decoded = {column.name for column in space.ordered}, zip(space.names, space.decode(x), strict=True)
        known = np.ones(len(x), dtype=bool)
        for end, column in zip(accumulate(each.width for each in space.ordered), space.ordered, strict=True):
            if column.group not in ("numeric", "count") and column.width - column.nullable > 1:
                known &= x[:, end - column.width : end].any(1).numpy()  # the last value says that the cell is missing
        rows = zip(*(each for name, each in decoded if name in names), strict=True)
        yield from (row if each else None for row, each in zip(rows, known, strict=True))
    else:
        yield from (row.tobytes() for row in to_raw(x, space, space).numpy())


def _columns(x: Tensor, space: TableSpace) -> Columns:
    """The cells of each column in units of the file; -inf or -1 for missing ones, -1 also for unknown categories."""
    values, columns = space.in_units(x).numpy(), {}
    for end, column in zip(accumulate(each.width for each in space.ordered), space.ordered, strict=True):
        cells = values[:, end - column.width : end - column.nullable]
        numeric = column.group in ("numeric", "count")
        codes = np.where(cells.any(1), cells.argmax(1), -1) if cells.shape[1] > 1 else cells[:, 0] >= 0.5
        flat = cells[:, 0].astype(float) if numeric else codes
        missing = (x[:, end - 1] >= 0.5).numpy() if column.nullable else np.zeros(len(x), dtype=bool)
        columns[column.name] = np.where(missing, -np.inf, flat) if numeric else np.where(missing, -1, flat)
    return columns


def _flat(figures: Mapping[str, Attack] | Mapping[str, Risk]) -> dict[str, float]:
    return {f"{name}/{field}": value for name, each in figures.items() for field, value in each._asdict().items()}


def _mean(similarity: Mapping[Any, float]) -> float:
    return sum(similarity.values()) / max(1, len(similarity))


# Attacks --------------------------------------------------------------------------------------------------------------


def _attacks(
    context: Context, members: Tensor, others: Tensor, reference: Tensor, synthetic: Tensor, attacked: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """The scores of members and of other rows, by attack."""
    attackable, made, known = (each.flatten(1) for each in (torch.cat([members, others]), synthetic, reference))
    ranked = scores(attackable, made, known, context.data.seed)
    found = {name: (each[: len(members)], each[len(members) :]) for name, each in ranked.items()}
    if context.vae.has_density:
        found["model"] = _log_px(context, "train", attacked), _log_px(context, "test", attacked)
    return found


@torch.no_grad()
def _log_px(context: Context, part: Part, n: int) -> Tensor:
    """A lower bound of log p(x), up to a constant, of the rows of `_rows`, `[n]`."""
    rows = context.data.in_order(part)
    rows.indices = rows.sample(n, context.data.seed)
    batches = track(map(context.ready, rows), f"scoring {part} rows", total=len(rows))
    return torch.cat([context.vae.log_weights(batch, NUM_SAMPLES).logsumexp(0).cpu() for batch in batches])


def _pictures(context: Context, synthetic: Tensor) -> list[str]:
    if isinstance(context.vae.space, TableSpace):
        return []
    context.show("synthetic", synthetic[:GRID], 8, Headings("Synthetic rows"))
    path = context.out / "synthetic.png"
    return [page.picture(path, "40em")] if path.exists() else []
