"""In stores with gaps a joint that is absent for a while, all zeros, stays so in every view, and moves nowhere."""

from dataclasses import replace

import pytest
import torch
from toy import KINECT2, toy_gl_transformer

from pcm3.augment.body_shape import scale_bones
from pcm3.augment.extreme import extreme_view
from pcm3.augment.mask import motion_of_units
from pcm3.augment.partial import drop_moving_frames
from pcm3.clips import ClipBatch
from pcm3.geometry import absent
from pcm3.methods.gl_transformer import SIZES
from pcm3.methods.mamp import order_of_tokens
from pcm3.methods.views import CropMaker
from pcm3.settings.extreme import ExtremeSettings
from pcm3.settings.views import ViewSettings

FRAMES, WRIST, ELBOW, HAND = 16, 6, 5, 7
ABSENT = {WRIST: slice(4, 9), 20: slice(12, 16), 15: slice(0, 3)}
"""Joints and frames; 20 is the root."""


def batch_of(clips):
    size, frames = clips.shape[:2]
    numbers = torch.arange(size)
    return ClipBatch(clips.flatten(0, 1), numbers * frames, torch.full((size,), frames), numbers, gaps=True)


def clips(size=6):
    """Walks of standing bodies of which joints are absent for a while, body 0 centred as in a store."""
    generator = torch.Generator().manual_seed(0)
    made = 1 + torch.rand((size, 1, 2, 25, 3), generator=generator)
    made = made + 0.02 * torch.rand((size, FRAMES, 2, 25, 3), generator=generator)
    made[:, :, 0, KINECT2.centre] = 0
    for joint, frames in ABSENT.items():
        made[:, frames, :, joint] = 0
    return made


def generator():
    return torch.Generator().manual_seed(1)


VIEWS = ViewSettings(crop=(1.0, 1.0), min_frames=1, shear=0.5, jitter_prob=0.0)


@pytest.mark.parametrize("changes", [{"bone_scale": 0.3}, {"noise": 0.1}, {"yaw": 90.0, "tilt": 20.0}])
def test_no_augmentation_puts_an_absent_joint_anywhere(changes):
    before = clips()
    maker = CropMaker(KINECT2, FRAMES, replace(VIEWS, **changes))
    for view in maker.two_views(batch_of(before), generator()):
        assert not torch.equal(view, before)
        assert torch.equal(absent(view), absent(before))
        assert torch.equal((view != 0).any(dim=-1)[:, :, 0, KINECT2.centre], torch.zeros(6, FRAMES, dtype=torch.bool))


def test_no_bone_leads_to_or_from_an_absent_joint():
    """What hangs from it is moved as the joint above is, and as ever where nothing is absent."""
    before = 0.3 * torch.randn((6, 1, 2, 25, 3), generator=generator()).repeat(1, FRAMES, 1, 1, 1)
    whole = scale_bones(before, KINECT2, 0.3, generator()) - before
    before[:, 4:9, :, WRIST] = 0
    change = scale_bones(before, KINECT2, 0.3, generator(), gaps=True) - before
    assert torch.equal(change[:, :4], whole[:, :4])
    torch.testing.assert_close(change[:, 4:9, :, HAND], change[:, 4:9, :, ELBOW])
    assert (change[:, 4:9, :, WRIST] == 0).all()
    assert (change[:, :4, :, WRIST] != 0).all()


@pytest.mark.parametrize("changes", [{"noise_prob": 1.0}, {"blur_prob": 1.0}])
def test_no_extreme_augmentation_does_either(changes):
    quiet = {"flip_prob": 0.0, "rotation": 0.0, "tilt": 0.0, "noise_prob": 0.0, "blur_prob": 0.0, "axis_mask_prob": 0.0}
    before = clips()
    view = extreme_view(before, ExtremeSettings(**quiet | changes), KINECT2, generator(), gaps=True)
    assert not torch.equal(view, before)
    assert torch.equal(absent(view), absent(before))


def test_gl_transformer_tells_no_way_from_or_to_where_a_joint_is_absent():
    method = toy_gl_transformer(intervals=[1])
    views = method.displaced(clips(), torch.full((6,), FRAMES), gaps=True)
    sizes, directions = (of[:, :, 0].unflatten(-1, (25, 2)) for of in (views.sizes, views.directions))
    gone = absent(clips()).transpose(2, 3)
    gone = gone | (gone[:, :, 20:21] & (torch.arange(25) != 20)[:, None])  # the others are seen from the root
    before = torch.cat([gone[:, :1], gone[:, :-1]], dim=1)
    assert (sizes[gone | before] == SIZES - 1).all()
    assert (directions[gone | before] == 13).all()
    assert (sizes[~(gone | before)] < 7).all()


def test_absence_is_no_motion_by_which_tokens_parts_or_frames_are_chosen():
    before = clips(200)
    still = before.mean(dim=1, keepdim=True).expand_as(before) * (before != 0)  # nothing moves but what comes and goes
    logits_alike = order_of_tokens(still, 0.05, generator(), gaps=True)
    assert torch.equal(logits_alike, order_of_tokens(torch.ones_like(still), 0.05, generator(), gaps=False))
    for kind in ("topology", "random"):
        units = motion_of_units(still, KINECT2.parts, kind, gaps=True)
        assert torch.equal(units, torch.ones_like(units))
    lifted = still.clone()
    lifted[:, 10:, :, 1] += 0.5  # the one motion that there is, from frame 9
    lifted[:, :, 0, 2, 0] = 5 + 1e-3 * torch.arange(FRAMES)  # tells which frame it is
    left = drop_moving_frames(lifted, 1, generator(), gaps=True)[:, :, 0, 2, 0]
    assert not ((left - 5.009).abs() < 1e-4).any()
    assert ((left - 5.003).abs() < 1e-4).any()  # after which a joint goes away
