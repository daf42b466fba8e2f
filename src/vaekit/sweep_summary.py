"""A table of a multirun's jobs beside their folders."""

import atexit
import csv
import json
import logging
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

log = logging.getLogger(__name__)


class SweepSummary(Callback):
    """Writes summary.csv into the multirun's folder (job, overrides, status, error, metrics) and shows it at the end.

    A job that fails is said so at once: Hydra goes on with the others and raises the first error after all of them.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        atexit.register(show, Path(config.hydra.sweep.dir))  # on_multirun_end is not called if a job failed

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if job_return.hydra_cfg is None or job_return.hydra_cfg.hydra.mode.name != "MULTIRUN":
            return
        job = job_return.hydra_cfg.hydra
        folder = Path(job.runtime.output_dir)
        row = {"job": folder.name, "overrides": " ".join(job.overrides.task), "status": "done", "error": ""}
        if job_return.status != JobStatus.COMPLETED:
            error = job_return._return_value  # the public property would raise it
            row |= {"status": "failed", "error": str(error) or type(error).__name__}
            log.error("Job %s failed: %s", row["job"], row["error"])
        (folder / ".hydra").mkdir(exist_ok=True)
        (folder / ".hydra" / "job.json").write_text(json.dumps(row))
        summarise(folder.parent)


def summarise(sweep: Path) -> None:
    """Write summary.csv from what lies in the jobs' folders, so that it does not matter which process ran which."""
    from vaekit.runs import read_metrics

    rows = []
    for path in sorted(sweep.glob("*/.hydra/job.json"), key=lambda path: path.stat().st_mtime):
        metrics = {name: f"{value:.6g}" for name, value in read_metrics(path.parents[1]).items()}
        rows.append(json.loads(path.read_text()) | metrics)
    first = ["job", "overrides", "status", "error", "test/nll"]
    names = first + sorted({name for row in rows for name in row} - set(first))
    part = sweep / "summary.part"
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    part.replace(sweep / "summary.csv")


def show(sweep: Path) -> None:
    """Print summary.csv, its main columns."""
    from rich.console import Console
    from rich.table import Table

    if not (sweep / "summary.csv").exists():
        return
    with (sweep / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = Table(title=f"{sweep}/summary.csv", title_justify="left")
    shown = ("overrides", "status", "test/nll", "test/elbo")
    for name in shown:
        table.add_column(name, justify="right" if name.startswith("test/") else "left")
    for row in rows:
        table.add_row(*(row.get(name) or "" for name in shown))
    Console().print(table)
