"""Files of rows in memory, which data sources and tasks read."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.data.arrays import Arrays
from vaekit.data.audio import Audio
from vaekit.data.hf import HuggingFace
from vaekit.data.source import Source
from vaekit.data.table import Table as TableFile
from vaekit.data.text import Text as TextFile
from vaekit.in_memory import frames
from vaekit.in_memory.rows import Labels
from vaekit.refusal import Refusal
from vaekit.spaces import Audio as AudioSpace
from vaekit.spaces import Image, Levels, Pairs, Real, Series, Space, Table, Text

FILES: dict[str, type[Source]] = {"arrays": Arrays, "table": TableFile, "text": TextFile}  # by data=NAME
DATA: dict[type[Space], str] = {Real: "arrays", Table: "table", Text: "text", AudioSpace: "audio", Series: "series"}
DATA |= {Levels: "levels", Pairs: "paired"}  # data=NAME by the space of its rows
IMAGES = {"binary": "arrays_bool", "discrete": "arrays_uint8", "unit": "arrays_float"}  # by their values: data=NAME
PRESETS = {"arrays": "mlp_vae", "table": "table_vae", "text": "text_vae", "audio": "audio_vae"}
PRESETS |= {"series": "series_vae", "paired": "mvae"}  # by data=NAME; others use the default
LIKELIHOODS = {"table": "table", "audio": "gaussian"}  # of data=hf, by the kind of its rows, where models set none
LABEL = "label"  # name of the column that labels given beside a table become


def choices(space: Space) -> dict[str, str]:
    """The choices of data and model for rows of a space, where the user makes none.

    Args:
        space: Of the rows.

    Returns:
        `data`, which chooses the likelihood, and `model`; neither for a space of the user, no model where the default
        one reads such rows.

    Example:
        >>> choices(Image((1, 28, 28), bins=None)), choices(Real((5,)))
        ({'data': 'arrays_float'}, {'data': 'arrays', 'model': 'mlp_vae'})
    """
    name = IMAGES[space.values] if type(space) is Image else DATA.get(type(space))
    return ({"data": name} if name else {}) | ({"model": PRESETS[name]} if name in PRESETS else {})


def write(rows: Any, folder: Path, labels: Labels | str | None = None) -> dict[str, Any]:
    """Write rows into files of a folder, from which training reads them.

    Args:
        rows: As `convert` returns them. A path is not copied.
        folder: Folder of the files; created if something is written.
        labels: The class of each row, as `as_labels` returns them.

    Returns:
        Settings by name, as train.py takes them: `data`, `data.path`, and a `model` that reads such data.

    Raises:
        Refusal: If there are no files of this kind, or labels of other rows than those of arrays and tables.
    """
    if isinstance(rows, np.ndarray):
        assert not isinstance(labels, str), "names a column of a table"
        return _write_arrays(rows, _created(folder), labels)
    if frames.is_frame(rows):
        return _write_table(rows, _created(folder), labels)
    if hasattr(rows, "save_to_disk"):
        return _write_dataset(rows, folder, labels)
    if labels is not None:
        raise Refusal(
            "labels= is for arrays and tables. Leave it out; class folders or file names contain the classes."
        )
    if isinstance(rows, Path):
        settings = _of_path(rows)
    elif isinstance(rows[0], Path):
        settings = _of_path(_copy_all(rows, _created(folder) / "files")) | {"data.cache": folder / "cache"}
    else:
        settings = {"data": "text", "data.path": _write_text(rows, _created(folder))}
    preset = PRESETS.get(settings["data"])
    return settings | ({"model": preset} if preset else {})


def as_file(rows: Any, folder: Path, space: Space) -> Path:
    """The path of examples for a task, which are written into `folder`.

    Args:
        rows: Examples, or a single one, as `convert` returns them; a path is returned unchanged.
        folder: Of the file.
        space: Of the model.

    Returns:
        A path.

    Raises:
        Refusal: If the space has rows of another form.
    """
    if (
        isinstance(space, Text) and isinstance(rows, Path) and not os.path.isfile(rows)
    ):  # Path.is_file raises for long text
        rows = [str(rows)]
    if isinstance(rows, Path):
        return rows
    _check_form(rows, space)
    if isinstance(rows, np.ndarray):
        np.save(_created(folder) / "rows.npy", _channels_first(rows, space) if isinstance(space, Image) else rows)
        return folder / "rows.npy"
    if frames.is_frame(rows):
        return frames.write_frame(rows, _created(folder) / "rows.parquet")
    if hasattr(rows, "save_to_disk"):
        rows.save_to_disk(str(_created(folder) / "set"))
        options: dict[str, Any] = {"column": "*"} if isinstance(space, Table) else {}
        if isinstance(space, Image):
            options = {"channels": space.shape[0], "image_size": space.shape[1:]}
        return HuggingFace(str(folder / "set"), cache=folder, **options).export(folder)
    if isinstance(space, Text):
        return _write_text(rows, _created(folder))
    return _copy_all(list(map(Path, rows)), _created(folder) / "files", in_order=True)  # folders are read by name


@contextmanager
def named(names: Mapping[Path, str]) -> Iterator[None]:
    """A context in which refusals name the arguments that hold rows, not the files that these were written to.

    Args:
        names: The argument by the folder of its files.
    """
    try:
        yield
    except Refusal as refusal:
        message = str(refusal)
        for folder, name in names.items():
            message = re.sub(rf"('x' in )?{re.escape(str(folder))}/[\w-]+(\.\w+)?", name, message)
        refusal.args = (message,)
        raise


def _created(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_form(rows: Any, space: Space) -> None:
    """Raise `Refusal` for rows in another form than those of a space."""
    frame, text = frames.is_frame(rows), isinstance(rows, list) and isinstance(rows[0], str)
    array = isinstance(rows, np.ndarray)
    if isinstance(space, Table):
        fits, expected = not array and not isinstance(rows, list), f"a table with the columns {', '.join(space.names)}"
    elif isinstance(space, Text):
        fits, expected = not array and not frame, "sentences"
    else:
        fits, expected = not text and not frame, f"an array [N, {', '.join(map(str, space.shape))}], or existing files"
    if not fits:
        got = (
            f"an array of shape {list(rows.shape)}" if array else "a table" if frame else f"a list of {rows[0]!r}, ..."
        )
        raise Refusal(f"Got {got}, expected {expected}, as this run was trained on.")


def _write_arrays(rows: np.ndarray, folder: Path, labels: Labels | None) -> dict[str, Any]:
    path = folder / ("rows.npy" if labels is None else "rows.npz")
    if labels is None:
        np.save(path, rows)
    else:
        arrays = {"x": rows, "y": labels.numbers} | ({"class_names": np.array(labels.names)} if labels.names else {})
        np.savez(path, allow_pickle=False, **arrays)
    settings = {**choices(Arrays(path).space), "data.path": path, "data.cache": folder / "cache"}
    if labels is None or labels.names or not (classes := int(labels.numbers.max()) + 1):  # names are read from the file
        return settings
    return settings | {"data.num_classes": classes}


def _write_table(rows: Any, folder: Path, labels: Labels | str | None) -> dict[str, Any]:
    settings = {"data": "table", "data.path": folder / "rows.parquet", "model": PRESETS["table"]}
    if isinstance(labels, Labels):
        if LABEL in rows.column_names:
            raise Refusal(f"The table has a column {LABEL!r} already. Try labels={LABEL!r}, or rename the column.")
        rows, labels = rows.append_column(LABEL, [labels.texts()]), LABEL
    frames.write_frame(rows, folder / "rows.parquet")
    return settings | ({} if labels is None else {"data.label": labels})


def _write_dataset(rows: Any, folder: Path, labels: Labels | str | None) -> dict[str, Any]:
    """Of the package `datasets`, with its splits."""
    if isinstance(labels, Labels):
        raise Refusal("labels= names a column of a Dataset. Try x.add_column('label', y), and labels='label'.")
    settings = {"data.name": folder / "set", "data.cache": folder / "cache", "data.label": labels}
    rows.save_to_disk(str(settings["data.name"]))
    kind = HuggingFace(str(folder / "set"), label=labels, cache=folder / "cache").kind
    likelihood = {"likelihood": LIKELIHOODS[kind]} if kind in LIKELIHOODS else {}
    return {"data": "hf", **settings, **({"model": PRESETS[kind]} if kind in PRESETS else {}), **likelihood}


def _of_path(path: Path) -> dict[str, Any]:
    """Settings for the data of a file or folder, by its suffix."""
    if os.path.isdir(path):
        sounds = any(each.suffix.lower() in Audio.suffixes for each in path.rglob("*"))
        return {"data": "audio", "data.path": path} if sounds else {"data": "image_folder", "data.root": path}
    if not os.path.isfile(path):
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


def _write_text(sentences: Sequence[str], folder: Path) -> Path:
    path = folder / "sentences.txt"
    path.write_text("".join(f"{' '.join(each.split())}\n" for each in map(str, sentences)), encoding="utf-8")
    return path


def _channels_first(rows: np.ndarray, space: Image) -> np.ndarray:
    channels, height, width = space.shape
    if rows.shape[-3:] == (height, width, channels) and rows.shape[-3:] != space.shape:
        rows = np.moveaxis(rows, -1, -3)
    if channels == 1 and rows.ndim <= 3 and rows.shape[-2:] == (height, width) and rows.shape != space.shape:
        rows = rows[..., None, :, :]
    return rows[None] if rows.shape == space.shape else rows
