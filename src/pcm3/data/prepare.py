"""From a recording to what is stored and what the networks see, by one of three rules.

`released`: as the released PCM³ code and its ancestors do it (the table "Data to model input"), for data sets whose
published results need it. `upright`: recordings stay as they are, whole and with their bodies in their places; gaps are
filled, and bodies are turned so that nothing depends on the axes of the recording. `flat`: as upright, for poses in a
picture, which are scaled to a person's size and not turned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Skipped
from pcm3.data.bodies import Bodies, bodies_of, choose_bodies, longest_present, repair
from pcm3.data.gaps import fill_gaps
from pcm3.data.origin import is_centred
from pcm3.data.picture import FLAT, normalise_in_plane, scaled
from pcm3.data.recording import Changes, Recording, cut_into_clips
from pcm3.data.resample import resample
from pcm3.data.source_index import SourceClip
from pcm3.errors import DataError
from pcm3.geometry import present_joints
from pcm3.normalisation import normalise, normalise_untrimmed, normalise_upright, normalise_upright_untrimmed
from pcm3.retarget import Retargeting
from pcm3.skeleton import Layout

MISSING = "missing skeleton: no body in any frame"

RuleName = Literal["released", "upright", "flat"]

FILL_SECONDS = 0.5
"""The longest gap of a joint that is filled: an arm that is hidden longer may have gone anywhere."""


@dataclass(frozen=True)
class Recipe:
    """How recordings are prepared."""

    layout: Layout
    """Of the recordings."""
    bodies: int
    """M, the bodies kept."""
    normalise: bool = True
    """Whether clips are centred and turned (`normalisation`)."""
    max_frames: int | None = None
    """Frames after which a clip is cut off; None: never. Untrimmed recordings are whole."""
    chosen: bool = False
    """Whether the bodies are chosen and in order already."""
    trim: bool = False
    """Whether an untrimmed recording is cut into its intervals first, which then are prepared as any clip."""
    rule: RuleName = "released"
    """One of `RULES`."""
    up: tuple[float, float, float] | None = None
    """Against gravity, in the frame of the recordings, for the upright rule; None: as each clip's own body stands."""
    fill: int = 15
    """Frames of the longest gap of a joint that is filled."""
    origin: int | None = None
    """The joint that lies at the origin because the recordings were centred on it; None: zeros are an absent joint."""
    rate: float = 1.0
    """Frames of the store for one of the recordings; other than 1, recordings are resampled."""
    retargeting: Retargeting | None = None
    """To another layout, before anything else is done to a recording; None: it stays as recorded."""

    @property
    def made_layout(self) -> Layout:
        """Of what the recordings become."""
        return self.retargeting.target if self.retargeting else self.layout

    def to_dict(self) -> dict[str, Any]:
        """How clips were prepared, as JSON-able data for the store; the layout and M stand there anyway."""
        fields = asdict(replace(self, retargeting=None))
        for name in ("layout", "bodies", "chosen", "normalise", "retargeting"):
            del fields[name]
        fields["up"] = None if self.up is None else list(self.up)
        if self.retargeting is not None:
            fields["origin"] = self.retargeting.copy_of(self.origin)
            fields["retargeted"] = self.retargeting.to_dict()
        return fields


def prepare(recording: Recording, recipe: Recipe) -> list[Recording | str]:
    """What the recording becomes in a store (T, M, V, C): itself, or with `trim` its clips.

    What has no skeleton in any frame is no clip; its id stands for it.

    Raises:
        DataError: its skeleton is of another layout, or what stands beside its frames is of another shape.
    """
    wanted = len(recipe.layout.joints)
    if recording.frames.ndim != 4 or recording.frames.shape[2] != wanted:
        raise DataError(f"{recording.id}: expected frames (T, M, {wanted}, C), got {recording.frames.shape}")
    for name in ("present", "scores"):
        beside = getattr(recording, name)
        if beside is not None and beside.shape != recording.frames.shape[:3]:
            shape = recording.frames.shape[:3]
            raise DataError(f"{recording.id}: expected {name} {shape} as the frames have, got {beside.shape}")
    if recipe.rule == FLAT:
        recording = in_picture(recording)
    if recipe.origin is not None and recording.present is None:
        recording = replace(recording, present=_with_origin(recording, recipe.origin, recipe.layout))
    if recipe.retargeting is not None:
        recording = retargeted(recording, recipe.retargeting)
        recipe = replace(recipe, layout=recipe.made_layout, retargeting=None)
    recording = resample(recording, recipe.rate)
    if recording.intervals is None:
        return [_clip(recording, recipe)]
    if recipe.trim:
        return [_clip(clip, recipe) for clip in cut_into_clips(recording)]
    return _untrimmed(recording, recipe)


