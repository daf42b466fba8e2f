"""Runs on the Hugging Face Hub: `hf://name/repository`, or `hf://name/repository@revision`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from vaekit.refusal import Refusal, reason

PREFIX = "hf://"
FILES = ["config.yaml", "model.safetensors", "metrics.json", "figures/*.png"]  # all that is downloaded


def download(address: str) -> Path:
    """Download a run, or find it in the cache of the hub's package.

    Args:
        address: `hf://name/repository`, with `@revision` for a commit, branch or tag.

    Returns:
        A folder with the run's files, of which none is code.

    Raises:
        Refusal: If the package is not installed, or the run cannot be downloaded.

    Example:
        >>> download("hf://me/digits")  # doctest: +SKIP
    """
    name, _, revision = address.removeprefix(PREFIX).partition("@")
    try:
        return Path(_package().snapshot_download(name, revision=revision or None, allow_patterns=FILES))
    except Refusal:
        raise
    except Exception as error:  # from the network, the account, or the name
        raise Refusal(
            f"Cannot download {address} ({reason(error)}). "
            "Check the network and the name, or log in by `hf auth login`."
        ) from error


def upload(repository: str, folder: Path, private: bool = False) -> None:
    """Upload a folder to a repository, which is created if it does not exist.

    Args:
        repository: `name/repository`.
        folder: Its files are all uploaded.
        private: Whether a new repository is visible only to its owner.

    Raises:
        Refusal: If the package is not installed, or the upload fails.
    """
    hub = _package()
    try:
        hub.create_repo(repository, exist_ok=True, private=private)
        hub.upload_folder(repo_id=repository, folder_path=folder)
    except Exception as error:  # from the network, the account, or the name
        raise Refusal(
            f"Cannot upload to {repository} ({reason(error)}). Check the network, or log in by `hf auth login`."
        ) from error


def _package() -> Any:
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        raise Refusal("The hub needs the package huggingface_hub. Type: pip install 'vaekit[hub]'.") from error
