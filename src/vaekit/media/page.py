"""HTML: tables and pictures for notebooks, and whole pages in one file, which load nothing from elsewhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping
from pathlib import Path

STYLE = """body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td { border-bottom: 1px solid #ccc; padding: .2em 1em .2em 0; text-align: right }
td:first-child { text-align: left } img { max-width: 100% }"""


def table(rows: Iterable[Iterable[str]]) -> str:
    """A table in HTML.

    Args:
        rows: The text of each cell.

    Example:
        >>> from vaekit.media.page import table
        >>> table([["a < b", "1"]])
        '<table><tr><td>a &lt; b</td><td>1</td></tr></table>'
    """
    lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def picture(path: Path, width: str = "24em") -> str:
    """A PNG as an element of HTML.

    Args:
        path: The file.
        width: The largest one, in CSS.
    """
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img style="max-width:{width}" alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}">'


def paragraph(text: str) -> str:
    """A paragraph in HTML.

    Args:
        text: Plain text.

    Example:
        >>> from vaekit.media.page import paragraph
        >>> paragraph("a < b")
        '<p>a &lt; b</p>'
    """
    return f"<p>{html.escape(text)}</p>"


def save_page(path: Path, title: str, sections: Mapping[str, Iterable[str]]) -> None:
    """Write a page.

    Args:
        path: The HTML file.
        title: Its heading.
        sections: By heading, elements of HTML.
    """
    body = "".join(f"<h2>{html.escape(name)}</h2>{''.join(parts)}" for name, parts in sections.items())
    path.write_text(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>{body}</body></html>\n",
        encoding="utf-8",
    )
