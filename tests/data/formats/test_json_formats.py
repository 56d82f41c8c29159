"""OpenPose, Azure Kinect and landmarks in JSON, written by the tests."""

import json

import numpy as np
import pytest
from ntu_file_text import walkers
from reading import assert_read_or_told

from pcm3.data.formats import azure_kinect, landmarks, openpose
from pcm3.data.importer import import_recordings
from pcm3.data.recognise import recognise
from pcm3.data.recordings import read_files
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import DataError


def openpose_frame(*people, key="pose_keypoints_2d"):
    return json.dumps(
        {"version": 1.3, "people": [{"person_id": [-1], key: list(map(float, p.ravel()))} for p in people]}
    )


def picture(joints=25, frames=4, seed=0):
    """Pixels and confidence (T, V, 3)."""
    body = walkers(seed, frames, 1, joints)[:, 0].astype(np.float64)
    return np.concatenate([body[..., :2] * [300, -300] + [640, 500], np.full((frames, joints, 1), 0.8)], axis=-1)


def test_openpose_folders_are_recordings_of_their_frames(tmp_path):
    for action in ("walk", "wave"):
        for person in (1, 2):
            folder = tmp_path / "raw" / action / f"p{person}"
            folder.mkdir(parents=True)
            for number, frame in enumerate(picture(frames=12, seed=person)):
                name = f"video_{number:012}_keypoints.json"
                (folder / name).write_text(openpose_frame(*([frame] if number != 5 else [])))
    assert recognise(tmp_path / "raw").kind == "openpose"
    report = import_recordings("auto", tmp_path / "raw", tmp_path / "store", fps=30.0, progress=False)
    store = ClipStore.open(tmp_path / "store")
    assert (report.clips, store.layout.name, store.length.tolist()) == (4, "openpose25", [12] * 4)
    assert (store.classes, store.subject.tolist()) == (("walk", "wave"), [1, 2, 1, 2])
    assert any("of two coordinates" in note for note in report.notes)


def test_openpose_frames_are_ordered_by_number_and_zero_confidence_is_absent():
    frames = picture(18)
    frames[1, 4] = 0
    file = openpose.parse([(f"a_{n}_keypoints.json", openpose_frame(f).encode()) for n, f in enumerate(frames)])
    assert (file.layout, file.frames.shape) == ("openpose18", (4, 1, 18, 3))
    assert np.argwhere(np.isnan(file.frames[..., 0])).tolist() == [[1, 0, 4]]
    np.testing.assert_allclose(file.frames[0, 0, :, 1], -frames[0, :, 1])
    np.testing.assert_allclose(file.scores[0], 0.8)


def test_openpose_in_three_dimensions_keeps_them():
    body = np.concatenate([walkers(0, 1, 1, 25)[:, 0], np.ones((1, 25, 1))], axis=-1)[0]
    file = openpose.parse([("a_0_keypoints.json", openpose_frame(body, key="pose_keypoints_3d").encode())])
    np.testing.assert_allclose(file.frames[0, 0], body[:, :3], rtol=1e-6)
    assert file.unit is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[1]", "expected 'people' as OpenPose writes them"),
        (b"{", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b'{"people": []}', "expected people in one of the 1 frames, found nobody"),
        (b'{"people": [{"pose_keypoints_2d": [1, 2]}]}', "expected pose_keypoints_2d as numbers, 3 each"),
        (b'{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "expected 25 or 18 keypoints in all frames, got 1"),
        (b'{"people": [{"pose_keypoints_2d": [1, 2, 1e999]}]}', "expected pose_keypoints_2d as numbers"),
    ],
)
def test_what_is_wrong_with_openpose_is_told(data, message):
    with pytest.raises(DataError, match=message):
        openpose.parse([("a_0_keypoints.json", data)])


def azure(frames, **more):
    made = [
        {"frame_id": t, "timestamp_usec": 33_333 * t, "num_bodies": 1,
         "bodies": [{"body_id": 7, "joint_positions": (frame * 1000).tolist(), **more}]}
        for t, frame in enumerate(frames)
    ]  # fmt: skip
    return json.dumps({"bone_list": [], "frames": made, "joint_names": []}).encode()


