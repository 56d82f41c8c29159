import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.t_pose import t_pose
from pcm3.errors import DataError
from pcm3.geometry import present_joints
from pcm3.retarget import plan_retarget, retarget
from pcm3.skeleton import Layout, layout_from_dict, layout_names, load_layout

BODIES = [name for name in layout_names() if name != "hand21"]
PAIRS = list(itertools.permutations(BODIES, 2))
KINECT = load_layout("kinect_v2")


def moving(layout, frames=5, seed=0):
    """(T, V, 3) a body that moves, in float64."""
    return t_pose(layout) + np.random.default_rng(seed).normal(0, 0.1, (frames, len(layout.joints), 3))


def renamed(layout: Layout, names: dict[str, str], name="own"):
    return layout_from_dict(
        layout.to_dict() | {"name": name, "joints": [names.get(joint, joint) for joint in layout.joints]}
    )


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_t_pose_has_its_joints_where_they_belong(source, target):
    one, other = load_layout(source), load_layout(target)
    plan = plan_retarget(one, other)
    moved, present = plan(t_pose(one)[None])
    assert present.all(), plan.lines
    off = np.linalg.norm(moved[0] - t_pose(other), axis=-1)
    for joint, distance in zip(plan.joints, off, strict=True):
        if joint.words.startswith("copied"):
            assert distance < 1e-9, joint
    # A hand tip is taken to be at the wrist where there is no hand, a toe at the ankle where there is no foot.
    assert off.max() < 0.19
    assert off.mean() < 0.07


@pytest.mark.parametrize("name", layout_names())
def test_a_layout_is_its_own_image_to_the_bit(name):
    layout = load_layout(name)
    clip = np.random.default_rng(0).normal(size=(3, 2, len(layout.joints), 3)).astype(np.float32)
    np.testing.assert_array_equal(retarget(clip, layout, layout), clip)


@pytest.mark.parametrize("name", ["kinect_v2", "azure32", "smpl24", "h36m32"])
def test_there_and_back_is_where_a_small_layout_began(name):
    small = load_layout("sbu15")
    clip = moving(small)
    back = retarget(retarget(clip, small, name), name, small)
    copied = [joint.words.startswith("copied") for joint in plan_retarget(small, load_layout(name)).joints]
    assert sum(copied) >= 12
    kept = [small.joints.index(joint) for joint in ("left_elbow", "right_knee", "left_shoulder")]
    np.testing.assert_allclose(back[:, kept], clip[:, kept])


def mirrored(clip, layout):
    return clip[..., list(layout.mirrored), :] * [-1, 1, 1]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_mirror_before_is_a_mirror_after(source, target):
    one, other = load_layout(source), load_layout(target)
    clip = moving(one)
    np.testing.assert_allclose(
        retarget(mirrored(clip, one), one, other), mirrored(retarget(clip, one, other), other), atol=1e-12
    )


@given(absent=st.sets(st.integers(0, 16)), pair=st.sampled_from(["kinect_v2", "smpl24", "openpose25"]))
@settings(max_examples=60, deadline=None)
def test_what_is_absent_stays_absent_unless_another_way_has_what_it_needs(absent, pair):
    coco, target = load_layout("coco17"), load_layout(pair)
    clip = moving(coco, frames=2)
    gone = sorted(absent)
    clip[1, gone] = 0
    plan = plan_retarget(coco, target)
    moved, present = plan(clip)
    np.testing.assert_array_equal(present, present_joints(moved[:, None])[:, 0])
    for number, joint in enumerate(plan.joints):
        ways = [way for way in joint.ways if not absent & {source for source, _ in way}]
        assert present[1, number] == bool(ways)
        wanted = sum(clip[1, source] * weight for source, weight in ways[0]) if ways else np.zeros(3)
        np.testing.assert_allclose(moved[1, number], wanted, atol=1e-12)
    whole = plan(clip[:1])[0]
    np.testing.assert_array_equal(whole, moved[:1])


