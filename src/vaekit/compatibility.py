"""The only place that says a combination cannot be.

Parts declare what they read, score, need and give; here the declarations are compared, when a run is composed and
before any data is read. Every refusal ends in overrides that can be pasted.
"""

from typing import Any

import torch
from hydra.utils import get_class

from vaekit.configs import options
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real


def name(part: Any) -> str:
    """The name under which a part is chosen: its module's."""
    return part.__module__.rpartition(".")[2]


def choices(group: str, fits: Any) -> str:
    """The overrides of a group whose part `fits`, e.g. "likelihood=bernoulli or likelihood=categorical"."""
    targets = {key: get_class(option["_target_"]) for key, option in options(group).items() if "_target_" in option}
    return " or ".join(f"{group}={key}" for key, part in targets.items() if fits(part))


def check_space(space: Real, encoder: type, likelihood: type) -> None:
    """Raise `Refusal` unless the network reads this data space and the likelihood scores its values."""
    if not isinstance(space, encoder.reads):
        raise Refusal(
            f"network={name(encoder)} reads images, but the data are vectors of shape {list(space.shape)}; "
            "use network=mlp."
        )
    if isinstance(space, Image) and min(space.shape[1:]) < 8 and encoder.reads is Image:
        raise Refusal(f"network={name(encoder)} reads images from 8x8 up, got {list(space.shape)}; use network=mlp.")
    if space.values not in likelihood.values:
        others = choices("likelihood", lambda part: space.values in part.values)
        change_data = ""
        if isinstance(space, Image) and space.values == "discrete":
            fixes = {"binary": "data.binarize=dynamic", "continuous": "data.dequantize=true"}
            change_data = "".join(f", or {fix}" for kind, fix in fixes.items() if kind in likelihood.values)
        raise Refusal(
            f"likelihood={name(likelihood)} scores {' or '.join(sorted(likelihood.values))} values, "
            f"but the data are {space.values}; use {others}{change_data}."
        )


def check_latents(posterior: type, prior: type) -> None:
    """Raise `Refusal` unless posterior and prior are distributions over the same kind of space."""
    if posterior.latent is not prior.latent:
        fits = choices("prior", lambda part: part.latent is posterior.latent)
        raise Refusal(
            f"posterior={name(posterior)} lives on {posterior.latent.__name__}, prior={name(prior)} on "
            f"{prior.latent.__name__}; use {fits}."
        )


def check_objective(objective: Any, posterior: type, levels: int) -> None:
    """Raise `Refusal` unless the posterior and the tower give what the objective needs."""
    given = posterior.gives | ({"single_level"} if levels == 1 else frozenset())
    if missing := sorted(objective.needs - given):
        fits = choices("posterior", lambda part: objective.needs <= part.gives | {"single_level"})
        fix = "latents=single" if missing == ["single_level"] else fits
        raise Refusal(f"objective={name(type(objective))} needs {', '.join(missing)} of the posterior; use {fix}.")


def check_training(config: Any) -> None:
    """Raise `Refusal` for numbers that cannot train, and for a device that is not there."""
    if config["optimizer"]["lr"] <= 0:
        raise Refusal(f"optimizer.lr={config['optimizer']['lr']} must be above 0; use optimizer.lr=1e-3.")
    there = {"gpu": torch.cuda.is_available, "cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    accelerator = config["trainer"]["accelerator"]
    if accelerator in there and not there[accelerator]():
        raise Refusal(f"trainer.accelerator={accelerator}: this machine has none that torch can use; use trainer=cpu.")
