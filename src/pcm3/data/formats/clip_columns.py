"""Tables that hold several recordings, or tell what is done in them and by whom: the columns that say so.

A recording is the rows that agree in the columns that name recordings, and in that which names people. Where a moment
would be there twice, the label tells recordings apart, too; otherwise a label that changes makes one untrimmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from pcm3.data.formats.coded_columns import CodedColumn, Codes, Table, about_rows, codes, numbered
from pcm3.data.formats.columns import (
    FRAMES,
    PEOPLE,
    TIMES,
    duplicate_row,
    first_of,
    from_columns,
    is_motion_column,
    joint_column,
    repeated,
    spelled,
)
from pcm3.data.formats.mediapipe import as_mediapipe
from pcm3.data.formats.motion_file import FileFormat, FileGroup, MotionFile, TableFormat, TablePart
from pcm3.data.names import printable
from pcm3.data.source_index import Options
from pcm3.errors import ConfigError, DataError
from pcm3.summary import counted

ROLES: dict[str, tuple[str, ...]] = {
    "clip": ("clip", "recording", "sequence", "seq", "video", "trial", "take", "repetition", "rep", "file", "filename",
             "session"),
    "label": ("label", "action", "activity", "class", "gesture", "exercise", "behaviour", "behavior"),
    "subject": ("subject", "participant", "performer", "actor", "signer", "patient", "user", "person"),
    "camera": ("camera", "cam"),
}  # fmt: skip
"""What a column tells → how it is called, alone or before one of `ENDINGS`. Of clips all that are there are taken, of
labels the first that tells two apart, else the first."""
ENDINGS = ("", "_id", "_name", "_number", "_no", "_label")
BODY = "person"
"""A column of people that tells the bodies of a recording apart, unless each recording has one and they differ."""
LEAST_FRAMES = 2
"""Frames of a recording, in the mean, with fewer of which a guessed column is no recording's name."""


@dataclass(frozen=True, eq=False)
class Split:
    """A table's rows, sorted into recordings."""

    table: Table
    keys: tuple[str, ...]
    """The columns that tell them apart."""
    rows: list[NDArray[np.intp]]
    """Of each recording, in the order of the table."""


