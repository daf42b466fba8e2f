"""Adult (the UCI census table): what synthetic rows are worth, `python benchmarks/adult.py root=DIR`.

DIR holds Tabular/adult/adult.data and adult.test; without `root=` it is $VAEKIT_DATA. Trains model=table_vae, fits a
flow to its codes (`task=fit_prior prior=flow`), trains another whose label is the income (`data.label=income
condition=label prior=gaussian`), and writes as many synthetic rows as there are training rows from each:

AUC, F1: on the test rows, of scikit-learn's HistGradientBoostingClassifier trained on the synthetic rows to predict
    the income, F1 the mean of both classes'; `real` was trained on the training rows.
columns: the mean over columns of SDMetrics' column shapes, 1 - the Kolmogorov-Smirnov statistic for numbers, 1 - the
    total variation distance for categories, between synthetic and training rows; `real` is of the test rows.
pairs: the mean over pairs of columns of 1 - the total variation distance of both together, numbers in ten bins of as
    many training rows each (SDMetrics' contingency similarity).

Then the accuracy of the income predicted for the test rows, where only `LABELS` rows of the training file, drawn at
random, have an income: by model=m2_vae, which learns from all rows, and by scikit-learn's LogisticRegression, which
learns from the same numbers of the rows with an income.

Every further word is an override of the trainings. Finished runs are not repeated.
"""

import csv
import itertools
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from roots import root
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.preprocessing import OrdinalEncoder

from vaekit.data.cells import MISSING
from vaekit.data.module import DataModule
from vaekit.data.table import Table

NAMES = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
]
LABELS = 1000
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")

FOLDER = Path("outputs/benchmarks/adult")

Cells = dict[str, list[str]]


