"""Tables in memory: DataFrames of pandas and polars, and other tables of Arrow, with their names and types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from vaekit.data.containers import cell_text
from vaekit.refusal import Refusal, reason
from vaekit.spaces import Table
from vaekit.written import Number

LIBRARIES = ("pandas", "polars")  # of DataFrames; other tables become those of the first that is installed
NAMES, LIBRARY = b"vaekit.names", b"vaekit.library"  # keys of the user's names and library in the metadata of a table


def library(x: Any) -> str:
    """The library of a value's type: `numpy`, `torch`, `pandas`, `polars`, `builtins`, ...

    Args:
        x: Any value.

    Example:
        >>> library(Path()), library([1, 2])
        ('pathlib', 'builtins')
    """
    return type(x).__module__.partition(".")[0]


def installed() -> str:
    """The installed library of DataFrames, "" for none."""
    return next((each for each in LIBRARIES if find_spec(each) and find_spec("pyarrow")), "")


def is_frame(x: Any) -> bool:
    """Whether x is a DataFrame of pandas or polars, or another table with `__arrow_c_stream__`.

    Args:
        x: Any value.
    """
    return hasattr(x, "__arrow_c_stream__") and len(getattr(x, "shape", ())) == 2


def to_arrow(x: Any) -> Any:
    """Convert a table to one of Arrow, whose columns have names that are text.

    Args:
        x: A DataFrame, another table with `__arrow_c_stream__`, or a dict of columns.

    Returns:
        The table, with the names of the user in its metadata.

    Raises:
        Refusal: If pyarrow is not installed, the table is empty, or a column has a type that files of tables lack.
    """
    names = list(x) if isinstance(x, Mapping) else list(x.columns) if library(x) == "pandas" else None
    _check_names(list(map(str, names or ())))
    try:
        pyarrow = import_module("pyarrow")
    except ImportError as error:
        raise Refusal("Tables in memory need the package pyarrow. Type: pip install 'vaekit[dataframes]'.") from error
    try:
        if isinstance(x, Mapping):
            table = pyarrow.table({str(name): _column(each) for name, each in x.items()})
        else:
            table = _from_pandas(x) if library(x) == "pandas" else pyarrow.table(x)
    except (TypeError, ValueError, NotImplementedError) as error:  # of Arrow
        raise Refusal(
            f"The table cannot be read ({reason(error)}). Expected columns of numbers, text, dates or categories, of "
            "one length; convert them."
        ) from error
    _check_names(table.column_names)
    if wrong := [field for field in table.schema if _stored_type(field.type) is None]:
        raise Refusal(
            f"The column {wrong[0].name!r} holds {wrong[0].type}, expected numbers, text, dates or categories. Store "
            "each number in a column, or leave it out."
        )
    if not table.num_rows or not table.num_columns:
        raise Refusal(f"Got a table of {table.num_rows} rows and {table.num_columns} columns, expected at least one.")
    own = {NAMES: json.dumps(names or [], default=str), LIBRARY: library(x)}
    return table.combine_chunks().replace_schema_metadata((table.schema.metadata or {}) | own)


def _check_names(names: Sequence[str]) -> None:
    if wrong := [name for name in names if not name or names.count(name) > 1]:
        raise Refusal(f"The column name {wrong[0]!r} is empty or occurs twice; rename it.")


def _column(x: Any) -> Any:
    """A column of a dict, as Arrow reads it."""
    return x if isinstance(x, Sequence) or hasattr(x, "__arrow_c_stream__") else np.asarray(x)


def _from_pandas(x: Any) -> Any:
    pyarrow = import_module("pyarrow")
    x = x.set_axis(list(map(str, x.columns)), axis=1)
    for name in [name for name, own in x.dtypes.items() if own.kind == "O"]:
        try:
            column = pyarrow.array(x[name], from_pandas=True)
            if isinstance(getattr(column, "dictionary", None), pyarrow.ExtensionArray):  # intervals, of pandas.cut
                x[name] = x[name].cat.rename_categories(str)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):  # of several types
            x[name] = x[name].map(str, na_action="ignore").astype(object)
    return pyarrow.Table.from_pandas(x, preserve_index=False)


def write_frame(table: Any, path: Path) -> Path:
    """Write a table as Parquet, and its names, types and categories beside it, for `read_template`.

    Times of day and durations are stored as whole numbers of their unit, times with a zone in UTC.

    Args:
        table: Of Arrow, as `to_arrow` returns it.
        path: Of the Parquet file.

    Returns:
        The path.

    Raises:
        Refusal: If a column has a type that is not a number, text, date or category.
    """
    ipc, parquet = import_module("pyarrow.ipc"), import_module("pyarrow.parquet")
    stored = [_stored(column) for column in table.columns]
    parquet.write_table(import_module("pyarrow").table(stored, table.column_names), path)
    empty = table.to_batches()[0].slice(0, 0)  # has the categories, which a table without rows would not store
    with ipc.new_file(path.with_suffix(".arrow"), empty.schema) as file:
        file.write_batch(empty)
    return path


def read_template(path: Path) -> Any:
    """The table without rows of the names and types that `write_frame` stored.

    Args:
        path: Of the Parquet file.

    Returns:
        A table of Arrow; None if it is missing, or pyarrow is.
    """
    file = path.with_suffix(".arrow")
    if not (file.is_file() and installed()):
        return None
    try:
        return import_module("pyarrow.ipc").open_file(file.read_bytes()).read_all()
    except (OSError, ValueError, NotImplementedError):
        raise Refusal(f"Cannot read {file}, the types of the run's rows. Delete it to get default types.") from None


def _stored_type(own: Any) -> Any:
    """The type of values of a type in a file; None for types that tables lack."""
    pyarrow = import_module("pyarrow")
    own, types = getattr(own, "storage_type", own), pyarrow.types
    if types.is_dictionary(own) or types.is_string_view(own):
        return pyarrow.string()
    if types.is_timestamp(own):
        return pyarrow.timestamp(own.unit)
    if types.is_time(own) or types.is_duration(own):
        return pyarrow.int32() if own.bit_width == 32 else pyarrow.int64()
    if types.is_float16(own):
        return pyarrow.float32()
    binary = types.is_binary(own) or types.is_large_binary(own) or types.is_fixed_size_binary(own)
    return None if binary or types.is_nested(own) or types.is_binary_view(own) else own


def _stored(column: Any) -> Any:
    """A column as it stands in a file."""
    pyarrow, own = import_module("pyarrow"), column.type
    if not pyarrow.types.is_dictionary(own):
        return column.cast(_stored_type(own))
    (chunk,) = column.chunks
    return pyarrow.array(_categories(chunk)).take(chunk.indices)


def _categories(chunk: Any) -> list[str]:
    """The text of the categories of a column."""
    return list(map(cell_text, chunk.dictionary.to_pylist()))


def from_cells(cells: Mapping[str, Sequence[str | None]], space: Table, template: Any = None) -> Any:
    """The table of Arrow that has cells.

    Args:
        cells: Text by column, "" or None where it is missing.
        space: The table that wrote them.
        template: A table whose columns have the types of the result, as far as it has them; None for numbers and text.
    """
    pyarrow = import_module("pyarrow")
    fields = {name: pyarrow.field(name, own) for name, own in _types(space).items()}
    fields |= (
        {field.name: field for field in template.schema if field.type != pyarrow.null()} if template is not None else {}
    )
    columns = {name: _typed(each, fields[name], template) for name, each in cells.items()}
    typed = [fields[name].with_type(own.type) for name, own in columns.items()]
    schema = pyarrow.schema(typed, template.schema.metadata if template is not None else None)
    return pyarrow.table(list(columns.values()), schema=schema)


def _typed(cells: Sequence[str | None], field: Any, template: Any) -> Any:
    """Text cells as values of the type of a column; wider, where a cell of the user is not of this type."""
    pyarrow, own = import_module("pyarrow"), field.type
    text = pyarrow.array([cell or None for cell in cells], pyarrow.string())
    if pyarrow.types.is_dictionary(own):
        (chunk,) = template.column(field.name).chunks
        number = {category: i for i, category in enumerate(_categories(chunk))}
        if not number.keys() >= {cell for cell in cells if cell}:  # a category that training did not see
            return text
        codes = pyarrow.array([number.get(cell or "") for cell in cells], own.index_type)
        return pyarrow.DictionaryArray.from_arrays(codes, chunk.dictionary, ordered=own.ordered)
    try:
        return text.cast(_stored_type(own)).cast(own)
    except pyarrow.ArrowInvalid:
        numbers = text.cast(pyarrow.float64()) if pyarrow.types.is_integer(own) else text
        whole = all(number is None or number.is_integer() for number in numbers.to_pylist())
        return numbers.cast(own) if numbers is not text and whole else numbers


def _types(space: Table) -> dict[str, str]:
    """The type of each column's values."""
    found = dict.fromkeys(space.names, "string")
    for column in space.columns:
        if column.kind in ("real", "positive", "count"):
            form = column.form
            if isinstance(form, Number) and form.is_plain:  # others, such as $1,234, stay text as in the file
                digits = form.places or form.padded or form.significant
                found[column.name] = "float64" if digits else "int64"
    return found


