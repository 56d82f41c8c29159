import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_cmd, toy_crossclr

from pcm3.geometry import stream
from pcm3.methods.protocol import Method, Progress
from pcm3.methods.streams import STREAMS
from pcm3.methods.views import CropMaker, TwoViews
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.views import padded_views

LATER = Progress(step=7, epoch=1, share=0.5)


def views_of(method, size=4, dtype=torch.float64):
    views = method.views(*toy_batch(size))
    return {name: TwoViews(*(view.to(dtype) for view in of)) for name, of in views.items()}


def embeddings(method, views, weights, direction):
    """{stream: (queries, keys)}, number by number."""
    found = {}
    for name in STREAMS:
        numbers = reference.Numbers({}, 6, direction, 2, 25)
        numbers.of = weights[name]
        query, key = (reference.flat_inputs(view.numpy()) for view in views[name])
        found[name] = (
            numbers.project("projector", numbers.pool(numbers.encode("encoder", query))),
            numbers.project("key_projector", numbers.pool(numbers.encode("key_encoder", key))),
        )
    return found


def slow_losses(found, queues, count, context, temperature):
    """{stream: loss} once neighbours count, one clip and one key after the other."""
    losses = {}
    for name in STREAMS:
        of_clips = []
        for clip in range(len(found[name][0])):
            similar = {other: [found[other][0][clip] @ earlier for earlier in queues[other]] for other in STREAMS}
            of_others = []
            for other in set(STREAMS) - {name}:
                near = sorted(range(len(similar[other])), key=lambda row, other=other: -similar[other][row])[:count]
                logits = {"own": found[name][0][clip] @ found[name][1][clip]}
                logits |= {("alone", row): value for row, value in enumerate(similar[name])}
                if context:
                    both = zip(similar[name], similar[other], strict=True)
                    logits |= {("together", row): one * two for row, (one, two) in enumerate(both)}
                total = sum(np.exp(value / temperature) for value in logits.values())
                positives = [at for at in logits if at == "own" or at[1] in near]
                of_others.append(-np.mean([np.log(np.exp(logits[at] / temperature) / total) for at in positives]))
            of_clips.append(np.mean(of_others))
        losses[name] = np.mean(of_clips)
    return losses


@pytest.mark.parametrize(
    ("direction", "count", "context"), [("causal", 1, True), ("bidirectional", 3, True), ("causal", 2, False)]
)
def test_losses_and_gradients_are_those_of_the_slow_reference(direction, count, context):
    method = toy_crossclr(direction, nearest=count, context=context).double().train()
    views = views_of(method)
    weights = {
        name: {key: tensor.numpy().copy() for key, tensor in method.branches.of(name).state_dict().items()}
        for name in STREAMS
    }
    queues = {name: weights[name]["queue.keys"] for name in STREAMS}

    def slow(weights):
        return slow_losses(embeddings(method, views, weights, direction), queues, count, context, 0.3)

    output, expected = method(views, LATER, torch.Generator()), slow(weights)
    assert output.terms.keys() == {f"contrast/{name}" for name in STREAMS}
    for name, value in expected.items():
        assert output.terms[f"contrast/{name}"].item() == pytest.approx(value, rel=1e-10), name
    assert output.losses["all"].item() == pytest.approx(sum(expected.values()), rel=1e-10)
    output.losses["all"].backward()
    rng = np.random.default_rng(0)
    for stream_name, of in (("joint", "projector.layers.0.weight"), ("bone", "encoder.norm.weight")):
        way, own = rng.standard_normal(weights[stream_name][of].shape), weights[stream_name]
        ahead, behind = (
            sum(slow(weights | {stream_name: own | {of: own[of] + h * way}}).values()) for h in (1e-6, -1e-6)
        )
        along = (method.branches.of(stream_name).get_parameter(of).grad.numpy() * way).sum()
        assert along == pytest.approx((ahead - behind) / 2e-6, rel=1e-5), (stream_name, of)


