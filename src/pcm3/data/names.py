"""Names that come with data: which are taken, and how any text of a file is shown on a terminal.

Class names, protocols and ids come from strangers' files and go to terminals, into file names and pages. They are
looked at here, where they come in; whatever else of a file is quoted in a message goes through `printable`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from pcm3.errors import DataError

LONGEST = 200
"""Characters of a name."""
LONGEST_FILE = 80
"""Characters of a name that becomes part of a file's name."""
NOT_IN_FILES = frozenset('/\\:*?"<>|')
"""Characters that some system does not allow in the name of a file."""


NOTHING = frozenset(
    ("", "nan", "NaN", "-nan", "-NaN", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaT", "NULL", "null", "None")
)
"""Words in a table's cell that say that nothing is there, as R, pandas, spreadsheets and databases write it."""


def printable(text: str, longest: int = 80) -> str:
    """The text in one line of at most ``longest`` characters; what does not print is written as an escape."""
    cut = text[: longest + 1]
    safe = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in cut)
    return safe if len(safe) <= longest else safe[: longest - 1] + "…"


def is_name(value: Any) -> bool:
    """Whether it is a text of 1 to `LONGEST` characters all of which print."""
    return isinstance(value, str) and value.isprintable() and len(value.strip()) > 0 and len(value) <= LONGEST


def wrong_file_name(name: Any) -> str | None:
    """Why the name cannot be part of a file's name, as those of protocols are; None if it can."""
    if not is_name(name):
        return f"expected a name of 1 to {LONGEST_FILE} printable characters, got '{printable(str(name), 40)}'"
    if len(name) > LONGEST_FILE or name.strip(". ") == "" or name[0] == "." or NOT_IN_FILES & set(name):
        forbidden = "".join(sorted(NOT_IN_FILES))
        return (
            f"expected a name of 1 to {LONGEST_FILE} characters that can be part of a file's name (no {forbidden}, no "
            f"dot at its start), got '{printable(name, 40)}'"
        )
    return None


MOST_BYTES = 200
"""Of a file's name; systems take 255, and a file that is being written has some more."""


def file_name(name: str) -> str:
    """The name as part of a file's name: what cannot stand there is an underscore."""
    return "".join("_" if letter in NOT_IN_FILES or not letter.isprintable() else letter for letter in name)


def own_file_name(name: str) -> str:
    """The name as that of a file, so that names that differ stay apart: what cannot stand there is written as in a web
    address, and what is longer than any system takes ends with a checksum.
    """
    escapes = NOT_IN_FILES | {"%"}
    letters = [f"%{ord(letter):02X}" if letter in escapes or not letter.isprintable() else letter for letter in name]
    escaped = "".join(letters)
    if len(escaped.encode()) <= MOST_BYTES:
        return escaped
    short = escaped.encode()[: MOST_BYTES - 9].decode(errors="ignore")
    return f"{short}~{hashlib.sha256(escaped.encode()).hexdigest()[:8]}"


def check_name(what: str, value: Any) -> None:
    """Raises DataError if ``what``, which came with data, is no name."""
    if not is_name(value):
        got = f"'{printable(value, 40)}'" if isinstance(value, str) else f"a {type(value).__name__}"
        where, _, what = what.rpartition(": ")
        raise DataError(f"{where and where + ': '}expected {what} of 1 to {LONGEST} printable characters, got {got}")


def check_protocols(protocols: Any) -> None:
    """Raises DataError if a protocol's name cannot be part of a file's name: results are called after it."""
    for name in protocols:
        wrong = wrong_file_name(name)
        if wrong is not None:
            raise DataError(f"protocol: {wrong}")
