"""How good new examples are, in the features of a classifier of the run's own data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vaekit.metrics.quality import quality
from vaekit.tasks.classifier import features, of_training_rows, real_rows
from vaekit.tasks.context import Context

ROWS = 10_000  # of each kind at most


def judge(context: Context, temperature: float | Sequence[float] = 1.0) -> dict[str, dict[str, float]]:
    """frechet, precision and recall of new examples, the means of p(x | z), as seen from test rows: quality.json.

    As many examples as there are test rows, 10,000 at most. Beside them the same of as many training rows: what real
    examples reach. Binarised images are compared as they were in grey. `vaekit.metrics.quality` says what the figures
    are. Raises `Refusal` for data without labels.
    """
    train, test = real_rows(context, "train"), real_rows(context, "test")
    n = min(ROWS, train.count, test.count)
    classifier = of_training_rows(context)
    chunks = track(context.chunks(n), "sampling")
    made = torch.cat([features(classifier, context.vae.sample(chunk, temperature)) for chunk in chunks])
    seen, others = (features(classifier, rows.some(n)) for rows in (test, train))
    found = {"samples": quality(seen, made), "real": quality(seen, others)}
    context.write_json("quality.json", found)
    table = Table("", *found["samples"], title=f"Quality, {n:,} examples each", title_justify="left")
    for name, figures in found.items():
        table.add_row(name, *(f"{value:.4g}" for value in figures.values()))
    Console().print(table)
    return found
