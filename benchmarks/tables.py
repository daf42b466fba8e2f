"""The quality of synthetic tables, `python benchmarks/tables.py root=DIR [adult shoppers ... NAME=FILE.csv]`.

DIR holds the tables of `table_sets.SOURCES`; without `root=` it is $VAEKIT_DATA. `NAME=FILE.csv:TARGET` is a table of
yours; without TARGET the last column is predicted. From the training rows of each, every method makes as many synthetic
rows, and `table_measures` compares them with the training rows and, for the AUC and the attack, with the held-out rows.

methods=mixture,table_vae   some of METHODS, rather than all
'wide: model=table_vae network.hidden=[512,512]'
                            a method of your own: a name, words of train.py and, after a |, of apply.py task=fit_prior
seeds=3                     of the methods, and of the split of tables that have no test rows of their own
minutes=10                  of training, at most, of CTGAN and TVAE

`pip install -r benchmarks/tables.txt` in an environment of its own. A repeated call continues where it stopped.
"""

import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
from mixture import synthesize
from roots import root
from table_measures import FIGURES, MEASURES
from table_sets import SOURCES, Table, load, read, source, write

FOLDER = Path("outputs/benchmarks/tables")
EVALUATED = 100  # test rows of a run, whose metrics are not used here: densities of flows take long
Make = Callable[[Table, int, float], pd.DataFrame]  # of a table, a seed and a number of minutes: synthetic rows


def resampled(table: Table, seed: int, minutes: float) -> pd.DataFrame:
    return table.train.sample(frac=1, replace=True, random_state=seed)


def held_out(table: Table, seed: int, minutes: float) -> pd.DataFrame:
    return table.test


def mixture(table: Table, seed: int, minutes: float) -> pd.DataFrame:
    return synthesize(table.train, len(table.train), seed)


def ctgan(name: str) -> Make:
    """A model of the package ctgan, for as many of its 300 epochs as fit."""

    def make(table: Table, seed: int, minutes: float) -> pd.DataFrame:
        import ctgan

        rows = table.train.fillna(table.train[table.numeric].mean())
        others = [each for each in rows if each not in table.numeric]

        def fitted(epochs: int):
            start = time.perf_counter()
            model = getattr(ctgan, name)(epochs=epochs, enable_gpu=False)
            model.set_random_state(seed)
            model.fit(rows, others)
            return model, time.perf_counter() - start

        one, two = fitted(1)[1], fitted(2)[1]
        epochs = (60 * minutes - 2 * one - two) / max(two - one, 0.01)
        return fitted(int(min(300, max(1, epochs))))[0].sample(len(rows))

    return make


# Functions, or words of train.py and, after a |, of apply.py task=fit_prior. TARGET is the column to predict.
METHODS: dict[str, Make | str] = {
    "held_out": held_out,
    "resampled": resampled,
    "mixture": mixture,
    "TVAE": ctgan("TVAE"),
    "CTGAN": ctgan("CTGAN"),
    "table_vae": "model=table_vae",
    "table_vae+flow_matching": "model=table_vae | prior=flow_matching task.epochs=60",
    "table_autoregressive": "model=table_autoregressive trainer.max_epochs=12",
    "table_vae given TARGET": "model=table_vae data.label=TARGET condition=label prior=gaussian",
}
BUDGET = ["data.batch_size=256", "trainer.max_epochs=60", "trainer.precision=bf16-mixed", "evaluation.num_samples=1"]


def by_vaekit(words: str, table: Table, seed: int, folder: Path) -> tuple[pd.DataFrame, float]:
    """Synthetic rows of a run, and the seconds of its training and of its synthesis."""
    train, _, prior = (each.replace("TARGET", table.target).split() for each in words.partition("|"))
    data = ["data=table", f"data.path={folder}/train.csv", f"data.test_path={folder}/test.csv"]
    data += [f"data.types={{{','.join(f'{name}:categorical' for name in table.codes)}}}"] if table.codes else []
    run = folder / "runs" / slug(" ".join(train))
    seconds = once(run, "train.py", *data, *BUDGET, *train, f"seed={seed}", f"hydra.run.dir={run}")
    if prior:
        vae, run = run, folder / "runs" / slug(words)
        fit = [f"run={vae}", "task=fit_prior", "task.num_samples=1", f"task.folder={run}", f"seed={seed}"]
        seconds += once(run, "apply.py", *fit, *prior)
    made = run / "tasks" / "synthesize"
    seconds += once(made, "apply.py", f"run={run}", "task=synthesize", "task.source=prior", f"seed={seed}")
    return read(made / "synthetic.csv", table), seconds


def once(folder: Path, script: str, *words: str) -> float:
    """Seconds of a command that writes a folder. A folder without seconds.json is unfinished, and is written again."""
    file = folder / "seconds.json"
    if not file.exists():
        shutil.rmtree(folder, ignore_errors=True)
        start = time.perf_counter()
        call(script, *words)
        file.write_text(json.dumps(time.perf_counter() - start))
    return json.loads(file.read_text())


