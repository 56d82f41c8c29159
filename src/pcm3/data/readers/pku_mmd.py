"""PKU-MMD, parts I and II: untrimmed recordings of up to two bodies of 25 Kinect v2 joints, actions as intervals.

A video is a skeleton file and a label file of the same name, ``0002-L.txt`` in Part I and ``A01N01-L.txt`` in Part II;
split files list the videos that train and those that validate. The download has them as ``PKU_Skeleton_Renew``,
``Train_Label_PKU_final`` and ``Split/cross-subject.txt``, but people move and rename; so a folder is known by what its
files hold, and a split list by its headings.

The joints are in NTU RGB+D's order (the authors' word). L, M, R are the left, middle and right camera: 1, 2, 3, so
that the cross-view protocol, which trains on M and R, trains on cameras 2 and 3 as NTU's does. In Part II the number
after N is the subject: N01 to N13 are its 13 people, and the cross-subject list has all videos of N02, N03 and N07 on
one side. The names of Part I do not tell who it is.

A label line ``label,start,end,confidence`` is taken as frames ``start`` to ``end - 1``, counted from 0. The authors do
not say (the question stands open in their repository); but the smallest start among the labels of Part II is 0, the
usual preparation scripts take rows ``start:end``, and the official evaluation has ``end - start`` for a length.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from pcm3.data.archives import Entry, Skipped, list_entries
from pcm3.data.readers.class_names import class_names, own_classes
from pcm3.data.readers.pku_mmd_lists import find_lists
from pcm3.data.readers.pku_mmd_text import FORMS, PARTS, SUFFIX, Row, parse_labels, parse_skeleton, part_of, what_is
from pcm3.data.recording import UNKNOWN, Interval, Recording
from pcm3.data.source_index import Options, SourceClip, SourceIndex
from pcm3.data.store import BY_SPLIT
from pcm3.errors import DataError

DATASETS = {1: "pkummd1", 2: "pkummd2"}
CAMERAS = {"L": 1, "M": 2, "R": 3}

OWN_KIND = "pkummd-format"
"""What a store of somebody's own recordings calls itself, so that no result of theirs is taken for one on PKU-MMD."""

LATE = 30
"""Frames, a second, that an action may reach beyond the last one and is cut there; one that reaches further is not its
video's, and skipped. Both are reported."""

FILES_EXAMINED = 8
"""Files of a folder that are looked at to learn what it holds: the first ones may be damaged."""


def index(source: Path, options: Options, *, part: int) -> SourceIndex:
    """The videos of that part under the source, with their labels and the sides of the lists that are there.

    Raises:
        DataError: only videos of the other part are there; a split list is damaged or not for these videos;
            ``classes.txt`` does not name classes.
    """
    entries, unusable = list_entries(source)
    texts = [entry for entry in entries if entry.name.endswith(SUFFIX)]
    videos = [entry for entry in texts if part_of(_video(entry)) == part]
    foreign = [entry for entry in texts if part_of(_video(entry)) not in (part, None)]
    if foreign and not videos:
        other = part_of(_video(foreign[0])) or part
        raise DataError(
            f"{foreign[0]}: expected videos of PKU-MMD {PARTS[part]}, called like {FORMS[part]}{SUFFIX}, got only some "
            f"of {PARTS[other]}: import it as {DATASETS[other]}"
        )
    classes = own_classes(entries)
    skeletons, labels, neither = _by_content(videos)
    skipped = [(str(entry), f"of PKU-MMD {PARTS[3 - part]}: import it as {DATASETS[3 - part]}") for entry in foreign]
    splits, notes, other_lists = find_lists(texts, part, set(skeletons), bool(foreign))
    clips, broken, without = _clips(skeletons, labels, splits, len(classes or class_names("pku-mmd")))
    return SourceIndex(
        clips,
        skipped=skipped + other_lists + broken,
        unusable=unusable + neither + without,
        kind=OWN_KIND if classes else None,
        classes=classes,
        protocols=dict.fromkeys(splits, BY_SPLIT),
        notes=notes,
    )


index_1 = partial(index, part=1)
index_2 = partial(index, part=2)


def _video(entry: Entry) -> str:
    return entry.name.removesuffix(SUFFIX)


