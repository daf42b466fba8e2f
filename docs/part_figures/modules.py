"""Figures of networks and latents: the shapes that pass through a model, drawn as bars."""

import math
from functools import partial
from itertools import takewhile
from pkgutil import resolve_name
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from part_figures.drawing import Drawing
from vaekit.batch import Batch
from vaekit.configs import options
from vaekit.data.text import learn
from vaekit.hydra_job import compose
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal
from vaekit.spaces import Audio, Image, Pairs, Series, Space, Table, Text
from vaekit.spaces.column import Column
from vaekit.vae import VAE

IMAGE = Image((1, 28, 28), bins=2)
SPACES: list[Space] = [  # a part is drawn with the first one that it fits
    IMAGE,
    Series((4, 64), ["a", "b", "c", "d"], [0.0] * 4, [1.0] * 4),
    Audio((1, 1, 4096), bins=256),
    Text((16,), learn(["A man runs.", "Two men run."])),
    Table.of([Column("income", "binary", ["low", "high"]), Column("town", "categorical", ["Bonn", "Kiel", "Ulm"])]),
    Pairs.of(IMAGE, 10),
]
COLORS = {"x": "gray", "encoder": "tab:blue", "latents": "tab:orange", "decoder": "tab:green"}


class Layer(NamedTuple):
    """What a layer gives for one row."""

    part: str
    name: str
    shape: tuple[int, ...]


def network(name: str) -> Drawing | str:
    return of_model("network", name, "What each layer with weights gives for one row, and z")


def latents(name: str) -> Drawing | str:
    return of_model(
        "latents", name, "Features, z of each level, top level first, and what the likelihood gives, of one row"
    )


def of_model(group: str, name: str, caption: str) -> Drawing | str:
    """The shapes within the first model that has a part: the default model with it, or else a preset."""
    presets = [key for key, preset in options("model").items() if {f"override /{group}": name} in preset["defaults"]]
    refusals = []
    for space in SPACES:
        likelihoods = options("likelihood").items()
        likelihood = next(key for key, each in likelihoods if resolve_name(each["_target_"]).scores(space))
        for words in (f"{group}={name}", *(f"model={key}" for key in presets)):
            try:
                vae, *_ = Plan.read(compose("train", [*words.split(), f"likelihood={likelihood}"]), space).build()
            except Refusal as refusal:
                refusals.append(str(refusal))
                continue
            layers = shapes(vae, whole=group == "latents")
            return Drawing(
                {"": partial(bars, layers=layers)},
                f"{caption}: `{words} likelihood={likelihood}`, {space.description}.",
            )
    return f"No figure: {refusals[0]}"


def shapes(vae: VAE, whole: bool) -> list[Layer]:
    """What passes through a model; of encoder and decoder as a whole, or of each of their layers with weights."""
    space, found = vae.space, list[Layer]()

    def record(part: str, module: nn.Module, output: Any) -> None:
        while not isinstance(output, Tensor):  # of a GRU, packed states and the last one
            output = output[0]
        found.append(Layer(part, type(module).__name__, tuple(output.shape[1:])))

    for part, network in (("encoder", vae.encoder), ("decoder", vae.likelihood.network)):
        for module in network.modules():
            weights = any(each.dim() > 1 for each in module.parameters(recurse=False))
            if module is network if whole else weights and not any(module.children()):
                module.register_forward_hook(lambda module, _, output, part=part: record(part, module, output))
    x = torch.from_numpy(space.pad([[3, 4]])).float() if isinstance(space, Text) else torch.zeros(1, *space.shape)
    with torch.no_grad():
        terms = vae.eval()(Batch(x, label=torch.zeros(1).long()))
    levels = [
        Layer("latents", f"z of level {number}", tuple(step.q.event_shape)) for number, step in enumerate(terms.steps)
    ]
    ends = [Layer("x", "x", tuple(space.shape)), Layer("x", "parameters of p(x | z)", tuple(vae.likelihood.bias.shape))]
    layers = {part: [each for each in found if each.part == part] for part in COLORS}
    return [ends[0], *layers["encoder"], *levels, *layers["decoder"], ends[1]]


def runs(layers: list[Layer]) -> list[tuple[Layer, int]]:
    """Layers, each with the number of times that it, or the block of layers it is in, is repeated in a row."""
    found: list[tuple[Layer, int]] = []
    while layers:
        best, repeats = 1, 1
        for length in range(1, len(layers) // 2 + 1):
            blocks = [layers[start : start + length] for start in range(0, len(layers), length)]
            equal = len([*takewhile(lambda block, first=blocks[0]: block == first, blocks)])
            if length * (equal - 1) > best * (repeats - 1):
                best, repeats = length, equal
        found += [(layer, repeats) for layer in layers[:best]]
        layers = layers[best * repeats :]
    return found


def bars(axis: Any, layers: list[Layer]) -> None:
    """A bar for each layer, top to bottom."""
    rows = runs(layers)
    size = min(7, 140 / len(rows))
    for row, (layer, _) in enumerate(rows):
        values, shape = math.prod(layer.shape), "x".join(map(str, layer.shape))
        axis.barh(row, values, color=COLORS[layer.part])
        text = f"{shape} = {values:,}" if len(layer.shape) > 1 else f"{values:,}"
        axis.text(values * 1.1, row, text, va="center", fontsize=size)
    names = [f"{repeats} times {layer.name}" if repeats > 1 else layer.name for layer, repeats in rows]
    axis.set_yticks(range(len(rows)), names, fontsize=size)
    axis.set(xscale="log", xlabel="numbers of one row", xlim=(1, 300 * max(math.prod(each.shape) for each in layers)))
    axis.invert_yaxis()
    handles = [axis.barh(0, 0, color=color) for color in COLORS.values()]
    axis.legend(handles, COLORS, fontsize=7, ncols=len(COLORS), loc="lower center", bbox_to_anchor=(0.5, 1))
