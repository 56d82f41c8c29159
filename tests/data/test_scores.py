"""How sure a source was of each joint stays beside the frames, whatever happens to these."""

import numpy as np
import pytest
from ntu_file_text import walkers

from pcm3.data.importer import store_recordings
from pcm3.data.prepare import Recipe, prepare
from pcm3.data.recording import Interval, Recording
from pcm3.data.resample import resample
from pcm3.data.store import ClipStore
from pcm3.data.store_writer import store_writer
from pcm3.data.verified import check_unchanged
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")


def scored(id, seed, frames, bodies=1, **more):
    """A recording whose scores are eighths, which float16 holds as they are."""
    clip = walkers(seed, frames, bodies)
    scores = np.random.default_rng(seed).integers(1, 9, clip.shape[:3]) / np.float32(8)
    return Recording(id, clip, scores=scores, **more)


def test_scores_go_where_their_joints_go():
    recording = scored("x", 3, 30, 3)
    recording.frames[:, 0] *= 0.01  # the least lively: the second and the third are kept, in some order
    recording.frames[:5] = 0
    (made,) = prepare(recording, Recipe(KINECT, 2, normalise=False))
    for body in range(2):
        source = next(m for m in range(3) if np.array_equal(made.frames[0, body], recording.frames[5, m]))
        np.testing.assert_array_equal(made.scores[:25, body], recording.scores[5:, source])
        np.testing.assert_array_equal(made.scores[25:, body], recording.scores[5:10, source])  # looped, as the frames


def test_a_store_keeps_scores_of_clips_and_of_intervals_and_is_verified_with_them(tmp_path):
    made = [scored("a", 1, 12), Recording("b", walkers(2, 5)), scored("c", 3, 7)]
    store_recordings(made, tmp_path / "s", layout=KINECT, fps=30.0)
    store = ClipStore.open(tmp_path / "s")
    np.testing.assert_array_equal(store.scores[:12], made[0].scores)
    assert np.isnan(store.scores[12:17]).all()
    np.testing.assert_array_equal(store.scores[17:], made[2].scores)
    assert check_unchanged(store) == []
    file = tmp_path / "s" / "scores.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"scores\.npy changed since the import"):
        check_unchanged(ClipStore.open(tmp_path / "s"))
    whole = [scored("r", 4, 20, intervals=(Interval(2, 9, 0), Interval(11, 20, 1)))]
    for trim, rows in ((False, [*range(20)]), (True, [*range(2, 9), *range(11, 20)])):
        store_recordings(whole, tmp_path / str(trim), layout=KINECT, fps=30.0, trim=trim)
        np.testing.assert_array_equal(ClipStore.open(tmp_path / str(trim)).scores, whole[0].scores[rows])


def test_a_store_of_recordings_without_scores_has_no_file_of_them(tmp_path):
    store_recordings([Recording("b", walkers(2, 5))], tmp_path / "s", layout=KINECT, fps=30.0)
    assert ClipStore.open(tmp_path / "s").scores is None
    assert not (tmp_path / "s" / "scores.npy").exists()


def test_a_writer_that_goes_on_has_the_scores_of_before(tmp_path):
    made = [Recording("a", walkers(2, 5)), scored("b", 1, 12), scored("c", 3, 7), scored("d", 5, 9)]
    about = {"layout": KINECT, "bodies": 1, "fps": 30.0, "kind": "own", "fingerprint": "same"}
    with store_writer(tmp_path / "whole", **about) as writer:
        for recording in made:
            writer.add(recording)
    with pytest.raises(KeyboardInterrupt), store_writer(tmp_path / "s", **about) as writer:  # noqa: PT012
        for recording in made[:2]:
            writer.add(recording)
        writer.save(2)
        writer.add(made[2])
        raise KeyboardInterrupt
    with store_writer(tmp_path / "s", **about) as writer:
        assert writer.done == 2
        for recording in made[2:]:
            writer.add(recording)
    whole, gone_on = (ClipStore.open(tmp_path / name) for name in ("whole", "s"))
    assert whole.checksum == gone_on.checksum
    np.testing.assert_array_equal(gone_on.scores, whole.scores)


def test_scores_of_another_shape_are_refused_and_resampled_ones_are_those_of_the_nearest_frame(tmp_path):
    wrong = Recording("a", walkers(0, 5), scores=np.ones((5, 1, 3), np.float32))
    with pytest.raises(DataError, match=r"expected scores \(5, 1, 25\) as the frames have, got \(5, 1, 3\)"):
        store_recordings([wrong], tmp_path / "s", layout=KINECT, fps=30.0)
    recording = scored("x", 1, 21)
    np.testing.assert_array_equal(resample(recording, 0.5).scores, recording.scores[::2])
