"""Images and their labels: files of either, and pictures of both."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.csv_file import write_csv
from vaekit.data.files import read_text
from vaekit.data.npz import holds_arrays
from vaekit.media.figures import Headings, save_grid
from vaekit.media.image import Image
from vaekit.media.medium import Medium, Names, Read
from vaekit.media.real import Real, first
from vaekit.refusal import Refusal


class Pairs(Real):
    """Images without labels, in the files of `vaekit.media.image`; labels without images, in a .csv file with a column
    of this name; or rows as of vectors. Written as a picture, under each image its likeliest label, and as NAME.csv,
    that label and its probability.
    """

    gap = 0.5  # gray, in place of a missing image
    read_incomplete = Medium.read_incomplete  # the pair itself marks a missing modality, not NaN
    write_imputed = Medium.write_imputed  # one label per line

    def open(self, path: Path) -> tuple[Names, Read]:
        space = self.space
        if holds_arrays(path):
            names, read = super().open(path)
            return names, lambda part: self.masked(read(part).x)
        if path.suffix.lower() == ".csv":
            label = read_labels(path, space.classes)
            return range(len(label)), lambda part: self.masked(space.pair(None, label[part]))
        names, read = Image(space.image).open(path)
        return names, lambda part: self.masked(space.pair(read(part).x, None))

    def masked(self, x: Tensor) -> Batch:
        observed = self.space.split(x)[2]
        return Batch(x, mask=None if observed.all() else self.space.per_value(observed))

    def write(self, path: Path, x: Tensor, columns: int, headings: Headings = Headings()) -> None:
        image, label, observed = self.space.split(x.float().cpu())
        probability, number = label.max(-1)
        lines = zip(number.tolist(), probability.tolist(), observed[:, 1].tolist(), strict=True)
        captions = [(str(each), f"{p:.4g}") if known else ("", "") for each, p, known in lines]
        rows = [("label", "probability"), *captions]
        write_csv(path.with_suffix(".csv"), rows, spreadsheet=self.spreadsheet)
        gray = torch.where(observed[:, :1, None, None] == 1, image, self.gap)
        headings = replace(headings, cells=[name or "?" for name, _ in captions])
        save_grid(path.with_suffix(".png"), first(gray, columns), self.space.image, columns, headings)


def read_labels(path: Path, classes: int) -> Tensor:
    """The column `label` of a .csv file, `[n]`.

    Args:
        path: The file.
        classes: Number of classes; labels are below it.

    Raises:
        Refusal: If a cell is not a class; the message names the line.
    """
    try:
        rows = list(csv.DictReader(StringIO(read_text(path))))
    except csv.Error as error:
        raise Refusal(f"Cannot read {path} ({error}); save it as CSV in UTF-8.") from error
    if not rows or "label" not in rows[0]:
        raise Refusal(
            f"{path} has no rows with a column 'label'. Write label into line 1, and a class into each other line."
        )
    for line, row in enumerate(rows, 2):
        if not (row["label"] or "").strip().isdecimal() or int(row["label"]) >= classes:
            raise Refusal(
                f"{path}, line {line}: got the label {row['label']!r}, expected a whole number from 0 to "
                f"{classes - 1}; correct it."
            )
    return torch.tensor([int(row["label"]) for row in rows])
