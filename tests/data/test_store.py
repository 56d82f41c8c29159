import errno
import io
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers

from pcm3 import files
from pcm3.data.protocol import split
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.data.store_writer import store_writer, write_store
from pcm3.errors import DataError, RunFailed
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")
ABOUT = {"layout": KINECT, "fps": 30.0, "bodies": 2, "kind": "ntu60", "classes": ["walk", "run"]}


def recordings(count=3):
    return [
        Recording(
            f"clip{i}", walkers(i, 4 + i, 2), label=i % 2, subject=i, camera=1, setup=i + 1, splits={"split": i % 2}
        )
        for i in range(count)
    ]


def names_beside(path):
    return sorted(entry.name for entry in path.parent.iterdir())


def test_what_is_written_is_what_is_read(tmp_path):
    clips = recordings()
    clips[1].frames[:, 1] = 0
    protocols = {"xsub": {"by": "subject", "train": [0]}}
    store = write_store(tmp_path / "s", clips, protocols=protocols, **ABOUT)
    assert len(store) == 3
    for index, clip in enumerate(clips):
        np.testing.assert_array_equal(store.clip(index), clip.frames)
        for name in ("label", "subject", "camera", "setup", "confidence"):
            assert getattr(store, name)[index] == getattr(clip, name)
        assert store.splits["split"][index] == clip.splits["split"]
    assert store.ids.tolist() == ["clip0", "clip1", "clip2"]
    assert store.start.tolist() == [0, 4, 9]
    assert store.length.tolist() == [4, 5, 6]
    assert store.bodies.tolist() == [[True, True], [True, False], [True, True]]
    assert store.frames.shape == (15, 2, 25, 3)
    assert (store.layout, store.fps, store.classes, store.kind) == (KINECT, 30.0, ("walk", "run"), "ntu60")
    assert (store.protocols, store.normalised) == (protocols, True)
    assert store.report == {"clips": 3, "left_out": []}


def test_frames_are_a_plain_npy_file_that_anyone_can_open(tmp_path):
    store = write_store(tmp_path / "s", recordings(), **ABOUT)
    frames = np.load(tmp_path / "s" / "frames.npy")
    np.testing.assert_array_equal(frames, store.frames)
    assert frames.dtype == np.float32
    with np.load(tmp_path / "s" / "clips.npz") as clips:
        assert {"start", "length", "label", "subject", "camera", "setup", "bodies", "id"} <= set(clips.files)


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), bodies=st.integers(1, 3), half=st.booleans())
def test_any_lengths_and_bodies_round_trip(tmp_path_factory, lengths, bodies, half):
    clips = [Recording(f"é{i}", walkers(i, length, bodies)) for i, length in enumerate(lengths)]
    dtype = "float16" if half else "float32"
    path = tmp_path_factory.mktemp("any") / "s"
    store = write_store(path, clips, layout=KINECT, fps=15.0, bodies=bodies, kind="npz", dtype=dtype)
    for index, clip in enumerate(clips):
        np.testing.assert_array_equal(store.clip(index), clip.frames.astype(dtype))
        assert store.clip(index).dtype == np.float32
    assert store.ids.tolist() == [clip.id for clip in clips]


def test_a_clip_is_a_copy_and_the_store_cannot_be_written_through(tmp_path):
    store = write_store(tmp_path / "s", recordings(), **ABOUT)
    store.clip(0)[:] = 0
    assert store.clip(0).any()
    assert not store.frames.flags.writeable
    np.testing.assert_array_equal(store.clip(-1), store.clip(2))
    with pytest.raises(IndexError, match="clip 3 of a store of 3"):
        store.clip(3)


