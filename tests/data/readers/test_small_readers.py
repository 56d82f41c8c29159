"""UTD-MHAD, MSR-Action3D, NW-UCLA: files written by the tests; the real ones where PCM3_DATA names them."""

import json
import os
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from ntu_file_text import walkers
from scipy.io import savemat

from pcm3.data.readers import msr_action3d, nw_ucla, utd_mhad
from pcm3.data.readers.class_names import class_names
from pcm3.data.source_index import Options
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v1")


def marked(names):
    """A pose in a file's own order (20, 3) in which every joint stands where its name says, by a number of its own."""
    return np.array([[KINECT.joints.index(name), 0.5, 3] for name in names], float)


def assert_in_layout_order(recording):
    np.testing.assert_array_equal(recording.frames[0, 0, :, 0], np.arange(20))


def mat(value, variable="d_skel", **more):
    file = BytesIO()
    savemat(file, {variable: value, **more})
    return file.getvalue()


def utd_file(frames=3):
    return mat(np.stack([marked(utd_mhad.JOINTS)] * frames, axis=-1))


def test_utd_mhad_joints_come_in_layout_order_with_label_and_subject():
    recording = utd_mhad.parse("a27_s8_t4_skeleton.mat", utd_file())
    assert_in_layout_order(recording)
    assert recording.frames.shape == (3, 1, 20, 3)
    assert (recording.id, recording.label, recording.subject) == ("a27_s8_t4", 26, 8)
    assert (recording.camera, recording.setup) == (-1, -1)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a28_s1_t1_skeleton.mat", utd_file(), "expected an action from 1 to 27, got 28"),
        ("b1_s1_t1_skeleton.mat", utd_file(), "expected a name like aA_sS_tT_skeleton.mat"),
        ("a1_s1_t1_skeleton.mat", b"", "not a MATLAB file that can be read"),
        ("a1_s1_t1_skeleton.mat", b"\x00" * 500, "not a MATLAB file|expected d_skel"),
        ("a1_s1_t1_skeleton.mat", utd_file()[:300], "not a MATLAB file that can be read"),
        (
            "a1_s1_t1_skeleton.mat",
            mat(np.zeros((20, 3, 4)), "other"),
            r"expected d_skel .* got \(\) \(no such variable\)",
        ),
        ("a1_s1_t1_skeleton.mat", mat(np.zeros((25, 3, 4))), r"got \(25, 3, 4\)"),
        ("a1_s1_t1_skeleton.mat", mat(np.array([["text"]], object)), "got .*cell"),
        (
            "a1_s1_t1_skeleton.mat",
            mat(np.full((20, 3, 2), np.inf)),
            "frame 0, body 0, joint 0 .*expected metres, got inf",
        ),
        ("a1_s1_t1_skeleton.mat", mat(np.full((20, 3, 2), 1e300)), "expected metres, got 1e"),
    ],
)
def test_utd_mhad_mistakes_are_data_errors(name, data, message):
    with pytest.raises(DataError, match=message) as caught:
        utd_mhad.parse(name, data)
    assert str(caught.value).startswith(name)


def test_a_matrix_that_announces_a_huge_size_is_not_unpacked():
    data = bytearray(utd_file())
    place = data.index(np.array([20, 3, 3], "<i4").tobytes())
    data[place : place + 12] = np.array([20, 3, 2**30], "<i4").tobytes()
    with pytest.raises(DataError, match="expected d_skel of shape"):
        utd_mhad.parse("a1_s1_t1_skeleton.mat", bytes(data))


