"""The context of a task: a trained VAE, its data, and a folder to write into."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import Any, NewType
from zipfile import ZipFile

import numpy as np
import torch
from hydra.utils import instantiate
from torch import Tensor

from vaekit import runs
from vaekit.batch import Batch
from vaekit.csv_file import write_csv
from vaekit.data.batches import Batches
from vaekit.data.module import DataModule
from vaekit.media.figures import Headings
from vaekit.media.medium import Medium, medium
from vaekit.overrides import typed
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal
from vaekit.settings import check_type
from vaekit.spaces import Table
from vaekit.tasks.shared.checks import within
from vaekit.vae import VAE

ExamplesFile = str | Path | None
"""A file or folder of examples, which callers in Python may also pass in memory."""
FILE = "ExamplesFile"  # that annotation, as signatures hold it
Examples = NewType("Examples", Tensor)
"""What a task returns where it is examples in the data space, `[..., *space.shape]`."""


@dataclass
class Context:
    """What a task works with.

    Args:
        run: Folder of the run.
        vae: The model, in evaluation mode, on its device.
        config: Configuration of the run, without its training.
        out: An existing folder for the files of the task.
        batch_size: Rows that are on the device at once.
        changes: Settings of the data that differ from those of the run, e.g. their root.
        spreadsheet: Of the CSV files, see `write_csv`.
        named: Whether the task names a file, which `data.table` is then the table of, rather than of the data.
    """

    run: Path
    vae: VAE
    config: Mapping[str, Any]
    out: Path
    batch_size: int
    changes: Mapping[str, Any] = field(default_factory=dict)
    spreadsheet: bool = False
    named: bool = False

    @cached_property
    def data(self) -> DataModule:
        """The run's data, read on first use, with all labels, those too that training did not see.

        Raises `Refusal` for another split of the run's own files, or data of another space.
        """
        with runs.reading(self.run), _unannounced(not self.changes):
            data = self._data()
            data.setup()
        if data.space != self.vae.space:
            raise Refusal(
                f"The data are {data.space.description}, but the run was trained on "
                f"{self.vae.space.description}; leave out data.{' data.'.join(self.changes)}, or name another run=."
            )
        return data

    @property
    def plan(self) -> Plan:
        """The parts of the model, not built."""
        return Plan.read(self.config, self.vae.space)

    def _data(self) -> DataModule:
        module = dict(self.config["data"]["module"], eval_batch_size=self.batch_size, labels=None)
        module["source"] = source = dict(module["source"])
        settings = _settings(module)
        changes = {name: value for name, value in self.changes.items() if not (self.named and name == "table")}
        for name, value in changes.items():
            settings[name][name] = value
        split = self.changes.keys() & {"test", "validation", "calibration", "seed"}
        if split and not self.changes.keys() & source.keys():
            raise Refusal(
                f"data.{min(split)} would mix training rows of the run with rows that it has not seen; leave it "
                "out, or train again with it."
            )
        stored = self.run.resolve() / "data"  # by `vaekit.fit`
        if not stored.exists() and any(str(source.get(name)).startswith(f"{stored}/") for name in ("path", "name")):
            raise Refusal(
                "There is no file of the training rows: they were not stored with this run (store_data=False). Name "
                f"one, vaekit.open({str(self.run)!r}, data={{'path': 'rows.npy'}}), or data.path=rows.npy of apply.py."
            )
        return instantiate(module)

    @cached_property
    def test(self) -> Batches:
        """The test rows, raw and in order."""
        return self.data.in_order("test")

    def ready(self, batch: Batch) -> Batch:
        """A raw batch in the data space, on the device."""
        return self.data.transform(batch.to(self.vae.device), training=False)

    @property
    def medium(self) -> Medium:
        """How examples are read from files and written into files."""
        return medium(self.vae.space, self.spreadsheet, self.changes.get("table"))

    def read(self, path: str | Path) -> tuple[Sequence[Any], Iterator[Batch]]:
        """The names of the examples in a file or folder (see `Medium.open`), and batches of them, on the device."""
        names, read = self.medium.find(path)
        starts = range(0, len(names), self.batch_size)
        return names, (read(slice(i, i + self.batch_size)).to(self.vae.device) for i in starts)

    def read_one(self, path: str | Path) -> Tensor:
        """The one example in a file, `[1, *space.shape]`, on the device."""
        return self.medium.one(path).to(self.vae.device)

    def sample(self, n: int) -> Tensor:
        """The numbers of n random test examples, see `Batches.sample`."""
        rows = self.test.sample(n, self.data.seed)
        return torch.searchsorted(self.test.indices, rows.to(self.test.indices))

    def examples(self, numbers: slice | Tensor) -> Tensor:
        """Test examples with these numbers, `[n, *space.shape]`, in the data space."""
        return self.data.transform(self.test.gather(self.test.indices[numbers]), training=False).x.to(self.vae.device)

    def condition(self, numbers: slice | Tensor, label: Any = None) -> Any:
        """The condition of these test examples: `label`, or by default their own labels if the model needs them."""
        return (
            self.vae.condition_of(self.test.gather(self.test.indices[numbers]).to(self.vae.device))
            if label is None
            else label
        )

    @torch.no_grad()
    def encode(self, batch: Batch) -> list[Tensor]:
        """The posterior's means of a batch that is `ready`, on the CPU: one `[B, ...]` per level, top first."""
        return [z.cpu() for z in self.vae.encode(batch.x, condition=self.vae.condition_of(batch))]

    def chunks(self, n: int) -> list[int]:
        """n split into parts of at most batch_size, so that memory on the device does not grow with n.

        Raises `Refusal` if n examples are larger than the free space for files.
        """
        size, free = 4 * n * self.vae.space.size, disk_usage(self.out).free
        if size > free:
            raise Refusal(
                f"{n:,} examples take {size / 2**30:,.0f} GiB, and {free / 2**30:,.1f} GiB are free in {self.run}; "
                "use task.n=1000."
            )
        return [min(self.batch_size, n - done) for done in range(0, n, self.batch_size)]

    def write_json(self, name: str, figures: Mapping[str, Any]) -> None:
        """Write the JSON file NAME."""
        (self.out / name).write_text(json.dumps(figures, indent=2) + "\n")

    def write_csv(self, name: str, rows: Iterable[Iterable[Any]]) -> None:
        """Write the CSV file NAME, whose first row names the columns."""
        write_csv(self.out / name, rows, spreadsheet=self.spreadsheet)

    def save(self, name: str, grid: Tensor, columns: int, headings: Headings = Headings(), **arrays: Tensor) -> None:
        """Write NAME.png, the first rows of a grid of examples `[N, *space.shape]`, and NAME.npz, all of `arrays`.

        An array called `label` is shown with the examples, see `show`.
        """
        plain: dict[str, Any] = {key: array.cpu().numpy() for key, array in arrays.items()}
        np.savez(self.out / f"{name}.npz", **plain)
        self.show(name, grid, columns, headings, arrays.get("label"))

    def stream(self, name: str, n: int, batches: Iterable[Mapping[str, Tensor]], **others: Tensor) -> dict[str, Tensor]:
        """Write NAME.npz: arrays of n rows by name, which are written batch by batch, and `others`.

        Returns the arrays of n rows, memory-mapped, so that memory does not grow with n.
        """
        with TemporaryDirectory(dir=self.out) as folder, ExitStack() as stack:
            files: dict[str, Any] = {}
            for batch in batches:
                for key, rows in batch.items():
                    part = rows.cpu().numpy()
                    if key not in files:
                        files[key] = stack.enter_context(Path(folder, f"{key}.npy").open("wb"))
                        kind = np.lib.format.dtype_to_descr(part.dtype)
                        header = {"descr": kind, "fortran_order": False, "shape": (n, *part.shape[1:])}
                        np.lib.format.write_array_header_1_0(files[key], header)
                    part.tofile(files[key])
            stack.close()
            with ZipFile(self.out / f"{name}.npz", "w") as whole:  # which is what numpy.savez writes
                for file in files.values():
                    whole.write(file.name, Path(file.name).name)
                for key, array in others.items():
                    with whole.open(f"{key}.npy", "w") as member:
                        np.save(member, array.cpu().numpy())
            return {key: torch.from_numpy(np.load(file.name, mmap_mode="c")) for key, file in files.items()}

    def show(
        self, name: str, grid: Tensor, columns: int, headings: Headings = Headings(), label: Tensor | None = None
    ) -> None:
        """Write examples as files to look at: NAME.png, the first of them in a grid; of a table NAME.csv.

        Args:
            name: Of the file, without its suffix.
            grid: `[N, *space.shape]`.
            columns: Examples in a row of the grid.
            headings: Texts of the grid.
            label: `[N]`, a column of that table.
        """
        self.medium.write_labeled(self.out / name, grid, columns, label, headings)

    def class_number(self, label: Any) -> Any:
        """The number of a class, or of each in a list, given its name or number. Raises `Refusal` for unknown names."""
        if isinstance(label, Sequence) and not isinstance(label, str):
            return [self.class_number(each) for each in label]
        space = self.vae.space
        named = space.classes if isinstance(space, Table) else {}  # names may be numbers, e.g. grades
        if not named and isinstance(label, str):
            named = self.data.source.classes()
        if isinstance(label, str) and label not in named:
            known = ", ".join(named) or "a number, because these data have no names for them"
            raise Refusal(f"Got task.label={label}, expected {known}; use {typed('task.label', next(iter(named), 0))}.")
        return named.get(str(label), label)


