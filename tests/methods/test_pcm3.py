import functools
import itertools

import numpy as np
import pytest
import reference
import torch
import torch.nn.functional as F
from toy import BEGINNING, KINECT1, KINECT2, step, toy_encoder, toy_method, toy_views

from pcm3.augment.mix import Mixed
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.flatten import flatten, unflatten
from pcm3.methods.pcm3 import POSITIVES
from pcm3.nn.lines import straight_lines
from pcm3.skeleton import load_layout

NOTHING = {"contrast_weight": 0.0, "distillation_weight": 0.0, "prediction_weight": 0.0}
COMMON = {"encoder", "projector", "contrast task prompt"}
REACHED = [
    ("intra", {}, COMMON | {"intra prompt"}),
    ("inter", {}, COMMON | {"inter prompt"}),
    ("mask", {}, COMMON | {"mask prompt"}),
    ("predict", {}, COMMON | {"predict prompt", "decoder"}),
    ("predict", {"predicted_view": "whole"}, COMMON | {"predict prompt", "decoder"}),
    ("predict", {"decoder_gradient": False}, COMMON | {"predict prompt"}),
]


def parts_of(method):
    """The parts of the method that a gradient may reach, by name."""
    parts = {
        "encoder": method.encoder,
        "projector": method.projector,
        "decoder": method.decoder,
        "key encoder": method.key_encoder,
        "key projector": method.key_projector,
        "queue": method.queue,
    }
    parts |= {f"{view} prompt": prompt for view, prompt in method.domain_prompts.items()}
    return parts | {f"{task} task prompt": prompt for task, prompt in method.task_prompts.items()}


def gradients(method, views, seed=0):
    """Loss and gradient of every parameter by name, None where none came."""
    method.zero_grad()
    step(method, views, seed).losses["all"].backward()
    return {name: parameter.grad for name, parameter in method.named_parameters()}


def reached(method, views):
    """The parts that got a gradient.

    BatchNorm with the statistics of the view takes out whatever is constant over it, prompts among them, so that
    their gradient is 0 but for rounding; with fixed statistics the way of the gradient shows.
    """
    method.encoder.norm.eval()
    method.decoder.norm.eval()
    gradients(method, views)
    return {
        name
        for name, part in parts_of(method).items()
        if any(parameter.grad is not None and parameter.grad.abs().max() > 1e-7 for parameter in part.parameters())
    }


def untouched(method):
    """Everything that may change in a forward pass, copied."""
    return {name: tensor.clone() for name, tensor in method.state_dict().items()}


def changed(method, before):
    """Names of the tensors that are not what they were."""
    return {name for name, tensor in method.state_dict().items() if not torch.equal(tensor, before[name])}


