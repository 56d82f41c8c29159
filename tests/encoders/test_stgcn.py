import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import KINECT2

from pcm3.encoders.encoder import Encoder
from pcm3.encoders.stgcn import SpatialConvolution, adjacency
from pcm3.errors import ConfigError
from pcm3.skeleton import layout_names, load_layout

TREE = (2, 2, 2, 0, 3, 0, 1)
"""Seven joints, root 2: 0 and 1 hang from it, 3 and 5 from 0, 4 from 3, 6 from 1."""


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stgcn(parents=TREE, bodies=2, hidden_size=4, layers=3, seed=0, **changes):
    """A float64 ST-GCN none of whose weights and statistics is a 0 or 1 of the start."""
    chosen = {"direction": "bidirectional", "pooling": "mean"} | changes
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Encoder(
            bodies, len(parents), kind="stgcn", hidden_size=hidden_size, layers=layers, parents=parents, **chosen
        ).double()
        with torch.no_grad():
            for name, tensor in made.state_dict().items():
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) / 2)
        for block in made.layers[0].layers.blocks:  # a third is not the same number in float32
            block.spatial.adjacency.copy_(torch.tensor(adjacency(parents), dtype=torch.float64))
    return made


# The slow reference, written from the paper (and docs/FIDELITY.md where it says nothing): one sum after the other


def subsets(parents, true_distances=False):
    """{(source, target): subset} of a tree, by hops to the root; beyond one hop all are equally far, or not."""
    joints = range(len(parents))

    def hops(joint):
        count = 0
        while parents[joint] != joint:
            joint, count = parents[joint], count + 1
        return count if true_distances else min(count, 2)

    found = {}
    for source in joints:
        for target in joints:
            if source == target:
                found[source, target] = 0
            elif parents[source] == target or parents[target] == source:
                found[source, target] = 2 if hops(source) < hops(target) else 1
    return found


def normed(norm, x, axis):
    """Batch statistics while training, running ones otherwise."""
    others = tuple(one for one in range(x.ndim) if one != axis)
    shape = [-1 if one == axis else 1 for one in range(x.ndim)]
    weight, bias, mean, variance = (
        part.detach().numpy() for part in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    if norm.training:
        mean, variance = x.mean(others), x.var(others)
    scaled = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + norm.eps)
    return scaled * weight.reshape(shape) + bias.reshape(shape)


def through(block, x, parents, there=None):
    """(N, T, V, C) → (N, T', V, C'); of joints that are not there, nothing is."""
    weight = block.spatial.weights.weight.detach().numpy()[..., 0, 0]
    bias, importance = block.spatial.weights.bias.detach().numpy(), block.spatial.importance.detach().numpy()
    outputs = len(weight) // 3
    found, there = subsets(parents), there or [*range(len(parents))]
    among = np.zeros((*x.shape[:3], outputs))
    for (source, target), subset in found.items():
        if source not in there or target not in there:
            continue
        share = importance[subset, source, target] / sum(pair[1] == target for pair in found)
        own = slice(subset * outputs, (subset + 1) * outputs)
        among[:, :, there.index(target)] += share * (x[:, :, there.index(source)] @ weight[own].T + bias[own])
    among = np.maximum(normed(block.spatial_norm, among, 3), 0)
    kernel = block.temporal.weight.detach().numpy()[..., 0]
    kept = range(0, x.shape[1], block.stride)
    over = np.zeros((len(x), len(kept), x.shape[2], outputs)) + block.temporal.bias.detach().numpy()
    for place, frame in enumerate(kept):
        for tap in range(9):
            if 0 <= frame + tap - 4 < x.shape[1]:
                over[:, place] += among[:, frame + tap - 4] @ kernel[:, :, tap].T
    over = normed(block.temporal_norm, over, 3)
    if block.residual and len(block.beside):
        convolution, norm = block.beside
        beside = x[:, :: block.stride] @ convolution.weight.detach().numpy()[..., 0, 0].T
        over = over + normed(norm, beside + convolution.bias.detach().numpy(), 3)
    elif block.residual:
        over = over + x
    return np.maximum(over, 0)


