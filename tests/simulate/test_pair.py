"""Two people of the simulator: what they do with each other, and what a camera makes of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from simulated_files import BONES, digests, parse

from pcm3.data.readers import ntu
from pcm3.simulate import ACTIONS, simulate, subject_of
from pcm3.simulate.actions import PAIR_ACTIONS, SOLO_ACTIONS
from pcm3.simulate.body import JOINT, KINECT
from pcm3.simulate.camera import Camera, camera_coordinates, record, record_pair
from pcm3.simulate.pair import Role, perform_together, play
from pcm3.simulate.performance import LONGEST, SHORTEST, draw_manner, draw_posture
from pcm3.simulate.random_streams import partner_of, splits_of
from pcm3.simulate.script import PairWay, other_handed, other_handed_pair
from pcm3.simulate.track import meet, sampled

WAYS = [(name, number) for name, ways in PAIR_ACTIONS.items() for number in range(len(ways))]
TOUCHING = [(name, number) for name, number in WAYS if PAIR_ACTIONS[name][number].contacts and name != "punch other"]
FLIGHT = 15.0
"""Metres a second: the hand of a good boxer makes ten."""


def performance(name: str, number: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng([seed, number])
    people = (subject_of(seed, 1), subject_of(seed, 2))
    return perform_together(people, (PAIR_ACTIONS[name][number],), (draw_manner(rng), draw_manner(rng)), rng)


def played(way: PairWay, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Times (T,), joints (T, 2, 25, 3) before anybody sways, and the windows in which they touch."""
    rng = np.random.default_rng(seed)
    people = [subject_of(seed, number) for number in (1, 2)]
    roles = [Role(person, draw_manner(rng), draw_posture(person, rng, seated=False)) for person in people]
    tracks, meeting = play(way, (roles[0], roles[1]), rng)
    at = np.arange(0.0, tracks[0].times[-1], 1 / 60)
    one, two = (sampled(person, track, at) for person, track in zip(people, tracks, strict=True))
    pair = meet((one, two), meeting, at)
    return at, np.stack([actor.joints() for actor in pair], axis=1), meeting.windows


