"""Speed and memory of what a trained VAE does with n rows: `python benchmarks/streaming.py --rows 1000 10000 100000`.

Trains the MLP 784-512-256-32 for a moment on made-up images of 784 bytes, and lets each task work on n of them, a
process each. Prints a Markdown table: rows/s of the task alone, files included, and the most that the process held
meanwhile: all its memory, and of this what no file on the disk could give back.
"""

import argparse
import json
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

TASKS = {"sample": "n={n}", "reconstruct": "n={n}", "embed": "format=npz", "score": "num_samples=10"}
MODEL = ["model=mlp_vae", "network.hidden=[512,256]", "latents.dim=32", "likelihood=bernoulli", "data.binarize=dynamic"]
RUN = ["trainer=cpu", "callbacks=none", "trainer.max_epochs=1", "evaluation.num_samples=1"]
ROOT = Path(__file__).resolve().parents[1]
TRAIN = 1000  # rows in addition to the n test rows, for training and validation


def write_rows(file: Path, rows: int) -> None:
    """Bright squares on black, so that there is something to learn."""
    x = np.zeros((rows, 28, 28), np.uint8)
    for row, (i, j) in enumerate(np.random.default_rng(0).integers(0, 20, (rows, 2))):
        x[row, i : i + 8, j : j + 8] = 255
    np.save(file, x)


class Memory:
    """The most that this process held while it was watched, in MB."""

    def __init__(self) -> None:
        self.most = {"VmRSS": 0, "RssAnon": 0}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self) -> None:
        while not self.stopped.wait(0.02):
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            self.most = {key: max(most, int(status[key].split()[0]) // 1024) for key, most in self.most.items()}

    def __enter__(self) -> "Memory":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()


def work(words: list[str]) -> None:
    """`apply.py` with these words, watched; its seconds begin when the run is open."""
    from vaekit import apply, commands

    spent = []
    open_run = apply.open_run

    def watched(*args: object, **settings: object) -> object:
        context = open_run(*args, **settings)
        _ = context.data.num_train  # the data are open too
        spent.append(perf_counter())
        return context

    apply.open_run = watched
    sys.argv = ["apply.py", *words]
    with Memory() as memory:
        commands.apply()
    print(json.dumps({"seconds": perf_counter() - spent[0], **memory.most}), flush=True)


def measure(task: str, n: int, folder: Path, overrides: list[str]) -> dict[str, float]:
    file = folder / "rows.npy"
    write_rows(file, n + TRAIN)
    setting = f"task.{TASKS[task].format(n=n)}"
    words = [f"run={folder}/run", f"task={task}", setting, f"data.path={file}", f"data.test={n}", "device=cpu"]
    command = [sys.executable, Path(__file__).resolve(), "--work", *words, *overrides]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        return work(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments, overrides = parser.parse_known_args()
    found = []
    print("| task | rows | rows/s | memory (MB) | of this anonymous (MB) |\n" + "| --- " * 5 + "|")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "rows.npy", 2 * TRAIN)
        data = ["data=arrays", f"data.path={folder}/rows.npy", f"hydra.run.dir={folder}/run"]
        train = [sys.executable, ROOT / "train.py", *MODEL, *data, *RUN]
        subprocess.run(train, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        for task in arguments.tasks:
            for n in arguments.rows:
                each = measure(task, n, folder, overrides)
                pace = n / each["seconds"]
                found.append({"task": task, "rows": n, "per_second": pace, **each})
                print(f"| {task} | {n:,} | {pace:,.0f} | {each['VmRSS']:,} | {each['RssAnon']:,} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
