"""Frames that come one at a time: at another rate as recordings are, held over gaps, bodies in their places."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers

from pcm3.data.live.clock import Clock, TimedFrame
from pcm3.data.live.incoming import IncomingFrames
from pcm3.data.live.pose import LivePose
from pcm3.data.live.start import Preparation
from pcm3.data.recording import Recording
from pcm3.data.resample import resample
from pcm3.skeleton import load_layout

KINECT1 = load_layout("kinect_v1")


def pose_of(bodies=1, normalise=True, up="y"):
    return LivePose(Preparation(KINECT1, bodies, 30.0, normalise, "upright", up))


def prepared(pose, recording):
    """All frames that come out."""
    made = []
    for number, frame in enumerate(recording):
        made += pose.push(TimedFrame(number / 30, frame, anew=number == 0))
    return np.stack(made)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([15.0, 24.0, 29.97, 30.0, 50.0, 60.0, 120.0]), st.integers(1, 40), st.integers(0, 99))
def test_ticks_are_the_frames_of_the_resampled_recording(fps, count, seed):
    rng = np.random.default_rng(seed)
    frames = rng.normal(size=(count, 2, 3, 3)).astype(np.float32) * (rng.random((count, 2, 3, 1)) < 0.7)
    frames = frames.astype(np.float32)
    clock, ticks = Clock(fps, 30.0), []
    for frame in frames:
        ticks += clock.push(frame)
    expected = resample(Recording("r", frames), 30.0 / fps).frames
    assert len(ticks) == len(expected)
    np.testing.assert_allclose([tick.frame for tick in ticks], expected, atol=1e-5)
    assert [tick.time for tick in ticks] == pytest.approx([k / 30 for k in range(len(ticks))])
    assert [tick.anew for tick in ticks] == [True] + [False] * (len(ticks) - 1)


def test_a_joint_that_is_absent_is_held_beside_its_body_for_half_a_second_and_then_is_absent():
    recording = np.repeat(walkers(0, 1, 1, 20), 80, axis=0)
    recording += np.arange(80, dtype=np.float32)[:, None, None, None] * [0.02, 0, 0.01]
    recording = recording.astype(np.float32)
    whole = prepared(pose_of(), recording)
    hand = 11
    recording[40:70, 0, hand] = 0
    made = prepared(pose_of(), recording)
    np.testing.assert_allclose(made[40:55, 0, hand], whole[40:55, 0, hand], atol=1e-5)
    assert not made[55:70, 0, hand].any()
    np.testing.assert_allclose(made[70:], whole[70:], atol=1e-6)
    recording[40:70, 0, KINECT1.centre] = 0
    made = prepared(pose_of(), recording)
    np.testing.assert_allclose(made[40:55], whole[40:55], atol=1e-5)


def test_who_leaves_is_gone_at_once_and_who_waits_takes_the_place():
    recording = walkers(1, 60, 3, 20)
    recording[45:, 0] = 0
    made = prepared(pose_of(bodies=2, normalise=False), recording)
    np.testing.assert_array_equal(made[:45], recording[:45, :2])
    np.testing.assert_array_equal(made[45:, 0], recording[45:, 2])
    np.testing.assert_array_equal(made[45:, 1], recording[45:, 1])
    alone = recording[:, :1].copy()
    made = prepared(pose_of(bodies=2), alone)
    assert not made[45:].any()
    assert not made[:, 1].any()


def test_names_of_the_layout_itself_need_no_plan_and_missing_ones_are_absent():
    frames = IncomingFrames(KINECT1, None)
    named = {name: [float(place), 1.0, 2.0] for place, name in enumerate(KINECT1.joints[:7])}
    made = frames(named)
    assert made.shape == (1, 20, 3)
    assert made[0, :7, 0].tolist() == list(range(7))
    assert not made[0, 7:].any()
    assert frames([]).shape == (1, 20, 3)
    assert frames([named, {}, named]).any(axis=(1, 2)).tolist() == [True, False, True]
