import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers
from upright_people import FRAMES, standing

from pcm3.body_centre import reference_path
from pcm3.errors import DataError
from pcm3.geometry import present_joints
from pcm3.normalisation import (
    main_body,
    normalise,
    normalise_upright,
    rotation_between,
    rotation_upright,
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


def centre_slowly(body, layout):
    """METHOD "centre" of one body (T, V, C): the centre joint where it is there; else where it likely is."""
    frames = len(body)
    seen = [t for t in range(frames) if body[t, layout.centre].any()]
    near = {v for v, parent in enumerate(layout.parents) if layout.centre in (v, parent)} | {
        layout.parents[layout.centre]
    }
    centre = np.zeros((frames, 3))
    for t in range(frames):
        before, after = [s for s in seen if s <= t][-1:], [s for s in seen if s >= t][:1]
        anchors = before + after
        if not body[t].any() or not seen:
            continue
        places, told = [], True
        for anchor in anchors:
            both = [v for v in range(body.shape[1]) if body[t, v].any() and body[anchor, v].any()]
            both = [v for v in both if v in near] or both
            told = told and bool(both)
            moved = sum((body[t, v] - body[anchor, v] for v in both), np.zeros(3)) / max(len(both), 1)
            places.append(body[anchor, layout.centre] + moved)
        if not told:
            places = [body[anchor, layout.centre] for anchor in anchors]
        share = (t - anchors[0]) / max(anchors[-1] - anchors[0], 1)
        centre[t] = (1 - share) * places[0] + share * places[-1]
    return centre


def normalise_slowly(frames, layout):
    """METHOD "centre" and "rotate", one joint at a time in float64, a whole pass over the clip for each step."""
    clip = frames.astype(np.float64)
    bodies, frame_count = clip.shape[1], len(clip)
    there = frames.any(axis=-1)
    centre = centre_slowly(clip[:, 0], layout)
    for t in range(frame_count):
        for m in range(bodies):
            for v in range(clip.shape[2]):
                if there[t, m, v]:
                    clip[t, m, v] = frames[t, m, v] - centre[t]
    for (start, end), onto in ((layout.up, np.array([0, 0, 1.0])), (layout.across, np.array([1.0, 0, 0]))):
        shown = [t for t in range(frame_count) if there[t, 0, start] and there[t, 0, end]]
        direction = clip[shown[0], 0, end] - clip[shown[0], 0, start] if shown else np.zeros(3)
        matrix = rotation_matrix(np.cross(direction, onto), angle_between(direction, onto))
        for t in range(frame_count):
            for m in range(bodies):
                for v in range(clip.shape[2]):
                    clip[t, m, v] = matrix @ clip[t, m, v]
    return clip


def random_clip(seed, frames=6, bodies=2, joints=25):
    """Bodies with gaps; the centre of the first is there in most frames."""
    random = np.random.default_rng(seed)
    clip = random.normal([0.3, -0.2, 3], 0.5, (frames, bodies, joints, 3))
    clip[random.random((frames, bodies)) < 0.25] = 0
    clip[0, 0] = random.normal([0.3, -0.2, 3], 0.5, (joints, 3))
    clip[random.random((frames, bodies, joints)) < 0.02] = 0
    clip[0, 0, KINECT.centre] = [0.1, 0.2, 3]
    missing = random.integers(frames)
    if clip[:, 0, KINECT.centre].any(axis=-1).sum() > clip[:, 0].any(axis=(1, 2)).sum() / 2 + 1:
        clip[missing, 0, KINECT.centre] = 0
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
@given(st.lists(st.floats(0.011, 5) | st.floats(-5, -0.011), min_size=6, max_size=6))
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


@pytest.mark.parametrize("up", [None, (0.0, 1.0, 0.0)])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), facing=st.floats(-math.pi, math.pi), which=st.sampled_from(range(24)))
def test_an_upright_clip_does_not_depend_on_the_axes_of_its_recording(up, seed, facing, which):
    clip, axes = standing(seed, facing=facing), FRAMES[which]
    here = normalise_upright(clip, present_joints(clip), KINECT, up)
    there = clip @ axes.T
    turned = normalise_upright(
        there, present_joints(there), KINECT, None if up is None else (axes @ np.array(up)).tolist()
    )
    np.testing.assert_allclose(turned, here, atol=1e-9)


@pytest.mark.parametrize("facing", [0, 0.5 * math.pi, math.pi - 1e-3, math.pi, math.pi + 1e-3, -2.0])
def test_whoever_faces_wherever_stands_along_z_and_faces_along_y(facing):
    clip = standing(3, facing=facing)
    out = normalise_upright(clip, present_joints(clip), KINECT, (0.0, 1.0, 0.0))[0, 0]
    place = {name: out[joint] for joint, name in enumerate(KINECT.joints)}
    assert place["head"][2] > 0.3 > -0.3 > place["left_ankle"][2]
    assert place["right_shoulder"][0] - place["left_shoulder"][0] > 0.3
    assert abs(place["right_shoulder"][1] - place["left_shoulder"][1]) < 1e-9
    assert np.linalg.norm(out - clip[0, 0]) > 0  # it was moved
    np.testing.assert_allclose(
        np.linalg.norm(out[:, None] - out[None], axis=-1),
        np.linalg.norm(clip[0, 0, :, None] - clip[0, 0, None], axis=-1),
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), facing=st.floats(-math.pi, math.pi))
def test_nobody_is_mirrored_by_standing_upright(seed, facing):
    clip = standing(seed, facing=facing)
    turn = rotation_upright(clip, present_joints(clip), KINECT)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turn) > 0