def to_library(table: Any, kind: str, names: Mapping[str, Any], index: Any = None) -> Any:
    """A table of Arrow as a DataFrame.

    Args:
        table: As `from_cells` returns it.
        kind: `pandas` or `polars`; the table is returned for others.
        names: The user's names of columns, as far as they differ.
        index: Of a DataFrame of pandas.
    """
    if kind == "polars":
        return import_module("polars").from_arrow(table)
    if kind != "pandas":
        return table
    pandas, pyarrow = import_module("pandas"), import_module("pyarrow")
    written = table.schema.pandas_metadata
    frame = table.to_pandas(types_mapper=None if written else {pyarrow.int64(): pandas.Int64Dtype()}.get)
    objects = {
        each["field_name"]: object for each in (written or {}).get("columns", ()) if each["numpy_type"] == "object"
    }
    frame = frame.astype({name: own for name, own in objects.items() if name in frame})
    frame.columns = pandas.Index([names.get(name, name) for name in frame.columns])
    return indexed(frame, index)


def indexed(frame: Any, index: Any) -> Any:
    """A DataFrame or Series of pandas with an index.

    Args:
        frame: The DataFrame or Series.
        index: None, or one of another length, changes nothing.
    """
    return frame if index is None or len(index) != len(frame) else frame.set_axis(index)


