"""Labelled clips and recordings one after another as untrimmed ones."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from pcm3.data.join import join_store
from pcm3.data.protocol import split
from pcm3.data.recording import TEST, TRAIN, UNKNOWN, Changes, Interval, Recording
from pcm3.data.retarget_store import retarget_store
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.data.store_writer import write_store
from pcm3.errors import ConfigError, DataError
from pcm3.skeleton import load_layout
from pcm3.tasks.detection.windows import frame_labels

LAYOUT = load_layout("kinect_v1")
CLASSES = ("wave", "kick", "bow")
PROTOCOLS = {"xsub": {"by": "subject", "train": [1, 3]}, "split": BY_SPLIT}
ABOUT = {"layout": LAYOUT, "fps": 30.0, "bodies": 1, "kind": "own", "classes": CLASSES, "protocols": PROTOCOLS}

INTERVALS = {
    "a": [Interval(10, 20, 0), Interval(31, 40, 0), Interval(40, 50, 0, 2)],
    "b": [Interval(0, 12, 1), Interval(8, 30, 2), Interval(10, 11, 2), Interval(60, 70, 1)],
    "c": [],
    "d": [Interval(2, 60, 2)],
}
"""Of four recordings of sixty to ninety frames, which every person made: actions apart, that touch, that overlap."""
STRETCHES = {"a": [(0, 25), (25, 40), (40, 60)], "b": [(0, 45), (45, 70)], "c": [(0, 80)], "d": [(0, 90)]}
"""Cut midway between the actions, by hand."""


def untrimmed(**changes):
    """Three people's four recordings; in frame f of the store the first joint is at (f + 1, ·, ·)."""
    made, first = [], 1
    for person in (3, 1, 2):
        for name, intervals in INTERVALS.items():
            frames = np.ones((STRETCHES[name][-1][1], 1, 20, 3), np.float32)
            frames[:, 0, 0, 0] = np.arange(first, first + len(frames))
            first += len(frames)
            side = {"split": TEST if person == 2 else TRAIN}
            scores = 1 / frames[..., 0]
            known = {"subject": person, "splits": side, "scores": scores, "changes": Changes(0, 0, person, 7)}
            made.append(Recording(f"{name}{person}", frames, **known, intervals=tuple(intervals)))
    return [replace(recording, **changes) for recording in made]


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "recordings", untrimmed(), **ABOUT)


def numbers(store):
    """What frame of the store that was joined every frame is."""
    return store.frames[:, 0, 0, 0].astype(int) - 1


def pieces_of(joined):
    """The pieces of each recording, as (first, last) frames of the store that was joined."""
    pieces = []
    for start, length in zip(joined.recordings.start, joined.recordings.length, strict=True):
        frames = numbers(joined)[start : start + length]
        parts = np.split(frames, np.flatnonzero(np.diff(frames) != 1) + 1)
        pieces.append([(int(part[0]), int(part[-1])) for part in parts])
    return pieces


def test_every_frame_is_there_once_as_it_was_and_shows_what_it_showed(store, tmp_path):
    joined = join_store(store, tmp_path / "joined", pieces=3)
    place = numbers(joined)
    assert sorted(place) == list(range(len(store.frames)))
    np.testing.assert_array_equal(joined.frames, store.frames[place])
    np.testing.assert_array_equal(joined.scores, store.scores[place])
    np.testing.assert_array_equal(frame_labels(joined), frame_labels(store)[place])
    names = list(store.ids)
    assert sorted(joined.ids) == sorted(names)
    for index, name in enumerate(joined.ids):
        source = names.index(name)
        np.testing.assert_array_equal(joined.clip(index), store.clip(source))
        for column in ("label", "confidence", "subject"):
            assert getattr(joined, column)[index] == getattr(store, column)[source]
    for column in ("cut", "dropped", "absent", "filled"):
        assert getattr(joined.recordings, column).sum() == getattr(store.recordings, column).sum()


def test_recordings_are_cut_midway_between_actions_and_never_in_one(store, tmp_path):
    joined = join_store(store, tmp_path / "joined", pieces=1)
    first = dict(zip(store.recordings.ids, store.recordings.start, strict=True))
    expected = [
        (int(first[name]) + start, int(first[name]) + stop - 1) for name in first for start, stop in STRETCHES[name[0]]
    ]
    assert sorted(piece for (piece,) in pieces_of(joined)) == sorted(expected)


