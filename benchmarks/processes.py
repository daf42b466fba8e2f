"""Training speed of one process and of two, by DDP: `python benchmarks/processes.py data=mnist data.root=DIR`.

Prints images/s, and how much of two processes' speed is left when they work together. Each process has the same batch
and one thread, and stays on the CPU, so that two cores are enough. Further words are overrides, for both alike.
"""

import os
import re
import subprocess
import sys
import tempfile

ROUNDS = 3  # alternating; the best of each counts, because other programs only slow a run down
WORDS = ["model=conv_vae", "trainer.max_epochs=3", "evaluation.num_samples=1", "+trainer.limit_val_batches=0"]


def speed(processes: int) -> float:
    """Images a second in the last epoch."""
    together = ["trainer=ddp", "trainer.accelerator=cpu", f"trainer.devices={processes}"]
    with tempfile.TemporaryDirectory() as folder:
        train = [sys.executable, "train.py", *WORDS, *(together if processes > 1 else ["trainer=cpu"])]
        done = subprocess.run(
            [*train, f"hydra.run.dir={folder}", *sys.argv[1:]],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return float(re.findall(r"speed=([\d,]+) examples/s", done.stdout)[-1].replace(",", ""))


def main() -> None:
    rounds = [(speed(1), speed(2)) for _ in range(ROUNDS)]
    one, two = (max(each) for each in zip(*rounds, strict=True))
    print("| processes | images/s | efficiency |\n| --- | --- | --- |")
    print(f"| 1 | {one:,.0f} | |\n| 2 | {two:,.0f} | {two / (2 * one):.0%} |")


if __name__ == "__main__":
    main()
