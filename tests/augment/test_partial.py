from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pcm3.augment.partial import draw_joints, drop_moving_frames
from pcm3.skeleton import load_layout

KINECT2 = load_layout("kinect_v2")


@given(st.integers(5, 20), st.integers(0, 2), st.integers(0, 500))
def test_frames_that_stay_are_in_order_and_none_from_which_most_moves(frames, count, seed):
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn((3, frames, 2, 4, 3), generator=generator)
    after = drop_moving_frames(clips, count, generator).numpy()
    assert after.shape == (3, frames - 2 * count, 2, 4, 3)
    for clip, kept in zip(clips.numpy(), after, strict=True):
        places = [next(place for place in range(frames) if np.array_equal(clip[place], frame)) for frame in kept]
        assert places == sorted(set(places))
        moves = [((clip[place + 1] - clip[place]) ** 2).mean() for place in range(frames - 1)]
        assert not set(places) & set(np.argsort(moves)[frames - 1 - count :])


def test_half_of_what_is_dropped_is_random():
    clips = torch.zeros(400, 6, 1, 1, 3)
    clips[:, :, 0, 0, 0] = torch.tensor([0.0, 1, 2, 10, 11, 12])  # from the third frame most moves
    clips[:, :, 0, 0, 1] = torch.arange(6)
    after = drop_moving_frames(clips, 1, torch.Generator().manual_seed(0))
    kept = Counter(after[:, :, 0, 0, 1].flatten().int().tolist())
    assert kept[2] == 0
    assert all(stats.binomtest(kept[place], 400, 4 / 5).pvalue > 1e-4 for place in (0, 1, 3, 4, 5))


def degrees(parents):
    found = Counter()
    for joint, parent in enumerate(parents):
        if joint != parent:
            found.update([joint, parent])
    return np.array([found[joint] for joint in range(len(parents))])


@pytest.mark.parametrize("count", [0, 1, 8, 24])
def test_joints_that_stay_are_so_many_and_in_order(count):
    joints = draw_joints(KINECT2.parents, count, torch.Generator().manual_seed(0)).tolist()
    assert len(joints) == 25 - count
    assert joints == sorted(set(joints))
    assert set(joints) <= set(range(25))


def test_a_joint_is_dropped_first_as_often_as_it_has_neighbours():
    generator, draws = torch.Generator().manual_seed(0), 4000
    dropped = Counter()
    for _ in range(draws):
        dropped.update(set(range(25)) - set(draw_joints(KINECT2.parents, 1, generator).tolist()))
    shares = degrees(KINECT2.parents) / degrees(KINECT2.parents).sum()
    counts = np.array([dropped[joint] for joint in range(25)])
    assert stats.chisquare(counts, shares * draws).pvalue > 1e-3


def test_two_are_dropped_as_one_after_the_other():
    parents, draws = (0, 0, 0, 0, 3), 4000  # the root has three neighbours, joint 3 two, the others one
    share = degrees(parents) / 8
    expected = {}
    for first in range(5):
        for second in set(range(5)) - {first}:
            pair = frozenset((first, second))
            expected[pair] = expected.get(pair, 0) + share[first] * share[second] / (1 - share[first])
    generator = torch.Generator().manual_seed(1)
    found = Counter(frozenset(range(5)) - frozenset(draw_joints(parents, 2, generator).tolist()) for _ in range(draws))
    counts = np.array([found[pair] for pair in expected])
    assert counts.sum() == draws
    assert stats.chisquare(counts, np.array([*expected.values()]) * draws).pvalue > 1e-3
