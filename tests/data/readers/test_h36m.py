"""Human3.6M as exponential maps: files written by the tests in the form of the data set."""

import numpy as np
import pytest
from reading import assert_read_or_told

from pcm3.data.importer import import_recordings
from pcm3.data.kinematics import joint_positions
from pcm3.data.protocol import split
from pcm3.data.readers import h36m
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import load_layout


def text(rows):
    return "\n".join(",".join(f"{x:.7f}" for x in row) for row in rows).encode()


def some_rows(frames=6, seed=0):
    rows = np.random.default_rng(seed).normal(scale=0.3, size=(frames, 99))
    rows[:, :3] *= 20
    return np.round(rows, 7)


def slow_places(rows):
    """The same frame by frame and joint by joint, with row vectors, as the form's authors reckon."""

    def matrix(r):
        angle = np.linalg.norm(r)
        x, y, z = r / (angle + 1e-300)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross

    parents, places = load_layout("h36m32").parents, []
    turn, way = np.eye(3), np.zeros(3)
    for row in rows:
        way = way + turn.T @ row[:3]
        turn = matrix(row[3:6]) @ turn
        turned, there = {0: turn}, {0: way}
        for joint in range(1, 32):
            parent = parents[joint]
            turned[joint] = matrix(row[3 + 3 * joint : 6 + 3 * joint]) @ turned[parent]
            there[joint] = h36m.OFFSETS_MM[joint] @ turned[parent] + there[parent]
        places.append([there[joint] for joint in range(32)])
    return np.array(places)


def test_places_are_those_of_a_slow_reference_in_metres():
    rows = some_rows()
    np.testing.assert_allclose(h36m.parse("a", text(rows))[:, 0], slow_places(rows) / 1000, atol=1e-6)


def test_nobody_turned_stands_with_bones_of_the_skeletons_lengths():
    frames = h36m.parse("a", text(np.zeros((2, 99))))[0, 0]
    layout = load_layout("h36m32")
    at = layout.joints.index
    assert frames[at("left_hip"), 0] == pytest.approx(0.132948826)
    assert frames[at("right_ankle"), 1] == pytest.approx(-0.442894612 - 0.454206447)
    assert frames[at("head"), 1] == pytest.approx(0.0001 + 0.233383263 + 0.257077681 + 0.121134938 + 0.115002227)


def test_turning_the_root_turns_the_body_about_it():
    """Closed form: a quarter turn about z takes x to -y in the data's own sense of rotation."""
    offsets, turn = np.array([[0.0, 0, 0], [1, 0, 0]]), np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    rotations = np.stack([turn, np.eye(3)])[None]
    places = joint_positions(offsets, (0, 0), rotations, np.array([[5.0, 0, 0]]))
    np.testing.assert_allclose(places[0], [[5, 0, 0], [5, 1, 0]], atol=1e-12)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "line 1: expected 99 numbers, got the end of the file"),
        (b"1,2\n", "line 1: expected 99 numbers, got 2"),
        (text(some_rows(2)).replace(b",", b",x", 1), "line 1: expected a number, got 'x"),
        (b"\n".join([text(some_rows(1)), b",".join([b"nan"] * 99)]), "line 2: expected a number, got 'nan'"),
        (b",".join([b"1e9"] * 99), "expected metres"),
    ],
)
def test_what_is_wrong_is_told(data, message):
    with pytest.raises(DataError, match=message):
        h36m.parse("walking_1.txt", data)


def test_damaged_files_are_data_errors_or_parse():
    assert_read_or_told(lambda data: h36m.parse("a", data), text(some_rows(2)), 200)


def one_hot(labels):
    return "\n".join(" ".join("1" if column == label else "0" for column in range(11)) for label in labels).encode()


def test_labels_of_frames_are_intervals():
    intervals = h36m.parse_labels("l", one_hot([7, 7, 10, 10, 10, 99, 7]), 7)
    assert [(i.start, i.stop, i.label) for i in intervals] == [(0, 2, 7), (2, 5, 10), (6, 7, 7)]
    with pytest.raises(DataError, match="expected labels of the 5 frames of the recording, got 7"):
        h36m.parse_labels("l", one_hot([7] * 7), 5)
    with pytest.raises(DataError, match="expected one 1 a line"):
        h36m.parse_labels("l", one_hot([7]).replace(b"1", b"0.5"), 1)


def test_an_import_with_and_without_labels_of_frames(tmp_path):
    for subject in (1, 5):
        (tmp_path / "raw" / f"S{subject}").mkdir(parents=True)
        for scenario in ("walking_1", "sittingdown_2"):
            rows = some_rows(20, subject) * 0.1
            (tmp_path / "raw" / f"S{subject}" / f"{scenario}.txt").write_bytes(text(rows))
    import_recordings("auto", tmp_path / "raw", tmp_path / "store", progress=False)
    store = ClipStore.open(tmp_path / "store")
    assert (store.kind, store.fps, store.ids.tolist()[0]) == ("h36m", 50, "S1_sittingdown_2")
    assert [len(side) for side in split(store, "xsub")] == [2, 2]
    for name in ("S1_walking_1", "S5_walking_1"):
        (tmp_path / "raw" / f"label11_{name}.txt").write_bytes(one_hot([7] * 10 + [10] * 10))
    report = import_recordings("h36m", tmp_path / "raw", tmp_path / "frames", fps=25.0, progress=False)
    assert (report.recordings, report.clips) == (2, 4)
    assert len(report.skipped) == 2
    with pytest.raises(DataError, match=r"expected labels of h36m \(frames, scenarios\), got 'x'"):
        import_recordings("h36m", tmp_path / "raw", tmp_path / "x", labels="x", progress=False)


def test_with_a_fixed_root_the_way_and_the_rotation_of_the_root_change_nothing(tmp_path):
    rows = some_rows()
    elsewhere = rows.copy()
    elsewhere[:, :6] = some_rows(seed=1)[:, :6]
    frames = h36m.parse("a", text(rows), fixed_root=True)
    assert not np.array_equal(h36m.parse("a", text(rows)), h36m.parse("a", text(elsewhere)))
    np.testing.assert_array_equal(frames, h36m.parse("a", text(elsewhere), fixed_root=True))
    rows[:, :6] = 0
    np.testing.assert_allclose(frames[:, 0], slow_places(rows) / 1000, atol=1e-6)
    (tmp_path / "raw" / "S5").mkdir(parents=True)
    (tmp_path / "raw" / "S5" / "walking_1.txt").write_bytes(text(elsewhere))
    import_recordings("h36m", tmp_path / "raw", tmp_path / "store", fixed_root=True, normalise=False, progress=False)
    np.testing.assert_array_equal(ClipStore.open(tmp_path / "store").clip(0), frames)