def test_every_shape_and_nan_come_to_the_same():
    coco = load_layout("coco17")
    batch = np.random.default_rng(0).normal(size=(4, 6, 2, 17, 3))
    batch[0, :, 1] = 0
    one = retarget(batch, "coco17")
    assert one.shape == (4, 6, 2, 25, 3)
    assert not one[0, :, 1].any()
    for clip, moved in zip(batch, one, strict=True):
        np.testing.assert_array_equal(retarget(clip, coco), moved)
        np.testing.assert_array_equal(retarget(clip[:, 0], coco), moved[:, 0])
    lost = batch.copy()
    lost[0, :, 1] = np.nan
    np.testing.assert_array_equal(retarget(lost, coco), one)


def test_a_joint_at_the_origin_is_there_where_that_is_said():
    layout = load_layout("kinect_v1")
    clip = t_pose(layout)[None]
    clip = clip - clip[:, :1]  # hip centre at the origin
    present = np.ones(clip.shape[:2], np.bool_)
    plan = plan_retarget(layout, KINECT)
    assert not plan(clip)[1].all()
    assert plan(clip, present)[1].all()


def test_every_joint_says_where_it_comes_from():
    plan = plan_retarget(load_layout("coco17"), KINECT)
    said = dict(line.split(": ", 1) for line in plan.lines)
    assert list(said) == list(KINECT.joints)
    assert said["left_knee"] == "copied from left_knee"
    assert said["spine_base"] == "approximated as the middle of the hips (left_hip, right_hip)"
    assert said["head"] == "approximated as the middle of the ears (left_ear, right_ear)"
    assert plan.to_dict()["joints"] == said
    assert plan.summary.startswith("coco17 to kinect_v2: 12 of 25 joints copied; spine_base, ")


def test_a_joint_that_cannot_be_told_is_absent():
    layout = load_layout("coco17")
    keep = [joint for joint, name in enumerate(layout.joints) if "knee" not in name]
    names = {name: f"marker{joint}" for joint, name in enumerate(layout.joints) if joint not in keep}
    plan = plan_retarget(renamed(layout, names), KINECT)
    assert plan.joints[KINECT.joints.index("left_knee")].words == "absent"
    moved, present = plan(moving(layout))
    knees = [KINECT.joints.index(f"{side}_knee") for side in ("left", "right")]
    assert not moved[:, knees].any()
    assert not present[:, knees].any()
    assert plan.unknown == ("marker13", "marker14")


def test_who_has_no_hips_is_refused_with_the_nearest_names():
    layout = renamed(load_layout("coco17"), {"left_hip": "lhipp", "right_hip": "rhipp"}, "camera")
    with pytest.raises(DataError, match=r"layout camera cannot .* spine_base, spine_mid.*'lhipp' \(nearest: left_hip"):
        plan_retarget(layout, KINECT)
    with pytest.raises(DataError, match="hand21 cannot be retargeted to kinect_v2"):
        retarget(np.zeros((1, 21, 3)), "hand21")


def test_other_joints_than_the_layouts_are_refused():
    with pytest.raises(DataError, match=r"expected a clip \(…, 17, C\) for layout coco17, got \(2, 25, 3\)"):
        retarget(np.zeros((2, 25, 3)), "coco17")


def test_scores_are_those_of_the_least_sure_joint():
    plan = plan_retarget(load_layout("coco17"), KINECT)
    scores = np.linspace(0.1, 0.9, 17)[None]
    moved = plan.scores(scores)
    hips = [load_layout("coco17").joints.index(f"{side}_hip") for side in ("left", "right")]
    assert moved[0, 0] == scores[0, hips].min()
    assert moved[0, KINECT.joints.index("left_knee")] == scores[0, 13]


def test_the_page_of_layouts_names_them_all():
    page = (Path(__file__).parents[1] / "docs/LAYOUTS.md").read_text(encoding="utf-8")
    told = {name: int(count) for name, count in re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)}
    assert told == {name: len(load_layout(name).joints) for name in layout_names()}
