import math

import numpy as np
import pytest
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_gl_transformer

from pcm3.augment.crop import crop_resize
from pcm3.errors import ConfigError
from pcm3.methods.gl_transformer import direction_class, size_class
from pcm3.methods.views import CropMaker
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.gl_transformer import GLTransformerSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.settings.views import ViewSettings, whole_clips


def views_of(method, size=2):
    """In float64, of different lengths; a joint that never moves, and a body that is not there."""
    clips = method.views(*toy_batch(size)).clips
    clips = 0.1 * clips.double()
    clips[:, :, :, 3] = clips[:, :1, :, 3]
    clips[0, :, 1] = 0
    lengths = torch.tensor([6, 16])[:size]
    return method.displaced(clips, lengths, gaps=False)


def slow_classes(clip, interval, root, still=0.0):
    """A clip (T, M, V, C) → direction and size of each joint (T, V, M)."""
    frames, bodies, joints, _ = clip.shape
    direction, size = np.zeros((2, frames, joints, bodies), int)

    def at(frame, joint, body):
        return clip[frame, body, joint] if joint == root else clip[frame, body, joint] - clip[frame, body, root]

    for frame, joint, body in np.ndindex(frames, joints, bodies):
        way = at(max(frame - interval, 0), joint, body) - at(frame, joint, body)
        direction[frame, joint, body] = sum(
            3**axis * (1 + (np.sign(way[axis]) if abs(way[axis]) >= still else 0)) for axis in range(3)
        )
        length = math.sqrt(sum(way**2))
        size[frame, joint, body] = 0 if length == 0 else min(14, 1 + math.floor(length / 0.01))
        if not clip[:, body].any():
            size[frame, joint, body] = 15
    return direction, size


def slow_term(logits, classes, lengths, root, counted, left_out=None):
    """Logits (B, T, R, V, M, K) and classes (B, T, R, V, M): one after the other, but for those of a class."""
    joints, places = [], []
    for span, joint, body in np.ndindex(classes.shape[2:]):
        errors = []
        for clip, length in enumerate(lengths):
            for frame in range(length):
                scores, right = logits[clip, frame, span, joint, body], classes[clip, frame, span, joint, body]
                if right != left_out:
                    errors.append(math.log(sum(math.exp(score) for score in scores)) - scores[right])
        (places if joint == root and span in counted else joints).append(np.mean(errors) if errors else 0)
    return np.mean(joints) + 0.05 * np.mean(places)


@pytest.mark.parametrize(
    ("over", "counted", "still"), [("all", (0, 1), 0.0), ("first", (0,), 0.0), ("all", (0, 1), 0.05)]
)
def test_the_losses_are_those_of_the_slow_reference(over, counted, still):
    method = toy_gl_transformer(global_over=over, still=still).double().eval()
    views = views_of(method)
    output = method(views, BEGINNING, torch.Generator())
    features = method.encoder.frames(views.clips, views.lengths)
    for number, (name, head, kinds) in enumerate(
        [("direction", method.tell_direction, 27), ("size", method.tell_size, 16)]
    ):
        logits = head(features).detach().numpy().reshape(2, 16, 2, 25, 2, kinds)
        classes = [
            np.stack([slow_classes(clip, interval, KINECT2.root, still)[number] for interval in (1, 5)], axis=1)
            for clip in views.clips.numpy()
        ]
        assert (np.array(classes) == 13).mean() < 0.9
        left_out = 13 if still and name == "direction" else None
        expected = slow_term(logits, np.array(classes), views.lengths.tolist(), KINECT2.root, counted, left_out)
        assert output.terms[name].item() == pytest.approx(expected, rel=1e-10)
    assert output.losses["all"].item() == pytest.approx(sum(term.item() for term in output.terms.values()))


def test_gradients_are_those_of_differences():
    method = toy_gl_transformer().double().eval()
    views = views_of(method)
    method(views, BEGINNING, torch.Generator()).losses["all"].backward()
    for name in ("tell_size.weight", "encoder.layers.0.layers.embed_place.weight"):
        weight = method.get_parameter(name)
        way = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        losses = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                weight += step * way
                losses.append(method(views, BEGINNING, torch.Generator()).losses["all"].item())
        assert (weight.grad * way).sum().item() == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4), name


