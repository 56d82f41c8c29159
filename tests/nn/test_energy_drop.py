import numpy as np
import pytest
import torch

from pcm3.nn.energy_drop import drop_energetic


def features(size=3, frames=5, bodies=2, joints=4, channels=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn((size, frames, bodies, joints, channels), generator=generator, dtype=torch.float64)
    made[0, :, 1] = 0  # a body whose features do not vary
    made[:, :, 0, 1] *= 5  # a joint that stands out
    return made


def slowly(values, threshold):
    """One body and channel after the other."""
    energy = np.zeros(values.shape)
    for clip, body, channel in np.ndindex(values.shape[0], values.shape[2], values.shape[4]):
        own = values[clip, :, body, :, channel]
        squares = (own - own.mean()) ** 2
        variance = squares.sum() / (own.size - 1)
        energy[clip, :, body, :, channel] = 1 / (1 + np.exp(-(squares / (4 * (variance + 1e-4)) + 0.5)))
    joints = np.zeros(values.shape)
    for clip, body, joint in np.ndindex(values.shape[0], values.shape[2], values.shape[3]):
        joints[clip, :, body, joint] = energy[clip, :, body, joint].mean() < threshold
    each = energy < threshold
    return values * joints / joints.mean() * each / each.mean(), joints, each


@pytest.mark.parametrize("threshold", [0.7, 0.8])
def test_what_is_kept_is_that_of_the_slow_reference(threshold):
    before = features().requires_grad_()
    after = drop_energetic(before, threshold)
    expected, joints, each = slowly(before.detach().numpy(), threshold)
    np.testing.assert_allclose(after.detach(), expected, rtol=0, atol=1e-12)
    assert 0 < each.mean() < 1
    assert (joints.mean() < 1) == (threshold == 0.7)
    after.sum().backward()
    np.testing.assert_allclose(before.grad, joints / joints.mean() * each / each.mean(), rtol=0, atol=1e-12)


def test_a_threshold_of_one_drops_nothing_and_one_place_alone_has_no_energy():
    before = features(frames=40)
    before[1, 3, 0, 2] = 1e6
    assert torch.equal(drop_energetic(before, 1.0), before)
    single = features(frames=1, joints=2)[:, :, :, :1]
    assert torch.equal(drop_energetic(single, 0.7), single)


def test_from_068_on_something_of_each_body_is_kept_however_the_features_are_spread():
    generator = torch.Generator().manual_seed(0)
    for power in (1, 3, 7):
        drawn = torch.randn((40, 4, 2, 5, 3), generator=generator, dtype=torch.float64)
        alike = drawn.sign() * drawn.abs() ** (1 / power)  # squares that hardly differ: no joint is below the mean
        for spread in (drawn**power, alike):
            assert drop_energetic(spread, 0.68).flatten(3).any(dim=-1).any(dim=1).all()
    assert not drop_energetic(alike, 0.63).any()
