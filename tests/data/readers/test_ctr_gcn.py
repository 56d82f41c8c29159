"""The .npz of CTR-GCN: read row by row without unpacking it into memory; sizes that lie and damage are refused."""

import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_field_forms import crowd, ctr_clip, name, one_hot
from ntu_file_text import skeleton_text

from pcm3.data.datasets import DATASETS, Dataset
from pcm3.data.importer import import_recordings
from pcm3.data.protocol import split
from pcm3.data.readers import ctr_gcn, ntu
from pcm3.data.readers.class_names import class_names
from pcm3.data.readers.npz_rows import NpzRows
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import DataError

DRAWN = [crowd(1, 40), crowd(2, 70, 1), crowd(3, 57, 2, [(1, 10, 20)]), crowd(4, 300), crowd(5, 35, 2, [(1, 25, 35)])]
NAMES = [name(number, action=number) for number in range(1, 6)]
RECORDINGS = [
    ntu.parse(f"{id}.skeleton", skeleton_text(drawn).encode()).frames for id, drawn in zip(NAMES, DRAWN, strict=True)
]


def arrays(recordings=RECORDINGS, train=3, length=300, classes=60):
    """The arrays of a file with the recordings, so many of them for training."""
    clips = np.stack([ctr_clip(recording, length) for recording in recordings])
    labels = one_hot(np.arange(len(clips)) % classes, classes)
    return {"x_train": clips[:train], "y_train": labels[:train], "x_test": clips[train:], "y_test": labels[train:]}


@pytest.fixture(params=[np.savez, np.savez_compressed], ids=["stored", "compressed"])
def file(tmp_path, request):
    request.param(tmp_path / "NTU60_CS.npz", **arrays())
    return tmp_path / "NTU60_CS.npz"


@pytest.fixture(autouse=True)
def kind(monkeypatch):
    monkeypatch.setitem(DATASETS, "ctrgcn", Dataset(ctr_gcn.index, fps=30.0))


def read(file):
    return ctr_gcn.index(file, Options())


def test_a_store_of_the_file_equals_a_store_of_the_raw_files(file, tmp_path):
    (tmp_path / "raw").mkdir()
    for id, drawn in zip(NAMES, DRAWN, strict=True):
        (tmp_path / "raw" / f"{id}.skeleton").write_text(skeleton_text(drawn))
    import_recordings("ntu60", tmp_path / "raw", tmp_path / "of_raw", progress=False)
    import_recordings("ctrgcn", file, tmp_path / "of_file", strict=True, progress=False)
    raw, made = ClipStore.open(tmp_path / "of_raw"), ClipStore.open(tmp_path / "of_file")
    assert list(made.ids) == ["train-000000", "train-000001", "train-000002", "test-000000", "test-000001"]
    assert (made.classes, made.kind, made.normalised) == (class_names("ntu")[:60], "ctrgcn", True)
    np.testing.assert_array_equal(made.label, raw.label)
    np.testing.assert_array_equal(made.length, raw.length)
    for index in range(5):
        np.testing.assert_allclose(made.clip(index), raw.clip(index), atol=3e-6)
    assert [list(side) for side in split(made, "split")] == [[0, 1, 2], [3, 4]]


def test_frames_in_which_the_only_body_was_absent_are_empty_again(tmp_path):
    recording = crowd(6, 50, 1)
    recording[:5] = 0
    recording[20:30] = 0
    np.savez(tmp_path / "f.npz", **arrays([recording, recording], 1))
    clip = read(tmp_path / "f.npz").clips[0].read().frames
    assert len(clip) == 50
    np.testing.assert_array_equal(clip[:, 0].any(axis=(1, 2)), recording[:, 0].any(axis=(1, 2)))
    assert not clip[:, 1].any()


def test_joints_that_were_absent_are_told(tmp_path):
    recording = crowd(6, 50, 1)
    np.savez(tmp_path / "f.npz", **arrays([recording, recording], 1))
    assert read(tmp_path / "f.npz").notes == []
    recording[10:14, 0, [3, 7]] = 0
    recording[30, 0, 20] = 0
    np.savez(tmp_path / "f.npz", **arrays([recording, recording], 1))
    assert [note.split(":")[0][:40] for note in read(tmp_path / "f.npz").notes] == [
        "Joints that were absent lie at one point"
    ]


