"""The DataModule for Lightning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, Literal, TypeVar
from zlib import crc32

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from vaekit.batch import Batch
from vaekit.data.batches import Batches, PoissonBatches, permutation
from vaekit.data.noise import row_noise
from vaekit.data.source import Rows, Source
from vaekit.data.transform import BINARIZE, Transform
from vaekit.overrides import typed
from vaekit.refusal import Refusal
from vaekit.spaces import Maps, Pairs, Space

Part = Literal["train", "val", "calibration", "test"]
M = TypeVar("M", bound=Maps)
SCALE_ROWS = 1000  # number of rows on which scales are checked
MAX_SCALE = 10.0  # mean or standard deviation of a column above which training is slow or fails
DARK = 63  # largest gray value, of 255, of images that probably have a coarser scale
LABELLED = 0.25  # labeled rows in an epoch per training row, if data.labels is set


class DataModule(LightningDataModule):
    """The rows of a source: split, in batches, and transformed to the data space.

    In evaluation the random draws of `binarize` and `dequantize` are fixed for each row.

    Args:
        source: The data set.
        batch_size: Rows per step and process.
        eval_batch_size: Rows per batch in evaluation; None for four times `batch_size`.
        binarize: See `Transform`.
        dequantize: See `Transform`.
        flip: See `Transform`.
        shift: See `Transform`.
        validation: Number (int) or fraction (float) of the training rows that is held out.
        calibration: Number or fraction of the remaining rows that only serve to compute p-values; 0 for none.
        test: Number or fraction of the rows for the test split, if the source has no official one.
        classes: Labels whose rows are kept in training and validation; the others are only in the test split.
        labels: Number of labels kept in training, equally many of each class; the others become missing (-1).
            Labelled rows are repeated until there are `LABELLED` of them per training row in an epoch.
        seed: Seed of the splits and of draws that are fixed for each row; separate from that of the run, so that runs
            are compared on the same data.

    Attributes:
        shuffle_seed: `seed` at first; the training order depends on it and on the epoch alone.
        poisson: False at first; whether each training batch draws every row with the same probability instead.

    Raises:
        Refusal: If settings do not fit each other or the source.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int = 128,
        eval_batch_size: int | None = None,
        binarize: str = "none",
        dequantize: bool = False,
        flip: bool = False,
        shift: int = 0,
        validation: int | float = 0.1,
        calibration: int | float = 0,
        test: int | float = 0.2,
        classes: Sequence[int] | None = None,
        labels: int | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.source, self.batch_size, self.seed, self.shuffle_seed = source, batch_size, seed, seed
        self.poisson = False
        self.eval_batch_size = 4 * batch_size if eval_batch_size is None else eval_batch_size
        self.validation, self.calibration, self.test = validation, calibration, test
        self.classes, self.labels = classes, labels
        images = source.space.image if isinstance(source.space, Pairs) else source.space
        self.transform = Transform(images.bins, binarize, dequantize, flip, shift)
        self._check_settings()

    def _check_settings(self) -> None:
        """Raise `Refusal` for settings that do not fit; reads no data."""
        space, transform, name = self.source.space, self.transform, self.source.name
        if self.batch_size < 1 or self.eval_batch_size < 1:
            wrong = "batch_size" if self.batch_size < 1 else "eval_batch_size"
            raise Refusal(
                f"Got data.{wrong}={getattr(self, wrong)}, expected at least 1, for example data.{wrong}=128."
            )
        if self.classes is not None and not self.classes:
            raise Refusal("data.classes=[] leaves no rows; use data.classes=[0,1,2], or data.classes=null for all.")
        if self.seed < 0:
            raise Refusal(f"Got data.seed={self.seed}, expected 0 or more. Use data.seed=0.")
        if transform.binarize not in BINARIZE:
            raise Refusal(
                f"Got data.binarize={transform.binarize}, expected one of {', '.join(BINARIZE)}. Use "
                "data.binarize=none."
            )
        if space.values == "tiles" and (transform.binarize != "none" or transform.dequantize or transform.shift):
            raise Refusal(
                "Game levels hold tiles, not gray values, and cannot be binarized, dequantized or shifted; use "
                "data.binarize=none data.dequantize=false data.shift=0."
            )
        if transform.binarize != "none" and transform.bins is None:
            raise Refusal(f"data={name} holds continuous values, which cannot be binarized. Use data.binarize=none.")
        if transform.dequantize and transform.binarize != "none":
            raise Refusal("Binary images cannot be dequantized. Use data.binarize=none, or data.dequantize=false.")
        if transform.dequantize and transform.bins is None:
            raise Refusal(f"data={name} is continuous already. Use data.dequantize=false.")
        if (transform.flip or transform.shift) and not isinstance(space, Maps):
            raise Refusal(f"data={name} holds no images to flip or shift. Use data.flip=false data.shift=0.")
        if transform.shift and not 0 < transform.shift < min(space.shape[1:]):
            raise Refusal(
                f"Got data.shift={transform.shift}, expected 0 to {min(space.shape[1:]) - 1} pixels. Use data.shift=0."
            )

    @property
    def space(self) -> Space:
        """The space of the batches. It reads no more than the `space` of the source does."""
        space = self.source.space
        if isinstance(space, Pairs):
            return replace(space, image=self._transformed(space.image))
        return self._transformed(space) if isinstance(space, Maps) else space

    def _transformed(self, space: M) -> M:
        levels = space.bins if self.transform.binarize == "none" else 2
        return replace(space, bins=levels, dequantized=self.transform.dequantize)

    def prepare_data(self) -> None:
        """Download and cache; Lightning calls it in one process, before `setup` in all."""
        self.source.load("train")
        self.source.load("test")

    def setup(self, stage: str | None = None) -> None:
        """Load and split, once. Raises `Refusal` if a split would be empty."""
        _ = self._splits

    @cached_property
    def _splits(self) -> dict[Part, tuple[Rows, Tensor, int]]:
        """For each part: rows, the indices of its own rows among them, and the seed of their noise."""
        train, test = self.source.load("train"), self.source.load("test")
        assert train is not None, "every source has training rows"
        first = len(train) - (train.validation or 0)  # index of the first validation row of the source
        order, own = permutation(first, self.seed), np.arange(first, len(train))
        held_out, rest = np.split(order, [self._count("test", first) if test is None else 0])
        if self.classes is not None:
            label = self._classes(train)
            present = set(label[rest].tolist()) - {-1}
            if absent := [each for each in self.classes if each not in present]:
                kept = sorted(present.intersection(self.classes) or present)[:10]
                raise Refusal(
                    f"Got data.classes={list(self.classes)}, but no training row has the label {absent[0]}; "
                    f"use {typed('data.classes', kept)}."
                )
            rest, own = (rows[np.isin(label[rows], self.classes)] for rows in (rest, own))
        val, rest = (own, rest) if len(own) else np.split(rest, [self._count("validation", len(rest))])
        calibration, rest = np.split(rest, [self._count("calibration", len(rest)) if self.calibration else 0])
        few = train
        if self.labels is not None:
            few, again = self._few_labels(train, rest)
            rest = np.append(rest, again)

        def part(rows: Rows, indices: np.ndarray) -> tuple[Rows, Tensor, int]:
            return rows, torch.from_numpy(np.sort(indices)), 2 * self.seed + (rows is test)

        return {
            "train": part(few, rest),
            "val": part(train, val),
            "calibration": part(train, calibration),
            "test": part(train, held_out) if test is None else part(test, np.arange(len(test))),
        }

    def state_dict(self) -> dict[str, Any]:
        """What identifies the data in checkpoints: number of rows, checksum of 256 rows, and transform.

        The location of the files and the batch size are not part of it.
        """
        rows, indices, _ = self._splits["train"]
        some = indices[:: -(-len(indices) // 256)].long()
        checksum = crc32(np.asarray(rows.x[some]).tobytes())
        if rows.label is not None:
            checksum = crc32(rows.label[some.numpy()].tobytes(), checksum)
        counts = {name: len(indices) for name, (_, indices, _) in self._splits.items()}
        return {"rows": counts, "checksum": checksum, "transform": asdict(self.transform)}

    def _classes(self, rows: Rows) -> np.ndarray:
        """The class of each row."""
        if rows.label is None or rows.label.ndim != 1:
            raise Refusal(
                f"data={self.source.name} does not have one class per row, by which rows could be chosen; "
                "use data.classes=null data.labels=null."
            )
        return rows.label

    def _few_labels(self, rows: Rows, training: np.ndarray) -> tuple[Rows, np.ndarray]:
        """The rows with only a few labels kept, and the indices of labeled rows that are repeated."""
        label = self._classes(rows)
        labeled = training[label[training] >= 0]
        classes, counts = np.unique(label[labeled], return_counts=True)
        each, rest = divmod(self.labels or 0, len(classes))
        if rest or not 0 < each <= counts.min():
            most = len(classes) * int(counts.min())
            raise Refusal(
                f"data.labels={self.labels} must be a multiple of the {len(classes)} classes up to {most}; "
                f"use data.labels={min(most, len(classes) * max(1, each))}."
            )
        kept = np.concatenate([labeled[label[labeled] == value][:each] for value in classes])  # in random order
        few = np.full_like(label, -1)
        few[kept] = label[kept]
        return replace(rows, label=few), np.resize(kept, max(0, round(LABELLED * len(training)) - len(kept)))

    def _count(self, name: str, total: int) -> int:
        held_out = getattr(self, name)
        count = held_out if isinstance(held_out, int) else round(held_out * total)
        if total < (least := 3 if name == "test" else 2):
            raise Refusal(
                f"data.{name}={held_out} needs at least {least} rows, one for each part, but there are {total}; name a "
                "larger data set."
            )
        if not 0 < count < total:
            raise Refusal(
                f"data.{name}={held_out} takes {count} of {total} rows, expected at least one and not all; "
                f"for example data.{name}={0.1 if total > 5 else 1}."
            )
        return count

    @property
    def num_train(self) -> int:
        """Number of training rows, each once, whether or not data.labels repeats it in an epoch."""
        return len(self._splits["train"][1].unique())

    def mean(self) -> Tensor:
        """The mean `[*space.shape]` of observed values in the data space, over 50,000 training rows or all.

        For images that are binarized at random it is their mean gray value.
        """
        return self._moments[0]

    def deviation(self) -> Tensor:
        """The standard deviation `[*space.shape]` of the values of which `mean` is the mean."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        batches = self._batches("train", 1024)
        batches.indices, batches.draw = batches.sample(50_000, self.seed).sort().values, None
        total, squares, seen = torch.zeros(3, *self.space.shape, dtype=torch.float64)
        origin = None  # near the mean, so that squares of large numbers do not cancel
        for batch in batches:
            x = self.transform.expected(batch.x).double()
            mask = torch.ones_like(x) if batch.mask is None else batch.mask.double()
            if origin is None:
                origin = (x * mask).sum(0) / mask.sum(0).clamp(min=1)
            x = (x - origin) * mask
            total, squares, seen = total + x.sum(0), squares + x.square().sum(0), seen + mask.sum(0)
        assert origin is not None, "no split is empty"
        mean = total / seen.clamp(min=1)
        variance = squares / seen.clamp(min=1) - mean.square()
        return (origin + mean).float(), variance.clamp(min=0).sqrt().float()

    def unscaled(self) -> str:
        """A warning with what to type, if all rows are the same, or all images nearly black, or columns of continuous
        rows are far from mean 0 and scale 1, or hold a single value; else empty.
        """
        batch = self.sample("train", SCALE_ROWS)
        x = batch.x.double()
        mask = torch.ones_like(x) if batch.mask is None else batch.mask.double()
        least, most = x.masked_fill(mask == 0, math.inf).amin(0), x.masked_fill(mask == 0, -math.inf).amax(0)
        if (least >= most).all() and len(x) > 1:
            return (
                f"All rows of data={self.source.name} are the same ({len(x)} compared), so a model learns nothing from "
                "them. Expected rows that differ. Name another file by data.path=FILE."
            )
        batches = self._batches("train", SCALE_ROWS)
        batches.draw = None  # otherwise binarized images are binary here
        raw = batches.gather(batches.sample(SCALE_ROWS, self.seed)).x
        if self.transform.bins == 256 and raw.dtype == torch.uint8 and (brightest := int(raw.max())) <= DARK:
            return (
                f"Gray values of data={self.source.name} are at most {brightest} of 255, so that all images are nearly "
                f"black. If {brightest} is white, save (x / {brightest}).astype('float32'), and name that file by "
                "data.path=FILE."
            )
        if self.space.values != "continuous":
            return ""
        count, warnings = mask.sum(0).clamp(min=1), []
        mean = (x * mask).sum(0) / count
        std = ((x - mean).square() * mask).sum(0).div(count).sqrt()
        if max(far := mean.abs().max().item(), wide := std.max().item()) > MAX_SCALE:
            warnings.append(
                f"Columns of data={self.source.name} have means up to {far:.4g} and standard deviations up to "
                f"{wide:.4g}, expected about 0 and 1, without which training is slow or fails. Save (x - "
                "numpy.nanmean(x, 0)) / numpy.nanstd(x, 0).clip(1e-9), and name that file by data.path=FILE."
            )
        if len(single := (least == most).nonzero()) and x.dim() == 2:
            first = int(single[0])
            warnings.append(
                f"{len(single)} of {len(mean)} columns of data={self.source.name} hold a single value (column {first}, "
                f"from 0: {mean[first]:.4g}). Their density grows without limit in training, which hides the other "
                "columns. Leave them out: keep x[:, numpy.nanmax(x, 0) > numpy.nanmin(x, 0)]."
            )
        return " ".join(warnings)

    def sample(self, part: Part, n: int) -> Batch:
        """n random rows of a part (see `Batches.sample`) in the data space, the same at every call."""
        batches = self._batches(part, n)
        return self.transform(batches.gather(batches.sample(n, self.seed)), training=False)

    def in_order(self, part: Part) -> Batches:
        """Every row of a part once, raw, in the order of its source; `indices` are the row numbers in it."""
        return self._batches(part, self.eval_batch_size)

    def train_dataloader(self) -> Batches:
        return self._for_process("train", self.batch_size, training=True, epoch=self._epoch, seed=self.shuffle_seed)

    def val_dataloader(self) -> Batches:
        return self._for_process("val", self.eval_batch_size)

    def test_dataloader(self) -> Batches:
        return self._for_process("test", self.eval_batch_size)

    predict_dataloader = test_dataloader

    def _epoch(self) -> int:
        """The epoch of the trainer; constant if it overfits a few batches."""
        trainer: Any = self.trainer
        return trainer.current_epoch if trainer and not trainer.overfit_batches else 0

    def _for_process(self, part: Part, batch_size: int, **options: Any) -> Batches:
        """The batches of this process. Raises `Refusal` if there are fewer rows than processes."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        count = len(self._splits[part][1])
        if count < world:
            raise Refusal(
                f"The {part} split has {count} rows for {world} processes; use fewer: trainer.devices={count}."
            )
        return self._batches(part, batch_size, rank=rank, world=world, **options)

    def _batches(self, part: Part, batch_size: int, training: bool = False, **options: Any) -> Batches:
        rows, indices, seed = self._splits[part]
        drawn = self.transform.binarize == "dynamic" or self.transform.dequantize
        by_row = self.transform.binarize == "fixed" or (drawn and not training)

        def draw(x: Tensor, numbers: Tensor) -> Tensor:
            return self.transform.draw(x, row_noise(seed, numbers, tuple(x.shape[1:])))

        kind = PoissonBatches if training and self.poisson else Batches
        return kind(rows, indices, batch_size, draw=draw if by_row else None, **options)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Raw rows to the data space, on the device."""
        assert self.trainer is not None  # the trainer calls this
        batch = self.transform(batch, training=self.trainer.training)
        return replace(batch, x=self.trainer.precision_plugin.convert_input(batch.x))  # trainer.precision=bf16-true
