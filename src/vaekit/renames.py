"""Names that files of vaekit 0.1 contain, and their names now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

WEIGHTS = {
    "blocks.N.look": "qkv",
    "blocks.N.join": "out_proj",
    "blocks.N.think": "mlp",
    "places": "position_embedding",
    "seed": "stem",
    "levels.N.meet": "posterior_mlp",
    "levels.N.below": "state_mlp",
    "levels.N.join": "posterior_proj",
    "levels.N.look": "posterior_block",
    "levels.N.ahead": "prior_block",
    "levels.N.project": "z_proj",
    "levels.N.refine": "state_block",
    "latents.open": "condition_proj",
    "encoder.missing": "missing_token",
    "encoder.first": "cls_token",
    "network.tokens": "token_proj",
    "likelihood.pixels": "pixelcnn",
    "likelihood.cells": "pixelcnn",
    "likelihood.samples": "wavenet",
    "pixelcnn.down": "vertical",
    "pixelcnn.right": "horizontal",
    "pixelcnn.colours": "previous_channels",
    "layers.N.down": "vertical",
    "layers.N.right": "horizontal",
    "layers.N.across": "vertical_to_horizontal",
    "layers.N.told": "context_proj",
    "likelihood.below": "lower_triangle",
    "likelihood.raw_freedom": "raw_df",
    "writer.start": "hidden_proj",
    "writer.enter": "input_proj",
    "writer.attend": "transformer",
    "posterior.cold_logit": "inverse_temperature_logit",
    "posterior.context": "context_proj",
    "posterior.uses": "cluster_size",
    "posterior.sums": "cluster_sum",
    "prior.pseudo": "pseudo_inputs",
    "prior.numbers": "row_numbers",
    "prior.network.start": "start_token",
    "prior.network.states": "transformer",
    "condition.seen": "training_values",
    "condition.often": "training_counts",
    "penalties.spectral.right": "right_singular_vectors",
    "aggregate.rows": "num_train",
}
"""Weights: the old name, with N for any number, and the last part of the new one. Applied from top to bottom."""
SETTINGS = {
    "vaekit.likelihoods.bernoulli_autoregressive.BernoulliAutoregressive": {"reach": "radius"},
    "vaekit.likelihoods.tokens.Tokens": {"told": "context"},
    "vaekit.penalties.image_adversary.ImageAdversary": {"fooling": "generator_weight"},
    "vaekit.posteriors.hamiltonian.Hamiltonian": {"cold": "inverse_temperature"},
}
"""Settings of parts, by the class that `_target_` names."""
FIELDS = {"levels": "bins"}
"""Fields of spaces."""


def settings_of(config: Any) -> Any:
    """A configuration with the current names of its settings.

    Args:
        config: That of a run, or a part of it.

    Example:
        >>> settings_of({"_target_": "vaekit.likelihoods.tokens.Tokens", "told": 64})["context"]
        64
    """
    if isinstance(config, list):
        return [settings_of(each) for each in config]
    if not isinstance(config, dict):
        return config
    target = config.get("_target_")
    new = SETTINGS.get(target, {}) if isinstance(target, str) else {}
    return {new.get(name, name): settings_of(value) for name, value in config.items()}


def fields_of(space: Any) -> Any:
    """The description of a space with the current names of its fields.

    Args:
        space: As it stands in the configuration of a run.

    Example:
        >>> fields_of({"levels": 16})
        {'bins': 16}
    """
    if not isinstance(space, dict):
        return space
    return {FIELDS.get(name, name): fields_of(value) for name, value in space.items()}


def weights_of(weights: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Weights by the names of this version, which may differ from those of the version that wrote them.

    Args:
        weights: Weights by name.
        module: Module that will load them. A name that it has, or that is unknown, stays as it is.
    """
    known = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    return {name if name in known else _current_name(name): weight for name, weight in weights.items()}


def _current_name(name: str) -> str:
    for old, new in WEIGHTS.items():
        *parents, last = old.split(".")
        parent = "".join(rf"{r'[0-9]+' if each == 'N' else each}\." for each in parents)
        name = re.sub(rf"(?<![^.])({parent}){last}(?![^.])", rf"\g<1>{new}", name)
    return name