def _folder(entry: Entry) -> tuple[Path, str]:
    """Where the file lies: the zip and the folder in it, or the folder."""
    if entry.member is None:
        return entry.container.parent, ""
    return entry.container, str(PurePosixPath(entry.member).parent)


Files = dict[str, list[Entry]]
"""Video → its files of one kind, by path."""


def _by_content(videos: Sequence[Entry]) -> tuple[Files, Files, list[Skipped]]:
    """The skeleton files, the label files, and the files of folders that hold neither."""
    folders: dict[tuple[Path, str], list[Entry]] = defaultdict(list)
    for entry in sorted(videos, key=str):
        folders[_folder(entry)].append(entry)
    skeletons: Files = defaultdict(list)
    labels: Files = defaultdict(list)
    neither: list[Skipped] = []
    for files in folders.values():
        holds = _what_holds(files)
        for entry in files:
            if holds is None:
                reason = "expected a skeleton (150 numbers a line) or labels (label,start,end,confidence), got neither"
                neither.append((str(entry), reason))
            else:
                (skeletons if holds == "skeleton" else labels)[_video(entry)].append(entry)
    return skeletons, labels, neither


def _what_holds(files: Sequence[Entry]) -> str | None:
    """What the first file of a folder that is one or the other is; all files of a folder are the same."""
    for entry in files[:FILES_EXAMINED]:
        try:
            kind = what_is(entry.read())
        except DataError:
            continue
        if kind is not None:
            return kind
    return None


def _clips(
    skeletons: Files, labels: Files, splits: Mapping[str, Mapping[str, int]], classes: int
) -> tuple[list[SourceClip], list[Skipped], list[Skipped]]:
    """The videos; the label lines that are no actions; and the files without their counterpart, or with two."""
    clips: list[SourceClip] = []
    broken: list[Skipped] = []
    unusable: list[Skipped] = []
    for video, entries in sorted(skeletons.items()):
        unusable += [(str(entry), f"the id '{video}' is taken by '{entries[0]}'") for entry in entries[1:]]
        try:
            rows, wrong = _labels(video, labels.get(video, []), classes)
        except DataError as error:
            unusable.append((str(entries[0]), str(error)))
            continue
        broken += wrong
        own_splits = {protocol: named[video] for protocol, named in splits.items() if video in named}
        clips.append(SourceClip(video, str(entries[0]), partial(_read, entries[0], video, rows, own_splits)))
    for video in sorted(labels.keys() - skeletons.keys()):
        unusable += [(str(entry), f"the labels of '{video}', which has no skeleton file") for entry in labels[video]]
    return clips, broken, unusable


def _labels(video: str, files: Sequence[Entry], classes: int) -> tuple[list[Row], list[Skipped]]:
    """The actions of a video and the label lines that cannot be actions.

    Raises:
        DataError: no label file, a damaged one, or several that differ.
    """
    if not files:
        raise DataError(f"no label file {video}{SUFFIX} with it")
    texts = {entry.read().rstrip() for entry in files}
    if len(texts) > 1:
        raise DataError(f"label files that differ: {', '.join(str(entry) for entry in files)}")
    return parse_labels(str(files[0]), texts.pop(), classes)


def _read(entry: Entry, video: str, rows: Sequence[Row], splits: Mapping[str, int]) -> Recording:
    """The whole video with its actions.

    Raises:
        DataError: the skeleton file is damaged.
    """
    frames = parse_skeleton(entry.name, entry.read())
    intervals: list[Interval] = []
    lost: list[tuple[str, str]] = []
    for row in rows:
        if row.stop > len(frames):
            got = f"frames {row.start} to {row.stop - 1} of a video of {len(frames)}"
            late = row.start >= len(frames) or row.stop > len(frames) + LATE
            lost.append((f"labels line {row.line}", got if late else f"{got}: cut after the last"))
            if late:
                continue
        intervals.append(Interval(row.start, min(row.stop, len(frames)), row.label, row.confidence))
    subject = re.fullmatch(r"A\d\dN(\d\d)-.", video)
    return Recording(
        id=video,
        frames=frames,
        subject=int(subject[1]) if subject else UNKNOWN,
        camera=CAMERAS[video[-1]],
        splits=splits,
        intervals=tuple(intervals),
        lost=tuple(lost),
    )
