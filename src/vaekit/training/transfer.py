"""Training from the weights of an earlier run, and parts whose weights are frozen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from torch import Tensor, nn

from vaekit.overrides import typed
from vaekit.refusal import Refusal
from vaekit.renames import weights_of
from vaekit.vae import VAE


def part_of(name: str) -> str:
    """The part of the configuration that a weight or module belongs to.

    Args:
        name: Name in the VAE, e.g. `likelihood.network.0.weight`.

    Returns:
        E.g. `network.encoder`.
    """
    path = name.split(".")
    if path[0] == "encoder":
        return "network.encoder"
    if path[:2] == ["likelihood", "network"]:
        return "network.decoder"
    return next((arrow for arrow in ("posterior", "prior") if arrow in path), path[0])


def match(vae: VAE, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights of another run that fit a VAE.

    Args:
        vae: The new model.
        weights: Weights of the other run, by name.

    Returns:
        The weights of each part that fits in all names and shapes, and the reason for each part that does not.
    """
    new, trained = _by_part(vae.state_dict()), _by_part(weights_of(weights, vae))
    reasons = {part: _difference(new.get(part, {}), trained.get(part, {})) for part in {**new, **trained}}
    fitting = [part for part, reason in reasons.items() if not reason]
    return (
        {name: weight for part in fitting for name, weight in trained[part].items()},
        {part: reason for part, reason in reasons.items() if reason},
    )


def _by_part(weights: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, weight in weights.items():
        parts.setdefault(part_of(name), {})[name] = weight
    return parts


def _difference(new: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> str:
    """The first difference in names or shapes, "" for none."""
    if not trained:
        return "that run has none"
    if not new:
        return "this model has none"
    for name in {**new, **trained}:
        shapes = [list(each[name].shape) if name in each else "missing" for each in (trained, new)]
        if shapes[0] != shapes[1]:
            return f"{name} is {shapes[0]} in that run, {shapes[1]} in this model"
    return ""


def describe(weights: Mapping[str, Tensor], unlike: Mapping[str, str]) -> str:
    """What `match` found, in one line.

    Args:
        weights: Weights that fit.
        unlike: Reason for each part that does not fit.
    """
    started = ", ".join(_by_part(weights)) or "nothing"
    return "; ".join([f"{started} loaded", *(f"{part} not ({reason})" for part, reason in unlike.items())]) + "."


def freeze(vae: VAE, names: str | Collection[str] | None) -> list[nn.Module]:
    """Stop the training of parts.

    Args:
        vae: The model.
        names: Parts as in the configuration, one or several; `network` stands for both networks.

    Returns:
        Modules that must stay in evaluation mode.

    Raises:
        Refusal: For an unknown part, and if nothing would be left to train.
    """
    parts = sorted({part_of(name) for name in vae.state_dict()})
    names = [names] if isinstance(names, str) else [str(name) for name in names or ()]
    for name in names:
        if not any(_covers(name, part) for part in parts):
            near = get_close_matches(name, parts, 1) or parts
            raise Refusal(
                f"freeze={name} is not a part of this model with weights. Its parts are {', '.join(parts)}. "
                f"Try {typed('freeze', [near[0]])}."
            )

    def held(name: str) -> bool:
        return any(_covers(each, part_of(name)) for each in names)

    for name, weight in vae.named_parameters():
        if held(name):
            weight.requires_grad_(False)
    if names and not any(weight.requires_grad for weight in vae.parameters()):
        raise Refusal(f"freeze=[{','.join(names)}] leaves nothing to train. Remove at least one part from it.")
    return [module for name, module in vae.named_modules() if held(name)]


def _covers(name: str, part: str) -> bool:
    return f"{part}.".startswith(f"{name}.")
