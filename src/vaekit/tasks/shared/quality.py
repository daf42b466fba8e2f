"""The quality of new examples, in the features of a classifier of the data of the run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from vaekit.metrics.quality import quality
from vaekit.summary import number
from vaekit.tasks.shared.classifier import accuracy, class_of, features, of_training_rows, real_rows
from vaekit.tasks.shared.context import Context
from vaekit.track import track

ROWS = 10_000  # largest number of rows of each kind


def write_quality(context: Context, temperature: float | Sequence[float] = 1.0) -> dict[str, dict[str, float]]:
    """Write Fréchet distance, precision and recall of new examples against test rows: quality.json.

    The examples are means of p(x | z), as many as test rows, at most 10,000. The same is computed for as many training
    rows: the best that real examples reach. Binarized images are compared as gray values. `vaekit.metrics.quality`
    defines the metrics. For a model with labels there is also accuracy: the fraction of examples that the classifier
    assigns to the class they were generated for, and that of test rows.

    Args:
        context: The run.
        temperature: Multiplies the standard deviation of the prior, of all levels or of each, top first.

    Returns:
        Metrics of new examples and of training rows.

    Raises:
        Refusal: For data without labels.
    """
    train, test = real_rows(context, "train"), real_rows(context, "test")
    n = min(ROWS, train.count, test.count)
    classifier = of_training_rows(context)
    condition, requested, parts = context.vae.condition, [], []
    for chunk in track(context.chunks(n), "sampling"):
        given = condition.draw(chunk) if condition is not None and condition.column == "label" else None
        parts.append(features(classifier, context.vae.sample(chunk, temperature, condition=given)))
        requested += [] if given is None else [class_of(given)]
    made = torch.cat(parts)
    seen, others = (features(classifier, rows.some(n)) for rows in (test, train))
    found = {"samples": quality(seen, made), "real": quality(seen, others)}
    if requested:
        predicted = classifier.classes[classifier.head(made).argmax(1)]
        found["samples"]["accuracy"] = float((predicted == torch.cat(requested)).float().mean())
        found["real"]["accuracy"] = accuracy(classifier, test)
    context.write_json("quality.json", found)
    table = Table("", *found["samples"], title=f"Quality, {n:,} examples each", title_justify="left")
    for name, figures in found.items():
        table.add_row(name, *map(number, figures.values()))
    Console().print(table)
    return found