@pytest.mark.parametrize("pieces", [1, 2, 3, 5, 100])
def test_people_are_never_mixed_and_protocols_split_as_they_did(store, tmp_path, pieces):
    joined = join_store(store, tmp_path / "joined", pieces=pieces)
    subject = np.repeat(store.recordings.subject, store.recordings.length)
    there = np.repeat(joined.recordings.subject, joined.recordings.length)
    np.testing.assert_array_equal(there, subject[numbers(joined)])
    assert joined.protocols == store.protocols
    for protocol in PROTOCOLS:
        for mine, its in zip(split(joined, protocol), split(store, protocol), strict=True):
            assert set(joined.ids[mine]) == set(store.ids[its])
    counts = {person: [] for person in (1, 2, 3)}
    for person, parts in zip(joined.recordings.subject, pieces_of(joined), strict=True):
        counts[int(person)].append(len(parts))
    for of in counts.values():  # fewer where two that followed each other do so again
        assert max(of) <= pieces
        assert len(of) == -(-7 // pieces)


def test_pieces_meet_only_where_camera_and_sides_are_one(tmp_path):
    made = untrimmed()
    made = [replace(each, camera=1 + number % 2) for number, each in enumerate(made)]
    made[0] = replace(made[0], splits={})
    store = write_store(tmp_path / "recordings", made, **ABOUT)
    joined = join_store(store, tmp_path / "joined", pieces=100)
    keys = [(person, camera) for person in (1, 2, 3) for camera in (1, 2)] + [(3, 1)]
    assert sorted(zip(joined.recordings.subject, joined.recordings.camera, strict=True)) == sorted(keys)
    assert sorted(joined.recordings.ids)[-3:] == [
        "subject3-camera1-001", "subject3-camera1-002", "subject3-camera2-001",
    ]  # fmt: skip
    unknown = joined.recordings.splits["split"] == UNKNOWN
    assert int(joined.recordings.length[unknown].sum()) == len(made[0].frames)


def test_clips_are_taken_whole(tmp_path, recordings, write_tiny):
    clips = write_tiny(tmp_path / "clips", [replace(clip, changes=Changes(2, 1, 0, 0)) for clip in recordings])
    joined = join_store(clips, tmp_path / "joined", pieces=4)
    assert sorted(joined.ids) == sorted(clips.ids)
    names = list(clips.ids)
    for index, name in enumerate(joined.ids):
        np.testing.assert_array_equal(joined.clip(index), clips.clip(names.index(name)))
    assert len(joined.frames) == len(clips.frames)
    assert joined.recordings.cut.sum() == 2 * len(clips)
    assert joined.kind == "npz-joined"
    assert joined.preparation["joined"] == {"from": clips.checksum, "pieces": 4, "seed": 0}
    assert joined.report["notes"] == [
        f"{len(clips) - len(joined.recordings)} of 24 actions begin where another ends, without a frame of background "
        "between: detection takes such for one action"
    ]


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def test_the_seed_alone_tells_the_order(store, tmp_path):
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        join_store(store, tmp_path / name, pieces=3, seed=seed)
    assert content(tmp_path / "one") == content(tmp_path / "again")
    assert content(tmp_path / "one")["frames.npy"] != content(tmp_path / "other")["frames.npy"]
    for name in ("one", "other"):
        pieces = [piece for parts in pieces_of(ClipStore.open(tmp_path / name)) for piece in parts]
        assert pieces != sorted(pieces), "as they were"


SCRIPT = """
import sys, time
from pathlib import Path
from pcm3.data.join import join_store
from pcm3.data.store import ClipStore
from pcm3.data.store_writer import StoreWriter
add = StoreWriter.add
def stopping(writer, recording):
    add(writer, recording)
    Path(sys.argv[3]).touch()
    time.sleep(60)
StoreWriter.add = stopping
join_store(ClipStore.open(sys.argv[1]), sys.argv[2], pieces=2)
"""


def test_killed_and_run_again_it_leaves_the_store_alone(store, tmp_path):
    begun, place = tmp_path / "begun", tmp_path / "place"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, store.path, place / "joined", begun])
    while process.poll() is None and not begun.exists():
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert begun.exists()
    assert not (place / "joined").exists()
    assert any(place.iterdir()), "it had begun"
    join_store(store, place / "joined", pieces=2)
    join_store(store, tmp_path / "whole", pieces=2)
    assert content(place / "joined") == content(tmp_path / "whole")
    assert [entry.name for entry in place.iterdir()] == ["joined"]


