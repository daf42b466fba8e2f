"""Data sets of the Hugging Face Hub, or in a local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from vaekit.data.audio import Audio
from vaekit.data.cache import cached, fingerprint, root
from vaekit.data.decode import pixels_of
from vaekit.data.image_folder import checked_size
from vaekit.data.source import Rows, Source, Split
from vaekit.data.table import Table
from vaekit.data.text import Text
from vaekit.refusal import Refusal, at_least_one, reason
from vaekit.spaces import Image, Space
from vaekit.track import track
from vaekit.whole_file import whole_file

IMAGES, SENTENCES = ("image", "img", "picture"), ("text", "sentence", "content")  # usual names of columns
TEXTS = ("string", "large_string")  # types of text
LABELS = ("label", "labels", "fine_label", "class")


class HuggingFace(Source):
    """A data set that the package `datasets` opens: images, sounds, sentences or the rows of a table.

    Images are decoded into the cache once; sounds, sentences and tables are written there as files, which are read as
    those of data=audio, data=text or data=table. A column of classes labels images and sounds; of a table it is named
    by `label`.

    Args:
        name: On the hub, such as `ylecun/mnist`, or a local folder: of Parquet, Arrow, CSV or JSON files, of images, or
            saved by `save_to_disk`.
        config: Configuration of the data set, where it has several.
        split: Rows of training.
        validation_split: Validation rows, if the data set has them; else, or for None, a part of the rows of training.
        test_split: Test rows, if the data set has them; else, or for None, a part of the rows of training.
        rows: Number of rows of each split, the first ones, which are streamed: others are not downloaded. None for all.
        column: Of images, sounds or sentences; None for the first that is one. `*` for all columns, as a table.
        label: Column of the classes of rows; None for the usual names. For a table it is not part of x.
        image_size: Side or [height, width] in pixels; None takes images as they are.
        channels: 1 (gray) or 3 (color).
        revision: Commit or branch on the hub.
        unit: Of sentences, see `vaekit.data.text.Text`, as `length`, `vocabulary` and `min_count`.
        length: Tokens of a sentence at most.
        vocabulary: Tokens at most.
        min_count: Occurrences that a word needs.
        representation: Of sounds, see `vaekit.data.audio.Audio`, as `seconds`, `rate`, `mels` and `hop`.
        seconds: Length of a clip.
        rate: Samples a second.
        mels: Frequency bands of a spectrogram.
        hop: Samples between its frames.
        cache: Folder of decoded rows.

    Raises:
        Refusal: If `datasets` is not installed, the data set cannot be opened, or it has no such split or column.
    """

    def __init__(
        self,
        name: str | None,
        config: str | None = None,
        split: str = "train",
        validation_split: str | None = "validation",
        test_split: str | None = "test",
        rows: int | None = None,
        column: str | None = None,
        label: str | None = None,
        image_size: int | Sequence[int] | None = None,
        channels: int = 1,
        revision: str | None = None,
        unit: str = "word",
        length: int = 64,
        vocabulary: int = 10_000,
        min_count: int = 3,
        representation: str = "mel",
        seconds: float = 0.64,
        rate: int = 8000,
        mels: int = 40,
        hop: int = 128,
        cache: str | Path | None = None,
    ):
        if not name:
            raise Refusal("data.name is not set. Name a data set of the hub, or a folder: data.name=ylecun/mnist.")
        at_least_one(rows=(1 if rows is None else rows, 10_000))
        self.name, self.config, self.revision, self.count = name, config, revision, rows
        self.splits = {"train": split, "validation": validation_split, "test": test_split}
        self.column, self.label, self.channels, self.cache = column, label, channels, cache
        self.size = checked_size(image_size, channels)
        self.sentences = {"unit": unit, "length": length, "vocabulary": vocabulary, "min_count": min_count}
        self.sounds = {"representation": representation, "seconds": seconds, "rate": rate, "mels": mels, "hop": hop}

    @cached_property
    def space(self) -> Space:
        if isinstance(self._source, Source):
            return self._source.space
        size = self.size or self._sizes()
        return Image((self.channels, *size))

    @property
    def kind(self) -> str:
        """What rows are: image, audio, text or table."""
        return "image" if self._source is None else type(self._source).__name__.lower()

    def load(self, split: Split) -> Rows | None:
        rows = self._rows(split)
        if rows is None:
            return None
        if self._source is None:
            key = f"hf-{self.name.replace('/', '-')}-{split}-{'x'.join(map(str, self.space.shape))}-{self.column}"
            loaded: Rows | None = Rows(
                **cached(self.cache, key, rows._fingerprint, lambda folder: self._decode(rows, folder))
            )
        elif isinstance(self._source, Audio):
            loaded = self._load_sounds(rows)
        else:
            loaded = self._source.load(split)
        own = len(rows) - len(self._split("train")) if split == "train" else 0
        if loaded is None or not own or len(loaded) < len(rows):  # of sounds that cannot be read
            return loaded
        return replace(loaded, validation=own)

    def classes(self) -> dict[str, int]:
        if isinstance(self._source, Table):
            return self._source.classes()
        return {name: number for number, name in enumerate(self._class_names)}

    def export(self, folder: Path) -> Path:
        """The training rows as a file, or folder of files, that tasks read.

        Args:
            folder: Where images are written.
        """
        if self._source is not None:
            return self._source.path
        rows = self.load("train")
        assert rows is not None
        np.save(folder / "images.npy", np.asarray(rows.x))
        return folder / "images.npy"

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
                streamed = {"streaming": True} if self.count else {}
                found = datasets.load_dataset(self.name, self.config, revision=self.revision, **streamed)
            found = dict(found) if isinstance(found, dict) else {self.splits["train"]: found}
            used = {name: rows for name, rows in found.items() if name in self.splits.values()}
            return found | ({name: self._first(name, rows) for name, rows in used.items()} if self.count else {})
        except Exception as error:  # of a library, of files, of the network
            raise Refusal(
                f"data.name={self.name} cannot be opened ({reason(error)}). Name a local folder, or see the hub."
            ) from error

    def _first(self, split: str, rows: Any) -> Any:
        """The first rows of a split, stored in the cache where they are streamed."""
        datasets = import_module("datasets")
        if isinstance(rows, datasets.Dataset):
            return rows.select(range(min(self.count or 0, len(rows))))

        def fill(folder: Path) -> None:
            own, features = rows.features, None
            if own:  # not of files without types; files of images and sounds are copied as they are
                file = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
                media = datasets.Image | datasets.Audio
                features = datasets.Features({n: file if isinstance(each, media) else each for n, each in own.items()})
            streamed = track((rows.decode(False) if own else rows).take(self.count), f"reading {self.name}", self.count)
            scratch = {"cache_dir": str(folder.parent / "scratch"), "fingerprint": key}
            first = datasets.Dataset.from_generator(lambda: streamed, features=features, **scratch)
            (first.cast(own) if own else first).save_to_disk(folder)

        local = Path(self.name)
        stamp = fingerprint(sorted(each for each in local.rglob("*") if each.is_file())) if local.is_dir() else ""
        options = f"{self.name} {self.config} {self.revision} {split} {self.count} {stamp}"
        key = hashlib.sha256(options.encode()).hexdigest()[:16]
        return datasets.load_from_disk(str(_filled(root(self.cache) / "hf" / key, fill)))

    def _split(self, part: str) -> Any:
        """The rows of a part of the data set; None if it has no such split."""
        return self._sets.get(str(self.splits[part]))

    @cached_property
    def _train(self) -> Any:
        """The rows of training, followed by those of validation."""
        train, validation = self._split("train"), self._split("validation")
        if train is None:
            raise Refusal(
                f"data.split={self.splits['train']} is not in {self.name}. It has {', '.join(self._sets)}. "
                f"Try data.split={next(iter(self._sets))}."
            )
        if validation is None or self.splits["validation"] == self.splits["train"]:
            return train
        return import_module("datasets").concatenate_datasets([train, validation])

    def _rows(self, split: Split) -> Any:
        """The rows of a split; None if there is no test split."""
        return self._train if split == "train" else self._split("test")

    @cached_property
    def _features(self) -> dict[str, Any]:
        return dict(self._train.features)

    @cached_property
    def _source(self) -> Audio | Text | Table | None:
        """What reads sounds, sentences or a table; None for images, whose column is set."""
        datasets = import_module("datasets")
        kinds = {}
        for name, feature in self._features.items():
            if isinstance(feature, datasets.Image | datasets.Audio):
                kinds[name] = type(feature).__name__
            elif getattr(feature, "dtype", "") in TEXTS:
                kinds[name] = "Text"
        if self.column not in (None, "*", *kinds):
            raise Refusal(
                f"data.column={self.column} holds neither images nor text nor sounds. {self.name} has "
                f"{', '.join(self._features)}. Try 'data.column=\"*\"' for a table of all."
            )
        usual = [*(name for name in kinds if kinds[name] != "Text"), *(name for name in SENTENCES if name in kinds)]
        column = self.column or next(iter(usual), "*")
        if column == "*":
            train, test = self._exported("rows.parquet", lambda rows, path: rows.to_parquet(str(path)))
            return Table(train, test, label=self.label)
        self.column = column
        if kinds[column] == "Image":
            return None
        return self._text(column) if kinds[column] == "Text" else self._audio(self._train)

    # Classes ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _label(self) -> str | None:
        """The column of labels of images and sounds."""
        known = [name for name, feature in self._features.items() if _is_class(feature)]
        if self.label is not None and self.label not in known:
            raise Refusal(
                f"data.label={self.label} is not in {self.name}, or holds no classes. Expected one of "
                f"{', '.join(known) or 'its columns, of which none does'}."
            )
        return self.label or next((name for name in LABELS if name in known), None)

    @cached_property
    def _class_names(self) -> list[str]:
        """The name of each class; none if classes are numbers."""
        feature = self._features.get(self._label or "")
        if feature is not None and feature.dtype in TEXTS:
            return sorted({name for name in self._train[self._label] if name})
        return list(getattr(feature, "names", None) or ())

    def _labels(self, rows: Any) -> np.ndarray:
        """The number of the class of each row; -1 where it is missing or unknown."""
        number = {name: label for label, name in enumerate(self._class_names)} | {None: -1}
        known = rows[self._label]
        return np.array([number.get(each, -1 if isinstance(each, str) else each) for each in known], dtype=np.int64)

    # Files -----------------------------------------------------------------------------------------------------------

    def _text(self, column: str) -> Text:
        def write(rows: Any, path: Path) -> None:
            lines = (" ".join((each or "").split()) for each in rows[column])
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

        return Text(*self._exported(f"{column}.txt", write), **self.sentences)  # type: ignore[arg-type]

    def _audio(self, rows: Any) -> Audio:
        """The sounds of rows as files, whose names are the numbers of the rows."""

        def fill(folder: Path) -> None:
            sounds = rows.select_columns([self.column]).cast_column(self.column, datasets.Audio(decode=False))
            for number, row in enumerate(track(sounds, f"copying {self.name}", len(rows))):
                sound = row[self.column]
                suffix = Path(sound["path"] or "").suffix.lower()
                file = folder / f"{number:0{len(str(len(rows)))}}{suffix if suffix in Audio.suffixes else '.wav'}"
                file.write_bytes(sound["bytes"] or Path(sound["path"]).read_bytes())

        datasets = import_module("datasets")
        folder = root(self.cache) / "hf" / rows._fingerprint / f"sounds-{list(self._features).index(str(self.column))}"
        return Audio(_filled(folder, fill), pattern="([0-9]+)", cache=self.cache, **self.sounds)  # type: ignore[arg-type]

    def _load_sounds(self, rows: Any) -> Rows:
        loaded = self._audio(rows).load("train")
        assert loaded is not None and loaded.label is not None, "the number of each row that can be read"
        return replace(loaded, label=None if self._label is None else self._labels(rows)[loaded.label])

    def _exported(self, name: str, write: Any) -> list[Path | None]:
        """Files of the training and the test rows, in the cache."""
        paths: list[Path | None] = []
        for rows in (self._train, self._split("test")):
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
        first = self._train[0][self.column]
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
            np.save(folder / "label.npy", self._labels(rows))


def _is_class(feature: Any) -> bool:
    own = str(getattr(feature, "dtype", ""))
    return own in (*TEXTS, "bool") or own.startswith(("int", "uint"))


def _filled(folder: Path, fill: Callable[[Path], None]) -> Path:
    """A folder that a function fills, if it does not exist. It gets its name when it is complete."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
            part = Path(scratch, "part")
            part.mkdir()
            fill(part)
            with suppress(OSError):  # of another process that was faster
                part.rename(folder)
    return folder