# What a step computes.


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize(
    ("error", "predicted_view", "place"),
    [("squared", "filled", "before_norm"), ("distance", "whole", "before_norm"), ("squared", "filled", "after_norm")],
)
@pytest.mark.parametrize(
    ("bodies", "layout"),
    [(2, KINECT2), pytest.param(1, KINECT1, marks=pytest.mark.soak)],
    ids=["two bodies", "20 joints"],
)
def test_every_term_and_the_keys_are_those_of_the_slow_reference(
    direction, error, predicted_view, place, bodies, layout
):
    encoder = toy_encoder(bodies, len(layout.joints), direction=direction)
    method = toy_method(
        encoder, prediction_error=error, predicted_view=predicted_view, domain_place=place, momentum=0.9
    )
    with torch.no_grad():  # the key network has lagged behind
        for parameter in (*method.key_encoder.parameters(), *method.key_projector.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
    numbers = reference.Numbers(method.state_dict(), encoder.hidden_size, direction, bodies, len(layout.joints))
    for seed in (1, 3):
        views = toy_views(3, bodies, layout, seed=seed)
        expected, keys = numbers.terms(views, 0.9, (0.07, 0.1, 0.05), error, predicted_view, place)
        ours = step(method, views)
        method.after_step(ours.state, BEGINNING)
        numbers.of["queue.keys"] = method.queue.keys.double().numpy()
        assert ours.terms.keys() == expected.keys()
        for name, value in expected.items():
            assert ours.terms[name].item() == pytest.approx(value, rel=2e-5, abs=2e-5), name
        np.testing.assert_allclose(ours.state["keys"], keys, rtol=0, atol=1e-5)


def test_the_loss_is_the_weighted_sum_of_the_terms():
    views = toy_views()
    for *weights, masked in ((1.0, 1.0, 40.0, 1.0), (0.5, 2.0, 3.0, 0.2)):
        losses = ("contrast", "distillation", "prediction")
        of = dict(zip(losses, weights, strict=True))
        method = toy_method(masked_weight=masked, **{f"{loss}_weight": weight for loss, weight in of.items()})
        ours = step(method, views)
        of_view = {"mask": masked, "predict": masked}
        expected = sum(
            of[name.partition("/")[0]] * of_view.get(name.partition("/")[2], 1.0) * term.item()
            for name, term in ours.terms.items()
        )
        assert ours.losses["all"].item() == pytest.approx(expected, rel=1e-6)


def test_a_full_step_has_nine_terms():
    terms = step(toy_method(), toy_views()).terms
    pairs = [f"{kind}/{view}" for kind in ("contrast", "distillation") for view in POSITIVES]
    assert sorted(terms) == sorted([*pairs, "prediction"])
    assert not any(term.requires_grad for term in terms.values())


@functools.cache
def whole_terms():
    """Views of three clips, and the terms of a full step on them."""
    views = toy_views(3)
    return views, step(toy_method(), views).terms


@pytest.mark.parametrize(
    ("distillation", "prediction"),
    [(0.0, 40.0), (1.0, 0.0), *(pytest.param(*both, marks=pytest.mark.soak) for both in ((0.0, 0.0), (1.0, 40.0)))],
)
@pytest.mark.parametrize(
    "positives", [subset for n in range(5) for subset in itertools.combinations(POSITIVES, n)], ids="+".join
)
def test_an_ablation_drops_exactly_its_terms(positives, distillation, prediction):
    if not positives and not prediction:
        return
    views, whole = whole_terms()
    method = toy_method(positives=positives, distillation_weight=distillation, prediction_weight=prediction)
    terms = step(method, views).terms
    kinds = ["contrast"] + ["distillation"] * bool(distillation)
    expected = {f"{kind}/{view}" for kind in kinds for view in positives} | ({"prediction"} if prediction else set())
    assert set(terms) == expected
    for name, term in terms.items():
        torch.testing.assert_close(term, whole[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("prompts", "domain_place", "place"),
    [
        ("none", "before_norm", "window"),
        ("domain", "before_norm", "window"),
        ("domain", "after_norm", "window"),
        ("both", "before_norm", "window"),
        ("both", "before_norm", "channels"),
        ("both", "after_norm", "channels"),
    ],
)
@pytest.mark.parametrize(
    ("predicted_view", "decoder_gradient"),
    [
        ("filled", True),
        *(
            pytest.param(*both, marks=pytest.mark.soak)
            for both in (("filled", False), ("whole", True), ("whole", False))
        ),
    ],
)
def test_every_switch_trains(prompts, domain_place, place, predicted_view, decoder_gradient):
    method = toy_method(
        prompts=prompts,
        domain_place=domain_place,
        prompt_place=place,
        prompt_width=3,
        predicted_view=predicted_view,
        decoder_gradient=decoder_gradient,
    )
    views = toy_views(6, 2, seed=1)
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.01)
    losses = []
    for seed in range(6):
        optimiser.zero_grad()
        ours = step(method, views, seed)
        ours.losses["all"].backward()
        optimiser.step()
        losses.append(ours.losses["all"].item())
    assert all(parameter.isfinite().all() for parameter in method.parameters())
    assert losses[-1] < losses[0]
    expected = {"none": (0, 0), "domain": (4, 0), "both": (4, 2)}[prompts]
    assert (len(list(method.domain_prompts.parameters())), len(method.task_prompts)) == expected


@pytest.mark.parametrize(("bodies", "layout"), [(1, "kinect_v2"), (2, "kinect_v2"), (1, "kinect_v1"), (2, "kinect_v1")])
def test_any_skeleton_and_number_of_bodies_trains(bodies, layout):
    skeleton = load_layout(layout)
    method = toy_method(toy_encoder(bodies, len(skeleton.joints)))
    ours = step(method, toy_views(4, bodies, skeleton))
    ours.losses["all"].backward()
    assert ours.losses["all"].isfinite()
    assert ours.state["keys"].shape == (4, 5)


def test_the_second_body_matters():
    views = toy_views()
    kept = step(toy_method(), views).losses["all"]
    for view in ("query", "key", "observed"):
        other = getattr(views, view).clone()
        other[:, :, 1] = other[:, :, 1].flip(1)
        assert step(toy_method(), views._replace(**{view: other})).losses["all"] != kept


def test_the_same_generator_gives_the_same_bits():
    views = toy_views(seed=4)
    first, again, other = (step(toy_method(prompt_width=2), views, seed) for seed in (5, 5, 6))
    assert torch.equal(first.losses["all"], again.losses["all"])
    assert torch.equal(first.state["keys"], again.state["keys"])
    assert not torch.equal(first.losses["all"], other.losses["all"])


def test_one_encoder_pass_over_the_views_equals_a_pass_for_each():
    views, method = toy_views(), toy_method()
    inputs = {
        "intra": flatten(views.query),
        "inter": flatten(views.mixed.clips),
        "mask": flatten(views.source.masked_fill(views.masked.unsqueeze(-1), 0)),
    }
    together = method.encode(*inputs.items())
    for view, flat in inputs.items():
        torch.testing.assert_close(together[view], method.encode((view, flat))[view], rtol=0, atol=1e-6)


# What the encoder is shown.


def watched(method, views):
    """One step, with what went into each domain prompt (in order of the calls) and what the decoder made of it."""
    seen = {view: [] for view in POSITIVES} | {"decoded": []}
    hooks = [
        prompt.register_forward_pre_hook(lambda _, args, view=view: seen[view].append(args[0].detach()))
        for view, prompt in method.domain_prompts.items()
    ]
    hooks.append(method.decoder.register_forward_hook(lambda _, args, out: seen["decoded"].extend(out)))
    step(method, views)
    for hook in hooks:
        hook.remove()
    bodies, joints = method.encoder.bodies, method.encoder.joints
    return {name: [unflatten(flat.detach(), bodies, joints) for flat in flats] for name, flats in seen.items()}


def test_each_view_gets_its_own_prompt_and_keys_that_of_intra():
    views = toy_views()
    seen = watched(toy_method(), views)
    assert torch.equal(seen["intra"][0], views.query)
    assert torch.equal(seen["intra"][1], views.key)
    assert torch.equal(seen["inter"][0], views.mixed.clips)
    assert [len(seen[view]) for view in POSITIVES] == [2, 1, 1, 1]


def test_hidden_joints_are_zero_before_the_prompt():
    views = toy_views(settings={"mask.bodies": "all"})
    (masked,) = watched(toy_method(), views)["mask"]
    assert (masked[views.masked] == 0).all()
    assert torch.equal(masked[~views.masked], views.source[~views.masked])


@pytest.mark.parametrize("decoder_gradient", [True, False])
@pytest.mark.parametrize("bodies", ["first", "all"])
def test_a_filled_view_is_predicted_where_hidden_and_true_elsewhere(bodies, decoder_gradient):
    views = toy_views(settings={"mask.bodies": bodies})
    seen = watched(toy_method(predicted_view="filled", decoder_gradient=decoder_gradient), views)
    (view,), decoded = seen["predict"], seen["decoded"]
    assert len(decoded) == 1 + decoder_gradient
    assert torch.equal(view[~views.masked], views.source[~views.masked])
    torch.testing.assert_close(view[views.masked], decoded[0][views.masked], rtol=0, atol=1e-6)
    if bodies == "first":
        assert torch.equal(view[:, :, 1], views.source[:, :, 1])


@pytest.mark.parametrize("predicted_view", ["filled", "whole"])
def test_before_anything_is_learned_the_lines_between_visible_frames_are_predicted(predicted_view):
    views = toy_views(settings={"mask.bodies": "all", "mask.per_clip": True})
    method = toy_method(prediction_base="line", predicted_view=predicted_view)
    lines = straight_lines(views.source, views.masked)
    seen = watched(method, views)
    torch.testing.assert_close(seen["predict"][0], lines, rtol=0, atol=1e-6)
    squared = (lines - views.source)[views.masked].square().mean()
    ours = step(method, views)
    assert ours.terms["prediction"].item() == pytest.approx(squared.item(), rel=1e-4)
    ours.losses["all"].backward()
    assert method.decoder.leave.weight.grad.any(), "and it can learn"


def test_a_whole_view_is_what_the_decoder_made():
    seen = watched(toy_method(predicted_view="whole"), toy_views())
    torch.testing.assert_close(seen["predict"][0], seen["decoded"][0], rtol=0, atol=1e-6)


def test_task_prompts_are_placed_anew_for_each_view():
    method = toy_method(toy_encoder(hidden_size=64), prompt_width=4)
    places = []
    for task, prompt in method.task_prompts.items():
        prompt.register_forward_hook(
            lambda _, args, out, task=task: places.append(
                (task, tuple((out - args[0]).detach().reshape(-1, 128)[0].nonzero().flatten().tolist()))
            )
        )
    step(method, toy_views())
    assert sorted(task for task, _ in places) == ["contrast"] * 5 + ["prediction"]
    assert len({place for _, place in places}) >= 5
    assert all(len(place) == 8 for _, place in places)


# Where gradients go.


@pytest.mark.parametrize("place", ["before_norm", pytest.param("after_norm", marks=pytest.mark.soak)])
@pytest.mark.parametrize("kind", ["contrast", "distillation"])
@pytest.mark.parametrize(("view", "settings", "expected"), REACHED)
def test_a_pair_reaches_exactly_its_own_parts(kind, view, settings, expected, place):
    weights = NOTHING | {f"{kind}_weight": 1.0}
    assert reached(toy_method(positives=(view,), domain_place=place, **weights, **settings), toy_views()) == expected


@pytest.mark.parametrize("error", ["squared", "distance"])
def test_prediction_reaches_encoder_decoder_and_its_prompts_only(error):
    weights = NOTHING | {"prediction_weight": 40.0}
    method = toy_method(**weights, prediction_error=error)
    assert reached(method, toy_views()) == {"encoder", "decoder", "mask prompt", "prediction task prompt"}
    alone = toy_method(**weights, prediction_error=error, positives=())
    assert reached(alone, toy_views()) == {"encoder", "decoder", "mask prompt", "prediction task prompt"}


def test_all_terms_together_reach_everything_but_keys_and_queue():
    method = toy_method()
    everything = set(parts_of(method)) - {"key encoder", "key projector", "queue"}
    assert reached(method, toy_views()) == everything
    assert not any(p.requires_grad for p in (*method.key_encoder.parameters(), *method.key_projector.parameters()))
    assert not method.queue.keys.requires_grad
    assert not step(method, toy_views()).state["keys"].requires_grad


def test_every_parameter_outside_the_key_network_learns():
    method = toy_method()
    gradients(method, toy_views())
    for name, parameter in method.named_parameters():
        assert (parameter.grad is None) == name.startswith("key_"), name


@pytest.mark.parametrize("taken", [*POSITIVES, "prediction"])
def test_gradients_of_the_terms_add_up(taken):
    views = toy_views()
    if taken == "prediction":
        without, alone = {"prediction_weight": 0.0}, NOTHING | {"prediction_weight": 40.0}
    else:
        without = {"positives": tuple(view for view in POSITIVES if view != taken)}
        alone = {"positives": (taken,), "prediction_weight": 0.0}
    whole = gradients(toy_method(), views)
    rest, own = gradients(toy_method(**without), views), gradients(toy_method(**alone), views)
    for name, gradient in whole.items():
        if gradient is not None:
            parts = [part[name] for part in (rest, own) if part[name] is not None]
            torch.testing.assert_close(gradient, sum(parts), rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.parametrize("predicted_view", ["filled", "whole"])
def test_to_the_contrast_of_the_predicted_view_the_masked_encoding_is_a_constant(predicted_view):
    views = toy_views()
    settings = NOTHING | {"contrast_weight": 1.0, "positives": ("predict",), "predicted_view": predicted_view}
    ours = gradients(toy_method(**settings), views)

    method = toy_method(**settings)
    method.zero_grad()
    masked = flatten(views.source.masked_fill(views.masked.unsqueeze(-1), 0))
    with torch.no_grad():
        constant = method.encoder.encode_views(method.domain_prompts["mask"](masked))[0]
        constant = constant + method.task_prompts["prediction"].vector
    flat = method.decoder(constant)[0]
    if predicted_view == "filled":
        masked_flat = flatten(views.masked.unsqueeze(-1).expand_as(views.source))
        flat = torch.where(masked_flat, flat, flatten(views.source))
    feature = method.encoder.pool(method.encoder.encode_views(method.domain_prompts["predict"](flat))[0])
    query = method.projector(feature + method.task_prompts["contrast"].vector)
    keys = step(toy_method(**settings), views).state["keys"]
    logits = torch.cat([(query * keys).sum(1, keepdim=True), query @ method.queue.keys.T], dim=1) / 0.07
    F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64)).backward()
    for name, parameter in method.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-4, atol=1e-6, msg=name)
        else:
            assert ours[name] is None or not ours[name].any(), name
    assert ours["encoder.layers.0.halves.0.weight_ih_l0"].abs().max() > 1e-4
    assert ours["decoder.leave.weight"].abs().max() > 1e-5


