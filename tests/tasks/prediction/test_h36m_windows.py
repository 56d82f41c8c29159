"""The windows on which results on Human3.6M are published."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.data.recording import Recording
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.settings.pretrain import PretrainSettings
from pcm3.settings.tasks import PredictionSettings, TaskSettings
from pcm3.tasks.prediction.evaluate import zero_velocity
from pcm3.tasks.prediction.h36m_windows import h36m_windows
from pcm3.tasks.prediction.windows import MotionBank
from pcm3.tasks.setup import Setup
from pcm3.tasks.task_table import TASKS
from pcm3.train.plan import spec_for

PUBLISHED = {
    "walking": ((1500, 1261), [[1087, 1145, 660, 201], [955, 332, 304, 54]]),
    "eating": ((1638, 1166), [[1426, 1087, 1329, 1145], [374, 156, 955, 332]]),
    "posing": ((1123, 943), [[402, 63, 835, 955], [374, 156, 305, 121]]),
}
"""Frames at 25 a second of both recordings of subject 5, and the first frames of the windows that others list."""


def names_of(action):
    return [f"S5_{action}_1", f"S5_{action}_2"]


@pytest.mark.parametrize("action", PUBLISHED)
def test_eight_of_each_action_are_those_that_others_list(action):
    frames, begins = PUBLISHED[action]
    place, begin = h36m_windows(names_of(action), np.array(frames), 8, 50)
    assert [begin[place == number].tolist() for number in (0, 1)] == begins


@settings(max_examples=30, deadline=None)
@given(frames=st.tuples(*[st.integers(167, 2500)] * 2), seed_frames=st.integers(2, 66))
def test_256_begin_with_the_eight_and_all_are_within_their_recording(frames, seed_frames):
    few, many = (h36m_windows(names_of("walking"), np.array(frames), count, seed_frames) for count in (8, 256))
    assert np.array_equal(many[0][:8], few[0])
    assert np.array_equal(many[1][:8], few[1])
    assert np.bincount(many[0]).tolist() == [128, 128]
    assert many[1].min() >= 0
    # What is predicted begins at the same frame, however many are seen before.
    ends = many[1] + seed_frames
    assert np.array_equal(ends, h36m_windows(names_of("walking"), np.array(frames), 256, 50)[1] + 50)
    assert (ends + 100 <= np.array(frames)[many[0]]).all()


def test_actions_of_which_a_recording_is_missing_or_short_have_no_windows():
    names = ["S5_sitting_2", *names_of("eating"), "S5_directions_2", *names_of("posing"), "S5_waiting_1"]
    place, _ = h36m_windows(names, np.array([400, 300, 300, 300, 300, 166, 300]), 8, 50)
    assert sorted({names[number] for number in place}) == names_of("eating")
    with pytest.raises(DataError, match=r"expected both recordings of an action of Human3.6M .* found none"):
        h36m_windows(names[3:], np.array([300, 300, 166, 300]), 8, 50)
    with pytest.raises(DataError, match="expected at most 66 seed frames, got 67"):
        h36m_windows(names, np.full(7, 300), 8, 67)


@pytest.fixture
def recordings(write_tiny, tmp_path):
    """Two recordings of an action at 50 fps, in which one joint goes 0.5 m/s faster with every second frame."""

    def frames(count):
        poses = np.random.default_rng(0).uniform(0.5, 1, (1, 1, 25, 3)).repeat(count, axis=0)
        poses[:, 0, 4, 0] += 0.001 * np.arange(count) ** 2
        return poses.astype(np.float32)

    clips = [Recording(f"S5_walking_{n}", frames(count), 0, subject=5) for n, count in ((1, 420), (2, 361))]
    clips.append(Recording("S5_eating_1", frames(400), 0, subject=5))
    path = tmp_path / "h36m"
    write_tiny(path, clips, fps=50.0, bodies=1, normalised=False)
    return ClipStore.open(path)


def test_published_windows_are_scored_and_the_root_counts(recordings):
    bank = MotionBank.of(recordings, "joint", 50, 25, torch.device("cpu"), "h36m-8")
    result = zero_velocity(bank, np.array([0, 1, 2]))
    place, begin = h36m_windows(list(recordings.ids), np.array([210, 181, 200]), 8, 50)
    assert (result.clips.tolist(), result.skipped) == (place.tolist(), 1)
    # Closed form: k frames at 25 fps after frame n at 50 fps the joint has gone 0.001 ((n + 2k)² - n²) m.
    last = 2 * (begin + 49)
    for milliseconds, frames in ((80, 2), (560, 14), (1000, 25)):
        gone = ((last + 2 * frames) ** 2 - last**2).mean()  # mm, of one of the layout's 25 joints
        assert result.metrics[f"mpjpe_{milliseconds}ms_mm"] == pytest.approx(gone / 25, rel=1e-4)


@pytest.mark.parametrize(("scored", "words"), [("centre", "all joints but the root"), ("h36m-8", "the root's 0 among")])
def test_over_which_joints_the_mean_is_stands_beside_it(recordings, scored, words):
    prediction = PredictionSettings(50, 25, steps=1, hidden_size=4, batch=2, test_every=1, scored=scored)
    clips = np.array([0, 1, 2])
    chosen, spec = TaskSettings(prediction=prediction), spec_for(recordings, PretrainSettings())
    setup = Setup(recordings, spec, clips, clips, chosen, torch.device("cpu"))
    task = TASKS["prediction-frozen"]
    result = task.evaluate(task.raw(setup), setup, 0)
    assert words in result.notes[0]
    moving = 24 if scored == "centre" else 25
    assert setup.motions.counted == pytest.approx(24 / moving)


def test_windows_in_which_the_body_is_not_whole_are_told(recordings, write_tiny, tmp_path):
    clips = [
        Recording(str(recordings.ids[n]), np.array(recordings.clip(n)), 0, subject=5) for n in range(len(recordings))
    ]
    clips[0].frames[200, 0, 7] = 0
    write_tiny(tmp_path / "gap", clips, fps=50.0, bodies=1, normalised=False)
    bank = MotionBank.of(ClipStore.open(tmp_path / "gap"), "joint", 50, 25, torch.device("cpu"), "h36m-8")
    with pytest.raises(DataError, match="expected body 0 to be whole in the published windows"):
        zero_velocity(bank, np.array([0, 1]))
