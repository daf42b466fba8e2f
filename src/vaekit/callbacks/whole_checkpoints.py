"""Checkpoints that are written completely or not at all, and whose paths stay in their folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from vaekit.refusal import Refusal
from vaekit.whole_file import whole_file


def rebase(state: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The state of a Lightning ModelCheckpoint with its paths moved to another folder.

    A run may have been moved or copied. Lightning deletes the files that these paths name, so a foreign checkpoint
    could delete any file.

    Args:
        state: State of the callback in a checkpoint.
        folder: The new folder of the files.

    Raises:
        Refusal: For a path outside the folder in which the state was saved.
    """

    def here(path: Any) -> str:
        old = Path(str(path))
        if not old.is_relative_to(str(state.get("dirpath"))) or ".." in old.parts:
            raise Refusal(
                f"The checkpoint names {path!r}, which is outside of the checkpoints/ of its run. Do not use it."
            )
        new = Path(folder, old.relative_to(str(state["dirpath"])))
        if not new.parent.resolve().is_relative_to(Path(folder).resolve()):
            raise Refusal(f"{new.parent} is a link that leads out of {folder}. Replace it by a folder.")
        return str(new)

    return {
        **{name: here(value) if value and name.endswith("_path") else value for name, value in state.items()},
        "best_k_models": {here(path): score for path, score in state["best_k_models"].items()},
        "dirpath": folder,
    }


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically, loads them without running code, and removes only single files.

    Lightning writes into the system's temporary folder and moves the file. On another disk moving is copying, and a run
    that is killed meanwhile keeps only part of its last.ckpt. Lightning also removes whole folders.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part, part.open("wb") as file:  # opened here, a full disk is an OSError
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: str | Path, map_location: Any = "cpu", weights_only: Any = None) -> dict[str, Any]:
        return torch.load(path, map_location=map_location, weights_only=True)

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)
