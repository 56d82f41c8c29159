"""The clips of a data set as one folder: a flat memory-mapped array of frames, and what is known of each clip.

``frames.npy`` (F, M, V, C) holds all that was recorded, one recording after the other; ``clips.npz`` says where each
clip starts and what it is; ``store.json`` is everything else. Where recordings are untrimmed, their clips are the
labelled intervals in them, and ``recordings.npz`` says where each recording starts and what it is. Writing them is
`store_writer`'s work.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import ZIP_ERRORS
from pcm3.data.picture import FLAT
from pcm3.data.recording import NPY_ERRORS, TRAIN, UNKNOWN
from pcm3.data.store_schema import SPLIT, check_fields, checked_table, is_column
from pcm3.errors import DataError, brief
from pcm3.skeleton import Layout, layout_from_dict

FORMAT = 3
"""Version of the store's form; a store with a higher one was written by a newer pcm3. Version 1 had one column ``side``
for all protocols, no confidence and no untrimmed recordings; version 2 did not say how clips were prepared."""

FRAMES, CLIPS, RECORDINGS, STORE = "frames.npy", "clips.npz", "recordings.npz", "store.json"
SCORES = "scores.npy"
"""Only where the source told how sure it was of each joint."""

NUMBER_COLUMNS = ("label", "subject", "camera", "setup", "confidence")
"""The columns of numbers, one a clip; −1 (`UNKNOWN`) where the data set does not tell."""
CHANGES = ("cut", "dropped", "absent", "filled")
"""The columns that say what preparing a recording has changed, see `pcm3.data.recording.Changes`."""
BY_SPLIT: dict[str, Any] = {"by": "side", "train": [TRAIN]}
"""A protocol of data that comes already split."""


@dataclass(frozen=True, eq=False)
class ClipStore:
    """N clips of variable length on disk; opened, none of their F frames is read yet."""

    path: Path
    frames: NDArray[np.floating[Any]]
    """(F, M, V, C) metres, memory-mapped, float32 or float16."""
    scores: NDArray[np.float16] | None = field(repr=False)
    """(F, M, V) how sure the source was of each joint, memory-mapped; NaN where it did not tell. None: of none."""
    start: NDArray[np.int64]
    """(N,) the first frame of each clip in `frames`."""
    length: NDArray[np.int32]
    """(N,) the number of frames of each clip."""
    label: NDArray[np.int32]
    """(N,) class index, 0-based; −1 unknown, as in the three that follow."""
    subject: NDArray[np.int32]
    camera: NDArray[np.int32]
    setup: NDArray[np.int32]
    confidence: NDArray[np.int32]
    """(N,) how sure the annotators were of the interval, where they say."""
    recording: NDArray[np.int32]
    """(N,) the untrimmed recording, as its number in `recordings`, that the clip is an interval of; −1: none."""
    cut: NDArray[np.int32]
    """(N,) frames that were cut off when the clip was prepared. Where clips are intervals of untrimmed recordings, this
    and the three that follow are 0, and those of `recordings` tell."""
    dropped: NDArray[np.int32]
    """(N,) bodies of the recording for which the store has no room."""
    absent: NDArray[np.int32]
    """(N,) joints, counted frame by frame, that are absent from a body that is there: zeros."""
    filled: NDArray[np.int32]
    """(N,) joints, counted frame by frame, whose place was interpolated."""
    splits: dict[str, NDArray[np.int32]]
    """Protocol → (N,) 0 train, 1 test, −1 neither, where the data came already split."""
    bodies: NDArray[np.bool_]
    """(N, M) True where the clip has that body in any frame."""
    layout: Layout
    fps: float
    """Frames a second of the recordings."""
    kind: str
    """What the store was imported from, as `pcm3 import` calls it."""
    normalised: bool
    """Whether the clips stand at the origin, turned by one of the rules of `normalisation`."""
    preparation: dict[str, Any]
    """How the clips were made of what was recorded, see `pcm3.data.prepare.Recipe.to_dict`; empty: by an older pcm3."""
    classes: tuple[str, ...]
    protocols: dict[str, Any]
    """Protocol name → which clips train, as plain data; `protocol.split` reads it."""
    report: dict[str, Any]
    """What the import skipped and why: ``clips``, and ``left_out`` (the name of before) as [file, reason] pairs."""
    checksums: dict[str, str] = field(repr=False)
    """SHA-256 of the files of arrays as they were written."""
    recordings: ClipStore | None = field(repr=False)
    """The same frames as whole recordings, where they are untrimmed: R "clips" without a label, so that a protocol
    splits recordings as it splits clips. None: every clip is a recording."""
    _ids: NDArray[Any] = field(repr=False)

    @staticmethod
    def open(path: str | Path) -> ClipStore:
        """The store in that folder.

        Raises:
            DataError: no such folder, not a store, written by a newer pcm3, or damaged.
        """
        return _open(Path(path))

    @cached_property
    def ids(self) -> NDArray[Any]:
        """(N,) the name of each clip, as strings."""
        return np.char.decode(self._ids, "utf-8")

    @cached_property
    def checksum(self) -> str:
        """One string for the content: equal where layout, frames and all that is known of the clips are equal."""
        content = [self.checksums, self.layout.to_dict(), self.fps, self.classes, self.protocols]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def has_gaps(self) -> bool:
        """Whether there are frames from which single joints of a body that is there are absent (zeros)."""
        whole = self.recordings or self
        return bool(whole.absent.any())

    @property
    def rule(self) -> str:
        """By which rule its clips are prepared, see `pcm3.data.prepare`; the first one where an older pcm3 wrote it."""
        return str(self.preparation.get("rule", "released"))

    @property
    def dimensions(self) -> int:
        """2 where clips are poses in a picture (y is 0 in normalised clips, z in others), else 3."""
        return 2 if self.rule == FLAT else 3

    @property
    def flat_coordinate(self) -> int | None:
        """The coordinate that is 0 everywhere; None where clips have three."""
        return None if self.dimensions == 3 else 1 if self.normalised else 2

    def __len__(self) -> int:
        return len(self.start)

    def clip(self, index: int) -> NDArray[np.float32]:
        """Clip number ``index`` as a fresh array (T, M, V, C)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of a store of {len(self)} clips")
        start = int(self.start[index])
        return self.frames[start : start + int(self.length[index])].astype(np.float32)

    def only(self, index: int) -> ClipStore:
        """A store of that one clip, which is no part of a recording any more."""
        names = (*NUMBER_COLUMNS, *CHANGES, "length", "bodies", "_ids")
        begin, end = int(self.start[index]), int(self.start[index] + self.length[index])
        return replace(
            self,
            frames=self.frames[begin:end],
            scores=None if self.scores is None else self.scores[begin:end],
            start=np.zeros(1, np.int64),
            recording=np.full(1, UNKNOWN, np.int32),
            recordings=None,
            splits={},
            **{name: getattr(self, name)[[index]] for name in names},
        )