def test_damaged_matlab_files_are_data_errors_or_parse():
    random = np.random.default_rng(0)
    good = mat(walkers(0, 5, joints=20)[:, 0].transpose(1, 2, 0), do_compression=np.zeros(3))
    for _ in range(2000):
        data = bytearray(good)
        for place in random.integers(0, len(data), random.integers(1, 9)):
            data[place] = random.integers(256)
        try:
            recording = utd_mhad.parse(
                "a1_s1_t1_skeleton.mat", bytes(data[: random.integers(len(data) // 2, len(data) + 1)])
            )
        except DataError:
            continue
        assert np.isfinite(recording.frames).all()


def msr_text(frames):
    """The file of poses in its own joint order (T, 20, 3)."""
    return "".join(f"{x:f} {y:f} {z:f} 1.000000\n" for frame in frames for x, y, z in frame)


POSE = marked(msr_action3d.JOINTS)


def test_msr_action3d_joints_come_in_layout_order_without_lost_frames():
    text = msr_text([POSE, 0 * POSE, POSE])
    recording = msr_action3d.parse("a20_s10_e03_skeleton3D.txt", text.encode())
    assert_in_layout_order(recording)
    assert recording.frames.shape == (2, 1, 20, 3)
    assert (recording.id, recording.label, recording.subject) == ("a20_s10_e03", 19, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (msr_text([POSE])[:-40], "line 20: expected x, y, z, confidence|line 19: the file ends within a frame"),
        ("1 2 3 4\n" * 30, "line 30: the file ends within a frame of 20 lines"),
        ("1 2 3 4\n" * 19 + "1 2 x 4\n", "line 20: expected x, y, z in metres, got '1 2 x'"),
        ("1 2 3 4\n1 2 3\n", "line 2: expected x, y, z, confidence, got '1 2 3'"),
    ],
)
def test_msr_action3d_mistakes_are_told_with_their_line(text, message):
    with pytest.raises(DataError, match=message):
        msr_action3d.parse("a01_s01_e01_skeleton3D.txt", text.encode())


def test_msr_action3d_takes_the_557_of_the_list_unless_told_otherwise(tmp_path):
    for name in ("a01_s01_e01", "a01_s01_e02"):
        (tmp_path / f"{name}_skeleton3D.txt").write_text(msr_text([POSE]))
    assert len(msr_action3d.index(tmp_path, Options()).clips) == 2  # no list there
    (tmp_path / msr_action3d.LIST).write_text("a01_s01_e02\n")
    index = msr_action3d.index(tmp_path, Options())
    assert [clip.id for clip in index.clips] == ["a01_s01_e02"]
    assert index.skipped == [
        (str(tmp_path / "a01_s01_e01_skeleton3D.txt"), "not among the 1 of files_used_in_cvpr12_paper.txt")
    ]
    assert len(msr_action3d.index(tmp_path, Options(all_files=True)).clips) == 2


def ucla(skeletons):
    return json.dumps({"file_name": "x", "skeletons": np.asarray(skeletons).tolist()}).encode()


def test_nw_ucla_is_in_layout_order_and_counts_its_ten_actions_without_gaps():
    recording = nw_ucla.parse("a08_s03_e05_v02.json", ucla([marked(KINECT.joints)] * 4))
    assert_in_layout_order(recording)
    assert recording.frames.shape == (4, 1, 20, 3)
    assert (recording.id, recording.label, recording.subject, recording.camera) == ("a08_s03_e05_v02", 6, 3, 2)
    assert class_names("nw-ucla")[recording.label] == "donning"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "a07_s01_e01_v01.json",
            ucla(np.ones((2, 20, 3))),
            "expected an action of 1, 2, 3, 4, 5, 6, 8, 9, 11, 12, got 7",
        ),
        ("a01_s01_e01.json", b"", "expected a name like aAA_sSS_eEE_vVV.json"),
        ("a01_s01_e01_v01.json", b"", "expected JSON with 'skeletons'"),
        ("a01_s01_e01_v01.json", b"\xff\xfe", "expected JSON"),
        ("a01_s01_e01_v01.json", b"[]", "expected JSON"),
        ("a01_s01_e01_v01.json", b"{}", "expected JSON"),
        ("a01_s01_e01_v01.json", b'{"skeletons": [[1, 2], [3]]}', "expected JSON"),
        ("a01_s01_e01_v01.json", b'{"skeletons": ' + b"[" * 100_000, "expected JSON"),
        ("a01_s01_e01_v01.json", ucla(np.ones((2, 25, 3))), r"got \(2, 25, 3\)"),
        ("a01_s01_e01_v01.json", ucla(np.full((2, 20, 3), np.inf)), "expected metres, got inf"),
        ("a01_s01_e01_v01.json", ucla(np.full((2, 20, 3), 1e200)), "expected metres"),
    ],
)
def test_nw_ucla_mistakes_are_data_errors(name, data, message):
    with pytest.raises(DataError, match=message):
        nw_ucla.parse(name, data)


DATA = os.environ.get("PCM3_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="PCM3_DATA does not name a folder with the real data sets")


def real_recordings(reader, folder):
    return [clip.read() for clip in reader.index(Path(DATA, folder), Options()).clips]


@pytest.fixture(scope="module")
def utd():
    return real_recordings(utd_mhad, "utd_mhad")


@pytest.fixture(scope="module")
def msr():
    return real_recordings(msr_action3d, "msr_action3d")


@pytest.mark.data
@needs_data
def test_real_sets_have_the_published_numbers(utd, msr):
    assert (len(utd), sum(len(clip.frames) for clip in utd)) == (861, 58_299)
    assert (len(msr), len({clip.label for clip in msr}), len({clip.subject for clip in msr})) == (557, 20, 10)
    assert [sum(clip.subject % 2 == side for clip in utd) for side in (1, 0)] == [431, 430]
    assert [sum(clip.subject % 2 == side for clip in msr) for side in (1, 0)] == [284, 273]


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("name", ["utd", "msr"])
def test_real_bodies_are_whole_and_the_right_arm_is_the_right_one(name, request):
    """Upright, limbs of human length, right shoulder at the larger x, one-armed actions done with the right arm."""
    clips = request.getfixturevalue(name)
    joint = KINECT.joints.index
    first = np.stack([clip.frames[0, 0] for clip in clips])
    assert np.median(first[:, joint("head"), 1] - first[:, joint("right_ankle"), 1]) > 1.2
    for left, right in KINECT.mirror:
        limb = [
            np.median(np.linalg.norm(first[:, side] - first[:, KINECT.parents[side]], axis=1)) for side in (left, right)
        ]
        assert 0.02 < limb[0] < 0.6
        assert limb[0] == pytest.approx(limb[1], rel=0.25)
    across = first[:, joint("right_shoulder"), 0] - first[:, joint("left_shoulder"), 0]
    assert np.mean(across > 0) > 0.98
    one_armed = [clip for clip in clips if clip.label in ({0, 1, 2} if name == "utd" else set(range(9)))]
    moved = {
        side: np.mean([clip.frames[:, 0, joint(f"{side}_wrist")].std(axis=0).sum() for clip in one_armed])
        for side in ("left", "right")
    }
    assert moved["right"] > 4 * moved["left"]


@pytest.mark.data
@needs_data
def test_zip_and_unpacked_folder_give_the_same_recordings(tmp_path, msr):
    with zipfile.ZipFile(Path(DATA, "msr_action3d", "msr_action3d_real3d.zip")) as archive:
        archive.extractall(tmp_path)
    unpacked = msr_action3d.index(tmp_path, Options()).clips
    assert [clip.id for clip in unpacked] == [clip.id for clip in msr]
    np.testing.assert_array_equal(unpacked[5].read().frames, msr[5].frames)