def test_before_neighbours_count_every_stream_has_the_contrast_of_cmd():
    ours, cmd = toy_crossclr().train(), toy_cmd().train()
    for name in STREAMS:
        cmd.branches.of(name).temperature = 0.3
    views = views_of(ours, dtype=torch.float32)
    found = ours(views, LATER._replace(share=0.4999), torch.Generator())
    expected = cmd(views, BEGINNING, torch.Generator()).terms
    for name in STREAMS:
        assert torch.equal(found.terms[f"contrast/{name}"], expected[f"contrast/{name}"])
    assert found.terms.keys() == ours(views, LATER, torch.Generator()).terms.keys()


@pytest.mark.parametrize(("context", "reached"), [(True, set(STREAMS)), (False, {"motion"})])
def test_the_shared_context_teaches_the_other_streams_too(context, reached):
    method = toy_crossclr(context=context).double().train()
    views = views_of(method)
    query, key = method.branches.embed_queries(views), method.branches.embed_keys(views)
    method.across("motion", query["motion"], key["motion"], method.branches.relations(query)).backward()
    names = [name for name, parameter in method.named_parameters() if parameter.grad is not None]
    assert {name.split(".")[1] for name in names} == reached
    assert {name.split(".")[2] for name in names} == {"encoder", "projector"}


def test_the_optimiser_moves_all_query_networks_and_after_a_step_queues_and_key_networks_follow():
    method = toy_crossclr().train()
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    state = method(views_of(method, dtype=torch.float32), LATER, torch.Generator()).state
    (optimiser,) = method.optimisers(OptimiserSettings()).values()
    held = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    assert held == {id(weight) for name, weight in method.named_parameters() if ".key_" not in name}
    method.after_step(state, LATER)
    for name, parameter in method.named_parameters():
        if ".key_" in name:
            expected = 0.7 * before[name] + 0.3 * before[name.replace(".key_", ".")]
            torch.testing.assert_close(parameter, expected, rtol=0, atol=1e-6)
    for name in STREAMS:
        assert torch.equal(method.branches.of(name).queue.keys[:4], state[f"keys/{name}"])


def test_views_are_whole_clips_moved_and_sheared_and_motion_and_bone_are_taken_of_these():
    method = toy_crossclr()
    method.maker = CropMaker(KINECT2, 15, padded_views())
    views = views_of(method)
    assert views["joint"].query.shape == (4, 15, 2, 25, 3)
    for side in ("query", "key"):
        for name in STREAMS:
            expected = stream(getattr(views["joint"], side), name, KINECT2)
            torch.testing.assert_close(getattr(views[name], side), expected, rtol=0, atol=1e-6)
    # the whole clip without a shear differs from the view by a matrix alone, but where the ends are mirrored
    batch, generator = toy_batch(4)
    plain = CropMaker(KINECT2, 15, padded_views()).crops(batch, 2, generator)[:4].double()
    for clip, view in zip(plain, views["joint"].query, strict=True):
        x, y = clip.flatten(0, 2), view.flatten(0, 2)
        matrix = torch.linalg.lstsq(x, y).solution
        torch.testing.assert_close(x @ matrix, y, rtol=0, atol=1e-5)
        torch.testing.assert_close(matrix.diagonal(), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-5)
        assert (matrix - torch.eye(3)).abs().max() <= 0.5 + 1e-5


@pytest.mark.parametrize(("export", "network"), [("online", "encoder"), ("ema", "key_encoder")])
def test_the_run_s_model_is_of_joints_and_the_others_lie_beside_it(export, network):
    method = toy_crossclr(export=export)
    assert isinstance(method, Method)
    assert list(method.encoders()) == ["joint", "motion", "bone"]
    for name, (encoder, fed, _) in method.encoders().items():
        assert fed == name
        assert encoder is getattr(method.branches.of(name), network)