def test_azure_kinect_is_in_millimetres_with_its_rate(tmp_path):
    body = walkers(0, 5, 1, 32)[:, 0].astype(np.float64)
    (tmp_path / "a.json").write_bytes(azure(body, confidence_level=[2] * 31 + [0]))
    assert recognise(tmp_path).kind == "azure-kinect"
    files = read_files(tmp_path)
    assert (files.fps, files.layout.name) == (30, "azure32")
    np.testing.assert_allclose(files.recordings[0].frames[:, 0, :31], body[:, :31], atol=1e-5)
    assert not files.recordings[0].present[:, 0, 31].any()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{}", "expected 'frames' as Azure Kinect's offline processor"),
        (b'{"frames": [{"bodies": []}]}', "expected a body in one of the 1 frames, found nobody"),
        (b'{"frames": [{"bodies": [3]}]}', "frame 0: expected a list of 'bodies'"),
        (b'{"frames": [{"bodies": [{"joint_positions": [[1, 2, 3]]}]}]}', "expected 32 joint_positions, got 1"),
        (b'{"frames": [{"bodies": [{"joint_positions": "x"}]}]}', "expected joint_positions as numbers"),
    ],
)
def test_what_is_wrong_with_azure_kinect_is_told(data, message):
    with pytest.raises(DataError, match=message):
        azure_kinect.parse("a.json", data)


BODY = walkers(2, 4, 1, 33)[:, 0].astype(np.float64)
BODY -= BODY[:, [23, 24]].mean(axis=1, keepdims=True)
DICTS = [[dict(zip("xyz", map(float, joint), strict=True), visibility=0.9) for joint in frame] for frame in BODY]


@pytest.mark.parametrize(
    "held",
    [
        DICTS,
        [{"pose_landmarks": [{"x": 0.5, "y": 0.5, "z": 0}] * 33, "pose_world_landmarks": frame} for frame in DICTS],
        {"fps": 25, "frames": [{"landmarks": [frame]} for frame in DICTS]},
        {"frames": [{"poseWorldLandmarks": {"landmark": frame}} for frame in DICTS]},
        BODY.tolist(),
        [frame.tolist() if t != 1 else [] for t, frame in enumerate(BODY)],
    ],
)
def test_landmarks_are_found_in_any_wrapping(held):
    file = landmarks.parse("a.json", json.dumps(held).encode())
    assert (file.layout, file.unit) == ("mediapipe33", "metres")
    np.testing.assert_allclose(file.frames[2:, 0], BODY[2:])


def test_shares_of_a_picture_are_told(tmp_path):
    shares = BODY * [0.2, 0.2, 0.2] + [0.5, 0.5, 0]
    (tmp_path / "a.json").write_text(json.dumps({"frames": [{"pose_landmarks": f.tolist()} for f in shares]}))
    files = read_files(tmp_path / "a.json", Options(fps=30.0))
    assert any("shares of a picture" in note for note in files.notes)
    assert np.ptp(files.recordings[0].frames[:, 0], axis=1).max() == pytest.approx(1.7, rel=0.1)


def test_named_landmarks_are_known_by_their_names():
    names = ["left_shoulder", "right_shoulder", "left_hip", "right_hip"]
    held = [[{"name": name, "x": 1, "y": 2, "score": 0.7} for name in names]] * 3
    file = landmarks.parse("a.json", json.dumps(held).encode())
    assert (file.joints, file.unit, file.frames[0, 0, 0].tolist()) == (tuple(names), "pixels", [1, -2, 0])


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({}, "expected a list of frames, or one under frames"),
        ([], "expected a list of frames"),
        ([1, 2], "expected landmarks, as a list or under"),
        ([DICTS[0], DICTS[1][:5]], "frame 1: expected 33 landmarks as in others, got 5"),
        ([[{"x": "a", "y": 1}]], "frame 0: expected landmarks as numbers"),
    ],
)
def test_what_is_wrong_with_landmarks_is_told(held, message):
    with pytest.raises(DataError, match=message):
        landmarks.parse("a.json", json.dumps(held).encode())


def test_damaged_json_is_a_data_error_or_parses():
    frame = openpose_frame(picture()[0]).encode()
    assert_read_or_told(lambda data: openpose.parse([("a_0_keypoints.json", data)]).frames, frame, 200)
    assert_read_or_told(lambda data: azure_kinect.parse("a", data).frames, azure(BODY[:2, :32]), 200)
    assert_read_or_told(lambda data: landmarks.parse("a", data).frames, json.dumps(DICTS[:2]).encode(), 200)