def retargeted(recording: Recording, plan: Retargeting) -> Recording:
    """The recording in another layout; a joint is as sure as the least sure one that it is made of."""
    frames, present = plan(recording.frames, recording.present)
    scores = None if recording.scores is None else plan.scores(recording.scores)
    return replace(recording, frames=frames, present=present, scores=scores)


def in_picture(recording: Recording) -> Recording:
    """The recording of poses in a picture with bodies of a person's size, and 0 as the third coordinate."""
    if recording.frames[..., 2:].any():
        raise DataError(f"{recording.id}: expected two coordinates as in the other recordings, got three")
    present = present_joints(recording.frames) if recording.present is None else recording.present
    return replace(recording, frames=scaled(recording.frames, present).astype(np.float32), present=present)


def _bodies(recording: Recording) -> Bodies:
    if recording.present is None:
        return replace(bodies_of(recording.frames), scores=recording.scores)
    frames = np.where(recording.present[..., None], recording.frames, np.float32(0))
    return Bodies(frames, recording.present, recording.scores)


def _with_origin(recording: Recording, joint: int, layout: Layout) -> NDArray[np.bool_]:
    """Which joints are there (T, M, V), the one at the origin wherever a body is that was centred on it."""
    bodies = bodies_of(recording.frames)
    for body in bodies.appearing:
        there = bodies.there[:, body]
        if body == 0 or is_centred(bodies.frames[there, body], joint, layout):
            bodies.present[there, body, joint] = True
    return bodies.present


def _clip(clip: Recording, recipe: Recipe) -> Recording | str:
    """The clip with its main bodies, repaired and normalised."""
    rule = RULES[recipe.rule]
    whole = rule.ends(_bodies(clip))
    bodies = whole.stretch(0, recipe.max_frames)
    if not bodies.present.any():
        return clip.id
    if recipe.chosen:
        chosen = bodies.in_order(np.arange(min(recipe.bodies, bodies.frames.shape[1])), recipe.bodies)
    else:
        chosen = rule.choose(bodies, recipe.bodies)
    filled = fill_gaps(chosen, recipe.fill, recipe.layout, whole_bodies=rule.whole_bodies)
    changes = _changes(bodies, chosen, filled, cut=len(clip.frames) - len(bodies.frames))
    arranged = rule.arrange(filled)
    frames = rule.normalise(arranged, recipe) if recipe.normalise else arranged.frames
    stored = frames.astype(np.float32, copy=False)
    return replace(clip, frames=stored, present=None, scores=arranged.scores, changes=changes)


def _untrimmed(recording: Recording, recipe: Recipe) -> list[Recording | str]:
    """The recording with the bodies that are there longest, and the intervals in which nobody is there.

    No frame is moved, so that the other intervals stay true.
    """
    whole = _bodies(recording)
    if not whole.present.any():
        return [recording.id]
    rule = RULES[recipe.rule]
    chosen = longest_present(whole, recipe.bodies)
    bodies = fill_gaps(chosen, recipe.fill, recipe.layout, whole_bodies=rule.whole_bodies)
    parts = list(zip(recording.intervals or (), cut_into_clips(recording), strict=True))
    present_bodies = [_bodies(clip).present.any() for _, clip in parts]
    kept = tuple(interval for (interval, _), is_present in zip(parts, present_bodies, strict=True) if is_present)
    frames = rule.normalise_untrimmed(bodies, recipe) if recipe.normalise else bodies.frames
    prepared = replace(
        recording,
        frames=frames.astype(np.float32, copy=False),
        present=None,
        scores=bodies.scores,
        intervals=kept,
        changes=_changes(whole, chosen, bodies, cut=0),
    )
    return [prepared, *(clip.id for (_, clip), is_present in zip(parts, present_bodies, strict=True) if not is_present)]


