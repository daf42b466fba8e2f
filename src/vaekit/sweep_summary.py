"""Results of the jobs of a multirun: a record in the folder of each job, and a table of all jobs."""

import atexit
import csv
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vaekit.refusal import Refusal
from vaekit.whole_file import read_json, whole_file, write_whole
from vaekit.words import check_sweep

log = logging.getLogger(__name__)
RECORD = ".hydra/job.json"


class SweepSummary(Callback):
    """Refuses a multirun with a setting that no part reads before its first job.

    Writes summary.csv into the multirun's folder (job, overrides, status, error, metrics) and shows it at the end.

    A failed job is reported at once, and Hydra continues with the others; a killed job stays "unfinished".
    """

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None, **kwargs: Any) -> None:
        try:
            check_sweep(config, str(config_name))
        except Refusal as refusal:  # an exception of a Hydra callback would only be a warning
            raise SystemExit(str(refusal)) from None
        if all(os.environ.get(rank, "0") == "0" for rank in ("RANK", "SLURM_PROCID")):
            atexit.register(show, Path(config.hydra.sweep.dir))  # on_multirun_end is not called if a job failed

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.hydra.mode.name == "MULTIRUN":
            write_record(config.hydra, "unfinished")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if job_return.hydra_cfg is None or job_return.hydra_cfg.hydra.mode.name != "MULTIRUN":
            return
        job = job_return.hydra_cfg.hydra
        if job_return.status == JobStatus.COMPLETED:
            write_record(job, "done")
        else:
            error = job_return._return_value  # the public property would raise it
            error = str(error) or type(error).__name__
            write_record(job, "failed", error)
            log.error("Job %s failed: %s", Path(job.runtime.output_dir).name, error)
        summarize(Path(job.runtime.output_dir).parent)


def own(overrides: Iterable[str]) -> list[str]:
    """The overrides of a job itself, without those that choose the search.

    Args:
        overrides: All overrides of the job.
    """
    return [word for word in overrides if not word.startswith("sweep=")]


def write_record(hydra: DictConfig, status: str, error: str = "") -> None:
    """Write the record of a job into its folder.

    Args:
        hydra: Configuration of Hydra in the job.
        status: E.g. `done` or `failed`.
        error: Message of a failed job.
    """
    path = Path(hydra.runtime.output_dir, RECORD)
    path.parent.mkdir(exist_ok=True)
    write_whole(path, json.dumps({"overrides": own(hydra.overrides.task), "status": status, "error": error}))


def read_record(path: Path) -> dict[str, Any]:
    """The record of a job.

    Args:
        path: The file.

    Returns:
        Of a damaged file, what is known of a job without a record.
    """
    return {"overrides": [], "status": "unfinished", "error": f"{path} is damaged"} | read_json(path)


def find_done(sweep: Path, overrides: Iterable[str], name: str) -> Path | None:
    """The folder of a finished job.

    Args:
        sweep: Folder of the multirun.
        overrides: Overrides of the job.
        name: Name of its folder; its number may differ.

    Returns:
        None if no such job is finished.
    """
    for path in sweep.glob(f"*_{name}/{RECORD}"):
        record = read_record(path)
        if record["status"] == "done" and sorted(record["overrides"]) == sorted(own(overrides)):
            return path.parents[1]
    return None


def summarize(sweep: Path) -> list[dict[str, str]]:
    """Write summary.csv from the records in the folders of all jobs, so that any process may have run any job.

    Args:
        sweep: Folder of the multirun.

    Returns:
        A row for each job.
    """

    def place(path: Path) -> tuple[int, float]:
        number = path.parents[1].name.partition("_")[0]
        return int(number) if number.isdigit() else 0, path.stat().st_mtime

    rows = []
    for path in sorted(sweep.glob(f"*/{RECORD}"), key=place):
        folder, record = path.parents[1], read_record(path)
        figures = read_json(folder / "metrics.json")  # vaekit.runs would import torch, into a process that is ending
        row = {"job": folder.name, **record, "overrides": " ".join(record["overrides"])}
        rows.append(row | {name: f"{value:.6g}" for name, value in figures.items()})
    if not rows:
        return rows
    first = ["job", "overrides", "status", "error", "test/nll"]
    names = first + sorted({name for row in rows for name in row} - set(first))
    with whole_file(sweep / "summary.csv") as part, part.open("w", newline="") as file:  # several jobs may end at once
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return rows


def show(sweep: Path) -> None:
    """Print the main columns of summary.csv, and those overrides that differ between jobs.

    Args:
        sweep: Folder of the multirun.
    """
    from rich.console import Console
    from rich.table import Table

    if not (rows := summarize(sweep)):
        return
    shared = set.intersection(*(set(row["overrides"].split()) for row in rows)) if len(rows) > 1 else set()
    for row in rows:
        row["overrides"] = " ".join(word for word in row["overrides"].split() if word not in shared)
    table = Table()
    shown = ("overrides", "status", "test/nll", "test/elbo")
    for name in shown:
        table.add_column(name, justify="right" if name.startswith("test/") else "left")
    for row in rows:
        table.add_row(*(row.get(name, "") for name in shown))
    console = Console()
    console.print(f"{sweep}/summary.csv", soft_wrap=True)
    console.print(table)
