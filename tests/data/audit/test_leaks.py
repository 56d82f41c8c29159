"""Planted copies are found whatever was done to them; other cameras, other repetitions and people who stand are not."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from planted_copies import PLANTS, exchanged, leak_benchmark, mirrored, moved, noisy, resampled

from pcm3.data.audit import leaks as leaks_module
from pcm3.data.audit.copy_proof import ALIKE
from pcm3.data.audit.copy_search import HIT
from pcm3.data.audit.copy_timing import timed
from pcm3.data.audit.leaks import AUDIT_FILE, audit, find_leaks, leaked_clips, remembered
from pcm3.data.audit.pose_paths import pose_paths
from pcm3.data.importer import import_recordings
from pcm3.data.prepare import Recipe, prepare
from pcm3.data.recording import TEST, TRAIN, Interval, Recording
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.data.store_writer import write_store
from pcm3.errors import DataError
from pcm3.simulate import simulate
from pcm3.skeleton import layout_from_dict, load_layout

KINECT = load_layout("kinect_v2")
CAMERAS = {"xview": {"by": "camera", "train": [2, 3]}}
DATA = os.environ.get("PCM3_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="PCM3_DATA names no folder with the real sets")
PEOPLE = {"xsub": {"by": "subject", "train": [1, 2]}}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """45 clips: 3 people, 5 actions, 3 cameras."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder / "raw", subjects=3, repetitions=1, cameras=3, actions=5)
    import_recordings("ntu60", folder / "raw", folder / "store", progress=False, workers=1)
    return ClipStore.open(folder / "store")


def recordings(store):
    return [
        Recording(str(store.ids[i]), store.clip(i), int(store.label[i]), int(store.subject[i]), int(store.camera[i]))
        for i in range(len(store))
    ]


def written(path, clips, protocols=None, **changes):
    about = {"layout": KINECT, "fps": 30.0, "bodies": clips[0].frames.shape[1], "kind": "npz", "classes": ["a"] * 60}
    return write_store(path, clips, **(about | {"protocols": protocols or PEOPLE} | changes))


def sided(name, frames, side):
    return Recording(name, np.asarray(frames, np.float32), splits={"split": side})


def pair(path, train, test, **changes):
    """The leaks of a store with one clip on either side."""
    clips = [sided("train", train, TRAIN), sided("test", test, TEST)]
    return find_leaks(written(path, clips, {"split": BY_SPLIT}, **changes), "split")


