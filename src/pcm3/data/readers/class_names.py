"""Class names: of the data sets, in ``classes.toml``; of somebody's own, in a ``classes.txt`` beside the recordings."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pcm3.data.archives import Entry
from pcm3.data.names import check_name
from pcm3.errors import DataError

OWN_CLASSES = "classes.txt"
"""The name of action k in line k: the recordings are not the data set's own then."""


@cache
def class_names(dataset: str) -> tuple[str, ...]:
    """The class names of a data set, in the order of the labels."""
    tables = tomllib.loads(Path(__file__).with_name("classes.toml").read_text(encoding="utf-8"))
    return tuple(tables[dataset])


def own_classes(entries: Iterable[Entry]) -> tuple[str, ...] | None:
    """The names in the source's classes.txt, without empty lines at its end; None where it has no such file.

    Raises:
        DataError: the file does not name classes.
    """
    files = [entry for entry in entries if entry.name == OWN_CLASSES]
    if not files:
        return None
    try:
        names = tuple(line.strip() for line in files[0].read().decode("utf-8").rstrip().splitlines())
    except UnicodeDecodeError as error:
        raise DataError(f"{files[0]}: expected one class name a line in UTF-8, got other bytes") from error
    if not all(names) or len(set(names)) != len(names) or not names:
        raise DataError(f"{files[0]}: expected one class name a line, none empty and no two alike")
    for name in names:
        check_name(f"{files[0]}: class names", name)
    return names


def numbered_classes(count: int) -> tuple[str, ...]:
    """Numbers as class names, where a source has no others."""
    return tuple(map(str, range(count)))