def slowly(encoder, clips, parents):
    """(B, T, M, V, C) → (B, T', W)."""
    size, frames, bodies, joints, coordinates = clips.shape
    x = clips.transpose(0, 2, 1, 3, 4).reshape(size * bodies, frames, joints * coordinates)
    x = normed(encoder.norm.norm, x, 2).reshape(size * bodies, frames, joints, coordinates)
    for block in encoder.layers[0].layers.blocks:
        x = through(block, x, parents)
    return x.mean(2).reshape(size, bodies, -1, x.shape[-1]).mean(1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("parents", "bodies", "frames", "changes"),
    [(TREE, 2, 13, {}), (TREE, 1, 9, {"channels": 3}), (KINECT2.parents, 2, 6, {"layers": 2}),
     (TREE, 1, 5, {"layers": 1})],
)  # fmt: skip
def test_st_gcn_is_the_slow_reference(parents, bodies, frames, changes, training):
    encoder = stgcn(parents, bodies, **changes).train(training)
    clips = random(3, frames, bodies, len(parents), 3)
    expected = slowly(encoder, clips.numpy(), parents)
    features = encoder.frames(clips).detach()
    assert features.shape == (3, -(-frames // encoder.time_stride), encoder.frame_width)
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-9 * abs(expected).max())
    assert abs(expected).max() > 0


def test_its_sizes_are_those_of_the_published_networks():
    published = Encoder(2, 25, kind="stgcn", hidden_size=128, direction="bidirectional", parents=KINECT2.parents)
    small = Encoder(
        2, 25, kind="stgcn", hidden_size=128, channels=16, direction="bidirectional", parents=KINECT2.parents
    )
    for encoder, base in ((published, 64), (small, 16)):
        blocks = encoder.layers[0].layers.blocks
        widths = [block.temporal_norm.num_features for block in blocks]
        assert widths == [base] * 4 + [2 * base] * 3 + [4 * base] * 2 + [256]
        assert [block.stride for block in blocks] == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
        assert (encoder.frame_width, encoder.time_stride, encoder.causal) == (256, 4, False)
        assert encoder.norm.norm.num_features == 75, "bodies share it"
        kinds = ["conv" if len(block.beside) else "same" if block.residual else "none" for block in blocks]
        last = "same" if base == 64 else "conv"
        assert kinds == ["none", "same", "same", "same", "conv", "same", "same", "conv", "same", last]
    assert {name.split(".")[-1] for name, _ in published.named_parameters()} == {"weight", "bias", "importance"}


def test_dropout_is_at_the_end_of_every_block_but_the_first():
    encoder = stgcn(dropout=0.5)
    assert [block.dropout.dropped / 256 for block in encoder.layers[0].layers.blocks] == [0.0] + [0.5] * 9
    clips = random(2, 9, 2, 7, 3)
    assert torch.equal(encoder.eval().frames(clips), encoder.frames(clips))
    assert not torch.equal(encoder.train().frames(clips), encoder.frames(clips))


@pytest.mark.parametrize("true_distances", [False, True])
@pytest.mark.parametrize("name", layout_names())
def test_neighbours_are_parted_by_their_distance_to_the_centre_and_every_joint_is_a_mean(name, true_distances):
    parents = load_layout(name).parents
    found = np.array(adjacency(parents, true_distances))
    expected = np.zeros_like(found)
    pairs = subsets(parents, true_distances)
    for (source, target), subset in pairs.items():
        expected[subset, source, target] = 1 / sum(pair[1] == target for pair in pairs)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found.sum((0, 1)), 1)


def test_the_partition_of_the_published_weights_knows_no_distance_over_one_bone():
    count = [(np.array(adjacency(KINECT2.parents, exact)) > 0).sum((1, 2)).tolist() for exact in (False, True)]
    assert count == [[25, 40, 8], [25, 24, 24]]


def test_an_importance_counts_where_there_is_an_edge_and_nowhere_else():
    convolution = SpatialConvolution(TREE, 2, 3).double()
    convolution(random(1, 2, 4, 7)).square().sum().backward()
    assert torch.equal(convolution.importance.grad != 0, convolution.adjacency != 0)


def test_an_empty_body_counts_in_full():
    encoder, clips = stgcn().eval(), random(2, 8, 2, 7, 3)
    clips[:, :, 1] = 0
    one, other = (encoder.frames(each) for each in (clips, clips.flip(2)))
    torch.testing.assert_close(one, other)
    alone = stgcn(bodies=1).eval()
    alone.load_state_dict(encoder.state_dict())
    both = (alone.frames(clips[:, :, :1]) + alone.frames(clips[:, :, 1:])) / 2
    torch.testing.assert_close(one, both)