def apart(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres over the floor between the two (T,)."""
    between = joints[:, 0, JOINT["spine_base"]] - joints[:, 1, JOINT["spine_base"]]
    return np.hypot(between[:, 0], between[:, 2])


def body_joint(name: str) -> int:
    return JOINT[name] if name in JOINT else JOINT[("left_" if name.endswith("2") else "right_") + name.rstrip("2")]


@pytest.mark.parametrize(("name", "number"), WAYS)
def test_both_keep_their_bones_stay_above_the_floor_and_move_as_people_can(name: str, number: int) -> None:
    joints = performance(name, number)
    assert SHORTEST <= len(joints) <= LONGEST
    for joint, parent in BONES:
        length = np.linalg.norm(joints[:, :, joint] - joints[:, :, parent], axis=-1)
        assert np.ptp(length, axis=0).max() < 1e-6, KINECT.joints[joint]
    assert joints[..., 1].min() > -0.02
    assert joints[:, :, [JOINT["left_ankle"], JOINT["right_ankle"]], 1].min(axis=2).max() < 0.25
    assert np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() * 30 < FLIGHT
    assert np.ptp(joints, axis=0).max(axis=(1, 2)).min() > 0.04
    assert np.ptp(joints, axis=0).max() > 0.3


@settings(max_examples=25, deadline=None)
@given(which=st.sampled_from(TOUCHING), seed=st.integers(0, 10**6), mirror=st.booleans())
@example(which=("high five", 1), seed=62, mirror=False)  # his elbow swings far, which takes the hand longer
def test_hands_meet_whatever_the_two_heights(which: tuple[str, int], seed: int, mirror: bool) -> None:
    way = PAIR_ACTIONS[which[0]][which[1]]
    way = other_handed_pair(way) if mirror else way
    at, joints, windows = played(way, seed)
    for _, on, off, _ in windows:
        held = (at >= on) & (at <= off) if off - on > 0.05 else np.abs(at - on) == np.abs(at - on).min()
        for contact in way.contacts:
            hand = joints[held, contact.by, body_joint(contact.hand)]
            other = joints[held, 1 - contact.by, body_joint(contact.joint)]
            most = 0.03 if contact.meets else 0.12 + np.linalg.norm(contact.beside)
            assert np.linalg.norm(hand - other, axis=1).max() < most


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_who_is_pushed_gives_way_after_the_push_and_not_before(number: int, seed: int) -> None:
    at, joints, windows = played(PAIR_ACTIONS["push other"][number], seed)
    reactor = joints[:, 1, JOINT["spine_base"]]
    touched = int(np.argmin(np.abs(at - windows[0, 1])))
    moved = np.linalg.norm((reactor - reactor[0])[:, [0, 2]], axis=1)
    assert moved[: touched - 3].max() < 0.08
    assert moved[-1] > 0.1


def test_some_come_together_and_others_part() -> None:
    for number, seed in ((0, 0), (1, 1), (2, 2)):
        towards, away = (apart(performance(name, number, seed)) for name in ("walk towards", "walk apart"))
        assert towards[0] - towards[-1] > 1.0
        assert away[-1] - away[0] > 0.7
        assert apart(performance("hug", number, seed)).min() < 0.55


def test_who_face_each_other_do() -> None:
    _, joints, windows = played(PAIR_ACTIONS["shake hands"][0], 3)
    frame = int(windows[0, 1] * 60)
    for body in (0, 1):
        across = joints[frame, body, JOINT["right_shoulder"]] - joints[frame, body, JOINT["left_shoulder"]]
        to_the_other = joints[frame, 1 - body, JOINT["neck"]] - joints[frame, body, JOINT["neck"]]
        assert np.cross([0.0, 1.0, 0.0], across)[[0, 2]] @ to_the_other[[0, 2]] > 0


def test_other_hand_of_the_other_hand_is_the_first() -> None:
    for pair_ways in PAIR_ACTIONS.values():
        for way in pair_ways:
            assert other_handed_pair(other_handed_pair(way)) == way
            assert other_handed_pair(way) != way or not way.contacts
    for ways in SOLO_ACTIONS.values():
        for way in ways:
            assert other_handed(other_handed(way)) == dataclasses.replace(way)


@settings(max_examples=50, deadline=None)
@given(subject=st.integers(1, 990), seed=st.integers(0, 100))
def test_partner_is_somebody_else_on_the_same_side_of_every_subject_split(subject: int, seed: int) -> None:
    partner = partner_of(subject, np.random.default_rng(seed))
    assert 1 <= partner <= 1000
    assert partner != subject
    assert splits_of(partner) == splits_of(subject)
    assert (partner in ntu.TRAIN_SUBJECTS_60) == (subject in ntu.TRAIN_SUBJECTS_60)
    assert (partner in ntu.TRAIN_SUBJECTS_120) == (subject in ntu.TRAIN_SUBJECTS_120)


def test_who_stands_before_the_other_hides_him() -> None:
    joints = performance("shake hands", 0)
    behind = camera_coordinates(Camera(angle=0.0, distance=3.0, height=1.2), joints)
    order = np.argsort(behind[:, :, JOINT["spine_mid"], 2].mean(axis=0))
    near, far = (behind[:, int(body)] for body in order)
    clear = record(far, np.random.default_rng(0))[1]
    hidden = record(far, np.random.default_rng(0), near)[1]
    assert (hidden == 2).mean() < 0.7 * (clear == 2).mean()
    alone = record(near, np.random.default_rng(0))
    assert np.array_equal(alone[0], record(near, np.random.default_rng(0), far)[0])


def test_lost_body_comes_back_with_a_new_number() -> None:
    bodies = camera_coordinates(Camera(angle=np.pi / 2, distance=3.0, height=1.2), performance("hug", 1))
    swaps = 0
    for seed in range(40):
        frames, ids, states = record_pair(bodies, np.random.default_rng(seed))
        assert len(set(ids)) == 3
        assert states.shape == frames.shape[:3] == (len(bodies), 3, 25)
        there = np.any(frames != 0, axis=(2, 3))
        assert there.sum(axis=1).max() <= 2
        if there[:, 2].any():
            swaps += 1
            back = int(np.argmax(there[:, 2]))
            old = int(np.argmin(there[back, :2]))
            assert not there[back:, old].any()
    assert 2 <= swaps <= 38


def test_files_hold_two_bodies_and_depend_on_nothing_but_their_name(tmp_path: Path) -> None:
    simulate(tmp_path / "few", subjects=1, repetitions=1, cameras=1, actions=30)
    simulate(tmp_path / "more", subjects=1, repetitions=1, cameras=1)
    few = digests(tmp_path / "few")
    few.pop("classes.txt")
    assert len(few) == 30
    assert few.items() <= digests(tmp_path / "more").items()
    first = len(SOLO_ACTIONS) + 1
    left = []
    for path in sorted((tmp_path / "more").glob("*.skeleton")):
        action = int(path.name[17:20])
        if action < first:
            continue
        frames = parse(path.read_bytes().decode("ascii"))
        bodies = [len(frame) for frame in frames]
        assert max(bodies) == 2, ACTIONS[action - 1]
        assert bodies.count(2) > 0.5 * len(frames)
        one, two = ([joint[0] for joint in frame] for frame in next(f for f in frames if len(f) == 2).values())
        left.append(np.mean(one) < np.mean(two))
    assert 0.15 < np.mean(left) < 0.85
