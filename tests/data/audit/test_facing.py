import numpy as np
import pytest
from t_pose import t_pose

from pcm3.data.audit.facing import elbows_backwards, toes_forwards
from pcm3.data.audit.skeleton_flaws import CLEARLY
from pcm3.skeleton import layout_names, load_layout

ARMS = ["azure32", "coco17", "h36m17", "kinect_v1", "kinect_v2", "mediapipe33", "openpose25", "smpl24"]
FEET = [name for name in ARMS if name not in ("coco17", "h36m17")]


def bent(layout):
    """(3, V, 3) a person whose elbows are behind the arms, in some frames more, and who turns."""
    pose = t_pose(layout)
    frames = np.stack([pose, pose, pose]).astype(np.float32)
    for joint, name in enumerate(layout.joints):
        if "elbow" in name:
            frames[:, joint, 1] -= [0.05, 0.1, 0.2]
    turn = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    frames[2] = frames[2] @ np.array(turn, np.float32).T
    return frames


def everywhere(layout):
    return np.ones(len(layout.joints), np.bool_)


@pytest.mark.parametrize("name", ARMS)
def test_elbows_are_behind_the_arms_unless_the_sides_are_exchanged(name):
    layout = load_layout(name)
    body = bent(layout)
    assert elbows_backwards(body, layout, everywhere(layout)) == pytest.approx(1, abs=0.01)
    assert elbows_backwards(body[:, list(layout.mirrored)], layout, everywhere(layout)) == pytest.approx(-1, abs=0.01)
    assert elbows_backwards(body * np.float32([-1, 1, 1]), layout, everywhere(layout)) == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize("name", FEET)
def test_toes_point_forwards_unless_the_sides_are_exchanged(name):
    layout = load_layout(name)
    body = bent(layout)
    assert toes_forwards(body, layout, everywhere(layout)) > CLEARLY
    assert toes_forwards(body[:, list(layout.mirrored)], layout, everywhere(layout)) < -CLEARLY


def test_straight_arms_tell_nothing():
    layout = load_layout("kinect_v2")
    assert elbows_backwards(t_pose(layout)[None].astype(np.float32), layout, everywhere(layout)) == 0


@pytest.mark.parametrize("name", [name for name in layout_names() if name in ("hand21", "coco17", "sbu15", "h36m17")])
def test_what_is_not_there_tells_nothing(name):
    layout = load_layout(name)
    body = np.ones((2, len(layout.joints), 3), np.float32)
    assert np.isnan(toes_forwards(body, layout, everywhere(layout)))
    ever = everywhere(layout)
    ever[layout.across[0]] = False
    assert np.isnan(elbows_backwards(body, layout, ever))
