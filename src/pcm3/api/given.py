"""Clips in any form that a user has them in, as a store that a model can be fed with.

Arrays and files go the way that an import goes (`pcm3.data.own_recordings`): units and axes are looked at, gaps filled,
other rates resampled, bodies centred and turned as those that the model learned from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pcm3.data.import_plan import PROBED
from pcm3.data.own_recordings import PreparedRecordings
from pcm3.data.picture import FLAT, are_flat, with_third
from pcm3.data.prepare import RuleName
from pcm3.data.recording import Recording
from pcm3.data.recordings import Recordings, chosen_layout, read_files
from pcm3.data.relabelled import relabelled
from pcm3.data.source_index import MIN_SCORE, Options
from pcm3.data.source_units import check_metres
from pcm3.data.store import STORE, ClipStore
from pcm3.encoders.spec import EncoderSpec, format_of
from pcm3.errors import ConfigError, DataError, brief
from pcm3.limits import check_path, check_real, check_type
from pcm3.skeleton import Layout, load_layout

Clips: TypeAlias = "ArrayLike | Sequence[ArrayLike] | ClipStore | str | Path | Sequence[str] | Sequence[Path]"
"""What can be given for clips: an array (T, V, 3) or (T, M, V, 3); a list of them, of any lengths; an array
(N, T, M, V, 3); a store or its folder; names of files."""
CROWD = 10
"""Bodies in a clip from which on an array (T, M, V, 3) is more likely several clips (N, T, V, 3)."""


LEAST_FPS, MOST_FPS = 0.1, 10_000
"""Frames a second; at fewer, a clip that is resampled would not fit into memory."""


@dataclass(frozen=True)
class Recorded:
    """What a user knows of recordings that no array tells."""

    fps: float | None = None
    """Frames a second; None: as many as those that the model learned from, or as the file tells."""
    layout: str | Path | Layout | None = None
    """Of the skeletons: a name, a file or a `Layout`; None: the model's, or as the file tells. One with other joints
    is retargeted to the model's (`pcm3.retarget`)."""
    up: str | None = None
    """Which way is up, ``y``, ``-z`` …; None: found by how people stand."""
    labels: str | Path | None = None
    """Of files: a table with the columns ``file,label``, perhaps ``subject``, and ``start,stop`` in seconds. Of a
    store: one with the columns ``file,label``, names of its clips, as the explorer writes it; no others count."""
    pattern: str | None = None
    """Of files: how they are named, ``{subject}_{label}``."""
    columns: str | None = None
    """Of tables: which columns tell what of their recordings, ``clip=take,label=action,subject=who``; None: found by
    their names."""
    units: str | None = None
    """Of files: the unit of the coordinates, or the metres in one; None: found by the bodies' size."""
    min_score: float = MIN_SCORE
    """Of files: a joint of whose place a pose estimator is less sure is absent."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a rate that no recording of people has, and for what is no layout, direction …."""
        if self.fps is not None and not (
            isinstance(self.fps, Real) and not isinstance(self.fps, bool) and LEAST_FPS <= self.fps <= MOST_FPS
        ):
            raise ConfigError(
                f"setting fps: expected frames a second, {LEAST_FPS:g} to {MOST_FPS:g}, got {brief(self.fps)}"
            )
        if self.layout is not None:
            check_type("layout", self.layout, (str, PathLike, Layout), "a name, a file or a Layout")
        if self.up is not None:
            check_type("setting up", self.up, str, "x, y, z, -x, -y, -z or three numbers in a word")
        if self.labels is not None:
            check_path("labels", self.labels)
        for name in ("pattern", "columns", "units"):
            if getattr(self, name) is not None:
                check_type(f"setting {name}", getattr(self, name), str, "a word")
        check_real("min_score", self.min_score)

    @property
    def options(self) -> Options:
        """These, as a reader of files takes them."""
        return Options(
            chosen_layout(self.layout),
            labels=None if self.labels is None else str(self.labels),
            fps=self.fps,
            units=self.units,
            min_score=self.min_score,
            pattern=self.pattern,
            columns=self.columns,
        )