def test_without_decoder_gradient_the_other_gradients_stay():
    views = toy_views()
    settings = NOTHING | {"contrast_weight": 1.0, "positives": ("predict",)}
    with_it = gradients(toy_method(**settings), views)
    without = gradients(toy_method(**settings, decoder_gradient=False), views)
    for name, gradient in without.items():
        if name.startswith("decoder."):
            assert gradient is None
        elif gradient is not None:
            torch.testing.assert_close(gradient, with_it[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "settings", "matters"),
    [
        ("domain_prompts", {}, False),
        ("domain_prompts", {"domain_place": "after_norm"}, True),
        ("task_prompts.prediction", {}, False),
        ("task_prompts.contrast", {}, True),
        ("task_prompts.contrast", {"projector_norm": True}, False),
    ],
)
def test_a_batch_norm_takes_prompts_before_it_out_again(name, settings, matters):
    # What is constant over all frames of a view is subtracted with the mean. So as released the domain prompts act
    # through the running statistics only; so does the prediction's task prompt, through the decoder's, and the
    # contrast's, too, where the projector has a norm.
    views = toy_views()
    plain = step(toy_method(**settings), views).losses["all"].item()
    method = toy_method(**settings)
    with torch.no_grad():
        for parameter in method.get_submodule(name).parameters():
            parameter.add_(torch.linspace(-1, 1, len(parameter)))
    assert (step(method, views).losses["all"].item() == pytest.approx(plain, rel=1e-5)) != matters


