import numpy as np
import pytest
import reference
import torch
from toy import KINECT2, toy_aimclr, toy_batch

from pcm3.augment.extreme import extreme_view
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.methods.protocol import Progress
from pcm3.nn.energy_drop import drop_energetic
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed

BEFORE, LATER = Progress(step=7, epoch=1, share=0.4), Progress(step=8, epoch=1, share=0.5)
TERMS = {"contrast": 1.0, "extreme": 0.5, "dropped": 0.5}


def views_of(method, size=4, seed=0):
    """In float64."""
    return type(method.views(*toy_batch(size)))(*(view.double() for view in method.views(*toy_batch(size, seed=seed))))


def features(method, views):
    """Of the query, the extreme view with and without drop, and the key: (B, D) in NumPy."""
    encoder, threshold = method.branch.encoder, method.settings.alignment.drop_threshold
    with torch.no_grad():
        dropped = drop_energetic(encoder.joint_frames(views.extreme), threshold)
        return (
            encoder.frames(views.query).numpy().mean(axis=1),
            encoder.frames(views.extreme).numpy().mean(axis=1),
            dropped.numpy().mean(axis=(1, 2, 3)),
            method.branch.key_encoder.frames(views.key).numpy().mean(axis=1),
        )


def slowly(weights, found, later, count, temperature):
    """The terms, from the features on, one clip and one key after the other."""
    numbers = reference.Numbers({}, 4, "bidirectional", 2, 25)
    numbers.of = weights
    query, extreme, dropped = (numbers.project("projector", of) for of in found[:3])
    keys, queue = numbers.project("key_projector", found[3]), weights["queue.keys"]
    terms = {name: [] for name in TERMS}
    for clip, key in enumerate(keys):
        seen = [[of[clip] @ key, *(of[clip] @ earlier for earlier in queue)] for of in (query, extreme, dropped)]
        shares = [np.exp(np.array(of) / temperature) / np.exp(np.array(of) / temperature).sum() for of in seen]
        positives = {0}
        if later:
            for of in seen:
                positives |= set(sorted(range(1, len(of)), key=lambda row, of=of: -of[row])[:count])
        terms["contrast"].append(-np.mean([np.log(shares[0][row]) for row in positives]))
        for name, share in zip(("extreme", "dropped"), shares[1:], strict=True):
            terms[name].append(sum(t * (np.log(t) - np.log(s)) for t, s in zip(shares[0], share, strict=True)))
    return {name: np.mean(of) for name, of in terms.items()}


@pytest.mark.parametrize(("progress", "count"), [(BEFORE, 1), (LATER, 1), (LATER, 3)])
def test_terms_and_gradients_are_those_of_the_slow_reference(progress, count):
    method = toy_aimclr(nearest=count).double().train()
    views = views_of(method)
    found = features(method, views)
    weights = {name: tensor.numpy().copy() for name, tensor in method.branch.state_dict().items()}
    expected = slowly(weights, found, progress == LATER, count, 0.3)
    output = method(views, progress, torch.Generator())
    for name, value in expected.items():
        assert output.terms[name].item() == pytest.approx(value, rel=1e-9), name
    loss = sum(TERMS[name] * value for name, value in expected.items())
    assert output.losses["all"].item() == pytest.approx(loss, rel=1e-9)
    output.losses["all"].backward()
    # The normal view is a teacher, to which no gradient goes: in differences its embeddings stay for the two terms.
    name, rng = "projector.layers.2.weight", np.random.default_rng(0)
    way = rng.standard_normal(weights[name].shape)
    teacher = reference.Numbers({}, 4, "bidirectional", 2, 25)
    teacher.of = weights
    query, keys = teacher.project("projector", found[0]), teacher.project("key_projector", found[3])

    def moved(step):
        new = weights | {name: weights[name] + step * way}
        total = slowly(new, found, progress == LATER, count, 0.3)["contrast"]
        numbers = reference.Numbers({}, 4, "bidirectional", 2, 25)
        numbers.of = new
        for of in found[1:3]:
            for clip, z in enumerate(numbers.project("projector", of)):
                bank = np.array([keys[clip], *weights["queue.keys"]])
                target, guess = (reference.relations(x, bank, 0.3) for x in (query[clip], z))
                total += 0.5 * (target * np.log(target / guess)).sum() / len(keys)
        return total

    along = (method.branch.get_parameter(name).grad.numpy() * way).sum()
    assert along == pytest.approx((moved(1e-6) - moved(-1e-6)) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("name", ["joint", "bone"])
def test_three_crops_of_each_clip_of_which_the_last_is_extreme(name):
    method, (batch, generator) = toy_aimclr(name), toy_batch(3)
    found = method.views(batch, generator)
    again, maker = toy_batch(3)[1], method.maker
    crops = maker.distort(maker.crops(batch, 3, again), batch, again)
    extreme = extreme_view(crops[6:], method.settings.extreme, KINECT2, again)
    for view, expected in zip(found, (crops[:3], crops[3:6], extreme), strict=True):
        assert torch.equal(view, stream(expected, name, KINECT2))
    assert not torch.equal(extreme, crops[6:])


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"encoder.kind": "transformer", "encoder.channels": 0, "encoder.dropout": 0.0},
      "encoder.kind: expected stgcn or agcn for the method aimclr"),
     ({"alignment.drop_threshold": 0.5}, "alignment.drop_threshold: expected between 0.68 and 1"),
     ({"extreme.flip_prob": 2.0}, "extreme.flip_prob: expected between 0 and 1"),
     ({"neighbours.nearest": 0}, "neighbours.nearest: expected at least 1")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        changed(settings_of_preset("aimclr"), changes).check()
