import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pcm3.augment.crop import centre_crops, crop_resize, pad_crop, random_crops, spread_crops


def frames_of(count, seed=0, shape=(2, 4, 3)):
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(seed))


def interpolated(crop, size):
    """(L, M, V, C) → (size, M, V, C) by PyTorch's own resampling."""
    line = crop.float().flatten(1).T.unsqueeze(0)
    return F.interpolate(line, size=size, mode="linear", align_corners=False)[0].T.reshape(size, *crop.shape[1:])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(0, 50), st.sampled_from([1, 16, 64, 48, 100]))
def test_a_crop_is_resampled_as_pytorch_does(length, start, size):
    frames = frames_of(start + length + 3)
    ours = crop_resize(frames, torch.tensor([start]), torch.tensor([length]), size)
    # Both compute the position in float32, which is exact only where the size is a power of two.
    tolerance = 1e-4 if size in (48, 100) else 1e-6
    torch.testing.assert_close(ours[0], interpolated(frames[start : start + length], size), rtol=0, atol=tolerance)


@pytest.mark.parametrize("length", [1, 5, 63, 64, 65, 128, 300])
def test_a_crop_is_resampled_with_half_pixel_centres(length):
    frames, size = frames_of(length), 64
    expected = np.zeros((size, 2, 4, 3))
    for t in range(size):
        position = max((t + 0.5) * length / size - 0.5, 0)
        before = int(position)
        after = min(before + 1, length - 1)
        weight = position - before
        expected[t] = (1 - weight) * frames[before].double().numpy() + weight * frames[after].double().numpy()
    ours = crop_resize(frames, torch.tensor([0]), torch.tensor([length]), size)[0]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


def test_a_crop_of_the_asked_length_is_itself():
    frames = frames_of(80)
    torch.testing.assert_close(
        crop_resize(frames, torch.tensor([7]), torch.tensor([64]), 64)[0], frames[7:71], rtol=0, atol=0
    )


def test_a_crop_never_looks_past_its_ends():
    frames = torch.full((30, 1, 1, 3), 1e9)
    frames[10:20] = 1
    assert (crop_resize(frames, torch.tensor([10]), torch.tensor([10]), 64) == 1).all()


def test_clips_of_different_lengths_equal_single_clips():
    frames = frames_of(1000)
    start, length = torch.tensor([0, 900, 17, 400, 999]), torch.tensor([300, 64, 1, 129, 1])
    batch = crop_resize(frames, start, length, 64)
    singles = [crop_resize(frames, start[i : i + 1], length[i : i + 1], 64)[0] for i in range(5)]
    torch.testing.assert_close(batch, torch.stack(singles), rtol=0, atol=0)


def test_half_precision_frames_are_resampled_in_single_precision():
    frames = frames_of(90).half()
    ours = crop_resize(frames, torch.tensor([5]), torch.tensor([77]), 64)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours[0], interpolated(frames[5:82].float(), 64), rtol=1e-6, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=20),
    st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted).map(tuple),
    st.integers(1, 200),
    st.integers(0, 1000),
)
def test_random_crops_stay_within_the_clip_and_are_long_enough(lengths, ratio, least, seed):
    clip = torch.tensor(lengths)
    start, length = random_crops(clip, ratio, least, torch.Generator().manual_seed(seed))
    assert start.dtype == length.dtype == torch.int64
    assert (start >= 0).all()
    assert (start + length <= clip).all()
    assert (length >= torch.clamp(clip, max=least)).all()
    assert (length <= torch.clamp((clip * ratio[1]).floor() + 1, min=least)).all()


def test_the_crop_ratio_is_uniform_and_so_is_its_place():
    clip = torch.full((5000,), 1_000_000)
    start, length = random_crops(clip, (0.1, 0.7), 64, torch.Generator().manual_seed(3))
    share, place = length.numpy() / 1e6, start.numpy() / (1e6 - length.numpy())
    assert stats.kstest(share, stats.uniform(0.1, 0.6).cdf).pvalue > 0.01
    assert stats.kstest(place, stats.uniform(0, 1).cdf).pvalue > 0.01
    assert abs(np.corrcoef(share, place)[0, 1]) < 0.05


def test_every_start_of_a_short_clip_is_drawn_equally_often():
    start, length = random_crops(torch.full((4000,), 67), (0.1, 0.1), 64, torch.Generator().manual_seed(1))
    assert (length == 64).all()
    assert stats.chisquare(start.bincount(minlength=4).numpy()).pvalue > 0.01
    assert start.max() == 3


