import numpy as np
import pytest
import reference
import torch
from toy import KINECT2, toy_batch, toy_encoder, toy_hiclr

from pcm3.augment.extreme import extreme_view
from pcm3.augment.mask import mask_joints_of_frames
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.methods.protocol import Progress
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed

BEFORE, LATER = Progress(step=7, epoch=1, share=0.4), Progress(step=8, epoch=1, share=0.5)


def views_of(method, size=4, seed=0):
    """In float64."""
    views = method.views(*toy_batch(size, seed=seed))
    return type(views)(*(view.double() if view.is_floating_point() else view for view in views))


def embeddings(weights, mask_value, views, direction):
    """Of the basic, the normal and the strong view, and of the key: from the clips on, number by number."""
    numbers = reference.Numbers({}, 6, direction, 1, 25)
    numbers.of = weights
    strong = views.strong.numpy().copy()
    for clip, frame, joint in np.argwhere(views.masked.numpy()):
        strong[clip, frame, :, joint] = mask_value
    found = []
    basic, normal, key = (view.numpy() for view in (views.basic, views.normal, views.key))
    for clips, part in ((basic, ""), (normal, ""), (strong, ""), (key, "key_")):
        features = numbers.pool(numbers.encode(f"{part}encoder", reference.flat_inputs(clips)))
        found.append(numbers.project(f"{part}projector", features))
    return found


def slowly(found, teachers, queue, count, temperature):
    """The loss, one clip and one key after the other; the teachers are what no gradient goes to."""
    loss, (basic, normal, strong, keys) = 0.0, found
    for clip, key in enumerate(keys):
        bank = np.array([key, *queue])
        shares = [reference.relations(of[clip], bank, temperature) for of in (basic, normal, strong)]
        positives = {0}
        for share in shares if count else ():
            positives |= set(sorted(range(1, len(bank)), key=lambda row, share=share: -share[row])[:count])
        loss -= np.mean([np.log(shares[0][row]) for row in positives])
        for teacher, share in zip(teachers, shares[1:], strict=True):
            target = reference.relations(teacher[clip], bank, temperature)
            loss += 0.5 * (target * np.log(target / share)).sum()
    return loss / len(keys)


@pytest.mark.parametrize(("progress", "count"), [(BEFORE, 1), (LATER, 1), (LATER, 3)])
@pytest.mark.parametrize("direction", ["causal", pytest.param("bidirectional", marks=pytest.mark.soak)])
def test_loss_and_gradients_are_those_of_the_slow_reference(direction, progress, count):
    method = toy_hiclr(encoder=toy_encoder(bodies=1, layers=1, direction=direction), nearest=count).double().train()
    with torch.no_grad():
        method.mask_value.fill_(0.2)
    views = views_of(method)
    views = views._replace(**{name: getattr(views, name)[:, :, :1] for name in ("basic", "key", "normal", "strong")})
    weights = {name: tensor.numpy().copy() for name, tensor in method.branch.state_dict().items()}
    basic, normal, *_ = embeddings(weights, 0.2, views, direction)
    count = count if progress == LATER else 0

    def slow(new, mask_value):
        return slowly(embeddings(new, mask_value, views, direction), (basic, normal), weights["queue.keys"], count, 0.3)

    output = method(views, progress, torch.Generator())
    assert output.losses["all"].item() == pytest.approx(slow(weights, 0.2), rel=1e-9)
    output.losses["all"].backward()
    along = (slow(weights, 0.2 + 1e-6) - slow(weights, 0.2 - 1e-6)) / 2e-6
    assert method.mask_value.grad.item() == pytest.approx(along, rel=1e-4)
    rng = np.random.default_rng(0)
    for name in ("projector.layers.0.weight", "encoder.norm.weight"):
        way = rng.standard_normal(weights[name].shape)
        ahead, behind = (slow(weights | {name: weights[name] + h * way}, 0.2) for h in (1e-6, -1e-6))
        found = (method.branch.get_parameter(name).grad.numpy() * way).sum()
        assert found == pytest.approx((ahead - behind) / 2e-6, rel=1e-4), name


@pytest.mark.parametrize("name", ["joint", "bone"])
def test_four_crops_of_each_clip_of_which_two_are_extreme_and_one_is_masked(name):
    method, (batch, generator) = toy_hiclr(name, mask_ratio=0.3), toy_batch(3)
    found = method.views(batch, generator)
    again, maker = toy_batch(3)[1], method.maker
    crops = maker.distort(maker.crops(batch, 4, again), batch, again)
    extreme = extreme_view(crops[6:], method.settings.extreme, KINECT2, again)
    for view, expected in zip(found[:4], (crops[:3], crops[3:6], extreme[:3], extreme[3:]), strict=True):
        assert torch.equal(view, stream(expected, name, KINECT2))
    assert torch.equal(found.masked, mask_joints_of_frames(extreme[3:], 0.3, again))


def test_in_each_frame_so_many_joints_are_masked_each_as_often():
    masked = mask_joints_of_frames(torch.zeros(50, 60, 2, 25, 3), 0.1, torch.Generator().manual_seed(0))
    assert (masked.sum(dim=-1) == 2).all()
    assert (masked.double().mean(dim=(0, 1)) - 2 / 25).abs().max() < 0.02
    assert (masked[:, 1:] != masked[:, :-1]).any(dim=-1).double().mean() > 0.9


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"chain.mask_ratio": 1.0}, "chain.mask_ratio: expected at least 0 and less than 1"),
     ({"chain.weight": -1.0}, "chain.weight: expected"), ({"neighbours.begin": 2.0}, "neighbours.begin: expected")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        changed(settings_of_preset("hiclr"), changes).check()