def test_same_content_same_checksum_and_same_bytes(tmp_path):
    one = write_store(tmp_path / "one", recordings(), **ABOUT)
    two = write_store(tmp_path / "two", recordings(), **ABOUT)
    other = write_store(tmp_path / "other", recordings(2), **ABOUT)
    assert one.checksum == two.checksum != other.checksum
    for name in ("frames.npy", "clips.npz", "store.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_opening_reads_no_frames(tmp_path):
    long = [Recording(f"c{i}", walkers(0, 1, 1)) for i in range(20_000)]
    path = tmp_path / "s"
    write_store(path, long, layout=KINECT, fps=30.0, bodies=1, kind="npz")
    took = []
    for _ in range(5):
        began = time.process_time()
        ClipStore.open(path)
        took.append(time.process_time() - began)
    assert min(took) < 0.05


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.ones((3, 1, 25, 3)), r"clip0: expected frames \(T, 2, 25, 3\), T > 0, got \(3, 1, 25, 3\)"),
        (np.ones((0, 2, 25, 3)), "got"),
        (np.full((3, 2, 25, 3), np.nan), "not finite in float16"),
        (np.full((3, 2, 25, 3), 1e5), "not finite in float16"),
    ],
)
def test_clips_that_do_not_fit_are_refused_and_nothing_stays(tmp_path, frames, message):
    clip = Recording("clip0", frames.astype(np.float32))
    with pytest.raises(DataError, match=message):
        write_store(tmp_path / "s", [clip], dtype="float16", **ABOUT)
    assert names_beside(tmp_path / "s") == []


def test_a_store_of_nothing_or_of_another_precision_is_refused(tmp_path):
    with pytest.raises(DataError, match="no clip to store"):
        write_store(tmp_path / "s", [], **ABOUT)
    with pytest.raises(DataError, match="expected dtype float32 or float16, got 'int8'"):
        write_store(tmp_path / "s", recordings(), dtype="int8", **ABOUT)


def test_an_existing_store_is_replaced_only_when_told(tmp_path):
    path = tmp_path / "s"
    write_store(path, recordings(3), **ABOUT)
    with pytest.raises(DataError, match="already exists"):
        write_store(path, recordings(1), **ABOUT)
    assert len(ClipStore.open(path)) == 3
    assert len(write_store(path, recordings(1), overwrite=True, **ABOUT)) == 1
    assert names_beside(path) == ["s"]


def test_replacing_a_link_to_a_store_keeps_what_it_led_to(tmp_path):
    (tmp_path / "there").mkdir()
    write_store(tmp_path / "there" / "real", recordings(3), **ABOUT)
    path = tmp_path / "s"
    path.symlink_to(tmp_path / "there" / "real")
    assert len(write_store(path, recordings(1), overwrite=True, **ABOUT)) == 1
    assert len(ClipStore.open(tmp_path / "there" / "real")) == 3
    assert names_beside(path) == ["s", "there"]


