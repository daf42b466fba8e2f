"""The container type of rows in memory, to which results are converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.data.npz import Npz
from vaekit.in_memory import frames
from vaekit.spaces import Image, Space, Table, Text

FRAMES = (*frames.LIBRARIES, "pyarrow")


@dataclass(frozen=True)
class Container:
    """The container type of rows in memory.

    Args:
        kind: `numpy`, `torch`, `pandas`, `polars` or `pyarrow`.
        device: Device of tensors.
        template: A table of Arrow without rows, whose columns have the types of the result.
        names: The user's names of its columns by their text, as far as they differ.
        index: The index of a pandas DataFrame.
        bytes: Whether images are gray values from 0 to 255.
        gray: Whether images `[N, H, W]` have no axis of channels.
        channels_last: Whether they are `[N, H, W, C]`.
    """

    kind: str = "numpy"
    device: Any = None
    template: Any = None
    names: Mapping[str, Any] = field(default_factory=dict)
    index: Any = None
    bytes: bool = False
    gray: bool = False
    channels_last: bool = False

    @classmethod
    def of(cls, x: Any, rows: Any, space: Space) -> Container:
        """The container type of rows.

        Args:
            x: As the user gave them.
            rows: As `convert` returns them.
            space: Of the model.
        """
        library = frames.library(x)
        index = x.index if library == "pandas" else None
        if frames.is_frame(rows):  # names in pandas may be more than a file can hold
            names = {str(name): name for name in x.columns} if library == "pandas" else frames.given_names(rows)
            return cls(frames.library_of(rows), template=rows.slice(0, 0), names=names, index=index)
        if library in frames.LIBRARIES:  # a Series
            return cls(library, index=index)
        if not isinstance(rows, np.ndarray):
            return cls()
        kind, device = ("torch", x.device) if isinstance(x, Tensor) else ("numpy", None)
        return replace(cls.of_array(rows.shape, rows.dtype, space), kind=kind, device=device)

    @classmethod
    def of_array(cls, shape: Sequence[int], dtype: Any, space: Space) -> Container:
        """The container type of an array."""
        if not isinstance(space, Image):
            return cls()
        channels, height, width = space.shape
        shape = tuple(shape)
        return cls(
            bytes=dtype == np.uint8,
            gray=channels == 1 and len(shape) in (2, 3) and shape[-2:] == (height, width),
            channels_last=shape[-3:] == (height, width, channels) and shape[-3:] != space.shape,
        )

    @classmethod
    def stored(cls, folder: Path, space: Space) -> Container:
        """The container type of the rows that `write` stored in a folder; without them numpy, channels first."""
        if (file := folder / "rows.npy").is_file():
            array = np.load(file, mmap_mode="r")
            return cls.of_array(array.shape, array.dtype, space)
        if (file := folder / "rows.npz").is_file():
            return cls.of_array(*Npz(file).headers["x"], space)
        if (template := frames.read_template(folder / "rows.parquet")) is None:
            return cls()
        return cls(frames.library_of(template), template=template, names=frames.given_names(template))

    def rows(self, index: Any) -> Container:
        """The same type with another index; None for new rows."""
        return replace(self, index=index)

    def typed(self, other: Container) -> Container:
        """The same type with the types and names of columns of another one, if it has them."""
        return replace(self, template=other.template, names=other.names) if other.template is not None else self

    def table(self, columns: Mapping[str, Any]) -> Any:
        """Columns `[N]` by name, as a DataFrame if the rows were one."""
        if self.kind == "pandas":
            return frames.indexed(import_module("pandas").DataFrame(dict(columns)), self.index)
        if self.kind == "polars":
            return import_module("polars").DataFrame(dict(columns))
        return import_module("pyarrow").table(dict(columns)) if self.kind == "pyarrow" else dict(columns)

    def latents(self, z: Tensor) -> Any:
        """Numbers of rows, if these were a DataFrame: of latent variables `[N, dim]` one with the columns z0, z1, ...,
        of one number a row `[N]` a Series.
        """
        if self.kind in FRAMES and z.dim() == 2:
            return self.table({f"z{i}": self.numbers(column) for i, column in enumerate(z.unbind(1))})
        if self.kind in FRAMES and z.dim() == 1:
            return frames.series(self.numbers(z), self.kind, self.index)
        return self.numbers(z)

    def numbers(self, x: Any) -> Any:
        """Converts an array that is not rows, e.g. latent variables."""
        if self.kind == "torch":
            return torch.as_tensor(x).to(self.device)
        return x.detach().cpu().numpy() if isinstance(x, Tensor) else x

    def examples(self, x: Tensor, space: Space, label: Tensor | None = None) -> Any:
        """Examples.

        Args:
            x: `[..., *space.shape]`, in the data space.
            space: Of the model.
            label: Of a table, the classes of its rows `[N]`.

        Returns:
            Arrays or tensors of this type; a DataFrame for a table, a list or Series of sentences for text. With more
            than one leading dimension, a list of these.
        """
        batched = x.dim() == len(space.shape) + 1
        if isinstance(space, Table | Text) and not batched:
            return [self.examples(each, space) for each in x]
        if isinstance(space, Table):
            return self.frame(dict(zip(space.names, space.decode(x.cpu(), label), strict=True)), space)
        if isinstance(space, Text):
            sentences = space.decode(x.cpu())
            return frames.series(sentences, self.kind, self.index) if self.kind in FRAMES else sentences
        if isinstance(space, Image):
            x = (x * 255).round().clamp(0, 255).byte() if self.bytes else x
            x = x.squeeze(-3) if self.gray else x.movedim(-3, -1) if self.channels_last else x
        return self.numbers(x)

    def frame(self, cells: Mapping[str, Sequence[str | None]], space: Table) -> Any:
        """Cells of a table by column, "" or None where missing, as a DataFrame; without its libraries a dict."""
        kind = self.kind if self.kind in FRAMES else frames.installed()
        if not kind:
            return {name: [cell or None for cell in each] for name, each in cells.items()}
        return frames.to_library(frames.from_cells(cells, space, self.template), kind, self.names, self.index)
