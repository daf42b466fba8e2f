"""The log of a training, metrics.csv: a row for each logged step. Rows survive a resumption."""

import csv
import logging
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from vaekit.whole_file import whole_file

log = logging.getLogger(__name__)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics.csv.

    Rows that a crash left damaged are dropped; their number is logged as a warning.

    Args:
        path: The file.

    Returns:
        Values by column, as text.
    """
    with path.open(newline="", errors="replace") as file:
        found = list(csv.DictReader(line.replace("\0", "") for line in file))
    rows = [row for row in found if (row.get("step") or "").isdigit() and None not in row and None not in row.values()]
    if len(rows) < len(found):
        log.warning(f"{path}: {len(found) - len(rows)} damaged rows were left out.")
    return rows


class CSVLogger(Logger):
    """Appends to metrics.csv. The logger of Lightning would delete earlier rows when a run is resumed.

    Rows that a resumed run will log again are dropped first: steps after its checkpoint, and the test.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: str):
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.columns: list[str] = []  # columns that this process has written

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing, because the settings are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        row = {"step": step, **metrics}
        if not row.keys() <= set(self.columns):
            self._widen(row)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def _widen(self, row: dict[str, Any]) -> None:
        """Add the columns of `row` to the file; the first time, also drop rows that will be logged again."""
        rows: list[dict[str, str]] = []
        if self.path.exists():
            rows = read_rows(self.path)
        if not self.columns:
            rows = [
                {name: value for name, value in old.items() if not name.startswith("test/")}
                for old in rows
                if int(old["step"]) < row["step"] and not old.get("test/loss")
            ]
        self.columns = ["step", *sorted({name for each in (*rows, row) for name in each} - {"step"})]
        with whole_file(self.path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)