def test_a_folder_that_is_no_store_is_never_overwritten(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("cat")
    with pytest.raises(DataError, match="is not a store, so it will not be overwritten"):
        write_store(tmp_path / "photos", recordings(), overwrite=True, **ABOUT)
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "cat"


def test_an_error_half_way_leaves_the_old_store(tmp_path):
    path = tmp_path / "s"
    before = write_store(path, recordings(3), **ABOUT).checksum

    def interrupted():
        yield from recordings(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(path, interrupted(), overwrite=True, **ABOUT)
    assert ClipStore.open(path).checksum == before
    assert names_beside(path) == ["s"]


class FullDisk(io.FileIO):
    """A file on a disk with room for so many bytes."""

    room = 2000

    def write(self, data):
        if self.tell() + memoryview(data).nbytes > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_a_full_disk_leaves_the_old_store(tmp_path, monkeypatch):
    path = tmp_path / "s"
    before = write_store(path, recordings(3), **ABOUT).checksum
    opened = Path.open

    def open_full(self, mode="r", *rest, **named):
        return FullDisk(self, "wb") if mode == "wb" else opened(self, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(RunFailed, match="No space left on device"):
        write_store(path, recordings(3), overwrite=True, **ABOUT)
    monkeypatch.undo()
    assert ClipStore.open(path).checksum == before
    assert names_beside(path) == ["s"]


def test_a_full_disk_at_the_very_end_leaves_the_old_store(tmp_path, monkeypatch):
    path = tmp_path / "s"
    before = write_store(path, recordings(3), **ABOUT).checksum

    def no_room(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(RunFailed, match="No space left on device"):
        write_store(path, recordings(2), overwrite=True, **ABOUT)
    assert ClipStore.open(path).checksum == before
    assert names_beside(path) == ["s"]


def test_a_rename_that_fails_puts_the_old_store_back(tmp_path, monkeypatch):
    path = tmp_path / "s"
    before = write_store(path, recordings(3), **ABOUT).checksum
    rename = Path.rename

    def fails_for_new(self, target):
        if self.name.endswith(files.PARTIAL):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_for_new)
    with pytest.raises(DataError, match="Input/output error"):
        write_store(path, recordings(2), overwrite=True, **ABOUT)
    assert ClipStore.open(path).checksum == before
    assert names_beside(path) == ["s"]


def test_what_killed_writers_left_is_removed_and_what_live_ones_write_is_not(tmp_path):
    path = tmp_path / "s"
    dead = tmp_path / f".s.12345678{files.PARTIAL}"
    other = tmp_path / f".t.12345678{files.PARTIAL}"
    dead.mkdir()
    other.mkdir()
    (dead / "frames.npy").write_bytes(b"half")
    with store_writer(path, **ABOUT) as writer:
        live = [name for name in names_beside(path) if name.startswith(".s.") and name.endswith(files.PARTIAL)]
        assert len(live) == 1
        writer.add(recordings(1)[0])
        write_store(path, recordings(2), **ABOUT)  # another one, meanwhile, into the same place
        assert set(live) < set(names_beside(path))
        assert dead.name not in names_beside(path)
        (path / "store.json").unlink()
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    assert names_beside(path) == [other.name, "s"]
    assert len(ClipStore.open(path)) == 1


def test_a_kill_between_the_two_renames_is_mended_by_the_next_writer(tmp_path):
    path = tmp_path / "s"
    before = write_store(path, recordings(3), **ABOUT).checksum
    path.rename(tmp_path / f".s{files.REPLACED}")
    with pytest.raises(DataError, match="already exists"):
        write_store(path, recordings(1), **ABOUT)
    assert ClipStore.open(path).checksum == before


@pytest.fixture
def stored(tmp_path):
    write_store(tmp_path / "s", recordings(), **ABOUT)
    return tmp_path / "s"


def edit(path, **changes):
    file = path / "store.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def cut(path, keep=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def swap_clips(path):
    with np.load(path / "clips.npz") as archive:
        columns = dict(archive)
    np.savez(path / "clips.npz", **(columns | {"start": columns["start"][::-1]}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: edit(path, format=4), "written by a newer pcm3: format 4, this one reads up to 3; update pcm3"),
        (lambda path: (path / "store.json").unlink(), "not a store: it has no store.json"),
        (lambda path: (path / "store.json").rename(path / "model.json"), "expected a store, got a model"),
        (lambda path: (path / "store.json").write_text("{"), "the store is damaged"),
        (lambda path: (path / "store.json").write_text("[]"), "the store is damaged"),
        (lambda path: (path / "store.json").write_text("{}"), "the store is damaged"),
        (lambda path: edit(path, layout={}), "the store is damaged"),
        (lambda path: edit(path, layout=load_layout("kinect_v1").to_dict()), "for 20 joints"),
        (lambda path: edit(path, fps=None), "the store is damaged"),
        (lambda path: cut(path / "frames.npy"), "the store is damaged"),
        (lambda path: cut(path / "frames.npy", 0.001), "the store is damaged"),
        (lambda path: cut(path / "clips.npz"), "the store is damaged"),
        (lambda path: (path / "frames.npy").unlink(), "the store is damaged"),
        (
            lambda path: np.save(path / "frames.npy", np.zeros((2, 2, 25, 3), np.float32)),
            "2 frames for 3 recordings of 15",
        ),
        (swap_clips, "recordings that do not follow one another"),
    ],
)
def test_each_damage_is_one_clear_error(stored, harm, message):
    harm(stored)
    with pytest.raises(DataError, match=message) as caught:
        ClipStore.open(stored)
    assert str(stored) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folders_and_files_are_told_apart(tmp_path, stored):
    with pytest.raises(DataError, match="there is no such folder"):
        ClipStore.open(tmp_path / "nowhere")
    with pytest.raises(
        DataError, match=r"expected a store, got a file: `pcm3 import auto .*frames.npy STORE` makes one"
    ):
        ClipStore.open(stored / "frames.npy")


def test_a_pickle_in_a_store_is_not_loaded(stored):
    np.save(stored / "frames.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="damaged"):
        ClipStore.open(stored)


def untrimmed(name, seed, *ranges):
    intervals = tuple(Interval(start, stop, label, 2) for start, stop, label in ranges)
    return Recording(name, walkers(seed, 20, 2), subject=seed, camera=1, splits={"xsub": seed % 2}, intervals=intervals)


def test_clips_of_untrimmed_recordings_are_views_on_their_intervals(tmp_path):
    made = [untrimmed("a", 0, (2, 9, 1), (9, 20, 0)), untrimmed("b", 1), untrimmed("c", 2, (0, 5, 1), (0, 5, 0))]
    store = write_store(tmp_path / "s", made, protocols={"xsub": BY_SPLIT}, **ABOUT)
    assert store.ids.tolist() == ["a:2-8", "a:9-19", "c:0-4", "c:0-4.2"]
    assert store.label.tolist() == [1, 0, 1, 0]
    assert store.recording.tolist() == [0, 0, 2, 2]
    assert store.confidence.tolist() == [2, 2, 2, 2]
    np.testing.assert_array_equal(store.clip(1), made[0].frames[9:20])
    np.testing.assert_array_equal(store.clip(3), made[2].frames[:5])
    whole = store.recordings
    assert (len(whole), whole.ids.tolist(), whole.length.tolist()) == (3, ["a", "b", "c"], [20, 20, 20])
    np.testing.assert_array_equal(whole.clip(1), made[1].frames)
    assert store.splits["xsub"].tolist() == [0, 0, 0, 0]
    assert [side.tolist() for side in split(whole, "xsub")] == [[0, 2], [1]]
    assert set(store.checksums) == {"frames.npy", "clips.npz", "recordings.npz"}


def test_a_store_holds_trimmed_or_untrimmed_recordings_not_both(tmp_path):
    with pytest.raises(DataError, match="all recordings of a store trimmed, or all untrimmed"):
        write_store(tmp_path / "s", [untrimmed("a", 0, (0, 5, 1)), recordings()[0]], **ABOUT)
    with pytest.raises(DataError, match="all recordings of a store trimmed, or all untrimmed"):
        write_store(tmp_path / "s", [recordings()[0], untrimmed("a", 0, (0, 5, 1))], **ABOUT)
    with pytest.raises(DataError, match="a:15-20: expected an interval of the 20 frames"):
        write_store(tmp_path / "s", [untrimmed("a", 0, (15, 21, 1))], **ABOUT)


def test_intervals_that_leave_their_recording_are_damage(tmp_path):
    store = write_store(tmp_path / "s", [untrimmed("a", 0, (2, 9, 1)), untrimmed("b", 1, (2, 9, 1))], **ABOUT)
    with np.load(store.path / "clips.npz") as archive:
        columns = dict(archive)
    np.savez(store.path / "clips.npz", **columns | {"start": columns["start"] + 18})
    with pytest.raises(DataError, match="clips that are not inside their recordings"):
        ClipStore.open(store.path)


def test_a_store_of_the_first_format_still_opens(tmp_path):
    store = write_store(tmp_path / "s", recordings(), protocols={"split": BY_SPLIT}, **ABOUT)
    with np.load(store.path / "clips.npz") as archive:
        columns = dict(archive)
    old = {name: columns[name] for name in ("id", "start", "length", "bodies", "label", "subject", "camera", "setup")}
    np.savez(store.path / "clips.npz", **old, side=columns["side_split"])
    edit(store.path, format=1)
    opened = ClipStore.open(store.path)
    assert [side.tolist() for side in split(opened, "split")] == [[0, 2], [1]]
    assert opened.recordings is None
    assert (opened.confidence == -1).all()
