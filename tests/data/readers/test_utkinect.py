"""UTKinect-Action3D: files that tests write, and the real ones where PCM3_DATA names them."""

import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from damage import damage
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers

from pcm3.data.importer import import_recordings
from pcm3.data.protocol import split
from pcm3.data.readers import utkinect
from pcm3.data.readers.class_names import class_names
from pcm3.data.recording import TEST, TRAIN, Interval
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v1")
NAME = "joints_s03_e02.txt"


def text(numbers, frames):
    """The file of a recording (T, 20, 3), three spaces after the frame number and two after each coordinate."""
    rows = zip(numbers, frames.reshape(len(frames), -1), strict=True)
    return "".join(f"{n}   " + "".join(f"{value:f}  " for value in row) + "\n" for n, row in rows)


def labels(blocks):
    """A label file: recording → (action, first, last); the spaces at line ends are as in the real one."""
    return "".join(
        f"{name}\n" + "".join(f"{action}: {first} {last} \n" for action, first, last in rows)
        for name, rows in blocks.items()
    )


NUMBERS = [30, 32, 32, 36, 40, 48, 50]
FRAMES = walkers(0, 7, joints=20)[:, 0]
BLOCKS = {
    "s03_e02": [("push", 36, 49), ("walk", 31, 36), ("carry", "NaN", "NaN")],
    "s04_e01": [("clapHands", 30, 50)],
}


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "joints"
    folder.mkdir()
    for name in BLOCKS:
        (folder / f"joints_{name}.txt").write_text(text(NUMBERS, FRAMES))
    (folder / "actionLabel.txt").write_text(labels(BLOCKS))
    return folder


def read(source, **options):
    return utkinect.index(source, Options(**options))


def test_frame_numbers_become_frames_and_the_first_of_a_repeated_one_is_kept(source):
    index = read(source)
    recording = index.clips[0].read()
    np.testing.assert_allclose(recording.frames[:, 0], FRAMES[[0, 1, 3, 4, 5, 6]], atol=1e-6)
    assert recording.frames.shape == (6, 1, 20, 3)
    assert recording.intervals == (Interval(1, 3, 0), Interval(2, 5, 6))  # 32 and 36; 36, 40 and 48
    assert (recording.id, recording.subject, recording.label, recording.lost) == ("s03_e02", 3, -1, ())
    assert index.skipped == [(f"{source / 'actionLabel.txt'} line 4", "s03_e02 has no carry: frames NaN to NaN")]
    assert (index.unusable, index.notes) == ([], ["labels of actionLabel.txt"])


def test_corrected_labels_are_preferred_and_either_can_be_chosen(source):
    (source / "actionLabel_modified.txt").write_text(labels(BLOCKS | {"s03_e02": [("push", 40, 50)]}))
    expected = {None: Interval(3, 6, 6), "modified": Interval(3, 6, 6), "original": Interval(1, 3, 0)}
    for choice, interval in expected.items():
        assert read(source, labels=choice).clips[0].read().intervals[0] == interval
    assert read(source).notes == [
        "labels of actionLabel_modified.txt; --labels original takes those of actionLabel.txt"
    ]


def test_labels_that_are_not_there_or_not_known_are_refused(source):
    with pytest.raises(DataError, match="expected labels modified or original for utkinect, got 'mine'"):
        read(source, labels="mine")
    with pytest.raises(DataError, match=r"expected actionLabel_modified\.txt beside the recordings"):
        read(source, labels="modified")
    (source / "actionLabel.txt").unlink()
    with pytest.raises(DataError, match=r"expected actionLabel_modified\.txt or actionLabel\.txt beside"):
        read(source)


def test_a_range_without_frames_is_lost_and_one_that_goes_back_is_left_out(source):
    changed = {"s03_e02": [("walk", 33, 35), ("push", 40, 36), ("pull", 900, 950)], "s04_e01": []}
    (source / "actionLabel.txt").write_text(labels(changed))
    index = read(source)
    assert [reason for _, reason in index.skipped] == ["s03_e02 has no push: frames 40 to 36"]
    recording = index.clips[0].read()
    assert recording.intervals == ()
    assert recording.lost == (
        ("labels line 2", "no frame has a number from 33 to 35"),
        ("labels line 4", "no frame has a number from 900 to 950"),
    )


def test_recordings_without_labels_and_copies_are_unusable(source):
    (source / "joints_s09_e01.txt").write_text(text(NUMBERS, FRAMES))
    (source / "more").mkdir()
    (source / "more" / "joints_s03_e02.txt").write_text(text(NUMBERS, FRAMES))
    assert dict(read(source).unusable) == {
        str(source / "joints_s09_e01.txt"): "actionLabel.txt has no labels of 's09_e01'",
        str(source / "more" / "joints_s03_e02.txt"): f"the id 's03_e02' is taken by '{source / 'joints_s03_e02.txt'}'",
    }