@settings(max_examples=25, deadline=None)
@given(order=st.lists(st.integers(0, 4), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_rows_are_the_same_in_any_order(tmp_path_factory, order, seed):
    values = np.random.default_rng(seed).normal(size=(5, 7, 3)).astype(np.float32)
    file = tmp_path_factory.getbasetemp() / "rows.npz"
    np.savez_compressed(file, x=values)
    rows = NpzRows(file, "x")
    for index in order:
        np.testing.assert_array_equal(rows.read(index), values[index])


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4"])
def test_other_precisions_are_read(tmp_path, dtype):
    held = arrays(RECORDINGS[:2], 1)
    np.savez(tmp_path / "f.npz", **{key: array.astype(dtype) for key, array in held.items()})
    frames = read(tmp_path / "f.npz").clips[0].read().frames
    np.testing.assert_allclose(frames.reshape(40, 150), held["x_train"][0, :40], atol=3e-3)


def test_memory_is_that_of_a_clip_not_of_the_file(tmp_path):
    clip = ctr_clip(crowd(1, 200))
    clips = np.repeat(clip[None], 200, axis=0)
    np.savez_compressed(tmp_path / "f.npz", x_train=clips, y_train=one_hot(np.zeros(200, int)))
    del clips
    tracemalloc.start()
    for one in read(tmp_path / "f.npz").clips:
        assert len(one.read().frames) == 200
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20  # the array has 36 MB
    tracemalloc.stop()


def test_one_part_alone_is_read_and_makes_no_split(tmp_path):
    held = arrays()
    np.savez(tmp_path / "f.npz", x_test=held["x_test"], y_test=held["y_test"])
    index = read(tmp_path / "f.npz")
    assert (len(index.clips), index.protocols, index.bodies) == (2, {}, 2)


@pytest.mark.parametrize("empty", [np.zeros((0, 300, 150), np.float32), np.zeros((0, 0, 150)), np.array([])])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_side_without_clips_is_empty_with_a_word(tmp_path, part, empty):
    np.savez(tmp_path / "f.npz", **arrays() | {f"x_{part}": empty, f"y_{part}": np.zeros((0, 60))})
    index = read(tmp_path / "f.npz")
    assert (len(index.clips), index.protocols, index.bodies) == (2 if part == "train" else 3, {}, 2)
    assert [note.split(",")[0] for note in index.notes] == [f"x_{part} has no clip"]


def test_other_numbers_of_classes_are_numbers(tmp_path):
    np.savez(tmp_path / "f.npz", **arrays(classes=7))
    assert read(tmp_path / "f.npz").classes == tuple("0123456")


def test_an_empty_row_is_a_recording_without_frames(tmp_path):
    held = arrays()
    held["x_train"][1] = 0
    np.savez(tmp_path / "f.npz", **held)
    report = import_recordings("ctrgcn", tmp_path / "f.npz", tmp_path / "store", progress=False)
    assert report.clips == 4
    assert [reason.split(":")[0] for _, reason in report.skipped] == ["missing skeleton"]


X, Y = np.zeros((2, 4, 150), np.float32), one_hot([0, 1])
BAD = [
    ({"frames": X}, "expected x_train, y_train, x_test, y_test as CTR-GCN writes them, got frames"),
    ({"x_train": X}, "expected an array 'y_train' in an .npz"),
    ({"x_train": X, "y_train": Y[:1]}, r"expected y_train \(2, classes\) one-hot, got \(1, 60\)"),
    ({"x_train": X, "y_train": np.arange(2)}, r"y_train as plain rows|y_train \(2, classes\) one-hot"),
    ({"x_train": X, "y_train": 0 * Y}, "a single 1 in row 0 of y_train, got 0"),
    ({"x_train": X, "y_train": Y + 1}, "a single 1 in row 0 of y_train, got 60"),
    ({"x_train": X[..., :140], "y_train": Y}, r"expected x_train \(N, T, M·75\) of floats"),
    ({"x_train": X.reshape(2, 4, 2, 75), "y_train": Y}, r"expected x_train \(N, T, M·75\)"),
    ({"x_train": X.astype(int), "y_train": Y}, r"expected x_train \(N, T, M·75\) of floats"),
    ({"x_train": X, "y_train": Y, "x_test": X[..., :75], "y_test": Y}, "expected as many bodies and classes"),
    ({"x_train": X, "y_train": Y, "x_test": X, "y_test": one_hot([0, 1], 120)}, "expected as many bodies and classes"),
    ({"x_train": np.asfortranarray(X), "y_train": Y}, "expected x_train as plain rows of numbers"),
    ({"x_train": X[:0], "y_train": Y[:0]}, "it holds no clip"),
    ({"x_train": np.array([{}]), "y_train": Y}, "expected x_train as plain rows"),
]


@pytest.mark.parametrize(("held", "message"), BAD)
def test_each_mistake_is_told_in_one_line(tmp_path, held, message):
    np.savez(tmp_path / "f.npz", **held)
    with pytest.raises(DataError, match=message) as told:
        read(tmp_path / "f.npz")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"words" * 100])
