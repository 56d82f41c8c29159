import math

import numpy as np
import pytest
import torch
from toy import KINECT2

from pcm3.encoders.agcn import AdaptiveConvolution, directed
from pcm3.encoders.encoder import Encoder
from pcm3.errors import ConfigError

TREE = (2, 2, 2, 0, 3, 0, 1)
"""Seven joints, root 2: 0 and 1 hang from it, 3 and 5 from 0, 4 from 3, 6 from 1."""


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def agcn(parents=TREE, bodies=2, hidden_size=4, layers=3, seed=0, **changes):
    """A float64 A-GCN none of whose weights and statistics is a 0 or 1 of the start."""
    chosen = {"direction": "bidirectional", "pooling": "mean"} | changes
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Encoder(
            bodies, len(parents), kind="agcn", hidden_size=hidden_size, layers=layers, parents=parents, **chosen
        ).double()
        with torch.no_grad():
            for name, tensor in made.state_dict().items():
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) / 2)
        for block in made.layers[0].layers.blocks:  # a third is not the same number in float32
            block.spatial.adjacency.copy_(torch.tensor(directed(parents), dtype=torch.float64))
    return made


# The slow reference, written from the paper and docs/FIDELITY.md: one pair of joints after the other


def normed(norm, x, axis=-1):
    """Batch statistics while training, running ones otherwise; the features are the last axis."""
    weight, bias, mean, variance = (
        part.detach().numpy() for part in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    if norm.training:
        others = tuple(range(x.ndim - 1))
        mean, variance = x.mean(others), x.var(others)
    return (x - mean) / np.sqrt(variance + norm.eps) * weight + bias


def pointwise(convolution, x):
    return x @ convolution.weight.detach().numpy()[..., 0, 0].T + convolution.bias.detach().numpy()


def fixed(parents, subset, source, target):
    """A: the joint itself; the one it hangs from; those that hang from it, shared alike."""
    if subset == 0:
        return float(source == target)
    if subset == 1:
        return float(parents[target] == source != target)
    children = [joint for joint, parent in enumerate(parents) if parent == target != joint]
    return 1 / len(children) if source in children else 0.0


def among_joints(part, x, parents):
    """(N, T, V, C) → (N, T, V, C'), before the BatchNorm."""
    compared, learned = pointwise(part.compare, x), part.learned.detach().numpy()
    size, joints = compared.shape[-1] // 6, len(parents)
    weight, bias = part.gather.weight.detach().numpy()[..., 0, 0], part.gather.bias.detach().numpy()
    channels = x.shape[-1]
    gathered = np.zeros((*x.shape[:3], len(weight))) + bias
    for clip in range(len(x)):
        for subset in range(3):
            one = compared[clip, :, :, subset * size : (subset + 1) * size]
            other = compared[clip, :, :, (3 + subset) * size : (4 + subset) * size]
            for target in range(joints):
                products = [(one[:, source] * other[:, target]).sum() / (size * len(one)) for source in range(joints)]
                alike = [math.exp(product) for product in products]
                taken = sum(
                    (fixed(parents, subset, source, target) + learned[subset, source, target]
                     + alike[source] / sum(alike)) * x[clip, :, source]
                    for source in range(joints)
                )  # fmt: skip
                gathered[clip, :, target] += taken @ weight[:, subset * channels : (subset + 1) * channels].T
    return gathered


def through(block, x, parents):
    """(N, T, V, C) → (N, T', V, C')."""

    def past(way, frames):
        return normed(way[1], pointwise(way[0], frames)) if len(way) else frames

    among = np.maximum(normed(block.spatial_norm, among_joints(block.spatial, x, parents)) + past(block.around, x), 0)
    kernel = block.temporal.weight.detach().numpy()[..., 0]
    kept = range(0, x.shape[1], block.stride)
    over = np.zeros((len(x), len(kept), x.shape[2], len(kernel))) + block.temporal.bias.detach().numpy()
    for place, frame in enumerate(kept):
        for tap in range(9):
            if 0 <= frame + tap - 4 < x.shape[1]:
                over[:, place] += among[:, frame + tap - 4] @ kernel[:, :, tap].T
    over = normed(block.temporal_norm, over)
    return np.maximum(over + past(block.beside, x[:, :: block.stride]) if block.residual else over, 0)


def slowly(encoder, clips, parents):
    """(B, T, M, V, C) → (B, T', W)."""
    size, frames, bodies, joints, coordinates = clips.shape
    flat = np.zeros((size, frames, joints * coordinates * bodies))
    for body in range(bodies):
        for joint in range(joints):
            for axis in range(coordinates):
                flat[:, :, (joint * coordinates + axis) * bodies + body] = clips[:, :, body, joint, axis]
    flat = normed(encoder.norm, flat).reshape(size, frames, joints, coordinates, bodies)
    x = flat.transpose(0, 4, 1, 2, 3).reshape(size * bodies, frames, joints, coordinates)
    for block in encoder.layers[0].layers.blocks:
        x = through(block, x, parents)
    return x.mean(2).reshape(size, bodies, -1, x.shape[-1]).mean(1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("bodies", "frames", "changes"),
    [(2, 6, {"layers": 2}), (1, 5, {"layers": 1, "channels": 3})],
)
def test_a_gcn_is_the_slow_reference(bodies, frames, changes, training):
    encoder = agcn(TREE, bodies, **changes).train(training)
    clips = random(2, frames, bodies, 7, 3)
    expected = slowly(encoder, clips.numpy(), TREE)
    features = encoder.frames(clips).detach()
    assert features.shape == (2, -(-frames // encoder.time_stride), encoder.frame_width)
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-9 * abs(expected).max())
    assert abs(expected).max() > 0


def test_its_sizes_are_those_of_the_published_network():
    encoder = Encoder(2, 25, kind="agcn", hidden_size=128, direction="bidirectional", parents=KINECT2.parents)
    blocks = encoder.layers[0].layers.blocks
    assert [block.temporal_norm.num_features for block in blocks] == [64] * 4 + [128] * 3 + [256] * 3
    assert [block.stride for block in blocks] == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
    assert [block.spatial.compare.out_channels // 6 for block in blocks] == [16] * 4 + [32] * 3 + [64] * 3
    assert (encoder.frame_width, encoder.time_stride, encoder.causal) == (256, 4, False)
    assert encoder.norm.num_features == 150, "each body has its own"
    assert [len(block.around) for block in blocks] == [2, 0, 0, 0, 2, 0, 0, 2, 0, 0]
    twice = 2 * (4 * 64 + 3 * 128 + 3 * 256)  # biases of three convolutions where here is one
    assert sum(weight.numel() for weight in encoder.parameters()) == 3_454_090 - twice


def test_at_first_a_block_takes_almost_nothing_from_other_joints():
    block = Encoder(
        1, 7, kind="agcn", hidden_size=4, layers=1, direction="bidirectional", parents=TREE
    ).layers[0].layers.blocks[1]  # fmt: skip
    assert (block.spatial_norm.weight == 1e-6).all()
    assert (block.spatial.learned == 1e-6).all()
    assert (block.temporal_norm.weight == 1).all()
    assert not len(block.around)


def test_a_joint_takes_from_itself_its_parent_and_its_children_alike():
    shares = np.array(directed(KINECT2.parents))
    assert np.array_equal(shares[0], np.eye(25))
    for joint, parent in enumerate(KINECT2.parents):
        children = [other for other, its in enumerate(KINECT2.parents) if its == joint != other]
        assert shares[1, :, joint].tolist() == [float(source == parent != joint) for source in range(25)]
        np.testing.assert_allclose(
            shares[2, :, joint], [(source in children) / max(len(children), 1) for source in range(25)]
        )


def test_joints_that_move_alike_take_more_from_each_other_and_the_shares_sum_to_one():
    part = AdaptiveConvolution(TREE, 2, 4).double()
    half = part.compare.weight.detach()[:3]
    part.compare.weight.data.copy_(torch.cat([half, half]))
    part.compare.bias.data.zero_()
    moves = random(1, 2, 6, 7) * 3
    moves[..., 4] = moves[..., 1]
    moves[..., 5] = -moves[..., 1]
    shares = part.alike(moves)
    torch.testing.assert_close(shares.sum(dim=2), torch.ones(1, 3, 7, dtype=torch.float64))
    torch.testing.assert_close(shares[:, :, 4, 1], shares[:, :, 1, 1])
    assert (shares[:, :, 4, 1] > shares[:, :, 5, 1]).all()


def test_gradients_are_those_of_differences():
    encoder = agcn(layers=1, hidden_size=2, bodies=1).eval()
    assert torch.autograd.gradcheck(encoder.embed, (random(1, 3, 1, 7, 3).requires_grad_(),), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"direction": "causal"}, "expected direction bidirectional for kind agcn, got causal"),
     ({"parents": None}, "expected the parents of 25 joints for kind agcn, got 0"), ({"channels": -1}, "-1 channels"),
     ({"layers": 0}, "at least one layer and channel for kind agcn")],
)  # fmt: skip
def test_what_no_a_gcn_can_be_is_refused_in_one_line(changes, told):
    chosen = {"parents": KINECT2.parents, "direction": "bidirectional"} | changes
    with pytest.raises(ConfigError, match=told) as raised:
        Encoder(2, 25, kind="agcn", hidden_size=4, **chosen)
    assert "\n" not in str(raised.value)
