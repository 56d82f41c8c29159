"""Drawings of skeletons: where joints come to lie, that left is left, what is drawn and what is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pcm3 import geometry, normalisation
from pcm3.data.names import printable as in_print
from pcm3.errors import DataError
from pcm3.render import draw, sheet
from pcm3.render.draw import FINE, PAPER, PARTS, PARTS_OTHER, Camera, Panel, shortened, text_width
from pcm3.render.movie import in_palette
from pcm3.render.scene import FROM_KINECT, FRONT, SENSOR, View, bounds, make_scene
from pcm3.skeleton import Layout, load_layout

KINECTS = [load_layout("kinect_v1"), load_layout("kinect_v2")]
V2 = KINECTS[1]
QUICK = settings(deadline=None, max_examples=30)

HEIGHTS = {"head": 1.65, "neck": 1.5, "shoulder": 1.4, "elbow": 1.15, "wrist": 0.95, "hand": 0.88, "tip": 0.8}
HEIGHTS |= {"thumb": 0.85, "hip": 0.95, "knee": 0.5, "ankle": 0.1, "foot": 0.04, "spine_base": 0.98, "spine_mid": 1.2}


def facing_the_sensor(layout):
    """One who stands 3 m before a Kinect and looks at it (V, 3): right at the greater x, as the SDK has it.

    The right arm is raised, the left one hangs down.
    """
    pose = np.zeros((len(layout.joints), 3))
    for joint, name in enumerate(layout.joints):
        height = next((HEIGHTS[key] for key in reversed(HEIGHTS) if key in name), 1.2)
        side = 0.2 if name.startswith("right") else -0.2 if name.startswith("left") else 0.0
        pose[joint] = [side, height - 1.0, 3.0]  # the sensor stands 1 m high
        if name.startswith("right") and joint in layout.parts[2] and "shoulder" not in name:
            pose[joint] = [0.35, 1.4 + (1.4 - height) - 1.0, 2.95]
    return pose


def scene_of(*bodies, layout=V2, normalised=False, **more):
    """A scene of one frame."""
    return make_scene(np.stack(bodies)[None], layout, fps=30.0, normalised=normalised, **more)


def large(scene, **more):
    """The picture of its first frame as an array (height, width, 3), without the legend."""
    return np.asarray(next(sheet.side_by_side([scene], **more).frames()))[: -sheet.LINE]


def where(picture, colour):
    """The (x, y) of all pixels of exactly that colour."""
    return np.argwhere((picture == colour).all(axis=-1))[:, ::-1]


# The camera


def test_from_the_front_right_is_left_and_up_is_up():
    right, up, towards = View(0.0, 0.0).axes
    np.testing.assert_allclose(right, [-1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(towards, [0, 1, 0], atol=1e-12)


def test_from_the_subjects_left_and_from_above():
    np.testing.assert_allclose(View(90.0, 0.0).axes[2], [-1, 0, 0], atol=1e-12)  # right is +x, so left is −x
    np.testing.assert_allclose(View(0.0, 90.0).axes[2], [0, 0, 1], atol=1e-12)


@QUICK
@given(st.floats(-360, 360), st.floats(-90, 90))
def test_no_view_is_a_mirror_image(azimuth, elevation):
    axes = View(azimuth, elevation).axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert np.linalg.det(FROM_KINECT) == pytest.approx(1.0)


def test_the_kinects_frame_is_seen_as_the_sensor_saw_it():
    seen = View(0.0, 0.0).axes @ FROM_KINECT
    np.testing.assert_allclose(seen @ [1, 0, 0], [-1, 0, 0], atol=1e-12)  # to the sensor's left: left in the picture
    np.testing.assert_allclose(seen @ [0, 1, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(seen @ [0, 0, 1], [0, 0, -1], atol=1e-12)  # away from the sensor


@pytest.mark.parametrize("layout", KINECTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("normalised", [False, True])
def test_who_faces_us_has_the_right_hand_on_the_left(layout, normalised):
    frames = facing_the_sensor(layout)[None, None]
    if normalised:
        frames = normalisation.normalise(frames, geometry.present_joints(frames), layout)
    scene = make_scene(frames, layout, fps=30.0, normalised=normalised)
    picture = large(scene, view=View(0.0, 0.0))
    left, right = where(picture, PARTS[1]), where(picture, PARTS[2])
    assert len(left) > 50
    assert len(right) > 50
    assert right[:, 0].mean() < left[:, 0].mean() - 30
    assert right[:, 1].min() < left[:, 1].min(), "the right hand is raised"
    behind = large(scene, view=View(180.0, 0.0))
    assert where(behind, PARTS[2])[:, 0].mean() > where(behind, PARTS[1])[:, 0].mean() + 30


@pytest.mark.parametrize("normalised", [False, True])
def test_the_natural_view_shows_the_face_side_upright(normalised):
    frames = facing_the_sensor(V2)[None, None]
    if normalised:
        frames = normalisation.normalise(frames, geometry.present_joints(frames), V2)
    scene = make_scene(frames, V2, fps=30.0, normalised=normalised)
    assert scene.view == (FRONT if normalised else SENSOR)
    seen = scene.project(scene.view)[0, 0]
    joint = V2.joints.index
    assert seen[joint("right_shoulder"), 0] < seen[joint("left_shoulder"), 0]
    assert seen[joint("head"), 1] > seen[joint("left_ankle"), 1] + 1


# The floor


def test_the_floor_is_at_the_lowest_foot_and_one_wrong_foot_does_not_lower_it():
    frames = np.tile(facing_the_sensor(V2), (100, 1, 1, 1))
    frames[50, 0, V2.joints.index("left_foot"), 1] -= 3
    scene = make_scene(frames, V2, fps=30.0, normalised=False)
    assert scene.points[0, 0, V2.joints.index("left_foot"), 2] == pytest.approx(0.0)
    assert scene.floor == (-0.5, 0.5, -0.5, 0.5)


def test_axes_are_the_datas_own():
    np.testing.assert_allclose(scene_of(facing_the_sensor(V2), normalised=True).axes, np.eye(3))
    x, y, z = scene_of(facing_the_sensor(V2)).axes
    np.testing.assert_allclose(x, [1, 0, 0])
    np.testing.assert_allclose(y, [0, 0, 1])
    np.testing.assert_allclose(z, [0, -1, 0])


def test_bounds_hold_every_joint_but_not_one_that_jumps_away():
    frames = np.tile(facing_the_sensor(V2), (60, 1, 1, 1))
    calm = make_scene(frames, V2, fps=30.0, normalised=False)
    x0, x1, _, y1 = bounds(calm, View(0.0, 0.0))
    seen = calm.project(View(0.0, 0.0)).reshape(-1, 3)
    assert (seen[:, 0] > x0).all()
    assert (seen[:, 0] < x1).all()
    assert (seen[:, 1] < y1).all()
    frames[30, 0, 7] += 50
    wild = make_scene(frames, V2, fps=30.0, normalised=False)
    assert np.abs(bounds(wild, View(0.0, 0.0))).max() < 3


# Pixels

DOT = Layout(
    name="two", joints=("low", "high"), parents=(0, 0), parts=((0,), (1,), (), (), ()),
    mirror=(), centre=0, up=(0, 1), across=(0, 1),
)  # fmt: skip


def panel_picture(panel, size, frame=0):
    image = Image.new("RGB", (size * FINE, size * FINE), PAPER)
    panel.draw_frame(ImageDraw.Draw(image), frame)
    return np.asarray(image.reduce(FINE))


@QUICK
@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(-180, 180), st.floats(0, 60))
def test_a_joint_is_drawn_where_the_projection_puts_it(x, z, azimuth, elevation):
    pose = np.array([[0.01, 0, -0.6], [x, 0.1, z]])
    scene = scene_of(pose, layout=DOT, normalised=True)
    scene.points[:] = pose  # not moved onto a floor
    turn, lift = np.radians(azimuth), np.radians(elevation)
    forward = -x * np.sin(turn) + 0.1 * np.cos(turn)
    across = -x * np.cos(turn) - 0.1 * np.sin(turn)
    up = z * np.cos(lift) - forward * np.sin(lift)
    panel = Panel(scene, Camera(View(azimuth, elevation), 100.0, (0.0, 0.0)), (0, 0, 200, 200), axes=False)
    picture = panel_picture(panel, 200)
    column, row = round(100 + 100 * across - 0.5), round(100 - 100 * up - 0.5)
    assert tuple(picture[row, column]) == PARTS[1]


def test_a_limb_is_a_straight_line_between_its_joints():
    scene = scene_of(np.array([[0.3, 0, 0.1], [-0.3, 0, 0.7]]), layout=DOT, normalised=True)
    panel = Panel(scene, Camera(View(0.0, 0.0), 100.0, (0.0, 0.4)), (0, 0, 100, 100), axes=False)
    picture = panel_picture(panel, 100)
    (x0, y0), (x1, y1) = panel.pixels[0, 0] / FINE
    for share in np.linspace(0, 1, 11):
        assert tuple(picture[int(y0 + share * (y1 - y0)), int(x0 + share * (x1 - x0))]) in (PARTS[0], PARTS[1])


def test_both_bodies_are_drawn_the_second_in_another_tone():
    pose = facing_the_sensor(V2)
    alone, both = large(scene_of(pose)), large(scene_of(pose, pose + np.array([1.2, 0, 0])))
    for part in range(5):
        assert len(where(both, PARTS[part])) > 20
        assert len(where(both, PARTS_OTHER[part])) > 20
        assert len(where(alone, PARTS_OTHER[part])) == 0
    # The second one stands at the greater x: to the left of the first.
    assert where(both, PARTS_OTHER[3])[:, 0].max() < where(both, PARTS[3])[:, 0].min()


def test_what_is_nearer_is_drawn_over_what_is_behind():
    pose = facing_the_sensor(V2)
    for offset, printable, hidden in (([0, 0, 0.5], PARTS, PARTS_OTHER), ([0, 0, -0.5], PARTS_OTHER, PARTS)):
        picture = large(scene_of(pose, pose + offset), view=View(0.0, 0.0))
        assert len(where(picture, printable[3])) > 100
        assert len(where(picture, hidden[3])) < 0.2 * len(where(picture, printable[3]))


def test_absent_bodies_and_joints_are_not_drawn():
    pose = facing_the_sensor(V2)
    pose[list(V2.parts[2])] = 0
    picture = large(scene_of(pose, 0 * pose))
    assert len(where(picture, PARTS[2])) == 0
    assert len(where(picture, PARTS[1])) > 50
    assert not any(len(where(picture, colour)) for colour in PARTS_OTHER)


def test_the_centre_of_a_normalised_clip_is_drawn_although_it_is_all_zeros():
    frames = facing_the_sensor(V2)[None, None]
    frames = normalisation.normalise(frames, geometry.present_joints(frames), V2)
    assert not frames[0, 0, V2.centre].any()
    assert make_scene(frames, V2, fps=30.0, normalised=True).present.all()
    assert not make_scene(0 * frames, V2, fps=30.0, normalised=True).present.any()


def test_where_the_first_body_of_a_normalised_clip_is_absent_nobody_is_drawn():
    frames = np.tile(np.stack([facing_the_sensor(V2)] * 2), (10, 1, 1, 1))
    frames[4, 0] = 0
    centred = normalisation.normalise(frames, geometry.present_joints(frames), V2)
    assert centred[4, 1].any()
    scene = make_scene(centred, V2, fps=30.0, normalised=True)
    np.testing.assert_array_equal(scene.present.any(axis=(1, 2)), np.arange(10) != 4)
    assert make_scene(frames, V2, fps=30.0, normalised=False).present[4, 1].all()


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (0.0, 1.0), (-0.7, 0.7), (0.7, 0.7), (0.0, -1.0)])
def test_two_in_a_normalised_clip_do_not_hide_each_other(x, y):
    frames = facing_the_sensor(V2)[None, None]
    one = normalisation.normalise(frames, geometry.present_joints(frames), V2)[0, 0]
    assert scene_of(one, 0 * one, normalised=True).view == FRONT
    scene = scene_of(one, one + np.array([x, y, 0.0]), normalised=True)
    seen = scene.project(scene.view)[0].mean(axis=1)
    assert abs(seen[1, 0] - seen[0, 0]) > 0.85
    assert scene.view.axes[2] @ [0, 1, 0] > 0, "still from the front"


def test_a_clip_without_any_body_is_an_empty_floor():
    picture = large(scene_of(np.zeros((25, 3)), normalised=True), names=True)
    assert not any(len(where(picture, colour)) for colour in (*PARTS, *PARTS_OTHER))


def test_what_is_drawn_is_inside_the_picture_with_white_around():
    for named in (False, True):
        picture = large(scene_of(facing_the_sensor(V2), title="a title"), names=named)
        assert (picture[:2] == 255).all()
        assert (picture[:, :2] == 255).all()
        assert (picture[:, -2:] == 255).all()


# Names


@pytest.mark.parametrize("layout", KINECTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("azimuth", [0.0, 25.0, 180.0])
def test_every_joint_is_named_once_on_its_own_side_and_no_two_names_touch(layout, azimuth):
    scene = scene_of(facing_the_sensor(layout), layout=layout)
    panel = sheet.side_by_side([scene], names=True, view=View(azimuth, 10.0)).cells[0].panel
    assert sorted(label.joint for label in panel.labels) == list(range(len(layout.joints)))
    left_margin = {label.joint for label in panel.labels if label.anchor == "rm"}
    lefts, rights = ({pair[side] for pair in layout.mirror} for side in (0, 1))
    assert (lefts if azimuth == 180 else rights) <= left_margin
    assert not (rights if azimuth == 180 else lefts) & left_margin
    for anchor in ("lm", "rm"):
        heights = sorted(label.at[1] for label in panel.labels if label.anchor == anchor)
        assert np.diff(heights).min() >= (draw.NAME_SIZE + 3) * FINE
        assert heights[0] >= panel.box[1] * FINE
        assert heights[-1] <= panel.box[3] * FINE


def test_a_layout_without_sides_or_head_is_drawn_and_named():
    picture = large(scene_of(np.array([[0.0, 0, 0.1], [0.2, 0, 1]]), layout=DOT, normalised=True), names=True)
    assert len(where(picture, PARTS[1])) > 20


@QUICK
@given(st.lists(st.floats(0, 100), max_size=12).map(sorted), st.floats(1, 8))
def test_names_keep_their_order_and_their_distance(wanted, apart):
    places = draw._spread(wanted, apart, 0.0, 100.0)
    assert len(places) == len(wanted)
    assert (np.diff(places) >= apart - 1e-6).all()
    assert all(0 <= place <= 100 for place in places)


# Text and colours


@QUICK
@given(st.text(max_size=60), st.integers(10, 200))
def test_shortened_text_fits(text, width):
    short = shortened(text, 11, width)
    assert text_width(short, 11) <= max(width, text_width("...", 11))
    assert short == in_print(" ".join(text.split())) or short.endswith("...")


def test_the_palette_has_every_colour_that_is_drawn_with_as_good_as_the_eye_can_tell():
    for colour in draw.COLOURS:
        kept = in_palette(Image.new("RGB", (1, 1), colour)).convert("RGB").getpixel((0, 0))
        assert np.abs(np.subtract(kept, colour)).max() <= 4


# Sizes


def test_sizes_of_pictures():
    scene = scene_of(facing_the_sensor(V2), label="wave")
    one, two = sheet.side_by_side([scene], size=200), sheet.side_by_side([scene] * 2, size=200)
    assert one.size[0] == 200 + 2 * sheet.PAD
    assert two.size[0] == 2 * 200 + 5 * sheet.PAD
    assert one.size[1] == two.size[1]
    assert next(two.frames()).size == two.size
    assert sheet.strips([scene] * 5, moments=3, size=100).size[1] == 5 * 100 + 2 * sheet.PAD + sheet.LINE
    many = sheet.strips([scene] * 60, moments=6, size=40).size
    assert 0.5 < many[0] / many[1] < 2


def test_clips_side_by_side_have_one_scale_and_level_floors():
    small, tall = facing_the_sensor(V2), facing_the_sensor(V2) * [1, 1.6, 1]
    picture = sheet.side_by_side([scene_of(small), scene_of(tall)])
    first, second = (cell.panel for cell in picture.cells)
    assert first.camera.scale == second.camera.scale
    assert first._floor_point(0.0, 0.0)[1] == pytest.approx(second._floor_point(0.0, 0.0)[1])


@pytest.mark.parametrize("shape", [(0, 1, 25, 3), (2, 1, 20, 3), (2, 1, 25, 2), (2, 25, 3)])
def test_other_arrays_are_refused(shape):
    with pytest.raises(DataError, match=r"expected frames \(T, M, 25, 3\)"):
        make_scene(np.ones(shape), V2, fps=30.0, normalised=False)


def test_cut_frames_keep_numbers_labels_and_floor():
    frames = np.tile(facing_the_sensor(V2), (10, 1, 1, 1))
    frames[0, 0, :, 0] += 2
    scene = make_scene(frames, V2, fps=30.0, normalised=False, label=[str(t) for t in range(10)], title="walk")
    part = scene.cut(slice(4, 10, 2))
    assert part.numbers.tolist() == [4, 6, 8]
    assert part.labels == ("4", "6", "8")
    assert part.floor == scene.floor
    assert (part.name, part.cut(slice(0, 1)).name) == ("walk", "4")


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1)])
def test_a_recording_of_any_camera_stands_in_the_picture_where_its_up_is_known(signs):
    frames = facing_the_sensor(V2)[None, None] * signs
    scene = make_scene(frames, V2, fps=30.0, normalised=False, up=(0.0, float(signs[1]), 0.0))
    head, foot = (scene.points[0, 0, V2.joints.index(name)] for name in ("head", "left_foot"))
    assert head[2] > foot[2] + 1
    left, right = (scene.points[0, 0, V2.joints.index(f"{side}_shoulder")] for side in ("left", "right"))
    assert right[0] > left[0]
    assert scene.view == FRONT
