import dataclasses

import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, toy_batch, toy_isc

from pcm3.encoders.files import load_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.methods.protocol import Method
from pcm3.methods.views import TwoViews
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed
from pcm3.skeleton import load_layout
from pcm3.train.pretrain import pretrain

KINDS = ("gru", "agcn")


def views_of(method, size=4, seed=0):
    return method.views(*toy_batch(size, seed=seed))


def embeddings(method, views, direction):
    """Of queries and keys, by kind: the GRU's number by number, the A-GCN's features from its own test's network."""
    gru, graph = method.branch("gru"), method.branch("agcn")
    numbers = reference.Numbers(gru.state_dict(), 6, direction, 2, 25)
    query, key = (reference.flat_inputs(view.numpy()) for view in views)
    found = {
        "gru": (
            numbers.project("projector", numbers.pool(numbers.encode("encoder", query))),
            numbers.project("key_projector", numbers.pool(numbers.encode("key_encoder", key))),
        )
    }
    numbers = reference.Numbers(graph.state_dict(), 4, "bidirectional", 2, 25)
    with torch.no_grad():
        features = graph.encoder.frames(views.query), graph.key_encoder.frames(views.key)
    found["agcn"] = tuple(
        numbers.project(name, of.numpy().mean(axis=1))
        for name, of in zip(("projector", "key_projector"), features, strict=True)
    )
    return found


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_each_encoder_is_compared_with_the_keys_and_the_queue_of_the_other(direction):
    method = toy_isc(direction, temperature=0.3).double().train()
    views = TwoViews(*(view.double() for view in views_of(method)))
    found = embeddings(method, views, direction)
    output = method(views, BEGINNING, torch.Generator())
    expected = {}
    for kind, other in zip(KINDS, reversed(KINDS), strict=True):
        queue = method.branch(other).queue.keys.numpy()
        expected[f"contrast/{kind}"] = reference.info_nce(found[kind][0], found[other][1], queue, 0.3)
        np.testing.assert_allclose(output.state[f"keys/{kind}"].numpy(), found[kind][1], rtol=0, atol=1e-9)
    assert output.terms.keys() == expected.keys()
    for name, value in expected.items():
        assert output.terms[name].item() == pytest.approx(value, rel=1e-9), name
    assert output.losses["all"].item() == pytest.approx(sum(expected.values()), rel=1e-9)


def test_the_gradient_reaches_both_query_networks_and_nothing_else():
    method = toy_isc().train()
    method(views_of(method), BEGINNING, torch.Generator()).losses["all"].backward()
    reached = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, _ in method.named_parameters() if ".key_" not in name}
    (optimiser,) = method.optimisers(OptimiserSettings()).values()
    held = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    assert held == {id(parameter) for name, parameter in method.named_parameters() if name in reached}


@pytest.mark.parametrize("kind", KINDS)
def test_a_term_teaches_the_encoder_of_its_query_alone(kind):
    method = toy_isc().train()
    views = views_of(method)
    query = method.branch(kind).embed_queries(views.query)
    (other,) = set(KINDS) - {kind}
    there = method.branch(other)
    there.contrast(query, there.embed_keys(views.key), there.relations(query)).backward()
    reached = {name.split(".")[1] for name, parameter in method.named_parameters() if parameter.grad is not None}
    assert reached == {kind}


def test_after_a_step_both_key_networks_follow_and_each_queue_has_its_own_keys():
    method = toy_isc(momentum=0.7).train()
    before = {name: tensor.double().clone() for name, tensor in method.state_dict().items()}
    state = method(views_of(method), BEGINNING, torch.Generator()).state
    method.after_step(state, BEGINNING)
    for name, parameter in method.named_parameters():
        if ".key_" in name:
            expected = 0.7 * before[name] + 0.3 * before[name.replace(".key_", ".")]
            torch.testing.assert_close(parameter.double(), expected, rtol=0, atol=1e-6)
    for kind in KINDS:
        assert torch.equal(method.branch(kind).queue.keys[:4], state[f"keys/{kind}"])


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_views_are_two_of_each_clip_as_its_stream(name):
    method = toy_isc(name=name)
    for ours, crops in zip(views_of(method), views_of(toy_isc()), strict=True):
        assert torch.equal(ours, stream(crops, name, method.maker.layout))


@pytest.mark.parametrize(("export", "network"), [("online", "encoder"), ("ema", "key_encoder")])
def test_both_encoders_are_left_and_the_run_s_is_the_first(export, network):
    method = toy_isc(name="bone", export=export)
    assert isinstance(method, Method)
    found = method.encoders()
    assert list(found) == list(KINDS)
    for kind, exported in found.items():
        assert exported.encoder is getattr(method.branch(kind), network)
        assert exported.stream == "bone"
    assert found["gru"].settings is None
    assert found["agcn"].settings.kind == "agcn"


def test_the_second_encoder_lies_in_its_own_folder_as_a_model_of_its_kind(store, tiny, tmp_path):
    changes = {"second.normalise_features": True, "second.pooling": "mean_max", "encoder.normalise_features": True}
    pretrain(store, tmp_path, tiny({"method": "isc"} | changes, steps=2), progress=False)
    first, second = load_encoder(tmp_path)[1], load_encoder(tmp_path / "agcn")[1]
    assert (first.kind, second.kind, second.hidden_size, second.pooling) == ("gru", "agcn", 8, "mean_max")
    assert second.provenance.step == 2
    encoder, _ = load_encoder(tmp_path / "agcn")
    features = encoder.embed(torch.from_numpy(store.clip(0)[None, :16].astype(np.float32)))
    assert features.shape == (1, 32)
    assert encoder.readout.scale != 1


def test_another_encoder_for_the_same_clips_differs_in_what_its_settings_tell_and_in_nothing_else():
    spec = EncoderSpec(load_layout("kinect_v2"), 2, 6, 1, "causal", "last", "bone", 16, fps=25.0, gaps=True)
    settings = EncoderSettings("agcn", 4, 2, "bidirectional", "max", ["bone", "motion"], channels=3)
    other = spec.with_encoder(settings)
    assert {name: getattr(other, name) for name in vars(settings)} == vars(settings) | {
        "input_features": ("bone", "motion")
    }
    assert dataclasses.replace(other, **{name: getattr(spec, name) for name in vars(settings)}) == spec
    one, same = spec.build(3, settings).state_dict(), other.build(3).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in same)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"second.kind": "gru", "second.channels": 0}, "second.kind: expected another kind than encoder.kind"),
     ({"second.hidden_size": 0}, "second.hidden_size: expected at least 1"),
     ({"second.direction": "causal"}, "second.direction: expected bidirectional for kind agcn"),
     ({"second.dropout": 0.5}, "second.dropout: expected 0 for kind agcn, got 0.5"),
     ({"objective.queue": 0}, "objective.queue: expected at least 1")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        changed(settings_of_preset("isc"), changes).check()