@pytest.mark.parametrize(("place", "moves"), [("before_norm", True), ("after_norm", False)])
def test_domain_prompts_after_the_norm_leave_the_running_statistics_alone(place, moves):
    views = toy_views()
    means = []
    for prompts in ("domain", "none"):
        method = toy_method(prompts=prompts, domain_place=place, positives=("intra",), prediction_weight=0.0)
        step(method, views)
        means.append(method.encoder.norm.running_mean)
    assert (means[0] - means[1]).abs().max() > 1e-3 or not moves
    assert torch.equal(*means) != moves


# Keys, momentum, evaluation.


def test_the_key_network_moves_by_momentum_only_after_the_optimiser():
    method, views = toy_method(momentum=0.7), toy_views()
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.1)
    for seed in range(3):
        before = {name: tensor.double().clone() for name, tensor in method.state_dict().items()}
        optimiser.zero_grad()
        output = step(method, views, seed)
        output.losses["all"].backward()
        optimiser.step()
        keys = [name for name, _ in method.named_parameters() if name.startswith("key_")]
        assert all(torch.equal(method.get_parameter(name).double(), before[name]) for name in keys)
        now = {name: tensor.double().clone() for name, tensor in method.state_dict().items()}
        method.after_step(output.state, BEGINNING)
        for name in keys:
            expected = 0.7 * before[name] + 0.3 * now[name.removeprefix("key_")]
            torch.testing.assert_close(method.get_parameter(name).double(), expected, rtol=0, atol=1e-6)
        assert all(torch.equal(method.state_dict()[name].double(), now[name]) for name in now if name[:3] == "enc")


