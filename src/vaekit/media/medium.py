"""How examples of a space are read from files, and written into files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from vaekit.batch import Batch
from vaekit.media.figures import Headings
from vaekit.refusal import Refusal
from vaekit.spaces import Space

Names = Sequence[str] | Sequence[int]
Read = Callable[[slice], Batch]
# arguments: folder, raw rows `[n, *space.shape]`, their labels `[n]`, and the name of each label
Write = Callable[[Path, np.ndarray, Tensor | None, Mapping[int, str]], None]
SHOWN = 256  # largest number of panels in a picture


class Imputed(NamedTuple):
    """Examples whose missing values were imputed.

    Args:
        observed: `[n, *space.shape]`, NaN where values were missing.
        mean: `[n, *space.shape]`, the mean of the imputations.
        draws: `[draws, n, *space.shape]`, multiple imputations.
        truth: `[n, *space.shape]`, or None if it is unknown.
        source: The file of the user, if there is one.
    """

    observed: Tensor
    mean: Tensor
    draws: Tensor
    truth: Tensor | None = None
    source: str | Path | None = None


class Medium:
    """How examples of a space are read from files, and written into files.

    Each kind of space has one, in the file with the name of the space.

    Args:
        space: The data space.
        spreadsheet: Whether CSV files are safe to open in a spreadsheet, see `write_csv`.
        table: The table, or sheet, to read of files with several.

    Attributes:
        drawn: Whether generated examples must be draws from p(x | z), because its mean is not an example.
    """

    drawn = False

    def __init__(self, space: Any, spreadsheet: bool = False, table: str | None = None):
        self.space, self.spreadsheet, self.table = space, spreadsheet, table

    def open(self, path: Path) -> tuple[Names, Read]:
        """The names of the examples in an existing file or folder, and a function that reads a slice of them.

        The function returns a batch in the data space, with its mask. Both raise `Refusal` for examples that cannot be
        read or do not fit.
        """
        raise NotImplementedError

    def read_incomplete(self, path: str | Path) -> Batch:
        """All examples, 0 where values are missing. Raises `Refusal` as `find` does."""
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

    def write_labeled(
        self, path: Path, x: Tensor, columns: int, label: Tensor | None, headings: Headings = Headings()
    ) -> None:
        """`write`, with labels `[n]` in files that have a column for them."""
        self.write(path, x, columns, headings)

    @property
    def set_writers(self) -> dict[str, Write]:
        """Functions that write a data set, by the NAME in data=NAME that reads it."""
        return {"arrays": write_arrays}

    def write_imputed(self, folder: Path, imputed: Imputed) -> None:
        """Write imputed examples.

        Args:
            folder: An existing folder.
            imputed: The examples.
        """
        draws = {f"draw_{i}": each for i, each in enumerate(imputed.draws, 1)}
        for name, each in {"imputed": imputed.mean, **draws}.items():
            title = "mean of the draws" if name == "imputed" else name.replace("_", " ")
            self.write(folder / name, each, 1, Headings(f"Imputed values: {title}"))

    # Common to all media ------------------------------------------------------------------------------------------

    def find(self, path: str | Path) -> tuple[Names, Read]:
        """`open` of a path. Raises `Refusal` as `open` does, and if the path does not exist."""
        return self.open(existing(path))

    def one(self, path: str | Path) -> Tensor:
        """The one example in a file, `[1, *space.shape]`. Raises `Refusal` as `open` does, or if there are more."""
        names, read = self.find(path)
        if len(names) != 1:
            raise Refusal(f"{path} holds {len(names)} examples, expected one; save that example in a separate file.")
        return read(slice(1)).x


def existing(path: str | Path) -> Path:
    """The path of a file or folder that exists.

    Args:
        path: It may start with ~.

    Raises:
        Refusal: If there is neither a file nor a folder; reading from a pipe would never end.
    """
    path = Path(path).expanduser()
    if not (path.is_file() or path.is_dir()):  # reading from a pipe might never end
        raise Refusal(f"There is no file or folder {path.absolute()}; name an existing one.")
    return path


def write_arrays(folder: Path, x: np.ndarray, label: Tensor | None, classes: Mapping[int, str]) -> None:
    """Write synthetic.npz: x, and y, the labels.

    Args:
        folder: An existing folder.
        x: Rows as the data set holds them, `[n, *space.shape]`.
        label: `[n]`, or None.
        classes: The name of each label; the arrays hold the labels.
    """
    arrays: dict[str, Any] = {"x": x} if label is None else {"x": x, "y": label.numpy()}
    np.savez(folder / "synthetic.npz", **arrays)


def medium(space: Space, spreadsheet: bool = False, table: str | None = None) -> Medium:
    """The medium of a space.

    Args:
        space: The data space.
        spreadsheet: See `Medium`.
        table: See `Medium`.

    Raises:
        Refusal: If the space has none.

    Example:
        >>> from vaekit.media.medium import medium
        >>> from vaekit.spaces import Image
        >>> type(medium(Image((1, 8, 8)))).__name__
        'Image'
    """
    return getattr(import_module(check_medium(space)), type(space).__name__)(space, spreadsheet, table)


def check_medium(space: Space) -> str:
    """The module of the medium of a space.

    A space derived from another one does not inherit its medium, because its units may differ.

    Args:
        space: The data space.

    Raises:
        Refusal: If there is no medium.
    """
    name = type(space).__name__
    module = f"vaekit.media.{name.lower()}"
    if not find_spec(module):
        raise Refusal(
            f"No medium reads and writes the files of the space {name}. Expected the class {name} in "
            f"src/vaekit/media/{name.lower()}.py. Add it, e.g. derived from the medium of vectors: class {name}(Real)."
        )
    return module
