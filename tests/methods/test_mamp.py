import numpy as np
import pytest
import slow_attention
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_mamp

from pcm3.augment.crop import crop_resize
from pcm3.errors import ConfigError
from pcm3.geometry import motion, stream
from pcm3.methods.mamp import MaskedView, normalised_rows, order_of_tokens
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.mamp import MAMPSettings
from pcm3.settings.pretrain import PretrainSettings


def views_of(method, size=2):
    """In float64, of clips in which some joints never move."""
    clips, _, order = method.views(*toy_batch(size))
    clips = clips.double()
    clips[:, :, :, 3] = clips[:, :1, :, 3]
    return MaskedView(clips, motion(clips), order)


def slow_loss(weights, views, seen, normalised=True):
    """One body, one token and one number after the other."""
    errors = []
    for clip, moved, orders in zip(views.clips.numpy(), views.motion.numpy(), views.order.numpy(), strict=True):
        for body, order in enumerate(orders):
            tokens = slow_attention.slow_tokens(
                {name.removeprefix("encoder."): of for name, of in weights.items()}, clip[:, body]
            )
            features = slow_attention.blocks(weights, "encoder.layers.0.layers.blocks", tokens[order[:seen]], heads=1)
            joints = clip.shape[2]
            given = []
            for number in range(len(order)):
                place = weights["decoder.places.of_time"][number // joints]
                place = place + weights["decoder.places.of_joint"][number % joints]
                known = np.flatnonzero(order[:seen] == number)
                of = slow_attention.linear(weights, "decoder.enter", features[known[0]]) if len(known) else None
                given.append(place + (weights["decoder.unknown"] if of is None else of))
            decoded = slow_attention.blocks(weights, "decoder.blocks", np.array(given), heads=1)
            for number in order[seen:]:
                time, joint = divmod(number, joints)
                target = moved[4 * time : 4 * time + 4, body, joint].reshape(-1)
                if normalised:
                    target = (target - target.mean()) / np.sqrt(target.var(ddof=1) + 1e-6)
                predicted = slow_attention.linear(weights, "decoder.leave", decoded[number])
                errors.append(np.mean([(a - b) ** 2 for a, b in zip(predicted, target, strict=True)]))
    return np.mean(errors)


@pytest.mark.parametrize("normalised", [True, False])
def test_the_loss_and_its_gradient_are_those_of_the_slow_reference(normalised):
    method = toy_mamp(frames=8, layers=1, segment_target=normalised, mask_ratio=0.8).double().train()
    views = views_of(method, 1)
    weights = {name: tensor.numpy().copy() for name, tensor in method.state_dict().items()}
    output = method(views, BEGINNING, torch.Generator())
    assert output.losses["all"].item() == pytest.approx(slow_loss(weights, views, 10, normalised), rel=1e-10)
    output.losses["all"].backward()
    name = "encoder.layers.0.layers.places.of_joint"
    way = np.random.default_rng(0).standard_normal(weights[name].shape)
    ahead, behind = (slow_loss(weights | {name: weights[name] + h * way}, views, 10, normalised) for h in (1e-5, -1e-5))
    along = (method.get_parameter(name).grad.numpy() * way).sum()
    assert along == pytest.approx((ahead - behind) / 2e-5, rel=1e-5)


def slow_logits(clip, temperature):
    """Of the tokens of one body (T, V, C), time by time."""
    frames, joints, _ = clip.shape
    ways = np.zeros((frames // 4, joints))
    for time in range(1, frames // 4):
        for joint in range(joints):
            here, before = (clip[4 * at : 4 * at + 4, joint] for at in (time, time - 1))
            ways[time, joint] = np.abs(here - before).mean()
    ways[0] = ways[1]
    return (ways / (ways.max() * temperature + 1e-10)).reshape(-1)


@pytest.mark.parametrize("temperature", [0.8, 0.2, 0.0])
def test_what_moves_is_masked_as_often_as_gumbel_noise_on_its_motion_has_it(temperature):
    clip = torch.randn(1, 8, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    clip[:, :, :, 2] = 0
    order = order_of_tokens(clip.expand(20_000, -1, -1, -1, -1), temperature, torch.Generator().manual_seed(2))
    logits = slow_logits(clip[0, :, 0].double().numpy(), temperature) if temperature else np.zeros(6)
    share = np.exp(logits) / np.exp(logits).sum()  # of being the last, which is the first to be masked
    last = np.bincount(order[:, 0, -1].numpy(), minlength=6) / 20_000
    np.testing.assert_allclose(last, share, atol=0.012)


def test_every_token_of_every_body_stands_once_in_the_order():
    clips = torch.randn(5, 8, 2, 25, 3, generator=torch.Generator().manual_seed(0))
    clips[2:, :, 1] = 0  # a body that is not there: all alike
    order = order_of_tokens(clips, 0.8, torch.Generator().manual_seed(0))
    assert torch.equal(order.sort(dim=-1).values, torch.arange(50).expand(5, 2, -1))
    assert len(order.flatten(0, 1).unique(dim=0)) == 10


def test_nothing_is_known_of_masked_tokens():
    method = toy_mamp().double().eval()
    views = views_of(method)
    seen = views.order.flatten(0, 1)[:, :10]
    hidden = torch.ones(4, 100, dtype=torch.bool).scatter(1, seen, value=False)
    where = hidden.view(2, 2, 4, 25).repeat_interleave(4, dim=2).transpose(1, 2)
    other = torch.where(where.unsqueeze(-1), torch.randn_like(views.clips), views.clips)
    assert torch.equal(method.encode(views.clips, seen), method.encode(other, seen))
    assert not torch.equal(method.encode(views.clips, seen), method.encode(other.flip(1), seen))


def test_a_target_is_normalised_and_one_that_is_the_same_throughout_is_zero():
    values = torch.randn(2, 3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values[0, 1] = 0.7
    found = normalised_rows(values)
    assert found[0, 1].abs().max() < 1e-9
    torch.testing.assert_close(found.mean(dim=-1), torch.zeros(2, 3, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(found[1].var(dim=-1), torch.ones(3, dtype=torch.float64), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_a_view_is_of_the_stream_and_its_motion_of_the_view(name):
    batch, generator = toy_batch()
    views = toy_mamp(name=name).views(batch, generator)
    whole = stream(crop_resize(batch.frames, batch.start, batch.length, 16), name, KINECT2)
    assert torch.equal(views.clips, whole)
    assert torch.equal(views.motion, motion(whole))


def test_the_loss_is_in_float32_where_the_networks_are_not():
    method = toy_mamp().train()
    views = method.views(*toy_batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method(views, BEGINNING, torch.Generator()).losses["all"]
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("ratio", [1e-6, 0.999999])
def test_some_token_is_seen_and_some_is_told_whatever_the_ratio(ratio):
    method = toy_mamp(frames=8, layers=1, mask_ratio=ratio)
    output = method(method.views(*toy_batch(2)), BEGINNING, torch.Generator())
    assert 0 < output.losses["all"].item() < 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 30}, "setting frames: expected a multiple of 4"),
        ({"frames": 4}, "setting frames: expected a multiple of 4"),
        ({"encoder": EncoderSettings(direction="bidirectional")}, "encoder.kind: expected vit"),
        ({"encoder": EncoderSettings("vit", 8, 1, "bidirectional", "attention")}, "encoder.pooling: expected one"),
        ({"mask_ratio": 1.0}, "objective.mask_ratio: expected more than 0 and less than 1"),
        ({"mask_temperature": -1.0}, "objective.mask_temperature: expected not negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    run = PretrainSettings(method=MAMPSettings(), encoder=EncoderSettings("vit", 8, 1, "bidirectional", "mean"))
    run.check()
    for name, value in changes.items():
        setattr(run if hasattr(run, name) else run.method.objective, name, value)
    with pytest.raises(ConfigError, match=message):
        run.check()
