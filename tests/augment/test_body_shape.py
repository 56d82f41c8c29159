"""Clips of somebody else: limbs of other lengths, and left for right."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inverses import joint_from_bone
from scipy import stats

from pcm3.augment import body_shape as person
from pcm3.augment.body_shape import mirror, scale_bones
from pcm3.geometry import bone, present_joints
from pcm3.normalisation import normalise
from pcm3.simulate.actions import SOLO_ACTIONS
from pcm3.simulate.performance import draw_manner, perform
from pcm3.simulate.random_streams import subject_of
from pcm3.skeleton import layout_names, load_layout

LAYOUTS = pytest.mark.parametrize("layout", [load_layout(name) for name in layout_names()], ids=lambda one: one.name)
KINECT = load_layout("kinect_v2")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def clips(layout, size=6, frames=4, bodies=2, seed=0):
    return torch.randn((size, frames, bodies, len(layout.joints), 3), generator=generator(seed))


def factors_of(before, after, layout):
    """How much longer each bone became (B, T, M, V), the root's left out of account as 1."""
    old, new = bone(before.double(), layout).norm(dim=-1), bone(after.double(), layout).norm(dim=-1)
    old[..., layout.root] = new[..., layout.root] = 1
    return new / old


def longer_by(factors, monkeypatch):
    """Makes these the factors (B, V) that are drawn."""
    monkeypatch.setattr(person, "uniform", lambda shape, amount, like, generator: (factors - 1).to(like).reshape(shape))


def varied_slowly(before, factors, layout):
    """The definition in float64, joint by joint from the root."""
    after = np.zeros_like(before)
    for clip, frame, body in np.ndindex(before.shape[:3]):
        old = before[clip, frame, body]
        if not old.any():
            continue

        def place(joint, old=old, of=factors[clip]):
            parent = layout.parents[joint]
            if parent == joint:
                return old[joint]
            pair = min(joint, layout.mirrored[joint])
            return place(parent) + of[pair] * (old[joint] - old[parent])

        after[clip, frame, body] = [place(joint) for joint in range(len(layout.joints))]
    shift = before[:, :, 0, layout.centre] - after[:, :, 0, layout.centre]
    return np.where(before.any(axis=(3, 4), keepdims=True), after + shift[:, :, None, None], 0.0)


@LAYOUTS
def test_limbs_vary_as_the_slow_reference_says(layout, monkeypatch):
    before = clips(layout)
    before[1, :2, 1] = before[2, 2, 0] = before[3] = before[4, 1] = 0.0
    factors = torch.rand((len(before), len(layout.joints)), dtype=torch.float64, generator=generator(1)) + 0.5
    longer_by(factors, monkeypatch)
    after = scale_bones(before, layout, 0.5, generator())
    expected = varied_slowly(before.double().numpy(), factors.numpy(), layout)
    np.testing.assert_allclose(after.numpy(), expected, rtol=0, atol=1e-5)


@LAYOUTS
def test_limbs_vary_as_bones_that_are_put_together_again(layout, monkeypatch):
    before = clips(layout, bodies=1).double()
    factors = torch.full((len(before), len(layout.joints)), 1.2, dtype=torch.float64)
    longer_by(factors, monkeypatch)
    after = scale_bones(before.float(), layout, 0.2, generator())
    rebuilt = joint_from_bone(1.2 * bone(before, layout), before[..., layout.root, :], layout)
    centre = slice(layout.centre, layout.centre + 1)
    rebuilt += before[..., centre, :] - rebuilt[..., centre, :]
    torch.testing.assert_close(after.double(), rebuilt, rtol=0, atol=1e-5)
    # And so, all bones being as much longer, the body is as much greater, seen from its centre.
    greater = before[..., centre, :] + 1.2 * (before - before[..., centre, :])
    torch.testing.assert_close(rebuilt, greater)


@LAYOUTS
@pytest.mark.parametrize("amount", [0.05, 0.3])
def test_bones_keep_their_directions_and_both_sides_are_equally_long(layout, amount):
    before = clips(layout)
    after = scale_bones(before, layout, amount, generator())
    factors = factors_of(before, after, layout)
    old, new = bone(before, layout), bone(after, layout)
    torch.testing.assert_close(new, old * factors[..., None].float(), rtol=0, atol=1e-4)
    one = factors.mean(dim=(1, 2))
    torch.testing.assert_close(factors, one[:, None, None].expand_as(factors), rtol=0, atol=1e-3)
    assert ((one - 1).abs() < amount + 1e-3).all()
    torch.testing.assert_close(one, one[:, list(layout.mirrored)], rtol=0, atol=1e-3)
    independent = [joint for joint in range(len(layout.joints)) if layout.mirrored[joint] >= joint != layout.root]
    assert len(set(np.round(one[:, independent].flatten().tolist(), 6))) == len(before) * len(independent)


def test_without_mirror_pairs_each_bone_has_a_factor_of_its_own():
    layout = replace(KINECT, mirror=())
    before = clips(layout, size=1)
    factors = factors_of(before, scale_bones(before, layout, 0.3, generator()), layout)[0, 0, 0]
    assert len(set(np.round(factors.tolist(), 6))) == 25


