"""The text of a table: how its bytes are written, and what divides its fields."""

from __future__ import annotations

import codecs

LONGEST_LINE = 2**18
DIVIDERS = ",;\t"
MARKS = {"utf-16": (b"\xff\xfe", b"\xfe\xff"), "utf-8-sig": (b"",)}
CONTROL = "".join(map(chr, range(9)))
"""Characters that no text has."""


def table_text(data: bytes, *, whole: bool = True) -> str | None:
    """The bytes as text: UTF-8, UTF-16 with its mark, or Windows-1252, as Excel saves in the west; None: they are none.

    Args:
        data: the bytes.
        whole: whether they go to the end of the file, so that no letter is cut.
    """
    encoding = next(name for name, marks in MARKS.items() if data.startswith(marks))
    for name in (encoding, "cp1252"):
        try:
            text = codecs.getincrementaldecoder(name)().decode(data, final=whole)
        except UnicodeDecodeError:
            continue
        return None if any(letter in text for letter in CONTROL) else text
    return None


def divider_of(text: str) -> str | None:
    """What divides the fields of the first line; None: blanks."""
    line = next(iter(text.lstrip()[:LONGEST_LINE].splitlines()), "")
    most = max(DIVIDERS, key=line.count)
    return most if most in line else None
