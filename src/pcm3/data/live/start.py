"""What the first second of a stream tells about all of it, as an import finds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from pcm3.body_centre import path_of_first
from pcm3.data.bodies import Bodies, bodies_of
from pcm3.data.origin import is_centred
from pcm3.data.own_recordings import PreparedRecordings
from pcm3.data.prepare import RULES, Recipe, RuleName
from pcm3.data.recording import Recording
from pcm3.normalisation import body_direction, main_body, rotation_untrimmed, rotation_upright
from pcm3.skeleton import Layout

Frames = Float[NDArray[np.float32], "T M V 3"]


@dataclass(frozen=True)
class Preparation:
    """How frames are to be prepared: what a model was fed with."""

    layout: Layout
    bodies: int
    """M, kept of each frame."""
    fps: float
    normalise: bool
    """Centre and turn them."""
    rule: RuleName
    """One of `pcm3.data.prepare.RULES`."""
    up: str | None
    """Which way is up; None: found."""


@dataclass(frozen=True, eq=False)
class Start:
    """What was found."""

    fill: int
    """Frames for which a joint that is absent is held."""
    whole_bodies: bool
    """See `pcm3.data.gaps.fill_gaps`."""
    rotation: NDArray[np.float64]
    """(3, 3) of all frames."""
    up: str | None
    """Which way is up, as `pcm3.data.gravity.given_up` reads it; None: nothing is turned by it."""
    notes: tuple[str, ...]
    """What was found about units and axes, in words."""
    origin: int | None
    """The joint at the origin because frames come centred on it; None: zeros are an absent joint."""
    centred: tuple[int, ...]
    """The bodies that are."""

    def bodies(self, frames: Frames) -> Bodies:
        """The frames and which of their joints are there."""
        return _bodies(frames, self.origin, self.centred)


def start_from(frames: Frames, how: Preparation) -> Start:
    """What frames with somebody in them tell.

    Raises:
        DataError: they cannot be metres in space.
    """
    recording = Recording("the first second", frames, intervals=())
    prepared = PreparedRecordings.of(
        [recording], how.layout, how.fps, how.bodies, normalise=how.normalise, rule=how.rule, up=how.up
    )
    recipe = prepared.recipe
    centred = _centred(frames, recipe.origin, how.layout)
    bodies = _bodies(frames, recipe.origin, centred)
    rotation, up = _rotation(bodies, recipe) if how.normalise else (np.eye(3), None)
    whole_bodies = RULES[how.rule].whole_bodies
    return Start(recipe.fill, whole_bodies, rotation, up, tuple(prepared.notes), recipe.origin, centred)


def _rotation(bodies: Bodies, recipe: Recipe) -> tuple[NDArray[np.float64], str | None]:
    frames, present, layout = bodies.frames, bodies.present, recipe.layout
    if recipe.rule != "upright":
        return rotation_untrimmed(frames, present, path_of_first(frames, present, bodies.there, layout), layout), None
    main = main_body(bodies.there)
    up = recipe.up or body_direction(frames[:, main], present[:, main], layout).tolist()
    return rotation_upright(frames, present, layout, up), ",".join(repr(float(number)) for number in up)


def _centred(frames: Frames, origin: int | None, layout: Layout) -> tuple[int, ...]:
    """The bodies that were centred on the joint at the origin."""
    if origin is None:
        return ()
    there = np.asarray(frames.any(axis=(2, 3)))
    return tuple(
        body
        for body in np.flatnonzero(there.any(axis=0)).tolist()
        if body == 0 or is_centred(frames[there[:, body], body], origin, layout)
    )


def _bodies(frames: Frames, origin: int | None, centred: tuple[int, ...]) -> Bodies:
    bodies = bodies_of(frames)
    if origin is not None:
        for body in centred:
            bodies.present[:, body, origin] = bodies.frames[:, body].any(axis=(1, 2))
    return bodies
