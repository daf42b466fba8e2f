"""metrics.csv: what was logged on the way, a row a logged step. Rows survive a resumption."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class CSVLogger(Logger):
    """Writes `folder/metrics.csv`; Lightning's own would delete the rows of the run that is being resumed."""

    def __init__(self, folder: str):
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.rows: list[dict[str, Any]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                self.rows = list(csv.DictReader(file))

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml lies beside."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.rows and step is not None and int(self.rows[-1]["step"]) > step:
            # resumed from a checkpoint older than the last rows: those steps are being taken again
            self.rows = [row for row in self.rows if int(row["step"]) < step]
        self.rows.append({"step": step, **metrics})

    @rank_zero_only
    def save(self) -> None:
        names = ["step", *sorted({name for row in self.rows for name in row} - {"step"})]
        part = self.path.with_suffix(".part")
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)
        part.replace(self.path)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
