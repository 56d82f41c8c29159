"""One page that can be mailed: HTML with its pictures inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pcm3.files import write_atomically


class Section(NamedTuple):
    """A part of a page."""

    heading: str
    text: str
    pictures: Sequence[Path] = ()
    table: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None
    """Header and rows."""


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid #ddd; }
"""


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """The sections as one self-contained HTML file; pictures that do not exist are left out."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for heading, text, pictures, table in sections:
        body.append(f"<h2>{html.escape(heading)}</h2>\n<p>{html.escape(text)}</p>")
        if table is not None:
            body.append(_table(*table))
        body += [_picture(picture, heading) for picture in pictures if picture.exists()]
    page = "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>",
            *body,
            "</html>\n",
        ]
    )
    write_atomically(path, lambda file: file.write(page.encode()))


def _picture(picture: Path, alt: str) -> str:
    data = base64.b64encode(picture.read_bytes()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in header) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"
