"""A bar over what is walked through."""

import time
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import TypeVar

from rich.progress import Progress

T = TypeVar("T")


def track(sequence: Iterable[T], description: str, total: float | None = None) -> Iterator[T]:
    """The values of `sequence`, under a bar that is drawn ten times a second at most; total: how many there are.

    As `rich.progress.track`, less its thread: an error leaves a bar unfinished, and where the garbage collector ends it
    while another is drawn, that thread and this one would wait for each other for ever.
    """
    with Progress(auto_refresh=False) as progress:
        task, drawn = progress.add_task(description, total=total or length_hint(sequence) or None), 0.0
        for value in sequence:
            yield value
            progress.advance(task)
            if time.monotonic() > drawn + 0.1:
                progress.refresh()
                drawn = time.monotonic()
