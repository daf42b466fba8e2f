"""New levels of a game, and whether they can be played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.distributions import Categorical
from torch.nn.functional import one_hot

from vaekit.capabilities import Capability
from vaekit.data.module import Part
from vaekit.media.figures import Headings
from vaekit.media.levels import rounded
from vaekit.metrics.playable import playable
from vaekit.spaces import Levels
from vaekit.tasks.shared.checks import one_of, positive, within
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.requires import requires
from vaekit.track import track

CHUNK = 64  # levels drawn at once
PARTS: tuple[Part, ...] = ("train", "val", "test")


@requires(Capability.PLAYABLE)
def play(
    context: Context,
    n: int = 100,
    tries: int = 1,
    source: str = "prior",
    temperature: float = 1.0,
    label: int | Sequence[int] | None = None,
) -> dict[str, float]:
    """Write new levels of a game: levels/, levels.png, levels.csv and play.json.

    Tiles are as frequent as under the mean of p(x | z) (`vaekit.media.levels.rounded`). A level is playable if it has
    one `spawn` from which everything `pickupable` can be reached (`vaekit.metrics.playable`).

    play.json has fractions of playable levels: `first` of first attempts, `kept` of the levels that are written after
    `tries` attempts (on average `tries`), `draws` of levels whose cells are all drawn from p(x | z), `real` of the
    data, and `frequencies` of levels whose cells are drawn separately, with the frequencies of the training levels.
    `differs` is the median fraction of cells in which a level differs from the nearest training level, mirrored or not
    (0 is a copy), and `differs_real` that of test levels. levels.csv has these for each level.

    Args:
        context: The run.
        n: Number of levels.
        tries: Attempts for each level until one is playable.
        source: Of z: prior for p(z), posterior for q(z | x) of random training levels, i.e. variants of them.
        temperature: Multiplies the standard deviation of z.
        label: Condition of all levels, for a conditional model and source=prior.

    Returns:
        The contents of play.json.

    Raises:
        Refusal: For data that are not such levels, n < 1, and tries < 1.
    """
    space = context.vae.space
    assert isinstance(space, Levels)
    for name, value in (("n", n), ("tries", tries)):
        within(f"task.{name}", value, 1)
    positive("task.temperature", temperature)
    one_of("task.source", source, ("prior", "posterior"))
    rows, tiles = context.data.in_order("train"), np.array([*space.tiles])

    def means(count: int) -> Tensor:
        """`[count, tiles, height, width]`."""
        if source == "prior":
            return context.vae.sample(count, temperature, False, label)
        batch = context.ready(rows.gather(rows.indices[torch.randint(len(rows.indices), (count,))]))
        return context.vae.vary(batch.x, 1, temperature, context.vae.condition_of(batch))[:, 0]

    def is_playable(level: Tensor) -> bool:
        """Whether a level of tiles by number, `[height, width]`, is playable."""
        return playable(["".join(line) for line in tiles[level.numpy()]], space.tiles)

    def playable_fraction(levels: Tensor) -> float:
        return float(np.mean([is_playable(level) for level in levels]))

    levels, attempts, done = (
        torch.empty(n, *space.cell_shape, dtype=torch.long),
        torch.zeros(n, dtype=torch.long),
        set[int](),
    )
    for _ in track(range(tries), "drawing levels"):
        remaining = [number for number in range(n) if number not in done]
        for part in (remaining[at : at + CHUNK] for at in range(0, len(remaining), CHUNK)):
            for number, mean in zip(part, means(len(part)), strict=True):
                levels[number] = rounded(mean)
                attempts[number] += 1
                if is_playable(levels[number]):
                    done.add(number)

    train, val, test = (tiles_of(context, part) for part in PARTS)
    frequencies = torch.stack([(train == tile).float().mean(0) for tile in range(len(tiles))], -1)
    p = torch.cat([means(count).cpu() for count in context.chunks(n)]).movedim(1, -1)
    numbers, differs = nearest(levels, train)
    found = {
        "first": sum(int(attempts[number]) == 1 for number in done) / n,
        "kept": len(done) / n,
        "tries": float(attempts.float().mean()),
        "draws": playable_fraction(Categorical(p).sample()),
        "real": playable_fraction(torch.cat([train, val, test])),
        "frequencies": playable_fraction(Categorical(frequencies).sample((n,))),
        "differs": float(differs.median()),
        "differs_real": float(nearest(test, train)[1].median()),
    }
    x = one_hot(levels, len(tiles)).movedim(-1, 1).float()
    title = f"{len(done)} of {n} levels are playable"
    cells = [f"{number + 1}{'' if number in done else ': not playable'}" for number in range(n)]
    context.show("levels", x, min(8, math.ceil(math.sqrt(n))), Headings(title, cells=cells))
    data: Any = context.data.source
    written: list[Any] = [["level", "playable", "tries", "nearest_training_level", "differs"]]
    for number in range(n):
        name = data.names[rows.indices[numbers[number]]]
        written.append([number + 1, int(number in done), int(attempts[number]), name, f"{differs[number]:.4f}"])
    context.write_csv("levels.csv", written)
    context.write_json("play.json", found)
    report(found)
    return found


def tiles_of(context: Context, part: Part) -> Tensor:
    """The tiles of the levels of a part of the data, by number.

    Args:
        context: The run.
        part: Which levels.

    Returns:
        `[N, height, width]`.
    """
    rows = context.data.in_order(part)
    return torch.cat([context.ready(batch).x.cpu() for batch in rows]).argmax(1)


def nearest(levels: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest of other levels, mirrored or not, by the number of cells that differ.

    Args:
        levels: `[M, H, W]`.
        others: `[N, H, W]`.

    Returns:
        Its number for each level `[M]`, and the fraction of cells that differ `[M]`.
    """
    both = torch.cat([others, others.flip(-1)])
    differs = torch.stack([(both != level).float().mean((1, 2)) for level in levels])
    least, number = differs.min(1)
    return number % len(others), least


def report(found: dict[str, float]) -> None:
    """Print the fractions of playable levels.

    Args:
        found: The contents of play.json.
    """
    table = Table("levels", "playable")
    for name in ("first", "kept", "draws", "real", "frequencies"):
        table.add_row(name, f"{found[name]:.3f}")
    Console().print(table)
    Console().print(
        f"{found['tries']:.2f} attempts per level; cells that differ from the nearest training level: "
        f"{found['differs']:.1%} (test levels {found['differs_real']:.1%})"
    )