@pytest.mark.parametrize(
    ("there", "main"),
    [
        ([[1, 0], [0, 1], [0, 1], [0, 1]], 1),  # whoever has the first place may be there for a moment only
        ([[1, 0], [1, 1], [0, 1], [0, 1]], 0),  # half of the frames is enough
        ([[1, 0], [1, 1], [0, 1], [0, 0]], 0),  # of those in which anybody is
        ([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], 1),  # nobody is: the first of those in most
    ],
)
def test_the_main_body_is_the_first_in_half_of_the_frames_or_the_one_in_most(there, main):
    assert main_body(np.array(there, bool)) == main


def test_who_lies_stays_lying_where_up_is_told():
    clip = standing(5) - [0.2, 0.1, 3]
    lying = clip @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]]).T  # head towards +x
    out = normalise_upright(lying, present_joints(lying), KINECT, (0.0, 1.0, 0.0))
    head, ankle = out[0, 0, KINECT.joints.index("head")], out[0, 0, KINECT.joints.index("left_ankle")]
    assert np.linalg.norm((head - ankle)[:2]) > 1.2
    assert abs((head - ankle)[2]) < 0.4


@pytest.mark.parametrize("rule", [normalise, normalise_upright])
@pytest.mark.parametrize("name", ["centre", "up", "across"])
def test_an_absent_reference_is_taken_from_elsewhere(rule, name):
    clip = standing(9, frames=20)
    gone = {"centre": [KINECT.centre], "up": list(KINECT.up), "across": list(KINECT.across)}[name]
    gappy = clip.copy()
    gappy[:2, :, gone] = 0
    gappy[9:11, :, gone] = 0
    present = present_joints(gappy)
    whole, out = rule(clip, present_joints(clip), KINECT), rule(gappy, present, KINECT)
    assert not out[~present].any()
    away = np.linalg.norm(out - whole, axis=-1)[present]
    # The centre is where it likely was; the direction, where a joint of it is absent, is that of another frame.
    assert away.max() < (0.12 if name == "centre" and rule is normalise_upright else 0.35)
    still = np.linalg.norm(np.diff(out[:, 0, KINECT.joints.index("head")], axis=0), axis=-1)
    assert still.max() < 0.2  # nobody leaps by the way to the camera


def test_a_centre_that_is_never_there_is_taken_from_the_next_joint():
    clip = standing(2)
    clip[:, :, KINECT.centre] = 0
    neighbours = [KINECT.parents[KINECT.centre], *(j for j, p in enumerate(KINECT.parents) if p == KINECT.centre)]
    path = reference_path(clip[:, 0], present_joints(clip)[:, 0], KINECT)
    assert any(np.array_equal(path, clip[:, 0, joint]) for joint in neighbours)


@pytest.mark.parametrize("gap", [slice(0, 50), slice(5, 50), slice(10, None), slice(30, 31)])
def test_a_centre_that_is_away_goes_along_with_its_neighbours(gap):
    clip = np.repeat(standing(3, frames=1), 60, axis=0)
    clip += 0.6 * np.sin(np.arange(60) / 5)[:, None, None, None] * np.array([1.0, 0.3, 0])  # to and fro, and a jump
    gappy = clip.copy()
    gappy[gap, :, KINECT.centre] = 0
    path = reference_path(gappy[:, 0], present_joints(gappy)[:, 0], KINECT)
    np.testing.assert_allclose(path, clip[:, 0, KINECT.centre], atol=1e-9)


def test_a_body_that_is_away_for_a_while_does_not_move_the_other_one():
    clip = np.concatenate([standing(1), standing(2) + np.array([0.8, 0, 0])], axis=1)
    clip[4:7, 0] = 0
    out = normalise_upright(clip, present_joints(clip), KINECT, (0.0, 1.0, 0.0))
    whole = np.concatenate([standing(1), standing(2) + np.array([0.8, 0, 0])], axis=1)
    away = out[:, 1] - normalise_upright(whole, present_joints(whole), KINECT, (0.0, 1.0, 0.0))[:, 1]
    assert np.linalg.norm(away, axis=-1).max() < 0.1
    assert not out[4:7, 0].any()


@pytest.mark.parametrize("name", layout_names())
def test_nothing_to_go_by_is_not_an_error(name):
    layout = load_layout(name)
    for rule in (normalise, normalise_upright):
        for clip in (np.zeros((3, 2, len(layout.joints), 3)), np.ones((3, 1, len(layout.joints), 3))):
            out = rule(clip, present_joints(clip), layout)
            assert np.isfinite(out).all()
            assert not out.any()
        one = walkers(0, 4, 1, len(layout.joints)).astype(np.float64)
        one[:, :, 1:] = 0
        assert np.isfinite(rule(one, present_joints(one), layout)).all()


@pytest.mark.parametrize("rule", [normalise, normalise_upright])
def test_a_centre_that_has_a_mirror_image_is_the_middle_of_the_two(rule):
    coco = load_layout("coco17")
    clip = standing(3, layout=coco)
    present = np.ones(clip.shape[:3], np.bool_)
    present[4, 0, coco.joints.index("left_hip")] = False
    moved = rule(clip, present, coco)
    hips = [coco.joints.index(f"{side}_hip") for side in ("left", "right")]
    whole = present[:, 0, hips].all(axis=1)
    np.testing.assert_allclose(moved[whole, 0][:, hips].mean(axis=1), 0, atol=1e-12)
    assert np.linalg.norm(moved[4, 0, hips[1]]) < 0.5  # the middle went along with the body
