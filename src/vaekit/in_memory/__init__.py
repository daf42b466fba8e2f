"""Rows in memory: written into files that data sources and tasks read, and results converted to the user's types."""

from vaekit.in_memory.container import Container
from vaekit.in_memory.files import as_file, choices, named, write
from vaekit.in_memory.frames import is_frame, read_csv, write_frame
from vaekit.in_memory.rows import as_array, as_labels, convert

__all__ = [
    "Container",
    "as_array",
    "as_file",
    "as_labels",
    "choices",
    "convert",
    "is_frame",
    "named",
    "read_csv",
    "write",
    "write_frame",
]
