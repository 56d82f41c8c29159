"""Stores in another layout, by import and from a store."""

from dataclasses import replace

import numpy as np
import pytest
from ntu_file_text import walkers
from upright_people import standing

from pcm3.cli import main
from pcm3.data.audit.check import check_store
from pcm3.data.importer import store_recordings
from pcm3.data.prepare import Recipe, prepare
from pcm3.data.recording import TEST, TRAIN, Changes, Interval, Recording
from pcm3.data.retarget_store import TURNED_TWICE, retarget_store, retargeting_lines
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.data.store_schema import BEFORE_CLIPS, check_fields
from pcm3.data.store_writer import write_store
from pcm3.encoders.spec import ClipFormat, EncoderSpec, format_of
from pcm3.errors import CheckpointError, DataError
from pcm3.retarget import plan_retarget
from pcm3.settings.encoder import EncoderSettings
from pcm3.skeleton import load_layout

COCO, KINECT, V1 = (load_layout(name) for name in ("coco17", "kinect_v2", "kinect_v1"))
PLAN = plan_retarget(COCO, KINECT)


def people(layout=COCO, count=3, **known):
    return [
        Recording(f"p{seed}", standing(seed, layout=layout).astype(np.float32), seed % 2, seed, **known)
        for seed in range(count)
    ]


def test_a_recording_is_retargeted_before_anything_else_is_done_to_it():
    (recording,) = people(count=1)
    scores = np.linspace(0.1, 1, recording.frames[..., 0].size).reshape(recording.frames.shape[:3])
    recording = replace(recording, scores=scores)
    frames, present = PLAN(recording.frames)
    by_hand = Recording("p0", frames, 0, 0, present=present, scores=PLAN.scores(scores))
    recipe = Recipe(KINECT, 2, rule="upright", up=(0.0, 1.0, 0.0))
    (wanted,) = prepare(by_hand, recipe)
    (got,) = prepare(recording, replace(recipe, layout=COCO, retargeting=PLAN))
    np.testing.assert_array_equal(got.frames, wanted.frames)
    np.testing.assert_array_equal(got.scores, wanted.scores)
    assert got.changes == wanted.changes == Changes()


def test_a_store_says_where_its_joints_come_from(tmp_path):
    report = store_recordings(people(), tmp_path / "s", layout="coco17", fps=30.0, classes=["a", "b"], to="kinect_v2")
    store = ClipStore.open(tmp_path / "s")
    assert store.layout == KINECT
    assert store.preparation["retargeted"] == PLAN.to_dict()
    assert retargeting_lines(store) == PLAN.lines
    assert any(note.startswith("retargeted from coco17 to kinect_v2: 12 of 25 joints copied") for note in report.notes)
    assert "one_place" not in {finding.name for finding in check_store(store).findings}


@pytest.mark.parametrize("rule", ["upright", "released"])
def test_a_store_of_a_store_is_as_if_imported_so(tmp_path, rule):
    about = {"fps": 30.0, "classes": ["a", "b"], "rule": rule, "dtype": "float32", "layout": "kinect_v1"}
    store_recordings(people(V1), tmp_path / "own", **about)
    store_recordings(people(V1), tmp_path / "wanted", to="kinect_v2", **about)
    retarget_store(ClipStore.open(tmp_path / "own"), tmp_path / "s", KINECT)
    got, wanted = ClipStore.open(tmp_path / "s"), ClipStore.open(tmp_path / "wanted")
    # The released rule leans a little with the axes of the recording (docs/DATA.md).
    np.testing.assert_allclose(got.frames, wanted.frames, atol=1e-5 if rule == "upright" else 0.05)
    assert got.report.get("notes", []) == ([TURNED_TWICE] if rule == "released" else [])
    assert got.preparation["retargeted"] == wanted.preparation["retargeted"]
    for name in ("label", "subject", "start", "length", "absent", "dropped", "cut", "filled"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))


def test_what_is_not_equal_to_an_import_is_said(tmp_path, cli):
    store_recordings(people(V1), tmp_path / "own", layout="kinect_v1", fps=30.0, classes=["a", "b"], rule="released")
    found = cli("retarget", tmp_path / "own", tmp_path / "s", "--to", "kinect_v2", "--json")
    assert (found.code, found.json["notes"], f"note: {TURNED_TWICE}" in found.out) == (0, [TURNED_TWICE], True)
    assert TURNED_TWICE in cli("info", tmp_path / "s").out


