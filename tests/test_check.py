import json
from dataclasses import replace

import numpy as np
import pytest

from ntu_files import walkers
from pcm3.data.check import check_store
from pcm3.data.info import describe
from pcm3.data.recording import Recording
from pcm3.data.store import BY_SIDE, ClipStore
from pcm3.data.store_writer import write_store
from pcm3.skeleton import load_layout

PROTOCOLS = {"xsub": {"by": "subject", "train": [1]}}


def good(count=4):
    return [
        Recording(f"c{i}", walkers(i, 5 + i, 1 + i % 2).repeat(2 - i % 2, axis=1), label=i % 2, subject=1 + i % 2)
        for i in range(count)
    ]


def store_of(path, clips, protocols=None):
    about = {"layout": load_layout("kinect_v2"), "fps": 30.0, "bodies": 2, "kind": "ntu60", "classes": ["walk", "run"]}
    return write_store(path / "s", clips, protocols=PROTOCOLS if protocols is None else protocols, **about)


def findings(path, clips, **settings):
    return {finding.name: finding for finding in check_store(store_of(path, clips, **settings))}


def test_a_good_store_has_no_findings(tmp_path):
    assert findings(tmp_path, good()) == {}


@pytest.mark.parametrize("name", ["frames.npy", "clips.npz"])
def test_a_changed_byte_is_found(tmp_path, name):
    store = store_of(tmp_path, good())
    data = bytearray((store.path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (store.path / name).write_bytes(data)
    found = check_store(store)
    assert [finding.name for finding in found][:1] == ["checksum"]
    assert name in found[0].text


def test_frozen_and_outsized_clips_are_found(tmp_path):
    clips = good()
    clips[1] = replace(clips[1], frames=clips[1].frames[:1].repeat(6, axis=0))
    clips[2] = replace(clips[2], frames=clips[2].frames * 100)
    found = findings(tmp_path, clips)
    assert {name: finding.clips for name, finding in found.items()} == {"frozen": ["c1"], "size": ["c2"]}
    assert found["frozen"].text == "1 clip in which nothing moves"


def test_empty_clips_and_values_that_are_no_numbers_are_found(tmp_path):
    clips = good()
    clips[0].frames[:] = 0
    store = store_of(tmp_path, clips)
    frames = np.load(store.path / "frames.npy")
    frames[7, 0, 3, 1] = np.nan
    np.save(store.path / "frames.npy", frames)
    found = {finding.name: finding.clips for finding in check_store(ClipStore.open(store.path))}
    assert found == {"checksum": [], "empty": ["c0"], "not_finite": ["c1"]}


def test_labels_without_a_class_are_found(tmp_path):
    clips = good()
    clips[3] = replace(clips[3], label=2)
    clips[2] = replace(clips[2], label=-1)
    assert {name: finding.clips for name, finding in findings(tmp_path, clips).items()} == {"label": ["c3"]}


def test_copies_across_a_split_are_leaks_and_within_a_side_duplicates(tmp_path):
    clips = good(6)
    clips[3] = replace(clips[3], frames=clips[0].frames)  # subject 2 and subject 1
    clips[4] = replace(clips[4], frames=clips[2].frames)  # subject 1 both
    found = findings(tmp_path, clips)
    assert set(found) == {"leak", "duplicate"}
    assert found["leak"].pairs == [("c0", "c3")]
    assert found["leak"].text == "1 clips that 'xsub' trains on are also in its test set, to the bit"
    assert sorted(found["duplicate"].clips) == ["c0", "c2", "c3", "c4"]


def test_a_protocol_that_cannot_split_the_store_is_found(tmp_path):
    found = findings(tmp_path, good(), protocols={"split": BY_SIDE})
    assert set(found) == {"protocol"}
    assert "no clip of the store has one" in found["protocol"].text


def test_describe_counts_what_is_there(tmp_path):
    clips = [*good(), Recording("last", walkers(9, 60, 2), subject=-1)]
    clips[0].frames[:, 1] = 0
    about = describe(store_of(tmp_path, clips, protocols=PROTOCOLS | {"xview": {"by": "camera", "train": [2]}}))
    assert json.loads(json.dumps(about)) == about
    assert (about["clips"], about["frames"], about["hours"]) == (5, 86, round(86 / 30 / 3600, 3))
    assert about["length"] == {"min": 5, "median": 7.0, "max": 60}
    assert about["classes"] == {"walk": 2, "run": 2}
    assert (about["unlabelled"], about["subjects"], about["cameras"]) == (1, [1, 2], [])
    assert about["protocols"]["xsub"] == {"train": 2, "test": 2, "neither": 1}
    assert "goes by camera" in about["protocols"]["xview"]["error"]
    assert about["clips_by_bodies"] == {"1": 1, "2": 4}
    assert (about["joints"], about["bodies"], about["layout"], about["dtype"]) == (25, 2, "kinect_v2", "float32")
    assert about["bytes"] == sum(file.stat().st_size for file in (tmp_path / "s").iterdir())
    assert about["left_out"] == {"files": 0, "reasons": {}}