def test_the_whole_clip_is_a_crop():
    clip = torch.arange(1, 400)
    start, length = random_crops(clip, (1.0, 1.0), 1, torch.Generator().manual_seed(0))
    assert (start == 0).all()
    assert torch.equal(length, clip)


def test_the_centre_crop_is_the_released_one_for_every_length():
    # The released feeder in plain Python floats: bias = int((1 - p) * n / 2), kept n[bias : n - bias].
    clip = torch.arange(1, 301)
    start, length = centre_crops(clip, 0.95)
    expected = [int((1 - 0.95) * n / 2) for n in range(1, 301)]
    assert start.tolist() == expected
    assert length.tolist() == [n - 2 * bias for n, bias in zip(range(1, 301), expected, strict=True)]


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9, 1.0])
def test_the_centre_crop_leaves_as_much_before_as_after(ratio):
    clip = torch.arange(1, 301)
    start, length = centre_crops(clip, ratio)
    assert torch.equal(start, clip - start - length)
    assert (length >= 1).all()
    assert ((length - ratio * clip) < 2.001).all()
    assert ((length - ratio * clip) > -0.001).all()


def test_random_crops_follow_from_the_generator():
    clip = torch.arange(1, 200)
    first = random_crops(clip, (0.1, 1.0), 16, torch.Generator().manual_seed(5))
    again = random_crops(clip, (0.1, 1.0), 16, torch.Generator().manual_seed(5))
    other = random_crops(clip, (0.1, 1.0), 16, torch.Generator().manual_seed(6))
    assert torch.equal(torch.stack(first), torch.stack(again))
    assert not torch.equal(torch.stack(first), torch.stack(other))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), st.integers(1, 16))
def test_spread_crops_lie_inside_and_are_no_shorter_than_asked(lengths, number):
    length = torch.tensor(lengths)
    crops = spread_crops(length, (0.5, 1.0), 64, number)
    assert len(crops) == number
    for start, crop in crops:
        assert start.dtype == crop.dtype == torch.int64
        assert bool((start >= 0).all())
        assert bool((start + crop <= length).all())
        assert bool((crop >= torch.minimum(length, torch.clamp(length // 2, min=64))).all())


def test_spread_crops_see_the_whole_of_a_clip_and_its_parts():
    crops = [(int(start), int(crop)) for start, crop in spread_crops(torch.tensor([1000]), (0.5, 1.0), 64, 12)]
    sizes = [crop for _, crop in crops]
    assert sizes == sorted(sizes)
    assert sizes[0] < 530
    assert sizes[-1] > 970
    seen = torch.zeros(1000)
    for start, crop in crops:
        seen[start : start + crop] += 1
    assert seen[25:-25].min() >= 1  # the protocol leaves out as much at the ends
    of_short = spread_crops(torch.tensor([40]), (0.5, 1.0), 64, 12)
    assert {(int(start), int(crop)) for start, crop in of_short} == {(0, 40)}


def test_between_a_frame_with_a_joint_and_one_without_it_is_as_in_the_nearer():
    frames = torch.rand(12, 1, 4, 3) + 1
    frames[4:7, 0, 2] = 0
    crop = crop_resize(frames, torch.tensor([0]), torch.tensor([12]), 30, gaps=True)[0]
    plain = crop_resize(frames, torch.tensor([0]), torch.tensor([12]), 30)[0]
    assert torch.equal(crop[:, :, [0, 1, 3]], plain[:, :, [0, 1, 3]])
    size = crop[:, 0, 2].norm(dim=-1)
    assert ((size == 0) | (size > 1)).all()
    assert 5 <= (size == 0).sum() <= 9


@pytest.mark.parametrize(("frames", "part"), [(13, 6), (12, 1), (5, 6)])
def test_a_padded_crop_is_a_stretch_of_the_clip_between_its_mirrored_ends(frames, part):
    clips = torch.randn((60, frames, 1, 2, 3), generator=torch.Generator().manual_seed(0))
    after = pad_crop(clips, part, torch.Generator().manual_seed(1)).numpy()
    pad, starts = frames // part, set()
    for before, now in zip(clips.numpy(), after, strict=True):
        ends = [before[:pad][::-1], before, before[frames - pad :][::-1]]
        padded = np.concatenate(ends)
        found = [start for start in range(2 * pad + 1) if np.array_equal(padded[start : start + frames], now)]
        assert found
        starts |= set(found)
    assert len(starts) > min(2 * pad, 10)
