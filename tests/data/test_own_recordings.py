"""Recordings prepared in memory are those that are written."""

import numpy as np
import pytest
from ntu_file_text import walkers

from pcm3.data.importer import store_recordings
from pcm3.data.own_recordings import PreparedRecordings
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError
from pcm3.skeleton import load_layout

LAYOUT = load_layout("kinect_v1")


def people(count=3, frames=40):
    return [Recording(f"r{k}", walkers(k, frames + k, 1, 20), label=k % 2, subject=k) for k in range(count)]


def untrimmed():
    intervals = (Interval(3, 20, 0), Interval(30, 38, 1))
    return [
        Recording("long", walkers(0, 50, 1, 20), intervals=intervals),
        Recording("empty", walkers(1, 30, 1, 20), intervals=()),
    ]


@pytest.mark.parametrize("make", [people, untrimmed])
@pytest.mark.parametrize("rule", ["upright", "released"])
def test_a_store_in_memory_is_the_store_on_the_disk(make, rule, tmp_path):
    report = store_recordings(make(), tmp_path / "s", layout="kinect_v1", fps=30.0, classes=["x", "y"], rule=rule)
    written = ClipStore.open(tmp_path / "s")
    prepared = PreparedRecordings.of(make(), LAYOUT, 30.0, rule=rule)
    held, lost = prepared.in_memory("given", ["x", "y"])
    assert lost == []
    assert report.notes == prepared.notes
    for one, other in ((held, written), (held.recordings, written.recordings)):
        if other is None:
            assert one is None
            continue
        assert np.array_equal(one.frames, other.frames)
        for name in ("start", "length", "label", "subject", "recording", "absent", "filled", "bodies", "ids"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        assert (one.layout, one.fps, one.rule, one.normalised) == (
            other.layout,
            other.fps,
            other.rule,
            other.normalised,
        )
        assert one.classes == other.classes
        assert one.preparation == other.preparation
    assert held.has_gaps == written.has_gaps


def test_recordings_without_any_interval_are_recordings_without_clips():
    held, _ = PreparedRecordings.of(untrimmed()[1:], LAYOUT, 30.0).in_memory("given")
    assert (len(held), len(held.recordings)) == (0, 1)


def test_resampled_recordings_have_the_other_rate():
    (clip,) = people(1, 61)
    held, _ = PreparedRecordings.of([clip], LAYOUT, 60.0, to_fps=30.0, normalise=False).in_memory("given")
    assert held.fps == 30.0
    assert held.length.tolist() == [31]
    np.testing.assert_allclose(held.clip(0)[:, 0], clip.frames[::2, 0], atol=1e-6)


def test_what_cannot_become_a_clip_is_told():
    nobody = Recording("nobody", np.zeros((9, 1, 20, 3), np.float32))
    _, lost = PreparedRecordings.of([*people(1), nobody], LAYOUT, 30.0).in_memory("given")
    assert [name for name, _ in lost] == ["nobody"]
    with pytest.raises(DataError, match="nobody: missing skeleton: no body in any frame"):
        PreparedRecordings.of([nobody], LAYOUT, 30.0).in_memory("given")
    with pytest.raises(DataError, match="given: expected recordings, got none"):
        PreparedRecordings.of([], LAYOUT, 30.0).in_memory("given")
    with pytest.raises(DataError, match="r0: expected an id for each recording"):
        PreparedRecordings.of([*people(1), *people(1)], LAYOUT, 30.0).in_memory("given")
    with pytest.raises(ConfigError, match="setting bodies"):
        PreparedRecordings.of(people(1), LAYOUT, 30.0, bodies=0)
