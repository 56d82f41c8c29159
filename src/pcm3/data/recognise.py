"""What kind of recordings a source holds, told by the names and the first bytes of its files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcm3.data.archives import Entry, list_entries
from pcm3.data.formats.motion_file import HEAD
from pcm3.data.formats.table import FORMATS
from pcm3.data.forms import form_of
from pcm3.errors import DataError

AUTO = "auto"
"""The kind that is recognised from the files."""

FILES_EXAMINED = 60
"""Files of each ending whose first bytes are looked at."""

NAMES: dict[str, str] = {
    "ntu60": r"S\d{3}C\d{3}P\d{3}R\d{3}A0([0-5]\d|60)\.skeleton(\.npy)?",
    "ntu120": r"S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}\.skeleton(\.npy)?",
    "nw-ucla": r"a\d+_s\d+_e\d+_v\d+\.json",
    "utd-mhad": r"a\d+_s\d+_t\d+_skeleton\.mat",
    "msr-action3d": r"a\d+_s\d+_e\d+_skeleton3D\.txt",
    "pkummd1": r"\d{4}-[LMR]\.txt",
    "pkummd2": r"A\d\dN\d\d-[LMR]\.txt",
    "utkinect": r"joints_s\d\d_e\d\d\.txt",
    "kinder-gator": r"POSE-p\d+_\d+-.+-\d+\.csv",
    "msrc12": r"[Pp]\d_\d_\d+A?_[Pp]\d+\.csv",
    "h36m": r"(directions|discussion|eating|greeting|phoning|posing|purchases|sitting(down)?|smoking|takingphoto|"
    r"waiting|walking(dog|together)?)_\d\.txt",
    "sbu": r"skeleton_pos\.txt",
    "agcn": r"(train|val|test)_(data(_joint(_pad)?)?|position)\.npy",
}
"""Data set → how its recordings are named; where several fit all files, the first."""


@dataclass(frozen=True)
class Belief:
    """What a source is taken for."""

    kind: str
    """As `pcm3.data.datasets.DATASETS` calls it."""
    why: str
    """In one line for the user."""


def recognise(source: Path) -> Belief:
    """What kind of recordings the source holds.

    Raises:
        DataError: there is nothing, nothing known, or two kinds of equal weight; says what lies there.
    """
    if source.is_file() and (known := _of_one_file(source)) is not None:
        return known
    entries, _ = list_entries(source)
    if not entries:
        raise DataError(f"{source}: expected files of recordings, but there are none")
    count = _counts(entries)
    if not count and (kind := _by_ending(entries)) is not None:
        return Belief(kind, f"taken for {kind} by its name")
    if not count:
        endings = Counter(Path(entry.name).suffix or entry.name for entry in entries)
        there = ", ".join(f"{number:,} {ending}" for ending, number in endings.most_common(4))
        raise DataError(
            f"{source}: expected recordings of a kind that pcm3 knows, got {there}; name the kind (pcm3 import "
            "--help), or see docs/YOUR_DATA.md"
        )
    (kind, files), *others = count.most_common()
    rest = f", beside {others[0][1]:,} that look like {others[0][0]}" if others else ""
    return Belief(kind, f"taken for {kind}: {files:,} of {len(entries):,} files look so{rest}")


def _of_one_file(source: Path) -> Belief | None:
    """What a single file is whose content alone tells it."""
    form = form_of(source)
    datasets = [kind for kind in (form.datasets if form is not None else ()) if kind in ("npz", "ctrgcn", "pyskl")]
    if form is None or not datasets:
        return None
    kind = "npz" if "npz" in datasets and "CTR-GCN" not in form.name else datasets[0]
    return Belief(kind, f"taken for {kind}: it is {form.name}")


def _by_ending(entries: Sequence[Entry]) -> str | None:
    """The only format whose files end as all of these do, so that its reader says what is wrong with them."""
    names = [entry.name.lower() for entry in entries]
    datasets = [kind for kind, form in FORMATS.items() if all(name.endswith(form.suffixes) for name in names)]
    return datasets[0] if len(datasets) == 1 and not any(name.endswith(".txt") for name in names) else None


def _counts(entries: Sequence[Entry]) -> Counter[str]:
    """Kind → the recordings of it."""
    count: Counter[str] = Counter()
    left = list(entries)
    for kind, pattern in NAMES.items():
        fitting = [entry for entry in left if re.fullmatch(pattern, entry.name, re.ASCII)]
        if kind == "ntu60" and any(re.fullmatch(NAMES["ntu120"], entry.name, re.ASCII) for entry in left):
            fitting = [] if _beyond_60(left) else fitting
        if fitting:
            count[kind] += len(fitting)
            taken = set(map(id, fitting))
            left = [entry for entry in left if id(entry) not in taken]
    for kind, form in FORMATS.items():
        endings = tuple(form.suffixes)
        candidates = [entry for entry in left if entry.name.lower().endswith(endings)]
        if not candidates:
            continue
        places = np.unique(np.linspace(0, len(candidates) - 1, FILES_EXAMINED).astype(int))
        so = [form.matches(candidates[place].name, _head(candidates[place])) for place in places]
        if sum(so) * 2 > len(so):
            count[kind] += len(candidates)
            taken = set(map(id, candidates))
            left = [entry for entry in left if id(entry) not in taken]
    return count


def _beyond_60(entries: Sequence[Entry]) -> bool:
    beyond = (re.fullmatch(NAMES["ntu120"], entry.name, re.ASCII) for entry in entries)
    return any(match is not None and re.fullmatch(NAMES["ntu60"], match[0], re.ASCII) is None for match in beyond)


def _head(entry: Entry) -> bytes:
    """The first bytes of the file; nothing of one that cannot be read."""
    try:
        return entry.head(HEAD)
    except DataError:
        return b""
