from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pcm3.augment.mix import mix, part_of_joint, paste
from pcm3.skeleton import load_layout

KINECT2, KINECT1 = load_layout("kinect_v2"), load_layout("kinect_v1")
DRAWS = 400


def numbered(size, frames=64, bodies=2, joints=25):
    """Clips whose every number is different, so that a mixed clip tells where each of its numbers comes from."""
    shape = (size, frames, bodies, joints, 3)
    return torch.arange(1, 1 + int(np.prod(shape)), dtype=torch.float32).reshape(shape)


class Seen(NamedTuple):
    """How one clip was mixed, as read from what came out."""

    method: str
    start: int
    length: int
    parts: tuple[int, ...]
    ratio: float


def look(clips, mixed, index, parts):
    """How clip `index` was mixed; fails unless it is one of the three methods."""
    source, other, made = clips[index], clips[mixed.partner[index]], mixed.clips[index]
    ratio = mixed.ratio[index].item()
    replaced = made != source
    if not torch.isin(made[replaced], other).all() or replaced.all():
        return Seen("mixup", 0, 0, (), ratio)
    joint_frames = replaced[:, 0, :, 0]
    assert torch.equal(replaced, joint_frames[:, None, :, None].expand_as(replaced)), "all bodies and coordinates"
    frames, joints = joint_frames.any(dim=1), joint_frames.any(dim=0)
    assert torch.equal(joint_frames, frames[:, None] & joints), "one stretch of frames times some parts"
    whole = [i for i, part in enumerate(parts) if joints[list(part)].all()]
    assert joints.sum() == sum(len(parts[i]) for i in whole), "whole parts"
    start, length = int(frames.int().argmax()), int(frames.sum())
    assert frames[start : start + length].all(), "one stretch"
    same_frame = torch.equal(made[replaced], other[replaced])
    return Seen("cutmix" if same_frame else "resizemix", start, length, tuple(whole), ratio)


def rebuilt(clips, mixed, index, seen, parts):
    """The same mix, slowly, in float64 NumPy: docs/FIDELITY.md 7."""
    source, other = clips[index].double().numpy(), clips[mixed.partner[index]].double().numpy()
    frames, _, joints, _ = source.shape
    if seen.method == "mixup":
        return (1 - seen.ratio) * source + seen.ratio * other, seen.ratio
    made, replaced = source.copy(), 0
    taken = torch.arange(seen.length) + seen.start
    if seen.method == "resizemix":
        first = torch.arange(min(2 * seen.length, frames), dtype=torch.float64)
        taken = F.interpolate(first[None, None], size=seen.length, mode="nearest")[0, 0].long()
    for i in range(seen.length):
        for part in seen.parts:
            for joint in parts[part]:
                made[seen.start + i, :, joint] = other[taken[i], :, joint]
                replaced += 1
    return made, replaced / (frames * joints)