def test_factors_are_uniform():
    before = clips(KINECT, size=2000, frames=1, bodies=1)
    factors = factors_of(before, scale_bones(before, KINECT, 0.4, generator(2)), KINECT)[:, 0, 0]
    for joint in (0, 3, 5, 15, 23):
        assert stats.kstest(factors[:, joint].numpy(), stats.uniform(0.6, 0.8).cdf).pvalue > 0.001


@LAYOUTS
def test_limbs_that_do_not_vary_change_no_bit(layout):
    before = clips(layout)
    assert torch.equal(scale_bones(before, layout, 0.0, generator()), before)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4),
    st.floats(0, 0.9),
    st.integers(0, 99),
)
def test_who_is_absent_stays_so_and_the_others_keep_their_places(there, amount, seed):
    present = torch.tensor(there)  # (T, M)
    before = clips(KINECT, size=2, frames=len(there), bodies=3, seed=seed) * present[..., None, None]
    after = scale_bones(before, KINECT, amount, generator(seed))
    assert (after[:, ~present] == 0).all()
    assert after.isfinite().all()
    assert torch.equal(after[:, :, 0, KINECT.centre], before[:, :, 0, KINECT.centre])
    both = present & present[:, :1]
    apart = [(x[..., KINECT.root, :] - x[:, :, :1, KINECT.root])[:, both] for x in (before, after)]
    torch.testing.assert_close(*apart, rtol=0, atol=1e-5)
    alone = present & ~present[:, :1]  # there is no centre to keep: the root stays
    assert torch.equal(after[:, alone][..., KINECT.root, :], before[:, alone][..., KINECT.root, :])


def test_in_a_normalised_clip_the_centre_stays_at_the_origin():
    before = torch.from_numpy(normalised(recorded("wave"))).float()[None]
    assert (before[:, :, 0, KINECT.centre] == 0).all()
    assert (scale_bones(before, KINECT, 0.2, generator())[:, :, 0, KINECT.centre] == 0).all()


def test_limbs_follow_from_the_generator_and_clips_are_not_changed():
    before = clips(KINECT)
    kept = before.clone()
    first, again, other = (scale_bones(before, KINECT, 0.2, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    mirror(before, KINECT, torch.ones(len(before), dtype=torch.bool))
    assert torch.equal(before, kept)


def recorded(action):
    """What a simulated subject does, metres on the stage, y up (T, 1, 25, 3)."""
    rng = np.random.default_rng(0)
    return perform(subject_of(0, 1), SOLO_ACTIONS[action], draw_manner(rng), rng)[:, None]


def normalised(frames):
    return normalise(frames, present_joints(frames), KINECT)


@LAYOUTS
def test_a_mirror_shows_what_the_slow_reference_says(layout):
    before = clips(layout)
    chosen = torch.tensor([True, False, True, True, False, False])
    after = mirror(before, layout, chosen)
    for clip, frame, body, joint in np.ndindex(before.shape[:4]):
        x, y, z = before[clip, frame, body, layout.mirrored[joint] if chosen[clip] else joint].tolist()
        assert after[clip, frame, body, joint].tolist() == [-x if chosen[clip] else x, y, z]


@LAYOUTS
def test_twice_in_a_mirror_is_as_before(layout):
    before, chosen = clips(layout), torch.arange(6) % 2 == 0
    once = mirror(before, layout, chosen)
    assert torch.equal(mirror(once, layout, chosen), before)
    assert torch.equal(mirror(before, layout, ~chosen)[chosen], before[chosen])
    assert not torch.equal(once[chosen], before[chosen])


def test_in_a_mirror_somebody_waves_with_the_other_hand():
    before = normalised(recorded("wave"))
    after = mirror(torch.from_numpy(before)[None], KINECT, torch.tensor([True]))[0].numpy()
    left, right = (KINECT.joints.index(f"{side}_hand") for side in ("left", "right"))
    height = {hand: x[:, 0, hand, 2].max() for hand, x in ((left, before), (right, before))}
    mirrored = {hand: after[:, 0, hand, 2].max() for hand in (left, right)}
    assert abs(height[left] - height[right]) > 0.3, "one hand waves"
    assert mirrored == {left: height[right], right: height[left]}


@pytest.mark.parametrize("action", ["wave", "kick", "walk"])
def test_who_is_mirrored_is_as_if_recorded_in_a_mirror(action):
    frames, chosen = recorded(action), torch.tensor([True])
    in_the_room = mirror(torch.from_numpy(frames)[None], KINECT, chosen)[0].numpy()
    in_the_store = mirror(torch.from_numpy(normalised(frames))[None], KINECT, chosen)[0].numpy()
    np.testing.assert_allclose(normalised(in_the_room), in_the_store, rtol=0, atol=1e-9)


def test_who_is_absent_is_so_in_a_mirror():
    before = clips(KINECT)
    before[:, 1, 1] = 0.0
    assert (mirror(before, KINECT, torch.ones(6, dtype=torch.bool))[:, 1, 1] == 0).all()