def plain_name(name: str) -> str:
    """A column's name in small letters, with what is neither letter nor number as an underscore."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def given_roles(columns: str | None) -> dict[str, tuple[str, ...]]:
    """What the user says of columns, ``label=exercise,subject=who``; nothing behind the sign: no column tells it.

    Raises:
        ConfigError: it is not of that form.
    """
    given: dict[str, tuple[str, ...]] = {}
    for pair in columns.split(",") if columns is not None else ():
        role, sign, name = (part.strip() for part in pair.partition("="))
        if not sign or role not in ROLES or "=" in name:
            raise ConfigError(
                f"setting columns: expected {'=NAME, '.join(ROLES)}=NAME, with commas between them, got "
                f"'{printable(pair.strip(), 60)}'"
            )
        given[role] = (*given.get(role, ()), *([plain_name(name)] if name else []))
    return given


def read_group(form: FileFormat, group: FileGroup, options: Options) -> MotionFile:
    """The recording, of a file or in a table.

    Raises:
        DataError: it cannot be read.
    """
    if group.part is None:
        return form.read(group, options)
    return as_mediapipe(from_columns(group.name, group.part.read()))


def split_tables(
    form: FileFormat, groups: Sequence[FileGroup], columns: str | None
) -> tuple[list[FileGroup], list[str]]:
    """The recordings in the files, those in tables with what the columns tell of them; and that in words.

    Args:
        form: of the files.
        groups: the files.
        columns: what the user says, see `given_roles`.

    Raises:
        ConfigError: the user names a column that is not there.
        DataError: a column cannot be what it is called.
    """
    given = given_roles(columns)
    if form.table is None:
        return list(groups), []
    # One table is held at a time: its recordings are read one after the other.
    held = TableFormat(form.table.names, lru_cache(maxsize=1)(form.table.columns))
    tables: dict[str, Table] = {}
    names: dict[str, str] = {}  # as they are written, by their plain names
    for group in groups:
        there = {plain_name(name): name for name in reversed(form.table.names(group.entries[0]))}
        names = dict(reversed(there.items())) | names
        wanted = {name: there[name] for some in _candidates(there, given).values() for name in some}
        if not wanted:
            continue
        with suppress(DataError):  # which is told when it is read
            table = _table(group, held, list(there.values()), wanted)
            if len(table.place):
                tables[group.file] = table
    _check_given(given, names)
    roles, notes = _roles(list(tables.values()), given, names)
    splits = {file: _split(table, roles, guessed="clip" not in given) for file, table in tables.items()}
    roles["subject"] = _subject(list(splits.values()), roles["subject"], given)
    recordings: list[FileGroup] = []
    for group in groups:
        split = splits.get(group.file)
        recordings += [group] if split is None else _parts(split, form.table, roles)
    notes += _notes(list(splits.values()), recordings, roles, names)
    return recordings, notes + _not_taken(roles, given, names)


def _check_given(given: Mapping[str, tuple[str, ...]], names: Mapping[str, str]) -> None:
    """Raises ConfigError where the user names a column that no table has."""
    for wrong in sorted({name for some in given.values() for name in some} - set(names)):
        near = get_close_matches(wrong, names, n=1, cutoff=0.5)
        hint = f"; did you mean '{names[near[0]]}'?" if near else ""
        others = sorted((name for name in names.values() if name.strip()), key=is_motion_column)
        some = ", ".join(others[:6]) + (", …" if len(others) > 6 else "")
        raise ConfigError(
            f"setting columns: expected a column of the tables ({printable(some, 120)}), got "
            f"'{printable(wrong, 40)}'{hint}"
        )


def _not_taken(
    roles: Mapping[str, tuple[str, ...]], given: Mapping[str, tuple[str, ...]], names: Mapping[str, str]
) -> list[str]:
    """The columns that may tell class or person, where none was found that does."""
    missing = [role for role in ("clip", "label", "subject") if not roles[role] and role not in given]
    taken = {name for some in roles.values() for name in some}
    others = [name for plain, name in names.items() if plain not in taken and not is_motion_column(name)]
    if not {"label", "subject"} & set(missing) or not others:
        return []
    listed = ", ".join(f"'{printable(name, 30)}'" for name in others[:6]) + (", …" if len(others) > 6 else "")
    asked = ",".join(f"{role}=NAME" for role in missing)
    return [f"columns of which nothing is taken: {listed} (--columns {asked} says what they tell)"]


def _candidates(there: Mapping[str, str], given: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """What → the columns that may tell it: those that the user names, else by their names."""
    by_name = {
        role: tuple(word + ending for word in words for ending in ENDINGS if word + ending not in PEOPLE[1:])
        for role, words in ROLES.items()
    }
    return {role: tuple(name for name in given.get(role, usual) if name in there) for role, usual in by_name.items()}


def _table(group: FileGroup, form: TableFormat, names: Sequence[str], wanted: dict[str, str]) -> Table:
    """The table, with what the wanted columns say."""
    columns = partial(form.columns, group.entries[0], frozenset(wanted.values()))
    table = columns()
    rows = max((len(cells) for cells in table.values()), default=0)
    known = spelled(name for name in names if name in table)
    moment = first_of((*FRAMES, *TIMES), known)
    person, joint = first_of(PEOPLE, known), joint_column(known)
    place = codes([numbered(table[name]) for name in (moment, person, joint) if name is not None], rows)
    cells = None if moment is None else table[moment]
    return Table(
        group,
        columns,
        wanted,
        {plain: CodedColumn.of(table[name]) for plain, name in wanted.items()},
        place,
        None if isinstance(cells, list) else cells,
        rounded=first_of(FRAMES, known) is None and person is None and joint is None,
        has_bodies=person is not None,
        is_long=joint is not None,
    )


def _roles(
    tables: Sequence[Table], given: Mapping[str, tuple[str, ...]], names: Mapping[str, str]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """What → the columns that tell it in all tables, and what of them is not taken."""
    there = {name: name for table in tables for name in table.names}
    roles, notes = _candidates(there, given), []
    if "label" not in given and roles["label"]:
        words = {
            name: {word for table in tables if name in table.coded for word in table.coded[name].words if word}
            for name in roles["label"]
        }
        informative = [name for name in roles["label"] if len(words[name]) > 1]
        if not informative:
            name = roles["label"][0]
            only = f"'{printable(min(words[name]), 30)}' alone" if words[name] else "nothing"
            column = names[name]
            notes.append(
                f"the column '{column}' holds {only} and is not taken for the class (--columns label={column})"
            )
        roles["label"] = tuple(informative)
    return roles, notes


def _split(table: Table, roles: Mapping[str, tuple[str, ...]], *, guessed: bool) -> Split:
    """The table's rows by recordings."""
    rows, entry = len(table.place), table.group.entries[0]
    keys = [name for name in roles["clip"] if name in table.coded]
    for name in keys:
        if not table.coded[name].there.all():
            row = int(np.argmin(table.coded[name].there)) + 2
            raise DataError(f"{entry.name}: row {row}: expected a recording's name in the column '{table.names[name]}'")

    def clips() -> Codes:
        return codes([table.coded[name].code for name in keys], rows)

    frames = len(np.unique(codes([clips(), *_moments(table)], rows)))
    if guessed and frames < LEAST_FRAMES * len(np.unique(clips())):
        keys = []
    subject = next((name for name in roles["subject"] if name in table.coded and name != BODY), None)
    if subject is not None and _varies(clips(), table.coded[subject]):
        keys = [subject, *keys]
    label = next((name for name in roles["label"] if name in table.coded), None)
    if _taken(table, clips()) is not None and label is not None and _varies(clips(), table.coded[label]):
        keys = [*keys, label]
    if (again := _taken(table, clips())) is not None:
        raise duplicate_row(entry.name, again, float(np.asarray(table.moment)[again]), table.columns())
    clip = clips()
    order = np.argsort(clip, kind="stable")
    return Split(table, tuple(keys), np.split(order, np.flatnonzero(np.diff(clip[order])) + 1))