def test_names_splits_scores_and_intervals_stay(tmp_path):
    joints = walkers(0, 60, 2)
    scores = np.random.default_rng(0).uniform(0, 1, joints.shape[:3]).astype(np.float16)
    recordings = [
        Recording("r1", joints, subject=4, camera=2, intervals=(Interval(3, 20, 1, 2), Interval(10, 60, 0)),
                  splits={"own": TRAIN}, scores=scores),
        Recording("r2", joints, subject=5, intervals=(Interval(0, 30, 1),), splits={"own": TEST}, scores=scores),
    ]  # fmt: skip
    about = {"layout": KINECT, "fps": 25.0, "bodies": 2, "kind": "npz", "classes": ["a", "b"]}
    before = write_store(tmp_path / "own", recordings, protocols={"own": BY_SPLIT}, normalised=False, **about)
    retarget_store(before, tmp_path / "s", V1)
    after = ClipStore.open(tmp_path / "s")
    assert (after.layout, after.fps, after.kind, after.classes) == (V1, 25.0, "npz", ("a", "b"))
    assert after.protocols == before.protocols
    assert list(after.ids) == list(before.ids)
    for one, other in ((after, before), (after.recordings, before.recordings)):
        for name in ("start", "length", "label", "subject", "camera", "setup", "confidence", "recording"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_array_equal(one.splits["own"], other.splits["own"])
    plan = plan_retarget(KINECT, V1)
    np.testing.assert_array_equal(after.frames[:60], plan(joints)[0])
    np.testing.assert_array_equal(after.scores[:60], plan.scores(scores))


def test_bodies_are_dropped_or_absent(tmp_path):
    clips = [Recording("a", walkers(1, 40, 2), 0), Recording("b", walkers(2, 40, 2), 0)]
    about = {"layout": KINECT, "fps": 30.0, "kind": "npz", "classes": ["a"], "normalised": False}
    store = write_store(tmp_path / "own", clips, bodies=2, **about)
    retarget_store(store, tmp_path / "one", V1, bodies=1)
    one = ClipStore.open(tmp_path / "one")
    assert one.frames.shape[1] == 1
    assert one.dropped.tolist() == [1, 1]
    retarget_store(one, tmp_path / "three", V1, bodies=3)
    three = ClipStore.open(tmp_path / "three")
    np.testing.assert_array_equal(three.frames[:, :1], one.frames)
    assert not three.frames[:, 1:].any()
    assert three.dropped.tolist() == [1, 1]


def test_a_joint_at_the_origin_stays_there(tmp_path):
    layout = V1
    frames = standing(0, layout=layout).astype(np.float32)
    frames -= frames[:, :, :1]
    report = store_recordings(
        [Recording("a", frames, 0)], tmp_path / "s", layout=layout, fps=30.0, normalise=False, to="kinect_v2"
    )
    store = ClipStore.open(tmp_path / "s")
    assert any("hip_centre lies at the origin" in note for note in report.notes)
    assert store.preparation["origin"] == KINECT.joints.index("spine_base")
    assert store.frames[:, :, KINECT.joints.index("spine_mid")].any(), "made of the joint at the origin"
    retarget_store(store, tmp_path / "back", V1)
    np.testing.assert_allclose(ClipStore.open(tmp_path / "back").frames[..., 2, :], frames[..., 2, :], atol=1e-6)


def test_an_encoder_of_another_layout_says_how_to_retarget(tmp_path):
    store_recordings(people(V1), tmp_path / "own", layout="kinect_v1", fps=30.0, classes=["a", "b"], rule="released")
    store = ClipStore.open(tmp_path / "own")
    spec = EncoderSpec.of(EncoderSettings(hidden_size=4), ClipFormat(KINECT, 2), "joint", 16)
    with pytest.raises(CheckpointError, match=r"retarget it .pcm3 retarget STORE OUT --to MODEL"):
        spec.check_compatible(format_of(store), "model")
    retarget_store(store, tmp_path / "s", spec.layout, bodies=spec.bodies)
    spec.check_compatible(format_of(ClipStore.open(tmp_path / "s")), "model")


def test_the_command_prints_the_plan_and_refuses_what_cannot_be(tmp_path, capsys):
    store_recordings(people(), tmp_path / "own", layout="coco17", fps=30.0, classes=["a", "b"])
    assert main(["retarget", str(tmp_path / "own"), str(tmp_path / "s"), "--to", "kinect_v2", "--bodies", "2"]) == 0
    out = capsys.readouterr().out
    assert "spine_base: approximated as the middle of the hips (left_hip, right_hip)" in out
    assert ClipStore.open(tmp_path / "s").frames.shape[1:] == (2, 25, 3)
    assert main(["retarget", str(tmp_path / "own"), str(tmp_path / "hand"), "--to", "hand21"]) == 2
    assert "layout coco17 cannot be retargeted to hand21" in capsys.readouterr().err
    assert not (tmp_path / "hand").exists()


@pytest.mark.parametrize(
    "told",
    [3, {}, {"from": "a"}, {"from": "a", "to": "b", "joints": {"a": 3}}, {"from": "a\n", "to": "b", "joints": {}}],
)
def test_a_damaged_plan_is_told(told):
    fields = {"kind": "npz", "fps": 30.0, "normalised": True, "classes": [], "protocols": {}}
    with pytest.raises(DataError, match=r"store.json, preparation, retargeted"):
        check_fields(fields | {"preparation": {"retargeted": told}}, "store.json", BEFORE_CLIPS)
