"""Writes rows in memory to files that data sources and tasks read, and converts results to the type of the rows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import torch
from torch import Tensor

from vaekit.data.arrays import Arrays
from vaekit.data.audio import Audio
from vaekit.data.source import Source
from vaekit.data.table import Table as TableFile
from vaekit.data.text import Text as TextFile
from vaekit.refusal import Refusal, reason
from vaekit.spaces import Image, Space, Table, Text
from vaekit.written import Number

FRAMES = ("pandas", "polars")
FILES: dict[str, type[Source]] = {"arrays": Arrays, "table": TableFile, "text": TextFile}  # by data=NAME
OTHERS = {  # containers by library and class, and what converts them
    ("pandas", "Series"): "x.to_frame() for a table, or x.tolist() for sentences or files",
    ("pandas", "Index"): "x.to_frame() for a table, or x.tolist() for sentences or files",
    ("polars", "Series"): "x.to_frame() for a table, or x.to_list() for sentences or files",
    ("polars", "LazyFrame"): "x.collect()",
    ("scipy", "sparray"): "x.toarray()",
    ("scipy", "spmatrix"): "x.toarray()",
    ("builtins", "dict"): "pandas.DataFrame(x) for columns by name, or the array of rows in it",
    ("builtins", "bytes"): "the path of a file, or numpy.frombuffer(x, 'uint8') with the shape [N, ...]",
    ("builtins", "set"): "sorted(x)",
    ("datasets", "DatasetDict"): "one of its splits, x['train']",
    ("datasets", "Dataset"): "x.to_pandas() for a table, or x['NAME'][:] for a column of sentences or images",
    ("torch", "Dataset"): "torch.stack([row for row, *_ in x])",
    ("torch", "DataLoader"): "torch.cat([batch for batch, *_ in x])",
}
IMAGES = {"b": "arrays_bool", "u": "arrays_uint8", "f": "arrays_float"}  # by the kind of their dtype: data=NAME
PRESETS = {"table": "table_vae", "text": "text_vae", "audio": "audio_vae"}  # by data=NAME; others use the default


def library(x: Any) -> str:
    """The library of a value's type: `numpy`, `torch`, `pandas`, `polars`, `builtins`, ...

    Args:
        x: Any value.

    Example:
        >>> library(np.zeros(3)), library([1, 2])
        ('numpy', 'builtins')
    """
    return type(x).__module__.partition(".")[0]


def write(x: Any, folder: Path, labels: Any = None) -> dict[str, Any]:
    """Write rows into files of a folder, from which training reads them.

    Args:
        x: An array or tensor `[N, ...]`; a DataFrame of pandas or polars, or a table of pyarrow; a list of sentences;
            a list of image or sound files; a path of a file or folder, which is not copied.
        folder: Folder of the files; created if something is written.
        labels: The class of each row `[N]`, integers, -1 where it is missing; of a table the name of its column.

    Returns:
        Settings by name, as train.py takes them: `data`, `data.path`, and a `model` that reads such data.

    Raises:
        Refusal: If x is none of these, or the labels are not one a row.
    """
    if isinstance(x, str | Path):
        settings = _of_path(Path(x).expanduser())
    elif library(x) in (*FRAMES, "pyarrow"):
        settings = {"data": "table", "data.path": write_frame(x, _created(folder) / "rows.parquet")}
        if labels is not None:
            return settings | {"model": PRESETS["table"], "data.label": labels}
    elif _is_list_of(x, str, Path) and all(Path(each).is_file() for each in x):
        settings = _of_path(_copy_all(list(map(Path, x)), _created(folder) / "files")) | {
            "data.cache": folder / "cache"
        }
    elif _is_list_of(x, str):
        path = _created(folder) / "sentences.txt"
        path.write_text("".join(f"{' '.join(each.split())}\n" for each in x), encoding="utf-8")
        settings = {"data": "text", "data.path": path}
    else:
        return _write_arrays(x, _created(folder), labels)
    if labels is not None:
        raise Refusal(
            "labels= is for arrays and tables. Leave it out; class folders or file names contain the classes."
        )
    preset = PRESETS.get(settings["data"])
    return settings | ({"model": preset} if preset else {})


def listed(x: Any) -> Any:
    """Convert iterators, and arrays of strings, to lists.

    Args:
        x: Rows in memory.

    Returns:
        Such a list; anything else unchanged.

    Raises:
        Refusal: For containers that `OTHERS` converts, with what to type.

    Example:
        >>> listed(word for word in ("a", "b")), listed(np.array(["a b", "c d"]))
        (['a', 'b'], ['a b', 'c d'])
    """
    for kind in type(x).__mro__:
        if advice := OTHERS.get((kind.__module__.partition(".")[0], kind.__name__)):
            raise Refusal(f"Got {type(x).__name__}, expected an array, a DataFrame, or a list. Use {advice}.")
    if isinstance(x, Iterator):
        return list(x)
    if isinstance(x, np.ndarray) and x.ndim == 1 and x.size and all(isinstance(each, str) for each in x.flat):
        return list(map(str, x.flat))
    return x


def _created(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _is_list_of(x: Any, *kinds: type) -> bool:
    return isinstance(x, Sequence) and len(x) > 0 and all(isinstance(each, kinds) for each in x)


def _of_path(path: Path) -> dict[str, Any]:
    """Settings for the data of a file or folder, by its suffix."""
    if path.is_dir():
        sounds = any(each.suffix.lower() in Audio.suffixes for each in path.rglob("*"))
        return {"data": "audio", "data.path": path} if sounds else {"data": "image_folder", "data.root": path}
    if not path.is_file():
        raise Refusal(f"There is no file or folder {path.absolute()}; name an existing one, or give the rows.")
    for name, source in FILES.items():
        if path.suffix.lower() in source.suffixes:
            return {"data": name, "data.path": path}
    known = ", ".join(each for source in FILES.values() for each in source.suffixes)
    raise Refusal(
        f"Got {path}, expected a file of {known}. Use vaekit.train('data=NAME', 'data.path=...') for other files."
    )


def _copy_all(files: Sequence[Path], folder: Path, in_order: bool = False) -> Path:
    """A folder with copies of the files; a number precedes duplicate names, or all names to keep the order."""
    folder.mkdir()
    width = len(str(len(files)))
    for number, file in enumerate(files):
        numbered = in_order or (folder / file.name).exists()
        shutil.copyfile(file, folder / (f"{number:0{width}}_{file.name}" if numbered else file.name))
    return folder


def _write_arrays(x: Any, folder: Path, labels: Any) -> dict[str, Any]:
    rows = as_array(x)
    kind = IMAGES.get(rows.dtype.kind, "arrays") if rows.ndim > 2 else "arrays"
    settings = {"data": kind, "data.cache": folder / "cache"} | ({"model": "mlp_vae"} if rows.ndim == 2 else {})
    if labels is None:
        np.save(folder / "rows.npy", rows)
        return settings | {"data.path": folder / "rows.npy"}
    label = as_array(labels)
    if label.shape[:1] != rows.shape[:1]:
        raise Refusal(
            f"Got {len(label)} labels for {len(rows)} rows, expected one per row; give labels=y[:{len(rows)}]."
        )
    np.savez(folder / "rows.npz", x=rows, y=label)
    return settings | {"data.path": folder / "rows.npz"}


def as_array(x: Any) -> np.ndarray:
    """Convert arrays, tensors, or lists of these or of Pillow images, to an array.

    Args:
        x: `[N, ...]`, numbers.

    Returns:
        The same numbers; whole ones from 0 to 255 of images as bytes.

    Raises:
        Refusal: If they are not numbers of one shape.
    """
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = x.to_dense() if x.layout != torch.strided else x
        x = x.float() if x.dtype == torch.bfloat16 else x
    if isinstance(x, np.ma.MaskedArray):  # numpy.asarray would return the values under the mask
        x = np.ma.filled(x.astype(float), np.nan)
    try:
        rows = np.asarray(x) if not isinstance(x, Sequence) else np.stack([np.asarray(each) for each in x])
        rows = rows.astype(float) if rows.dtype == object else rows  # None is missing: NaN
    except (ValueError, TypeError) as error:
        raise Refusal(
            f"Got {type(x).__name__}, of which no array can be made ({error}); give numbers [N, ...]."
        ) from error
    if rows.dtype.kind not in "buif" or rows.ndim == 0:
        raise Refusal(
            f"Got {type(x).__name__} of {rows.dtype}, expected an array or tensor of numbers, a DataFrame, sentences, "
            "or files. Give such."
        )
    whole = rows.dtype.kind in "iu" and rows.ndim > 2 and rows.size and rows.min() >= 0 and rows.max() <= 255
    return rows.astype(np.uint8) if whole else rows


def write_frame(x: Any, path: Path) -> Path:
    """Write a DataFrame as Parquet, without its index.

    Args:
        x: Of pandas or polars, or a table of pyarrow.
        path: Of the file.

    Returns:
        The path.

    Raises:
        Refusal: If a column has a type that Parquet does not have.
    """
    columns = [str(name) for name in (x.columns if library(x) in FRAMES else x.column_names)]
    if len(set(columns)) < len(columns):
        raise Refusal(f"The names of the columns {columns} are not unique; rename them.")
    if library(x) == "pandas":
        x = x.rename(columns=str)
    with duckdb.connect() as database:
        try:
            database.register("rows", x.to_arrow() if library(x) == "polars" else x)
            database.execute(f"COPY rows TO '{str(path).replace(chr(39), 2 * chr(39))}' (FORMAT parquet)")
        except Exception as error:  # of a column of lists, objects, ...
            raise Refusal(
                f"The table cannot be written ({reason(error)}); convert its columns to numbers or text."
            ) from error
    return path


def as_file(x: Any, folder: Path, space: Space) -> Any:
    """The path of examples for a task; examples in memory are written into `folder`.

    Args:
        x: Examples, as `write` takes them, or a single one; a path or None is returned unchanged.
        folder: Of the file.
        space: Of the model.

    Returns:
        A path.

    Raises:
        Refusal: If x does not lie in the space.
    """
    if x is None or isinstance(x, Path) or (isinstance(x, str) and not isinstance(space, Text)):
        return x
    if isinstance(space, Text):
        if isinstance(x, str):
            return x if Path(x).is_file() else write([x], folder)["data.path"]
        return write(list(x), folder)["data.path"]
    if library(x) in (*FRAMES, "pyarrow"):
        return write_frame(x, _created(folder) / "rows.parquet")
    if _is_list_of(x, str, Path):
        return _copy_all(list(map(Path, x)), _created(folder) / "files", in_order=True)  # folders are read by name
    rows = as_array(x)
    if isinstance(space, Image):
        rows = _channels_first(rows, space)
    np.save(_created(folder) / "rows.npy", rows)
    return folder / "rows.npy"


def _channels_first(rows: np.ndarray, space: Image) -> np.ndarray:
    channels, height, width = space.shape
    if rows.shape[-3:] == (height, width, channels) and rows.shape[-3:] != space.shape:
        rows = np.moveaxis(rows, -1, -3)
    if channels == 1 and rows.shape[-2:] == (height, width) and rows.shape[-3:] != space.shape:
        rows = rows[..., None, :, :]
    return rows[None] if rows.shape == space.shape else rows


@dataclass(frozen=True)
class Like:
    """The container type of rows in memory.

    Args:
        kind: `numpy`, `torch`, `pandas`, `polars` or `builtins`.
        device: Device of tensors.
        template: An empty table, whose columns have the types of the result.
        index: The index of a pandas DataFrame.
        bytes: Whether images are gray values from 0 to 255.
        gray: Whether images `[N, H, W]` have no axis of channels.
        channels_last: Whether they are `[N, H, W, C]`.
    """

    kind: str = "numpy"
    device: Any = None
    template: Any = None
    index: Any = None
    bytes: bool = False
    gray: bool = False
    channels_last: bool = False

    @classmethod
    def of(cls, x: Any, space: Space) -> Like:
        """The container type of `x`."""
        kind = library(x)
        if kind in FRAMES:
            return cls(kind, template=x[:0], index=getattr(x, "index", None))
        if isinstance(space, Table | Text) or isinstance(x, str | Path) or _is_list_of(x, str, Path):
            return cls()
        rows = as_array(x)
        found = cls("torch" if kind == "torch" else "numpy", x.device if kind == "torch" else None)
        if not isinstance(space, Image):
            return found
        channels, height, width = space.shape
        return replace(
            found,
            bytes=rows.dtype == np.uint8,
            gray=channels == 1 and rows.ndim in (2, 3) and rows.shape[-2:] == (height, width),
            channels_last=rows.shape[-3:] == (height, width, channels) and rows.shape[-3:] != space.shape,
        )

    @classmethod
    def stored(cls, folder: Path, space: Space) -> Like:
        """The container type of the rows that `write` stored in a folder; without them numpy, channels first."""
        if (array := folder / "rows.npy").is_file():
            return cls.of(np.load(array, mmap_mode="r")[:1], space)
        if (arrays := folder / "rows.npz").is_file():
            return cls.of(np.load(arrays)["x"][:1], space)
        return cls(template=template(folder / "rows.parquet"))

    def rows(self, index: Any) -> Like:
        """The same type with another index; None for new rows."""
        return replace(self, index=index)

    def table(self, columns: Mapping[str, Any]) -> Any:
        """Columns `[N]` by name, as a DataFrame if the rows were one."""
        if self.kind == "polars":
            return import_module("polars").DataFrame(dict(columns))
        if self.kind == "pandas":
            return import_module("pandas").DataFrame(dict(columns), index=self.index)
        return dict(columns)

    def numbers(self, x: Any) -> Any:
        """Converts an array that is not rows, e.g. latent variables."""
        if self.kind == "torch":
            return torch.as_tensor(x).to(self.device)
        return x.detach().cpu().numpy() if isinstance(x, Tensor) else x

    def examples(self, x: Tensor, space: Space, label: Tensor | None = None, plain: Tensor | None = None) -> Any:
        """Examples.

        Args:
            x: `[..., *space.shape]`, in the data space.
            space: Of the model.
            label: Of a table, the classes of its rows `[N]`.
            plain: Of a table, its means in the units of the file, see `Table.plain`.

        Returns:
            Arrays or tensors of this type; a DataFrame for a table, a list of sentences for text. With more than one
            leading dimension, a list of these.
        """
        batched = x.dim() == len(space.shape) + 1
        if isinstance(space, Table | Text) and not batched:
            return [self.examples(each, space) for each in x]
        if isinstance(space, Table):
            cells = space.decode(x.cpu(), label) if plain is None else space.write(plain)
            return self._frame(dict(zip(space.names, cells, strict=True)), space)
        if isinstance(space, Text):
            return space.decode(x.cpu())
        if isinstance(space, Image):
            x = (x * 255).round().clamp(0, 255).byte() if self.bytes else x
            x = x.squeeze(-3) if self.gray else x.movedim(-3, -1) if self.channels_last else x
        return self.numbers(x)

    def _frame(self, cells: Mapping[str, Sequence[str]], space: Table) -> Any:
        columns = {name: [cell if cell != "" else None for cell in each] for name, each in cells.items()}
        kind = self.kind if self.kind in FRAMES else _frames()
        if not kind:
            return columns
        types = _types(space)
        if kind == "polars":
            polars = import_module("polars")
            named = {int: polars.Int64, float: polars.Float64, str: polars.String}
            schema = {name: named[each] for name, each in types.items()}
            if self.template is not None:
                schema = {name: self.template.schema[name] for name in columns}
            text = polars.DataFrame(columns, schema=dict.fromkeys(columns, polars.String))
            return text.select(_cast(polars.col(name), dtype) for name, dtype in schema.items())
        pandas = import_module("pandas")
        text = pandas.DataFrame(columns, dtype="string", index=self.index)
        if self.template is not None:
            return _typed(text, self.template[list(columns)])
        named = {int: "Int64", float: "float64", str: "str"}
        return text.astype({name: named[each] for name, each in types.items()})


def template(path: Path) -> Any:
    """A DataFrame without rows, with the columns of a Parquet file.

    Args:
        path: Of the file.

    Returns:
        None if the file is missing, or pandas and polars are.
    """
    return _query("SELECT * FROM read_parquet(?) LIMIT 0", path) if path.is_file() and _frames() else None


def read_csv(path: Path) -> Any:
    """Read a CSV file with a line of names.

    Args:
        path: Of the file.

    Returns:
        A DataFrame; without pandas and polars a dict of lists.
    """
    return _query("SELECT * FROM read_csv(?, header=true)", path)


def _frames() -> str:
    """The installed library of DataFrames, "" for none."""
    return next((each for each in FRAMES if find_spec(each)), "")


def _query(query: str, path: Path) -> Any:
    with duckdb.connect() as database:
        rows = database.execute(query, [str(path)])
        if _frames() == "pandas":
            return rows.df()
        columns = {name: column.tolist() for name, column in rows.fetchnumpy().items()}
    return import_module("polars").DataFrame(columns) if _frames() else columns


def _types(space: Table) -> dict[str, type]:
    """int, float or str, of each column."""
    found: dict[str, type] = dict.fromkeys(space.names, str)
    for column in space.columns:
        if column.kind in ("real", "positive", "count"):
            form = column.form
            found[column.name] = int if isinstance(form, Number) and not form.places else float
    return found


def _cast(text: Any, dtype: Any) -> Any:
    """A polars expression of text, as values of a type."""
    if dtype.is_temporal():
        return text.str.to_datetime(strict=False).cast(dtype)
    return text == "true" if str(dtype) == "Boolean" else text.cast(dtype)


def _typed(text: Any, template: Any) -> Any:
    """A pandas table of text, with the types of the columns of another one."""
    pandas = import_module("pandas")

    def cast(cells: Any, dtype: Any) -> Any:
        if isinstance(dtype, pandas.CategoricalDtype):
            known = {str(each): each for each in dtype.categories}
            return pandas.Categorical(cells.map(known), dtype=dtype)
        if pandas.api.types.is_bool_dtype(dtype):
            return cells.str.lower().map({"true": True, "false": False}).astype(dtype)
        if pandas.api.types.is_numeric_dtype(dtype):
            values = pandas.to_numeric(cells)
            return values.astype("Int64" if values.isna().any() and dtype.kind in "iu" else dtype)
        if pandas.api.types.is_datetime64_any_dtype(dtype):
            return pandas.to_datetime(cells, format="mixed").astype(dtype)
        return cells.astype(dtype)

    return pandas.DataFrame({name: cast(text[name], template[name].dtype) for name in text}, index=text.index)
