"""Figures of likelihoods: the distribution of one value, or of two values together."""

import json
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from part_figures.drawing import Drawing, chosen, fit
from vaekit.capabilities import Capability
from vaekit.data.text import learn
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import UNKNOWN, Audio, Image, Levels, Pairs, Real, Series, Space, Table, Text
from vaekit.spaces.column import Column

SINGLE = [  # of one value each
    Image((1, 1, 1), bins=17),
    Image((1, 1, 1), bins=2),
    Real((1,)),
    Image((1, 1, 1), bins=17, dequantized=True),
]
MEANS = (0.1, 0.3, 0.7)


class Silent(nn.Module):
    """A network that gives zeros, so that p(x | z) is that of the likelihood's bias."""

    in_shape = (1,)

    def __init__(self, *shape: int):
        super().__init__()
        self.shape = shape

    def forward(self, z: Tensor) -> Tensor:
        return torch.zeros(len(z), *self.shape)


def likelihood(name: str) -> Drawing | str:
    choice = chosen("likelihood", name)
    kind: type[Likelihood] = choice.kind
    if Capability.FACTORISED in kind.gives:
        for space in filter(kind.scores, SINGLE):
            part = built(choice, space)
            biases = {mean: part.bias_at(torch.full(space.shape, mean)) for mean in MEANS}
            if not torch.equal(biases[MEANS[0]], biases[MEANS[-1]]):  # else it starts at the same, whatever the mean
                return of_one_value(part, biases)
    for two in two_values():
        if kind.scores(two.space):
            return of_two_values(built(choice, two.space), two)
    return "No figure: its values are not among those that docs/part_figures/likelihoods.py can list."


def built(choice: Any, space: Space) -> Likelihood:
    return choice(space, lambda params: Silent(params, *space.shape))


def of_one_value(part: Likelihood, biases: dict[float, Tensor]) -> Drawing:
    space = part.space
    discrete = space.values in ("binary", "discrete")
    low, high = (-3.0, 4.0) if space.values == "continuous" else (0.001, 0.999)
    x = torch.linspace(0, 1, space.bins) if discrete else torch.linspace(low, high, 500)

    @torch.no_grad()
    def draw(axis: Any) -> None:
        for mean, bias in biases.items():
            part.bias.copy_(bias)
            p = part(torch.zeros(1, 1)).log_prob(x.reshape(-1, *space.shape)).exp()
            axis.plot(x, p, marker="o" if discrete else None, linestyle=":" if discrete else "-", label=f"{mean:g}")
        axis.set(xlabel="x", ylabel="p(x | z)" if discrete else "density p(x | z)", ylim=(0, None))
        axis.legend(title="mean")

    what = "probability" if discrete else "density"
    return Drawing({"one value": draw}, f"The {what} of one value, for three means, with the default settings.")


class Two(NamedTuple):
    """All x of a space of two values, or those on a grid: `every` is `[N, M, *space.shape]`."""

    space: Space
    every: Tensor
    rows: Sequence[Any]  # values of the first
    columns: Sequence[Any]  # values of the second
    names: tuple[str, str]


