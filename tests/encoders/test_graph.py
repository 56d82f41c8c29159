import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.encoders.graph import GraphBlock, GraphConvolution, GraphLayers
from pcm3.errors import ConfigError
from pcm3.skeleton import layout_names, load_layout

LAYOUTS = pytest.mark.parametrize("layout", layout_names())
TREE = (2, 2, 2, 0, 3, 0, 1)
"""Seven joints, root 2: 0 and 1 hang from it, 3 and 5 from 0, 4 from 3, 6 from 1."""


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def settled(module, seed=9):
    """The module in float64 and evaluation, with no parameter or statistic as it started."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.dim() == 1 and tensor.is_floating_point() and "shares" not in name:
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module


def layers_of(parents=TREE, bodies=2, inputs=3, width=8, layers=2, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return settled(GraphLayers(parents, bodies, inputs, width, layers))


def importances(convolution, parents):
    """(to, from) → (kind, importance), in the order of the parameter: selves, towards the root, away from it."""
    values = iter(convolution.importance.tolist())
    joints = range(len(parents))
    bones = [(joint, parent) for joint, parent in enumerate(parents) if parent != joint]
    found = {(joint, joint): (0, next(values)) for joint in joints}
    found |= {(joint, parent): (1, next(values)) for joint, parent in bones}
    return found | {(parent, joint): (2, next(values)) for joint, parent in bones}


def convolved(convolution, x, parents):
    """One frame (V, C) → (V, C'): joint by joint, neighbour by neighbour."""
    kinds = np.split(convolution.weights.weight.detach().numpy(), 3, axis=1)
    result = np.zeros((len(parents), len(kinds[0])))
    for (to, source), (kind, importance) in importances(convolution, parents).items():
        alike = parents.count(to) - (parents[to] == to) if kind == 2 else 1
        result[to] += kinds[kind] @ x[source] * importance / alike
    return result


def normalised(norm, x):
    mean, variance, weight, bias = (
        part.detach().numpy() for part in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / np.sqrt(variance + norm.eps) * weight + bias


def through(block, x, parents):
    """One body's clip (T, V, C) → the same, frame by frame, joint by joint."""
    among = np.stack([convolved(block.spatial, frame, parents) for frame in x])
    among = np.maximum(normalised(block.spatial_norm, among), 0)
    kernel = block.temporal.weight.detach().numpy()[..., 0]
    over = np.zeros_like(x)
    for frame in range(len(x)):
        for tap in range(9):
            if 0 <= frame + tap - 4 < len(x):
                over[frame] += among[frame + tap - 4] @ kernel[:, :, tap].T
    return np.maximum(x + normalised(block.temporal_norm, over), 0)


def slowly(layers, clip, parents):
    """(T, V, M, K) → (T, W), body by body."""
    features = []
    for body in range(clip.shape[2]):
        x = clip[:, :, body] @ layers.enter.weight.detach().numpy().T + layers.enter.bias.detach().numpy()
        for block in layers.blocks:
            x = through(block, x, parents)
        weights = layers.mean_weights.detach().numpy()[0]
        features.append(
            [
                np.concatenate([sum(w * joint for w, joint in zip(row, frame, strict=True)) for row in weights])
                for frame in x
            ]
        )
    return np.mean(features, axis=0)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(("parents", "bodies"), [(TREE, 2), (load_layout("kinect_v1").parents, 1)])
def test_graph_layers_are_the_slow_reference(count, parents, bodies):
    layers = layers_of(parents, bodies, layers=count)
    clips = random(2, 6, len(parents), bodies, 3)
    expected = np.stack([slowly(layers, clip, parents) for clip in clips.numpy()])
    np.testing.assert_allclose(layers(clips).detach(), expected, rtol=0, atol=1e-6)


@LAYOUTS
@pytest.mark.parametrize(("bodies", "inputs"), [(1, 3), (2, 9)])
def test_every_layout_gives_features_of_every_frame(layout, bodies, inputs):
    parents = load_layout(layout).parents
    layers = GraphLayers(parents, bodies, inputs, 16, 2)
    features = layers(random(2, 5, len(parents), bodies, inputs).float())
    assert features.shape == (2, 5, 16)
    assert sum(block.spatial.importance.numel() for block in layers.blocks) == 2 * (3 * len(parents) - 2)


@LAYOUTS
def test_a_joint_knows_no_joint_further_away_than_one_bone_a_block(layout):
    parents = load_layout(layout).parents
    near = np.eye(len(parents), dtype=int)
    near[np.arange(len(parents)), parents] = near[parents, np.arange(len(parents))] = 1
    x = random(1, 1, len(parents), 4).requires_grad_()
    one, other = (settled(GraphBlock(parents, 4)) for _ in range(2))
    for result, reach in ((one(x), near), (other(one(x)), near @ near)):
        for joint in range(len(parents)):
            slope = sum(torch.autograd.grad(result[0, 0, joint, c], x, retain_graph=True)[0].abs() for c in range(4))
            known = slope.sum(dim=-1)[0, 0] > 0
            assert not (known & torch.from_numpy(reach[joint] == 0)).any()


@LAYOUTS
def test_a_graph_convolution_reaches_all_neighbours_and_no_others(layout):
    parents = load_layout(layout).parents
    convolution = settled(GraphConvolution(parents, 2, 3))
    slope = torch.autograd.functional.jacobian(convolution, random(1, 1, len(parents), 2))
    reached = slope.abs().sum(dim=(0, 1, 3, 4, 5, 7)) > 0
    near = torch.eye(len(parents), dtype=torch.bool)
    near[range(len(parents)), parents] = near[parents, range(len(parents))] = True
    assert torch.equal(reached, near)


@pytest.mark.parametrize("count", [1, 2])
def test_a_frame_knows_four_frames_on_either_side_a_block(count):
    layers, clips = layers_of(width=64, layers=count), random(1, 30, 7, 2, 3).requires_grad_()
    (slope,) = torch.autograd.grad(layers(clips)[:, 14].sum(), clips)
    known = slope.flatten(2).abs().sum(dim=-1)[0] > 0
    assert known.nonzero().flatten().tolist() == list(range(14 - 4 * count, 14 + 4 * count + 1))


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(7)), st.integers(0, 1000))
def test_joints_in_another_order_change_nothing(order, seed):
    layers, clips = layers_of(), random(2, 5, 7, 2, 3, seed=seed)
    renamed = layers_of(tuple(order.index(TREE[old]) for old in order))
    renamed.load_state_dict(layers.state_dict())
    with torch.no_grad():
        renamed.mean_weights.copy_(layers.mean_weights[:, :, order])
        for ours, theirs in zip(renamed.blocks, layers.blocks, strict=True):
            # Importances follow the joints that they belong to: three lists, the last two without the root.
            children = [joint for joint in range(7) if TREE[joint] != joint]
            to_child = [children.index(old) for old in order if TREE[old] != old]
            where = [*order, *(7 + at for at in to_child), *(13 + at for at in to_child)]
            ours.spatial.importance.copy_(theirs.spatial.importance[where])
    torch.testing.assert_close(renamed(clips[:, :, order]), layers(clips), rtol=0, atol=1e-10)