@pytest.mark.parametrize(("kind", "features"), [("stgcn", ("joint",)), ("agcn", ("joint", "motion"))])
def test_the_features_of_joints_have_those_of_frames_as_their_means(kind, features):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = (2, 7, 3, 4, 2, "bidirectional", "mean")
        encoder = Encoder(*shape, kind=kind, parents=TREE, input_features=features).double()
    clips = random(2, 9, 2, 7, 3)
    of_joints = encoder.joint_frames(clips)
    assert of_joints.shape == (2, 5, 2, 7, 8)
    torch.testing.assert_close(of_joints.mean(dim=(2, 3)), encoder.frames(clips), rtol=0, atol=1e-12)
    assert of_joints.std(dim=(2, 3)).min() > 0


def test_where_joints_are_missing_the_rest_is_the_graph():
    encoder, clips, joints = stgcn(), random(2, 9, 2, 7, 3), torch.tensor([0, 1, 3, 4, 6])
    expected = clips.permute(0, 2, 1, 3, 4).flatten(0, 1).numpy().reshape(4, 9, 21)
    expected = normed(encoder.norm.norm, expected, 2).reshape(4, 9, 7, 3)[:, :, joints]
    for block in encoder.layers[0].layers.blocks:
        expected = through(block, expected, TREE, joints.tolist())
    expected = expected.mean(2).reshape(2, 2, *expected.shape[1:2], -1).mean(1)
    found = encoder.frames_of_joints(clips, joints).detach()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * abs(expected).max())
    everything = encoder.frames_of_joints(clips, torch.arange(7))
    torch.testing.assert_close(everything, encoder.frames(clips), rtol=0, atol=1e-12)


def test_a_kind_that_needs_all_joints_says_so():
    encoder = Encoder(2, 7, 3, 4, 1, "bidirectional", "mean", kind="agcn", parents=TREE)
    with pytest.raises(ConfigError, match="expected a kind of encoder that can do with some joints, got agcn"):
        encoder.frames_of_joints(random(1, 4, 2, 7, 3).float(), torch.arange(3))


def test_a_kind_without_features_of_joints_says_so():
    with pytest.raises(ConfigError, match="expected a kind of encoder that has features of every joint, got gru"):
        Encoder(2, 7, hidden_size=4, layers=1).joint_frames(random(1, 4, 2, 7, 3).float())


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_any_number_of_frames_has_a_feature_for_every_fourth(frames, seed):
    encoder = stgcn().eval()
    clips = random(1, frames, 2, 7, 3, seed=seed)
    features = encoder.frames(clips)
    assert features.shape == (1, -(-frames // 4), 8)
    every = encoder.every_frame(features, frames)
    assert every.shape == (1, frames, 8)
    assert all(torch.equal(every[:, frame], features[:, frame // 4]) for frame in range(frames))


def test_gradients_are_those_of_differences():
    encoder = stgcn(layers=1, hidden_size=2, bodies=1).eval()
    assert torch.autograd.gradcheck(encoder.embed, (random(1, 3, 1, 7, 3).requires_grad_(),), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"direction": "causal"}, "expected direction bidirectional for kind stgcn, got causal"),
     ({"parents": None}, "expected the parents of 25 joints for kind stgcn, got 0"),
     ({"dropout": 1.0}, "dropout from 0 to below 1, got .* dropout 1.0"), ({"channels": -1}, "-1 channels"),
     ({"layers": 0}, "at least one layer")],
)  # fmt: skip
def test_what_no_st_gcn_can_be_is_refused_in_one_line(changes, told):
    chosen = {"parents": KINECT2.parents, "direction": "bidirectional"} | changes
    with pytest.raises(ConfigError, match=told) as raised:
        Encoder(2, 25, kind="stgcn", hidden_size=4, **chosen)
    assert "\n" not in str(raised.value)


def test_bf16_is_near_to_the_exact():
    encoder = stgcn().float().eval()
    clips = random(2, 12, 2, 7, 3).float()
    exact = encoder.frames(clips)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = encoder.frames(clips).float()
    assert (rough - exact).abs().mean() < 0.05 * exact.abs().mean()
