"""The same table for the terminal, as Markdown and as JSON; the numbers of a column have the same decimals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import floor, isfinite, log10

Cell = str | float | int | None
NUMBER = re.compile(r"-?[\d,]+(\.\d+)?|nan|-?inf|")
MOST_DECIMALS = 4


def text_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Columns aligned with spaces, numbers to the right."""
    cells = [list(header), *_formatted(rows)]
    columns = list(zip(*cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [any(column[1:]) and all(map(NUMBER.fullmatch, column[1:])) for column in columns]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in _formatted(rows)]
    return "\n".join(lines)


def alike(column: Sequence[Cell]) -> list[str]:
    """The cells of a column as text: if one of its numbers has decimals, all have as many.

    They are enough for four digits of the largest and two of the smallest, but no more than `MOST_DECIMALS`, and no
    zeros at the end of all of them.
    """
    numbers = [cell for cell in column if isinstance(cell, int | float)]
    if not any(isinstance(number, float) for number in numbers):
        return [_text(cell) for cell in column]
    magnitudes = [floor(log10(abs(number))) for number in numbers if number and isfinite(number)]
    decimals = min(max(3 - max(magnitudes), 1 - min(magnitudes), 0), MOST_DECIMALS) if magnitudes else 0
    texts = [f"{cell:,.{decimals}f}" if isinstance(cell, int | float) else cell or "" for cell in column]
    while decimals and all(text.endswith("0") for text in texts if text.endswith(tuple("0123456789"))):
        decimals -= 1
        texts = [f"{cell:,.{decimals}f}" if isinstance(cell, int | float) else cell or "" for cell in column]
    return texts


def _text(cell: Cell) -> str:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return "" if cell is None else str(cell)


def _formatted(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    columns = [alike(column) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]
