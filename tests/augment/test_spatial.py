import math

import numpy as np
import pytest
import torch
from scipy import stats

from pcm3.augment import spatial
from pcm3.augment.spatial import joint_jitter, rotate_all_axes, rotate_yaw, shear, spatial_view


def clips(size, seed=0, joints=25, frames=4):
    return torch.randn((size, frames, 2, joints, 3), generator=torch.Generator().manual_seed(seed))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def linear_map(before, after):
    """The 3 x 3 matrix A with after = A before for all joints of one clip, by least squares, and what it leaves."""
    x, y = before.double().reshape(-1, 3), after.double().reshape(-1, 3)
    solved = torch.linalg.lstsq(x, y).solution
    return solved.T, (x @ solved - y).abs().max()


def touched(before, after):
    """(B, V) True where a joint moved in any frame or body; fails unless it moved in all of them."""
    moved = (before != after).any(dim=-1)
    anywhere, everywhere = moved.any(dim=2).any(dim=1), moved.all(dim=2).all(dim=1)
    assert torch.equal(anywhere, everywhere)
    return anywhere


@pytest.mark.parametrize("amplitude", [0.0, 0.5, 1.0])
def test_shear_is_one_matrix_a_clip_with_ones_on_the_diagonal(amplitude):
    before = clips(20)
    after = shear(before, amplitude, generator())
    matrices = []
    for b, a in zip(before, after, strict=True):
        matrix, rest = linear_map(b, a)
        assert rest < 1e-5
        torch.testing.assert_close(matrix.diagonal(), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-5)
        off = matrix[~torch.eye(3, dtype=torch.bool)]
        assert (off.abs() <= amplitude + 1e-5).all()
        matrices.append(off)
    if amplitude:
        assert torch.stack(matrices).std(dim=0).min() > 0.1 * amplitude


def test_shear_entries_are_uniform():
    before = torch.eye(3).expand(2000, 1, 1, 3, 3)
    matrices = shear(before, 0.7, generator(1))[:, 0, 0].transpose(1, 2)
    for row, column in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]:
        assert stats.kstest(matrices[:, row, column].numpy(), stats.uniform(-0.7, 1.4).cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("joints", "share", "expected"), [(25, 0.6, 15), (20, 0.6, 12), (25, 0.0, 0), (25, 1.0, 25), (20, 0.33, 7)]
)
def test_jitter_touches_that_share_of_the_joints_in_all_frames_and_bodies(joints, share, expected):
    before = clips(30, joints=joints)
    moved = touched(before, joint_jitter(before, share, generator()))
    assert (moved.sum(dim=1) == expected).all()
    if 0 < expected < joints:
        assert len({tuple(row) for row in moved.tolist()}) > 25


def test_jitter_is_zero_or_one_matrix_and_half_of_the_clips_are_zero():
    before = clips(600, frames=2)
    after = joint_jitter(before, 0.6, generator(2))
    chosen = touched(before, after)
    zero = 0
    entries = []
    for b, a, joints in zip(before, after, chosen, strict=True):
        if (a[:, :, joints] == 0).all():
            zero += 1
            continue
        matrix, rest = linear_map(b[:, :, joints], a[:, :, joints])
        assert rest < 1e-5
        entries.append(matrix.flatten())
    assert stats.binomtest(zero, 600, 0.5).pvalue > 0.01
    entries = torch.stack(entries)
    assert entries.abs().max() <= 1 + 1e-5
    assert all(stats.kstest(entries[:, i].numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.001 for i in range(9))


def test_every_joint_is_jittered_equally_often():
    before = clips(2000, frames=1)
    counts = touched(before, joint_jitter(before, 0.6, generator(3))).sum(dim=0)
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def kinds(before, after):
    """For each clip whether it was sheared as a whole, and whether exactly 15 of its 25 joints were disturbed."""
    sheared, jittered = [], []
    for b, a in zip(before, after, strict=True):
        matrix, rest = linear_map(b, a)
        sheared.append(bool(rest < 1e-5 and (matrix.diagonal() - 1).abs().max() < 1e-4))
        jittered.append(int((b != a).any(dim=-1).any(dim=1).any(dim=0).sum()) == 15)
    return sheared, jittered


def test_either_gives_exactly_one_of_shear_and_jitter():
    before = clips(400, frames=2)
    sheared, jittered = kinds(before, spatial_view(before, "either", 1.0, 0.6, 0.5, generator(4)))
    assert all(s != j for s, j in zip(sheared, jittered, strict=True))
    assert stats.binomtest(sum(sheared), 400, 0.5).pvalue > 0.01


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 1.0])
def test_either_jitters_that_share_of_the_views_and_shears_the_others(share):
    before = clips(300, frames=2)
    sheared, jittered = kinds(before, spatial_view(before, "either", 1.0, 0.6, share, generator(6)))
    assert all(s != j for s, j in zip(sheared, jittered, strict=True))
    if share in {0.0, 1.0}:
        assert sum(jittered) == share * 300
    else:
        assert stats.binomtest(sum(jittered), 300, share).pvalue > 0.01


def test_a_greater_share_jitters_the_same_views_and_more():
    before = clips(50)
    few, many = (
        kinds(before, spatial_view(before, "either", 1.0, 0.6, share, generator(7)))[1] for share in (0.3, 0.7)
    )
    assert 0 < sum(few) < sum(many)
    assert all(b or not a for a, b in zip(few, many, strict=True))


def test_both_is_both_whatever_the_share():
    before = clips(20)
    none, half, all_ = (spatial_view(before, "both", 1.0, 0.6, share, generator(8)) for share in (0.0, 0.5, 1.0))
    assert torch.equal(none, half)
    assert torch.equal(half, all_)