def test_keys_are_those_of_the_query_network_that_the_optimiser_left():
    # With momentum 0 the key network is the query network of the step before.
    method, views = toy_method(momentum=0.0), toy_views()
    with torch.no_grad():
        for parameter in (*method.key_encoder.parameters(), *method.key_projector.parameters()):
            parameter.zero_()
    method.after_step(step(method, views).state, BEGINNING)
    keys = step(method, views).state["keys"]
    feature = method.encoder.pool(method.encode(("intra", flatten(views.key)))["intra"])
    expected = method.projector(feature + method.task_prompts["contrast"].vector)
    torch.testing.assert_close(keys, expected, rtol=0, atol=1e-6)


def test_after_a_step_the_keys_of_the_whole_batch_are_in_the_queue():
    method, views = toy_method(queue=11), toy_views()
    keys = [step(method, views, seed).state["keys"] for seed in (0, 1)]
    before = method.queue.keys.clone()
    method.after_step({"keys": torch.cat(keys)}, BEGINNING)
    assert torch.equal(method.queue.keys[:8], torch.cat(keys))
    assert torch.equal(method.queue.keys[8:], before[8:])


def test_keys_have_unit_length_and_a_step_does_not_push_them():
    method = toy_method()
    before = method.queue.keys.clone()
    keys = step(method, toy_views()).state["keys"]
    torch.testing.assert_close(keys.norm(dim=1), torch.ones(4))
    assert torch.equal(method.queue.keys, before)