@dataclass(frozen=True)
class StoreMeaning:
    """What the coordinates of a store mean, and how they came to it: fields of `ClipStore`."""

    layout: Layout
    fps: float
    normalised: bool
    preparation: dict[str, Any]
    classes: tuple[str, ...] = ()
    kind: str = "own"


def store_in_memory(
    name: str,
    frames: NDArray[np.float32],
    clips: dict[str, NDArray[Any]],
    recordings: dict[str, NDArray[Any]] | None,
    meaning: StoreMeaning,
) -> ClipStore:
    """A store that lies on no disk.

    Args:
        name: how errors call it.
        frames: (F, M, V, C) of all recordings.
        clips: the table of clips, as `ClipTable.columns` gives it.
        recordings: that of untrimmed recordings; None where the clips are the recordings.
        meaning: of the frames.
    """
    common: dict[str, Any] = {"path": Path(name), "frames": frames, "scores": None, "protocols": {}, "report": {}}
    common |= {"checksums": {}} | vars(meaning)
    whole = None if recordings is None else ClipStore(**common, recordings=None, **_fields(recordings, {}))
    return ClipStore(**common, recordings=whole, **_fields(clips, {}))


def _open(path: Path) -> ClipStore:
    description = _description(path)
    damaged = f"{path}: the store is damaged"
    try:
        check_fields(description, STORE)
        layout = layout_from_dict(description.get("layout"), f"{STORE}, layout")
        common = {
            "path": path,
            "frames": _frames(path / FRAMES, layout),
            "scores": _scores(path / SCORES) if SCORES in description["checksums"] else None,
            "layout": layout,
            "fps": float(description["fps"]),
            "kind": description["kind"],
            "normalised": description["normalised"],
            "preparation": description.get("preparation", {}),
            "classes": tuple(description["classes"]),
            "protocols": description["protocols"],
            "report": description["report"],
            "checksums": description["checksums"],
        }
        protocols = description["protocols"]
        recordings = None
        if RECORDINGS in description["checksums"]:
            recordings = ClipStore(**common, recordings=None, **_clip_table(path / RECORDINGS, protocols))
        store = ClipStore(**common, recordings=recordings, **_clip_table(path / CLIPS, protocols))
        _check_shapes(store, description.get("counts", {}))
    except DataError as error:
        raise DataError(f"{damaged}: {error}; import it again") from error
    return store


