"""Progress bars."""

import time
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import TypeVar

from rich.progress import Progress

T = TypeVar("T")


def track(sequence: Iterable[T], description: str, total: float | None = None) -> Iterator[T]:
    """Iterate under a progress bar, which is drawn at most ten times a second.

    `rich.progress.track` draws in a thread. An error leaves its bar unfinished, and if the garbage collector then ends
    that bar while another one is drawn, the two threads wait for each other forever.

    Args:
        sequence: What to iterate over.
        description: The text of the bar.
        total: The number of items, if `sequence` does not know it.
    """
    with Progress(auto_refresh=False) as progress:
        task, drawn = progress.add_task(description, total=total or length_hint(sequence) or None), 0.0
        for value in sequence:
            yield value
            progress.advance(task)
            if time.monotonic() > drawn + 0.1:
                progress.refresh()
                drawn = time.monotonic()
