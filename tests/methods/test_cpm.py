import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_cpm

from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.methods.cpm import enhanced
from pcm3.methods.protocol import Progress
from pcm3.methods.views import TwoViews
from pcm3.settings.cpm import CPMSettings
from pcm3.settings.methods import METHODS
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed

LATE = Progress(step=9, epoch=9, share=0.9)


def views_of(method, size=4, seed=0):
    return TwoViews(*(view.double() for view in method.views(*toy_batch(size, seed=seed))))


def slow_divergences(query, keys, queue, online, target, positives):
    """KL of what the keys see in the queue from what the queries see, as it is and with positives; means over B."""
    plain, with_positives = [], []
    for z, key in zip(query, keys, strict=True):
        found = np.exp([z @ other / online for other in queue])
        found /= found.sum()
        cosines = np.array([key @ other for other in queue])
        raised = cosines.copy()
        raised[np.argsort(cosines)[len(queue) - positives :]] = 1
        for wanted, told in ((cosines, plain), (raised, with_positives)):
            shares = np.exp(wanted / target) / np.exp(wanted / target).sum()
            told.append((shares * (np.log(shares) - np.log(found))).sum())
    return np.mean(plain), np.mean(with_positives)


@pytest.mark.parametrize(("progress", "both"), [(BEGINNING, False), (LATE, True)])
def test_both_terms_the_loss_and_the_keys_are_those_of_the_slow_reference(progress, both):
    method = toy_cpm(temperature=0.4).double().train()
    views = views_of(method)
    numbers = reference.Numbers(method.branch.state_dict(), 6, "causal", 2, 25)
    query, keys = (
        numbers.project(
            f"{of}projector", numbers.pool(numbers.encode(f"{of}encoder", reference.flat_inputs(view.numpy())))
        )
        for of, view in zip(("", "key_"), views, strict=True)
    )
    plain, raised = slow_divergences(query, keys, numbers.of["queue.keys"], 0.4, 0.2, 3)
    output = method(views, progress, torch.Generator())
    assert output.terms["similarity"].item() == pytest.approx(plain, rel=1e-9)
    assert output.terms["positives"].item() == pytest.approx(raised * both, rel=1e-9)
    assert output.losses["all"].item() == pytest.approx(plain + 0.7 * raised * both, rel=1e-9)
    np.testing.assert_allclose(output.state["keys"].numpy(), keys, rtol=0, atol=1e-12)


def test_the_nearest_count_as_the_clip_itself():
    relations = torch.tensor([[0.3, -0.2, 0.9, 0.5], [0.1, 0.2, 0.0, -1.0]])
    assert enhanced(relations, 2).tolist() == torch.tensor([[0.3, -0.2, 1, 1], [1, 1, 0.0, -1.0]]).tolist()
    assert (enhanced(relations, 9) == 1).all()


def test_views_are_two_of_each_clip_as_its_stream():
    for name in ("joint", "bone", "motion"):
        method, (batch, ours), (_, theirs) = toy_cpm(name=name), toy_batch(), toy_batch()
        plain = method.maker.two_views(batch, theirs)
        for found, crops in zip(method.views(batch, ours), plain, strict=True):
            assert torch.equal(found, stream(crops, name, KINECT2))


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"matching.target_temperature": 0.0}, "matching.target_temperature: expected more than 0"),
     ({"matching.positive_weight": -1.0}, "matching.positive_weight: expected not negative"),
     ({"neighbours.nearest": 0}, "neighbours.nearest: expected at least 1")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, told):
    assert METHODS["cpm"].settings is CPMSettings
    with pytest.raises(ConfigError, match=told):
        changed(settings_of_preset("cpm-small"), changes).check()
