"""Features of clips in files that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float

from pcm3.data.store import ClipStore
from pcm3.files import write_atomically
from pcm3.report.csv_files import Value, write_csv


def write_npz(file: Path, store: ClipStore, features: Float[np.ndarray, "N D"]) -> None:
    """Arrays ``features``, ``ids``, ``label``, ``subject`` (−1: not known) and ``classes``, the names of the labels."""
    known = (store.label, store.subject, np.array(store.classes, np.str_))

    def write(opened: BinaryIO) -> None:
        label, subject, classes = known
        np.savez(opened, features=features, ids=store.ids, label=label, subject=subject, classes=classes)

    write_atomically(file, write)


def write_table(file: Path, store: ClipStore, features: Float[np.ndarray, "N D"]) -> None:
    """CSV, a row a clip: id, class and subject (empty: not known), then the features."""

    def rows() -> Iterator[Sequence[Value]]:
        for place, feature in enumerate(features.tolist()):
            label, subject = int(store.label[place]), int(store.subject[place])
            name = store.classes[label] if 0 <= label < len(store.classes) else (None if label < 0 else str(label))
            yield [str(store.ids[place]), name, None if subject < 0 else subject, *feature]

    write_csv(file, ["id", "class", "subject", *(f"f{number}" for number in range(features.shape[1]))], rows())


FORMS: dict[str, Callable[[Path, ClipStore, Float[np.ndarray, "N D"]], None]] = {
    ".npz": write_npz,
    ".csv": write_table,
}
"""Ending of a file → what writes it."""