def dancer(seed, frames=60, joints=25, bodies=1):
    """Joints that swing about, each with speeds of its own (T, M, V, 3)."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None, None, None] / 30
    pose = rng.normal(0, 0.4, (1, bodies, joints, 3))
    for _ in range(3):
        size, speed, phase = (
            rng.normal(0, 0.1, pose.shape),
            rng.uniform(1, 6, pose.shape),
            rng.uniform(0, 6, pose.shape),
        )
        pose = pose + size * np.sin(speed * time + phase)
    return (pose + np.array([0, 0, 3])).astype(np.float32)


def test_every_kind_of_copy_is_found_and_nothing_else(simulated, tmp_path):
    found = leak_benchmark(simulated, "xview", 3, tmp_path / "s")
    assert {row.copies: row.found for row in found.rows} == dict.fromkeys(PLANTS, 3)
    assert found.false_pairs == []
    assert found.clips == len(simulated) + 2 * 3 * len(PLANTS)


def test_other_cameras_of_a_performance_are_no_copies_of_it(simulated):
    assert find_leaks(simulated, "xview") == []


def test_a_leak_tells_what_was_done(simulated, tmp_path):
    clip = simulated.clip(4)[:80]
    copy = exchanged(mirrored(resampled(clip[10:60], 75)), KINECT)
    (leak,) = pair(tmp_path / "s", clip, copy, bodies=2)
    assert (leak.mirrored, leak.exchanged) == (True, True)
    assert leak.rate == pytest.approx(49 / 74, abs=0.002)
    assert leak.train_frames == (10, 59)
    assert leak.test_frames == (0, 74)
    assert leak.residual_mm < 1
    assert str(leak).startswith(
        "train = test: frames 10-59 of it are 0-74 there, 0.66 times as fast, mirrored, left and right exchanged, 0."
    )


def test_equal_clips_are_leaks_however_short_or_still(tmp_path):
    still = np.ones((3, 1, 25, 3), np.float32)
    (leak,) = pair(tmp_path / "s", still, still)
    assert str(leak) == "train = test: equal to the bit"


def test_empty_clips_are_not_copies_of_each_other(tmp_path):
    assert pair(tmp_path / "s", np.zeros((20, 1, 25, 3)), np.zeros((20, 1, 25, 3))) == []


def test_people_who_stand_still_are_no_copies(tmp_path):
    pose = dancer(0, 1)
    one, other = (noisy(pose.repeat(60, axis=0), 0.004, np.random.default_rng(seed)) for seed in (1, 2))
    assert pair(tmp_path / "s", one, other) == []


def test_a_frozen_clip_is_no_copy_of_another_frozen_clip(tmp_path):
    pose = dancer(0, 1)
    assert pair(tmp_path / "s", pose.repeat(30, axis=0), moved(pose, np.random.default_rng(1)).repeat(40, axis=0)) == []


def test_a_copy_of_less_than_half_of_the_shorter_clip_is_none(tmp_path):
    clip = dancer(3, 100)
    assert len(pair(tmp_path / "more", clip[:70], clip[30:])) == 1
    assert pair(tmp_path / "less", clip[:60], clip[40:]) == []


def test_noise_of_a_centimetre_and_more_is_no_copy(tmp_path):
    clip = dancer(3, 100)
    assert pair(tmp_path / "s", clip, noisy(clip, ALIKE, np.random.default_rng(0))) == []


def test_a_copy_cut_before_the_import_is_found_though_it_is_turned_and_looped(tmp_path):
    rng = np.random.default_rng(1)
    raw = moved(dancer(5, 90, bodies=2), rng)
    raw[:6, 0] = raw[80:, 1] = 0  # bodies that come late and leave early are looped by the import
    cut = noisy(moved(raw[20:75], rng), 0.002, rng)
    recipe = Recipe(KINECT, 2)
    parts = [
        clip
        for name, frames, side in (("train", raw, TRAIN), ("test", cut, TEST))
        for clip in prepare(sided(name, frames, side), recipe)
    ]
    (leak,) = find_leaks(written(tmp_path / "s", parts, {"split": BY_SPLIT}), "split")
    assert leak.residual_mm < 8


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_stores_in_the_camera_frame_and_in_half_precision_serve(tmp_path, dtype):
    clip = dancer(9)
    copy = moved(clip[5:50], np.random.default_rng(1))
    (leak,) = pair(tmp_path / "s", clip, copy, normalised=False, dtype=dtype)
    assert leak.residual_mm < (0.01 if dtype == "float32" else 2)


def stick(joints):
    """A layout of few joints: a chain whose last two are left and right."""
    data = KINECT.to_dict() | {
        "name": "stick",
        "joints": [f"j{number}" for number in range(joints)],
        "parents": [max(number - 1, 0) for number in range(joints)],
        "parts": [list(range(joints)), [], [], [], []],
        "mirror": [[joints - 2, joints - 1]] if joints > 2 else [],
        "centre": 0,
        "up": [0, joints - 1],
        "across": [joints - 2, joints - 1],
    }
    return layout_from_dict(data)


def test_intervals_of_untrimmed_recordings_serve(tmp_path):
    long = dancer(4, 200)
    intervals = (Interval(20, 80, 0), Interval(60, 150, 1))
    rest = dancer(5, 30)
    copy = np.concatenate([rest, mirrored(long[25:75]), rest])
    clips = [
        replace(sided("train", long, TRAIN), intervals=intervals),
        replace(sided("test", copy, TEST), intervals=(Interval(0, 30, 0), Interval(30, 80, 1))),
    ]
    found = find_leaks(written(tmp_path / "s", clips, {"split": BY_SPLIT}), "split")
    assert [(leak.train, leak.test, leak.train_frames) for leak in found] == [
        ("train:20-79", "test:30-79", (5, 54)),
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_hide_no_other_frame(tmp_path, value):
    clips = [sided("train", dancer(1), TRAIN), sided("test", mirrored(dancer(1))[4:], TEST)]
    store = written(tmp_path / "s", clips, {"split": BY_SPLIT})
    frames = np.load(store.path / "frames.npy")
    frames[[10, 30, 80], 0, 3, 1] = value
    np.save(store.path / "frames.npy", frames)
    (leak,) = find_leaks(ClipStore.open(store.path), "split")
    assert leak.train_frames == (4, 59)


@pytest.mark.parametrize("joints", [3, 5, 15])
def test_other_layouts_serve(tmp_path, joints):
    layout, clip = stick(joints), dancer(1, 90, joints)
    copy = exchanged(mirrored(moved(clip[20:80], np.random.default_rng(0))), layout)
    clips = [sided("train", clip, TRAIN), sided("test", copy, TEST), sided("other", dancer(2, 80, joints), TEST)]
    (leak,) = find_leaks(written(tmp_path / "s", clips, {"split": BY_SPLIT}, layout=layout), "split")
    assert leak.test == "test"


@example(rate=1.0411, first=16, seed=1)  # the search ended at a rate of 1.003
@example(rate=1.8, first=19, seed=61)  # the search ended 0.21 frames too late
@given(rate=st.floats(0.55, 1.8), first=st.integers(0, 30), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_timing_is_found_to_a_fraction_of_a_frame(tmp_path_factory, rate, first, seed):
    clip = dancer(seed, 120)
    at = np.arange(int((len(clip) - 1 - first) / rate)) * rate + first
    whole = at.astype(int)
    copy = clip[whole] + (at - whole)[:, None, None, None] * (clip[whole + 1] - clip[whole])
    clips = [sided("train", clip, TRAIN), sided("test", copy, TEST)]
    paths = pose_paths(written(tmp_path_factory.mktemp("s") / "s", clips, {"split": BY_SPLIT}))
    middle = len(at) // 2
    guess = np.array([(1, 0, middle, round(at[middle]), rate * 1.03, 0)], HIT)
    (hit,) = timed(paths, guess)
    assert hit["rate"] == pytest.approx(rate, abs=0.02)  # half a frame at the ends of the clip
    assert hit["train_frame"] == pytest.approx(at[middle], abs=0.2)


def leaky(path, simulated):
    """The simulated clips and a copy, for subject 3, of the first clip of subject 1."""
    clips = recordings(simulated)
    source = next(clip for clip in clips if clip.subject == 1)
    copy = replace(source, id="copy", frames=mirrored(source.frames), subject=3)
    return written(path, [*clips, copy], PEOPLE | CAMERAS), source.id


def test_an_audit_is_remembered_beside_the_store(simulated, tmp_path, monkeypatch):
    store, source = leaky(tmp_path / "s", simulated)
    assert remembered(store) is None
    found = audit(store)
    assert [(leak.train, leak.test) for leak in found["xsub"]] == [(source, "copy")]
    assert [leak.test for leak in found["xview"]] in ([], ["copy"], [source])
    again = remembered(ClipStore.open(store.path))
    assert again == found
    assert [str(store.ids[index]) for index in leaked_clips(store, again["xsub"])] == ["copy"]
    monkeypatch.setattr(leaks_module, "VERSION", 2)
    assert remembered(store) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"audit": 1}', "\x00"])
def test_a_damaged_memory_is_none(simulated, tmp_path, text):
    store = written(tmp_path / "s", recordings(simulated)[:3], {})
    (store.path / AUDIT_FILE).write_text(text)
    assert remembered(store) is None


def test_the_memory_of_another_store_is_none(simulated, tmp_path):
    clips = recordings(simulated)
    one, other = written(tmp_path / "one", clips[:6], {}), written(tmp_path / "other", clips[:7], {})
    audit(one)
    (other.path / AUDIT_FILE).write_text((one.path / AUDIT_FILE).read_text())
    assert remembered(one) == {}
    assert remembered(other) is None
    assert json.loads((one.path / AUDIT_FILE).read_text())["store"] == one.checksum


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_no_error(simulated, tmp_path):
    store = written(tmp_path / "s", recordings(simulated)[:3], {})
    store.path.chmod(0o500)
    assert audit(store) == {}
    store.path.chmod(0o700)


def test_a_refused_memory_is_no_error(simulated, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "no")

    monkeypatch.setattr(leaks_module, "write_json", refuse)
    assert audit(written(tmp_path / "s", recordings(simulated)[:3], {})) == {}


def test_a_protocol_that_cannot_split_is_refused_and_passed_over_in_an_audit(simulated, tmp_path):
    store = written(tmp_path / "s", recordings(simulated)[:3], {"split": BY_SPLIT})
    with pytest.raises(DataError, match="no clip of the store has one"):
        find_leaks(store, "split")
    assert audit(store) == {}


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("kind", ["msr-action3d", pytest.param("utd-mhad", marks=pytest.mark.soak)])
def test_the_real_sets_have_no_leak_under_their_protocol(imported, kind):
    assert find_leaks(imported(kind), "xsub") == []


@pytest.mark.data
@needs_data
def test_two_recordings_of_msr_action3d_are_twice_there_under_other_names(imported, tmp_path):
    store = imported("msr-action3d")
    clips = [replace(clip, splits={"split": int(clip.id[-1]) % 2}) for clip in recordings(store)]
    again = written(tmp_path / "t", clips, {"split": BY_SPLIT}, layout=store.layout, fps=15.0)
    found = [{leak.train, leak.test} for leak in find_leaks(again, "split")]
    assert found == [{"a05_s01_e01", "a05_s01_e02"}, {"a13_s02_e02", "a13_s02_e03"}]
