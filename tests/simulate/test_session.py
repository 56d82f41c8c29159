"""Untrimmed sessions of the simulator: continuous, labelled where actions are, in PKU-MMD's raw format."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from simulated_files import BONES, digests

from pcm3.data.readers.ntu import TRAIN_SUBJECTS_60
from pcm3.data.readers.pku_mmd import index_1
from pcm3.data.recording import TEST, TRAIN
from pcm3.data.source_index import Options
from pcm3.errors import DataError
from pcm3.simulate import ACTIONS, simulate_sessions
from pcm3.simulate.actions import PAIR_ACTIONS, SOLO_ACTIONS
from pcm3.simulate.body import JOINT, joints_of
from pcm3.simulate.camera import Camera, draw_cameras
from pcm3.simulate.performance import draw_posture
from pcm3.simulate.pku_files import LABELS, SKELETONS, SPLITS, _in_slots, film, label_text, skeleton_text
from pcm3.simulate.random_streams import manner_of, random, subject_of
from pcm3.simulate.session import SIT_DOWN, STAND_UP, Person, Session, in_order, perform_session
from pcm3.simulate.track import on_stage, sampled
from pcm3.simulate.walking import walk

HUG, WALK, JUMP = (ACTIONS.index(name) + 1 for name in ("hug", "walk", "jump"))


def session(actions: list[int], seed: int = 0) -> Session:
    main, partner = (Person(subject_of(seed, who), partial(manner_of, seed, who)) for who in (1, 2))
    return perform_session(main, partner, actions, random(seed, 99))


@pytest.fixture(scope="module")
def long_one() -> Session:
    return session([SIT_DOWN, STAND_UP, WALK, JUMP, 1, 2, 4, 13, *range(29, 41)], seed=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pku") / "raw"
    simulate_sessions(path, sessions=2, subjects=3, seed=1)
    return path


def test_bones_stay_nobody_sinks_and_nothing_jumps(long_one: Session) -> None:
    bodies = long_one.bodies
    for joint, parent in BONES:
        assert np.ptp(np.linalg.norm(bodies[:, :, joint] - bodies[:, :, parent], axis=-1), axis=0).max() < 1e-6
    assert bodies[..., 1].min() > -0.02
    speed = np.linalg.norm(np.diff(bodies, axis=0), axis=-1) * 30
    assert speed.max() < 16
    assert speed[:, :, JOINT["spine_base"]].max() < 5


def test_labels_are_in_order_and_never_two_at_once(long_one: Session) -> None:
    times = [time for one in long_one.labelled for time in (one.start, one.stop)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= len(long_one.bodies)
    assert all(one.stop - one.start > 10 for one in long_one.labelled)
    gaps = np.subtract(times[2::2], times[1:-2:2])
    assert gaps.min() > 15
    assert 60 < np.median(gaps) < 200
    assert {one.confidence for one in long_one.labelled} <= {1, 2}


def test_actions_are_where_the_labels_say(long_one: Session) -> None:
    by_action = {one.action: one for one in long_one.labelled}
    hips = long_one.bodies[:, 0, JOINT["spine_base"], 1]
    sat, stood = by_action[SIT_DOWN], by_action[STAND_UP]
    standing = hips[by_action[WALK].start]
    assert hips[sat.start] > 0.9 * standing
    assert hips[sat.stop : stood.start].max() < 0.75 * standing
    assert hips[stood.stop] > 0.9 * standing
    between = long_one.bodies[:, 0] - long_one.bodies[:, 1]
    hug = by_action[HUG]
    apart = np.hypot(*between[hug.start : hug.stop, JOINT["spine_base"]][:, [0, 2]].T)
    assert apart.min() < 0.6


@pytest.mark.parametrize("seed", range(5))
def test_who_has_sat_down_stays_seated_until_he_gets_up(seed: int) -> None:
    several = session([SIT_DOWN, 1, 2, 13, STAND_UP, SIT_DOWN, STAND_UP, 19, 20], seed=seed)
    hips = several.bodies[:, 0, JOINT["spine_base"], 1]
    seated, since = False, 0
    for one in several.labelled:
        between = hips[since : one.start] / hips[0]
        assert between.max() < 0.75 if seated else between.min() > 0.9
        seated, since = one.action == SIT_DOWN or (seated and one.action != STAND_UP), one.stop


def test_partner_is_there_for_what_takes_two_and_comes_and_goes_on_foot(long_one: Session) -> None:
    came, left = long_one.there[1]
    pairs = [one for one in long_one.labelled if ACTIONS[one.action - 1] in PAIR_ACTIONS]
    assert len(pairs) == 12
    assert all(came <= one.start and one.stop <= left for one in pairs)
    way = long_one.bodies[came, 1, JOINT["spine_base"]]
    assert abs(way[0]) > 2.5
    assert session([1, 2]).bodies.shape[1] == 1


def test_session_of_interactions_only_and_of_one_action() -> None:
    assert len(session(list(range(len(SOLO_ACTIONS) + 1, len(ACTIONS) + 1)), seed=3).labelled) == len(PAIR_ACTIONS)
    only = session([STAND_UP], seed=4)
    hips = only.bodies[:, 0, JOINT["spine_base"], 1]
    assert hips[0] < 0.75 * hips[-1]


@settings(max_examples=50, deadline=None)
@given(actions=st.lists(st.integers(1, len(ACTIONS)), max_size=20), seed=st.integers(0, 100))
def test_order_lets_one_sit_only_when_standing_and_has_the_pairs_together(actions: list[int], seed: int) -> None:
    order, seated = in_order(actions, np.random.default_rng(seed))
    others = [one for one in actions if one not in (SIT_DOWN, STAND_UP)]
    assert sorted(one for one in order if one not in (SIT_DOWN, STAND_UP)) == sorted(others)
    for what in (SIT_DOWN, STAND_UP):
        assert min(actions.count(what), 1) <= order.count(what) <= actions.count(what)
    for action in order:
        name = ACTIONS[action - 1]
        if action in (SIT_DOWN, STAND_UP):
            assert seated == (action == STAND_UP)
            seated = action == SIT_DOWN
        elif seated:
            assert any(way.seatable for way in SOLO_ACTIONS[name])
    pairs = [number for number, action in enumerate(order) if ACTIONS[action - 1] in PAIR_ACTIONS]
    assert pairs == list(range(pairs[0], pairs[0] + len(pairs))) if pairs else True


@settings(max_examples=30, deadline=None)
@given(
    start=st.tuples(*[st.floats(-1.5, 1.5)] * 2, st.floats(-7, 7)),
    goal=st.tuples(*[st.floats(-1.5, 1.5)] * 2, st.floats(-7, 7)),
    number=st.integers(1, 20),
)
def test_who_walks_arrives_and_one_foot_mostly_stays_where_it_was_put(
    start: tuple[float, float, float], goal: tuple[float, float, float], number: int
) -> None:
    person = subject_of(0, number)
    base = draw_posture(person, np.random.default_rng(number), seated=False)
    base["foot"] = base["foot2"] = np.zeros(3)
    track = walk(person, base, np.array(start), np.array(goal), 0.5, 1.0)
    if track is None:
        assert np.hypot(start[0] - goal[0], start[1] - goal[1]) < 0.05
        return
    assert np.allclose(track.root[-1, :2], goal[:2])
    assert np.cos(track.root[-1, 2] - goal[2]) == pytest.approx(1.0)
    assert (np.diff(track.times) > 0.2).all()
    at = np.arange(1.0, track.times[-1], 1 / 30)
    actor = sampled(person, track, at)
    ankles = on_stage(joints_of(person, actor.motion), actor.root)[:, [JOINT["left_ankle"], JOINT["right_ankle"]]]
    speed = np.linalg.norm(np.diff(ankles, axis=0), axis=-1) * 30
    turning = np.abs(np.diff(actor.root[:, 2])) * 30 * (person.stance + 0.3)
    assert speed.min(axis=1).mean() < 0.25 + turning.mean()
    assert speed.min(axis=1).max() < 1.0 + turning.max()


def test_text_is_150_numbers_of_six_decimals_a_line() -> None:
    frames = np.random.default_rng(0).normal(0, 2.0, (5, 2, 25, 3))
    frames[3], frames[2, 1] = 0.0, 0.0
    lines = skeleton_text(frames).decode("ascii").splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r"-?\d+\.\d{6}( -?\d+\.\d{6}){149}", line) for line in lines)
    numbers = np.array([line.split(" ") for line in lines], dtype=np.float64)
    assert np.abs(numbers.reshape(frames.shape) - frames).max() < 5.1e-7
    assert (numbers[3] == 0).all()


@settings(max_examples=50, deadline=None)
@given(data=st.data(), frames=st.integers(1, 12), bodies=st.integers(1, 2))
def test_first_place_is_for_who_has_been_there_longer(data: st.DataObject, frames: int, bodies: int) -> None:
    marks = data.draw(st.lists(st.booleans(), min_size=frames * bodies, max_size=frames * bodies))
    present = np.array(marks).reshape(frames, bodies)
    seen = np.arange(1.0, bodies + 1)[None, :, None, None] * np.ones((frames, bodies, 25, 3))
    slots = _in_slots(seen, present)[:, :, 0, 0]
    waiting: list[int] = []
    for frame in range(frames):
        waiting = [body for body in waiting if present[frame, body]]
        waiting += [body for body in range(bodies) if present[frame, body] and body not in waiting]
        assert list(slots[frame]) == [*(body + 1.0 for body in waiting), 0.0, 0.0][:2]


def test_cameras_lose_bodies_and_frames_now_and_then(long_one: Session) -> None:
    camera = draw_cameras(np.random.default_rng(0), 1)[0]
    frames = film(long_one, camera, np.random.default_rng(0))
    assert frames.shape == (len(long_one.bodies), 2, 25, 3)
    there: NDArray[np.bool_] = np.any(frames != 0, axis=(2, 3))
    assert there[:, 0].mean() > 0.9
    assert any((~there[1:] & there[:-1])[:, slot].any() for slot in (0, 1))
    assert not (there[:, 1] & ~there[:, 0]).any()
    assert np.isfinite(frames).all()
    nearby = film(long_one, Camera(0.0, 1.0, 1.2), np.random.default_rng(0))  # some walk behind it
    assert np.isfinite(nearby).all()
    assert np.abs(nearby).max() < 10


def test_folder_is_read_by_the_reader_of_the_genuine_one(folder: Path) -> None:
    index = index_1(folder, Options())
    assert index.classes == ACTIONS
    assert index.kind == "pkummd-format"
    assert not index.skipped
    assert not index.unusable
    assert set(index.protocols or {}) == {"xsub", "xview"}
    assert [clip.id for clip in index.clips] == [f"000{n}-{view}" for n in (1, 2) for view in "LMR"]
    for clip in index.clips:
        recording = clip.read()
        assert recording.intervals is not None
        assert 1200 < len(recording.frames) < 5000
        assert 9 <= len(recording.intervals) <= 13
        assert 0.2 < sum(one.stop - one.start for one in recording.intervals) / len(recording.frames) < 0.7
        assert recording.splits["xsub"] == TRAIN
        assert recording.splits["xview"] == (TEST if clip.id.endswith("L") else TRAIN)


def test_sides_are_those_of_the_subjects_who_take_turns(tmp_path: Path) -> None:
    simulate_sessions(tmp_path / "new", sessions=3, subjects=2, actions=2)
    for clip in index_1(tmp_path / "new", Options()).clips:
        subject = (int(clip.id[:4]) - 1) % 2 + 1
        assert clip.read().splits["xsub"] == (TRAIN if subject in TRAIN_SUBJECTS_60 else TEST)


def test_three_cameras_see_one_session(folder: Path) -> None:
    labels = [(folder / LABELS / f"0002-{view}.txt").read_text() for view in "LMR"]
    assert len(set(labels)) == 1
    assert all(re.fullmatch(r"\d+,\d+,\d+,[12]", line) for line in labels[0].splitlines())
    lengths = {len((folder / SKELETONS / f"0002-{view}.txt").read_bytes().splitlines()) for view in "LMR"}
    assert len(lengths) == 1
    assert len({(folder / SKELETONS / f"0002-{view}.txt").read_bytes() for view in "LMR"}) == 3
    assert {path.name for path in (folder / SPLITS).iterdir()} == {"cross-subject.txt", "cross-view.txt"}


def test_same_seed_gives_same_bytes_and_more_sessions_leave_the_first(tmp_path: Path, folder: Path) -> None:
    simulate_sessions(tmp_path / "few", sessions=1, subjects=3, seed=1)
    simulate_sessions(tmp_path / "other", sessions=1, subjects=3, seed=2)
    for name in (SKELETONS, LABELS):
        few, other = digests(tmp_path / "few" / name), digests(tmp_path / "other" / name)
        assert few.items() <= digests(folder / name).items()
        assert not few.items() & other.items()


def test_labels_name_actions_from_1(long_one: Session) -> None:
    first = long_one.labelled[0]
    assert label_text(long_one).startswith(f"{first.action},{first.start},{first.stop},{first.confidence}\n")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sessions": 0}, "sessions"),
        ({"subjects": 0}, "subjects"),
        ({"actions": 99}, "actions"),
        ({"seed": -1}, "seed"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        simulate_sessions(tmp_path / "new", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="empty folder"):
        simulate_sessions(tmp_path)


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    simulate_sessions(tmp_path / "new", sessions=1, actions=3, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert (tmp_path / "new" / "classes.txt").read_text().splitlines() == list(ACTIONS[:3])
