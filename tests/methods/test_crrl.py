import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, toy_batch, toy_crrl

from pcm3.augment.crop import crop_resize
from pcm3.geometry import motion
from pcm3.methods.crrl import PosesAndMotion
from pcm3.settings.optimiser import OptimiserSettings


def views_of(method, size=3):
    """In float64."""
    return PosesAndMotion(*(of.double() for of in method.views(*toy_batch(size))))


def slow_two_layers(weights, name, features):
    inner = np.maximum(features @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"], 0)
    return inner @ weights[f"{name}.2.weight"].T + weights[f"{name}.2.bias"]


def slow_terms(weights, views, direction, told=None):
    """One clip, one frame and one number after the other.

    `told`: what INF is told by CML, if that is not to follow from the weights.
    """
    numbers = reference.Numbers({}, 6, direction, 2, 25)
    numbers.of = weights
    poses, moved = (reference.flat_inputs(of.numpy()) for of in views)
    states, frames = numbers.encode("encoder", poses), poses.shape[1]
    terms = {}
    for name, state, targets in [("forwards", states[:, 0], poses), ("backwards", states[:, -1], poses[:, ::-1])]:
        rebuilt = np.repeat(state[:, None], frames, axis=1)
        for layer in (0, 1):
            rebuilt = numbers._gru("decoder.gru", layer, rebuilt)
        errors = [
            sum((one - other) ** 2)
            for a, b in zip(rebuilt, targets, strict=True)
            for one, other in zip(a, b, strict=True)
        ]
        terms[name] = np.mean(errors)
    known = numbers.encode("learner.encoder", poses).mean(axis=1)
    query = reference.unit(slow_two_layers(weights, "learner.projector", known))
    key = slow_two_layers(weights, "learner.key_projector", numbers.encode("learner.key_encoder", moved).mean(axis=1))
    terms["contrast"] = reference.info_nce(query, reference.unit(key), weights["learner.queue.keys"], 0.1)
    made = slow_two_layers(weights, "fuser", states.mean(axis=1))
    terms["fusion"] = np.mean([sum((a - b) ** 2) for a, b in zip(made, known if told is None else told, strict=True)])
    return terms, reference.unit(key), known


def weighed(terms, fusion_weight=0.7):
    return terms["contrast"] + terms["forwards"] + terms["backwards"] + fusion_weight * terms["fusion"]


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_losses_keys_and_gradients_are_those_of_the_slow_reference(direction):
    method = toy_crrl(frames=5, layers=1, direction=direction, fusion_weight=0.7).double().train()
    views = views_of(method)
    weights = {name: tensor.numpy().copy() for name, tensor in method.state_dict().items()}
    output, (expected, key, known) = method(views, BEGINNING, torch.Generator()), slow_terms(weights, views, direction)
    assert {name: term.item() for name, term in output.terms.items()} == pytest.approx(expected, rel=1e-10)
    assert output.losses["all"].item() == pytest.approx(weighed(expected), rel=1e-10)
    np.testing.assert_allclose(output.state["keys"], key, rtol=0, atol=1e-9)
    output.losses["all"].backward()
    rng = np.random.default_rng(0)
    for name in ("encoder.norm.weight", "learner.encoder.norm.weight", "learner.projector.0.weight", "fuser.0.weight",
                 "decoder.gru.bias_hh_l1"):  # fmt: skip
        way = rng.standard_normal(weights[name].shape)
        ahead, behind = (
            weighed(slow_terms(weights | {name: weights[name] + h * way}, views, direction, known)[0])
            for h in (1e-6, -1e-6)
        )
        along = (method.get_parameter(name).grad.numpy() * way).sum()
        assert along == pytest.approx((ahead - behind) / 2e-6, rel=1e-5), name


def test_the_key_network_learns_nothing_and_all_else_does():
    method = toy_crrl().double().train()
    method(views_of(method), BEGINNING, torch.Generator()).losses["all"].backward()
    reached = {name for name, weight in method.named_parameters() if weight.grad is not None}
    assert reached == {name for name, _ in method.named_parameters() if not name.startswith("learner.key_")}
    (optimiser,) = method.optimisers(OptimiserSettings()).values()
    held = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    assert held == {id(weight) for name, weight in method.named_parameters() if name in reached}


def test_what_is_fused_moves_the_encoder_that_is_told_and_not_the_one_that_tells():
    gradients = {}
    for weight in (0.0, 1.0):
        method = toy_crrl(fusion_weight=weight).double().train()
        method(views_of(method), BEGINNING, torch.Generator()).losses["all"].backward()
        gradients[weight] = {name: of.grad for name, of in method.named_parameters() if of.grad is not None}
    differ = {name for name, grad in gradients[0.0].items() if not torch.equal(grad, gradients[1.0][name])}
    assert differ == {name for name in gradients[1.0] if name.startswith(("encoder.", "fuser."))}


def test_after_a_step_the_key_encoder_follows_and_its_head_stays():
    method = toy_crrl(momentum=0.7).train()
    learner, keys = method.learner, torch.nn.functional.normalize(torch.randn(4, 5), dim=-1)
    for weight in learner.encoder.parameters():
        weight.data.add_(torch.randn_like(weight))
    before, query = ([*of.parameters()] for of in (learner.key_encoder, learner.encoder))
    expected = [0.7 * one.detach() + 0.3 * other.detach() for one, other in zip(before, query, strict=True)]
    head = [weight.clone() for weight in learner.key_projector.parameters()]
    method.after_step({"keys": keys}, BEGINNING)
    torch.testing.assert_close([*learner.key_encoder.parameters()], expected, check_stride=False)
    assert all(torch.equal(*both) for both in zip(head, learner.key_projector.parameters(), strict=True))
    assert torch.equal(learner.queue.keys[:4], keys)


def test_the_key_s_head_is_not_the_query_s():
    learner = toy_crrl().learner
    assert not torch.equal(learner.projector[0].weight, learner.key_projector[0].weight)
    assert all(
        torch.equal(*both) for both in zip(learner.encoder.parameters(), learner.key_encoder.parameters(), strict=True)
    )


def test_views_are_the_whole_clip_and_its_motion():
    batch, generator = toy_batch()
    clips, moved = toy_crrl().views(batch, generator)
    whole = crop_resize(batch.frames, batch.start, batch.length, 16)
    assert torch.equal(clips, whole)
    assert torch.equal(moved, motion(whole))


def test_the_losses_are_in_float32_where_the_networks_are_not():
    method = toy_crrl().train()
    views = method.views(*toy_batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = method(views, BEGINNING, torch.Generator())
    assert {of.dtype for of in (output.losses["all"], output.state["keys"], *output.terms.values())} == {torch.float32}
    output.losses["all"].backward()
