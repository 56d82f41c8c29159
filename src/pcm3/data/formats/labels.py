"""Labels and people of files of one's own: from a table, from how the files are named, or from their folders."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

from pcm3.data.formats.columns import cell_word
from pcm3.data.formats.motion_file import About, FileGroup, Span
from pcm3.data.formats.table_text import divider_of, table_text
from pcm3.data.names import is_name, printable
from pcm3.data.recording import TEST, TRAIN, UNKNOWN
from pcm3.errors import ConfigError, DataError, not_one_of

TABLE_COLUMNS = ("file", "label", "subject", "start", "stop", "camera")
FIELDS = ("label", "subject", "camera")
SPLITS = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST, "val": TEST, "validation": TEST}
SPLIT = "split"
"""The protocol that folders called train and test make."""
PERSON = re.compile(r"(?:s|p|sub|subj|subject|person|participant|actor|user|id)[-_]?(\d{1,6})", re.IGNORECASE)
LONGEST_TABLE = 5_000_000
LONGEST_RECORDING = 1e7
"""Seconds."""


@dataclass(frozen=True)
class Labelling:
    """What is known of all recordings, and how."""

    about: list[About]
    """Of each recording, in their order."""
    notes: list[str]
    missing: list[str]
    """What is not known of them, and what would tell it."""


def label(groups: Sequence[FileGroup], table: str | None, pattern: str | None, ids: Sequence[str] = ()) -> Labelling:
    """What a table of labels, else a pattern, else the recordings' own columns tell of them; without a table and a
    pattern, folders and names tell what no column does.

    Args:
        groups: the recordings, with what their columns tell.
        table: a CSV file with the columns ``file,label``, perhaps ``subject``, ``camera``, and ``start``, ``stop`` in
            seconds.
        pattern: how the files are named, with ``{label}``, ``{subject}``, ``{camera}`` in it; ``{}`` stands for what
            does not matter, and a ``/`` for a folder.
        ids: what a store calls the recordings; a table may, too.

    Raises:
        DataError: the table cannot be read, or names none of the files.
        ConfigError: the pattern fits none of the files.
    """
    about = [About() if group.part is None else replace(group.part.about) for group in groups]
    notes: list[str] = []
    if pattern is not None:
        notes = _by_pattern(groups, pattern, about)
    elif table is None:
        notes = _by_places(groups, about)
    if table is not None:
        notes += _by_table(groups, Path(table), about, ids)
    return Labelling(about, notes, _missing(about))


def _missing(about: Sequence[About]) -> list[str]:
    notes: list[str] = []
    if len(about) > 1 and not any(entry.label or entry.spans for entry in about):
        notes.append(
            "the clips have no labels: --labels TABLE.csv (file,label) or --pattern {subject}_{label} gives them, of "
            "tables also --columns label=NAME"
        )
    if len(about) > 1 and not any(entry.subject for entry in about):
        notes.append(
            "the people are not told apart, so a test may hold clips of somebody it was trained on: --labels with a "
            "column subject, or --pattern with {subject}, tells them"
        )
    return notes


def _by_pattern(groups: Sequence[FileGroup], pattern: str, about: Sequence[About]) -> list[str]:
    expression, folders = _compiled(pattern), pattern.count("/")
    fitting = 0
    for group, entry in zip(groups, about, strict=True):
        above = group.folder.parts[-folders:] if folders else ()
        match = expression.fullmatch("/".join((*above, group.name)))
        fitting += match is not None
        for field, word in ({} if match is None else match.groupdict()).items():
            setattr(entry, field, word)
            entry.spans = [] if field == "label" else entry.spans
    if fitting == 0:
        raise ConfigError(
            f"setting pattern: expected one that fits the files, '{pattern}' fits none of {len(groups)}, the first of "
            f"which is called '{printable(groups[0].name)}'"
        )
    return [f"names like '{pattern}' tell of {fitting:,} of {len(groups):,} recordings"]


def _compiled(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression; a field ends where what follows it begins."""
    pieces = re.split(r"\{(\w*)\}", pattern)
    names = [name for name in pieces[1::2] if name]
    if not names or len(set(names)) < len(names) or set(names) - set(FIELDS):
        wrong = next((name for name in names if name not in FIELDS), None)
        detail = not_one_of("fields", wrong, FIELDS) if wrong else f"expected {{label}} or {{subject}}, got '{pattern}'"
        raise ConfigError(f"setting pattern: {detail}")
    text = re.escape(pieces[0])
    for name, rest in zip(pieces[1::2], pieces[2::2], strict=True):
        text += (f"(?P<{name}>[^/]+?)" if name else "[^/]*?") + re.escape(rest)
    return re.compile(text)


