"""Synthetic data sets of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vaekit.media.figures import Headings
from vaekit.metrics.quality import copy_fraction, nearest_distance
from vaekit.refusal import Refusal
from vaekit.spaces import Real
from vaekit.summary import number
from vaekit.tasks.shared.checks import flag, one_of, within
from vaekit.tasks.shared.classifier import Examples, accuracy, fit, of_training_rows, real_rows
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.synthetic import VALUES, mixture, posterior, prior, write_rows

COMPARED = 1000  # largest number of synthetic and of test rows whose nearest training rows are computed
SHOWN = 32  # synthetic rows in nearest.png


class Synthesized(NamedTuple):
    """A synthetic data set.

    Args:
        x: `[n, *space.shape]`, in the form of raw rows.
        label: `[n]`; None without labels.
        figures: The contents of synthesize.json.
    """

    x: np.ndarray
    label: Tensor | None
    figures: dict[str, float]


def synthesize(
    context: Context,
    n: int | None = None,
    source: str | None = None,
    components: int = 10,
    draw: bool = False,
    format: str | None = None,
    label: int | Sequence[int] | None = None,
) -> Synthesized:
    """Write a synthetic data set, with labels if the source has them, and its quality: synthesize.json.

    accuracy: on the test rows, of a classifier trained on the synthetic rows; accuracy_real: of one trained for as many
    steps on the training rows. distance: median distance to the nearest training row; distance_real: that of test rows.
    copied: fraction of rows that are nearer to a training row than to any test row; copied_real: fraction of training
    rows among these, which is the value by chance. x is rounded to the gray levels of the raw data.
    nearest.png shows the first rows, each with its nearest training row.

    Args:
        context: The run.
        n: Number of rows; None for as many as there are training rows.
        source: Of z. prior: p(z), with labels for a model that has them. mixture: of Gaussians for each class, fitted
            to draws from q(z | x) of its training rows. posterior: q(z | x) of training rows, with their labels, i.e.
            variants of them. None: mixture if the data have labels, the latent space is Euclidean and the model has no
            labels, else prior.
        components: Number of Gaussians of each class.
        draw: Whether x is drawn from p(x | z), as rows of a table always are, rather than its mean.
        format: Of the files, which data=FORMAT reads: arrays (synthetic.npz), image_folder (images/), table
            (synthetic.csv), ... None for that of the data of the run.
        label: Of all rows, for source=prior and a model with labels.

    Raises:
        Refusal: For other values of these settings, and for labels or images that the data do not have.
    """
    data = context.data
    train = data.in_order("train")
    has_axes = isinstance(context.vae.latents.levels[0].space, Real) and context.vae.condition is None
    if source is None:
        source = "mixture" if train.label is not None and has_axes else "prior"
    sets = context.medium.set_writers
    if format is None:
        name = context.config["data"]["name"]
        format = name if name in sets else "arrays"
    n = len(train.indices) if n is None else n
    within("task.n", n, 1)
    within("task.components", components, 1)
    flag("task.draw", draw)
    one_of("task.source", source, ("prior", "mixture", "posterior"))
    one_of("task.format", format, list(sets))
    if source == "mixture" and (train.label is None or not has_axes):
        raise Refusal(
            "task.source=mixture needs labels that the model does not have, and latents without curvature; "
            "use task.source=posterior."
        )
    draw = draw or context.medium.drawn
    if source == "mixture":
        draw_z = mixture(context, components)
    else:
        draw_z = posterior(context) if source == "posterior" else prior(context, label)

    path = context.out / "rows.npy"
    x, labels = write_rows(context, path, n, draw_z, draw)
    sets[format](context.out, x, labels, {number: name for name, number in data.source.classes().items()})
    found = measure(context, x, labels)
    path.unlink()
    context.write_json("synthesize.json", {"rows": n, "source": source} | found)
    table = Table("", "synthetic", "real", title=f"{n:,} rows from the {source}", title_justify="left")
    for name in ("accuracy", "distance", "copied"):
        if name in found:
            table.add_row(name, number(found[name]), number(found[f"{name}_real"]))
    Console().print(table)
    return Synthesized(x, labels, found)


def measure(context: Context, x: np.ndarray, label: Tensor | None) -> dict[str, float]:
    """The quality metrics of `synthesize`, and those of real rows.

    Args:
        context: The run.
        x: `[n, *space.shape]`, synthetic rows.
        label: `[n]`; None without labels.
    """
    space, device = context.vae.space, context.vae.device
    scale = 255 if x.dtype == np.uint8 else 1
    made = Examples(len(x), lambda rows: torch.from_numpy(x[rows.numpy()]).float() / scale, label)
    train, test = (real_rows(context, part) for part in ("train", "test"))
    found = {}
    if label is not None and test.label is not None and len(label.unique()) > 1:
        found["accuracy"] = accuracy(fit(made, space, device, "training on synthetic rows"), test)
        found["accuracy_real"] = accuracy(of_training_rows(context), test)

    most = max(1, VALUES // space.size)
    old, unseen = (rows.some(most).flatten(1).to(device) for rows in (train, test))
    new = made.some(COMPARED).flatten(1).to(device)
    of_train, of_test = nearest_distance(new, old), nearest_distance(new, unseen)
    closest = torch.cdist(new[:SHOWN], old).argmin(1)
    pairs = torch.stack([new[:SHOWN], old[closest]], 1).unflatten(2, space.shape).flatten(0, 1).cpu()
    headings = Headings("Synthetic rows and their nearest training rows", ("synthetic", "training"))
    context.show("nearest", pairs, 8, headings)
    found["distance"] = float(of_train.median())
    found["distance_real"] = float(nearest_distance(unseen[:COMPARED], old).median())
    by_chance = len(old) / (len(old) + len(unseen))
    found["copied"] = copy_fraction(of_train, of_test, by_chance)
    return found | {"copied_real": by_chance}