def test_what_is_left_out_is_told(tmp_path):
    made = untrimmed()
    made[0] = replace(made[0], subject=UNKNOWN)
    nameless = (*made[1].intervals[:2], Interval(10, 11), made[1].intervals[3])
    made[1] = replace(made[1], intervals=nameless)
    store = write_store(tmp_path / "recordings", made, **ABOUT)
    joined = join_store(store, tmp_path / "joined")
    assert joined.report["left_out"] == [
        ["a3", "its person is not known"],
        ["b3:0-11", "overlaps one without a class"],
        ["b3:8-29", "overlaps one without a class"],
        ["b3:10-10", "no class"],
    ]
    assert sorted([*joined.ids, "b3:0-11", "b3:8-29", "b3:10-10"]) == sorted(
        name for name in store.ids if not name.startswith("a3")
    )
    assert len(joined.frames) == len(store.frames) - 60 - 45
    assert joined.recordings.filled.sum() == 7 * 11, "of the recording of which a piece is left, too"


def test_without_people_or_classes_nothing_is_written(tmp_path):
    for changes, reason in (
        ({"subject": UNKNOWN}, "a3: its person is not known"),
        ({"label": UNKNOWN}, "d3: no class"),
    ):
        made = untrimmed(**changes) if "subject" in changes else untrimmed(intervals=None)[3:]
        store = write_store(tmp_path / "recordings", made, overwrite=True, **ABOUT)
        with pytest.raises(DataError, match=f"expected actions with a class and a person .* got none: {reason}"):
            join_store(store, tmp_path / "joined")
    for wrong in ({"pieces": 0}, {"seed": -1}, {"pieces": 10**6}):
        with pytest.raises(ConfigError, match=f"setting {next(iter(wrong))}: expected"):
            join_store(store, tmp_path / "joined", **wrong)
    assert not (tmp_path / "joined").exists()


def test_clips_keep_their_names_in_another_layout(store, tmp_path):
    joined = join_store(store, tmp_path / "joined")
    retarget_store(joined, tmp_path / "other", load_layout("kinect_v2"))
    assert list(ClipStore.open(tmp_path / "other").ids) == list(joined.ids)


def test_the_command_tells_what_it_made(store, cli, tmp_path):
    out = tmp_path / "joined"
    found = cli("join", store.path, "--out", out, "--pieces", "2", "--json")
    assert found.code == 0, found.err
    assert "24 actions of 3 people in 12 untrimmed recordings, 900 frames" in found.out
    assert "xsub: 16 clips train, 8 test" in found.out
    assert "left out: nothing" in found.out
    assert (found.json["clips"], found.json["recordings"], found.json["left_out"]) == (24, 12, 0)
    about = cli("info", out)
    assert "joined, up to 2 pieces a recording, seed 0" in about.out
    assert "nothing when joined" in about.out
    for words, told in (
        ((store.path, "--out", out), "already exists"),
        ((store.path, "--out", store.path, "--overwrite", "true"), "expected another place"),
        ((store.path, "--out", tmp_path / "new", "--pieces", "0"), "setting pieces: expected at least 1, got 0"),
        ((store.path, "--out", tmp_path / "new", "--seed", "-1"), "setting seed: expected at least 0, got -1"),
        ((tmp_path / "nothing", "--out", tmp_path / "new"), "expected a store"),
    ):
        wrong = cli("join", *words)
        assert (wrong.code, len(wrong.err.splitlines())) == (2, 1)
        assert told in wrong.err
    assert not (tmp_path / "new").exists()


def test_where_nothing_can_be_joined_it_is_told_where_labels_and_people_come_from(tmp_path):
    store = write_store(tmp_path / "nobody", untrimmed(subject=UNKNOWN), **ABOUT)
    with pytest.raises(DataError, match=r"its person is not known \(pcm3 import takes both from --labels or --pattern"):
        join_store(store, tmp_path / "joined")