def series(values: Sequence[Any] | np.ndarray, kind: str, index: Any) -> Any:
    """One value a row as a Series.

    Args:
        values: `[N]`.
        kind: `pandas`, `polars` or `pyarrow`.
        index: Of pandas, see `indexed`.
    """
    if kind == "pandas":
        return indexed(import_module("pandas").Series(values), index)
    return import_module("polars").Series(values) if kind == "polars" else import_module("pyarrow").array(values)


def library_of(table: Any) -> str:
    """The library of the DataFrames that a table comes back as: that of the user, if it is an installed one.

    Args:
        table: Of Arrow, as `to_arrow` or `read_template` returns it.
    """
    given = (table.schema.metadata or {}).get(LIBRARY, b"").decode()
    return given if given in (*LIBRARIES, "pyarrow") and find_spec(given) else installed()


def given_names(template: Any) -> dict[str, Any]:
    """The user's names of columns by their text.

    Args:
        template: A table of Arrow, as `to_arrow` or `read_template` returns it.
    """
    names = json.loads((template.schema.metadata or {}).get(NAMES, "[]"))
    names = [tuple(name) if isinstance(name, list) else name for name in names]
    return {str(name): name for name in names}


def read_csv(path: Path) -> Any:
    """Read a CSV file with a line of names.

    Args:
        path: Of the file.

    Returns:
        A DataFrame; without pandas and polars a dict of lists.
    """
    with duckdb.connect() as database:
        rows = database.execute("SELECT * FROM read_csv(?, header=true)", [str(path)])
        if installed() == "pandas":
            return rows.df()
        columns = {name: column.tolist() for name, column in rows.fetchnumpy().items()}
    return import_module("polars").DataFrame(columns) if installed() else columns
