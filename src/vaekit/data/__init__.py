"""Data: one DataModule; a source per file; each declares its space without reading its data."""