def _by_table(groups: Sequence[FileGroup], table: Path, about: Sequence[About], ids: Sequence[str]) -> list[str]:
    rows = label_rows(table)
    find = _finder(groups, ids)
    used, strangers, alike, label_of = 0, list[str](), list[str](), dict[int, str]()
    for number, row in rows:
        places = find(row["file"])
        if len(places) != 1:
            (alike if places else strangers).append(row["file"])
            continue
        place = places[0]
        used += 1
        entry = about[place]
        entry.subject, entry.camera = row.get("subject", "") or entry.subject, row.get("camera", "") or entry.camera
        if row.get("start") or row.get("stop"):
            entry.spans = [*_of_tables(entry), _span(table, number, row)]
        elif row.get("label"):
            if label_of.setdefault(place, row["label"]) != row["label"]:
                raise DataError(
                    f"{table}: line {number}: expected one label for '{printable(row['file'])}', got "
                    f"'{printable(label_of[place], 30)}' and '{printable(row['label'], 30)}': "
                    "columns start,stop tell parts"
                )
            entry.label, entry.spans = row["label"], _of_tables(entry)
    if used == 0:
        raise DataError(
            f"{table}: expected the names of the recordings in the column 'file', like '{printable(groups[0].name)}', "
            f"got '{printable(rows[0][1]['file'])}'"
        )
    notes = [f"{table.name}: {used:,} rows for {len(groups):,} recordings"]
    if strangers:
        some = "1 row names" if len(strangers) == 1 else f"{len(strangers):,} rows name"
        notes.append(f"{table.name}: {some} no recording, as '{printable(strangers[0])}' does")
    if alike:
        path = "/".join(_path(groups[find(alike[0])[0]]))
        notes.append(
            f"{table.name}: rows that name several recordings, as '{printable(alike[0])}' does, are left out "
            f"({len(alike):,}): write the folder, too, as in '{printable(path)}'"
        )
    return notes


def _of_tables(entry: About) -> list[Span]:
    """Its labelled parts less those that columns told: a table of labels goes before these."""
    return [span for span in entry.spans if not span.in_frames]