def two_values() -> list[Two]:
    """An example of each space with two values."""
    grays, real = (
        [(torch.arange(float(bins)) / (bins - 1)).tolist() for bins in (9, 2)],
        torch.linspace(-3, 3, 41).tolist(),
    )
    tiles = {"-": ["passable"], "X": ["solid"], "E": ["enemy"], "o": ["collectable"]}
    tokenizer = learn(["one man runs", "two men run"])
    words = {word: number for word, number in json.loads(tokenizer)["model"]["vocab"].items() if number > UNKNOWN}
    town, grade = (
        Column("town", "categorical", ["Bonn", "Kiel", "Ulm"]),
        Column("grade", "ordinal", ["1", "2", "3", "6"]),
    )
    table, pairs = Table.of([town, grade]), Pairs.of(Image((1, 1, 1), bins=2), classes=4)
    cells = torch.from_numpy(table.encode([*zip(*product(town.categories, grade.categories), strict=True)])[0])
    labels = torch.arange(8)
    return [
        *(
            Two(
                Image((1, 1, 2), bins=len(gray)),
                both(gray)[:, :, None, None],
                gray,
                gray,
                ("first pixel", "second pixel"),
            )
            for gray in grays
        ),
        Two(Audio((1, 1, 2), bins=9), both(grays[0])[:, :, None, None], grays[0], grays[0], ("sample 0", "sample 1")),
        Two(
            Series((2, 1), ["a", "b"], [0.0, 0.0], [1.0, 1.0]),
            both(real).unsqueeze(-1),
            real,
            real,
            ("series a", "series b"),
        ),
        Two(
            Levels((4, 1, 2), tiles=tiles),
            torch.eye(4)[both(range(4)).long()].movedim(-1, -2).unsqueeze(-2),
            [*tiles],
            [*tiles],
            ("first cell", "second cell"),
        ),
        Two(Text((2,), tokenizer), both([*words.values()]), [*words], [*words], ("first token", "second token")),
        Two(table, cells.unflatten(0, (3, 4)), town.categories, grade.categories, (town.name, grade.name)),
        Two(
            pairs,
            pairs.pair((labels // 4).float().reshape(-1, 1, 1, 1), labels % 4).unflatten(0, (2, 4)),
            [0, 1],
            [0, 1, 2, 3],
            ("pixel", "label"),
        ),
    ]


def both(values: Sequence[float]) -> Tensor:
    """All pairs of values, `[N, N, 2]`."""
    each = torch.tensor(values).float()
    return torch.stack(torch.meshgrid(each, each, indexing="ij"), -1)


def dependent(rows: int, columns: int) -> Tensor:
    """Probabilities `[rows, columns]` of two values that are low or high together."""
    u, v = torch.meshgrid(torch.linspace(0, 1, rows), torch.linspace(0, 1, columns), indexing="ij")
    p = ((-((u - v) ** 2) / 0.02).exp() + 0.02) * ((-((u - 0.2) ** 2) / 0.03).exp() + (-((u - 0.8) ** 2) / 0.03).exp())
    return p / p.sum()


def of_two_values(part: Likelihood, two: Two) -> Drawing:
    x, data = two.every.flatten(0, 1), dependent(len(two.rows), len(two.columns))

    def log_prob() -> Tensor:
        return part(torch.zeros(1, 1)).log_prob(x).reshape(data.shape)

    with torch.no_grad():
        part.bias.copy_(part.bias_at(torch.einsum("i,i...->...", data.flatten(), x)))
    fit(part.parameters(), lambda: -(data * log_prob()).sum(), steps=200, lr=5e-2)
    part.eval()
    with torch.no_grad():
        p = log_prob().exp()
    p /= p.sum()  # on a grid it was a density
    panels = {"data": data, "p(x | z)": p}

    def panel(p: Tensor) -> Callable[[Any], None]:
        def draw(axis: Any) -> None:
            shown = axis.imshow(
                p,
                cmap="Blues",
                vmin=0,
                vmax=max(float(each.max()) for each in panels.values()),
                origin="lower",
                aspect="auto",
            )
            axis.figure.colorbar(shown, label="probability")
            axis.set(xlabel=two.names[1], ylabel=two.names[0])
            for ticks, values in ((axis.set_xticks, two.columns), (axis.set_yticks, two.rows)):
                step = 1 if isinstance(values[0], str) else max(1, (len(values) - 1) // 4)
                ticks(
                    range(0, len(values), step),
                    [each if isinstance(each, str) else f"{round(each, 2) + 0.0:g}" for each in values[::step]],
                )

        return draw

    independent = torch.allclose(p, p.sum(1, keepdim=True) * p.sum(0), atol=1e-4)
    return Drawing(
        {title: panel(p) for title, p in panels.items()},
        "Left: probabilities of two values that depend on each other. Right: p(x | z) of one z, fitted to them, under "
        f"which the two are {'independent' if independent else 'dependent'}.",
    )
