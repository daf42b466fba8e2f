"""A run on the Hugging Face Hub."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from vaekit import hub, run_files, runs
from vaekit.refusal import Refusal
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.model_card import model_card


def push_to_hub(context: Context, repository: str | None = None, private: bool = False) -> str:
    """Upload weights, configuration, metrics, figures and a model card, from which `vaekit.load` reads the run.

    The data are not uploaded, and neither are the paths of their files.

    Args:
        context: The run.
        repository: `name/repository`; it is created if it does not exist.
        private: Whether a new repository is visible only to its owner.

    Returns:
        The address for `vaekit.load`, `hf://name/repository`.

    Raises:
        Refusal: Without a repository, and where the upload fails.
    """
    if not repository or repository.count("/") != 1:
        raise Refusal(f"Got task.repository={repository}, expected NAME/REPOSITORY. Try task.repository=me/digits.")
    config = dict(context.config)
    config.pop("run_dir", None)
    run_files.write_config(context.out, config | {"data": _without_paths(config["data"])}, context.vae.space)
    run_files.write_metrics(context.out, runs.read_metrics(context.run))
    shutil.copy(context.run / "model.safetensors", context.out)
    figures = sorted((context.run / "figures").glob("*.png"))
    (context.out / "figures").mkdir()
    for figure in figures:
        shutil.copy(figure, context.out / "figures")
    address = f"{hub.PREFIX}{repository}"
    card = model_card(context, {}, [f"figures/{figure.name}" for figure in figures], address)
    (context.out / "README.md").write_text(card, encoding="utf-8")
    hub.upload(repository, context.out, private)
    return address


def _without_paths(node: Any) -> Any:
    """Settings, with null for each path of this machine."""
    if isinstance(node, dict):
        return {key: _without_paths(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_paths(value) for value in node]
    return None if isinstance(node, str) and (Path(node).is_absolute() or Path(node).exists()) else node
