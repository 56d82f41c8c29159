import pytest

from pcm3.errors import DataError
from pcm3.hierarchy import layout_from_hierarchy
from pcm3.retarget import plan_retarget
from pcm3.skeleton import PART_NAMES, load_layout

LEG, ARM = ["UpLeg", "Leg", "Foot", "ToeBase"], ["Shoulder", "Arm", "ForeArm", "Hand", "HandIndex1"]


def rig():
    """Names and parents of a rig as BVH files have it."""
    names, parents = ["Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"], [-1, 0, 1, 2, 3, 4]
    for side in ("Left", "Right"):
        for limb, root in ((LEG, 0), (ARM, 3)):
            for bone in limb:
                parents.append(root if bone == limb[0] else len(names) - 1)
                names.append(side + bone)
    return names, parents


def test_a_rig_has_parts_pairs_and_directions_by_its_names():
    names, parents = rig()
    layout, notes = layout_from_hierarchy(names, parents, "rig")
    assert notes == []
    assert len(layout.mirror) == len(LEG) + len(ARM)
    for left, right in layout.mirror:
        assert names[right] == names[left].replace("Left", "Right")
    parts = {name: [names[joint] for joint in part] for name, part in zip(PART_NAMES, layout.parts, strict=True)}
    assert parts["trunk"] == names[:6]
    assert parts["left_leg"] == ["Left" + bone for bone in LEG]
    assert parts["right_arm"] == ["Right" + bone for bone in ARM]
    assert names[layout.centre] == "Hips"
    assert [names[joint] for joint in (*layout.up, *layout.across)] == ["Hips", "Neck", "LeftArm", "RightArm"]


def test_a_rig_can_be_retargeted():
    names, parents = rig()
    layout, _ = layout_from_hierarchy(names, parents, "rig")
    said = dict(line.split(": ", 1) for line in plan_retarget(layout, load_layout("kinect_v2")).lines)
    assert said["left_knee"] == "copied from LeftLeg"
    assert said["spine_mid"] == "copied from Spine1"
    assert said["right_wrist"] == "copied from RightHand"


@pytest.mark.parametrize("name", ["kinect_v2", "smpl24", "coco17", "azure32", "mediapipe33"])
def test_the_layouts_of_the_package_come_out_as_they_are(name):
    given = load_layout(name)
    layout, _ = layout_from_hierarchy(given.joints, given.parents, name)
    assert set(layout.mirror) == set(given.mirror)
    assert [set(part) for part in layout.parts] == [set(part) for part in given.parts]
    assert layout.across == given.across


def test_what_names_do_not_tell_is_said():
    layout, notes = layout_from_hierarchy(["a", "b", "c"], [-1, 0, 1])
    assert layout.mirror == ()
    assert layout.parts[0] == (0, 1, 2)
    assert len(notes) == 4
    assert "no names of a left and a right side: the layout has no mirror pairs" in notes
    assert "no names that tell what goes up in the body: from 'a' to 'b' is taken" in notes


def test_names_or_parents_that_make_no_skeleton_are_refused():
    with pytest.raises(DataError, match="must differ"):
        layout_from_hierarchy(["a", "a"], [-1, 0])
    with pytest.raises(DataError, match="circle"):
        layout_from_hierarchy(["a", "b", "c"], [-1, 2, 1])
