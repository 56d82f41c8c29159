"""``.pose`` files written by pose-format, FPHA's text, FreeMoCap's arrays."""

import io

import numpy as np
import pytest
from ntu_file_text import walkers
from reading import assert_read_or_told

from pcm3.data.formats import fpha, pose_file
from pcm3.data.importer import import_recordings
from pcm3.data.recordings import read_files
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

MEDIAPIPE = load_layout("mediapipe33")
BODY = walkers(2, 4, 1, 33).astype(np.float32)


def pose_bytes(frames=BODY, component="POSE_LANDMARKS", names=MEDIAPIPE.joints):
    pytest.importorskip("pose_format")
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    hand = PoseHeaderComponent("HAND", ["tip"], [], [], "XYZC")
    body = PoseHeaderComponent(component, [name.upper() for name in names], [], [], "XYZC")
    header = PoseHeader(0.2, PoseHeaderDimensions(1000, 1000, 1000), [hand, body])
    points = np.concatenate([np.zeros((*frames.shape[:2], 1, 3), np.float32), frames], axis=2)
    sure = np.full(points.shape[:3], 0.9, np.float32)
    sure[1, 0, 5] = 0
    data = io.BytesIO()
    Pose(header, NumPyPoseBody(25.0, np.ma.masked_array(points), sure)).write(data)
    return data.getvalue()


def test_a_pose_files_body_is_read_without_hands_and_what_is_not_seen(tmp_path):
    (tmp_path / "a.pose").write_bytes(pose_bytes(component="POSE_WORLD_LANDMARKS"))
    files = read_files(tmp_path / "a.pose")
    assert (files.fps, files.layout.name) == (25, "mediapipe33")
    (recording,) = files.recordings
    assert np.argwhere(~recording.present).tolist() == [[1, 0, 4]]
    np.testing.assert_allclose(recording.frames[0], BODY[0], atol=1e-5)
    assert pose_file.parse("a", pose_bytes()).unit == "pixels"


def test_what_is_wrong_with_a_pose_file_is_told(monkeypatch):
    with pytest.raises(DataError, match=r"expected a body \(POSE_WORLD_LANDMARKS, POSE_LANDMARKS\), got HAND, FACE"):
        pose_file.parse("a.pose", pose_bytes(component="FACE"))
    with pytest.raises(DataError, match=r"expected a \.pose file"):
        pose_file.parse("a.pose", b"words")
    monkeypatch.setitem(__import__("sys").modules, "pose_format", None)
    with pytest.raises(DataError, match=r"needs pose_format: pip install 'pcm3\[formats\]'"):
        pose_file.parse("a", b"")


def test_damaged_pose_files_are_data_errors_or_parse():
    assert_read_or_told(lambda data: pose_file.parse("a", data).frames, pose_bytes(), 200, b"\0")


def fpha_text(frames):
    """The joints of a hand in FPHA's order, in millimetres."""
    back = np.argsort(fpha.ORDER)
    return "\n".join(f"{t} " + " ".join(f"{x:.4f}" for x in 1000 * hand[back].ravel()) for t, hand in enumerate(frames))


def test_hands_of_fpha_come_in_the_layouts_order(tmp_path):
    hand = np.zeros((40, 21, 3))
    hand[:, :, 0] = np.arange(21) * 0.01
    hand += np.random.default_rng(0).normal(scale=0.001, size=hand.shape)
    for person in (1, 2):
        for action in ("open_juice", "pour_milk"):
            folder = tmp_path / f"Subject_{person}" / action / "1"
            folder.mkdir(parents=True)
            (folder / "skeleton.txt").write_text(fpha_text(hand))
    np.testing.assert_allclose(fpha.parse("a", fpha_text(hand).encode()).frames[:, 0] / 1000, hand, atol=1e-6)
    import_recordings("auto", tmp_path, tmp_path / "store", normalise=False, progress=False)
    store = ClipStore.open(tmp_path / "store")
    assert (store.kind, store.layout.name, store.classes) == ("fpha", "hand21", ("open_juice", "pour_milk"))
    assert store.subject.tolist() == [1, 1, 2, 2]
    np.testing.assert_allclose(store.clip(0)[0, 0], hand[0], atol=1e-6)


def test_damaged_hands_are_data_errors_or_parse():
    text = fpha_text(np.ones((3, 21, 3))).encode()
    assert_read_or_told(lambda data: fpha.parse("a", data).frames, text, 200, b" ")


def test_freemocaps_arrays_are_mediapipes_body(tmp_path):
    points = np.concatenate([1000 * BODY[:, 0], np.zeros((4, 520, 3))], axis=1)
    np.save(tmp_path / "mediaPipeSkel_3d_body_hands_face.npy", points)
    files = read_files(tmp_path, Options(fps=30.0))
    assert files.layout.name == "mediapipe33"
    np.testing.assert_allclose(files.recordings[0].frames, BODY, atol=1e-4)