def call(script: str, *words: str) -> None:
    subprocess.run([sys.executable, script, *words], check=True, stdout=sys.stderr)


def slug(words: str) -> str:
    return re.sub(r"[^\w.]+", "_", words)


def measure(
    name: str, make: Make | str, table: Table, seed: int, minutes: float, folder: Path
) -> dict[str, float] | None:
    """The metrics of a method, of which those that an earlier call computed are read; None if it cannot run."""
    made = slug(make if isinstance(make, str) else name)
    rows, figures = folder / "rows" / f"{made}.csv", folder / "rows" / f"{made}.json"
    rows.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(figures.read_text()) if figures.exists() else {}
    if "seconds" not in found:
        start = time.perf_counter()
        try:
            if isinstance(make, str):
                synthetic, seconds = by_vaekit(make, table, seed, folder)
            else:
                synthetic, seconds = make(table, seed, minutes), time.perf_counter() - start
        except ImportError as error:
            say(f"{name} needs {error.name}. Try pip install -r benchmarks/tables.txt.")
            return None
        except subprocess.CalledProcessError:  # the command said why
            say(f"{name} failed and is left out.")
            return None
        write(synthetic, rows)
        found["seconds"] = {"seconds": seconds}
        save(figures, found)
    synthetic = read(rows, table)
    for each, compute in MEASURES.items():
        if each in found or (make is held_out and each in ("utility", "membership")):
            continue
        try:
            found[each] = compute(table, synthetic)
        except ImportError as error:
            say(f"The measure {each} needs {error.name}. Try pip install -r benchmarks/tables.txt.")
        save(figures, found)
    return {key: figure for part in found.values() for key, figure in part.items()}


@cache
def say(line: str) -> None:
    """Print a line to standard error, once, because the tables go to standard output."""
    print(line, file=sys.stderr)


def save(path: Path, found: dict) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found, default=float, indent=1))
    os.replace(part, path)


def report(name: str, found: dict[str, list[dict[str, float]]]) -> str:
    """A Markdown table: a row a method, mean and standard deviation over seeds."""
    names = [each for each in FIGURES if any(each in one for many in found.values() for one in many)]

    def cell(values: list[float], digits: int) -> str:
        if not values:
            return "-"
        deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.{digits}f}{deviation}"

    lines = [f"| {name} | {' | '.join(names)} | seconds | seeds |", "| --- " * (len(names) + 3) + "|"]
    for method, many in found.items():
        cells = [cell([one[each] for one in many if each in one], 3) for each in names]
        seconds = cell([one["seconds"] for one in many], 0)
        lines.append(f"| {method} | {' | '.join(cells)} | {seconds} | {len(many)} |")
    return "\n".join(lines)


def machine() -> str:
    file = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", file.read_text()) if file.exists() else []
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, {threads} used"


def main() -> None:
    words = sys.argv[1:]
    options = dict(word.split("=", 1) for word in words if re.match(r"(root|methods|seeds|minutes)=", word))
    extra = dict(re.split(r":\s+", word, maxsplit=1) for word in words if re.match(r"[^=]*:\s", word))
    methods = METHODS | extra
    named = options["methods"].split(",") if "methods" in options else METHODS
    chosen = dict.fromkeys([*filter(None, named), *extra])
    if unknown := chosen.keys() - methods.keys():
        sys.exit(f"methods={unknown.pop()} is unknown. Expected some of {', '.join(METHODS)}.")
    tables = [word for word in words if word.partition("=")[0] not in options and word.partition(": ")[0] not in extra]
    if unknown := [word for word in tables if "=" not in word and word not in SOURCES]:
        sys.exit(f"The table {unknown[0]} is unknown. Expected {', '.join(SOURCES)} or NAME=FILE.csv.")
    where = root(words, "Tabular") if not tables or set(tables) & SOURCES.keys() else Path()
    for word in tables or SOURCES:
        name, files = source(word, where)
        if missing := [path for path in files.paths if not Path(path).exists()]:
            say(
                f"{name} is left out: there is no {missing[0]}."
                + f" Put it there from {files.origin}." * bool(files.origin)
            )
            continue
        found: dict[str, list[dict[str, float]]] = {}
        for seed in range(int(options.get("seeds", 3))):
            folder, table = FOLDER / name / str(seed), load(files, seed)
            folder.mkdir(parents=True, exist_ok=True)
            write(table.train, folder / "train.csv")
            write(table.test[:EVALUATED], folder / "test.csv")
            for method in chosen:
                figures = measure(method, methods[method], table, seed, float(options.get("minutes", 10)), folder)
                if figures is not None:
                    found.setdefault(method, []).append(figures)
                    say(f"{name}, seed {seed}, {method}: {json.dumps(figures, default=float)}")
        print(report(name, found), flush=True)
        print(f"\n{len(table.train):,} training and {len(table.test):,} held-out rows; {machine()}.\n", flush=True)


if __name__ == "__main__":
    main()