def test_what_is_no_archive_is_told(tmp_path, data):
    (tmp_path / "f.npz").write_bytes(data)
    for path in (tmp_path / "f.npz", tmp_path / "none.npz", tmp_path):
        with pytest.raises(DataError, match=r"expected an \.npz file like NTU60_CS"):
            read(path)


def npy(shape, content):
    """A .npy that says it has this shape."""
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + content


@pytest.mark.parametrize("shape", [(10**12, 300, 150), (2, 300, 150), (1, 10**9, 10**9), (-1, 300, 150), (2**70,)])
def test_a_shape_that_lies_about_the_size_is_refused_before_anything_is_read(tmp_path, shape):
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        archive.writestr("x_train.npy", npy(shape, bytes(300 * 150 * 4)))
        archive.writestr("y_train.npy", npy((2, 60), bytes(480)))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"does not fit|plain rows|a shape of|expected an array"):
        read(tmp_path / "f.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_a_zip_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pcm3.data.readers.npz_rows.ALWAYS_FINE", 2**20)
    np.savez_compressed(tmp_path / "f.npz", x_train=np.zeros((20, 300, 150), "f4"), y_train=one_hot([0] * 20))
    with pytest.raises(DataError, match="zip bomb"):
        read(tmp_path / "f.npz")


def test_a_flipped_byte_is_found_by_the_checksum_at_the_last_clip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 255
    file.write_bytes(data)
    assert not _reads(file)


@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.soak)])
def test_many_damaged_files_parse_or_are_refused(tmp_path, count):
    held = arrays([crowd(seed, 4) for seed in range(2)], 1, 5)
    file = tmp_path / "f.npz"
    whole = []
    for save in (np.savez, np.savez_compressed):
        save(file, **held)
        whole.append(file.read_bytes())
    random = np.random.default_rng(2)
    outcomes = {True: 0, False: 0}
    began = time.process_time()
    for number in range(count):
        data = bytearray(whole[number % 2])
        if number % 4 == 0:
            del data[random.integers(len(data)) :]
        else:
            ends = random.random() < 0.7  # the heads of the members and of the archive
            places = random.choice([*range(300), *range(len(data) - 500, len(data))], 3) if ends else [len(data) // 2]
            for place in places:
                data[place] = random.integers(256)
        file.write_bytes(data)
        outcomes[_reads(file)] += 1
    assert time.process_time() - began < 60
    assert min(outcomes.values()) > count // 100


def _reads(file):
    """Whether the file and all its clips can be read; what is read is finite."""
    try:
        for clip in ctr_gcn.index(file, Options()).clips:
            assert np.isfinite(clip.read().frames).all()
    except DataError:
        return False
    return True