def test_padding_is_neither_seen_nor_told():
    method = toy_gl_transformer().double().eval()
    clips, lengths = views_of(method)[:2]
    other = clips.clone()
    other[0, 6:] = 3.0
    one, two = (
        method(method.displaced(of, lengths, gaps=False), BEGINNING, torch.Generator()).losses["all"]
        for of in (clips, other)
    )
    torch.testing.assert_close(one, two, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("way", "direction"),
    [((0, 0, 0), 13), ((-1, 0, 0), 12), ((1, 0, 0), 14), ((0, -2, 0), 10), ((0, 0, 5), 22), ((1, 1, 1), 26)],
)
def test_directions(way, direction):
    assert direction_class(torch.tensor(way, dtype=torch.float32)).item() == direction


@pytest.mark.parametrize(
    ("length", "size"), [(0, 0), (1e-6, 1), (0.0099, 1), (0.0101, 2), (0.1299, 13), (0.1301, 14), (5, 14)]
)
def test_sizes(length, size):
    assert size_class(torch.tensor([length, 0, 0.0]), 0.01).item() == size


def test_a_clip_of_its_own_length_is_cut_or_padded_and_its_length_told():
    batch, generator = toy_batch(3)
    maker = CropMaker(KINECT2, 40, whole_clips())
    clips, lengths = maker.padded_view(batch, 0.0, generator)
    assert lengths.tolist() == [30] * 3
    whole = batch.frames.view(3, 30, 2, 25, 3)
    torch.testing.assert_close(clips[:, :30], whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(clips[:, 30:], whole[:, -1:].expand(-1, 10, -1, -1, -1), rtol=0, atol=0)
    clips, lengths = CropMaker(KINECT2, 12, whole_clips()).padded_view(batch, 0.0, generator)
    assert lengths.tolist() == [12] * 3
    torch.testing.assert_close(clips, whole[:, :12], rtol=0, atol=1e-5)


def test_a_clip_is_made_faster_or_slower_by_up_to_a_share_of_its_length():
    batch, generator = toy_batch(200)
    clips, lengths = CropMaker(KINECT2, 40, whole_clips()).padded_view(batch, 0.2, generator)
    assert set(lengths.tolist()) == set(range(24, 36))
    for number in range(3):
        length = lengths[number : number + 1]
        alone = crop_resize(batch.frames, batch.start[number : number + 1], batch.length[:1], length.item())
        torch.testing.assert_close(clips[number : number + 1, : length.item()], alone, rtol=0, atol=1e-5)


def test_views_are_sheared_and_resampled_where_that_is_asked_for():
    batch, generator = toy_batch()
    clips, lengths = toy_gl_transformer(length="resampled").views(batch, generator)[:2]
    assert lengths.tolist() == [16] * 4
    assert torch.equal(clips, crop_resize(batch.frames, batch.start, batch.length, 16))
    method = toy_gl_transformer()
    method.maker = CropMaker(KINECT2, 16, ViewSettings(shear=0.3, jitter_prob=0.0))
    assert not torch.equal(method.views(*toy_batch()).clips, clips)


def test_a_strided_encoder_tells_of_every_frame():
    method = toy_gl_transformer(kind="vit", length="resampled")
    loss = method(method.views(*toy_batch()), BEGINNING, torch.Generator()).losses["all"]
    assert math.isfinite(loss.item())


def test_the_loss_is_in_float32_where_the_networks_are_not():
    method = toy_gl_transformer().train()
    views = method.views(*toy_batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method(views, BEGINNING, torch.Generator()).losses["all"]
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stream": "bone"}, "stream: expected joint"),
        ({"encoder": EncoderSettings("gru", 8, 1, "bidirectional", "attention")}, "encoder.pooling: expected one"),
        ({"intervals": []}, "objective.intervals: expected one or more"),
        ({"intervals": [1, 0]}, "objective.intervals: expected one or more"),
        ({"bin": 0.0}, "objective.bin: expected more than 0"),
        ({"speed": 1.0}, "objective.speed: expected at least 0 and less than 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    run = PretrainSettings(method=GLTransformerSettings())
    run.check()
    for name, value in changes.items():
        setattr(run if hasattr(run, name) else run.method.objective, name, value)
    with pytest.raises(ConfigError, match=message):
        run.check()
