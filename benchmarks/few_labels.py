"""Test error with few labels, over several draws of them: `python benchmarks/few_labels.py data.root=DIR`.

Trains a run for each draw by one `--multirun`, and prints the mean and the standard deviation of their test errors.
`draws=5` says how many; every further word is an override, for all runs, e.g. `data.labels=1000`, for which
outputs/benchmarks/few_labels must be moved away first. Finished runs are not repeated, so that an interrupted
benchmark continues where it stopped.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

RECIPE = "experiment=mnist_100_labels"
FOLDER = Path("outputs/benchmarks/few_labels")


def minutes(draw: int) -> float:
    """Seconds from the first to the last file of the run, including the test."""
    first, last = ((FOLDER / str(draw) / name).stat().st_mtime for name in ("config.yaml", "metrics.json"))
    return (last - first) / 60


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("draws=")]
    count = next((int(word.removeprefix("draws=")) for word in sys.argv[1:] if word.startswith("draws=")), 5)
    sweep = [f"hydra.sweep.dir={FOLDER}", "hydra.sweep.subdir=${data.seed}"]
    train = [sys.executable, "train.py", "--multirun", f"data.seed={','.join(map(str, range(count)))}"]
    if code := subprocess.run([*train, RECIPE, *words, *sweep], check=False).returncode:
        sys.exit(code)  # the table of the sweep shows the reason
    errors = []
    print("| draw of labels | test error, % | minutes |\n| --- | --- | --- |")
    for draw in range(count):
        found = json.loads((FOLDER / str(draw) / "metrics.json").read_text())
        errors.append(100 * (1 - found["test/accuracy"]))
        print(f"| {draw} | {errors[-1]:.2f} | {minutes(draw):.1f} |")
    if len(errors) > 1:
        print(f"| mean ± standard deviation | {statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f} | |")


if __name__ == "__main__":
    main()