def _moments(table: Table) -> list[Codes]:
    return [np.arange(len(table.place)) if table.moment is None else numbered(table.moment)]


def _varies(clip: Codes, column: CodedColumn) -> bool:
    """Whether a recording has two words in the column."""
    there = column.there
    both = codes([clip[there], column.code[there]], int(there.sum()))
    return len(np.unique(both)) > len(np.unique(clip[there]))


def _taken(table: Table, clip: Codes) -> int | None:
    """The first row whose place in its recording is taken by one before; None too where no column tells moments."""
    if table.moment is None:
        return None
    order = np.argsort(clip, kind="stable")
    again = repeated(codes([clip, table.place], len(clip))[order], rounded=table.rounded)
    return None if again is None else int(order[again])


def _subject(
    splits: Sequence[Split], candidates: Sequence[str], given: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """The column that names people: one called `BODY` only where each recording has one of them, and they differ."""
    if "subject" in given or candidates[:1] != (BODY,):
        return tuple(candidates)
    named = [
        {split.table.coded[BODY].words[code] for code in np.unique(split.table.coded[BODY].code[rows])}
        for split in splits
        if BODY in split.table.coded
        for rows in split.rows
    ]
    constant_per_file = all(len(words) == 1 for words in named) and len(set.union(*named)) > 1
    return tuple(candidates) if constant_per_file else tuple(candidates[1:])


def _parts(split: Split, form: TableFormat, roles: Mapping[str, tuple[str, ...]]) -> list[FileGroup]:
    """The recordings of a table."""
    table, group = split.table, split.table.group
    several, bodies = len(split.rows) > 1, table.has_bodies and roles["subject"][:1] != (BODY,)
    beside = frozenset(name for plain, name in table.names.items() if plain != BODY or not bodies)
    # A table of one recording is read by whichever process needs it.
    columns = table.columns if several else partial(form.columns, group.entries[0], frozenset(table.names.values()))
    parts = []
    for rows in split.rows:
        name = group.name
        if several:
            name = printable(
                "/".join(table.coded[key].words[table.coded[key].code[rows[0]]] for key in split.keys), 150
            )
        about = about_rows(group.entries[0].name, name, table, rows, roles, bodies=bodies)
        part = TablePart(group.name if several else None, columns, rows, beside, about)
        parts.append(FileGroup(name, group.entries, part))
    return parts


def _notes(
    splits: Sequence[Split],
    recordings: Sequence[FileGroup],
    roles: Mapping[str, tuple[str, ...]],
    written: Mapping[str, str],
) -> list[str]:
    """What was taken for what, a line each."""
    notes = []
    several = [split for split in splits if len(split.rows) > 1]
    if several:
        names = list(dict.fromkeys(written[key] for split in several for key in split.keys))
        keys = f"column{'s' * (len(names) > 1)} " + " and ".join(f"'{name}'" for name in names)
        count = sum(len(split.rows) for split in several)
        notes.append(f"recordings by the {keys}: {count:,} in {counted(len(several), 'table')} (--columns clip=NAME)")
    abouts = [group.part.about for group in recordings if group.part is not None]
    labelled = [about for about in abouts if about.label or about.spans]
    if labelled:
        classes = {
            label for about in labelled for label in (about.label, *(span.label for span in about.spans)) if label
        }
        name, *others = (written[column] for column in roles["label"])
        some = (
            ""
            if len(labelled) == len(recordings)
            else f", {len(labelled):,} of {len(recordings):,} recordings have one"
        )
        notes.append(f"classes by the column '{name}': {len(classes):,}{some}{_or(others, 'label')}")
    changing = sum(bool(about.spans) for about in abouts)
    if changing:
        notes.append(
            f"the label changes within {changing:,} of {len(recordings):,} recordings: they are untrimmed, and the "
            "stretches of one label are the clips"
        )
    for role, what in (("subject", "people"), ("camera", "cameras")):
        words = {getattr(about, role) for about in abouts} - {""}
        if words:
            name, *others = (written[column] for column in roles[role])
            notes.append(f"{what} by the column '{name}': {len(words):,}{_or(others, role)}")
    return notes


def _or(others: Sequence[str], role: str) -> str:
    """What else might have told it."""
    return f" (not by '{others[0]}': --columns {role}={others[0]})" if others else ""