def test_leaving_out_one_recording_is_a_protocol_for_each(source, tmp_path):
    import_recordings("utkinect", source, tmp_path / "s", progress=False)
    store = ClipStore.open(tmp_path / "s")
    assert set(store.protocols) == {"xsub", "loso-s03_e02", "loso-s04_e01"}
    assert store.ids.tolist() == ["s03_e02:1-2", "s03_e02:2-4", "s04_e01:0-5"]
    assert [side.tolist() for side in split(store, "loso-s03_e02")] == [[2], [0, 1]]
    assert [side.tolist() for side in split(store, "xsub")] == [[0, 1], [2]]
    assert [clip.read().splits["loso-s04_e01"] for clip in read(source).clips] == [TRAIN, TEST]


def test_a_file_alone_or_a_folder_without_recordings_says_so(source, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no recordings of kind utkinect"):
        import_recordings("utkinect", tmp_path / "none", tmp_path / "s", progress=False)
    with pytest.raises(DataError, match="beside the recordings"):
        read(source / NAME)


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    ranges=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 60)), max_size=5),
    seed=st.integers(0, 99),
)
def test_any_numbers_and_ranges_read_like_a_slow_reader(tmp_path_factory, steps, ranges, seed):
    numbers = np.cumsum(steps).tolist()
    frames = walkers(seed, len(numbers), joints=20)[:, 0]
    folder = tmp_path_factory.mktemp("ut")
    (folder / NAME).write_text(text(numbers, frames))
    (folder / "actionLabel.txt").write_text(labels({"s03_e02": [("pull", a, a + b) for a, b in ranges]}))
    recording = read(folder).clips[0].read()
    kept = [i for i, number in enumerate(numbers) if number not in numbers[:i]]
    np.testing.assert_allclose(recording.frames[:, 0], frames[kept], atol=1e-6)
    inside = [[row for row, i in enumerate(kept) if a <= numbers[i] <= a + b] for a, b in ranges]
    expected = [Interval(rows[0], rows[-1] + 1, 7) for rows in inside if rows]
    assert recording.intervals == tuple(sorted(expected, key=lambda interval: (interval.start, interval.stop)))
    assert len(recording.lost) == inside.count([])


GOOD = text(NUMBERS, FRAMES)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("joints_s3_e2.txt", GOOD, "expected a name like joints_sSS_eEE.txt"),
        (NAME, GOOD[:-20], "line 7: expected a frame number and 60 coordinates"),
        (NAME, GOOD.replace("\n", "\n\n", 1), "line 2: expected a frame number and 60 coordinates, got ''"),
        (NAME, "1.5" + GOOD, "line 1: expected a frame number"),
        (NAME, GOOD.replace("36   ", "31   "), "line 4: expected rising frame numbers, got 31"),
        (NAME, GOOD.replace("36   ", "36   NaN  ", 1).replace("NaN  -", "NaN  ", 1), "line 4: expected"),
        (NAME, "".join(line.replace("30   ", "30   x ", 1) for line in [GOOD]), "line 1: expected a frame number"),
    ],
)
def test_each_mistake_in_a_recording_is_told_with_its_line(name, content, message):
    with pytest.raises(DataError, match=message) as caught:
        utkinect.parse(name, content.encode())
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("walk: 3 4\n", "line 1: expected sSS_eEE, or an action and its frames, got 'walk: 3 4'"),
        ("s01_e01\nrun: 3 4\n", "line 2: expected sSS_eEE, or an action"),
        ("s01_e01\nwalk: 3\n", "line 2: expected"),
        ("s01_e01\nwalk: 3 4\n\ns01_e01\n", "line 4: s01_e01 has labels already"),
        ("s01_e01\nwalk: 3 -4\n", "line 2: expected"),
    ],
)
def test_each_mistake_in_the_labels_stops_the_import_with_its_line(source, content, message):
    (source / "actionLabel.txt").write_text(content)
    with pytest.raises(DataError, match=rf"actionLabel\.txt: {message}"):
        read(source)


