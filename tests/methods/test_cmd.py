import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_cmd

from pcm3.geometry import stream
from pcm3.methods.protocol import Method
from pcm3.methods.streams import STREAMS
from pcm3.methods.views import TwoViews

PAIRS = [(teacher, student) for teacher in STREAMS for student in STREAMS if teacher != student]


def views_of(method, size=4, dtype=torch.float32):
    views = method.views(*toy_batch(size))
    return {name: TwoViews(*(view.to(dtype) for view in of)) for name, of in views.items()}


def softmax(values):
    return np.exp(values) / np.exp(values).sum()


def slow_terms(method, views, direction, count, student_temperature, teacher_temperature):
    """Every term, one clip after the other in float64."""
    z, keys, queue = {}, {}, {}
    for name in STREAMS:
        branch = method.branches.of(name)
        numbers = reference.Numbers(branch.state_dict(), branch.encoder.hidden_size, direction, 2, 25)
        query, key = (reference.flat_inputs(view.double().numpy()) for view in views[name])
        z[name] = numbers.project("projector", numbers.pool(numbers.encode("encoder", query)))
        keys[name] = numbers.project("key_projector", numbers.pool(numbers.encode("key_encoder", key)))
        queue[name] = numbers.of["queue.keys"]
    terms = {f"contrast/{name}": reference.info_nce(z[name], keys[name], queue[name], 0.07) for name in STREAMS}
    for teacher, student in PAIRS:
        divergences = []
        for clip in range(len(z[teacher])):
            relations = queue[teacher] @ keys[teacher][clip]
            nearest = np.argsort(-relations)[:count]
            target = softmax(relations[nearest] / teacher_temperature)
            guess = softmax(queue[student][nearest] @ z[student][clip] / student_temperature)
            divergences.append((target * np.log(target / guess)).sum())
        terms[f"distillation/{teacher}-{student}"] = np.mean(divergences)
    return terms


@pytest.mark.parametrize(("count", "temperatures"), [(4, (0.1, 0.05)), (11, (0.2, 0.3)), (500, (0.1, 0.05))])
@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_every_term_and_the_loss_are_those_of_the_slow_reference(direction, count, temperatures):
    student, teacher = temperatures
    method = toy_cmd(
        direction, neighbours=count, student_temperature=student, teacher_temperature=teacher, weight=0.7
    ).double()
    views = views_of(method, dtype=torch.float64)
    expected = slow_terms(method, views, direction, count, student, teacher)
    output = method.train()(views, BEGINNING, torch.Generator())
    assert output.terms.keys() == expected.keys()
    for name, value in expected.items():
        assert output.terms[name].item() == pytest.approx(value, rel=1e-9), name
    weights = {name: 0.7 if name.startswith("distillation") else 1.0 for name in expected}
    loss = sum(weights[name] * value for name, value in expected.items())
    assert output.losses["all"].item() == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize(("teacher", "student"), PAIRS)
def test_a_distillation_term_reaches_the_student_s_query_network_alone(teacher, student):
    method = toy_cmd().train()
    views = views_of(method)
    query = {name: method.branches.of(name).embed_queries(views[name].query) for name in STREAMS}
    key = {name: method.branches.of(name).embed_queries(views[name].key) for name in STREAMS}  # these have a gradient
    relations = [{name: method.branches.of(name).relations(of[name]) for name in STREAMS} for of in (query, key)]
    method.distil(*relations)[f"{teacher}-{student}"].backward()
    reached = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    assert {name.split(".")[1] for name in reached} == {student}
    assert {name.split(".")[2] for name in reached} == {"encoder", "projector"}


def test_motion_and_bone_are_taken_of_the_same_augmented_views():
    views = views_of(toy_cmd())
    for side in ("query", "key"):
        for name in STREAMS:
            expected = stream(getattr(views["joint"], side), name, KINECT2)
            assert torch.equal(getattr(views[name], side), expected)


def test_a_row_of_the_queues_is_one_clip_in_all_streams():
    method = toy_cmd().train()
    for size in (4, 4, 5):  # past the end of eleven rows
        state = method(views_of(method, size), BEGINNING, torch.Generator()).state
        method.after_step(state, BEGINNING)
    assert {int(method.branches.of(name).queue.next) for name in STREAMS} == {13 - 11}
    for name in STREAMS:
        queue = method.branches.of(name).queue.keys
        torch.testing.assert_close(queue[(torch.arange(5) + 8) % 11], state[f"keys/{name}"])


def test_every_stream_s_key_network_follows_its_own():
    method = toy_cmd().train()
    before = {name: tensor.double().clone() for name, tensor in method.state_dict().items()}
    method.after_step(method(views_of(method), BEGINNING, torch.Generator()).state, BEGINNING)
    for name, parameter in method.named_parameters():
        if ".key_" in name:
            expected = 0.7 * before[name] + 0.3 * before[name.replace(".key_", ".")]
            torch.testing.assert_close(parameter.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("export", "network"), [("online", "encoder"), ("ema", "key_encoder")])
def test_the_run_s_model_is_of_joints_and_the_others_lie_beside_it(export, network):
    method = toy_cmd(export=export)
    assert isinstance(method, Method)
    assert list(method.encoders()) == ["joint", "motion", "bone"]
    for name, (encoder, fed, _) in method.encoders().items():
        assert fed == name
        assert encoder is getattr(method.branches.of(name), network)
