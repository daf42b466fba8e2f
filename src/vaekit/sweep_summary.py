"""A table of a multirun's jobs beside their folders."""

import csv
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class SweepSummary(Callback):
    """Writes summary.csv into the multirun's folder: job, overrides, status and the final metrics."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Rewrite the table after each job, so that a sweep that is stopped has one too."""
        from vaekit.runs import read_metrics

        if job_return.hydra_cfg is None or job_return.hydra_cfg.hydra.mode.name != "MULTIRUN":
            return
        job, output = job_return.hydra_cfg.hydra, Path(job_return.hydra_cfg.hydra.runtime.output_dir)
        row = {
            "job": output.name,
            "overrides": " ".join(job.overrides.task),
            "status": "done" if job_return.status == JobStatus.COMPLETED else "failed",
            **{name: f"{value:.6g}" for name, value in read_metrics(output).items()},
        }
        path = output.parent / "summary.csv"
        rows = []
        if path.exists():
            with path.open(newline="") as file:
                rows = [old for old in csv.DictReader(file) if old["job"] != row["job"]]
        rows.append(row)
        metrics = {name for each in rows for name in each} - {"job", "overrides", "status"}
        names = ["job", "overrides", "status", *sorted(metrics, key=lambda name: (name != "test/nll", name))]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from rich.console import Console
        from rich.table import Table

        path = Path(config.hydra.sweep.dir) / "summary.csv"
        if not path.exists():
            return
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        table = Table(title=str(path))
        shown = ("overrides", "status", "test/nll", "test/elbo")
        for name in shown:
            table.add_column(name)
        for row in rows:
            table.add_row(*(row.get(name) or "" for name in shown))
        Console().print(table)