def test_the_keys_of_this_step_may_be_pushed_before_the_backward_pass():
    method, views = toy_method(), toy_views()
    expected = gradients(method, views)
    again = toy_method()
    ours = step(again, views)
    again.queue.push(ours.state["keys"])
    ours.losses["all"].backward()
    for name, parameter in again.named_parameters():
        assert parameter.grad is None or torch.equal(parameter.grad, expected[name])


def test_statistics_of_the_key_network_are_its_own():
    method = toy_method()
    before = untouched(method)
    step(method, toy_views())
    assert changed(method, before) >= {"encoder.norm.running_mean", "key_encoder.norm.running_mean"}
    assert method.encoder.norm.num_batches_tracked == 4
    assert method.key_encoder.norm.num_batches_tracked == 1
    assert not torch.equal(method.encoder.norm.running_mean, method.key_encoder.norm.running_mean)


def test_a_forward_pass_changes_statistics_only():
    method = toy_method(momentum=0.5)
    with torch.no_grad():
        for parameter in method.key_encoder.parameters():
            parameter.add_(1)
    before = untouched(method)
    step(method, toy_views())
    norms = ("encoder.norm.", "key_encoder.norm.", "decoder.norm.")
    for name in changed(method, before):
        assert name.startswith(norms), name
        assert "running_" in name or "num_batches" in name, name


def test_evaluation_changes_nothing():
    method = toy_method(momentum=0.5).eval()
    with torch.no_grad():
        for parameter in method.key_encoder.parameters():
            parameter.add_(1)
    before = untouched(method)
    first, again = step(method, toy_views()), step(method, toy_views())
    assert not changed(method, before)
    assert torch.equal(first.losses["all"], again.losses["all"])


def test_networks_may_run_in_bfloat16_and_losses_stay_float32():
    method, views = toy_method(), toy_views()
    plain = step(toy_method(), views).losses["all"].item()
    with torch.autocast("cpu", torch.bfloat16):
        ours = step(method, views)
    assert ours.losses["all"].dtype == ours.state["keys"].dtype == torch.float32
    assert {term.dtype for term in ours.terms.values()} == {torch.float32}
    assert ours.losses["all"].item() == pytest.approx(plain, rel=0.05)
    ours.losses["all"].backward()
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


# Negatives from the batch.