def _mapped(file: Path) -> NDArray[Any]:
    """The array of the file, memory-mapped; a DataError where there is none."""
    try:
        return np.lib.format.open_memmap(file, mode="r").view(np.ndarray)
    except FileNotFoundError as error:
        raise DataError(f"{file.name} is missing") from error
    except NPY_ERRORS as error:
        raise DataError(f"{file.name}: {error}") from error


def _frames(file: Path, layout: Layout) -> NDArray[np.floating[Any]]:
    """The flat array of all frames, memory-mapped; a DataError where it is not one."""
    frames = _mapped(file)
    joints = len(layout.joints)
    if frames.dtype not in (np.float32, np.float16) or not frames.flags.c_contiguous:
        raise DataError(f"{file.name}: expected float32 or float16 in C order, got {frames.dtype}")
    if frames.ndim != 4 or frames.shape[1] < 1 or frames.shape[2:] != (joints, 3):
        raise DataError(f"{file.name}: expected (frames, bodies, joints, 3), got {frames.shape} for {joints} joints")
    return frames


def _scores(file: Path) -> NDArray[np.float16]:
    """How sure the source was of each joint, memory-mapped; a DataError where it is no array of that."""
    scores = _mapped(file)
    if scores.dtype != np.float16 or scores.ndim != 3:
        raise DataError(f"{file.name}: expected float16 (frames, bodies, joints), got {scores.shape} of {scores.dtype}")
    return scores


