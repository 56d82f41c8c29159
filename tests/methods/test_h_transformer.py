import math

import numpy as np
import pytest
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_h_transformer

from pcm3.augment.crop import crop_resize
from pcm3.errors import ConfigError
from pcm3.geometry import motion
from pcm3.methods.h_transformer import PartlyHiddenView
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.h_transformer import HTransformerSettings
from pcm3.settings.pretrain import PretrainSettings


def views_of(method, size=2):
    """In float64, of small motions."""
    clips, masked = method.views(*toy_batch(size))[:2]
    clips = 0.01 * clips.double()
    return PartlyHiddenView(clips, masked, *method.directions(motion(clips)))


def slow_class(way, still):
    return sum(3**axis * (1 if abs(of) < still else 1 + int(np.sign(of))) for axis, of in enumerate(way))


def slow_terms(method, views, still):
    """One clip, frame, body and joint after the other; features are the encoder's."""
    (features,) = method.encoder.encode_views(method.encoder.build_inputs(views.clips, views.masked))
    found = {}
    for name, head in (("joints", method.tell_joints), ("parts", method.tell_parts)):
        groups = [(joint,) for joint in range(25)] if name == "joints" else KINECT2.parts
        logits = head(features).detach().numpy().reshape(*features.shape[:2], 2, len(groups), 27)
        clips, errors = views.clips.numpy(), []
        for clip, frame, body, group in np.ndindex(len(clips), clips.shape[1] - 1, 2, len(groups)):
            ways = [clips[clip, frame + 1, body, joint] - clips[clip, frame, body, joint] for joint in groups[group]]
            scores = logits[clip, frame, body, group]
            right = slow_class(np.mean(ways, axis=0), still)
            if right == 1 + 3 + 9:  # moves on no axis
                continue
            errors.append(math.log(sum(math.exp(score) for score in scores)) - scores[right])
        found[name] = np.mean(errors)
    return found


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_losses_are_those_of_the_slow_reference(weight):
    method = toy_h_transformer(still=0.004, part_weight=weight).double().eval()
    views = views_of(method)
    output = method(views, BEGINNING, torch.Generator())
    expected = slow_terms(method, views, 0.004)
    assert {name: term.item() for name, term in output.terms.items()} == pytest.approx(expected, rel=1e-6)
    assert output.losses["all"].item() == pytest.approx(expected["joints"] + weight * expected["parts"], rel=1e-6)


def test_gradients_are_those_of_differences():
    method = toy_h_transformer().double().eval()
    views = views_of(method)
    method(views, BEGINNING, torch.Generator()).losses["all"].backward()
    for name in ("tell_parts.weight", "encoder.layers.0.layers.of_joint"):
        weight = method.get_parameter(name)
        way = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        losses = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                weight += step * way
                losses.append(method(views, BEGINNING, torch.Generator()).losses["all"].item())
        assert (weight.grad * way).sum().item() == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4), name


def test_two_of_five_parts_are_hidden_in_every_eighth_of_every_clip_and_not_seen():
    method = toy_h_transformer().double().eval()
    views = method.views(*toy_batch(20))
    masked = views.masked.view(20, 8, 2, 2, 25)
    assert torch.equal(masked[:, :, 0], masked[:, :, 1])
    for part in KINECT2.parts:
        assert torch.equal(masked[..., part].all(dim=-1), masked[..., part].any(dim=-1))
    hidden = torch.stack([masked[:, :, 0, 0, part[0]] for part in KINECT2.parts])
    assert (hidden.sum(dim=0) == 2).all()
    assert len(masked[:, :, 0, 0].unique(dim=0)) == 20
    clips = views.clips.double()
    other = torch.where(views.masked.unsqueeze(-1), torch.randn_like(clips), clips)
    inputs = [method.encoder.build_inputs(of, views.masked) for of in (clips, other)]
    assert torch.equal(*inputs)


def test_a_view_is_a_crop_and_its_directions_are_not_hidden():
    batch, generator = toy_batch()
    method = toy_h_transformer()
    views = method.views(batch, generator)
    whole = crop_resize(batch.frames, batch.start, batch.length, 16)
    assert torch.equal(views.clips, whole)
    assert all(map(torch.equal, views[2:], method.directions(motion(whole))))


def test_a_strided_encoder_tells_of_every_frame_and_the_loss_is_in_float32():
    method = toy_h_transformer(kind="vit").train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method(method.views(*toy_batch()), BEGINNING, torch.Generator()).losses["all"]
    assert math.isfinite(loss.item())
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stream": "bone"}, "stream: expected joint"),
        ({"encoder": EncoderSettings("gru", 8, 1, "bidirectional", "attention")}, "encoder.pooling: expected one"),
        ({"mask_ratio": 0.9}, "objective.mask_ratio: expected 0, or more than 0.1 and less than 0.9"),
        ({"mask_ratio": 0.1}, "objective.mask_ratio: expected 0, or more than 0.1 and less than 0.9"),
        ({"still": -1.0}, "objective.still: expected not negative"),
        ({"part_weight": -1.0}, "objective.part_weight: expected not negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    run = PretrainSettings(method=HTransformerSettings())
    run.check()
    for name, value in changes.items():
        setattr(run if hasattr(run, name) else run.method.objective, name, value)
    with pytest.raises(ConfigError, match=message):
        run.check()


def test_what_does_not_move_teaches_nothing():
    method = toy_h_transformer().double().eval()
    views = views_of(method)
    still = PartlyHiddenView(views.clips, views.masked, *method.directions(0 * views.clips))
    losses = method(still, BEGINNING, torch.Generator()).losses
    assert losses["all"].item() == 0
    losses["all"].backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in method.parameters())
