"""The lists of names in a PYSKL pickle as protocols: which list trains against which."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pcm3.data.archives import Skipped
from pcm3.data.names import printable, wrong_file_name
from pcm3.data.readers.ntu_names import NtuName
from pcm3.data.recording import TEST, TRAIN
from pcm3.errors import DataError

PART = re.compile(r"(train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)")
PROTOCOL = "split"
"""What the lists make that are called nothing but train and test."""


@dataclass
class Split:
    """What the lists say."""

    protocols: list[str] = field(default_factory=list)
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    """Id → protocol → `TRAIN` or `TEST`."""
    missing: list[Skipped] = field(default_factory=list)
    """Names in a list that have no annotation."""
    notes: list[str] = field(default_factory=list)


def read_split(file: Path, lists: Any, clips: Container[str], annotated: Container[str] = ()) -> Split:
    """The protocols that the lists make; a clip on both sides of one is on neither, and a note says so.

    A list is called by the protocol and the part (``xsub_train``). A protocol trains on its ``train`` and tests on its
    ``test`` list, or on ``val`` where there is none; where there are both, ``NAME-val`` tests on ``val``.

    Args:
        file: for errors.
        lists: list name → names of clips.
        clips: the names of the clips.
        annotated: names that have an annotation, perhaps an unusable one, which was told already.

    Raises:
        DataError: the lists are no lists of names.
    """
    if not isinstance(lists, dict):
        raise DataError(f"{file}: expected 'split' to be a dict of lists of names, got a {type(lists).__name__}")
    split = Split()
    parts: dict[str, dict[str, str]] = {}
    listed = {called: _names(file, called, names) for called, names in lists.items()}
    for called, names in listed.items():
        split.missing += [
            (f"{file}: {printable(name)}", f"named in '{printable(called, 40)}', but not annotated")
            for name in dict.fromkeys(names)
            if name not in clips and name not in annotated
        ]
        protocol, part = _protocol_and_part(called)
        if part is None:
            list_name = printable(called, 40)
            split.notes.append(f"The list '{list_name}' is called neither train nor val nor test, and is not used.")
        elif (wrong := wrong_file_name(protocol)) is not None:
            split.notes.append(f"The list '{printable(called, 40)}' is not used: {wrong}.")
        elif called != parts.setdefault(protocol, {}).setdefault(part, called):
            both = f"'{printable(called, 40)}' and '{printable(parts[protocol][part], 40)}'"
            raise DataError(f"{file}: {both} are both the {part} list of {protocol}")
    for protocol, named in parts.items():
        for name, other in _pairs(protocol, named):
            _add(split, name, listed[named["train"]], listed[named[other]], clips)
        if "train" not in named or len(named) == 1:
            split.notes.append(
                f"The list '{printable(', '.join(named.values()))}' has no counterpart, and makes no protocol."
            )
    return split


def _names(file: Path, called: Any, names: Any) -> list[str]:
    """The names of a list, which may be of any kind that has an order or can be given one."""
    if not isinstance(called, str):
        raise DataError(f"{file}: expected 'split' to hold lists by their names, got {ascii(called)[:40]} for a name")
    values = names.tolist() if isinstance(names, np.ndarray) else names
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise DataError(
            f"{file}: expected 'split' to hold lists of names, got a {type(values).__name__} as "
            f"'{printable(called, 40)}'"
        )
    wrong = next((name for name in values if not isinstance(name, str)), None)
    if wrong is not None:
        got = f"a {type(wrong).__name__} ({printable(str(wrong), 40)})"
        raise DataError(f"{file}: expected names in the list '{printable(called, 40)}', got {got}")
    return sorted(values) if isinstance(values, (set, frozenset)) else list(values)


def _protocol_and_part(called: str) -> tuple[str, str | None]:
    """``xsub_train`` → xsub, train; ``train1`` → split1, train; None for a list that is called by no part."""
    match = PART.search(called)
    if match is None:
        return called, None
    rest = (called[: match.start()].strip("_-. "), called[match.end() :].strip("_-. "))
    protocol = "_".join(part for part in rest if part)
    part = next(part for part in ("train", "val", "test") if match[0].startswith(part))
    return (PROTOCOL + protocol if not protocol or protocol.isdigit() else protocol), part


def _pairs(protocol: str, named: Mapping[str, str]) -> list[tuple[str, str]]:
    """The protocols that train on the training list, each with the part on which it tests."""
    others = [part for part in ("test", "val") if part in named] if "train" in named else []
    return list(zip((protocol, f"{protocol}-val"), others, strict=False))


def _add(split: Split, protocol: str, train: list[str], test: list[str], clips: Container[str]) -> None:
    """Adds a protocol; who is in both of its lists is on neither side."""
    both = set(train) & set(test)
    if both:
        split.notes.append(
            f"{protocol}: {len(both)} clips are in both lists, and so on neither side; one is '{printable(min(both))}'."
        )
    for names, side in ((train, TRAIN), (test, TEST)):
        for name in names:
            if name in clips and name not in both:
                split.splits.setdefault(name, {})[protocol] = side
    split.protocols.append(protocol)


def compare(split: Split, named: Mapping[str, NtuName], protocols: Mapping[str, Any]) -> list[str]:
    """What to say where lists put clips elsewhere than the protocol of NTU RGB+D that they are called after."""
    notes: list[str] = []
    for protocol in split.protocols:
        rule = protocols.get(protocol)
        if rule is None:
            continue
        listed = [(getattr(name, rule["by"]), split.splits.get(id, {}).get(protocol)) for id, name in named.items()]
        values, splits = np.array([(value, side) for value, side in listed if side is not None]).reshape(-1, 2).T
        wrong = int(((splits == TRAIN) != np.isin(values, rule["train"])).sum())
        if wrong:
            notes.append(f"{protocol}: the lists put {wrong} clips on the other side than NTU RGB+D's own protocol.")
    return notes
