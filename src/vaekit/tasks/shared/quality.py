"""How good new examples are, in the features of a classifier of the run's own data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from vaekit.metrics.quality import quality
from vaekit.tasks.shared.classifier import accuracy, class_of, features, of_training_rows, real_rows
from vaekit.tasks.shared.context import Context
from vaekit.track import track

ROWS = 10_000  # of each kind at most


def judge(context: Context, temperature: float | Sequence[float] = 1.0) -> dict[str, dict[str, float]]:
    """frechet, precision and recall of new examples, the means of p(x | z), as seen from test rows: quality.json.

    As many examples as there are test rows, 10,000 at most. Beside them the same of as many training rows: what real
    examples reach. Binarised images are compared as they were in grey. `vaekit.metrics.quality` says what the figures
    are. Of a model with labels also accuracy: the share of examples that the classifier takes for the class they were
    made of, beside that of test rows. Raises `Refusal` for data without labels.
    """
    train, test = real_rows(context, "train"), real_rows(context, "test")
    n = min(ROWS, train.count, test.count)
    classifier = of_training_rows(context)
    condition, asked, parts = context.vae.condition, [], []
    for chunk in track(context.chunks(n), "sampling"):
        given = condition.draw(chunk) if condition is not None and condition.column == "label" else None
        parts.append(features(classifier, context.vae.sample(chunk, temperature, condition=given)))
        asked += [] if given is None else [class_of(given)]
    made = torch.cat(parts)
    seen, others = (features(classifier, rows.some(n)) for rows in (test, train))
    found = {"samples": quality(seen, made), "real": quality(seen, others)}
    if asked:
        told = classifier.classes[classifier.head(made).argmax(1)]
        found["samples"]["accuracy"] = float((told == torch.cat(asked)).float().mean())
        found["real"]["accuracy"] = accuracy(classifier, test)
    context.write_json("quality.json", found)
    table = Table("", *found["samples"], title=f"Quality, {n:,} examples each", title_justify="left")
    for name, figures in found.items():
        table.add_row(name, *(f"{value:.4g}" for value in figures.values()))
    Console().print(table)
    return found
