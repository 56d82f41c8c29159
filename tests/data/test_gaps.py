import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers

from pcm3.data.bodies import bodies_of
from pcm3.data.gaps import fill_gaps
from pcm3.data.prepare import Recipe, prepare
from pcm3.data.recording import Interval, Recording
from pcm3.data.resample import resample
from pcm3.geometry import present_joints
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")


def gappy(clip, *gaps):
    """The clip with joints absent: (first frame, frame after the last, joints)."""
    holed = clip.copy()
    for start, stop, joints in gaps:
        holed[start:stop, :, joints] = 0
    return holed


def filled(clip, longest, whole_bodies=True):
    return fill_gaps(bodies_of(clip), longest, KINECT, whole_bodies=whole_bodies)


def test_a_joint_that_moves_steadily_is_put_where_it_was():
    clip = np.linspace([0, 0, 3], [1, 0.5, 3], 20)[:, None, None] + walkers(0, 1, 1)[:1] - [0, 0, 3]
    out = filled(gappy(clip, (5, 9, [7, KINECT.centre]), (12, 13, [0])), 4)
    np.testing.assert_allclose(out.frames, clip, atol=1e-6)
    assert out.present.all()


def test_a_gap_that_is_too_long_stays_absent_and_all_of_it():
    clip = gappy(walkers(1, 30), (5, 9, [7]), (15, 20, [7]))
    out = filled(clip, 4)
    assert out.present[5:9, 0, 7].all()
    assert not out.present[15:20, 0, 7].any()
    assert not out.frames[15:20, 0, 7].any()
    np.testing.assert_array_equal(out.frames[bodies_of(clip).present], clip[bodies_of(clip).present])


def test_at_the_ends_a_joint_goes_along_with_its_body():
    clip = np.linspace([0, 0, 3], [3, 0, 3], 20)[:, None, None] + walkers(0, 1, 1)[:1] - [0, 0, 3]
    out = filled(gappy(clip, (0, 3, [7, 3]), (17, 20, [7, KINECT.centre])), 4)
    np.testing.assert_allclose(out.frames, clip, atol=1e-5)


def test_a_body_that_comes_later_or_leaves_is_not_made_up():
    clip = walkers(1, 30)
    clip[:3], clip[10:13], clip[28:] = 0, 0, 0
    out = filled(clip, 5)
    assert out.there[:, 0].tolist() == [False] * 3 + [True] * 25 + [False] * 2
    kept = filled(clip, 5, whole_bodies=False)
    assert kept.there[:, 0].tolist() == bodies_of(clip).there[:, 0].tolist()


def test_what_a_mask_calls_absent_is_absent_whatever_stands_there():
    clip = walkers(1, 10)
    present = np.ones(clip.shape[:3], bool)
    present[4:, 0, 3] = False
    (out,) = prepare(Recording("x", clip, present=present), Recipe(KINECT, 1, fill=2, normalise=False))
    assert not out.frames[4:, 0, 3].any()
    assert out.changes.absent == 6


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 0.9), longest=st.integers(0, 8), whole=st.booleans())
def test_what_was_there_stays_and_what_is_filled_is_near(seed, share, longest, whole):
    random = np.random.default_rng(seed)
    clip = walkers(seed, 25, 2).astype(np.float64)
    holed = np.where(random.random((25, 2, 25, 1)) < share, 0, clip)
    before, out = bodies_of(holed), filled(holed, longest, whole)
    assert (out.present | ~before.present).all()
    np.testing.assert_array_equal(out.frames[before.present], holed[before.present])
    assert not out.frames[~out.present].any()
    new = out.present & ~before.present
    assert np.isfinite(out.frames).all()
    assert (np.linalg.norm(out.frames - clip, axis=-1)[new] < 2.5).all()
    if longest == 0:
        assert not new.any()
    if share == 0:
        np.testing.assert_array_equal(out.frames, clip)


@pytest.mark.parametrize("rule", ["released", "upright"])
def test_a_recording_with_short_gaps_becomes_nearly_the_clip_it_was(rule):
    random = np.random.default_rng(0)
    clip = walkers(2, 60)
    holed = np.where(random.random((60, 1, 25, 1)) < 0.05, 0, clip)
    holed[0] = clip[0]
    recipe = Recipe(KINECT, 1, rule=rule, up=(0.0, 1.0, 0.0))
    (whole,), (out,) = prepare(Recording("x", clip), recipe), prepare(Recording("x", holed), recipe)
    assert np.linalg.norm(out.frames - whole.frames, axis=-1).max() < 0.12
    assert (out.changes.absent, out.changes.filled) == (0, int((~present_joints(holed)).sum()))


def test_the_upright_rule_keeps_bodies_in_their_places_and_cuts_only_who_is_not_there():
    clip = walkers(0, 20, 2)
    clip[:4], clip[18:] = 0, 0
    clip[4:9, 0] = 0
    (out,) = prepare(Recording("x", clip), Recipe(KINECT, 2, rule="upright", up=(0.0, 1.0, 0.0), fill=2))
    assert len(out.frames) == 14
    assert (out.frames != 0).any(axis=(2, 3))[:, 0].tolist() == [False] * 5 + [True] * 9
    assert out.changes.cut == 6
    (cut,) = prepare(Recording("x", clip), Recipe(KINECT, 1, rule="upright", max_frames=6))
    assert (cut.frames.shape[:2], cut.changes.cut, cut.changes.dropped) == ((6, 1), 14, 1)


def test_resampling_keeps_times_and_what_is_absent():
    clip = np.linspace([0, 0, 3], [1, 0, 3], 41)[:, None, None] + np.zeros((1, 1, 3, 3))
    clip[20:, 0, 1] = 0
    out = resample(Recording("x", clip.astype(np.float32), intervals=(Interval(8, 24), Interval(40, 41))), 0.25)
    assert out.frames.shape == (11, 1, 3, 3)
    np.testing.assert_allclose(out.frames[:, 0, 0, 0], np.linspace(0, 1, 11), atol=1e-6)
    assert out.present[:, 0, 1].tolist() == [True] * 5 + [False] * 6
    assert [(i.start, i.stop) for i in out.intervals] == [(2, 6), (10, 11)]
    finer = resample(out, 4.0)
    np.testing.assert_allclose(finer.frames[:, 0, 0], clip[:, 0, 0], atol=1e-6)
    # Between a frame that has a joint and one that has not it is as in the nearer, not on its way to the origin.
    np.testing.assert_allclose(finer.frames[:18, 0, 1], clip[np.minimum(np.arange(18), 16), 0, 0], atol=1e-6)
    assert not finer.frames[18:, 0, 1].any()
    assert resample(out, 1.0) is out