@contextmanager
def _unannounced(known: bool) -> Iterator[None]:
    """A context in which data sources log no warnings, if the data are `known`: training has logged them."""
    sources = logging.getLogger("vaekit.data")
    level = sources.level
    sources.setLevel(logging.ERROR if known else level)
    try:
        yield
    finally:
        sources.setLevel(level)


def _settings(module: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of a run's data by name, and which part of them each belongs to: the module or its source."""
    parts = (module["source"], module)
    return {name: part for part in parts for name in part if name[0] != "_" and name != "source"}


def open_run(
    run: str | Path,
    out: str | Path,
    device: str = "auto",
    batch_size: int | None = None,
    data: Mapping[str, Any] | None = None,
    trust: Collection[str] = (),
    spreadsheet: bool = False,
    sampling: Mapping[str, Any] | None = None,
    named: bool = False,
) -> Context:
    """The context of a finished run.

    Args:
        run: Folder of the run.
        out: An existing folder for the files of a task.
        device: auto, cpu, cuda or mps.
        batch_size: Rows that are on the device at once; None for that of evaluation in the run.
        data: Changes to the settings of the data.
        trust: Names of classes of the user, see `vaekit.runs.read_config`.
        spreadsheet: Of the CSV files, see `write_csv`.
        sampling: Changes to how the prior draws, see `vaekit.runs.load`.
        named: See `Context`.

    Raises:
        Refusal: For the reasons of `vaekit.runs.load`, a device that this machine lacks, and settings that the data
            do not have.
    """
    device = find_device(device)
    config = runs.read_config(run, trust, sampling)
    with runs.reading(Path(run)):
        module = config["data"]["module"]
        for name in data or {}:
            if name not in (known := _settings(module)):
                raise Refusal(
                    f"data.{name} is not a setting of the data of this run; use one of {', '.join(sorted(known))}."
                )
        if batch_size is None:
            batch_size = module["eval_batch_size"] or 4 * module["batch_size"]
        check_type("data.name", config["data"]["name"], str)
        check_type("evaluation.num_samples", config["evaluation"]["num_samples"], int)
    within("batch_size", batch_size, 1)
    vae = runs.load(run, trust, device, sampling)
    return Context(Path(run), vae, config, Path(out), batch_size, data or {}, spreadsheet, named)


def find_device(device: str) -> str:
    """The device to use.

    Args:
        device: Its name, or auto for the fastest one.

    Raises:
        Refusal: If this machine lacks it.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    chosen = next(name for name in available if available[name]) if device == "auto" else device
    if not available.get(chosen):
        names = " or ".join(f"device={name}" for name in ("auto", *available) if available.get(name, True))
        raise Refusal(f"device={device} is not on this machine, or torch cannot use it; use {names}.")
    return chosen