AS_THE_MODEL = Recorded()


def recorded_so(recorded: Recorded, fps: float | None, layout: str | Path | Layout | None, up: str | None) -> Recorded:
    """What is known of recordings, and what was said beside it, which goes before."""
    check_type("recorded", recorded, Recorded, "a pcm3.api.Recorded")
    return replace(
        recorded,
        fps=recorded.fps if fps is None else fps,
        layout=recorded.layout if layout is None else layout,
        up=recorded.up if up is None else up,
    )


@dataclass(frozen=True, eq=False)
class GivenClips:
    """What was given, prepared."""

    store: ClipStore
    single: bool
    """Whether it was one clip, and no list of them."""
    lost: list[tuple[str, str]]
    """What cannot be used, and why."""
    notes: list[str]
    """What was found about units and axes."""

    def complete(self) -> GivenClips:
        """These, where all can be used.

        Raises:
            DataError: the first that cannot, and why.
        """
        if self.lost:
            raise DataError(": ".join(self.lost[0]))
        return self


def given_clips(clips: Clips, spec: EncoderSpec, recorded: Recorded) -> GivenClips:
    """Clips of one motion each.

    Args:
        clips: in any form, see `Clips`.
        spec: of the model that is to be fed with them.
        recorded: what no array tells.

    Raises:
        DataError: they are not clips, of another skeleton, not in metres, or of nobody.
        CheckpointError: a store that the model cannot be fed with.
    """
    return _given(clips, spec, recorded, untrimmed=False)


def given_recordings(recordings: Clips, spec: EncoderSpec, recorded: Recorded) -> GivenClips:
    """As `given_clips`, but long recordings in which motions are to be found: nothing is cut off their ends."""
    return _given(recordings, spec, recorded, untrimmed=True)


def _given(clips: Clips, spec: EncoderSpec, recorded: Recorded, *, untrimmed: bool) -> GivenClips:
    store = _store(clips)
    if store is not None:
        spec.check_compatible(format_of(store), str(store.path))
        return _given_store(store, recorded, untrimmed=untrimmed)
    files, single = _recordings(clips, spec, recorded)
    recordings = files.recordings
    if untrimmed:
        recordings = [replace(recording, intervals=recording.intervals or ()) for recording in recordings]
    _check_coordinates([recording.frames for recording in recordings[:PROBED]], spec, files.layout)
    prepared = PreparedRecordings.of(
        recordings,
        files.layout,
        files.fps,
        spec.bodies,
        "clips",
        normalise=spec.normalised is not False,
        rule=cast(RuleName, spec.rule or "upright"),
        up=recorded.up,
        to_fps=spec.fps or None,
        to=spec.layout,
    )
    held, lost = prepared.in_memory("the given clips", files.classes)
    return GivenClips(held, single, [*files.lost, *lost], [*files.notes, *prepared.notes])


def _given_store(store: ClipStore, recorded: Recorded, *, untrimmed: bool) -> GivenClips:
    """A store as it is; its clips with the labels of a table where one is told."""
    if recorded.pattern is not None:
        raise ConfigError("setting pattern: expected with files, got a store, whose clips have names of its own")
    if recorded.labels is not None and untrimmed:
        raise ConfigError("setting labels: expected with files or clips, got recordings of a store, which has its own")
    unused = "options that describe files (fps, layout, up, units, …) are ignored where a store is given"
    notes = [] if replace(recorded, labels=None) == AS_THE_MODEL else [unused]
    if recorded.labels is not None:
        store, label_notes = relabelled(store, Path(recorded.labels))
        notes += label_notes
    return GivenClips(store, single=False, lost=[], notes=notes)


def _check_coordinates(frames: Sequence[NDArray[np.floating]], spec: EncoderSpec, layout: Layout) -> None:
    """Raises DataError unless clips are metres in three dimensions, or, for a model of such, poses in a picture."""
    flat = spec.rule == FLAT
    if spec.rule and are_flat(frames) != flat:
        mine, theirs = ("two", "three") if flat else ("three", "two")
        raise DataError(f"clips: expected {mine} coordinates a joint, as the model learned from, got {theirs}")
    if not flat:
        check_metres("the given clips", frames, layout)


