"""A store whose clips have the labels of a table, as the explorer writes it: the store on the disk stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pcm3.data.formats.labels import label_rows
from pcm3.data.names import printable
from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.errors import DataError


def relabelled(store: ClipStore, table: Path) -> tuple[ClipStore, list[str]]:
    """The store with the labels of a table and no others, and what is to be said of them.

    Args:
        store: of trimmed clips, or of the labelled intervals of recordings.
        table: a CSV file with the columns ``file``, the names of the store's clips, and ``label``. Clips that it does
            not name have no label; rows with ``start`` or ``stop`` are of parts of recordings, and are left out.

    Raises:
        DataError: the table cannot be read, tells a clip two labels, or names none of the store's clips.
    """
    place = {name: number for number, name in enumerate(store.ids.tolist())}
    taken: dict[int, str] = {}
    strangers: list[str] = []
    parts = 0
    for line, row in label_rows(table):
        if row.get("start") or row.get("stop"):
            parts += 1
            continue
        clip, word = place.get(row["file"]), row.get("label", "")
        if clip is None:
            strangers.append(row["file"])
        elif word and taken.setdefault(clip, word) != word:
            raise DataError(
                f"{table}: line {line}: expected one label for '{printable(row['file'])}', got "
                f"'{printable(taken[clip], 30)}' and '{printable(word, 30)}'"
            )
    if not taken:
        nothing = "rows of parts of recordings alone" if parts else "rows without a label"
        raise DataError(
            f"{table}: expected labels of the store's clips, named in the column 'file' like "
            f"'{printable(str(store.ids[0]))}', got " + (f"'{printable(strangers[0])}'" if strangers else nothing)
        )
    classes = sorted(set(taken.values()))
    label = np.full(len(store), UNKNOWN, np.int32)
    label[list(taken)] = [classes.index(word) for word in taken.values()]
    notes = [
        f"{table.name}: labels of {len(taken):,} of the store's {len(store):,} clips; those of its import do not count"
    ]
    if strangers:
        rows = "1 row names" if len(strangers) == 1 else f"{len(strangers):,} rows name"
        notes.append(f"{table.name}: {rows} no clip of the store, as '{printable(strangers[0])}' does")
    if parts:
        notes.append(
            f"{table.name}: rows of parts of recordings are left out ({parts:,}); pcm3 import --labels takes them"
        )
    return replace(store, label=label, classes=tuple(classes)), notes
