"""Clips as the page draws them: in pieces, and of recordings as they are, centred and turned, too."""

from itertools import pairwise

import numpy as np
import pytest

from pcm3.data.importer import store_recordings
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.geometry import present_joints
from pcm3.web import skeletons
from pcm3.web.skeletons import skeleton


@pytest.fixture(autouse=True)
def _afresh():
    """Nothing is remembered of clips whose pieces had another size."""
    skeletons._standing.cache_clear()
    yield
    skeletons._standing.cache_clear()


def test_a_long_clip_comes_in_pieces_that_stand_in_one_place(store, monkeypatch):
    whole = skeleton(store, 2)
    skeletons._standing.cache_clear()
    monkeypatch.setattr(skeletons, "PIECE", 20)
    pieces = [skeleton(store, 2, first) for first in range(0, len(whole), 20)]
    assert [len(piece) for piece in pieces[:-1]] == [20] * (len(pieces) - 1)
    got = np.concatenate(pieces)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(whole))
    moved = (got - whole)[~np.isnan(whole).any(axis=-1)]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-5)
    np.testing.assert_allclose(moved[0], 0, atol=0.05)  # by some frames the floor lies nearly where it lies by all


def test_the_rest_of_a_clip_may_be_asked_for(store):
    np.testing.assert_array_equal(skeleton(store, 2, 7), skeleton(store, 2)[7:])


@pytest.fixture
def written(recordings, tmp_path):
    """The tiny clips as they were recorded, and the same normalised, by a rule; trimmed, or behind each other."""

    def write(rule, untrimmed):
        made = recordings
        if untrimmed:
            spans = np.cumsum([0, *[len(clip.frames) for clip in recordings[:3]]]).tolist()
            intervals = tuple(Interval(a + 3, b, 0) for a, b in pairwise(spans))
            frames = np.concatenate([clip.frames for clip in recordings[:3]])
            made = [Recording("long", frames, subject=1, intervals=intervals)]
        stores = []
        for normalise in (False, True):
            place = tmp_path / f"{rule} {untrimmed} {normalise}"
            about = {"layout": "kinect_v2", "fps": 30.0, "classes": ["nod", "raise arm", "squat"]}
            store_recordings(made, place, **about, rule=rule, normalise=normalise, bodies=2)
            stores.append(ClipStore.open(place))
        return stores

    return write


@pytest.mark.parametrize("rule", ["upright", "released"])
@pytest.mark.parametrize("untrimmed", [False, True])
def test_a_recording_as_it_is_can_be_seen_as_an_import_would_have_normalised_it(written, rule, untrimmed):
    as_recorded, normalised = written(rule, untrimmed)
    for clip in (0, 2):
        got = skeleton(as_recorded, clip, normalised=True)
        wanted = skeleton(normalised, clip)
        np.testing.assert_allclose(got, wanted, atol=2e-5, equal_nan=True)
        assert not np.allclose(skeleton(as_recorded, clip), got, equal_nan=True)
        np.testing.assert_array_equal(skeleton(normalised, clip, normalised=False), wanted)
    if untrimmed:
        whole = skeleton(as_recorded.recordings, 0, normalised=True, untrimmed=True)
        np.testing.assert_allclose(whole, skeleton(normalised.recordings, 0), atol=2e-5, equal_nan=True)


def test_as_recorded_nothing_but_a_turn_and_a_shift_is_done(written):
    store, _ = written("upright", False)
    got, frames = skeleton(store, 1), store.clip(1)
    there = present_joints(frames)
    far = np.linalg.norm(frames[there] - frames[there][0], axis=1)
    np.testing.assert_allclose(np.linalg.norm(got[there] - got[there][0], axis=1), far, atol=1e-4)