def mixed_with(seed, clips, parts=KINECT2.parts, per_clip=False):
    return mix(clips, parts, per_clip, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def drawn():
    """What many batches came to, one look a batch."""
    clips = numbered(6, bodies=1)
    batches = [mixed_with(seed, clips) for seed in range(DRAWS)]
    return [look(clips, mixed, 0, KINECT2.parts) for mixed in batches], batches


@pytest.mark.parametrize("per_clip", [False, True])
@pytest.mark.parametrize(
    ("frames", "layout", "bodies"),
    [
        (64, KINECT2, 2),
        (16, KINECT1, 1),
        (50, KINECT1, 2),
        *(pytest.param(frames, KINECT2, 1, marks=pytest.mark.soak) for frames in (48, 300)),
    ],
)
def test_mixed_clips_are_those_of_the_slow_reference(per_clip, frames, layout, bodies):
    clips = numbered(4, frames, bodies, len(layout.joints))
    methods = Counter()
    for seed in range(15):
        mixed = mixed_with(seed, clips, layout.parts, per_clip)
        for index in range(len(clips)):
            seen = look(clips, mixed, index, layout.parts)
            made, ratio = rebuilt(clips, mixed, index, seen, layout.parts)
            # λ itself is told in float32; pasted numbers are the partner's to the bit.
            tolerance = 1e-6 * clips.max().item() if seen.method == "mixup" else 0
            np.testing.assert_allclose(mixed.clips[index].numpy(), made, rtol=0, atol=tolerance)
            assert mixed.ratio[index].item() == pytest.approx(ratio, abs=1e-6)
            methods[seen.method] += 1
    assert set(methods) == {"cutmix", "resizemix", "mixup"}


def test_half_are_cutmix_a_quarter_resizemix_a_quarter_mixup(drawn):
    counts = Counter(seen.method for seen in drawn[0])
    expected = [DRAWS / 2, DRAWS / 4, DRAWS / 4]
    assert stats.chisquare([counts[m] for m in ("cutmix", "resizemix", "mixup")], expected).pvalue > 0.01


def test_two_or_three_parts_and_28_to_44_frames_are_pasted(drawn):
    pasted = [seen for seen in drawn[0] if seen.method != "mixup"]
    lengths, counts = Counter(seen.length for seen in pasted), Counter(len(seen.parts) for seen in pasted)
    assert set(lengths) == {28, 32, 36, 40, 44}
    assert set(counts) == {2, 3}
    assert stats.chisquare(list(lengths.values())).pvalue > 0.01
    assert stats.chisquare(list(counts.values())).pvalue > 0.01
    assert {seen.start % 4 for seen in pasted} == {0}
    assert min(seen.start for seen in pasted) == 0
    assert max(seen.start + seen.length for seen in pasted) == 64
    assert {part for seen in pasted for part in seen.parts} == set(range(5))


@pytest.mark.parametrize("frames", [7, 50, 300])
def test_stretches_begin_and_end_at_sixteenths_of_any_number_of_frames_rounded_down(frames):
    clips = numbered(3, frames, bodies=1)
    seen = [look(clips, mixed_with(seed, clips), 0, KINECT2.parts) for seed in range(60)]
    places = [k * frames // 16 for k in range(17)]
    same = numbered(3, 64, bodies=1)
    for seed, one in enumerate(seen):
        usual = look(same, mixed_with(seed, same), 0, KINECT2.parts)  # the same draws, of 64 frames
        if one.method == "mixup" or usual.method == "mixup":
            continue
        assert one.start == places[usual.start // 4]
        assert one.start + one.length == places[(usual.start + usual.length) // 4]
        assert one.parts == usual.parts


def test_a_clip_of_one_frame_can_be_mixed():
    mixed = [mixed_with(seed, numbered(3, 1)) for seed in range(20)]
    assert all(one.clips.isfinite().all() and ((one.ratio >= 0) & (one.ratio <= 1)).all() for one in mixed)


def test_mixup_draws_its_ratio_uniformly(drawn):
    ratios = [seen.ratio for seen in drawn[0] if seen.method == "mixup"]
    assert stats.kstest(ratios, stats.uniform(0, 1).cdf).pvalue > 0.01


def test_the_partner_is_the_batch_rolled_by_one_to_two_less_than_its_size(drawn):
    size = 6
    rolls = Counter()
    for mixed in drawn[1]:
        roll = (mixed.partner - torch.arange(size)) % size
        assert (roll == roll[0]).all()
        rolls[int(roll[0])] += 1
    assert set(rolls) == {1, 2, 3, 4}
    assert stats.chisquare(list(rolls.values())).pvalue > 0.01


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(0, 1000), st.booleans())
def test_no_clip_is_its_own_partner(size, seed, per_clip):
    mixed = mixed_with(seed, numbered(size, 16, 1), per_clip=per_clip)
    assert (mixed.partner != torch.arange(size)).all()
    assert sorted(mixed.partner.tolist()) == list(range(size))
    assert mixed.ratio.shape == (size,)
    assert ((mixed.ratio >= 0) & (mixed.ratio <= 1)).all()


def test_one_draw_a_batch_or_one_a_clip():
    clips = numbered(8, bodies=1)
    for seed in range(5):
        shared = mixed_with(seed, clips)
        assert len({look(clips, shared, i, KINECT2.parts) for i in range(8)}) == 1
        own = mixed_with(seed, clips, per_clip=True)
        assert len({look(clips, own, i, KINECT2.parts) for i in range(8)}) > 4


def test_mixing_follows_from_the_generator_and_changes_no_input():
    clips = numbered(4)
    kept = clips.clone()
    first, again, other = (mixed_with(seed, clips) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.clips, other.clips)
    assert torch.equal(clips, kept)


@pytest.mark.parametrize("layout", [KINECT2, KINECT1], ids=lambda layout: layout.name)
def test_every_joint_knows_its_part(layout):
    numbers = part_of_joint(layout.parts, len(layout.joints), torch.device("cpu"))
    assert [[j for j, n in enumerate(numbers.tolist()) if n == i] for i in range(5)] == [
        sorted(part) for part in layout.parts
    ]


@pytest.mark.parametrize("per_clip", [False, True])
def test_what_is_pasted_is_a_cutmix_s_region_of_the_partner(per_clip):
    clips, seen = numbered(6, frames=32), set()
    for seed in range(40):
        made = paste(clips, KINECT2.parts, per_clip, torch.Generator().manual_seed(seed))
        region = made.region[:, :, None, :, None].expand_as(clips)
        assert torch.equal(made.clips, torch.where(region, clips[made.partner], clips))
        shift = (made.partner - torch.arange(6)) % 6
        assert 1 <= shift[0] <= 4
        assert (shift == shift[0]).all()
        assert per_clip or (made.region == made.region[0]).all()
        for of_clip in made.region.numpy():
            frames, joints = of_clip.any(axis=1), of_clip.any(axis=0)
            assert (of_clip == np.outer(frames, joints)).all()
            parts = [all(joints[list(part)]) for part in KINECT2.parts]
            assert joints.sum() == sum(len(part) for part, there in zip(KINECT2.parts, parts, strict=True) if there)
            place = np.flatnonzero(frames)
            assert place[0] % 2 == len(place) % 2 == 0, "sixteenths"
            assert len(place) == place[-1] - place[0] + 1
            seen.add((sum(parts), len(place) // 2))
    assert {parts for parts, _ in seen} == {2, 3}
    assert {stretch for _, stretch in seen} == {7, 8, 9, 10, 11}
