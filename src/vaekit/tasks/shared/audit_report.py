"""The report of an audit: tables, figures and explanations, as elements of HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table as Printed
from sklearn.metrics import roc_curve

from vaekit.media import page
from vaekit.media.figures import plain
from vaekit.media.plots import save_panels
from vaekit.metrics.fidelity import Columns
from vaekit.metrics.membership import Attack
from vaekit.spaces import Table
from vaekit.tasks.shared.anonymity import Risk

CONFIDENCE = 0.95  # of all intervals together
NAMED = 12  # largest number of categories whose names are written
SHOWN = 12  # columns in columns.png, and pairs in the report: the least similar
WHAT = {
    "distance": "synthetic rows are nearer to training rows than to test rows",
    "density": "near training rows, synthetic rows are denser than rows of the population",
    "classifier": "a classifier of synthetic and real rows takes training rows for synthetic more often",
    "model": "training rows have a higher likelihood; needs the weights, not only synthetic rows",
}


def verdict(attacks: dict[str, Attack]) -> str:
    """The result of the attacks in words.

    Args:
        attacks: By name.
    """
    name, best = max(attacks.items(), key=lambda item: item[1].low)
    if best.low > 0.5:
        return (
            f"The attack by {name} separates training rows from test rows: AUC {best.auc:.3f}, {best.low:.3f} to "
            f"{best.high:.3f}, where chance is 0.5. These rows are not anonymous."
        )
    limit = max(each.high for each in attacks.values())
    return (
        f"No attack separates training rows from test rows: with {CONFIDENCE:.0%} confidence none of them has an AUC "
        f"above {limit:.3f}, where chance is 0.5. Other attacks may still succeed, and single rows may be exposed."
    )


def on_attacks(out: Path, attacks: dict[str, Attack], found: Any, rows: int) -> list[str]:
    """The attacks: verdict, table and ROC curves.

    Args:
        out: Folder for attacks.png.
        attacks: By name.
        found: The scores of members `[M]` and of others `[N]` of each.
        rows: Number of synthetic rows.
    """

    def roc(axis: Any) -> None:
        for name, (members, others) in found.items():
            truth = np.r_[np.ones(len(members)), np.zeros(len(others))]
            false, true, _ = roc_curve(truth, torch.cat([members, others]))
            axis.plot(false, true, label=f"{name}, area {attacks[name].auc:.3f}")
        least = 1 / max(len(others) for _, others in found.values())
        axis.plot([least, 1], [least, 1], color="gray", linestyle=":", label="chance")
        axis.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1))
        axis.set(xlabel="fraction of test rows taken for training rows", ylabel="fraction of training rows found")
        axis.legend(fontsize=7)

    save_panels(out / "attacks.png", {"ROC of the attacks, logarithmic axes": roc})
    head = ["attack", "AUC", "interval", "found at 1 % false positives", "what success means"]
    lines = [
        [name, f"{each.auc:.3f}", f"{each.low:.3f} to {each.high:.3f}", f"{each.hits:.1%}", WHAT[name]]
        for name, each in attacks.items()
    ]
    about = (
        f"The attacker has the {rows:,} synthetic rows and the validation rows, and ranks rows by how probable it is "
        f"that the model was trained on them. An AUC of 0.5 is chance. The intervals have a joint confidence of "
        f"{CONFIDENCE:.0%}."
    )
    return [
        page.paragraph(verdict(attacks)),
        page.paragraph(about),
        page.table([head, *lines]),
        page.picture(out / "attacks.png"),
    ]


def on_copies(copies: dict[str, float]) -> list[str]:
    """Exact copies.

    Args:
        copies: Fractions of synthetic rows, and of test rows (copies_real).
    """
    made, real = copies["copies"], copies["copies_real"]
    return [
        page.paragraph(
            f"{made:.2%} of the synthetic rows equal a training row in every value as written; {real:.2%} of the test "
            "rows do, by chance. A larger fraction of synthetic rows means copies."
        )
    ]


def on_c2st(auc: float, rows: int) -> list[str]:
    """The classifier two-sample test.

    Args:
        auc: Of the classifier.
        rows: Number of synthetic rows, and of test rows.
    """
    return [
        page.paragraph(
            f"Gradient boosting distinguishes {rows:,} synthetic rows from as many test rows with an AUC of {auc:.3f} "
            "(0.5: not at all, 1: always)."
        )
    ]


def of_training_rows(similarities: Mapping[Any, float], by_chance: float) -> str:
    """The mean of similarities, with that of training rows.

    Args:
        similarities: Of synthetic rows.
        by_chance: The mean for training rows.
    """
    mean = sum(similarities.values()) / max(1, len(similarities))
    return f"The mean is {mean:.3f}; with training rows in place of synthetic ones it is {by_chance:.3f}."


def on_columns(
    out: Path, real: Columns, made: Columns, shapes: dict[str, float], by_chance: float, space: Table
) -> list[str]:
    """The similarity of each column, with histograms of the least similar ones.

    Args:
        out: Folder for columns.png.
        real: Columns of test rows.
        made: Columns of synthetic rows.
        shapes: Similarity by column.
        by_chance: The mean for training rows.
        space: Space of the rows.
    """
    categories = {column.name: column.categories for column in space.ordered}

    def panel(name: str) -> Callable[[Any], None]:
        def draw(axis: Any) -> None:
            observed = {"test": real[name], "synthetic": made[name]}
            numeric = real[name].dtype.kind == "f"
            if numeric:
                finite = np.concatenate([each[np.isfinite(each)] for each in observed.values()])
                low, high = np.quantile(finite, [0.005, 0.995]).tolist() if len(finite) else (0.0, 1.0)
                edges = np.linspace(low, high, 31)
            else:
                edges = np.arange(-1, len(categories[name]) + 1) - 0.5
                if len(categories[name]) <= NAMED:
                    ticks = range(-1, len(categories[name]))
                    axis.set_xticks(ticks, ["missing", *categories[name]], rotation=30, fontsize=7)
            for label, each in observed.items():
                inside = np.clip(each[~np.isneginf(each)] if numeric else each, edges[0], edges[-1])
                missing = f", {1 - len(inside) / len(each):.1%} missing" if numeric and len(inside) < len(each) else ""
                weights = np.full(len(inside), 1 / len(each))
                axis.hist(inside, edges, weights=weights, alpha=0.6, label=label + missing)
            axis.set(xlabel=plain(name), ylabel="fraction of rows")
            axis.legend(fontsize=7)

        return draw

    least = sorted(shapes, key=lambda name: shapes[name])
    save_panels(out / "columns.png", {f"{name}: {shapes[name]:.3f}": panel(name) for name in least[:SHOWN]}, columns=3)
    about = (
        "The similarity of each column in synthetic and test rows, 1 at best: 1 minus the Kolmogorov-Smirnov statistic "
        "for numbers, 1 minus the total variation distance for categories. The figure shows the least similar ones. "
        + of_training_rows(shapes, by_chance)
    )
    table = page.table([[name, f"{shapes[name]:.3f}"] for name in least])
    return [page.paragraph(about), table, page.picture(out / "columns.png", "60em")]


def on_pairs(out: Path, pairs: dict[tuple[str, str], float], by_chance: float, names: list[str]) -> list[str]:
    """The similarity of each pair of columns.

    Args:
        out: Folder for pairs.png.
        pairs: Similarity by pair.
        by_chance: The mean for training rows.
        names: Of the columns, in the order of the figure.
    """
    matrix = np.ones((len(names), len(names)))
    for (a, b), value in pairs.items():
        i, j = names.index(a), names.index(b)
        matrix[i, j] = matrix[j, i] = value

    def heat_map(axis: Any) -> None:
        drawn = axis.imshow(matrix, vmin=min(0.8, matrix.min()), vmax=1)
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        axis.set_yticks(range(len(names)), names, fontsize=6)
        axis.figure.colorbar(drawn, ax=axis, label="1 - total variation distance")

    save_panels(out / "pairs.png", {"Similarity of pairs of columns": heat_map})
    about = (
        "1 minus the total variation distance of each pair's joint distribution in synthetic and test rows, with "
        "numbers in ten bins; 1 at best. The table has the least similar ones. " + of_training_rows(pairs, by_chance)
    )
    least = sorted(pairs.items(), key=lambda item: item[1])[:SHOWN]
    table = page.table([[a, b, f"{value:.3f}"] for (a, b), value in least])
    return [page.paragraph(about), table, page.picture(out / "pairs.png", "40em")]


def on_risks(risks: Mapping[str, Risk]) -> list[str]:
    """The risks that anonymeter measures.

    Args:
        risks: By name.
    """
    about = (
        "The success of attacks on training rows beyond that of the same attacks on test rows, from 0 to 1, with 95 % "
        "intervals (anonymeter). singling_out: a condition on one column that holds for one synthetic row alone holds "
        "for one training row alone. linkability: two halves of a row are found to belong together."
    )
    lines = [[name, f"{each.risk:.3f}", f"{each.low:.3f} to {each.high:.3f}"] for name, each in risks.items()]
    return [page.paragraph(about), page.table([["attack", "risk", "interval"], *lines])]


def show(attacks: dict[str, Attack], copies: dict[str, float], c2st: float) -> None:
    """Print the result.

    Args:
        attacks: By name.
        copies: As of `on_copies`.
        c2st: As of `on_c2st`.
    """
    table = Printed("attack", "AUC", "interval", "found at 1 % false positives")
    for name, each in attacks.items():
        table.add_row(name, f"{each.auc:.3f}", f"{each.low:.3f} to {each.high:.3f}", f"{each.hits:.1%}")
    console = Console()
    console.print(table)
    console.print(
        f"{verdict(attacks)} {copies['copies']:.2%} of the synthetic rows equal a training row, and "
        f"{copies['copies_real']:.2%} of the test rows. A classifier distinguishes synthetic from test rows with an "
        f"AUC of {c2st:.3f}. The report is report.html.",
        highlight=False,
        soft_wrap=True,
    )
