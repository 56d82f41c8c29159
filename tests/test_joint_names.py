import pytest

from pcm3.joint_names import joint_table, known_roles, nearest_names, roles
from pcm3.skeleton import layout_names, load_layout

LEFT_HIP = ["hip_left", "lhip", "left_hip", "LHip", "HipLeft", "l.hip", "HIP_L", "L Hip", "mixamorig:LeftHip"]
BVH = {
    "Hips": "pelvis", "LeftUpLeg": "left_hip", "LeftLeg": "left_knee", "LeftFoot": "left_ankle",
    "LeftToeBase": "left_foot", "LeftShoulder": "left_collar", "LeftArm": "left_shoulder",
    "LeftForeArm": "left_elbow", "LeftHand": "left_wrist", "Spine1": "spine", "Neck": "neck", "Head": "head",
}  # fmt: skip
ASF = {
    "root": "pelvis", "lhipjoint": "left_hip", "lfemur": "left_knee", "ltibia": "left_ankle", "lfoot": "left_foot",
    "lclavicle": "left_shoulder", "lhumerus": "left_elbow", "lradius": "left_wrist", "rtoes": "right_toe",
    "thorax": "shoulder_centre", "lowerneck": "neck",
}  # fmt: skip
UNREAL = {"pelvis": "pelvis", "thigh_l": "left_hip", "calf_l": "left_knee", "foot_r": "right_ankle", "ball_r":
          "right_foot", "upperarm_r": "right_shoulder", "lowerarm_l": "left_elbow", "hand_l": "left_wrist",
          "spine_02": "spine"}  # fmt: skip
BIPED = {"Bip01 Pelvis": "pelvis", "Bip01 L Thigh": "left_hip", "Bip01 R Calf": "right_knee", "Bip01 Head": "head"}
KINECT = {"HipCenter": "pelvis", "ShoulderCenter": "shoulder_centre", "HandTipLeft": "left_hand_tip", "SpineMid":
          "spine", "KneeRight": "right_knee"}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_HIP)
def test_the_left_hip_by_any_name(name):
    assert roles([name]) == ("left_hip",)


@pytest.mark.parametrize("skeleton", [BVH, ASF, UNREAL, BIPED, KINECT])
def test_joints_and_bones_of_well_known_files(skeleton):
    assert dict(zip(skeleton, roles(list(skeleton)), strict=True)) == skeleton


def test_a_foot_is_a_joint_or_the_bone_that_begins_at_the_ankle():
    assert roles(["left_foot", "left_knee"])[0] == "left_foot"
    assert roles(["LeftFoot", "LeftUpLeg"])[0] == "left_ankle"


@pytest.mark.parametrize("name", ["marker7", "left", "l", "", "knee", "lx", "unknown_thing"])
def test_what_means_nothing_has_no_role(name):
    assert roles([name]) == (None,)


@pytest.mark.parametrize("name", [name for name in layout_names() if name != "hand21"])
def test_every_joint_of_the_package_is_known_and_mirrors_keep_their_roles(name):
    layout = load_layout(name)
    known = roles(layout.joints, layout.name)
    assert None not in known
    for left, right in layout.mirror:
        if known[left] != known[right]:
            assert known[left] == known[right].replace("right", "left")


def test_a_wrong_name_has_its_nearest_ones():
    assert nearest_names("lhipp")[0] == "left_hip"
    assert nearest_names("left_sholder")[0] == "left_shoulder"
    assert nearest_names("qqqqq") == []


def test_no_name_means_two_joints_and_the_weights_of_every_approximation_sum_to_one():
    table = joint_table("names")
    for part in (table, table["bones"], table["bone_ends"]):
        for group in ("middle", "sides"):
            every = [name for names in part.get(group, {}).values() for name in names]
            assert len(every) == len(set(every))
    approximations = joint_table("approximations")
    words = {*table["middle"], *table["sides"], "lower_spine"}
    for role, ways in {**approximations["middle"], **approximations["sides"]}.items():
        assert role in words
        for way in ways:
            assert sum(way["of"].values()) == pytest.approx(1)
            assert {*way["of"]} <= {*words, *known_roles()}