def slow_batch_terms(queries, keys, partner, ratio):
    """Contrast and distillation of each view against the other clips' keys, one query at a time, NumPy float64.

    A query is told apart from all keys but its own clip's; the mixed one from all but those of its two clips.
    """
    terms = {}
    for view, query in queries.items():
        contrast, distilled = [], []
        for number, z in enumerate(query):
            positive, own = keys[number], {number}
            if view == "inter":
                positive = (1 - ratio[number]) * keys[number] + ratio[number] * keys[partner[number]]
                positive, own = positive / np.linalg.norm(positive), {number, partner[number]}
            others = np.array([key for other, key in enumerate(keys) if other not in own])
            contrast.append(reference.info_nce(z[None], positive[None], others, 0.07))
            distilled.append(reference.distillation(z[None], positive[None], others, 0.1, 0.05))
        terms |= {f"contrast/{view}": np.mean(contrast), f"distillation/{view}": np.mean(distilled)}
    return terms


def unit_vectors(*shape, seed):
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(drawn, dim=-1)


def mixed_by(partner, ratio):
    """Mixed clips of which only who was mixed with whom, and how much, is told."""
    return Mixed(torch.zeros(len(partner), 1, 1, 1, 3), partner, ratio)


@pytest.mark.parametrize("shift", [1, 2, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_contrast_and_distillation_in_the_batch_are_those_of_the_slow_reference_with_their_gradient(seed, shift):
    method, size = toy_method(negatives="batch"), 5
    partner = torch.arange(size).roll(shift)
    ratio = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    keys = unit_vectors(size, 5, seed=seed)
    queries = {view: unit_vectors(size, 5, seed=10 + seed + number) for number, view in enumerate(POSITIVES)}
    leaves = {view: query.clone().requires_grad_() for view, query in queries.items()}
    ours = method.contrast(leaves, keys, mixed_by(partner, ratio))

    def slowly(changed):
        return slow_batch_terms(
            {view: query.numpy() for view, query in changed.items()}, keys.numpy(), partner.tolist(),
            ratio.double().numpy(),
        )  # fmt: skip

    expected = slowly(queries)
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        assert ours[name].item() == pytest.approx(value, rel=1e-6, abs=1e-9), name
    sum(ours.values()).backward()
    nudge = 1e-5
    for view, query in queries.items():
        for place in [(0, 0), (2, 3), (4, 1)]:
            moved = []
            for way in (nudge, -nudge):
                one = query.clone()
                one[place] += way
                moved.append(sum(slowly(queries | {view: one}).values()))
            slope = (moved[0] - moved[1]) / (2 * nudge)
            assert leaves[view].grad[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-6), view


def test_a_clip_is_never_a_negative_of_itself():
    # Alone in the world with copies of other clips, a query that is its key loses to nobody but them.
    method, keys = toy_method(negatives="batch"), torch.eye(5, dtype=torch.float64)[:4]
    partner = torch.tensor([1, 2, 3, 0])
    terms = method.contrast({"intra": keys, "inter": keys}, keys, mixed_by(partner, torch.zeros(4)))
    told_apart = [torch.log1p(count * torch.tensor(-1 / 0.07, dtype=torch.float64).exp()) for count in (3, 2)]
    assert terms["contrast/intra"].item() == pytest.approx(told_apart[0].item(), rel=1e-6)
    assert terms["contrast/inter"].item() == pytest.approx(told_apart[1].item(), rel=1e-6)
    # Relations of a query to the others are those of its key: nothing to distil.
    assert terms["distillation/intra"].item() == pytest.approx(0, abs=1e-9)


def test_with_negatives_of_the_batch_the_queue_has_no_say():
    views = toy_views(5)
    first, other = toy_method(negatives="batch"), toy_method(negatives="batch")
    other.queue.keys.copy_(unit_vectors(11, 5, seed=1))
    assert torch.equal(step(first, views).losses["all"], step(other, views).losses["all"])
    assert step(toy_method(), views).losses["all"] != step(toy_method(negatives="batch"), views).losses["all"]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_batch_too_small_for_a_negative_costs_nothing_and_stays_finite(size):
    method = toy_method(negatives="batch", prediction_weight=0.0)
    ours = step(method, toy_views(size))
    ours.losses["all"].backward()
    assert ours.losses["all"].isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())
    if size == 2:  # the two of a mixed query are all that there are
        assert ours.terms["contrast/inter"] == 0
        assert ours.terms["distillation/inter"] == 0


def test_keys_of_the_batch_get_no_gradient():
    method = toy_method(negatives="batch")
    everything = set(parts_of(method)) - {"key encoder", "key projector", "queue"}
    assert reached(method, toy_views()) == everything
    assert step(method, toy_views()).state == {}, "no key is kept for the next step"


# Other networks, more to see, other features of a clip.


def chosen_encoder(kind="gru", pooling="last", features=("joint",), direction="bidirectional", hidden=6):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Encoder(
            2, 25, hidden_size=hidden, layers=1, direction=direction, pooling=pooling, kind=kind,
            input_features=features, parents=KINECT2.parents,
        )  # fmt: skip


@pytest.mark.parametrize("place", ["before_norm", "after_norm"])
@pytest.mark.parametrize("prompt_place", ["window", "channels"])
@pytest.mark.parametrize("features", [("motion",), ("bone", "joint"), ("joint", "bone", "motion")], ids="+".join)
def test_prompts_are_as_wide_as_what_they_are_added_to(features, prompt_place, place):
    encoder = chosen_encoder(pooling="mean_max", features=features)
    method = toy_method(encoder, domain_place=place, prompt_place=prompt_place)
    assert {prompt.vector.shape for prompt in method.domain_prompts.values()} == {(150 * len(features),)}
    widths = {task: prompt.features for task, prompt in method.task_prompts.items()}
    assert widths == {"contrast": 24, "prediction": 12}
    everything = set(parts_of(method)) - {"key encoder", "key projector", "queue"}
    assert reached(method, toy_views()) == everything


@pytest.mark.parametrize("features", [("joint",), ("motion",), ("joint", "bone", "motion")], ids="+".join)
def test_what_is_predicted_is_the_clip_whatever_is_fed_to_the_encoder(features):
    views, method = toy_views(settings={"mask.bodies": "all"}), toy_method(chosen_encoder(features=features))
    seen, decoded = [], []
    method.domain_prompts["mask"].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    method.domain_prompts["predict"].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    method.decoder.register_forward_hook(lambda _, args, out: decoded.append(out[1]))
    step(method, views)
    assert torch.equal(seen[0], method.encoder.build_inputs(views.source, views.masked))
    predicted = unflatten(decoded[0], 2, 25)
    filled = torch.where(views.masked.unsqueeze(-1), predicted, views.source)
    assert torch.equal(seen[1], method.encoder.build_inputs(filled))


@pytest.mark.parametrize(
    "kind", ["transformer", "stgcn", *(pytest.param(k, marks=pytest.mark.soak) for k in ("graph", "agcn"))]
)
def test_the_gradients_of_the_terms_add_up_in_every_kind(kind):
    # A BatchNorm over several views at once would make the terms depend on which others there are.
    views = toy_views()
    whole = gradients(toy_method(chosen_encoder(kind)), views)
    without, alone = {"positives": ("intra", "mask")}, {"positives": ("inter", "predict"), "prediction_weight": 0.0}
    rest, own = (gradients(toy_method(chosen_encoder(kind), **part), views) for part in (without, alone))
    for name, gradient in whole.items():
        if gradient is not None:
            parts = [part[name] for part in (rest, own) if part[name] is not None]
            torch.testing.assert_close(gradient, sum(parts), rtol=1e-3, atol=5e-5, msg=name)


@pytest.mark.parametrize("kind", ["gru", "transformer", "graph", "stgcn"])
def test_a_feature_that_will_be_normalised_trains_as_one_that_will_not(kind):
    views, losses = toy_views(), []
    for normalised in (False, True):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            encoder = Encoder(2, 25, hidden_size=6, layers=1, kind=kind, parents=KINECT2.parents,
                              direction="bidirectional", normalise_features=normalised)  # fmt: skip
        if normalised:
            encoder.readout.fit_normalisation(torch.randn(9, 12, generator=torch.Generator().manual_seed(3)))
        losses.append(step(toy_method(encoder), views).losses["all"])
    assert torch.equal(*losses)


def test_a_projector_with_a_norm_has_its_own_statistics_in_the_key_network():
    method = toy_method(projector_norm=True)
    before = untouched(method)
    step(method, toy_views(6))
    assert changed(method, before) >= {
        "projector.layers.1.running_mean", "key_projector.layers.1.running_mean"
    }  # fmt: skip
    assert method.projector.layers[1].num_batches_tracked == 4
    assert method.key_projector.layers[1].num_batches_tracked == 1
