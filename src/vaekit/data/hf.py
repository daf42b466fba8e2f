"""Data sets of the Hugging Face Hub, or in a local folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from vaekit.data.cache import cached, root
from vaekit.data.decode import pixels_of
from vaekit.data.image_folder import checked_size
from vaekit.data.source import Rows, Source, Split
from vaekit.data.table import Table
from vaekit.data.text import Text
from vaekit.refusal import Refusal, reason
from vaekit.spaces import Image, Space
from vaekit.track import track
from vaekit.whole_file import whole_file

IMAGES, SENTENCES = ("image", "img", "picture"), ("text", "sentence", "content")  # usual names of columns
LABELS = ("label", "labels", "fine_label", "class")


class HuggingFace(Source):
    """A data set that the package `datasets` opens: images, sentences or the rows of a table.

    Images are decoded into the cache once; sentences and tables are written there as a file, which is read as that of
    data=text or data=table. A column of classes labels images; of a table it is named by `label`.

    Args:
        name: On the hub, such as `ylecun/mnist`, or a local folder: of Parquet, Arrow, CSV or JSON files, of images, or
            saved by `save_to_disk`.
        config: Configuration of the data set, where it has several.
        split: Rows of training.
        test_split: Test rows; None for a part of the rows of training.
        column: Of images or sentences; None for the first that is one. `*` for all columns, as a table.
        label: Column of the classes of rows; None for the usual names. For a table it is not part of x.
        image_size: Side or [height, width] in pixels; None takes images as they are.
        channels: 1 (gray) or 3 (colour).
        revision: Commit or branch on the hub.
        unit: Of sentences, see `vaekit.data.text.Text`, as `length`, `vocabulary` and `min_count`.
        length: Tokens of a sentence at most.
        vocabulary: Tokens at most.
        min_count: Occurrences that a word needs.
        cache: Folder of decoded rows.

    Raises:
        Refusal: If `datasets` is not installed, the data set cannot be opened, or it has no such split or column.
    """

    def __init__(
        self,
        name: str | None,
        config: str | None = None,
        split: str = "train",
        test_split: str | None = "test",
        column: str | None = None,
        label: str | None = None,
        image_size: int | Sequence[int] | None = None,
        channels: int = 1,
        revision: str | None = None,
        unit: str = "word",
        length: int = 64,
        vocabulary: int = 10_000,
        min_count: int = 3,
        cache: str | Path | None = None,
    ):
        if not name:
            raise Refusal("data.name is not set. Name a data set of the hub, or a folder: data.name=ylecun/mnist.")
        self.name, self.config, self.splits, self.revision = name, config, (split, test_split), revision
        self.column, self.label, self.channels, self.cache = column, label, channels, cache
        self.size = checked_size(image_size, channels)
        self.sentences = {"unit": unit, "length": length, "vocabulary": vocabulary, "min_count": min_count}

    @cached_property
    def space(self) -> Space:
        if isinstance(self._kind, Source):
            return self._kind.space
        size = self.size or self._sizes()
        return Image((self.channels, *size))

    def load(self, split: Split) -> Rows | None:
        if isinstance(self._kind, Source):
            return self._kind.load(split)
        rows = self._rows(split)
        if rows is None:
            return None
        key = f"hf-{self.name.replace('/', '-')}-{split}-{'x'.join(map(str, self.space.shape))}-{self.column}"
        return Rows(**cached(self.cache, key, rows._fingerprint, lambda folder: self._decode(rows, folder)))

    def classes(self) -> dict[str, int]:
        if isinstance(self._kind, Source):
            return self._kind.classes()
        feature = self._features.get(self._label or "")
        return {name: number for number, name in enumerate(getattr(feature, "names", None) or ())}

    # How it is opened ------------------------------------------------------------------------------------------------

    @cached_property
    def _sets(self) -> dict[str, Any]:
        try:
            datasets = import_module("datasets")
        except ImportError as error:
            raise Refusal("data=hf needs the package datasets. Type: pip install 'vaekit[hf]'.") from error
        try:
            if Path(self.name, "dataset_dict.json").is_file() or Path(self.name, "state.json").is_file():
                found = datasets.load_from_disk(self.name)
            else:
                found = datasets.load_dataset(self.name, self.config, revision=self.revision)
        except Exception as error:  # of a library, of files, of the network
            raise Refusal(
                f"data.name={self.name} cannot be opened ({reason(error)}). Name a local folder, or see the hub."
            ) from error
        return dict(found) if isinstance(found, dict) else {self.splits[0]: found}

    def _rows(self, split: Split) -> Any:
        """The rows of a split; None if there is no test split."""
        wanted = self.splits[split == "test"]
        if wanted in self._sets:
            return self._sets[wanted]
        if split == "test":
            return None
        raise Refusal(
            f"data.split={wanted} is not in {self.name}. It has {', '.join(self._sets)}. "
            f"Try data.split={next(iter(self._sets))}."
        )

    @cached_property
    def _features(self) -> dict[str, Any]:
        return dict(self._rows("train").features)

    @cached_property
    def _label(self) -> str | None:
        """The column of labels of images."""
        if self.label is not None and self.label not in self._features:
            raise Refusal(f"data.label={self.label} is not in {self.name}. It has {', '.join(self._features)}.")
        return self.label or next((name for name in LABELS if name in self._features), None)

    @cached_property
    def _kind(self) -> Source | None:
        """What reads sentences or a table; None for images, whose column is set."""
        datasets = import_module("datasets")
        if self.column == "*":
            return self._table()
        kinds = {
            name: "images" if isinstance(feature, datasets.Image) else "sentences"
            for name, feature in self._features.items()
            if isinstance(feature, datasets.Image) or getattr(feature, "dtype", "") in ("string", "large_string")
        }
        if self.column is not None and self.column not in kinds:
            raise Refusal(
                f"data.column={self.column} holds neither images nor text. {self.name} has "
                f"{', '.join(self._features)}. Try 'data.column=\"*\"' for a table of all."
            )
        images = [name for name, kind in kinds.items() if kind == "images"]
        named = [name for name in SENTENCES if name in kinds]
        column = self.column or next(iter([*images, *named]), None)
        if column is None:
            return self._table()
        self.column = column
        return None if kinds[column] == "images" else self._text(column)

    def _text(self, column: str) -> Source:
        def write(rows: Any, path: Path) -> None:
            path.write_text("".join(f"{' '.join(str(each).split())}\n" for each in rows[column]), encoding="utf-8")

        return Text(*self._exported(f"{column}.txt", write), **self.sentences)  # type: ignore[arg-type]

    def _table(self) -> Source:
        train, test = self._exported("rows.parquet", lambda rows, path: rows.to_parquet(str(path)))
        return Table(train, test, label=self.label)

    def _exported(self, name: str, write: Any) -> list[Path | None]:
        """Files of the training and the test rows, in the cache."""
        paths: list[Path | None] = []
        for rows in (self._rows("train"), self._rows("test")):
            path = None
            if rows is not None:
                path = root(self.cache) / "hf" / rows._fingerprint / name
                if not path.is_file():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with whole_file(path) as part:
                        write(rows, part)
            paths.append(path)
        return paths

    # Images ----------------------------------------------------------------------------------------------------------

    def _sizes(self) -> tuple[int, int]:
        first = self._rows("train")[0][self.column]
        return first.height, first.width

    def _decode(self, rows: Any, folder: Path) -> None:
        x = open_memmap(folder / "x.npy", mode="w+", dtype=np.uint8, shape=(len(rows), *self.space.shape))
        for number, row in enumerate(track(rows, f"decoding {self.name}", len(rows))):
            pixels = pixels_of(row[self.column], self.channels, self.size)
            if pixels.shape != self.space.shape:
                raise Refusal(
                    f"Image {number} of {self.name} has {pixels.shape[1]}x{pixels.shape[2]} pixels, others have "
                    f"{self.space.shape[1]}x{self.space.shape[2]}. Try data.image_size=64."
                )
            x[number] = pixels
        if self._label is not None:
            np.save(folder / "label.npy", np.asarray(rows[self._label], dtype=np.int64))
