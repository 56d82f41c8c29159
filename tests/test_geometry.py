import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inverses import joint_from_bone, joint_from_motion

from pcm3.errors import ConfigError
from pcm3.geometry import STREAMS, absent, bone, input_feature, motion, stream
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
    clip[1, :, 0, 9] = 0  # away from the whole clip
    child = next(joint for joint, parent in enumerate(KINECT.parents) if parent == 7)
    for kind in both_kinds(clip):
        bones, moved = np.asarray(bone(kind, KINECT, gaps=True)), np.asarray(motion(kind, gaps=True))
        assert not bones[0, 2:4, 0, [7, child]].any()
        np.testing.assert_array_equal(bones[0, 1, 0, 7], clip[0, 1, 0, 7] - clip[0, 1, 0, KINECT.parents[7]])
        assert not bones[1, :, 0, [9, 10]].any()  # and the bone of what hangs from it
        assert np.asarray(bone(kind, KINECT))[1, :, 0, [9, 10]].all()  # of whole clips, as released
        below = next(joint for joint, parent in enumerate(KINECT.parents) if parent == KINECT.centre)
        np.testing.assert_array_equal(bones[0, :, 0, below], clip[0, :, 0, below])
        assert not moved[0, 1:4, 0, 7].any()
        assert moved[0, 4, 0, 7].any()
        np.testing.assert_array_equal(moved[:, :-1, 1], clip[:, 1:, 1] - clip[:, :-1, 1])


def is_absent(clip, body, joint, frames):
    """Whether a joint of one clip (T, M, V, C) is absent from the last of these frames, by the rule."""
    if clip[frames[-1], body, joint].any():
        return False
    if joint != KINECT.centre:
        return True

    def may_be_centred(other):
        there = any(clip[frame, other].any() for frame in frames)
        return there and not any(clip[frame, other, joint].any() for frame in frames)

    return not may_be_centred(body) or any(may_be_centred(before) for before in range(body))


def by_the_rule(clip, name, back):
    """The feature of one clip (T, M, V, C) in float64: a bone or motion with one end absent is absent, all zeros."""
    result, count = np.zeros(clip.shape), len(clip)
    for frame, body, joint in np.ndindex(clip.shape[:3]):
        if name == "bone":
            known = range(frame + 1) if back else [*range(frame), *range(frame + 1, count), frame]
            ends = [(frame, KINECT.parents[joint]), (frame, joint)]
            lost = [is_absent(clip, body, at, list(known)) for _, at in ends]
        else:
            stride = {"motion": 1, "motion4": 4, "motion8": 8}[name]
            ends = [(frame, joint), (min(frame + stride, count - 1), joint)]
            ends = [(max(frame - stride, 0), joint), (frame, joint)] if back else ends
            lost = [not clip[at, body, joint].any() for at, _ in ends]
        if not any(lost):
            start, end = (clip[at, body, of] for at, of in ends)
            result[frame, body, joint] = end - start
    return result


def torn():
    """Clips in which joints are lost for a while or from beginning to end, that of the centre of body 1 among them;
    body 0 comes late in the second one, is never there in the third, and in the fourth body 1 is centred."""
    rng = np.random.default_rng(3)
    clips = rng.normal([0, 0, 3], 0.3, size=(4, 7, 2, 25, 3))
    clips *= rng.random((4, 7, 2, 25, 1)) < 0.7
    clips[:, :, :, [5, 12]] = 0
    clips[:2, :, :, KINECT.centre] = 0
    clips[1, :3, 0] = clips[2, :, 0] = 0
    clips[2:, :, 1, KINECT.centre] = 0
    clips[3, :, 0, KINECT.centre] = 1
    return clips


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("name", ["bone", "motion", "motion4", "motion8"])
def test_features_of_torn_clips_are_those_of_the_slow_reference(name, back):
    for clip in torn():
        expected = by_the_rule(clip, name, back)
        assert expected.any()
        for kind in both_kinds(clip):
            made = input_feature(kind, name, KINECT.parents, True, back, KINECT.at_origin)
            np.testing.assert_array_equal(np.asarray(made), expected)


@pytest.mark.parametrize("name", ["motion", "motion4", "motion8"])
def test_the_motion_of_a_bone_with_an_end_absent_is_absent_too(name):
    for clip in torn():
        bones = by_the_rule(clip, "bone", back=False)
        expected = by_the_rule(bones, name, back=False)
        made = input_feature(bone(clip, KINECT, gaps=True), name, KINECT.parents, gaps=True)
        np.testing.assert_array_equal(made, expected)


def test_whole_clips_keep_their_bones_whoever_they_are_centred_on():
    clips = np.random.default_rng(0).normal(size=(3, 6, 2, 25, 3))
    clips[0, :, 0, KINECT.centre] = clips[1, :, 1, KINECT.centre] = 0
    clips[2, :3, 0] = clips[2, :3, 1, KINECT.centre] = clips[2, 3:, 0, KINECT.centre] = 0  # the first that is there
    for back in (False, True):
        made = input_feature(clips, "bone", KINECT.parents, True, back, KINECT.at_origin)
        np.testing.assert_array_equal(made[:2], bone(clips[:2], KINECT))
    np.testing.assert_array_equal(made[2, :3], bone(clips[2, :3], KINECT))


def test_where_two_joints_are_the_centre_none_lies_at_the_origin():
    coco = load_layout("coco17")
    clip = np.random.default_rng(0).normal(size=(4, 1, 17, 3))
    clip[:, 0, coco.centre] = 0
    for kind in both_kinds(clip):
        assert np.asarray(absent(kind, coco.at_origin))[:, 0, coco.centre].all()


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
