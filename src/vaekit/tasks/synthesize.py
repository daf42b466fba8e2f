"""Synthetic data sets of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from rich.console import Console
from rich.table import Table
from sklearn.mixture import GaussianMixture
from torch import Tensor

from vaekit.batch import Batch
from vaekit.latents import tower
from vaekit.latents.tower import Step, descend
from vaekit.media.figures import Headings
from vaekit.metrics.quality import copy_fraction, nearest_distance
from vaekit.refusal import Refusal
from vaekit.spaces import Real, Space
from vaekit.spaces import Table as TableSpace
from vaekit.summary import number
from vaekit.tasks.shared.checks import flag, one_of, within
from vaekit.tasks.shared.classifier import Examples, accuracy, class_of, fit, of_training_rows, real_rows
from vaekit.tasks.shared.context import Context
from vaekit.track import track

MOST = 100_000  # training rows that mixtures are fitted to
COMPARED = 1000  # largest number of synthetic and of test rows whose nearest training rows are computed
VALUES = 2**26  # largest number of values of the training rows, and of the test rows, that are searched
SHOWN = 32  # synthetic rows in nearest.png
FULL = 256  # largest number of latent dimensions for mixtures with full covariances

Draw = Callable[[int], tuple[Tensor, Tensor | None]]  # n -> the state that the likelihood reads, and labels `[n]`


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


# Sources of z ---------------------------------------------------------------------------------------------------------


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
    codes = torch.cat([infer(context, batch).steps[0].z[0].cpu() for batch in track(rows, "encoding")])
    flat, random = codes.flatten(1).double(), np.random.RandomState(int(torch.randint(2**31, ())))
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
        top = drawn.reshape(n, *codes.shape[1:]).to(context.vae.device)
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


# Rows and their quality -----------------------------------------------------------------------------------------------


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
        >>> from vaekit.tasks.synthesize import to_raw
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
