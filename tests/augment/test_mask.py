import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pcm3.augment.mask import SHARPNESS, draw_mask, motion_of_units
from pcm3.skeleton import load_layout

KINECT2, KINECT1 = load_layout("kinect_v2"), load_layout("kinect_v1")
LAYOUTS = pytest.mark.parametrize("layout", [KINECT2, KINECT1], ids=lambda layout: layout.name)


def drawn(layout=KINECT2, size=4, frames=64, bodies=2, kind="topology", ratio=0.6, per_clip=False, which="all", seed=0):
    shape = (size, frames, bodies, len(layout.joints))
    return draw_mask(shape, layout.parts, kind, ratio, per_clip, which, torch.Generator().manual_seed(seed))


def masked_parts(masked, layout):
    """(B, T, M, 5) True where a part is masked; fails unless parts are masked whole."""
    parts = []
    for part in layout.parts:
        of_part = masked[..., list(part)]
        assert torch.equal(of_part.any(dim=-1), of_part.all(dim=-1))
        parts.append(of_part.all(dim=-1))
    return torch.stack(parts, dim=-1)


@LAYOUTS
@pytest.mark.parametrize(("ratio", "count"), [(0.2, 1), (0.4, 2), (0.58, 3), (0.6, 3), (0.8, 4)])
@pytest.mark.parametrize("per_clip", [False, True])
def test_each_segment_hides_that_many_whole_parts(layout, ratio, count, per_clip):
    masked = drawn(layout, ratio=ratio, per_clip=per_clip)
    assert (masked_parts(masked, layout).sum(dim=-1) == count).all()


@LAYOUTS
@pytest.mark.parametrize("ratio", [0.2, 0.4, 0.59, 0.6, 0.8])
def test_random_masks_hide_that_share_of_single_joints(layout, ratio):
    masked = drawn(layout, kind="random", ratio=ratio)
    assert (masked.sum(dim=-1) == round(ratio * len(layout.joints))).all()
    with pytest.raises(AssertionError):
        masked_parts(masked, layout)


