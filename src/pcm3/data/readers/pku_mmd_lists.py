"""PKU-MMD's split lists: which videos train and which validate, under each protocol whose list is there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pcm3.data.archives import Entry, Skipped
from pcm3.data.readers.pku_mmd_text import FORMS, PARTS, SUFFIX, part_of
from pcm3.data.readers.text_table import printable
from pcm3.data.recording import TEST, TRAIN
from pcm3.errors import DataError

NAMES = {"xsub": "cross-subject", "xview": "cross-view"}

HEADING = re.compile(r"\s*(train|valid|test)\w*\s+videos\s*:", re.ASCII | re.IGNORECASE)
"""Above the names of one side of a split list; the published lists have it as "Validataion videos:"."""

Split = dict[str, int]
"""Video → its side."""


def is_list(data: bytes) -> bool:
    """Whether the text is a split list."""
    return any(HEADING.match(line) for line in data.decode("latin-1").splitlines())


def parse_list(where: str, data: bytes) -> dict[str, int]:
    """The side of each video that a split list names.

    Raises:
        DataError: it names something else, a video on both sides, or nothing.
    """
    splits: dict[str, int] = {}
    side: int | None = None
    for number, raw_line in enumerate(data.decode("latin-1").splitlines(), 1):
        line = raw_line
        if heading := HEADING.match(line):
            side = TRAIN if heading[1].lower() == "train" else TEST
            line = line[heading.end() :]
        for word in filter(None, re.split(r"[\s,;]+", line)):
            video = word.removesuffix(".txt")
            if side is None or part_of(video) is None:
                got = printable(word.encode("latin-1"))
                raise DataError(
                    f"{where}: line {number}: expected 'Training videos:', 'Validation videos:' and names of videos, "
                    f"got {got}"
                )
            if splits.setdefault(video, side) != side:
                raise DataError(f"{where}: line {number}: {video} is on both sides")
    if not splits:
        raise DataError(f"{where}: expected names under 'Training videos:' and under 'Validation videos:', got none")
    return splits


def find_lists(
    texts: Sequence[Entry], part: int, videos: set[str], both_parts: bool
) -> tuple[dict[str, Split], list[str], list[Skipped]]:
    """Protocol → the side of each video; what a user must know of that; and the lists of the other part.

    Args:
        texts: the text files of the source.
        part: the part that is wanted.
        videos: those of its videos that are there.
        both_parts: whether videos of the other part are there too.

    Raises:
        DataError: a list is damaged, contradicts its name or another list, names none of the videos, or is of the
            other part where one of this part must be.
    """
    lists: dict[str, tuple[Entry, Split]] = {}
    others: list[tuple[str, Entry, Split]] = []
    for entry in texts:
        if part_of(entry.name.removesuffix(SUFFIX)) is not None or not _may_be_list(entry):
            continue
        named = parse_list(str(entry), entry.read())
        protocol = _protocol(entry, named)
        if {part_of(video) for video in named} != {part}:
            others.append((protocol, entry, named))
        elif lists.setdefault(protocol, (entry, named))[1] != named:
            raise DataError(f"{entry}: another list for {protocol} than {lists[protocol][0]}: keep one of them")
    for protocol, entry, named in others:
        alien = next(video for video in named if part_of(video) != part)
        if not (both_parts or protocol in lists) or any(part_of(video) == part for video in named):
            raise DataError(
                f"{entry}: expected a split list of PKU-MMD {PARTS[part]}, with names like {FORMS[part]}, but it names "
                f"{alien} of {PARTS[3 - part]} (copies under wrong names are about): put the right list there, or none"
            )
    skipped = [(str(entry), f"a split list of PKU-MMD {PARTS[3 - part]}") for _, entry, _ in others]
    notes = [note for protocol, (entry, named) in lists.items() for note in _notes(protocol, entry, named, videos)]
    notes += [
        f"no protocol {protocol}: the source has no split list such as {name}{SUFFIX}"
        for protocol, name in NAMES.items()
        if protocol not in lists
    ]
    return {protocol: named for protocol, (_, named) in lists.items()}, notes, skipped


def _may_be_list(entry: Entry) -> bool:
    """Whether the file is a split list, or is called like one and must be."""
    if re.search(r"cross.?(sub|view)", entry.name, re.IGNORECASE):
        return True
    try:
        return is_list(entry.read())
    except DataError:
        return False


def _protocol(entry: Entry, named: Split) -> str:
    """What the list splits by, as its name says, or else as its videos do.

    A performance that three cameras saw is on one side of a cross-subject list, and a camera of a cross-view list.

    Raises:
        DataError: the videos are not split so.
    """
    both = {protocol: _in_both_splits(named, protocol) for protocol in NAMES}
    match = re.search(r"sub|view", entry.name, re.IGNORECASE)
    protocol = f"x{match[0].lower()}" if match else next((name for name in NAMES if both[name] is None), None)
    if protocol is None:
        raise DataError(
            f"{entry}: expected a split by subject or by view, but {both['xsub']} and {both['xview']} are on both sides"
        )
    if both[protocol] is not None:
        raise DataError(f"{entry}: expected a {NAMES[protocol]} list, but {both[protocol]} is on both sides")
    return protocol


def _in_both_splits(named: Split, protocol: str) -> str | None:
    """A performance (xsub) or a camera (xview) that has videos on both sides."""
    splits: dict[str, int] = {}
    for video, side in named.items():
        performance, camera = video.split("-")
        key = performance if protocol == "xsub" else f"camera {camera}"
        if splits.setdefault(key, side) != side:
            return key
    return None


def _notes(protocol: str, entry: Entry, named: Mapping[str, int], videos: set[str]) -> list[str]:
    """What the list and the videos that are there do not have in common.

    Raises:
        DataError: that is all of them.
    """
    matched = videos & named.keys()
    if videos and not matched:
        raise DataError(f"{entry}: names none of the {len(videos)} videos that are there")
    notes = []
    for side, what in ((TRAIN, "training"), (TEST, "validation")):
        listed = {video for video in named if named[video] == side}
        if not listed:
            notes.append(f"{protocol}: the list names no {what} videos")
        if not listed <= matched:
            notes.append(f"{protocol}: {len(listed & matched):,} of the list's {len(listed):,} {what} videos are there")
    if matched != videos:
        notes.append(f"{protocol}: {len(videos - matched):,} videos are in no list, and on neither side")
    return notes
