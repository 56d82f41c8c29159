import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.errors import ConfigError, DataError
from pcm3.geometry import (
    STREAMS,
    bone,
    joint_from_bone,
    joint_from_motion,
    motion,
    normalise,
    present_joints,
    rotation_between,
    stream,
)
from pcm3.skeleton import layout_names, load_layout

KINECT = load_layout("kinect_v2")


def rotation_matrix(axis, angle):
    """Rotation by the Euler-Rodrigues formula; identity for no axis or no angle, as the released code has it."""
    if sum(abs(a) for a in axis) < 1e-6 or abs(angle) < 1e-6:
        return np.eye(3)
    a = math.cos(angle / 2)
    b, c, d = (math.sin(angle / 2) * np.asarray(axis) / math.sqrt(sum(x * x for x in axis))).tolist()
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def angle_between(v, w):
    if sum(abs(x) for x in v) < 1e-6:
        return 0.0
    return math.acos(max(-1.0, min(1.0, sum(v * w) / math.sqrt(sum(v * v)) / math.sqrt(sum(w * w)))))


def normalise_slowly(frames, layout):
    """METHOD "centre" and "rotate", one joint at a time in float64, a whole pass over the clip for each step."""
    clip = frames.astype(np.float64)
    bodies, frame_count = clip.shape[1], len(clip)
    for t in range(frame_count):
        centre = clip[t, 0, layout.centre].copy()
        for m in range(bodies):
            for v in range(clip.shape[2]):
                if clip[t, m, v].any():
                    clip[t, m, v] = frames[t, m, v] - centre
    for (start, end), onto in ((layout.up, np.array([0, 0, 1.0])), (layout.across, np.array([1.0, 0, 0]))):
        direction = clip[0, 0, end] - clip[0, 0, start]
        matrix = rotation_matrix(np.cross(direction, onto), angle_between(direction, onto))
        for t in range(frame_count):
            for m in range(bodies):
                for v in range(clip.shape[2]):
                    clip[t, m, v] = matrix @ clip[t, m, v]
    return clip


def random_clip(seed, frames=6, bodies=2, joints=25):
    random = np.random.default_rng(seed)
    clip = random.normal([0.3, -0.2, 3], 0.5, (frames, bodies, joints, 3))
    clip[random.random((frames, bodies)) < 0.25] = 0
    clip[random.random((frames, bodies, joints)) < 0.02] = 0
    return clip


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), bodies=st.integers(1, 3))
def test_normalise_agrees_with_the_joint_by_joint_version(seed, bodies):
    clip = random_clip(seed, bodies=bodies)
    fast = normalise(clip, present_joints(clip), KINECT)
    np.testing.assert_allclose(fast, normalise_slowly(clip, KINECT), atol=1e-6)


def test_normalise_in_single_precision_is_as_good():
    clip = random_clip(1).astype(np.float32)
    fast = normalise(clip, present_joints(clip), KINECT)
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, normalise_slowly(clip, KINECT), atol=3e-6)


def test_centre_joint_stands_at_the_origin_and_shoulders_along_x():
    clip = np.random.default_rng(0).normal(1, 1, (4, 2, 25, 3))
    out = normalise(clip, present_joints(clip), KINECT)
    np.testing.assert_allclose(out[:, 0, KINECT.centre], 0, atol=1e-12)
    across = out[0, 0, KINECT.across[1]] - out[0, 0, KINECT.across[0]]
    assert across[0] > 0
    np.testing.assert_allclose(across[1:], 0, atol=1e-12)


def test_up_lies_on_z_where_the_shoulders_are_level():
    clip = np.random.default_rng(0).normal(1, 1, (4, 1, 25, 3))
    first = clip[0, 0]
    first[KINECT.up[1]] = first[KINECT.up[0]] + [0, 0.2, 0]
    first[KINECT.across[1]] = first[KINECT.across[0]] + [0.3, 0, 0.1]
    out = normalise(clip, present_joints(clip), KINECT)
    np.testing.assert_allclose(out[0, 0, KINECT.up[1]] - out[0, 0, KINECT.up[0]], [0, 0, 0.2], atol=1e-12)


def test_distances_and_handedness_survive():
    clip = np.random.default_rng(3).normal(1, 1, (4, 2, 25, 3))
    out = normalise(clip, present_joints(clip), KINECT)
    before, after = clip[:, :, :, None] - clip[:, :, None], out[:, :, :, None] - out[:, :, None]
    np.testing.assert_allclose(np.linalg.norm(after, axis=-1), np.linalg.norm(before, axis=-1), atol=1e-12)
    assert np.linalg.det(before[0, 0, :3, 4]) * np.linalg.det(after[0, 0, :3, 4]) > 0


def test_absent_joints_stay_zero():
    clip = random_clip(5)
    out = normalise(clip, present_joints(clip), KINECT)
    assert not out[~present_joints(clip)].any()


def test_body_without_centre_in_a_frame_leaves_the_other_where_it_was():
    clip = np.random.default_rng(3).normal(1, 1, (4, 2, 25, 3))
    clip[2, 0] = 0
    out = normalise(clip, present_joints(clip), KINECT)
    np.testing.assert_allclose(np.linalg.norm(out[2, 1], axis=-1), np.linalg.norm(clip[2, 1], axis=-1))


def test_degenerate_directions_are_not_turned():
    clip = np.tile([1.0, 2.0, 3.0], (2, 1, 25, 1))
    np.testing.assert_array_equal(normalise(clip, present_joints(clip), KINECT), 0)
    z = np.array([0.0, 0.0, 1.0])
    for source in (0 * z, 2 * z, -2 * z, 1e-7 * np.ones(3)):
        np.testing.assert_array_equal(rotation_between(source, z), np.eye(3))


@settings(max_examples=60)
@given(st.lists(st.floats(-5, 5), min_size=6, max_size=6).filter(lambda v: min(abs(x) for x in v) > 0.01))
def test_rotation_between_is_a_rotation_onto_the_target(values):
    source, target = np.array(values[:3]), np.array(values[3:]) / np.linalg.norm(values[3:])
    if np.linalg.norm(np.cross(source, target)) < 1e-3:
        return
    rotation = rotation_between(source, target)
    np.testing.assert_allclose(rotation @ source, np.linalg.norm(source) * target, atol=1e-9)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_an_empty_clip_normalises_to_itself():
    empty = np.zeros((0, 2, 25, 3))
    assert normalise(empty, present_joints(empty), KINECT).shape == (0, 2, 25, 3)


def test_two_coordinates_cannot_be_normalised():
    flat = np.ones((3, 1, 25, 2))
    with pytest.raises(DataError, match="expected 3 coordinates"):
        normalise(flat, present_joints(flat), KINECT)


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
