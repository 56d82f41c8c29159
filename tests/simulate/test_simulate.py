from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from simulated_files import BONES, digests, parse

from pcm3.errors import DataError
from pcm3.simulate import ACTIONS, _performance, _recording, simulate, skeleton_bytes, subject_of
from pcm3.simulate.actions import PAIR_ACTIONS, SOLO_ACTIONS
from pcm3.simulate.body import JOINT, KINECT, mirrored
from pcm3.simulate.camera import Camera, camera_coordinates, draw_cameras, record
from pcm3.simulate.performance import LONGEST, SHORTEST, draw_manner, perform, smooth_path
from pcm3.simulate.random_streams import RECORDING, SETUP, random

NAME = re.compile(r"S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}\.skeleton")


def performances(seed: int = 0, subject: int = 1) -> dict[str, NDArray[np.float64]]:
    person = subject_of(seed, subject)
    result = {}
    for number, (name, ways) in enumerate(SOLO_ACTIONS.items()):
        for which, way in enumerate(ways):
            rng = np.random.default_rng([seed, subject, number, which])
            result[f"{name} {which}"] = perform(person, (way,), draw_manner(rng), rng)
    return result


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, subjects=1, repetitions=1)
    return folder


def test_same_seed_gives_same_bytes_and_other_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        simulate(tmp_path / name, subjects=1, repetitions=1, actions=3, seed=seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    one, other = digests(tmp_path / "one"), digests(tmp_path / "other")
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] == other[name]} == {"classes.txt"}


def test_asking_for_more_leaves_the_earlier_files_as_they_were(tmp_path: Path) -> None:
    simulate(tmp_path / "few", subjects=1, repetitions=1, cameras=1, actions=2)
    simulate(tmp_path / "more", subjects=2, repetitions=2, cameras=2, actions=3)
    few, more = digests(tmp_path / "few"), digests(tmp_path / "more")
    few.pop("classes.txt")
    assert len(few) == 2
    assert few.items() <= more.items()
    assert len(set(more.values())) == len(more)


@pytest.mark.parametrize(
    ("name", "frames", "head"),
    [
        ("S001C001P001R001A001", 160, (0.1627, 0.6263, 2.8230)),
        ("S001C002P001R002A007", 147, (-0.0302, 0.6217, 2.8824)),
        ("S001C003P002R001A012", 160, (0.0676, 0.8287, 2.7365)),
        ("S001C001P002R002A020", 98, (-0.0083, 0.8369, 2.9137)),
    ],
)
def test_first_actions_are_as_they_were_in_the_first_release(
    name: str, frames: int, head: tuple[float, float, float]
) -> None:
    setup, camera, subject, repetition, action = (int(name[at : at + 3]) for at in (1, 5, 9, 13, 17))
    bodies = _performance(0, subject, action, repetition)
    place = draw_cameras(random(0, SETUP, setup), camera)[camera - 1]
    seen = _recording(bodies, place, random(0, RECORDING, subject, action, repetition, camera))[0]
    assert len(seen) == frames
    assert np.allclose(seen[20, 0, JOINT["head"]], head, atol=1e-4)


def test_files_have_genuine_names_and_classes_are_listed(small: Path) -> None:
    files = sorted(path.name for path in small.iterdir() if path.name != "classes.txt")
    assert len(files) == 3 * len(ACTIONS)
    assert all(NAME.fullmatch(name) for name in files)
    assert (small / "classes.txt").read_text(encoding="utf-8").splitlines() == list(ACTIONS)
    assert len(ACTIONS) == len(set(ACTIONS)) >= 34
    assert len(PAIR_ACTIONS) >= 10
    assert {int(name[17:20]) for name in files} == set(range(1, len(ACTIONS) + 1))


def test_files_parse_line_by_line(small: Path) -> None:
    for path in sorted(small.glob("S001C00[12]*.skeleton"))[::3]:
        frames = parse(path.read_bytes().decode("ascii"))
        assert SHORTEST <= len(frames) <= LONGEST
        bodies = [body for frame in frames for body in frame.values()]
        assert len(bodies) > 0.8 * len(frames)
        numbers = np.array(bodies)
        assert numbers.shape[1:] == (25, 12)
        assert np.isfinite(numbers[..., :3]).all()
        assert set(np.unique(numbers[..., 11])) <= {0.0, 1.0, 2.0}
        assert 1.0 < np.median(numbers[..., 2]) < 5.0
        # The pixels are where a Kinect's depth camera sees the joint.
        seen = np.isfinite(numbers[..., 3])
        assert np.allclose(numbers[seen][:, 3], 256.2 + 366 * numbers[seen][:, 0] / numbers[seen][:, 2], atol=1e-3)


def test_writer_keeps_the_numbers_and_leaves_out_absent_bodies() -> None:
    rng = np.random.default_rng(0)
    frames = rng.normal(0, 1.0, (4, 2, 25, 3))
    frames[0, 0, 0] = [-1e-9, 0.999999999, -1.23456789]
    frames[1] = 0.0
    frames[2, 0] = 0.0
    tracking = rng.integers(0, 3, (4, 2, 25))
    parsed = parse(skeleton_bytes(frames, (11, 22), tracking).decode("ascii"))
    assert [list(frame) for frame in parsed] == [[11, 22], [], [22], [11, 22]]
    for t, frame in enumerate(parsed):
        for body, rows in frame.items():
            m = (11, 22).index(body)
            assert np.abs(np.array(rows)[:, :3] - frames[t, m]).max() < 5.1e-8
            assert np.array_equal(np.array(rows)[:, 11], tracking[t, m])
            assert np.isnan(np.array(rows)[tracking[t, m] == 0, 3:7]).all()


