"""Anomaly detection: which examples are unlike the training data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from torch import Tensor

from vaekit import run_files
from vaekit.batch import Batch
from vaekit.configs import options
from vaekit.data.batches import Batches
from vaekit.data.module import DataModule, Part
from vaekit.media.figures import Headings, heat, pixels, save_pixels
from vaekit.media.plots import save_panels
from vaekit.refusal import Refusal
from vaekit.spaces import Image
from vaekit.tasks.shared.anomaly import (
    ALPHA,
    DENSITY,
    SCORES,
    TWO_SIDED,
    Detector,
    Figures,
    Measured,
    baselines,
    join,
    measure,
    p_values,
    save_detector,
)
from vaekit.tasks.shared.checks import one_of, within
from vaekit.tasks.shared.context import Context, ExamplesFile
from vaekit.track import track

FITTED = 10_000  # largest number of training rows to fit latents and baselines, and of held-out rows
FEWEST = 10  # smallest number of rows of each part to compute p-values and baselines

Labels = int | Sequence[int] | None


@dataclass
class Rows:
    """A set of rows to score.

    Args:
        name: Name of the set.
        examples: Name of each row.
        anomaly: `[N]`, true for known anomalies.
        batches: The rows.
    """

    name: str
    examples: Sequence[Any]
    anomaly: np.ndarray
    batches: Iterable[Batch]


def detect(
    context: Context,
    input: ExamplesFile = None,
    anomalies: ExamplesFile = None,
    other: str | None = None,
    normal: Labels = None,
    scores: Sequence[str] | None = None,
    num_samples: int = 10,
    steps: int = 100,
    n: int = 32,
) -> dict[str, np.ndarray]:
    """Write anomaly scores and conformal p-values of test rows: scores.csv. High scores are unusual.

    p-values need normal rows that were used neither for training nor for the choice of the best weights: those of
    data.calibration if the run has them, else its (normal) test rows, each of which is compared with the others. They
    are too high for test rows that contain unlabeled anomalies.

    scores.csv has set, `row` (from 0) or file, whether the row is a known anomaly, each score and its p-value.
    detection.png is a histogram of the first score and, with known anomalies, ROC and precision-recall curves of each
    score. With known anomalies metrics.json has AUROC and AUPR of each score, of an isolation forest, of PCA, of the
    Mahalanobis distance, and of ECOD if pyod is installed. For images, maps.png and maps.npz have the n most unusual
    rows x, the mean E[x | z] at the posterior mean of z, the distance of each pixel from it, `row` (line of scores.csv
    below its head, from 0), score and p-value.

    detector.npz has the scores of the calibration rows, for task=export.

    Args:
        context: The run.
        input: In place of the test rows, an image file, a folder of images, or rows in .npy or .npz.
        anomalies: More rows of these kinds, known to be anomalies.
        other: A data set whose test rows are anomalies, e.g. mnist.
        normal: Labels that are normal: only such training and validation rows count, and test rows with other labels
            are anomalies. None for data.classes of the run, if it was trained on some.
        scores: path_statistics, nll, elbo, distortion, rate, reconstruction, latent, typicality or regret, see
            `vaekit.tasks.shared.anomaly`; the first one counts for alarms. None for all that the model has except
            regret, which is slow.
        num_samples: Draws of z for each row.
        steps: Steps of regret.
        n: Number of images in maps.png.

    Returns:
        `[N]` for each score by name, and p-values as p/<name>; first of the test rows, then of the anomalies.

    Raises:
        Refusal: For settings, files and data sets that do not fit.
    """
    vae = context.vae
    normal = context.data.classes if normal is None else normal
    names = _names(vae.has_density, scores)
    for name, value in (("num_samples", num_samples), ("steps", steps), ("n", n)):
        within(f"task.{name}", value, 1)
    if other is not None and vae.needs_condition:
        raise Refusal(
            f"This model is conditional, and rows of task.other={other} do not have its conditions; "
            "name labels of the run's data by task.normal=[0,1], so that the rest are anomalies."
        )
    seed, regret_steps = int(torch.randint(2**31, ())), steps if "regret" in names else 0
    sets = list(_sets(context, input, anomalies, other, normal))

    def measure_rows(rows: Batches | Rows, what: str, regret_steps: int = regret_steps) -> Measured:
        rows = rows if isinstance(rows, Rows) else _of_data(context, rows, what)
        batches = track(rows.batches, f"measuring {what}", total=-(-len(rows.examples) // context.batch_size))
        return measure(vae, batches, num_samples, regret_steps)

    own, among = len(context.data.in_order("calibration").indices), input is None
    too_few = (own or len(context.test.indices)) < _calibrating(names[0], not own and among)
    needed = _calibrating(names[0], among=False)
    both = (_in_order(context.data, part, normal, needed if too_few else 0) for part in ("train", "val"))
    train, held_out = both
    for rows in (train, held_out):
        rows.indices = rows.sample(FITTED, context.data.seed)
    fitted = measure_rows(train, "training rows", regret_steps=0)
    detector = Detector(fitted, measure_rows(held_out, "held-out rows"), names)
    measured = join([measure_rows(each, each.name) for each in sets])
    found = detector.scores(measured)
    truth = np.concatenate([each.anomaly for each in sets])
    known = bool(truth.any() and not truth.all())

    among_test = np.zeros(len(truth), dtype=bool)
    if own or not among:
        unseen = _in_order(context.data, "calibration" if own else "test", normal, needed)
        calibration = detector.scores(measure_rows(unseen, "calibration rows"))
    else:
        among_test[: len(sets[0].examples)] = ~sets[0].anomaly
        calibration = {name: each[among_test] for name, each in found.items()}
    save_detector(context.out / "detector.npz", detector, calibration)
    p = p_values(found, calibration, among_test)
    _write(context, sets, found, p, known)
    if known:
        baseline = baselines(fitted.flat, measured.flat, fitted.latents.shape[1], seed)
        _report(context, truth, found, p, baseline)
    normal_scores = None if known or among_test.any() else calibration[names[0]]
    save_panels(context.out / "detection.png", _panels(truth if known else None, found, normal_scores))
    alarms = p[names[0]] <= ALPHA
    Console().print(f"{names[0]}: {alarms.sum():,} of {len(alarms):,} rows have a p-value of at most {ALPHA}")
    _print_calibration(names[0], len(calibration[names[0]]), "calibration" if own else "test", bool(among_test.any()))
    if isinstance(vae.space, Image):
        most = np.argsort(-found[names[0]], kind="stable")[:n]
        x = torch.from_numpy(measured.x[most])
        mean = torch.from_numpy(measured.mean[most])
        examples = [f"{each.name} {_short(example)}" for each in sets for example in each.examples]
        captions = [f"{examples[row]}: {found[names[0]][row]:.4g}, p {_decimals(p[names[0]][row])}" for row in most]
        figures = {"row": most, "score": found[names[0]][most], "p": p[names[0]][most]}
        _save_maps(context, x, mean, captions, names[0], figures)
    return found | {f"p/{name}": each for name, each in p.items()}


def _decimals(p: float) -> str:
    """A p-value with three decimal places; a lower one, which is never 0, with one digit."""
    return f"{p:.3f}" if p >= 0.0005 else f"{p:.1g}"


def _short(example: Any) -> str:
    """The end of a file's name, or a row's number."""
    name = str(example)
    return name if len(name) <= 20 else f"...{name[-17:]}"


def _save_maps(context: Context, x: Tensor, mean: Tensor, captions: list[str], score: str, figures: Figures) -> None:
    """Write maps.npz and maps.png: three panels for each example, with the caption below the second one."""
    space, map_ = context.vae.space, (x - mean).abs()
    assert isinstance(space, Image)
    plain: dict[str, Any] = {"x": x.numpy(), "mean": mean.numpy(), "map": map_.numpy(), **figures}
    np.savez(context.out / "maps.npz", **plain)
    colors, scale = heat(map_, space)
    panels = np.stack([pixels(x, space), pixels(mean, space), colors], 1)
    headings = Headings(
        f"The {len(x)} most unusual examples; below: example, {score}, p-value",
        ("x", "E[x | z]", "difference"),
        cells=[text for caption in captions for text in ("", caption, "")],
    )
    path = context.out / "maps.png"
    save_pixels(path, panels.reshape(-1, *panels.shape[2:]), 12, headings, scale=scale, unit="|x - E[x | z]|")


def _panels(
    truth: np.ndarray | None, scores: Figures, calibration: np.ndarray | None = None
) -> dict[str, Callable[[Any], None]]:
    """Histogram of the first score, with that of calibration rows where they are others; ROC and precision-recall
    curves of all where anomalies `[N]` are known.
    """
    (name, score), *_ = scores.items()
    groups = {"rows": score} if truth is None else {"normal rows": score[~truth], "anomalies": score[truth]}
    groups = groups if calibration is None else {"calibration rows": calibration, **groups}

    def histogram(axis: Any) -> None:
        edges = np.histogram_bin_edges(np.concatenate([*groups.values()]), 40)
        for label, each in groups.items():
            axis.hist(each, edges, alpha=0.6, label=f"{label} ({len(each):,})")
        axis.set(xlabel=f"score {name}", ylabel="rows")
        axis.legend()

    def roc(axis: Any) -> None:
        for label, each in scores.items():
            false, true, _ = roc_curve(truth, each)
            axis.plot(false, true, label=f"{label}, area {roc_auc_score(truth, each):.3f}")
        axis.plot([0, 1], [0, 1], color="black", linestyle=":", label="chance")
        axis.set(xlabel="false positive rate", ylabel="true positive rate")
        axis.legend(fontsize=7)

    def precision_recall(axis: Any) -> None:
        assert truth is not None
        for label, each in scores.items():
            precision, recall, _ = precision_recall_curve(truth, each)
            axis.plot(recall, precision, label=f"{label}, average {average_precision_score(truth, each):.3f}")
        axis.axhline(truth.mean(), color="black", linestyle=":", label="chance")
        axis.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))
        axis.legend(fontsize=7)

    curves = {"ROC": roc, "precision and recall": precision_recall} if truth is not None else {}
    return {"scores": histogram, **curves}


def _names(has_density: bool, scores: Any) -> list[str]:
    """The scores to compute; the first one counts for alarms."""
    available = [name for name in SCORES if has_density or name not in DENSITY]
    if scores is None:
        return [name for name in available if name != "regret"]
    scores = [scores] if isinstance(scores, str) else list(scores)
    for name in scores:
        one_of("task.scores", name, available)
    if not scores:
        raise Refusal(f"task.scores is empty; use task.scores=[{available[0]}].")
    return scores


def _print_calibration(name: str, n: int, part: str, among: bool) -> None:
    """Print which rows calibrate the p-values, and whether they are enough for an alarm."""
    print = partial(Console().print, highlight=False, soft_wrap=True)
    print(f"p-values are calibrated on {n:,} {part} rows" + (", each on the others" if among else ""))
    if n < (needed := _calibrating(name, among)):
        least = (2 if name in TWO_SIDED else 1) / (n if among else n + 1)
        print(
            f"The smallest p-value of {n} rows is {least:.3f}, so that no row can reach {ALPHA}. "
            f"Train with data.calibration={needed}, or more."
        )


def _calibrating(name: str, among: bool) -> int:
    """The smallest number of rows, each of them calibrated `among` the others or not, whose p-values reach `ALPHA`."""
    return round((2 if name in TWO_SIDED else 1) / ALPHA) - (not among)


def _in_order(data: DataModule, part: Part, normal: Labels, calibration: int) -> Batches:
    """The rows of a part; only those with `normal` labels, if any are named.

    calibration: Number of rows for calibration, which the refusal of too few rows also advises; 0 if there are enough.
    """
    rows = data.in_order(part)
    if normal is not None:
        rows.indices = rows.indices[_has_label(normal, rows)]
    if len(rows.indices) < FEWEST:
        words = [f"data.validation={FEWEST}"] if part == "val" else []
        words += [f"data.calibration={calibration}"] if calibration else []
        more = f"with {' '.join(words)} or more" if part in ("val", "calibration") else "on a file with more rows"
        label = "" if normal is None else ", or name more frequent labels by task.normal"
        raise Refusal(
            f"There are {len(rows.indices)} normal {part} rows, expected at least {FEWEST}. Train {more}{label}."
        )
    return rows


def _has_label(normal: int | Sequence[int], rows: Batches) -> Tensor:
    """Which rows have one of these labels, `[N]`."""
    labels = [normal] if isinstance(normal, int) else normal
    if not labels or not all(isinstance(label, int) for label in labels):
        raise Refusal(
            f"Got task.normal={normal}, expected whole numbers as labels; use task.normal=0 or task.normal=[0,1]."
        )
    if rows.label is None or rows.label.dim() != 1:
        raise Refusal("task.normal names labels, but these data have none, or several per row; leave out task.normal.")
    return torch.isin(rows.label[rows.indices], torch.tensor(labels))


def _sets(context: Context, input: Any, anomalies: Any, other: Any, normal: Labels) -> Iterator[Rows]:
    if input is not None:
        yield _of_files(context, input, "input", False)
    else:
        test = context.test
        yield _of_data(context, test, "test", False if normal is None else ~_has_label(normal, test).numpy())
    if other is not None:
        yield _of_data(context, other_data(context, other).in_order("test"), other, True)
    if anomalies is not None:
        yield _of_files(context, anomalies, "anomalies", True)


def _of_data(context: Context, rows: Batches, name: str, anomaly: Any = False) -> Rows:
    return Rows(name, rows.indices.tolist(), np.broadcast_to(anomaly, len(rows.indices)), map(context.ready, rows))


def _of_files(context: Context, path: str | Path, name: str, anomaly: bool) -> Rows:
    names, batches = context.read(path)
    return Rows(name, names, np.full(len(names), anomaly), batches)


def other_data(context: Context, name: str) -> DataModule:
    """Another data set, with the transforms of the data of the run, and from their root if both have one source.

    Args:
        context: The run.
        name: Name of the data set in conf/data.

    Raises:
        Refusal: For an unknown name, and data of another space.
    """
    files = options("data")
    one_of("task.other", name, [each for each in files if not each.startswith("_")])

    def merged(name: str) -> Any:
        above = [each for each in files[name].get("defaults", []) if isinstance(each, str) and each in files]
        return OmegaConf.merge(*map(merged, above), files[name])

    module = dict(context.config["data"]["module"], eval_batch_size=context.batch_size)
    source: Any = OmegaConf.to_container(merged(name).source, resolve=True)
    same_source = source["_target_"] == module["source"]["_target_"]
    settings = {**(module["source"] if same_source else {}), **context.changes}
    source |= {key: value for key, value in settings.items() if key in source and key != "name"}
    data = instantiate({**module, "source": source})
    if data.space != context.vae.space:
        raise Refusal(
            f"task.other={name} holds {data.space.description}, but the run was trained on "
            f"{context.vae.space.description}; save such rows by numpy.save, and use task.anomalies=rows.npy."
        )
    return data


def _write(context: Context, sets: list[Rows], scores: Figures, p: Figures, known: bool) -> None:
    figures = zip(*(each for name in scores for each in (scores[name], p[name])), strict=True)
    written: list[Any] = [["set", "example", "anomaly", *(each for name in scores for each in (name, f"p_{name}"))]]
    for rows in sets:
        for example, anomaly in zip(rows.examples, rows.anomaly, strict=True):
            row = [rows.name, example, int(anomaly) if known else ""]
            written.append([*row, *(f"{each:.6g}" for each in next(figures))])
    context.write_csv("scores.csv", written)


def _report(context: Context, truth: np.ndarray, scores: Figures, p: Figures, others: Figures) -> None:
    metrics: dict[str, float] = {}
    table = Table("", "AUROC", "AUPR", f"normal rows with p <= {ALPHA}")
    for name, each in {**scores, **others}.items():
        auroc, aupr = roc_auc_score(truth, each), average_precision_score(truth, each)
        metrics |= {f"auroc/{name}": float(auroc), f"aupr/{name}": float(aupr)}
        alarms = f"{(p[name][~truth] <= ALPHA).mean():.3f}" if name in p else ""
        table.add_row(name, f"{auroc:.4f}", f"{aupr:.4f}", alarms)
    run_files.write_metrics(context.out, metrics)
    Console().print(f"{truth.sum():,} anomalies among {len(truth):,} rows", highlight=False)
    Console().print(table)
