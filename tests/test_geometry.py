import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inverses import joint_from_bone, joint_from_motion

from pcm3.errors import ConfigError
from pcm3.geometry import STREAMS, bone, motion, stream
from pcm3.skeleton import layout_names, load_layout

KINECT = load_layout("kinect_v2")


def both_kinds(clip):
    return [clip, torch.from_numpy(clip)]


@pytest.mark.parametrize("name", layout_names())
def test_bones_are_joint_minus_parent_and_the_root_has_none(name):
    layout = load_layout(name)
    clip = np.random.default_rng(0).normal(size=(2, 5, 2, len(layout.joints), 3))
    for kind in both_kinds(clip):
        bones = np.asarray(bone(kind, layout))
        for joint, parent in enumerate(layout.parents):
            np.testing.assert_array_equal(bones[..., joint, :], clip[..., joint, :] - clip[..., parent, :])
        assert not bones[..., layout.root, :].any()


def test_motion_is_next_minus_this_and_the_last_frame_has_none():
    clip = np.random.default_rng(0).normal(size=(3, 5, 2, 25, 3))
    for kind in both_kinds(clip):
        moved = np.asarray(motion(kind))
        for t in range(4):
            np.testing.assert_array_equal(moved[:, t], clip[:, t + 1] - clip[:, t])
        assert not moved[:, 4].any()


def test_nothing_leads_to_or_from_where_a_joint_is_away():
    clip = np.random.default_rng(0).normal([0, 0, 3], 0.3, size=(2, 6, 2, 25, 3))
    clip[:, :, 0, KINECT.centre] = 0  # it is the centre, and there
    clip[0, 2:4, 0, 7] = 0  # away for two frames
    clip[1, :, 0, 9] = 0  # left out of the clip by a view, as released: its bone is minus its parent
    child = next(joint for joint, parent in enumerate(KINECT.parents) if parent == 7)
    for kind in both_kinds(clip):
        bones, moved = np.asarray(bone(kind, KINECT, gaps=True)), np.asarray(motion(kind, gaps=True))
        assert not bones[0, 2:4, 0, [7, child]].any()
        np.testing.assert_array_equal(bones[0, 1, 0, 7], clip[0, 1, 0, 7] - clip[0, 1, 0, KINECT.parents[7]])
        np.testing.assert_array_equal(bones[1, :, 0, 9], -clip[1, :, 0, KINECT.parents[9]])
        below = next(joint for joint, parent in enumerate(KINECT.parents) if parent == KINECT.centre)
        np.testing.assert_array_equal(bones[0, :, 0, below], clip[0, :, 0, below])
        assert not moved[0, 1:4, 0, 7].any()
        assert moved[0, 4, 0, 7].any()
        np.testing.assert_array_equal(moved[:, :-1, 1], clip[:, 1:, 1] - clip[:, :-1, 1])


def test_streams_of_one_frame_and_of_one_clip_without_batch():
    clip = np.random.default_rng(0).normal(size=(1, 2, 25, 3))
    assert not motion(clip).any()
    np.testing.assert_array_equal(bone(clip, KINECT), bone(clip[None], KINECT)[0])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), frames=st.integers(1, 40), name=st.sampled_from(layout_names()))
def test_joints_come_back_from_bones_and_from_motion(seed, frames, name):
    layout = load_layout(name)
    clip = np.random.default_rng(seed).normal(size=(2, frames, 2, len(layout.joints), 3))
    for kind in both_kinds(clip):
        bones = bone(kind, layout) + 0.0
        bones[..., layout.root, :] = 7.0  # a network predicts something there too
        np.testing.assert_allclose(joint_from_bone(bones, kind[..., layout.root, :], layout), clip, atol=1e-12)
        np.testing.assert_allclose(joint_from_motion(motion(kind), kind[:, 0]), clip, atol=1e-12)


def test_inverses_leave_their_input_alone_and_pass_gradients():
    bones = torch.ones(1, 3, 1, 25, 3, requires_grad=True)
    joint_from_bone(bones, torch.zeros(1, 3, 1, 3), KINECT).sum().backward()
    assert torch.equal(bones.detach(), torch.ones_like(bones))
    assert bones.grad is not None
    assert bones.grad[0, 0, 0, KINECT.joints.index("neck"), 0] == 2  # the neck's bone carries neck and head
    assert bones.grad[0, 0, 0, KINECT.root, 0] == 0


def test_stream_takes_the_one_named():
    clip = np.random.default_rng(0).normal(size=(5, 2, 25, 3))
    assert set(STREAMS) == {"joint", "bone", "motion"}
    np.testing.assert_array_equal(stream(clip, "joint", KINECT), clip)
    np.testing.assert_array_equal(stream(clip, "bone", KINECT), bone(clip, KINECT))
    np.testing.assert_array_equal(stream(clip, "motion", KINECT), motion(clip))
    with pytest.raises(ConfigError, match=r"expected a stream \(joint, bone, motion\), got 'bones'"):
        stream(clip, "bones", KINECT)


def test_torch_streams_keep_precision_and_device():
    clip = torch.ones(2, 5, 2, 25, 3, dtype=torch.bfloat16)
    for name in STREAMS:
        assert stream(clip, name, KINECT).dtype == torch.bfloat16