def test_both_shears_all_joints_and_jitters_some():
    before = clips(100, frames=2)
    after = spatial_view(before, "both", 1.0, 0.6, 0.5, generator(5))
    zeroed = 0
    for b, a in zip(before, after, strict=True):
        assert (b != a).any(dim=-1).all(), "shear moves every joint"
        gone = (a == 0).all(dim=-1).all(dim=1).all(dim=0)
        if gone.any():
            zeroed += 1
            assert gone.sum() == 15
            matrix, rest = linear_map(b[:, :, ~gone], a[:, :, ~gone])
            assert rest < 1e-5
            torch.testing.assert_close(matrix.diagonal(), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-4)
        else:
            assert linear_map(b, a)[1] > 1e-3, "two matrices, so no single one explains the clip"
    assert stats.binomtest(zeroed, 100, 0.5).pvalue > 0.01


@pytest.mark.parametrize("choice", ["either", "both"])
def test_nothing_happens_without_shear_and_jitter(choice):
    before = clips(8)
    torch.testing.assert_close(spatial_view(before, choice, 0.0, 0.0, 0.5, generator()), before, rtol=0, atol=1e-6)


def test_spatial_views_follow_from_the_generator():
    before = clips(8)
    first, again, other = (spatial_view(before, "either", 1.0, 0.6, 0.5, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_clips_that_come_in_are_not_changed():
    before = clips(8)
    kept = before.clone()
    spatial_view(before, "both", 1.0, 0.6, 0.5, generator())
    assert torch.equal(before, kept)


def turned_by(angles, monkeypatch):
    """Makes these the angles (B,), in degrees, that are drawn."""
    monkeypatch.setattr(
        spatial, "uniform", lambda shape, amplitude, like, generator: torch.deg2rad(angles).to(like).reshape(shape)
    )


def test_a_turn_by_90_degrees_brings_x_to_y_and_y_to_minus_x(monkeypatch):
    turned_by(torch.tensor([90.0, -90.0, 180.0]), monkeypatch)
    axes = torch.eye(3).expand(3, 1, 1, 3, 3)  # three joints, one on each axis
    left, right, back = rotate_yaw(axes, 180.0, generator())[:, 0, 0]
    torch.testing.assert_close(left, torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]), rtol=0, atol=1e-6)
    torch.testing.assert_close(right, torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), rtol=0, atol=1e-6)
    torch.testing.assert_close(back, torch.tensor([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]]), rtol=0, atol=1e-6)


def test_turns_are_as_the_slow_reference_says(monkeypatch):
    before, angles = clips(5), torch.tensor([0.0, 10.0, -33.0, 120.0, -180.0], dtype=torch.float64)
    turned_by(angles, monkeypatch)
    after = rotate_yaw(before, 180.0, generator())
    expected = np.zeros(before.shape)
    for at in np.ndindex(before.shape[:4]):
        angle = math.radians(angles[at[0]].item())
        x, y, z = before[at].double().tolist()
        radius, direction = math.hypot(x, y), math.atan2(y, x) + angle
        expected[at] = radius * math.cos(direction), radius * math.sin(direction), z
    np.testing.assert_allclose(after.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("degrees", [15.0, 180.0])
def test_each_clip_is_turned_as_a_whole_about_the_vertical_by_its_own_angle(degrees):
    before = clips(500, frames=2)
    after = rotate_yaw(before, degrees, generator(9))
    assert torch.equal(after[..., 2], before[..., 2])
    angles = []
    for b, a in zip(before, after, strict=True):
        matrix, rest = linear_map(b, a)
        assert rest < 1e-5
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-5)
        assert matrix.det() > 0
        angles.append(math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])))
    assert stats.kstest(angles, stats.uniform(-degrees, 2 * degrees).cdf).pvalue > 0.001


def test_a_turn_by_nothing_changes_no_bit_and_absent_bodies_stay_absent():
    before = clips(8)
    before[:, 2:, 1] = 0.0
    assert torch.equal(rotate_yaw(before, 0.0, generator()), before)
    assert (rotate_yaw(before, 180.0, generator())[:, 2:, 1] == 0).all()


def test_turns_follow_from_the_generator():
    before = clips(8)
    first, again, other = (rotate_yaw(before, 30.0, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("degrees", [17.0, 180.0])
def test_each_clip_is_turned_about_x_then_y_then_z_by_its_own_angles(degrees):
    before = torch.eye(3, dtype=torch.float64).expand(400, 1, 1, 3, 3)
    after = rotate_all_axes(before, degrees, generator(3))
    x, y, z = (2 * torch.rand(400, 3, generator=generator(3), dtype=torch.float64) - 1).T.numpy() * math.radians(
        degrees
    )
    for number, found in enumerate(after[:, 0, 0].numpy()):
        about_x = [
            [1, 0, 0],
            [0, math.cos(x[number]), -math.sin(x[number])],
            [0, math.sin(x[number]), math.cos(x[number])],
        ]
        about_y = [
            [math.cos(y[number]), 0, math.sin(y[number])],
            [0, 1, 0],
            [-math.sin(y[number]), 0, math.cos(y[number])],
        ]
        about_z = [
            [math.cos(z[number]), -math.sin(z[number]), 0],
            [math.sin(z[number]), math.cos(z[number]), 0],
            [0, 0, 1],
        ]
        expected = np.array(about_z) @ np.array(about_y) @ np.array(about_x)
        np.testing.assert_allclose(found.T, expected, rtol=0, atol=1e-12)  # the joints lie on the axes
