"""Two people do something together: each in his own way and time, and hands that touch really meet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pcm3.simulate.body import CHANNELS, Floats, Subject
from pcm3.simulate.performance import FPS, Manner, cut, draw_posture, larger_or_smaller, swaying
from pcm3.simulate.script import Beat, PairWay, Pose, other_handed_pair
from pcm3.simulate.track import Actor, Meeting, Track, meet, placed, sampled

REACH_SECONDS = 0.5
"""Longest time before and after a contact in which a hand is on its way to or from it."""

EXACT = ("foot", "foot2", "pelvis")
"""Channels that no one does larger or smaller: steps are as long as the way is."""


@dataclass(frozen=True)
class Role:
    """Who plays it, how he goes about it, and how he stands before."""

    subject: Subject
    manner: Manner
    base: dict[str, Floats]


def perform_together(
    subjects: tuple[Subject, Subject],
    ways: tuple[PairWay, ...],
    manners: tuple[Manner, Manner],
    rng: np.random.Generator,
) -> Floats:
    """One performance of two, (T, 2, 25, 3) metres, actor first, 30 frames a second.

    The actor looks to -z or away from it, the reactor is before or beside him, and the middle of both is the origin.
    The performance of a left-handed actor is the mirror image of what he would do as a right-hander.
    """
    way = choose_way(ways, subjects[0], manners[0], rng)
    roles = tuple(
        Role(subject, manner, draw_posture(subject, rng, seated=False))
        for subject, manner in zip(subjects, manners, strict=True)
    )
    tracks, meeting = play(way, (roles[0], roles[1]), rng)
    frames, offset = cut(min(track.times[-1] for track in tracks), rng)
    at = offset + np.arange(frames) / FPS
    actors = [
        Actor(role.subject, swaying(role.subject, actor.motion, at, rng), actor.root)
        for role, actor in ((role, sampled(role.subject, track, at)) for role, track in zip(roles, tracks, strict=True))
    ]
    joints = np.stack([actor.joints() for actor in meet((actors[0], actors[1]), meeting, at)], axis=1)
    middle = np.mean([actor.root[:, :2] for actor in actors], axis=(0, 1))
    centred: Floats = joints - np.array([middle[0], 0.0, middle[1]])
    return centred


def choose_way(ways: tuple[PairWay, ...], actor: Subject, manner: Manner, rng: np.random.Generator) -> PairWay:
    """The actor's favourite way or another one, with the hand that is his."""
    as_usual, other_side = rng.random() < 0.6, rng.random() < 0.1
    way = ways[int((manner.favourite if as_usual else rng.random()) * len(ways))]
    return other_handed_pair(way) if actor.left_handed != other_side and not way.right_handed else way


def play(way: PairWay, roles: tuple[Role, Role], rng: np.random.Generator) -> tuple[tuple[Track, Track], Meeting]:
    """What both do, the actor at the origin and looking to -z when they are first near; and when they touch."""
    cycles = int(rng.integers(way.cycles[0], way.cycles[1] + 1))
    beats = (Beat(0.0, {}, {}), *way.begin, *way.cycle * cycles, *way.end, Beat(rng.uniform(0.6, 1.0), {}, {}))
    times, which = _clock(beats, roles, rng)
    near = np.array([beats[number].near for number in which])
    arm = min(role.subject.arm for role in roles)  # the shorter one must reach as well
    theirs = np.array([way.beside * arm, -way.apart * arm, way.facing])
    first = int(np.flatnonzero(near)[0])
    actor = _track(beats, roles[0], 0, _own_time(times, near, (-0.15, 0.15), rng), which, rng)
    reactor = _track(beats, roles[1], 1, _own_time(times, near, (0.0, 0.3), rng), which, rng)
    return (_put(actor, first, np.zeros(3)), _put(reactor, first, theirs)), Meeting(way.contacts, _windows(times, near))


def _clock(
    beats: tuple[Beat, ...], roles: tuple[Role, Role], rng: np.random.Generator
) -> tuple[Floats, NDArray[np.intp]]:
    """Times (K,) of the keys in seconds, and the beat (K,) that each belongs to; all begins and ends with a rest."""
    pace = np.sqrt(roles[0].subject.tempo * roles[1].subject.tempo) * roles[0].manner.slow
    pace = max(0.75, pace * float(np.exp(rng.normal(0, 0.1))))  # the beats of a fight are short as they are
    times, which = [0.0, rng.uniform(0.05, 0.8)], [0, 0]
    for number, beat in enumerate(beats[1:], start=1):
        times.append(times[-1] + beat.seconds * pace * float(np.exp(rng.normal(0, 0.08))))
        which.append(number)
        if beat.hold:
            times.append(times[-1] + beat.hold * pace * rng.uniform(0.5, 1.5))
            which.append(number)
    times.append(times[-1] + rng.uniform(0.05, 0.8))
    which.append(which[-1])
    return np.array(times), np.array(which)


def _own_time(times: Floats, near: NDArray[np.bool_], late: tuple[float, float], rng: np.random.Generator) -> Floats:
    """The times (K,) as one of the two keeps them: late by a part of the time to his next key, but not when near."""
    delay = rng.uniform(*late, len(times))[1:-1] * np.minimum(np.diff(times)[1:], np.diff(times)[:-1])
    own = times.copy()
    own[1:-1] += np.where(near[1:-1], 0.0, np.minimum(delay, 0.15))
    return own


def _track(
    beats: tuple[Beat, ...], role: Role, who: int, times: Floats, which: NDArray[np.intp], rng: np.random.Generator
) -> Track:
    """What one of the two does, from a place of his own at the origin."""
    poses: list[Pose] = [(beats[number].actor, beats[number].reactor)[who] for number in which]
    channels = {
        name: np.array([pose.get(name, role.base[name]) for pose in poses], dtype=np.float64) for name in CHANNELS
    }
    channels = larger_or_smaller(role.subject, EXACT, role.manner, role.base, channels, rng)
    came = np.concatenate([[False], np.diff(which) > 0])
    heading = np.cumsum(came * np.array([beats[number].turn[who] for number in which]))
    ahead = came * np.array([beats[number].travel[who] for number in which]) * role.subject.leg
    x, z = np.cumsum(-ahead * np.sin(heading)), np.cumsum(-ahead * np.cos(heading))
    return Track(times, channels, np.stack([x, z, heading], axis=1))


def _put(track: Track, key: int, goal: Floats) -> Track:
    """The track moved on the stage so that its root at that key is the goal (3,)."""
    x, z, heading = track.root[key]
    at_origin = replace(track, root=track.root - np.array([x, z, 0.0]))
    return placed(at_origin, goal - np.array([0.0, 0.0, heading]))


def _windows(times: Floats, near: NDArray[np.bool_]) -> Floats:
    """When they touch, (W, 4) as in `Meeting`: from the first to the last key of each time they are near."""
    edge = np.diff(near.astype(np.int64))
    firsts, lasts = np.flatnonzero(edge == 1) + 1, np.flatnonzero(edge == -1)
    on, off = times[firsts], times[lasts]
    begins, free = np.maximum(times[firsts - 1], on - REACH_SECONDS), np.minimum(times[lasts + 1], off + REACH_SECONDS)
    return np.stack([begins, on, off, free], axis=1)
