"""Several stores as one."""

from dataclasses import replace

import numpy as np
import pytest

from pcm3.data.audit.check import check_store
from pcm3.data.merge import merge_stores
from pcm3.data.protocol import split
from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError
from pcm3.skeleton import load_layout


@pytest.fixture
def two(recordings, write_tiny, tmp_path):
    """The tiny store, and one of fewer clips with one body, other classes, an unknown person and a class unknown."""
    first = write_tiny(tmp_path / "a", recordings)
    others = [
        replace(clip, frames=clip.frames[:, :1] * 1.5, label=clip.label - 1, camera=UNKNOWN, confidence=2)
        for clip in recordings[:18]
    ]
    others[0] = replace(others[0], subject=UNKNOWN, scores=np.full(others[0].frames.shape[:3], 0.5))
    second = write_tiny(tmp_path / "b", others, bodies=1, classes=("hand over", "jump"))
    return {"a": first, "b": second}


def test_every_clip_is_there_as_it_was(two, tmp_path):
    merged = merge_stores(two, tmp_path / "both", "xsub")
    assert list(merged.ids) == [f"{name}/{id}" for name, store in two.items() for id in store.ids]
    assert merged.classes == ("raise arm", "nod", "hand over", "jump")
    place = 0
    for store in two.values():
        bodies = store.frames.shape[1]
        for index in range(len(store)):
            clip = merged.clip(place)
            np.testing.assert_array_equal(clip[:, :bodies], store.clip(index))
            assert not clip[:, bodies:].any()
            mine, its = merged.label[place], store.label[index]
            assert (mine == UNKNOWN) if its == UNKNOWN else (merged.classes[mine] == store.classes[its])
            place += 1
    assert place == len(merged)
    np.testing.assert_array_equal(merged.confidence[-18:], 2)
    np.testing.assert_array_equal(merged.camera[-18:], UNKNOWN)
    start = int(merged.start[24])
    assert np.isnan(merged.scores[:start]).all()
    np.testing.assert_array_equal(merged.scores[start : start + merged.length[24], 0], 0.5)
    assert np.isnan(merged.scores[start : start + merged.length[24], 1]).all(), "a body that is not there"
    assert {finding.name for finding in check_store(merged).findings} <= {
        finding.name for store in two.values() for finding in check_store(store).findings
    }


def test_people_of_two_stores_are_not_the_same_and_stay_on_their_side(two, tmp_path):
    merged = merge_stores(two, tmp_path / "both", "xsub")
    assert not set(merged.subject[:24]) & set(merged.subject[24:])
    assert merged.subject[24] == UNKNOWN
    place = 0
    sides = [set(side.tolist()) for side in split(merged, "xsub")]
    for store in two.values():
        for mine, its in zip(sides, split(store, "xsub"), strict=True):
            assert {clip - place for clip in mine if place <= clip < place + len(store)} == set(its.tolist())
        place += len(store)
    assert merged.protocols == {"xsub": {"by": "side", "train": [0]}}
    assert merged.preparation["merged"] == {name: store.checksum for name, store in two.items()}


def test_stores_that_mean_something_else_are_refused_and_nothing_is_written(two, recordings, write_tiny, tmp_path):
    def refused(words, **changes):
        other = write_tiny(tmp_path / "other", recordings, overwrite=True, **changes)
        with pytest.raises(DataError, match=words):
            merge_stores(two | {"other": other}, tmp_path / "both", "xsub")
        assert not (tmp_path / "both").exists()

    layout = load_layout("kinect_v2")
    refused("expected frames a second 30.0, .* got 25.0: pcm3 import --fps", fps=25.0)
    refused("expected clips centred and turned, .* got as recorded: .*--normalise", normalised=False)
    refused("expected the rule released, .* got upright: .*--rule", preparation={"rule": "upright"})
    refused("the joints, .* got others of the same name", layout=replace(layout, joints=(*layout.joints[:-1], "toe")))
    refused("the store has no protocol", protocols={})
    with pytest.raises(ConfigError, match=r"at least two .* got 1"):
        merge_stores({"a": two["a"]}, tmp_path / "both", "xsub")


def test_the_command_tells_what_each_store_gave(two, cli, tmp_path):
    out = tmp_path / "both"
    found = cli("merge", tmp_path / "a", tmp_path / "b", "--out", out, "--json")
    assert found.code == 0, found.err
    assert "42 clips of 4 classes, layout kinect_v2" in found.out
    assert "  b: 18 clips of 2 classes, 11 train, 6 test" in found.out
    assert found.json["stores"]["a"] == {"clips": 24, "classes": 3, "train": 18, "test": 6}
    assert ClipStore.open(out).kind == "merged"
    again = cli("merge", tmp_path / "a", tmp_path / "b", "--out", out)
    assert (again.code, len(again.err.splitlines())) == (2, 1)
    twice = cli("merge", tmp_path / "a", tmp_path / "a", "--out", tmp_path / "new")
    assert "different names" in twice.err
    inside = cli("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "a", "--overwrite", "true")
    assert "expected another place" in inside.err
