"""A person's movements on the stage by keys, and contacts of two that really meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pcm3.simulate.body import JOINT, Floats, Motion, Subject, hand_moved, joints_of, rotation
from pcm3.simulate.performance import smooth_path
from pcm3.simulate.script import Contact

CLEAR = 0.28
"""Arm lengths that a wrist keeps away from its shoulder; nearer, a small step would turn the whole arm."""


@dataclass(frozen=True)
class Track:
    """What somebody does from key to key."""

    times: Floats
    """(K,) seconds, rising."""
    poses: Motion
    """Channels (K, numbers)."""
    root: Floats
    """(K, 3): x and z on the stage in metres, and the radians that he is turned to the left of -z."""


@dataclass(frozen=True)
class Actor:
    """Somebody at the frames that are recorded: his channels, and his root (T, 3) as in `Track`."""

    subject: Subject
    motion: Motion
    root: Floats

    def joints(self) -> Floats:
        """(T, 25, 3) on the stage."""
        return on_stage(joints_of(self.subject, self.motion, steady=True), self.root)


@dataclass(frozen=True)
class Meeting:
    """Contacts of two people and when they last."""

    contacts: tuple[Contact, ...]
    windows: Floats
    """(W, 4) seconds: reaching begins, contact begins, contact ends, the hands are free again."""


def sampled(subject: Subject, track: Track, at: Floats) -> Actor:
    """The person at the times (T,)."""
    motion = {name: smooth_path(track.times, values, at) for name, values in track.poses.items()}
    for name in ("hand", "hand2"):
        motion[name] = _past_the_shoulder(motion[name])
    return Actor(subject, motion, smooth_path(track.times, track.root, at))


def _past_the_shoulder(hand: Floats) -> Floats:
    """The channel (T, 3) of a hand that goes by in front of its shoulder, not through it."""
    out, up, forward = hand.T
    least = np.sqrt(np.maximum(CLEAR**2 - out**2 - up**2, 0.0))
    return np.stack([out, up, np.maximum(forward, least)], axis=1)


def on_stage(points: Floats, root: Floats) -> Floats:
    """Points (T, V, 3) of a person's own frame where his root (T, 3) puts them."""
    place = np.stack([root[:, 0], 0 * root[:, 0], root[:, 1]], axis=-1)
    placed: Floats = points @ rotation(1, -root[:, 2]) + place[:, None]  # row vectors: the transpose turns
    return placed


ITERATIONS, MOST_ITERATIONS = 5, 60
"""Times that a hand is brought nearer to where it is to be, and the most for a hand that meets another."""
NEAR = 0.0145
"""Metres from there that are near enough for two hands that meet: half of what they may be apart."""


def placed(track: Track, root: Floats) -> Track:
    """The track as part of a scene whose origin is put at `root` (3,)."""
    matrix = rotation(1, -root[2:])[0]
    x, z = track.root[:, 0], track.root[:, 1]
    moved = np.stack([x, 0 * x, z], axis=1) @ matrix
    return replace(
        track, root=np.stack([moved[:, 0] + root[0], moved[:, 2] + root[1], track.root[:, 2] + root[2]], axis=1)
    )


def joined(tracks: Sequence[Track]) -> Track:
    """The tracks one after the other; a key that is not after those before it is skipped."""
    times = np.concatenate([track.times for track in tracks])
    later = np.concatenate([[True], times[1:] > np.maximum.accumulate(times)[:-1] + 1e-3])
    names = tracks[0].poses
    return Track(
        times[later],
        {name: np.concatenate([track.poses[name] for track in tracks])[later] for name in names},
        np.concatenate([track.root for track in tracks])[later],
    )


def meet(pair: tuple[Actor, Actor], meeting: Meeting, at: Floats) -> tuple[Actor, Actor]:
    """Actor and reactor at the times `at` (T,), their hands brought to where they touch, whatever their arms."""
    weight = _weight(meeting.windows, at)
    frames = np.flatnonzero(weight > 0)
    if not len(frames) or not meeting.contacts:
        return pair
    weight = weight[frames, None]
    short = [_at(actor, frames) for actor in pair]
    for contact in meeting.contacts:
        by, other = contact.by, 1 - contact.by
        goal = _goal(short[other], contact)
        iterations = ITERATIONS
        if contact.meets:
            iterations = MOST_ITERATIONS
            goal = _half_way(short[by], contact.hand, short[other], contact.joint)
            short[other] = _reaching(short[other], contact.joint.removeprefix("hand"), goal, weight, iterations)
        short[by] = _reaching(short[by], contact.hand.removeprefix("hand"), goal, weight, iterations)
    return _put_back(pair[0], short[0], frames), _put_back(pair[1], short[1], frames)


