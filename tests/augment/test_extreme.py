"""The extreme augmentations, beside loops over clips, frames and joints in NumPy."""

import numpy as np
import pytest
import torch
from scipy import stats
from toy import KINECT2

from pcm3.augment.extreme import add_equal_noise, blur, exchange_sides, extreme_view, rotate
from pcm3.errors import ConfigError
from pcm3.settings.extreme import ExtremeSettings
from pcm3.settings.rules import enforce

OFF = {"flip_prob": 0.0, "rotation": 0.0, "tilt": 0.0, "noise": 0.0, "blur_prob": 0.0, "axis_mask_prob": 0.0}


def clips(count=6, frames=18, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn((count, frames, 2, 25, 3), generator=generator, dtype=torch.float64)
    made[::2, :, 1] = 0  # every other clip has one body
    return made


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def alone(**switched_on):
    return ExtremeSettings(**OFF | switched_on)


def about(axis, angle):
    """The matrix that turns columns by minus the angle about an axis."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[[1, 0, 0], [0, c, s], [0, -s, c]], [[c, 0, -s], [0, 1, 0], [s, 0, c]],
                     [[c, s, 0], [-s, c, 0], [0, 0, 1]]][axis])  # fmt: skip


def test_a_rotation_is_three_matrices_one_after_the_other():
    before, angles = clips(), torch.randn(6, 3, generator=generator(), dtype=torch.float64)
    after = rotate(before, angles).numpy()
    for clip, (x, y, z) in enumerate(angles.tolist()):
        matrix = about(2, z) @ about(1, y) @ about(0, x)
        np.testing.assert_allclose(after[clip], before[clip].numpy() @ matrix.T, rtol=0, atol=1e-12)


def test_one_axis_has_the_large_angle_and_the_others_the_small_one():
    before = torch.zeros(3000, 1, 1, 3, 3, dtype=torch.float64) + torch.eye(3, dtype=torch.float64)
    turned = extreme_view(before, alone(rotation=30.0, tilt=0.0), KINECT2, generator())[:, 0, 0]
    angle = torch.rad2deg(torch.arccos((turned.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2))
    assert stats.kstest(angle.numpy(), stats.uniform(0, 30).cdf).pvalue > 0.01
    still = (turned.diagonal(dim1=1, dim2=2) > 1 - 1e-12).long()
    assert (still.sum(dim=1) == 1).all()
    assert still.sum(dim=0).min() > 900
    both = extreme_view(before, alone(rotation=30.0, tilt=30.0), KINECT2, generator())[:, 0, 0]
    assert ((both.diagonal(dim1=1, dim2=2) < 1 - 1e-9).all(dim=1)).double().mean() > 0.95


def test_a_blur_is_the_sum_over_fifteen_frames_with_weights_that_do_not_sum_to_one():
    before, deviations = clips(3), torch.tensor([0.1, 1.0, 2.0], dtype=torch.float64)
    after = blur(before, deviations).numpy()
    for clip, deviation in enumerate(deviations.tolist()):
        for frame in range(18):
            expected = np.zeros((2, 25, 3))
            for tap in range(-7, 8):
                if 0 <= frame + tap < 18:
                    expected += np.exp(-(tap**2) / (2 * deviation**2)) * before[clip, frame + tap].numpy()
            np.testing.assert_allclose(after[clip, frame], expected, rtol=0, atol=1e-12)


def test_sides_are_exchanged_by_name_and_nothing_moves():
    before = clips(2)
    after = exchange_sides(before, KINECT2, torch.tensor([True, False]))
    for joint, other in enumerate(KINECT2.mirrored):
        assert torch.equal(after[0, :, :, joint], before[0, :, :, other])
    assert torch.equal(after[1], before[1])


def test_noise_has_the_deviation_of_its_clip_and_absent_bodies_none():
    before, deviations = clips(2, frames=400), torch.tensor([0.01, 0.03], dtype=torch.float64)
    added = (add_equal_noise(before, deviations, generator()) - before).numpy()
    for clip, deviation in enumerate(deviations.tolist()):
        assert stats.kstest(added[clip, :, 0].flatten()[::7] / deviation, "norm").pvalue > 0.01
    assert not added[0, :, 1].any()
    assert added[1, :, 1].all()


def test_one_coordinate_of_some_clips_is_masked():
    after = extreme_view(clips(600, frames=2), alone(axis_mask_prob=0.5), KINECT2, generator())
    hidden = ~after[:, :, 0].flatten(1, 2).any(dim=1)
    assert set(hidden.sum(dim=1).tolist()) == {0, 1}
    assert hidden.any(dim=1).double().mean() == pytest.approx(0.5, abs=0.06)
    assert hidden.sum(dim=0).min() > 70


@pytest.mark.parametrize(
    ("name", "what"),
    [("flip_prob", lambda clip: clip[..., list(KINECT2.mirrored), :]), ("reverse_prob", lambda clip: clip.flip(0))],
)
def test_some_clips_are_changed_and_the_others_as_they_were(name, what):
    before = clips(200, frames=3)
    after = extreme_view(before, alone(**{name: 0.3}), KINECT2, generator())
    changed = [torch.equal(now, what(then)) for now, then in zip(after, before, strict=True)]
    kept = [torch.equal(now, then) for now, then in zip(after, before, strict=True)]
    assert all(one != other for one, other in zip(changed, kept, strict=True))
    assert np.mean(changed) == pytest.approx(0.3, abs=0.09)


def test_what_is_off_draws_nothing_and_all_together_follow_from_the_draws():
    draws = generator()
    assert extreme_view(clips(), alone(), KINECT2, draws) is not None
    assert torch.equal(draws.get_state(), generator().get_state())
    first, again = (extreme_view(clips(), ExtremeSettings(), KINECT2, generator(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, extreme_view(clips(), ExtremeSettings(), KINECT2, generator(4)))
    assert not first[::2, :, 1].any()  # who is absent stays so


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"flip_prob": 1.5}, "extreme.flip_prob: expected between 0 and 1"),
     ({"rotation": 200.0}, "extreme.rotation: expected degrees"), ({"noise": -0.1}, "extreme.noise: expected metres"),
     ({"blur": (0.009, 1.0)}, "extreme.blur: expected two deviations")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, told):
    values = {f"extreme.{name}": value for name, value in vars(ExtremeSettings(**changes)).items()}
    with pytest.raises(ConfigError, match=told):
        enforce(ExtremeSettings(**changes).rules(), values)