def label_rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table of labels, with the line of each: the words of those of `TABLE_COLUMNS` that it has.

    Raises:
        DataError: it cannot be read, or has other columns.
    """
    try:
        with table.open("rb") as opened:
            data = opened.read(LONGEST_TABLE + 1)
        text = table_text(data) or ""
        lines = csv.DictReader(StringIO(text), strict=True, delimiter=divider_of(text) or ",")
        names = [name.strip().lower() for name in lines.fieldnames or ()]
        lines.fieldnames = names
        rows = [
            (lines.line_num, {name: cell_word(value or "") for name, value in row.items() if name in TABLE_COLUMNS})
            for row in lines
        ]
    except OSError as error:
        raise DataError(f"{table}: expected a table of labels, which cannot be read: {error.strerror}") from error
    except (csv.Error, AttributeError) as error:
        raise DataError(f"{table}: expected a table of labels as CSV: {printable(str(error))}") from error
    if not rows and names:
        raise DataError(f"{table}: expected rows below the names of the columns, got none")
    if len(data) > LONGEST_TABLE or "file" not in names or not {"label", "subject"} & set(names):
        raise DataError(
            f"{table}: expected a table with the columns file,label[,subject,start,stop], got "
            f"{printable(','.join(names), 80) or 'nothing'}"
        )
    return rows


def _span(table: Path, line: int, row: dict[str, str]) -> Span:
    try:
        start, stop = seconds_of(row.get("start", ""), row.get("stop", ""))
    except ValueError:
        got = printable(f"{row.get('start', '')},{row.get('stop', '')}", 40)
        raise DataError(f"{table}: line {line}: expected start and stop in seconds, start first, got {got}") from None
    return Span(start, stop, row.get("label", ""))


def seconds_of(start: str, stop: str) -> tuple[float, float]:
    """From and to of a part of a recording, as a table writes them; no start is 0, a decimal comma is one.

    Raises:
        ValueError: they are no seconds, or not in this order.
    """
    first, last = (float(cell.replace(",", ".")) for cell in (start or "0", stop))
    if not 0 <= first < last < LONGEST_RECORDING:
        raise ValueError(f"expected seconds, from first, got {first:g} and {last:g}")
    return first, last


def _path(group: FileGroup) -> tuple[str, ...]:
    return *group.folder.parts, group.own_name


def _finder(groups: Sequence[FileGroup], ids: Sequence[str]) -> Callable[[str], list[int]]:
    """What finds the recordings that a table may mean: the one that a store calls so, else by the file's path, its
    name, or its name without the ending.
    """
    called = {name: [place] for place, name in enumerate(ids)}
    places: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        path = _path(group)
        names = {"/".join(path[start:]) for start in range(len(path))} | {group.name}
        names |= {"/".join((*path[start:-1], group.name)) for start in range(len(path) - 1)}
        for name in names:
            places.setdefault(name, []).append(place)

    def find(name: str) -> list[int]:
        return called.get(name) or places.get(name.replace("\\", "/").removeprefix("./"), [])

    return find


def _by_places(groups: Sequence[FileGroup], about: Sequence[About]) -> list[str]:
    """What folders and names tell by themselves, where it is not known from elsewhere."""
    notes: list[str] = []
    folders = [list(group.folder.parts) for group in groups]
    splits = [next((part for part in reversed(parts) if part.lower() in SPLITS), None) for parts in folders]
    if len({SPLITS[side.lower()] for side in splits if side is not None}) == 2:
        for entry, side in zip(about, splits, strict=True):
            entry.side = UNKNOWN if side is None else SPLITS[side.lower()]
        notes.append("folders called train and test make the protocol 'split'")
    names = [[part for part in parts if part.lower() not in SPLITS] for parts in folders]
    shared = _shared(names)
    below = [tuple(parts[shared:]) for parts in names]
    if not any(entry.subject for entry in about):
        notes += _people_by_places(groups, below, about)
    if any(entry.label or entry.spans for entry in about):
        return notes
    words = _label_words(groups, below)
    if words is not None:
        note, labels = words
        for entry, word in zip(about, labels, strict=True):
            entry.label = word
        notes.append(note)
    return notes


def _people_by_places(
    groups: Sequence[FileGroup], below: Sequence[tuple[str, ...]], about: Sequence[About]
) -> list[str]:
    people = [_person(parts) or PERSON.search(group.name) for parts, group in zip(below, groups, strict=True)]
    if sum(person is not None for person in people) <= len(groups) / 2 or not _differ(people):
        return []
    for entry, person in zip(about, people, strict=True):
        entry.subject = "" if person is None else person[1]
    return [f"people are told by names like '{next(p[0] for p in people if p is not None)}'"]


def _person(parts: Sequence[str]) -> re.Match[str] | None:
    return next((match for part in parts if (match := PERSON.fullmatch(part)) is not None), None)


def _differ(people: Sequence[re.Match[str] | None]) -> bool:
    return len({person[1] for person in people if person is not None}) > 1


def _shared(paths: Sequence[Sequence[str]]) -> int:
    """How many folders all paths begin with."""
    shared = 0
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return shared


def _label_words(groups: Sequence[FileGroup], below: Sequence[tuple[str, ...]]) -> tuple[str, list[str]] | None:
    """The class of each recording, and where it was found: its folder, or the one word in which names differ."""
    folders = [next((part for part in reversed(parts) if PERSON.fullmatch(part) is None), "") for parts in below]
    if len(set(folders)) > 1 and all(folders):
        return f"the folders are the classes: {len(set(folders))} of them", folders
    split = [re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", PERSON.sub("_", group.name)) for group in groups]
    size = Counter(map(len, split)).most_common(1)[0][0]
    if size == 0 or not all(len(words) == size for words in split):
        return None
    columns = [list(column) for column in zip(*split, strict=True)]
    varied = [column for column in columns if 1 < len(set(column)) <= len(column) / 2]
    if len(varied) != 1 or not all(map(is_name, varied[0])):
        return None
    classes = sorted(set(varied[0]))
    listed = ", ".join(classes[:4]) + (", …" if len(classes) > 4 else "")
    return f"a word in the files' names is taken for the class: {printable(listed)}", varied[0]