def _changes(before: Bodies, chosen: Bodies, filled: Bodies, cut: int) -> Changes:
    """What is not as it was."""
    absent = int((filled.there[..., None] & ~filled.present).sum())
    made_up = int(filled.present.sum() - chosen.present.sum())
    return Changes(cut, len(before.appearing) - len(chosen.appearing), absent, made_up)


@dataclass(frozen=True)
class Rule:
    """The steps in which the rules differ; those that they share are in `_clip` and `_untrimmed`."""

    ends: Callable[[Bodies], Bodies]
    """What of a clip's ends is kept."""
    choose: Callable[[Bodies, int], Bodies]
    """Which bodies are kept."""
    arrange: Callable[[Bodies], Bodies]
    """What is done to bodies that are not there from the first frame to the last."""
    whole_bodies: bool
    """Whether gaps of whole bodies are filled."""
    normalise: Callable[[Bodies, Recipe], NDArray[np.floating[Any]]]
    normalise_untrimmed: Callable[[Bodies, Recipe], NDArray[np.floating[Any]]]


def _as_they_are(bodies: Bodies) -> Bodies:
    return bodies


def _while_somebody_is_there(bodies: Bodies) -> Bodies:
    """The clip from the first frame with a body to the last."""
    there = np.flatnonzero(bodies.there.any(axis=1))
    return bodies.stretch(int(there[0]), int(there[-1]) + 1) if len(there) else bodies.stretch(0, 0)


def _in_their_places(bodies: Bodies, kept: int) -> Bodies:
    """The bodies in the order of the recording; of more than there is room for, those that are there longest."""
    longest = np.argsort(-bodies.there.sum(axis=0), kind="stable")[:kept]
    return bodies.in_order(np.sort(longest), kept)


RULES: dict[str, Rule] = {
    "released": Rule(
        ends=_as_they_are,
        choose=choose_bodies,
        arrange=repair,
        whole_bodies=False,
        normalise=lambda bodies, recipe: normalise(bodies.frames, bodies.present, recipe.layout),
        normalise_untrimmed=lambda bodies, recipe: normalise_untrimmed(bodies.frames, bodies.present, recipe.layout),
    ),
    "upright": Rule(
        ends=_while_somebody_is_there,
        choose=_in_their_places,
        arrange=_as_they_are,
        whole_bodies=True,
        normalise=lambda bodies, recipe: normalise_upright(bodies.frames, bodies.present, recipe.layout, recipe.up),
        normalise_untrimmed=lambda bodies, recipe: normalise_upright_untrimmed(
            bodies.frames, bodies.present, recipe.layout, recipe.up
        ),
    ),
    FLAT: Rule(
        ends=_while_somebody_is_there,
        choose=_in_their_places,
        arrange=_as_they_are,
        whole_bodies=True,
        normalise=lambda bodies, recipe: normalise_in_plane(bodies.frames, bodies.present, recipe.layout, recipe.up),
        normalise_untrimmed=lambda bodies, recipe: normalise_in_plane(
            bodies.frames, bodies.present, recipe.layout, recipe.up, untrimmed=True
        ),
    ),
}


def prepare_chunk(clips: Sequence[SourceClip], recipe: Recipe) -> list[list[Recording | Skipped]]:
    """For each recording what it becomes; and what of it does not, with the reason."""
    outcomes: list[list[Recording | Skipped]] = []
    for clip in clips:
        try:
            outcomes.append(outcome(clip.read(), recipe))
        except DataError as error:
            outcomes.append([("", str(error).removeprefix(f"{clip.id}: "))])  # the file says whose it is
    return outcomes


def outcome(recording: Recording, recipe: Recipe) -> list[Recording | Skipped]:
    """What the recording becomes, and what of it has no skeleton or is broken: which part ("": all of it), and why."""
    results: list[Recording | Skipped] = []
    for result in prepare(recording, recipe):
        if isinstance(result, Recording):
            results.append(result)
        else:
            results.append(("" if result == recording.id else result, MISSING))
    return [*results, *recording.lost]
