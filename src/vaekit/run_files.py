"""The files that make the folder of a run a trained VAE, each written atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file
from torch import Tensor

from vaekit import spaces
from vaekit.whole_file import whole_file, write_whole

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def describe(config: dict[str, Any], space: spaces.Space) -> str:
    """The text of config.yaml.

    Args:
        config: The resolved configuration.
        space: Space of x, which depends on the data.
    """
    described = {"_target_": f"vaekit.spaces.{type(space).__name__}", **asdict(space), "shape": list(space.shape)}
    return yaml.dump({**config, "space": described}, Dumper=DUMPER, sort_keys=False)


def write_config(folder: Path, config: dict[str, Any], space: spaces.Space) -> None:
    """Write config.yaml. A finished run counts as unfinished until its metrics.json is written again.

    Args:
        folder: Folder of the run.
        config: The resolved configuration.
        space: Space of x.
    """
    (folder / "metrics.json").unlink(missing_ok=True)
    write_whole(folder / "config.yaml", describe(config, space))


def write_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write model.safetensors.

    Args:
        folder: Folder of the run.
        weights: Weights by name.
    """
    with whole_file(folder / "model.safetensors") as part:
        save_file(dict(weights), part)


def write_metrics(folder: Path, metrics: dict[str, float]) -> None:
    """Write metrics.json, the last file of a run.

    Args:
        folder: Folder of the run.
        metrics: Final metrics by name.
    """
    write_whole(folder / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
