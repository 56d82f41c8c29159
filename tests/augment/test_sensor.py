"""Views by a worse sensor."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pcm3.augment.sensor import add_noise, lose_joints


def clips(count=200, frames=16, dtype=torch.float32):
    made = torch.randn((count, frames, 2, 25, 3), generator=torch.Generator().manual_seed(0), dtype=dtype) + 3
    made[:, :, 1] *= torch.arange(count)[:, None, None, None] % 2  # every other clip has one body
    made[:, : frames // 2, 1] *= torch.arange(count)[:, None, None, None] % 4 > 1  # and some a second one later on
    return made


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def test_each_clip_has_noise_of_a_deviation_of_its_own_from_nothing_to_the_most():
    before = clips()
    added = (add_noise(before, 0.04, generator()) - before)[:, :, 0]
    deviations = added.flatten(1).std(dim=1).double().numpy()
    assert stats.kstest(deviations, stats.uniform(0, 0.04).cdf).pvalue > 0.01
    shape = (added / added.flatten(1).std(dim=1)[:, None, None, None]).flatten()[::50].double().numpy()
    assert stats.kstest(shape, "norm").pvalue > 0.01


def test_a_body_that_is_absent_stays_absent():
    before = clips()
    for after in (add_noise(before, 0.5, generator()), lose_joints(before, 0.5, generator())):
        absent = (before == 0).flatten(-2).all(dim=-1)
        assert absent.any()
        assert not after[absent].any()


def test_of_each_clip_a_share_of_its_own_is_lost_each_joint_and_frame_by_itself():
    before = clips()
    after = lose_joints(before, 0.6, generator())
    lost = (after == 0).all(dim=-1)[:, :, 0]
    shares = lost.flatten(1).float().mean(dim=1).double().numpy()
    assert stats.kstest(shares, stats.uniform(0, 0.6).cdf).pvalue > 0.01
    kept = after != 0
    assert torch.equal(after[kept], before[kept])
    share = lost.flatten(1).float().mean(dim=1)[:, None, None]
    together = (lost[:, 1:] & lost[:, :-1]).float().mean(dim=(1, 2))
    assert (together - share[:, 0, 0].square()).abs().max() < 0.08


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), most=st.floats(0.3, 1))
def test_what_is_drawn_follows_from_the_generator_and_keeps_precision(seed, most):
    before = clips(8, 8, torch.float64)
    for harm in (add_noise, lose_joints):
        first, second = (harm(before, most, generator(seed)) for _ in range(2))
        assert torch.equal(first, second)
        assert first.dtype == torch.float64
        assert not torch.equal(first, harm(before, most, generator(seed + 1)))


@pytest.mark.parametrize("harm", [add_noise, lose_joints])
def test_clips_are_not_changed_in_place(harm):
    before = clips(4)
    copy = before.clone()
    harm(before, 0.3, generator())
    assert torch.equal(before, copy)