def _store(clips: Clips) -> ClipStore | None:
    if isinstance(clips, ClipStore):
        return clips
    if isinstance(clips, str | Path):
        check_path("clips", clips)
        return ClipStore.open(clips) if (Path(clips) / STORE).is_file() else None
    return None


def _recordings(clips: Clips, spec: EncoderSpec, recorded: Recorded) -> tuple[Recordings, bool]:
    """Arrays or files as recordings; and whether it was one array alone."""
    names = _file_names(clips)
    if names is not None:
        return read_files(names, recorded.options), False
    named = recorded.layout or spec.layout
    layout = named if isinstance(named, Layout) else load_layout(named)
    arrays, single = _arrays(clips)
    flat = spec.rule == FLAT
    recordings = [Recording(name, _frames(name, array, layout, flat=flat)) for name, array in arrays]
    return Recordings(recordings, layout, recorded.fps or spec.fps or 30.0, (), [], []), single


def _file_names(clips: Clips) -> list[Path] | None:
    """The files that were named; None: arrays were given."""
    given = [clips] if isinstance(clips, str | Path) else clips
    if not (isinstance(given, Sequence) and len(given) and all(isinstance(clip, str | Path) for clip in given)):
        return None
    for name in given:
        check_path("clips", name)
    return [Path(cast("str | Path", name)) for name in given]


def _arrays(clips: Clips) -> tuple[list[tuple[str, NDArray[np.floating]]], bool]:
    """The clips one by one, each with a name; and whether it was one alone."""
    clips = clips.detach().cpu() if isinstance(clips, Tensor) else clips
    if isinstance(clips, np.ndarray) or hasattr(clips, "__array__"):
        array = _numbers("clips", np.asarray(clips))
        if array.ndim == 4 and array.shape[1] >= CROWD:
            raise DataError(
                f"clips: expected one clip (T, M, V, 3) or a list of clips, got an array {array.shape}, which would be "
                f"one clip of {array.shape[1]} bodies: give list(clips) for {len(array)} clips"
            )
        if array.ndim in (3, 4):
            return [("clip", array)], True
        return list(_named(list(array) if array.ndim == 5 else [array])), False
    if isinstance(clips, Sequence):
        return list(_named(cast("Sequence[ArrayLike]", clips))), False
    raise DataError(f"clips: expected arrays (T, V, 3), a store or names of files, got {type(clips).__name__}")


def _named(clips: Sequence[ArrayLike]) -> Iterator[tuple[str, NDArray[np.floating]]]:
    for place, clip in enumerate(clips):
        try:
            array = np.asarray(clip.detach().cpu() if isinstance(clip, Tensor) else clip)
            yield (
                f"clip {place}",
                np.asarray(array if array.dtype.kind in "OUS" else _numbers(f"clip {place}", array), np.float32),
            )
        except (TypeError, ValueError) as error:
            raise DataError(f"clip {place}: expected an array (T, V, 3) of numbers ({error})") from None


def _numbers(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "fiu":
        raise DataError(f"{name}: expected numbers, metres, got an array of {array.dtype}")
    return array


def _frames(name: str, clip: NDArray[np.floating], layout: Layout, *, flat: bool) -> NDArray[np.float32]:
    """A clip as (T, M, V, 3); of poses in a picture (flat) it may have two coordinates."""
    joints = len(layout.joints)
    clip = with_third(clip) if flat and clip.shape[-1] == 2 else clip
    if clip.ndim not in (3, 4) or clip.shape[-2:] != (joints, 3) or 0 in clip.shape:
        raise DataError(
            f"{name}: expected an array (T, {joints}, 3) or (T, M, {joints}, 3) of {layout.name} in metres, got "
            f"{clip.shape}: name its layout where it has another (layout='coco17' …)"
        )
    return np.asarray(clip if clip.ndim == 4 else clip[:, None], np.float32)
