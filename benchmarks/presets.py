"""Presets side by side on MNIST at one small budget: `python benchmarks/presets.py data.root=DIR`.

Prints a Markdown table. Every preset gets the same network, latent dimensions, epochs and seed, by one `--multirun`;
finished runs are not repeated, so that an interrupted benchmark continues where it stopped. Further words are
overrides, for all presets alike.
"""

import json
import subprocess
import sys
from pathlib import Path

from safetensors import safe_open

PRESETS = [
    "mlp_vae",
    "beta_vae",
    "linear_flow_vae",
    "iaf_vae",
    "hvae",
    "s_vae",
    "vamp_vae",
    "exemplar_vae",
    "flow_prior_vae",
    "miwae",
    "iwae",
]
BUDGET = [
    "data=mnist",
    "network=mlp",
    "network.hidden=[300,300]",
    "latents.dim=40",
    "trainer.max_epochs=10",
    "evaluation.num_samples=100",
]
FOLDER = Path("outputs/benchmarks/presets")
COLUMNS = ("nll", "rate", "distortion", "active_units")


def finished(preset: str) -> bool:
    return (FOLDER / preset / "model.safetensors").exists()


def row(preset: str) -> str:
    """The figures of a finished run; seconds are from its first to its last file, including the test."""
    folder = FOLDER / preset
    metrics = json.loads((folder / "metrics.json").read_text())
    with safe_open(folder / "model.safetensors", "np") as weights:
        parameters = sum(weights.get_tensor(name).size for name in weights.keys())  # noqa: SIM118 (it is not a dict)
    seconds = (folder / "metrics.json").stat().st_mtime - (folder / "config.yaml").stat().st_mtime
    figures = [f"{metrics[f'test/{name}']:.1f}" if f"test/{name}" in metrics else "" for name in COLUMNS]
    return f"| {' | '.join([preset, *figures, f'{parameters:,}', f'{seconds:.0f}'])} |"


def main() -> None:
    if missing := [preset for preset in PRESETS if not finished(preset)]:
        sweep = [f"hydra.sweep.dir={FOLDER}", "hydra.sweep.subdir=${hydra:runtime.choices.model}"]
        train = [sys.executable, "train.py", "--multirun", f"model={','.join(missing)}"]
        subprocess.run([*train, *BUDGET, *sweep, *sys.argv[1:]], check=False)  # failures are in the sweep's table
    print(f"| preset | {' | '.join(COLUMNS)} | parameters | seconds |\n|{' --- |' * (len(COLUMNS) + 3)}")
    for preset in filter(finished, PRESETS):
        print(row(preset))


if __name__ == "__main__":
    main()
