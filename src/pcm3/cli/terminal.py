"""What a terminal that does not know all letters gets to see: Δ as D, ³ as 3, … as ..., and no traceback."""

from __future__ import annotations

import codecs
import sys
import unicodedata
from contextlib import suppress

ERRORS = "pcm3-readable"
"""The name of the error handler."""
PLAIN = {
    "×": "x", "·": ".", "…": "...", "–": "-", "—": "-", "−": "-", "±": "+-", "→": "->", "←": "<-", "≤": "<=",
    "≥": ">=", "≈": "~", "≠": "!=", "Δ": "D", "°": " deg", "τ": "tau", "λ": "lambda", "µ": "u", "μ": "u", "ß": "ss",
    "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "●": "*", "│": "|", "─": "-", "✓": "ok", "∞": "inf",
}  # fmt: skip
"""Letters that have no plain one inside."""


def write_readably() -> None:
    """From here on stdout and stderr write what their encoding does not know in letters that it does."""
    codecs.register_error(ERRORS, _readable)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # a stream of somebody else's, or a closed one
            stream.reconfigure(errors=ERRORS)  # type: ignore[union-attr]


def knows(text: str) -> bool:
    """Whether stdout can write the text as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _readable(error: UnicodeError) -> tuple[str, int]:
    """What stands for letters that could not be written; of a byte that is no letter, its hexadecimal digits."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    return "".join(_plain(letter) for letter in letters), error.end


def _plain(letter: str) -> str:
    if 0xDC80 <= ord(letter) <= 0xDCFF:  # how Python keeps a byte of a file's name that it cannot read
        return f"\\x{ord(letter) - 0xDC00:02x}"
    plain = PLAIN.get(letter) or unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain or "?"