@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.soak)])
def test_many_damaged_files_parse_or_say_file_and_line(count):
    random = np.random.default_rng(3)
    forms = {
        NAME: (GOOD, lambda data: np.abs(utkinect.parse(NAME, data)[1]).max() <= 1000),
        "actionLabel.txt": (
            labels(BLOCKS),
            lambda data: all(
                found.first <= found.last
                for rows in utkinect.parse_labels("actionLabel.txt", data)[0].values()
                for found in rows
            ),
        ),
    }
    began = time.process_time()
    for name, (good, fine) in forms.items():
        refused = []
        for _ in range(count):
            try:
                assert fine(damage(good.encode(), random, 60, b":"))
            except DataError as error:
                refused.append(str(error))
        assert count / 2 < len(refused) < count
        assert [said for said in refused if not said.startswith(f"{name}: line ") or len(said) > 300] == []
    assert time.process_time() - began < 30


DATA = os.environ.get("PCM3_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="PCM3_DATA does not name a folder with the real data sets")


def real(choice):
    return [clip.read() for clip in read(Path(DATA, "utkinect"), labels=choice).clips]


@pytest.fixture(scope="module")
def recordings():
    return real(None)


@pytest.mark.data
@needs_data
@pytest.mark.parametrize(("choice", "longest"), [("original", 170), ("modified", 110)])
def test_real_recordings_have_the_published_numbers(choice, longest):
    found = real(choice)
    lengths = [interval.stop - interval.start for clip in found for interval in clip.intervals]
    assert (len(found), sum(len(clip.frames) for clip in found)) == (20, 15_318)
    assert (len(lengths), min(lengths), max(lengths), np.median(lengths)) == (199, 5, longest, 28)
    counts = np.bincount([interval.label for clip in found for interval in clip.intervals])
    assert counts.tolist() == [20, 20, 20, 20, 19, 20, 20, 20, 20, 20]
    assert [clip.lost for clip in found if clip.lost] == []


@pytest.mark.data
@needs_data
def test_only_corrected_labels_keep_actions_apart_but_for_a_shared_frame():
    def overlaps(found):
        pairs = [(a, b) for clip in found for a in clip.intervals for b in clip.intervals if a.label < b.label]
        return sum(min(a.stop, b.stop) - max(a.start, b.start) > 1 for a, b in pairs)

    assert (overlaps(real("original")), overlaps(real("modified"))) == (3, 0)


@pytest.mark.data
@needs_data
def test_real_bodies_are_upright_whole_and_right_handed(recordings):
    joint = KINECT.joints.index
    poses = np.concatenate([clip.frames[:, 0] for clip in recordings])
    assert 1.3 < np.median(poses[:, joint("head"), 1] - poses[:, joint("right_ankle"), 1]) < 1.7
    for left, right in KINECT.mirror:
        limb = [np.median(np.linalg.norm(poses[:, j] - poses[:, KINECT.parents[j]], axis=1)) for j in (left, right)]
        assert 0.05 < limb[0] < 0.6
        assert limb[0] == pytest.approx(limb[1], rel=0.15)
    assert np.mean(poses[:, joint("right_shoulder"), 0] > poses[:, joint("left_shoulder"), 0]) > 0.99
    moved = {"left": [], "right": []}
    for clip in recordings:
        for interval in clip.intervals:
            if class_names("utkinect")[interval.label] in ("throw", "push", "pull"):
                body = clip.frames[interval.start : interval.stop, 0]
                for side, values in moved.items():
                    hand = body[:, joint(f"{side}_hand")] - body[:, joint("shoulder_centre")]
                    values.append(hand.std(axis=0).sum())
    assert np.mean(moved["right"]) > 2.5 * np.mean(moved["left"])


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("trim", [False, True])
def test_the_real_set_imports_whole(tmp_path, trim):
    source = Path(DATA, "utkinect")
    report = import_recordings("utkinect", source, tmp_path / "s", trim=trim, strict=True, progress=False)
    store = ClipStore.open(tmp_path / "s")
    assert (report.clips, len(store), len(report.skipped)) == (199, 199, 1)
    assert [len(side) for side in split(store, "xsub")] == [100, 99]
    assert [len(side) for side in split(store, "loso-s10_e02")] == [190, 9]
    assert len(store.protocols) == 21
    assert min(store.length) == 5
    assert store.frames.any(axis=(2, 3)).all()


@pytest.mark.data
@needs_data
def test_zip_and_unpacked_folder_give_the_same_recordings(tmp_path, recordings):
    with zipfile.ZipFile(Path(DATA, "utkinect", "utkinect_joints.zip")) as archive:
        archive.extractall(tmp_path)
    unpacked = [clip.read() for clip in read(tmp_path).clips]
    assert [clip.id for clip in unpacked] == [clip.id for clip in recordings]
    assert unpacked[7].intervals == recordings[7].intervals
    np.testing.assert_array_equal(unpacked[7].frames, recordings[7].frames)
