"""Speed, start-up and memory of training as the data grow: `python benchmarks/scaling.py --rows 1000 100000 10000000`.

Rows are 784 bytes, made up, in one .npy file which training maps: 7.8 GB for 10,000,000 rows, removed afterwards. With
more rows than the memory holds, they come from the disk again and again. Prints a Markdown table. start-up is from the
command to the first step; anonymous memory is what the process itself holds, without the rows that the system keeps
for it as long as there is room. --cold: the file is not in memory when training starts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import vaekit  # noqa: F401  (before Lightning, which imports torchvision)

from lightning.pytorch import Callback  # isort: skip

SIZES = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]
MODEL = ["model=mlp_vae", "network.hidden=[512,256]", "latents.dim=32", "likelihood=bernoulli"]
RUN = ["trainer=cpu", "callbacks=none", "trainer.max_epochs=-1", "+trainer.limit_test_batches=1"]
WARM_UP = 50  # steps that do not count


class Meter(Callback):
    """Within training: notes what happened, in `file`. started: the time of the command."""

    def __init__(self, file: str, started: float):
        self.file, self.started = Path(file), started
        self.images, self.clock = 0, 0.0

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 0:
            self.start_up = time.time() - self.started
        if trainer.global_step == WARM_UP:
            self.images, self.clock = 0, time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.images += len(batch)
        if trainer.global_step == trainer.max_steps:
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            megabytes = {name: int(status[key].split()[0]) / 1024 for name, key in MEMORY.items()}
            speed = self.images / (time.perf_counter() - self.clock)
            self.file.write_text(json.dumps({"images_per_s": speed, "start_up_s": self.start_up, **megabytes}))


MEMORY = {"anonymous_mb": "RssAnon", "mapped_mb": "RssFile", "peak_mb": "VmHWM"}


def write_rows(file: Path, rows: int) -> None:
    """Random bytes, the same thousand again and again."""
    block = np.random.default_rng(0).integers(0, 256, (1000, 28, 28), dtype=np.uint8)
    with file.open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, 28, 28)}
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, rows, 1000):
            block[: rows - start].tofile(stream)
        stream.flush()
        os.fsync(stream.fileno())


def measure(rows: int, folder: Path, steps: int, cold: bool, overrides: list[str]) -> dict[str, float]:
    file, notes = folder / "rows.npy", folder / "notes.json"
    write_rows(file, rows)
    if cold:
        with file.open() as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    data = ["data=arrays", f"data.path={file}", "data.binarize=dynamic", f"hydra.run.dir={folder}/run"]
    meter = [f"+callbacks.meter={{_target_:scaling.Meter,file:{notes},started:{time.time()}}}"]
    train = Path(__file__).resolve().parents[1] / "train.py"
    command = [sys.executable, train, *MODEL, *data, *RUN, f"+trainer.max_steps={steps}", *meter, *overrides]
    search = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": search}
    subprocess.run(command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    file.unlink()
    return {"rows": rows, **json.loads(notes.read_text())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--folder", help="where there is room for the rows; default: the system's for temporary files")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments, overrides = parser.parse_known_args()
    print("| rows | images/s | start-up (s) | anonymous memory (MB) | mapped files (MB) |\n" + "| --- " * 5 + "|")
    found = []
    for rows in arguments.rows:
        with TemporaryDirectory(dir=arguments.folder) as folder:
            found.append(measure(rows, Path(folder), arguments.steps, arguments.cold, overrides))
        row = found[-1]
        figures = [row[name] for name in ("images_per_s", "start_up_s", "anonymous_mb", "mapped_mb")]
        print(f"| {rows:,} | {' | '.join(f'{x:,.1f}' if x < 100 else f'{x:,.0f}' for x in figures)} |", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
