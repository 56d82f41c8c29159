"""A long recording: somebody does one action after the other, and between them what people do when nothing is asked.

A partner walks in for what takes two, and leaves again. Nobody jumps from one action to the next: all of it is one
path through keys. What is done between the actions bears no label, and some of it looks like the beginning of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pcm3.simulate.actions import ACTIONS, PAIR_ACTIONS, SOLO_ACTIONS
from pcm3.simulate.body import CHANNELS, Floats, Motion, Subject
from pcm3.simulate.pair import Role, choose_way, play
from pcm3.simulate.performance import FIDGETS, FPS, Manner, draw_posture, larger_or_smaller, swaying, timeline
from pcm3.simulate.script import FLARED, other_handed
from pcm3.simulate.track import Meeting, Track, joined, meet, placed, sampled
from pcm3.simulate.walking import walk

SETTLED = 0.45
"""Seconds that a change of posture takes at least."""
SIT_DOWN, STAND_UP = ACTIONS.index("sit down") + 1, ACTIONS.index("stand up") + 1
HAND_SPEED = 6.0
"""Metres a second against the shoulder, on the average from key to key."""
OFF_STAGE = 3.2
"""Metres to the side of the stage where no camera sees the partner."""


@dataclass(frozen=True)
class Labelled:
    """An action in a session."""

    start: int
    """Its first frame, from 0."""
    stop: int
    """The frame after its last."""
    action: int
    """Its number, from 1."""
    confidence: int
    """As annotators would give it: 1 or 2."""


@dataclass(frozen=True)
class Session:
    """What happened on the stage."""

    bodies: Floats
    """(T, M, 25, 3) metres: one, or two where a partner came."""
    there: tuple[tuple[int, int], ...]
    """For each body the frame in which it comes and the one in which it is gone."""
    labelled: tuple[Labelled, ...]
    """In their order; no two at once."""


@dataclass
class Person:
    """Somebody during a session: what he has done so far, and how and where he stands now."""

    subject: Subject
    manner: Callable[[int], Manner]
    """How he goes about the action of that number."""
    base: dict[str, Floats] = field(default_factory=dict)
    root: Floats = field(default_factory=lambda: np.zeros(3))
    tracks: list[Track] = field(default_factory=list)
    seated: bool = False

    def pose(self, rng: np.random.Generator) -> None:
        """His hands find another place to rest; his feet stay."""
        base = draw_posture(self.subject, rng, seated=self.seated)
        self.base = {
            name: self.base.get(name, value) if name.startswith("foot") else value for name, value in base.items()
        }

    def keys(self, *keys: tuple[float, dict[str, Floats]]) -> float:
        """He takes these postures at these times without leaving his place; the last time."""
        poses = {name: np.array([pose[name] for _, pose in keys]) for name in CHANNELS}
        self.tracks.append(Track(np.array([time for time, _ in keys]), poses, np.tile(self.root, (len(keys), 1))))
        return keys[-1][0]

    def does(self, track: Track) -> float:
        """He follows a track, turning the shorter way into its first key; the time of the last one."""
        rounds = np.round((self.root[2] - track.root[0, 2]) / (2 * np.pi)) * 2 * np.pi
        self.tracks.append(replace(track, root=track.root + np.array([0.0, 0.0, rounds])))
        self.root = self.tracks[-1].root[-1]
        return float(track.times[-1])


@dataclass
class Stage:
    """A session in the making."""

    main: Person
    partner: Person
    rng: np.random.Generator
    now: float = 0.0
    came: float = math.inf
    left: float = math.inf
    meetings: list[tuple[bool, Meeting]] = field(default_factory=list)
    """Meetings on the clock of the session, and whether the partner is the actor."""
    labelled: list[Labelled] = field(default_factory=list)

    def label(self, start: float, stop: float, action: int) -> None:
        """Notes an action between two times: from its first key to the return from it."""
        confidence = 2 if self.rng.random() < 0.9 else 1
        self.labelled.append(Labelled(round(start * FPS), round(stop * FPS), action, confidence))


def perform_session(main: Person, partner: Person, actions: Sequence[int], rng: np.random.Generator) -> Session:
    """A session with these actions, by number, in an order that they allow; 30 frames a second."""
    stage = Stage(main, partner, rng)
    order, main.seated = in_order(actions, rng)
    main.pose(rng)
    partner.pose(rng)
    for action in order:
        if ACTIONS[action - 1] in PAIR_ACTIONS:
            _together(stage, action)
        else:
            if stage.came < stage.now < stage.left:
                _leaves(stage)
            _alone(stage, action)
    _between(stage, None, None)
    return _recorded(stage)


def in_order(actions: Sequence[int], rng: np.random.Generator) -> tuple[list[int], bool]:
    """The actions so that one sits down, sits, stands up and stands, all for two in a row; and whether he sits first.

    Who has sat down does so again only after standing up: more of the one than that are left out.
    """
    sits, stands = (list(actions).count(action) for action in (SIT_DOWN, STAND_UP))
    seated_first = stands > sits
    parts: list[list[int]] = [[] for _ in range(2 * min(sits, stands) + (sits != stands) + 1)]
    seated = [part for number, part in enumerate(parts) if (number % 2 == 0) == seated_first]
    standing = [part for number, part in enumerate(parts) if (number % 2 == 0) != seated_first]
    pairs = []
    for action in rng.permutation(
        np.array([action for action in actions if action not in (SIT_DOWN, STAND_UP)], dtype=int)
    ):
        if ACTIONS[action - 1] in PAIR_ACTIONS:
            pairs.append(int(action))
            continue
        may_sit = seated and any(way.seatable for way in SOLO_ACTIONS[ACTIONS[action - 1]]) and rng.random() < 0.4
        where = seated if may_sit else standing
        where[int(rng.integers(len(where)))].append(int(action))
    block = standing[int(rng.integers(len(standing)))]
    block[(at := int(rng.integers(len(block) + 1))) : at] = pairs
    order = list(parts[0])
    for number, part in enumerate(parts[1:]):
        order += [STAND_UP if (number % 2 == 0) == seated_first else SIT_DOWN, *part]
    return order, seated_first


def _alone(stage: Stage, action: int) -> None:
    """The main person does a solo action."""
    person, rng, manner = stage.main, stage.rng, stage.main.manner(action)
    gets_up, before = action == STAND_UP, person.base
    ways = [way for way in SOLO_ACTIONS[ACTIONS[action - 1]] if way.seatable or gets_up or not person.seated]
    way = ways[int((manner.favourite if rng.random() < 0.7 else rng.random()) * len(ways))]
    way = other_handed(way) if person.subject.left_handed != (rng.random() < 0.1) else way
    if gets_up:
        person.seated = False
        person.pose(rng)
    base = person.base
    times, poses, travel = timeline(person.subject, way, manner, base, rng)
    poses = larger_or_smaller(person.subject, way.exact, manner, base, poses, rng)
    ahead = travel * person.subject.leg
    if gets_up:  # but not yet
        person.base, person.seated = before, True
    goal = None if person.seated else _start(person, ahead, rng)
    _between(stage, goal, None)
    person.base, person.seated = base, action == SIT_DOWN or (person.seated and not gets_up)
    start = person.root if goal is None else goal
    roots = start + ahead * np.array([-np.sin(start[2]), -np.cos(start[2]), 0.0])
    # He waits neither before nor after it, as one does who is recorded for this action alone.
    times = _humanly(times, poses, person.subject)
    times = stage.now + SETTLED + np.array([0.0, *(times[1:] - times[1] + 0.05)])
    stage.now = person.does(Track(times[:-1], {name: values[:-1] for name, values in poses.items()}, roots[:-1]))
    stage.label(times[1], stage.now, action)
    if action == SIT_DOWN:
        person.pose(rng)


def _start(person: Person, ahead: Floats, rng: np.random.Generator) -> Floats:
    """The root (3,) at which he begins to go `ahead` (K, 1) so that its middle is near that of the stage."""
    goes = np.ptp(ahead) > 0.4
    heading = rng.normal(0, 0.35) + (float(rng.choice([-1.2, 0.0, 1.2])) if goes else 0.0)
    middle = rng.normal(0, 0.25, 2)
    if not goes and np.hypot(*person.root[:2]) < 0.6 and rng.random() < 0.6:
        middle = person.root[:2]  # he need not go anywhere
    x, z = middle + ahead[-1, 0] / 2 * np.array([np.sin(heading), np.cos(heading)])
    return np.array([x, z, heading])


def _humanly(times: Floats, poses: Motion, subject: Subject) -> Floats:
    """The times (K,) of keys with as much between them as it takes the hands to go from one to the next."""
    ways = [np.linalg.norm(np.diff(poses[hand], axis=0), axis=1) * subject.arm for hand in ("hand", "hand2")]
    steps = np.maximum(np.diff(times), np.maximum(*ways) / HAND_SPEED)
    later: Floats = times[0] + np.array([0.0, *np.cumsum(steps)])
    return later


def _together(stage: Stage, action: int) -> None:
    """Both do something with each other; if the partner is not there yet, he comes first."""
    rng, people = stage.rng, [stage.main, stage.partner]
    partner_acts = bool(rng.random() < 0.5)
    acting = people[::-1] if partner_acts else people
    manners = [person.manner(action) for person in acting]
    way = choose_way(PAIR_ACTIONS[ACTIONS[action - 1]], acting[0].subject, manners[0], rng)
    roles = [Role(person.subject, manner, person.base) for person, manner in zip(acting, manners, strict=True)]
    tracks, meeting = play(way, (roles[0], roles[1]), rng)
    if stage.came > stage.now:
        side = float(rng.choice([-1.0, 1.0]))
        stage.came = stage.now
        stage.partner.root = np.array([side * OFF_STAGE, rng.normal(0, 0.3), side * np.pi / 2])
    starts = [track.root[0] for track in (tracks[::-1] if partner_acts else tracks)]
    scene = _scene(starts, [person.root for person in people], abs(way.beside) > abs(way.apart), rng)
    tracks = (placed(tracks[0], scene), placed(tracks[1], scene))
    goals = [track.root[0] for track in (tracks[::-1] if partner_acts else tracks)]
    _between(stage, goals[0], goals[1])
    began = stage.now + SETTLED
    for person, track in zip(acting, tracks, strict=True):
        stage.now = max(stage.now, person.does(replace(track, times=track.times + began)))
    stage.meetings.append((partner_acts, replace(meeting, windows=meeting.windows + began)))
    stage.label(began + tracks[0].times[1], began + tracks[0].times[-2], action)


def _scene(starts: list[Floats], roots: list[Floats], abreast: bool, rng: np.random.Generator) -> Floats:
    """Where to put the origin (3,) of a scene that begins at `starts`, so that nobody has far to go from `roots`.

    Those who stand side by side look to the middle camera, others stand across its view.
    """
    middle = (starts[0][:2] + starts[1][:2]) / 2
    at, scenes = rng.normal(0, 0.15, 2), []
    for heading in ((0.0,) if abreast else (np.pi / 2, -np.pi / 2)) + rng.normal(0, 0.2, 1 if abreast else 2):
        turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
        scene = np.array([*(at - turn @ middle), heading])
        paths = [turn @ start[:2] + scene[:2] - root[:2] for start, root in zip(starts, roots, strict=True)]
        scenes.append((float(np.linalg.norm(paths, axis=1).sum()), list(scene)))
    return np.array(min(scenes)[1])


def _leaves(stage: Stage) -> None:
    """The partner goes off the stage."""
    side = float(np.sign(stage.partner.root[0] - stage.main.root[0])) or 1.0
    _between(stage, None, np.array([side * OFF_STAGE, stage.rng.normal(0, 0.3), -side * np.pi / 2]))
    stage.left = stage.now


def _between(stage: Stage, main: Floats | None, partner: Floats | None) -> None:
    """What is done unlabelled, one to four seconds or until both are at their goals (3,); None: where they are."""
    rng = stage.rng
    there = [(stage.main, main)]
    if stage.came <= stage.now < stage.left:
        there.append((stage.partner, partner))
    ends = []
    for person, goal in there:
        settled = person.keys((stage.now, person.base), (stage.now + rng.uniform(SETTLED, 0.6), person.base))
        if rng.random() < 0.3 * person.subject.restless:
            settled = _fidgets(person, settled, rng)
        if rng.random() < 0.25:
            person.pose(rng)
            settled = person.keys((settled + rng.uniform(SETTLED, 0.9), person.base))
        if goal is not None:
            pace = 0.42 * person.subject.tempo * rng.uniform(0.85, 1.15)
            way = walk(person.subject, person.base, person.root, goal, pace, settled)
            settled = settled if way is None else person.does(way)
        ends.append(settled)
    now = max(stage.now + rng.uniform(0.3, 3.0), *(end + 0.1 for end in ends), 0.0)
    for person, _ in there:
        person.keys((now, person.base))
    stage.now = now


def _fidgets(person: Person, began: float, rng: np.random.Generator) -> float:
    """A hand goes somewhere and back: to scratch, or on its way to an action that is not done; when it is back."""
    mark = ("", "2")[int(rng.integers(2))]
    if rng.random() < 0.5:
        somewhere = dict(FIDGETS[int(rng.integers(len(FIDGETS)))])
    else:
        out, up, forward = rng.uniform((-0.2, -0.5, 0.25), (0.4, 0.4, 0.65))
        somewhere = {"hand": (out, up, forward), "elbow": FLARED}
    there = {**person.base, **{name + mark: np.array(value, dtype=np.float64) for name, value in somewhere.items()}}
    reached = began + rng.uniform(0.45, 0.8)
    stayed = reached + rng.uniform(0.1, 0.8)
    return person.keys((reached, there), (stayed, there), (stayed + rng.uniform(0.5, 0.8), person.base))


def _recorded(stage: Stage) -> Session:
    """The session at 30 frames a second."""
    at = np.arange(round(stage.now * FPS)) / FPS
    people = [stage.main, stage.partner] if stage.meetings else [stage.main]
    actors = []
    for person in people:
        still = sampled(person.subject, joined(person.tracks), at)
        actors.append(replace(still, motion=swaying(person.subject, still.motion, at, stage.rng)))
    for partner_acts, meeting in stage.meetings:
        first, second = (1, 0) if partner_acts else (0, 1)
        actors[first], actors[second] = meet((actors[first], actors[second]), meeting, at)
    there = [(0, len(at)), (round(min(stage.came, 1e6) * FPS), min(round(min(stage.left, 1e6) * FPS), len(at)))]
    return Session(
        np.stack([actor.joints() for actor in actors], axis=1), tuple(there[: len(actors)]), tuple(stage.labelled)
    )
