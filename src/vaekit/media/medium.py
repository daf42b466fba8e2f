"""What examples of a space are to people: how they are read from their files, and written into files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vaekit.batch import Batch
from vaekit.media.figures import Headings
from vaekit.refusal import Refusal
from vaekit.spaces import Space

Names = Sequence[str] | Sequence[int]
Read = Callable[[slice], Batch]
# rows as the data set holds them, `[n, *space.shape]`, their labels `[n]`, and the names that labels have, to a folder
Write = Callable[[Path, np.ndarray, Tensor | None, Mapping[int, str]], None]
SHOWN = 256  # panels of a picture at most: more are too small to be looked at


class Medium:
    """One for each kind of space, in the file that has the space's name: `medium` finds it there.

    drawn: whether only a draw from p(x | z) is an example, while its mean is not. spreadsheet: see `write_csv`.
    """

    drawn = False

    def __init__(self, space: Any, spreadsheet: bool = False):
        self.space, self.spreadsheet = space, spreadsheet

    def open(self, path: Path) -> tuple[Names, Read]:
        """The names of the examples in a file or folder, which is there, and what reads a slice of them: a batch in the
        data space, with its mask. Raises `Refusal` for what cannot be read or does not fit, now or on reading.
        """
        raise NotImplementedError

    def holed(self, path: str | Path) -> Batch:
        """All examples, 0 where values are missing. Raises as `find`."""
        return self.find(path)[1](slice(None))

    def write(self, path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
        """Write examples, or means of them, to `path` with a suffix.

        Args:
            path: The file without its suffix.
            x: `[n, *space.shape]`.
            columns: Examples in a row of a picture.
            headings: Texts of that picture.
        """
        raise NotImplementedError

    def write_labelled(
        self, path: Path, x: Tensor, columns: int, label: Tensor | None, headings: Headings = Headings()
    ) -> None:
        """`write`, with labels `[n]` in files that have a column for them."""
        self.write(path, x, columns, headings)

    @property
    def sets(self) -> dict[str, Write]:
        """What writes a data set, by the name of the data, data=NAME, that reads it."""
        return {"arrays": write_arrays}

    def write_imputed(
        self, folder: Path, holed: Tensor, mean: Tensor, draws: Tensor, truth: Tensor | None, source: str | Path | None
    ) -> None:
        """Write what was filled, `[n, *space.shape]`: its mean, and draws `[draws, n, *space.shape]`.

        holed: what was seen, NaN elsewhere. truth: all of it, where that is known. source: the user's file, if any.
        """
        for name, each in {"imputed": mean, **{f"draw_{i}": each for i, each in enumerate(draws, 1)}}.items():
            title = "mean of the draws" if name == "imputed" else name.replace("_", " ")
            self.write(folder / name, each, 1, Headings(f"Imputed values: {title}"))

    # What all of them share ------------------------------------------------------------------------------------------

    def find(self, path: str | Path) -> tuple[Names, Read]:
        """`open`. Raises `Refusal` as that does, and where there is nothing."""
        return self.open(there(path))

    def one(self, path: str | Path) -> Tensor:
        """The one example in a file, `[1, *space.shape]`. Raises `Refusal` as `open` does, or if there are more."""
        names, read = self.find(path)
        if len(names) != 1:
            raise Refusal(f"{path} holds {len(names)} examples, expected one; save the one alone, and name that file.")
        return read(slice(1)).x


def there(path: str | Path) -> Path:
    """A path that may start with ~. Raises `Refusal` where there is nothing."""
    path = Path(path).expanduser()
    if not (path.is_file() or path.is_dir()):  # from a pipe would be read for ever
        raise Refusal(f"There is no file or folder {path.absolute()}; name one that is there.")
    return path


def write_arrays(folder: Path, x: np.ndarray, label: Tensor | None, classes: Mapping[int, str]) -> None:
    """synthetic.npz: x, and y, the labels."""
    arrays: dict[str, Any] = {"x": x} if label is None else {"x": x, "y": label.numpy()}
    np.savez(folder / "synthetic.npz", **arrays)


def medium(space: Space, spreadsheet: bool = False) -> Medium:
    """The medium of a space. Raises `Refusal` as `check_medium`."""
    return getattr(import_module(check_medium(space)), type(space).__name__)(space, spreadsheet)


def check_medium(space: Space) -> str:
    """The module of the medium of a space.

    A space derived from another one does not inherit its medium, whose units may be others. Raises `Refusal` where
    there is no medium.
    """
    name = type(space).__name__
    module = f"vaekit.media.{name.lower()}"
    if not find_spec(module):
        raise Refusal(
            f"No medium reads and writes the files of the space {name}. Expected the class {name} in "
            f"src/vaekit/media/{name.lower()}.py. Add it, e.g. derived from that of vectors: class {name}(Real)."
        )
    return module
