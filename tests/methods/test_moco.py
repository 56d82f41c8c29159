import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, FRAMES, KINECT2, toy_batch, toy_moco

from pcm3.augment.crop import crop_resize, random_crops
from pcm3.augment.spatial import spatial_view
from pcm3.geometry import stream
from pcm3.methods.views import TwoViews


def views_of(method, size=4, seed=0):
    return method.views(*toy_batch(size, seed=seed))


def slow_loss(branch, views, direction, temperature):
    """InfoNCE of every query, number by number in float64, and the keys."""
    numbers = reference.Numbers(branch.state_dict(), branch.encoder.hidden_size, direction, 2, 25)
    query, key = (reference.flat_inputs(view.double().numpy()) for view in views)
    z = numbers.project("projector", numbers.pool(numbers.encode("encoder", query)))
    keys = numbers.project("key_projector", numbers.pool(numbers.encode("key_encoder", key)))
    losses = []
    for own, its_key in zip(z, keys, strict=True):
        cosines = np.array([own @ its_key, *(own @ other for other in numbers.of["queue.keys"])]) / temperature
        losses.append(np.log(np.exp(cosines).sum()) - cosines[0])
    return np.mean(losses), keys


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_the_loss_and_the_keys_are_those_of_the_slow_reference(direction, temperature):
    method = toy_moco(direction, temperature=temperature).double().train()
    views = TwoViews(*(view.double() for view in views_of(method)))
    expected, keys = slow_loss(method.branch, views, direction, temperature)
    output = method(views, BEGINNING, torch.Generator())
    assert output.losses["all"].item() == pytest.approx(expected, rel=1e-10)
    assert output.terms["contrast"].item() == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(output.state["keys"].numpy(), keys, rtol=0, atol=1e-12)


def test_after_a_step_the_key_network_follows_and_the_keys_are_in_the_queue():
    method = toy_moco(momentum=0.7).train()
    before = {name: tensor.double().clone() for name, tensor in method.branch.state_dict().items()}
    keys = method(views_of(method), BEGINNING, torch.Generator()).state["keys"]
    method.after_step({"keys": keys}, BEGINNING)
    for name, parameter in method.branch.named_parameters():
        if name.startswith("key_"):
            expected = 0.7 * before[name] + 0.3 * before[name.removeprefix("key_")]
            torch.testing.assert_close(parameter.double(), expected, rtol=0, atol=1e-6)
    assert torch.equal(method.branch.queue.keys[:4], keys)
    assert method.branch.queue.next == 4


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_views_are_two_crops_sheared_or_jittered_and_then_the_stream(name):
    (batch, ours), (_, theirs) = toy_batch(), toy_batch()
    views = toy_moco(name=name).views(batch, ours)
    start, length = random_crops(batch.length.repeat(2), (0.1, 1.0), 8, theirs)
    crops = crop_resize(batch.frames, batch.start.repeat(2) + start, length, FRAMES)
    both = spatial_view(crops, "either", 1.0, 0.6, 0.5, theirs)
    assert torch.equal(torch.cat(views), stream(both, name, KINECT2))
    assert torch.equal(ours.get_state(), theirs.get_state())