def test_writer_refuses_what_no_kinect_reports() -> None:
    states = np.full((1, 1, 25), 2)
    with pytest.raises(DataError, match="less than 10 m"):
        skeleton_bytes(np.full((1, 1, 25, 3), 10.0), (1,), states)
    with pytest.raises(DataError, match="less than 10 m"):
        skeleton_bytes(np.full((1, 1, 25, 3), np.nan), (1,), states)
    with pytest.raises(DataError, match=r"expected frames \(T, M, 25, 3\)"):
        skeleton_bytes(np.zeros((1, 1, 20, 3)), (1,), states)


@pytest.mark.parametrize("subject", [1, 2])
def test_bones_keep_their_length_and_both_sides_are_equal(subject: int) -> None:
    everything = np.concatenate(list(performances(subject=subject).values()))
    for joint, parent in BONES:
        length = np.linalg.norm(everything[:, joint] - everything[:, parent], axis=-1)
        assert np.ptp(length) < 1e-6, KINECT.joints[joint]
        other = np.linalg.norm(everything[0, KINECT.mirrored[joint]] - everything[0, KINECT.mirrored[parent]])
        assert other == pytest.approx(length[0])


def test_nobody_sinks_into_the_floor_or_out_of_human_shape() -> None:
    for name, joints in performances().items():
        assert joints[..., 1].min() > -0.02, name
        ankles = joints[:, [JOINT["left_ankle"], JOINT["right_ankle"]], 1]
        if not name.startswith("jump"):
            assert ankles.min(axis=1).max() < 0.25, name  # one foot is always near the floor
        # Knees bend forwards, towards -z, whatever the action: hip, knee, ankle turn one way.
        for side in ("left", "right"):
            hip, knee, ankle = (joints[:, JOINT[f"{side}_{part}"]] for part in ("hip", "knee", "ankle"))
            bend = np.cross(knee - hip, ankle - knee)[:, 0]
            assert bend.max() < 0.01, f"{name} {side}"


def test_every_action_moves() -> None:
    for name, joints in performances().items():
        assert np.ptp(joints, axis=0).max() > 0.2, name


def test_left_hander_is_the_mirror_image() -> None:
    right = dataclasses.replace(subject_of(0, 1), left_handed=False)
    left = dataclasses.replace(right, left_handed=True)
    for ways in list(SOLO_ACTIONS.values())[::4]:
        manner = draw_manner(np.random.default_rng(1))
        one = perform(right, ways, manner, np.random.default_rng(2))
        two = perform(left, ways, manner, np.random.default_rng(2))
        assert np.array_equal(mirrored(one), two)
        assert np.array_equal(mirrored(mirrored(one)), one)


def test_people_differ_and_some_are_left_handed() -> None:
    people = [subject_of(0, number) for number in range(1, 41)]
    assert len({person.tempo for person in people}) == 40
    assert 2 <= sum(person.left_handed for person in people) <= 20


def test_who_faces_the_camera_has_his_right_hand_at_greater_x() -> None:
    joints = performances()["bow 0"]
    seen = camera_coordinates(Camera(angle=0.0, distance=3.0, height=1.4), joints)
    assert (seen[:, JOINT["right_shoulder"], 0] > seen[:, JOINT["left_shoulder"], 0]).all()
    assert np.median(seen[..., 2]) == pytest.approx(3.0, abs=0.4)
    assert (seen[0, JOINT["head"], 1] > seen[0, JOINT["left_foot"], 1]).all()


def test_camera_looks_at_the_middle_of_the_stage() -> None:
    for camera in (Camera(0.7, 3.0, 1.6), Camera(-0.7, 2.5, 0.5)):
        middle = camera_coordinates(camera, np.array([[0.0, 0.9, 0.0]]))
        assert np.allclose(middle, [[0.0, 0.0, np.hypot(camera.distance, camera.height - 0.9)]])
        assert np.allclose(
            np.linalg.det(camera_coordinates(camera, np.eye(3)) - camera_coordinates(camera, np.zeros((1, 3)))), 1.0
        )


def test_sensor_sees_the_far_side_worse() -> None:
    joints = np.concatenate([performances()["bow 0"]] * 3)
    side = camera_coordinates(Camera(angle=np.pi / 2, distance=3.0, height=1.2), joints)
    reported, state = record(side, np.random.default_rng(0))
    error = np.linalg.norm(reported - side, axis=-1)
    near, far = sorted(("left_elbow", "right_elbow"), key=lambda name: float(side[0, JOINT[name], 2]))
    assert state[:, JOINT[far]].mean() < state[:, JOINT[near]].mean()
    assert 0.005 < np.median(error) < 0.05


def test_smooth_path_goes_through_its_keys_holds_and_never_overshoots() -> None:
    times, values = np.array([0.0, 1.0, 2.0, 2.5, 4.0]), np.array([[0.0], [1.0], [1.0], [3.0], [4.0]])
    assert np.allclose(smooth_path(times, values, times), values)
    path = smooth_path(times, values, np.linspace(0, 4, 401))
    assert (np.diff(path, axis=0) >= -1e-12).all()
    assert np.allclose(path[100:201], 1.0)


def test_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="empty folder"):
        simulate(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(DataError, match="empty folder"):
        simulate(tmp_path / "mine.txt")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"subjects": 0}, "subjects"), ({"cameras": 4}, "cameras"), ({"actions": 999}, "actions"), ({"seed": -1}, "seed")],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        simulate(tmp_path / "new", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    written = simulate(
        tmp_path, subjects=1, repetitions=1, actions=1, progress=lambda done, total: calls.append((done, total))
    )
    assert written == 3
    assert calls == [(1, 3), (2, 3), (3, 3)]