def _weight(windows: Floats, at: Floats) -> Floats:
    """How far (T,), from 0 to 1, the hands are held to the place of contact."""
    weight = np.zeros(len(at))
    for begins, on, off, free in windows:
        u = np.clip(np.minimum((at - begins) / (on - begins), (free - at) / (free - off)), 0.0, 1.0)
        weight = np.maximum(weight, u * u * (3 - 2 * u))
    return weight


def _joint(name: str) -> int:
    """Index of the joint that a contact names, acting side right."""
    if name in JOINT:
        return JOINT[name]
    side = "left_" if name.endswith("2") else "right_"
    return JOINT[side + name.removesuffix("2")]


def _goal(other: Actor, contact: Contact) -> Floats:
    """The place (T, 3) on the other that is touched."""
    right, up, front = contact.beside
    off = np.broadcast_to(np.array([right, up, -front]), (len(other.root), 1, 3))
    no_place = other.root * np.array([0.0, 0.0, 1.0])
    goal: Floats = other.joints()[:, _joint(contact.joint)] + on_stage(off, no_place)[:, 0]
    return goal


def _half_way(first: Actor, hand: str, second: Actor, other_hand: str) -> Floats:
    """The place (T, 3) between two hands that is nearest to half way and in reach of both arms."""
    reach = []
    hands = []
    for actor, name in ((first, hand), (second, other_hand)):
        joints, bones = actor.joints(), actor.subject.bones
        hands.append(joints[:, _joint(name)])
        reach.append((joints[:, _joint(name.replace("hand", "shoulder"))], 0.97 * actor.subject.arm + bones["palm"]))
    goal = (hands[0] + hands[1]) / 2
    for shoulder, length in reach * 4:
        away = goal - shoulder
        far = np.linalg.norm(away, axis=1, keepdims=True)
        goal = shoulder + away * np.minimum(1.0, length / np.maximum(far, 1e-9))
    return goal


def _reaching(actor: Actor, mark: str, goal: Floats, weight: Floats, iterations: int) -> Actor:
    """The actor with his hand at the goal (T, 3) where the weight (T, 1) is 1, as far as his arm reaches."""
    solved, hand = actor, _joint("hand" + mark)
    for iteration in range(iterations):
        missing = goal - solved.joints()[:, hand]
        # Where the elbow swings far with the hand, a few frames take longer.
        far = np.linalg.norm(missing, axis=1, keepdims=True) > (NEAR if iteration >= ITERATIONS else 0.0)
        if not far.any():
            break
        off = on_stage(missing[:, None], np.stack([0 * weight[:, 0], 0 * weight[:, 0], -actor.root[:, 2]], axis=1))[
            :, 0
        ]
        channel = hand_moved(actor.subject, solved.motion, mark, off)
        channel = np.where(far, channel, solved.motion["hand" + mark])
        solved = replace(solved, motion={**solved.motion, "hand" + mark: channel})
    mixed = (1 - weight) * actor.motion["hand" + mark] + weight * solved.motion["hand" + mark]
    return replace(actor, motion={**actor.motion, "hand" + mark: mixed})


def _at(actor: Actor, frames: NDArray[np.intp]) -> Actor:
    """The actor at some frames only."""
    return Actor(actor.subject, {name: values[frames] for name, values in actor.motion.items()}, actor.root[frames])


def _put_back(actor: Actor, short: Actor, frames: NDArray[np.intp]) -> Actor:
    """The actor with the hands that he has at some frames."""
    motion: dict[str, Floats] = dict(actor.motion)
    for name in ("hand", "hand2"):
        motion[name] = motion[name].copy()
        motion[name][frames] = short.motion[name]
    return replace(actor, motion=motion)
