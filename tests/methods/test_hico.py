import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, toy_batch, toy_hico

from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.methods.hico import any_of_several
from pcm3.methods.views import TwoViews
from pcm3.settings.hico import HiCoSettings
from pcm3.settings.methods import METHODS
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed

LEVELS = ("clip", "part", "temporal", "spatial", "instance")


def views_of(method, size=4, seed=0):
    return method.views(*toy_batch(size, seed=seed))


def embeddings(weights, network, clips):
    """Of one clip after the other at each level, from the features of every frame: {level: (B, E) or (B, 4, E)}."""
    with torch.no_grad():
        features = network.encoder.double().eval().frames(clips).numpy().max(axis=1)
    found = {level: [] for level in LEVELS}
    for feature in features:
        temporal, spatial = feature.reshape(2, 4, -1)
        found["clip"].append([projected(weights, "clip", one) for one in temporal])
        found["part"].append([projected(weights, "part", one) for one in spatial])
        found["temporal"].append(projected(weights, "temporal", np.concatenate(temporal)))
        found["spatial"].append(projected(weights, "spatial", np.concatenate(spatial)))
        found["instance"].append(projected(weights, "instance", feature))
    return {level: np.array(values) for level, values in found.items()}


def projected(weights, level, x):
    of = {name: weights[f"projectors.{level}.layers.{name}"] for name in ("0.weight", "0.bias", "2.weight", "2.bias")}
    return reference.unit(of["2.weight"] @ np.maximum(of["0.weight"] @ x + of["0.bias"], 0) + of["2.bias"])


def slow_terms(queries, keys, queues, temperature):
    """Every term, number by number."""
    terms = {}
    for level in ("clip", "part"):
        losses = []
        for query, its_keys in zip(queries[level], keys[level], strict=True):
            own = sum(np.exp(query[0] @ key / temperature) for key in its_keys)
            others = sum(np.exp(query[0] @ key / temperature) for key in queues[level])
            losses.append(-np.log(own / (own + others)))
        terms[level] = np.mean(losses)
    for level, other in (("temporal", "spatial"), ("spatial", "temporal"), ("instance", "instance")):
        terms[level] = reference.info_nce(queries[level], keys[other], queues[other], temperature)
    return terms


def all_of(module):
    return {name: tensor.double().numpy().copy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("fixed_negatives", [False, True])
def test_every_term_and_the_gradients_are_those_of_the_slow_reference(fixed_negatives):
    method = toy_hico(fixed_negatives=fixed_negatives).double().train()
    views = TwoViews(*(view.double() for view in views_of(method)))
    queues = {level: queue.keys.numpy() for level, queue in method.queues.items()}
    assert {level: len(queue) for level, queue in queues.items()} == {
        "clip": 44, "part": 44, "temporal": 11, "spatial": 11, "instance": 11,
    }  # fmt: skip
    keys = embeddings(all_of(method.key_network), method.key_network, views.key)

    def slow():
        queries = embeddings(all_of(method.network), method.network, views.query)
        return slow_terms(queries, keys, queues, 0.3)

    expected = slow()
    output = method.train()(views, BEGINNING, torch.Generator())
    assert list(output.terms) == list(LEVELS)
    for level, value in expected.items():
        assert output.terms[level].item() == pytest.approx(value, rel=1e-10), level
        np.testing.assert_allclose(output.state[level].numpy(), keys[level], rtol=0, atol=1e-12)
    assert output.losses["all"].item() == pytest.approx(sum(expected.values()), rel=1e-10)
    output.losses["all"].backward()
    rng = np.random.default_rng(0)
    for name in ("projectors.clip.layers.0.weight", "encoder.layers.0.spatial.embed.0.weight",
                 "encoder.layers.0.temporal.coarsen.mix.weight"):  # fmt: skip
        weight = method.network.get_parameter(name)
        way, told = torch.from_numpy(rng.standard_normal(weight.shape)), []
        for h in (1e-6, -2e-6):
            with torch.no_grad():
                weight += h * way
            told.append(sum(slow().values()))
        ahead, behind = told
        assert (weight.grad * way).sum().item() == pytest.approx((ahead - behind) / 2e-6, rel=1e-5), name


def test_of_several_keys_any_will_do():
    positive, negative = torch.tensor([[50.0, -3.0]]), torch.tensor([[0.0, 0.0, 0.0]])
    assert any_of_several(positive, negative, 1.0) < 1e-20
    same = any_of_several(torch.zeros(1, 2), torch.zeros(1, 3), 0.2)
    torch.testing.assert_close(same, torch.tensor(5 / 2).log())


@pytest.mark.parametrize(("fixed_negatives", "places"), [(False, 44), (True, 11)])
def test_after_a_step_the_key_network_follows_and_all_queues_take_the_keys(fixed_negatives, places):
    method = toy_hico(momentum=0.7, fixed_negatives=fixed_negatives).train()
    before = {name: tensor.double().clone() for name, tensor in method.state_dict().items()}
    state = method(views_of(method), BEGINNING, torch.Generator()).state
    method.after_step(state, BEGINNING)
    for name, parameter in method.named_parameters():
        if name.startswith("key_"):
            expected = 0.7 * before[name] + 0.3 * before[name.removeprefix("key_")]
            torch.testing.assert_close(parameter.double(), expected, rtol=0, atol=1e-6)
    for level, queue in method.queues.items():
        assert queue.next == len(state[level].flatten(0, -2)) % (places if level in ("clip", "part") else 11)
    last = state["clip"].flatten(0, 1)[-min(16, places) :]
    assert all((key == method.queues["clip"].keys).all(dim=1).any() for key in last)
    assert torch.equal(method.queues["clip"].keys[places:].double(), before["queues.clip.keys"][places:])


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_views_are_two_of_each_clip_as_its_stream(name):
    method, layout = toy_hico(name=name), toy_hico().maker.layout
    both, plain = views_of(method), views_of(toy_hico())
    for ours, crops in zip(both, plain, strict=True):
        assert torch.equal(ours, stream(crops, name, layout))


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"encoder.kind": "transformer"}, "encoder.kind: expected hico for the method hico"),
     ({"encoder.pooling": "mean_max"}, "encoder.pooling: expected max for the method hico"),
     ({"encoder.dropout": 1.0}, "encoder.dropout"), ({"objective.queue": 0}, "objective.queue: expected at least 1")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, told):
    assert METHODS["hico"].settings is HiCoSettings
    with pytest.raises(ConfigError, match=told):
        changed(settings_of_preset("hico"), changes).check()
