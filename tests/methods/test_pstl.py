import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_pstl

from pcm3.augment.extreme import extreme_view
from pcm3.augment.partial import draw_joints, drop_moving_frames
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.losses import barlow_twins
from pcm3.methods.protocol import Method
from pcm3.settings.methods import METHODS
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed
from pcm3.settings.pstl import PSTLSettings


def views_of(method, size=5, seed=0):
    """In float64."""
    views = method.views(*toy_batch(size, seed=seed))
    return type(views)(*(view.double() if view.is_floating_point() else view for view in views))


def slow_twins(one, other, weight):
    """Barlow Twins' eq. 1, correlation by correlation."""
    ones = np.ones(one.shape[1])
    one, other = (reference.batch_norm(view, ones, 0 * ones, 0) for view in (one, other))
    loss = 0.0
    for i in range(one.shape[1]):
        for j in range(other.shape[1]):
            correlation = sum(one[clip, i] * other[clip, j] for clip in range(len(one))) / len(one)
            loss += (correlation - 1) ** 2 if i == j else weight * correlation**2
    return loss


def projected(weights, features):
    """Through three layers, by what the state dict has."""
    for number in (0, 3, 6):
        features = features @ weights[f"projector.{number}.weight"].T
        if number < 6:
            scale, shift = (weights[f"projector.{number + 1}.{name}"] for name in ("weight", "bias"))
            features = np.maximum(reference.batch_norm(features, scale, shift, 0), 0)
    return features


def test_barlow_twins_is_its_equation():
    views = torch.randn((2, 7, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert barlow_twins(*views, 0.3).item() == pytest.approx(slow_twins(*views.numpy(), 0.3), rel=1e-10)


def test_barlow_twins_of_the_same_uncorrelated_values_is_nothing():
    hadamard = torch.tensor([[1.0, 1, 1, -1], [1, -1, 1, 1], [1, 1, -1, 1], [1, -1, -1, -1]]).double()[:, 1:]
    hadamard = torch.cat([hadamard, -hadamard]) * 100  # of mean 0
    assert barlow_twins(hadamard, 3 * hadamard + 7, 1.0) < 1e-9
    assert barlow_twins(hadamard, -hadamard, 1.0).item() == pytest.approx(12, rel=1e-6)


def test_both_terms_and_the_loss_are_those_of_the_slow_reference():
    method = toy_pstl().double().train()
    views = views_of(method)
    weights = {name: tensor.numpy() for name, tensor in method.state_dict().items()}
    encoder = method.encoder
    with torch.no_grad():
        whole, frames = (encoder.frames(view).numpy().mean(axis=1) for view in views[:2])
        joints = encoder.frames_of_joints(views.of_some_joints, views.joints[0]).numpy().mean(axis=1)
    embedded = [projected(weights, features) for features in (whole, frames, joints)]
    expected = {
        name: slow_twins(embedded[0], of, 0.1) for name, of in zip(("frames", "joints"), embedded[1:], strict=True)
    }
    output = method(views, BEGINNING, torch.Generator())
    assert output.terms.keys() == expected.keys()
    for name, value in expected.items():
        assert output.terms[name].item() == pytest.approx(value, rel=1e-9), name
    assert output.losses["all"].item() == pytest.approx(sum(expected.values()), rel=1e-9)
    assert output.state == {}


def test_views_are_three_of_each_clip_of_which_two_lack_something():
    for name in ("joint", "bone", "motion"):
        method, (batch, ours), (_, theirs) = toy_pstl(name=name), toy_batch(3), toy_batch(3)
        views, maker = method.views(batch, ours), method.maker
        crops = maker.distort(maker.crops(batch, 3, theirs), batch, theirs)
        crops = stream(extreme_view(crops, method.settings.extreme, KINECT2, theirs), name, KINECT2)
        whole, second, third = crops.chunk(3)
        joints = draw_joints(KINECT2.parents, 8, theirs)
        assert torch.equal(views.whole, whole)
        assert torch.equal(views.some_frames, drop_moving_frames(second, 3, theirs))
        assert torch.equal(views.of_some_joints, third)
        assert torch.equal(views.joints, joints.expand(3, 17))


def test_everything_learns_and_the_encoder_is_the_run_s():
    method = toy_pstl(name="bone").double().train()
    assert isinstance(method, Method)
    method(views_of(method), BEGINNING, torch.Generator()).losses["all"].backward()
    assert all(parameter.grad is not None for parameter in method.parameters())
    (optimiser,) = method.optimisers(OptimiserSettings()).values()
    held = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    assert held == {id(parameter) for parameter in method.parameters()}
    ((encoder, name, _),) = method.encoders().values()
    assert encoder is method.encoder
    assert name == "bone"


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"encoder.kind": "transformer", "encoder.channels": 0}, "encoder.kind: expected stgcn for the method pstl"),
     ({"partial.frames": 16}, "partial.frames: expected less than half of the 32 frames"),
     ({"frames": 5, "partial.frames": 6}, "less than half of the 5 frames of setting frames .*13 or more.*, got 6"),
     ({"partial.joints": -1}, "partial.joints: expected not negative"),
     ({"objective.embedding": 0}, "objective.embedding: expected at least 1"),
     ({"objective.redundancy_weight": -1.0}, "objective.redundancy_weight: expected not negative")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, told):
    assert METHODS["pstl"].settings is PSTLSettings
    with pytest.raises(ConfigError, match=told):
        changed(settings_of_preset("pstl-small"), changes).check()


def test_more_joints_missing_than_there_are_is_told(tiny, tiny_spec):
    from pcm3.methods.pstl import build

    settings = tiny({"method": "pstl", "partial.joints": 25})
    with pytest.raises(ConfigError, match="expected less than the 25 joints of layout"):
        build(tiny_spec(settings).build, KINECT2, settings)