def test_exchanged_bodies_change_nothing_and_alike_bodies_are_as_one():
    layers, clips = layers_of(), random(2, 5, 7, 2, 3)
    torch.testing.assert_close(layers(clips.flip(3)), layers(clips), rtol=0, atol=1e-12)
    alone = layers_of(bodies=1)
    alone.load_state_dict(layers.state_dict())
    torch.testing.assert_close(layers(clips[:, :, :, :1].repeat(1, 1, 1, 2, 1)), alone(clips[:, :, :, :1]))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 40), st.integers(0, 100))
def test_any_number_of_frames_is_taken_and_in_evaluation_a_batch_is_its_clips(size, frames, seed):
    layers, clips = layers_of(), random(size, frames, 7, 2, 3, seed=seed)
    together = layers(clips)
    assert together.shape == (size, frames, 8)
    singles = torch.cat([layers(clip.unsqueeze(0)) for clip in clips])
    torch.testing.assert_close(together, singles, rtol=0, atol=1e-10)


def test_training_normalises_each_channel_over_clips_frames_and_joints():
    layers, kept = layers_of(layers=1).train(), []
    norm = layers.blocks[0].temporal_norm
    norm.register_forward_hook(lambda _, inputs, output: kept.extend([*inputs, output]))
    layers(random(3, 5, 7, 2, 3))
    rows, normed = kept
    assert rows.shape == (3 * 5 * 7 * 2, 2)
    expected = (rows - rows.mean(dim=0)) / (rows.var(dim=0, correction=0) + norm.eps).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(normed, expected)


def test_gradients_are_those_of_differences():
    layers = layers_of((1, 1, 1), bodies=1, inputs=2, width=4, layers=1).train()
    clips = random(2, 3, 3, 1, 2)
    assert torch.autograd.gradcheck(layers, (clips.clone().requires_grad_(),))
    assert torch.autograd.gradcheck(lambda *_: layers(clips), tuple(layers.parameters()))


def test_the_same_seed_gives_the_same_weights_and_the_state_is_weights_and_statistics_alone():
    one, other, third = layers_of(seed=1), layers_of(seed=1), layers_of(seed=2)
    clips = random(2, 5, 7, 2, 3)
    assert torch.equal(one(clips), other(clips))
    assert not torch.equal(one(clips), third(clips))
    assert not any("edges" in name or "shares" in name for name in one.state_dict())


def test_bf16_is_near_to_the_exact():
    layers = GraphLayers(TREE, 2, 9, 64, 3)
    clips = random(8, 16, 7, 2, 9).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = layers(clips)
    rough.float().square().mean().backward()
    exact = layers(clips)
    assert all(parameter.grad.isfinite().all() for parameter in layers.parameters())
    assert (rough - exact).abs().mean() < 0.02 * exact.abs().mean()


@pytest.mark.parametrize("shape", [(2, 5, 6, 2, 3), (2, 5, 7, 1, 3), (2, 5, 7, 2, 4), (2, 5, 2, 7, 3)])
def test_other_frames_than_were_said_are_refused(shape):
    with pytest.raises(ConfigError, match=r"expected frames of 7 x 2 x 3 \(joints, bodies, inputs\), got"):
        layers_of()(random(*shape))


@pytest.mark.parametrize("parents", [(0, 3, 0), (-1, 0, 1)])
def test_a_parent_that_is_no_joint_is_refused(parents):
    with pytest.raises(ConfigError, match="expected parents that are joints, 0 to 2, got"):
        GraphLayers(parents, 1, 3, 8, 1)


def test_a_width_that_cannot_be_shared_out_is_refused():
    with pytest.raises(ConfigError, match="multiple of 4, got 10"):
        GraphLayers(TREE, 1, 3, 10, 1)
