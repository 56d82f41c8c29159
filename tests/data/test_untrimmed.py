"""Untrimmed recordings on their way into a store: whole, with their actions as clips, or cut into them."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ntu_file_text import walkers

from pcm3 import normalisation
from pcm3.data import datasets as kinds
from pcm3.data.importer import import_recordings
from pcm3.data.info import describe
from pcm3.data.prepare import MISSING, Recipe, prepare
from pcm3.data.recording import Interval, Recording, cut_into_clips
from pcm3.data.source_index import SourceClip, SourceIndex
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")
RECIPE = Recipe(KINECT, 2)


def long_recording(seed=0, frames=400, intervals=((10, 60, 0), (300, 390, 1)), **known):
    """Somebody who is alone up to frame 200, when another comes."""
    joints = walkers(seed, frames, 2)
    joints[:200, 0] = 0
    marked = tuple(Interval(*interval) for interval in intervals)
    return Recording(f"r{seed}", joints, subject=seed, camera=1, intervals=marked, **known)


def slow_normalised(frames, layout):
    """Centre and turn, joint by joint, from the docstring."""
    result = np.zeros(frames.shape)
    rotation = None
    for t, frame in enumerate(frames.astype(np.float64)):
        here = [body for body in frame if body.any()]
        if not here:
            continue
        centre = here[0][layout.centre]
        if rotation is None:
            pose = here[0] - centre
            onto_z = normalisation.rotation_between(pose[layout.up[1]] - pose[layout.up[0]], np.array([0.0, 0.0, 1.0]))
            across = onto_z @ (pose[layout.across[1]] - pose[layout.across[0]])
            rotation = normalisation.rotation_between(across, np.array([1.0, 0.0, 0.0])) @ onto_z
        for m, body in enumerate(frame):
            for v, joint in enumerate(body):
                result[t, m, v] = rotation @ (joint - centre) if joint.any() else 0
    return result


def test_no_frame_of_an_untrimmed_recording_is_moved_or_cut():
    recording = long_recording()
    (prepared,) = prepare(recording, Recipe(KINECT, 2, normalise=False))
    assert prepared.intervals == recording.intervals
    # The one who is there throughout comes first.
    np.testing.assert_array_equal(prepared.frames, recording.frames[:, ::-1])


def test_an_untrimmed_recording_is_centred_on_whoever_is_there():
    recording = long_recording()
    recording.frames[:5] = 0
    recording.frames[300:320, 1] = 0
    (prepared,) = prepare(recording, RECIPE)
    slow = slow_normalised(recording.frames[:, ::-1], KINECT)
    np.testing.assert_allclose(prepared.frames, slow, atol=2e-6)
    assert not prepared.frames[:5].any()
    assert np.abs(prepared.frames[250, 0, KINECT.centre]).max() < 1e-6
    assert np.abs(prepared.frames[310, 1, KINECT.centre]).max() < 1e-6


def test_trimmed_actions_are_prepared_as_any_clip():
    recording = long_recording()
    clips = prepare(recording, Recipe(KINECT, 2, trim=True))
    assert [clip.id for clip in clips] == ["r0:10-59", "r0:300-389"]
    for clip, interval in zip(clips, recording.intervals, strict=True):
        alone = Recording(clip.id, recording.frames[interval.start : interval.stop], interval.label, 0, 1)
        np.testing.assert_array_equal(clip.frames, prepare(alone, RECIPE)[0].frames)
        assert (clip.label, clip.subject, clip.intervals) == (interval.label, 0, None)


def test_an_action_in_which_nobody_is_there_is_no_clip():
    recording = long_recording()
    recording.frames[300:] = 0
    prepared, lost = prepare(recording, RECIPE)
    assert (prepared.intervals, lost) == (recording.intervals[:1], "r0:300-389")
    assert prepare(recording, Recipe(KINECT, 2, trim=True))[1] == "r0:300-389"
    recording.frames[:] = 0
    assert prepare(recording, RECIPE) == ["r0"]


def test_cutting_keeps_what_is_known():
    clip = cut_into_clips(long_recording(3, splits={"xsub": 1}))[1]
    assert (clip.subject, clip.camera, clip.splits, clip.label, len(clip.frames)) == (3, 1, {"xsub": 1}, 1, 90)


@pytest.fixture
def kind(monkeypatch):
    """A kind of three long recordings: the second has no action, the third one without anybody and one row too bad."""
    empty = long_recording(2, splits={"xsub": 1})
    empty.frames[300:] = 0
    made = [
        long_recording(0, splits={"xsub": 0}),
        long_recording(1, intervals=(), splits={"xsub": 1}),
        Recording(**{**vars(empty), "lost": (("r2.txt line 3", "ends before it begins"),)}),
    ]
    clips = [SourceClip(one.id, one.id, partial(lambda one: one, one)) for one in made]
    index = SourceIndex(clips, protocols={"xsub": BY_SPLIT}, notes=["labels are guesses"], in_process=True)
    monkeypatch.setitem(
        kinds.DATASETS, "long", kinds.Dataset(lambda source, options: index, "kinect_v2", 30.0, 2, ("a", "b"))
    )
    return "long"


def test_a_store_of_untrimmed_recordings_serves_clips_and_recordings(kind, tmp_path):
    report = import_recordings(kind, Path(__file__), tmp_path / "s", progress=False)
    store = ClipStore.open(tmp_path / "s")
    assert (report.clips, report.recordings, report.notes) == (3, 3, ["labels are guesses"])
    assert report.skipped == [("r2 (r2.txt line 3)", "ends before it begins"), ("r2 (r2:300-389)", MISSING)]
    assert store.ids.tolist() == ["r0:10-59", "r0:300-389", "r2:10-59"]
    assert store.recordings.ids.tolist() == ["r0", "r1", "r2"]
    assert store.recordings.length.tolist() == [400, 400, 400]
    np.testing.assert_array_equal(store.clip(1), store.recordings.clip(0)[300:390])
    held = describe(store)
    assert (held["untrimmed"], held["recordings"], held["clips"]) == (True, 3, 3)
    assert held["protocols"] == {"xsub": {"train": 2, "test": 1, "neither": 0}}


def test_a_trimmed_store_of_the_same_holds_clips_alone(kind, tmp_path):
    report = import_recordings(kind, Path(__file__), tmp_path / "s", trim=True, progress=False)
    store = ClipStore.open(tmp_path / "s")
    assert (report.clips, store.recordings) == (3, None)
    assert store.ids.tolist() == ["r0:10-59", "r0:300-389", "r2:10-59"]
    assert store.length.tolist() == [50, 90, 50]
    assert ("r2 (r2:300-389)", MISSING) in report.skipped
