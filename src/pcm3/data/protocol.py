"""Which clips train and which test: protocols as plain data, carried by the store.

A protocol is ``{"by": column, "train": [values]}``: clips whose value in the column is listed train, all others whose
value is known test. Clips with an unknown value are on neither side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError, not_one_of

Indices = NDArray[np.int64]


def split(store: ClipStore, name: str) -> tuple[Indices, Indices]:
    """The clips that train and the clips that test under the protocol, as ascending indices into the store.

    Raises:
        DataError: the store has no such protocol, or one side of it is empty.
    """
    if name not in store.protocols:
        raise DataError(_unknown(store, name))
    column, listed = store.protocols[name]["by"], store.protocols[name]["train"]
    unknown = np.full(len(store), UNKNOWN, np.int32)
    values: NDArray[np.int32] = store.splits.get(name, unknown) if column == "side" else getattr(store, column)
    known = values != UNKNOWN
    training = known & np.isin(values, listed)
    train, test = np.flatnonzero(training), np.flatnonzero(known & ~training)
    if not known.any():
        raise DataError(f"{store.path}: protocol '{name}' goes by {column}, and no clip of the store has one")
    if len(train) == 0 or len(test) == 0:
        raise DataError(
            f"{store.path}: protocol '{name}' {_empty_side(column, listed, values[known], no_training=len(train) == 0)}"
        )
    return train, test


def hold_out(store: ClipStore, train: Indices, subjects: Sequence[int]) -> tuple[Indices, Indices]:
    """The training clips of the other subjects, and those of these subjects, to validate on; both ascending.

    As with a protocol, clips whose subject is unknown are on neither side, unless no subject is held out.

    Args:
        store: whose clips they are.
        train: clips of the training side, as ascending indices into the store.
        subjects: to hold out.

    Raises:
        DataError: no clip on the training side has a subject.
        ConfigError: a subject is not on the training side, or no other is.
    """
    if not subjects:
        return train, train[:0]
    of = store.subject[train]
    there = np.unique(of[of != UNKNOWN])
    if len(there) == 0:
        raise DataError(f"{store.path}: no subject can be excluded, since no training clip has one; exclude none")
    available = ", ".join(map(str, there))
    strangers = [subject for subject in subjects if subject not in there]
    if strangers:
        raise ConfigError(
            f"setting exclude_subjects: expected subjects on the training side ({available}), got {strangers[0]}"
        )
    held = np.isin(of, subjects)
    rest = (of != UNKNOWN) & ~held
    if not rest.any():
        raise ConfigError(
            f"setting exclude_subjects: expected a subject to be left to train on; the store has only {available}"
        )
    return train[rest], train[held]


def _empty_side(column: str, listed: list[int], known: NDArray[np.int32], *, no_training: bool) -> str:
    """That no clip trains, or none tests, why, and what can be done all the same."""
    empty = "training" if no_training else "test"
    if column == "side":
        why = f"every clip that has a side is on the {'test' if no_training else 'training'} side"
    else:
        trains, there = (", ".join(map(str, values)) for values in (listed, np.unique(known)))
        why = f"it trains on {column} {trains}, and the store has only {there}"
    return f"has no {empty} clip: {why} (to pretrain on every clip: --protocol all)"


def _unknown(store: ClipStore, name: str) -> str:
    """What to say about a protocol that the store does not have."""
    if not store.protocols:
        return (
            f"{store.path}: the store has no protocol, which says what clips train and what clips test: docs/DATA.md "
            "says how to give one"
        )
    return f"{store.path}: {not_one_of('a protocol of the store', name, store.protocols)}"
