"""Checks the requirements of a run on this machine, and settings that are not valid in any training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from omegaconf import OmegaConf

from vaekit.refusal import Refusal
from vaekit.settings import check_type, check_types


def check_run(config: Any) -> None:
    """Check the settings of a training that do not belong to a part of the model.

    Args:
        config: The whole configuration.

    Raises:
        Refusal: For numbers out of range, a device that this machine lacks, and a missing W&B account.
    """
    for group in ("data", "optimizer", "privacy", "trainer"):
        check_types(config[group], group)
    hints = {"seed": int, "compile": bool, "evaluation.num_samples": int}
    for key, hint in (hints | dict.fromkeys(("optimizer.lr", "optimizer.warmup"), float)).items():
        check_type(key, OmegaConf.select(config, key), hint)
    if not 0 <= config["seed"] < 2**32:
        raise Refusal(f"seed={config['seed']} must be from 0 to {2**32 - 1}; use seed=1.")
    if config["optimizer"]["lr"] <= 0:
        raise Refusal(f"optimizer.lr={config['optimizer']['lr']} must be above 0; use optimizer.lr=1e-3.")
    if (epochs := config["trainer"]["max_epochs"]) is not None and epochs < -1:
        raise Refusal(f"trainer.max_epochs={epochs} must be at least 0, or -1 for no limit; use trainer.max_epochs=10.")
    cuda, mps = torch.cuda.is_available, torch.backends.mps.is_available
    available: dict[str, Callable[[], bool]] = {"gpu": lambda: cuda() or mps(), "cuda": cuda, "mps": mps}
    accelerator = config["trainer"]["accelerator"]
    if accelerator in available and not available[accelerator]():
        raise Refusal(f"trainer.accelerator={accelerator}: torch finds none on this machine; use trainer=cpu.")
    if (clip := config["trainer"]["gradient_clip_val"]) is not None and clip < 0:
        raise Refusal(f"trainer.gradient_clip_val={clip} must be at least 0; use trainer.gradient_clip_val=1.")
    online = (config["logger"] or {}).get("wandb")
    if online and not online.get("offline"):
        import wandb  # without an account it would prompt on the terminal

        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
            raise Refusal(
                "logger=wandb: this machine is not logged in to W&B; type `wandb login`, or set WANDB_MODE=offline."
            )
