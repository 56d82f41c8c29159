import math

import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_hysp

from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.methods.hysp import hyperbolic_weight
from pcm3.methods.protocol import Progress
from pcm3.methods.views import TwoViews
from pcm3.settings.hysp import HYSPSettings
from pcm3.settings.methods import METHODS
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed


def views_of(method, size=5, seed=0):
    return TwoViews(*(view.double() for view in method.views(*toy_batch(size, seed=seed))))


def through(numbers, name, features):
    """Two layers with a BatchNorm between them."""
    of = numbers.of
    inner = features @ of[f"{name}.0.weight"].T + of[f"{name}.0.bias"]
    inner = np.maximum(reference.batch_norm(inner, of[f"{name}.1.weight"], of[f"{name}.1.bias"], 0), 0)
    return inner @ of[f"{name}.3.weight"].T + of[f"{name}.3.bias"]


def mobius_add(x, y):
    """Ungar's sum of points of the unit ball."""
    xx, yy, xy = x @ x, y @ y, x @ y
    return ((1 + 2 * xy + yy) * x + (1 - xx) * y) / (1 + 2 * xy + xx * yy)


def slow_errors(predicted, wanted):
    """By cosine, and by the distance of the points that the vectors lead to; means over the clips."""
    cosines, distances = [], []
    for p, w in zip(predicted, wanted, strict=True):
        cosines.append(2 - 2 * p @ w / (np.linalg.norm(p) * np.linalg.norm(w)))
        there = [math.tanh(np.linalg.norm(v)) * v / np.linalg.norm(v) for v in (p, w)]
        distances.append(2 * math.atanh(np.linalg.norm(mobius_add(-there[0], there[1]))))
    return np.mean(cosines), np.mean(distances)


@pytest.mark.parametrize(("share", "weight"), [(0.1, 0.0), (0.35, 0.25), (0.7, 1.0)])
def test_both_errors_and_the_loss_are_those_of_the_slow_reference(share, weight):
    method = toy_hysp(curriculum=(0.3, 0.5)).double().train()
    views = views_of(method)
    numbers = reference.Numbers(method.state_dict(), 6, "causal", 2, 25)
    flat = [reference.flat_inputs(view.numpy()) for view in views]
    predicted, wanted = [], []
    for view in flat:
        online = through(numbers, "projector", numbers.pool(numbers.encode("encoder", view)))
        predicted.append(through(numbers, "predictor", online))
        wanted.append(through(numbers, "target_projector", numbers.pool(numbers.encode("target_encoder", view))))
    one, other = slow_errors(predicted[0], wanted[1]), slow_errors(predicted[1], wanted[0])
    cosine, distance = ((a + b) / 2 for a, b in zip(one, other, strict=True))
    output = method(views, Progress(0, 0, share), torch.Generator())
    assert output.terms["cosine"].item() == pytest.approx(cosine, rel=1e-9)
    assert output.terms["distance"].item() == pytest.approx(distance, rel=1e-8)
    assert output.losses["all"].item() == pytest.approx((1 - weight) * cosine + weight * distance, rel=1e-8)
    assert output.state == {}


def test_the_curriculum_of_the_published_preset_goes_as_the_released_epochs_do():
    curriculum = settings_of_preset("hysp").method.objective.curriculum
    for epoch in range(400):
        released = min(max((epoch - 49) / (99 - 49), 0), 1)
        assert hyperbolic_weight(epoch / 400, curriculum) == pytest.approx(released, abs=1e-12)


def test_after_a_step_the_target_network_follows():
    method = toy_hysp(momentum=0.7)
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    method.after_step({}, BEGINNING)
    for name, parameter in method.named_parameters():
        if name.startswith("target_"):
            expected = 0.7 * before[name] + 0.3 * before[name.removeprefix("target_")]
            torch.testing.assert_close(parameter, expected, rtol=0, atol=1e-6)


def test_views_are_two_of_each_clip_as_its_stream():
    for name in ("joint", "bone", "motion"):
        method, (batch, ours), (_, theirs) = toy_hysp(name=name), toy_batch(), toy_batch()
        plain = method.maker.two_views(batch, theirs)
        for found, crops in zip(method.views(batch, ours), plain, strict=True):
            assert torch.equal(found, stream(crops, name, KINECT2))


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"objective.curriculum": [0.5, 0.5]}, "objective.curriculum: expected two shares"),
     ({"objective.head_hidden": 0}, "objective.head_hidden: expected at least 1"),
     ({"objective.momentum": 1.5}, "objective.momentum: expected between 0 and 1")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, told):
    assert METHODS["hysp"].settings is HYSPSettings
    with pytest.raises(ConfigError, match=told):
        changed(settings_of_preset("hysp-small"), changes).check()
