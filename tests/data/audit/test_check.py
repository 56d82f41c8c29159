"""Planted faults are found, each by its name; simulated recordings have none."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ntu_file_text import walkers
from people import KINECT, PROTOCOLS, altered, findings, simulated_people, store_of

from pcm3.data.audit.check import check_store
from pcm3.data.audit.leaks import remembered
from pcm3.data.info import describe
from pcm3.data.recording import Recording
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.skeleton import load_layout


def good(count=4):
    return [
        Recording(f"c{i}", walkers(i, 5 + i, 1 + i % 2).repeat(2 - i % 2, axis=1), label=i // 2 % 2, subject=1 + i % 2)
        for i in range(count)
    ]


ODD_BODIES = {"nobody", "bones", "mirrored", "few_clips", "axes", "twice"}
"""What may be said of `good` clips: few, some with one person twice, and the joints of `walkers` are anywhere."""


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return simulated_people(tmp_path_factory.mktemp("people"))


def test_simulated_people_have_no_findings(people, tmp_path):
    check = check_store(store_of(tmp_path, people))
    assert check.findings == []
    assert check.leaks == {"xsub": []}
    assert not check.wrong
    assert set(check.seconds) == {"checksums", "labels", "leaks", "bodies"}
    assert remembered(ClipStore.open(tmp_path / "s")) == check.leaks


def test_a_good_store_has_nothing_wrong(tmp_path):
    assert set(findings(tmp_path, good())) <= ODD_BODIES


@pytest.mark.parametrize("name", ["frames.npy", "clips.npz"])
def test_a_changed_byte_is_found(tmp_path, name):
    store = store_of(tmp_path, good())
    data = bytearray((store.path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (store.path / name).write_bytes(data)
    check = check_store(store)
    assert [finding.name for finding in check.findings][:1] == ["checksum"]
    assert name in check.findings[0].text
    assert check.wrong


def test_frozen_and_outsized_clips_are_found_and_worth_a_look(people, tmp_path):
    clips = list(people)
    clips[1] = replace(clips[1], frames=clips[1].frames[:1].repeat(6, axis=0))
    clips[2] = replace(clips[2], frames=clips[2].frames * 100)
    check = check_store(store_of(tmp_path, clips))
    found = {finding.name: finding for finding in check.findings}
    assert found["frozen"].clips == [clips[1].id]
    assert found["frozen"].text == "1 clip in which a body does not move for most of the time"
    assert found["size"].clips == [clips[2].id]
    assert not check.wrong


def test_a_clip_that_stands_still_for_most_of_its_frames_is_found(people, tmp_path):
    def freeze(frames):
        frames[10:] = frames[10]

    clips, name = altered(people, freeze)
    (finding,) = check_store(store_of(tmp_path, clips)).findings
    assert (finding.name, finding.clips, finding.wrong) == ("frozen", [name], False)
    assert finding.details[0].startswith(f"{name}: body 0 in ")


def test_a_second_body_that_never_moves_is_found_where_the_first_is_the_centre(people, tmp_path):
    def add(frames):
        frames[:, 1] = frames[0, 0] + np.cumsum(np.full((len(frames), 1, 3), 0.01, np.float32), axis=0)

    clips, name = altered(people, add)
    assert findings(tmp_path, clips)["frozen"].details == [f"{name}: body 1 in 100% of it"]


def test_millimetres_are_found_once_not_in_every_clip(people, tmp_path):
    clips = [replace(clip, frames=clip.frames * 1000) for clip in people]
    found = findings(tmp_path, clips)
    assert "is the unit the metre?" in found["units"].text
    assert "size" not in found


def test_empty_clips_and_values_that_are_no_numbers_are_wrong(tmp_path):
    clips = good()
    clips[0].frames[:] = 0
    store = store_of(tmp_path, clips)
    frames = np.load(store.path / "frames.npy")
    frames[7, 0, 3, 1] = np.nan
    np.save(store.path / "frames.npy", frames)
    check = check_store(ClipStore.open(store.path))
    assert {finding.name: finding.clips for finding in check.findings if finding.wrong} == {
        "checksum": [],
        "empty": ["c0"],
        "not_finite": ["c1"],
    }


def test_labels_without_a_class_are_found(people, tmp_path):
    clips = list(people)
    clips[3] = replace(clips[3], label=2)
    clips[2] = replace(clips[2], label=-1)
    assert {name: finding.clips for name, finding in findings(tmp_path, clips).items()} == {
        "label": [clips[3].id],
        "unlabelled": [clips[2].id],
        "unlabelled_side": [],
        "untested_class": [],
    }


def test_copies_across_a_split_are_leaks_and_within_a_side_duplicates(tmp_path):
    clips = good(8)
    clips[3] = replace(clips[3], frames=clips[0].frames)  # subject 2 and subject 1
    clips[4] = replace(clips[4], frames=clips[2].frames)  # subject 1 both
    found = findings(tmp_path, clips)
    assert set(found) - ODD_BODIES == {"leak", "duplicate"}
    assert found["leak"].pairs == [("c0", "c3")]
    assert found["leak"].text == "1 clip of the test set of 'xsub' with a copy in its training set"
    assert found["leak"].details == ["c0 = c3: equal to the bit"]
    assert found["leak"].wrong
    assert sorted(found["duplicate"].clips) == ["c0", "c2", "c3", "c4"]
    assert not found["duplicate"].wrong


def test_a_protocol_that_cannot_split_the_store_is_worth_a_look(people, tmp_path):
    found = findings(tmp_path, people, protocols={"split": BY_SPLIT})
    assert set(found) == {"protocol"}
    assert "no clip of the store has one" in found["protocol"].text
    assert not found["protocol"].wrong


def wild_bone(frames):
    frames[::2, 0, 6:8] += np.float32(0.7)  # every other frame the left forearm is long


def long_arm(frames):
    frames[:, 0, 5:8] += np.array([0, 0, 1.2], np.float32)


def jumping_hand(frames):
    frames[12, 0, 7] += np.float32(1.0)


def jumping_body(frames):
    frames[:, 1] = frames[:, 0] + np.array([1, 0, 0], np.float32)
    frames[20:, 1] += np.array([0, 3, 0], np.float32)


@pytest.mark.parametrize(
    ("fault", "name", "told"),
    [
        (wild_bone, "bones", "bone to left_wrist changes between"),
        (long_arm, "bones", "bone to left_elbow is long on one side, not on the other"),
        (jumping_hand, "jump", "body 0, left_hand at 52 m/s to frame 12 and back"),
        (jumping_body, "jump", "body 1 at 90 m/s to frame 20"),
    ],
)
def test_a_fault_of_one_clip_is_found_and_told(people, tmp_path, fault, name, told):
    clips, clip = altered(people, fault)
    found = findings(tmp_path, clips)
    assert found[name].clips == [clip]
    assert told in found[name].details[0]


def test_the_seam_of_a_looped_body_is_no_jump(people, tmp_path):
    def loop(frames):
        frames[:, 1] = np.resize(frames[:25, 0], frames[:, 1].shape) + np.array([1, 0, 0], np.float32)
        frames[:, 1, :, 1] += np.linspace(0, 3, 25, dtype=np.float32)[np.arange(len(frames)) % 25][:, None]

    clips, _ = altered(people, loop)
    assert set(findings(tmp_path, clips)) == {"twice"}


def test_a_chair_taken_for_a_body_is_found(people, tmp_path):
    def add_chair(frames):
        rng = np.random.default_rng(0)
        frames[:, 1] = rng.normal(0, 0.2, (25, 3)) + 0.01 * rng.normal(size=(len(frames), 25, 3))

    clips, name = altered(people, add_chair)
    found = findings(tmp_path, clips)
    assert {name: finding.clips for name, finding in found.items()} == {"nobody": [name]}


def in_a_mirror(frames):
    return frames * np.array([-1, 1, 1], np.float32)


def with_sides_exchanged(frames):
    return frames[:, :, list(KINECT.mirrored)]


@pytest.mark.parametrize("change", [in_a_mirror, with_sides_exchanged])
def test_mirrored_clips_and_mirrored_stores_are_told_apart(people, tmp_path, change):
    clips = [replace(clip, frames=change(clip.frames)) for clip in people]
    one = findings(tmp_path / "one", [*people[:5], clips[5], *people[6:]])
    assert one["mirrored"].clips == [people[5].id]
    every = findings(tmp_path / "every", clips)
    assert every["mirrored"].clips == []
    assert "in most clips" in every["mirrored"].text
    both = [replace(clip, frames=in_a_mirror(with_sides_exchanged(clip.frames))) for clip in people]
    assert findings(tmp_path / "both", both) == {}


def test_a_store_of_another_layout_is_checked_as_far_as_it_can_be(tmp_path):
    layout = load_layout("kinect_v1")
    clips = [Recording(f"c{seed}", walkers(seed, 30, 1, 20), 0, 1 + seed % 2) for seed in range(4)]
    assert not check_store(store_of(tmp_path, clips, layout=layout, bodies=1)).wrong


def test_the_command_tells_and_exits_by_what_is_wrong(people, tmp_path, cli):
    clips, name = altered(people, jumping_hand)
    odd = store_of(tmp_path / "odd", clips)
    found = cli("check", odd.path, "--json")
    assert found.code == 0
    assert "xsub: no test clip has a copy in training" in found.out
    assert f"{name}: body 0, left_hand" in found.out
    assert [(told["name"], told["wrong"]) for told in found.json["findings"]] == [("jump", False)]
    assert (found.json["clips"], found.json["leaks"]) == (len(clips), [])
    assert set(found.json["seconds"]) == {"checksums", "labels", "leaks", "bodies"}
    source = next(clip for clip in people if clip.subject == 1)
    copy = replace(source, id="copy", frames=in_a_mirror(source.frames[3:]), subject=2)
    leaky = cli("check", store_of(tmp_path / "leaky", [*people, copy]).path, "--json")
    assert leaky.code == 1
    assert leaky.json["leaks"] == [[source.id, "copy"]]
    assert f"{source.id} = copy: frames 3-{len(source.frames) - 1} of it are 0-" in leaky.out


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
    assert about["skipped"] == {"files": 0, "reasons": {}, "lines": []}


def test_a_store_of_a_single_pose_can_be_checked(tmp_path):
    clips = [replace(clip, frames=clip.frames[:1, :1].copy()) for clip in good(2)]
    clips[1].frames[:] = 0
    found = findings(tmp_path, clips, bodies=1)
    assert found["empty"].clips == ["c1"]
    assert found["frozen"].details == ["c0: body 0: the clip is a single frame"]