def prepare(root: Path) -> None:
    """train.csv and test.csv with a line of names, without the first line and the dots of the original test file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for part, name in (("train", "adult.data"), ("test", "adult.test")):
        with (root / "Tabular" / "adult" / name).open(newline="") as file:
            rows = [row for row in csv.reader(file, skipinitialspace=True) if len(row) == len(NAMES)]
        with (FOLDER / f"{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([NAMES, *([*row[:-1], row[-1].rstrip(".")] for row in rows)])


def hide_labels() -> None:
    """few.csv: the training rows, of which LABELS have their income."""
    with (FOLDER / "train.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    for row in random.Random(0).sample(rows, len(rows) - LABELS):
        row[-1] = ""
    with (FOLDER / "few.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def read(path: Path) -> Cells:
    with path.open(newline="") as file:
        return {name: list(cells) for name, *cells in zip(*csv.reader(file), strict=True)}


def values(cells: list[str]) -> np.ndarray:
    return np.array([np.nan if cell in MISSING else float(cell) for cell in cells])


def utility(rows: Cells, test: Cells) -> tuple[float, float]:
    """AUC and F1."""
    words = [name for name in NAMES[:-1] if name not in NUMBERS]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, max_categories=250)
    encoder.fit(np.array([rows[name] for name in words]).T)

    def features(cells: Cells) -> np.ndarray:
        coded = encoder.transform(np.array([cells[name] for name in words]).T)
        return np.column_stack([coded, *(values(cells[name]) for name in NUMBERS)])

    target = [np.array(each["income"]) == ">50K" for each in (rows, test)]
    model = HistGradientBoostingClassifier(categorical_features=list(range(len(words))), random_state=0)
    p = model.fit(features(rows), target[0]).predict_proba(features(test))[:, 1]
    return float(roc_auc_score(target[1], p)), float(f1_score(target[1], p > 0.5, average="macro"))


def total_variation(a: list, b: list) -> float:
    one, two = Counter(a), Counter(b)
    return sum(abs(one[key] / len(a) - two[key] / len(b)) for key in one | two) / 2


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    return float(abs(np.searchsorted(a, at, "right") / len(a) - np.searchsorted(b, at, "right") / len(b)).max())


def fidelity(rows: Cells, real: Cells) -> tuple[float, float]:
    """Columns and pairs. Missing cells are left out of columns of categories, as the model writes none."""
    shapes, binned = [], []
    for name in NAMES:
        if name in NUMBERS:
            shapes.append(1 - kolmogorov_smirnov(values(rows[name]), values(real[name])))
            edges = np.unique(np.quantile(values(real[name]), np.linspace(0, 1, 11))[1:-1])
            binned.append([np.digitize(values(each[name]), edges).tolist() for each in (rows, real)])
        else:
            kept = [[cell for cell in each[name] if cell not in MISSING] for each in (rows, real)]
            shapes.append(1 - total_variation(*kept))
            binned.append([rows[name], real[name]])
    pairs = [
        1 - total_variation(*(list(zip(a, b, strict=True)) for a, b in zip(one, two, strict=True)))
        for one, two in itertools.combinations(binned, 2)
    ]
    return float(np.mean(shapes)), float(np.mean(pairs))


def majority(test: Cells) -> float:
    return Counter(test["income"]).most_common(1)[0][1] / len(test["income"])


def regression() -> float:
    """Accuracy on the test rows, of a regression on the numbers and labels that the model reads."""
    data = DataModule(Table(FOLDER / "few.csv", FOLDER / "test.csv", label="income"))
    rows, test = (data.in_order(part) for part in ("train", "test"))
    known = rows.indices[rows.label[rows.indices] >= 0]
    model = LogisticRegression(max_iter=1000).fit(rows.x[known], rows.label[known])
    return float(model.score(test.x, test.label))


def main() -> None:
    words = sys.argv[1:]
    prepare(root(words, "Tabular/adult"))
    hide_labels()
    runs = {
        "table_vae": FOLDER / "vae",
        "table_vae, a flow for its prior": FOLDER / "flow",
        "table_vae given the income": FOLDER / "given",
    }
    vae, flow, given = runs.values()
    m2 = FOLDER / "m2"

    def call(script: str, *overrides: str, makes: Path) -> None:
        if not makes.exists():
            subprocess.run([sys.executable, script, *overrides], check=True)

    data = ["data=table", f"data.test_path={FOLDER}/test.csv"]
    words = [word for word in words if not word.startswith("root=")]

    def train(run: Path, rows: str, *overrides: str) -> None:
        budget = ["data.batch_size=256", "trainer.max_epochs=20", "evaluation.num_samples=20"]
        common = [*data, f"data.path={FOLDER}/{rows}.csv", *budget, *overrides, *words]
        call("train.py", *common, f"hydra.run.dir={run}", makes=run / "metrics.json")

    train(vae, "train", "model=table_vae")
    train(given, "train", "model=table_vae", "data.label=income", "condition=label", "prior=gaussian")
    train(m2, "few", "model=m2_vae", "data.label=income", "network.hidden=[64]", "latents.given.dim=32")
    fitted = ["task=fit_prior", f"run={vae}", "task.epochs=10", f"task.folder={flow}"]
    call("apply.py", *fitted, makes=flow / "metrics.json")
    train_rows, test_rows = read(FOLDER / "train.csv"), read(FOLDER / "test.csv")
    print("| trained on | AUC | F1 | columns | pairs |\n| --- | --- | --- | --- | --- |")
    found = {"real": (*utility(train_rows, test_rows), *fidelity(test_rows, train_rows))}
    for name, run in runs.items():
        made = run / "tasks" / "synthesize" / "synthetic.csv"
        call("apply.py", "task=synthesize", f"run={run}", makes=made)
        found[name] = (*utility(read(made), test_rows), *fidelity(read(made), train_rows))
    for name, figures in found.items():
        print(f"| {name} |" + "".join(f" {figure:.3f} |" for figure in figures))
    accuracies = {"majority": majority(test_rows), "logistic regression": regression()}
    accuracies["m2_vae"] = json.loads((m2 / "metrics.json").read_text())["test/accuracy"]
    print(f"\n| {LABELS} labels | accuracy |\n| --- | --- |")
    for name, accuracy in accuracies.items():
        print(f"| {name} | {accuracy:.3f} |")


if __name__ == "__main__":
    main()
