"""Recordings of the user's own, prepared one by one: what `store_recordings` writes and the Python interface embeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Skipped
from pcm3.data.clip_table import ClipTable
from pcm3.data.gravity import given_up
from pcm3.data.import_plan import PROBED, check_numbers, oriented, retargeted_recipe, rule_for
from pcm3.data.picture import FLAT, with_third, without_nan
from pcm3.data.prepare import FILL_SECONDS, RULES, Recipe, RuleName, outcome
from pcm3.data.recording import Recording, metres
from pcm3.data.source_units import check_units
from pcm3.data.store import ClipStore, StoreMeaning, store_in_memory
from pcm3.errors import ConfigError, DataError, not_one_of
from pcm3.skeleton import Layout


@dataclass(frozen=True, eq=False)
class PreparedRecordings:
    """Recordings on their way into a store; iterating gives each one's id and what it becomes, or why it does not.

    Raises while it iterates:
        DataError: two recordings of one id, or more bodies than there is room for where that was not said.
    """

    recipe: Recipe
    fps: float
    """Of what they become."""
    notes: list[str]
    """What was found about units and axes, for the user."""
    probed: list[NDArray[np.float32]]
    """Frames of those of the first recordings that can be used."""
    recordings: Iterable[Recording]
    room_given: bool
    """Whether the number of bodies kept was said, and not found in the first recordings."""

    @classmethod
    def of(
        cls,
        recordings: Iterable[Recording],
        layout: Layout,
        fps: float,
        bodies: int | None = None,
        name: str = "own",
        *,
        normalise: bool = True,
        rule: RuleName | None = None,
        up: str | None = None,
        fill: float = FILL_SECONDS,
        max_frames: int | None = None,
        trim: bool = False,
        to_fps: float | None = None,
        to: Layout | None = None,
    ) -> PreparedRecordings:
        """How these recordings are to be prepared, found from the first `PROBED` of them.

        Args: those of `pcm3.data.importer.store_recordings`, and
            name: how errors call them where there is none.
            to_fps: resample to so many frames a second; None: as they are.

        Raises:
            DataError: the coordinates are not metres in three dimensions; they cannot be retargeted.
            ConfigError: a setting that makes no sense.
        """
        if rule is not None and rule not in RULES:
            raise ConfigError(not_one_of("a rule", rule, RULES))
        check_numbers(max_frames, fill, fps)
        if bodies is not None and bodies < 1:
            raise ConfigError(f"setting bodies: expected at least 1 body to keep, got {bodies}")
        incoming = map(_of_three, recordings)
        first = list(islice(incoming, PROBED))
        room = bodies or max((_bodies(recording) for recording in first), default=1)
        rate = (to_fps or fps) / fps
        recipe = Recipe(layout, room, normalise, max_frames, trim=trim, fill=round(fill * fps * rate), rate=rate)
        direction = None if up is None else given_up(up)
        frames = [recording.frames for recording in first]
        recipe = replace(recipe, rule=rule_for(rule, "upright", frames))
        notes = [] if recipe.rule == FLAT else check_units(first[0].id if first else name, frames, layout)
        usable = list(_usable(first, recipe))
        recipe, oriented_notes = retargeted_recipe(*oriented(recipe, direction, usable), to)
        probed = [recording.frames for recording in usable]
        every = chain(first, incoming)
        return cls(recipe, to_fps or fps, notes + oriented_notes, probed, every, bodies is not None)

    def __iter__(self) -> Iterator[tuple[str, Sequence[Recording | Skipped]]]:
        taken: set[str] = set()
        for recording in self.recordings:
            if recording.id in taken:
                raise DataError(f"{recording.id}: expected an id for each recording, no two alike, got it twice")
            taken.add(recording.id)
            count = _bodies(recording)
            if not self.room_given and count > self.recipe.bodies:
                raise DataError(
                    f"{recording.id}: expected up to {self.recipe.bodies} bodies, as the first {PROBED} recordings "
                    f"have, got {count}: say how many to keep (bodies={count})"
                )
            yield recording.id, _outcome(recording, self.recipe)

    def in_memory(self, name: str, classes: Sequence[str] = ()) -> tuple[ClipStore, list[tuple[str, str]]]:
        """A store that lies on no disk; and what did not become a clip, with the reason.

        Args:
            name: how errors call it.
            classes: names of the labels.

        Raises:
            DataError: as iterating does; or nothing became a clip: the first reason.
        """
        clips, recordings, frames, lost = ClipTable(), ClipTable(), [], []
        begin = 0
        for own_id, results in self:
            for result in results:
                if not isinstance(result, Recording):
                    lost.append((f"{own_id} ({result[0]})" if result[0] else own_id, result[1]))
                    continue
                if result.intervals is None:
                    clips.add(result, begin)
                else:
                    recordings.add_untrimmed(result, begin, clips)
                frames.append(result.frames)
                begin += len(result.frames)
        if not frames:
            raise DataError(": ".join(lost[0]) if lost else f"{name}: expected recordings, got none")
        meaning = StoreMeaning(
            self.recipe.made_layout, self.fps, self.recipe.normalise, self.recipe.to_dict(), tuple(classes)
        )
        recording_table = recordings.columns() if recordings.rows else None
        return store_in_memory(name, np.concatenate(frames), clips.columns(), recording_table, meaning), lost


def _bodies(recording: Recording) -> int:
    """The slots of a recording up to the last body that is there in any frame."""
    frames = recording.frames
    if frames.ndim != 4:
        return 1
    there = np.flatnonzero((np.nan_to_num(frames) != 0).any(axis=(0, 2, 3)))
    return int(there[-1]) + 1 if len(there) else 1


def _of_three(recording: Recording) -> Recording:
    """The recording with a third coordinate of 0 where it has two."""
    two = recording.frames.ndim == 4 and recording.frames.shape[-1] == 2
    return replace(recording, frames=with_third(recording.frames)) if two else recording


def _checked(recording: Recording, rule: RuleName) -> Recording:
    """The recording with what is not a number as absent.

    Raises:
        DataError: its numbers cannot be metres, or, in a picture, pixels.
    """
    read = without_nan if rule == FLAT else metres
    checked = replace(recording, frames=read(recording.id, recording.frames))
    if recording.present is None:
        return checked
    return replace(checked, present=recording.present & ~np.isnan(recording.frames).any(axis=-1))


def _usable(recordings: Iterable[Recording], recipe: Recipe) -> Iterator[Recording]:
    """Those of the recordings that can tell something about all of them."""
    for recording in recordings:
        if recording.frames.ndim == 4 and recording.frames.shape[2:] == (len(recipe.layout.joints), 3):
            try:
                yield _checked(recording, recipe.rule)
            except DataError:
                continue


def _outcome(recording: Recording, recipe: Recipe) -> Sequence[Recording | Skipped]:
    """What a recording of the user's becomes, or why it does not become a clip."""
    try:
        return outcome(_checked(recording, recipe.rule), recipe)
    except DataError as error:
        return [("", str(error).removeprefix(f"{recording.id}: "))]