@pytest.mark.parametrize("kind", ["topology", "random"])
@pytest.mark.parametrize("frames", [8, 16, 64])
def test_a_mask_is_constant_within_each_of_eight_segments_and_changes_between(kind, frames):
    masked = drawn(kind=kind, frames=frames, per_clip=True, size=8)
    segments = masked.unflatten(1, (8, frames // 8))
    assert torch.equal(segments, segments[:, :, :1].expand_as(segments))
    different = (segments[:, 1:, 0] != segments[:, :-1, 0]).any(dim=-1)
    assert different.float().mean() > 0.7


@pytest.mark.parametrize("frames", [1, 5, 13, 50, 64, 300])
def test_a_mask_of_any_number_of_frames_is_that_of_eight_frames_stretched(frames):
    few, many = drawn(frames=8, per_clip=True), drawn(frames=frames, per_clip=True)
    for frame in range(frames):  # the segment in which the frame begins
        segment = max(k for k in range(8) if k * frames <= 8 * frame)
        assert torch.equal(many[:, frame], few[:, segment])


@pytest.mark.parametrize("kind", ["topology", "random"])
@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_only_the_first_body_is_masked_or_the_same_joints_of_all(kind, seed):
    first, everyone = drawn(kind=kind, which="first", seed=seed), drawn(kind=kind, which="all", seed=seed)
    assert not first[:, :, 1].any()
    assert torch.equal(first[:, :, 0], everyone[:, :, 0])
    assert torch.equal(everyone[:, :, 1], everyone[:, :, 0])


@pytest.mark.parametrize("kind", ["topology", "random"])
def test_one_mask_a_batch_or_one_a_clip(kind):
    shared, own = drawn(kind=kind), drawn(kind=kind, per_clip=True)
    assert torch.equal(shared, shared[:1].expand_as(shared))
    assert all((own[0] != other).any() for other in own[1:])


def test_every_part_is_masked_equally_often():
    masked = masked_parts(drawn(size=500, frames=8, per_clip=True), KINECT2)[:, :, 0]
    assert stats.chisquare(masked.sum(dim=(0, 1)).numpy()).pvalue > 0.01
    choices = {tuple(row) for row in masked.flatten(0, 1).tolist()}
    assert len(choices) == 10, "3 of 5 parts can be chosen in ten ways"


def test_true_means_masked():
    visible = 1 - drawn(ratio=0.2).float().mean()
    assert visible > 0.6


@pytest.mark.parametrize("bodies", [1, 2, 3])
def test_masks_have_the_shape_of_the_clips(bodies):
    masked = drawn(bodies=bodies, which="first")
    assert masked.shape == (4, 64, bodies, 25)
    assert masked.dtype == torch.bool
    assert masked[:, :, 0].any()


def test_a_mask_follows_from_the_generator():
    assert torch.equal(drawn(seed=1), drawn(seed=1))
    assert not torch.equal(drawn(seed=1), drawn(seed=2))


# Masks that prefer what moves


def with_motion(motion, ratio=0.6, seed=0, kind="topology"):
    """Masks of clips in whose every segment the parts move as told: (B, 8, 2) frames, one body."""
    shape = (len(motion), 8, 1, len(KINECT2.joints))
    generator = torch.Generator().manual_seed(seed)
    return draw_mask(shape, KINECT2.parts, kind, ratio, True, "all", generator, motion)


def test_of_parts_that_move_unequally_the_first_is_drawn_as_often_as_a_softmax_has_it():
    moved = torch.tensor([0.2, 0.6, 1.0, 1.4, 1.8])
    masked = masked_parts(with_motion(moved.expand(400, 8, 5), ratio=0.2), KINECT2)[:, :, 0]
    assert (masked.sum(dim=-1) == 1).all()
    expected = torch.softmax(SHARPNESS * moved.double(), dim=0) * 400 * 8
    assert stats.chisquare(masked.sum(dim=(0, 1)).numpy(), expected.numpy()).pvalue > 0.01


@pytest.mark.parametrize("ratio", [0.2, 0.4, 0.6, 0.8])
def test_as_many_parts_are_masked_whatever_moves(ratio):
    moved = torch.rand((20, 8, 5), generator=torch.Generator().manual_seed(1)) * 20
    masked = masked_parts(with_motion(moved, ratio=ratio), KINECT2)
    assert (masked.sum(dim=-1) == round(5 * ratio)).all()


def test_where_all_move_alike_all_are_masked_alike_often():
    masked = masked_parts(with_motion(torch.ones(500, 8, 5)), KINECT2)[:, :, 0]
    assert stats.chisquare(masked.sum(dim=(0, 1)).numpy()).pvalue > 0.01


@pytest.mark.parametrize("kind", ["topology", "random"])
@pytest.mark.parametrize("frames", [1, 8, 13, 32])
def test_the_motion_of_a_part_is_its_joints_mean_way_from_frame_to_frame(kind, frames):
    clips = torch.randn((2, frames, 2, 25, 3), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    clips[:, :, 1] *= 0.1  # the second body moves less, and counts for nothing
    found = motion_of_units(clips, KINECT2.parts, kind)
    units = KINECT2.parts if kind == "topology" else [(joint,) for joint in range(25)]
    for clip in range(2):
        for segment in range(8):
            mine = [frame for frame in range(frames) if frame * 8 // frames == segment]
            ways = [
                np.mean([
                    max(
                        float((clips[clip, after, body, joint] - clips[clip, before, body, joint]).norm())
                        for body in range(2)
                    )
                    for before, after in [(min(f, frames - 2), min(f, frames - 2) + 1) for f in mine]
                    for joint in part
                ]) if mine and frames > 1 else 0.0
                for part in units
            ]  # fmt: skip
            expected = np.array(ways) / np.mean(ways) if np.mean(ways) else np.ones(len(units))
            np.testing.assert_allclose(found[clip, segment].numpy(), expected, rtol=1e-9)


def test_where_nothing_moves_all_parts_are_alike():
    still = torch.zeros(2, 16, 1, 25, 3)
    assert torch.equal(motion_of_units(still, KINECT2.parts, "topology"), torch.ones(2, 8, 5))