def _clip_table(file: Path, protocols: dict[str, Any]) -> dict[str, Any]:
    """What is known of each clip, as the fields of `ClipStore` name it."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            read = {name: archive[name] for name in archive.files if is_column(name)}
    except FileNotFoundError as error:
        raise DataError(f"{file.name} is missing") from error
    except (*NPY_ERRORS, *ZIP_ERRORS, AttributeError) as error:
        raise DataError(f"{file.name}: {error}") from error
    return _fields(dict(checked_table(read, file.name)), protocols)


def _fields(columns: dict[str, Any], protocols: dict[str, Any]) -> dict[str, Any]:
    """The columns of a table as the fields of `ClipStore` name them; what is not there is not known."""
    clips = len(columns["start"])
    if "side" in columns:  # format 1
        side = columns.pop("side")
        columns |= {SPLIT + name: side for name, protocol in protocols.items() if protocol == BY_SPLIT}
    splits = {name.removeprefix(SPLIT): columns.pop(name) for name in list(columns) if name.startswith(SPLIT)}
    columns["_ids"] = columns.pop("id")
    unknown = {name: np.full(clips, UNKNOWN, np.int32) for name in ("confidence", "recording")}
    unknown |= {name: np.zeros(clips, np.int32) for name in CHANGES}
    known = {name: column for name, column in columns.items() if name in ClipStore.__dataclass_fields__}
    return unknown | known | {"splits": splits}


def _description(path: Path) -> dict[str, Any]:
    """What store.json says, when it is one that this version reads."""
    if path.is_file():
        raise DataError(
            f"{path}: expected a store, got a file: `pcm3 import auto {path} STORE` makes one of recordings"
        )
    if not path.is_dir():
        raise DataError(f"{path}: expected a store (a folder that `pcm3 import` wrote), but there is no such folder")
    try:
        description = json.loads((path / STORE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if (path / "model.json").is_file():  # of a model or a run
            raise DataError(
                f"{path}: expected a store, got a model: `pcm3 evaluate TASK --model {path} --store STORE` takes it"
            ) from error
        raise DataError(
            f"{path}: not a store: it has no {STORE}; `pcm3 import auto {path} STORE` makes one of recordings"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: the store is damaged ({STORE}: {error}); import it again") from error
    if not isinstance(description, dict):
        got = f"{STORE}: expected fields and their values, got {brief(description)}"
        raise DataError(f"{path}: the store is damaged: {got}; import it again")
    version = description.get("format")
    if type(version) is not int or version < 1:
        got = f"{STORE}, format: expected a number from 1 on, got {brief(version)}"
        raise DataError(f"{path}: the store is damaged: {got}; import it again")
    if version > FORMAT:
        raise DataError(
            f"{path}: written by a newer pcm3: format {version}, this one reads up to {FORMAT}; update pcm3"
        )
    return dict(description)


def _check_shapes(store: ClipStore, counts: dict[str, int]) -> None:
    """Raises DataError unless the files of the store speak of the same frames and clips."""
    whole = store.recordings or store
    end, bodies = int(whole.length.sum(dtype=np.int64)), store.frames.shape[1]
    if store.scores is not None and store.scores.shape != store.frames.shape[:3]:
        raise DataError(f"{SCORES} is of shape {store.scores.shape}, {FRAMES} of {store.frames.shape}")
    there = {"clips": len(store), "recordings": len(whole), "frames": len(store.frames)}
    wrong = [f"{count} {name} in {STORE}, {there[name]} there" for name, count in counts.items() if name in there
             and count != there[name]]  # fmt: skip
    if (store.preparation.get("origin") or 0) >= len(store.layout.joints):
        wrong.append(f"a joint at the origin, number {store.preparation['origin']}, that is none")
    for table, file in ((whole, RECORDINGS if store.recordings else CLIPS), (store, CLIPS)):
        if table.bodies.shape[1] != bodies:
            wrong.append(f"{file} tells of {table.bodies.shape[1]} bodies, {FRAMES} of {bodies}")
    if len(store) == 0 or len(whole) == 0 or end != len(store.frames):
        wrong.append(f"{len(store.frames)} frames for {len(whole)} recordings of {end} together")
    elif (np.diff(whole.start, append=end) != whole.length).any() or whole.start[0] != 0:
        wrong.append("recordings that do not follow one another")
    elif store.recordings is not None and not _inside(store, store.recordings):
        wrong.append("clips that are not inside their recordings")
    if wrong:
        raise DataError(f"wrong size: {', '.join(dict.fromkeys(wrong))}")


def _inside(store: ClipStore, recordings: ClipStore) -> bool:
    """Whether every clip is a stretch of its recording."""
    if ((store.recording < 0) | (store.recording >= len(recordings))).any():
        return False
    first = store.start - recordings.start[store.recording]
    return bool(((first >= 0) & (first + store.length <= recordings.length[store.recording])).all())
