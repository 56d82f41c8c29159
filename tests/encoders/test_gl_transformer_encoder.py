import math

import numpy as np
import pytest
import slow_attention
import torch
from slow_attention import linear, normed
from toy import KINECT2

from pcm3.encoders.encoder import Encoder
from pcm3.encoders.gl_transformer import DropPath, JointsAndFrames, relative_to_root
from pcm3.errors import ConfigError

PARENTS = (1, 1, 0)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def encoder_of(bodies=2, hidden_size=5, layers=2, frames=9, channels=4, parents=PARENTS, **changes):
    """A float64 encoder none of whose weights is a 0 or 1 of the start."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Encoder(
            bodies, len(parents), hidden_size=hidden_size, layers=layers, direction="bidirectional", pooling="mean",
            kind="gl_transformer", frames=frames, channels=channels, parents=parents, **changes,
        ).double()  # fmt: skip
        for parameter in made.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return made


# The slow reference, written from the paper and docs/FIDELITY.md: one frame, joint and number after the other


def slow_block(of, name, joints, heads):
    """Joints (T, J, C) → the same."""
    frames, count, channels = joints.shape
    places = of[f"{name}.places"][:frames]
    after = []
    for frame, place in zip(joints, places, strict=True):
        placed = frame + place
        after.append(placed + slow_attention.attended(of, f"{name}.among_joints", placed, heads[0]))
    flat = np.array(after).reshape(frames, -1) + places.reshape(frames, -1)
    flat = flat + slow_attention.attended(of, f"{name}.among_frames", flat, heads[1])
    told = []
    for frame in flat:
        widened = slow_attention.gelu(linear(of, f"{name}.mlp.1", normed(of, f"{name}.mlp.0", frame)))
        told.append(frame + linear(of, f"{name}.mlp.4", widened))
    return np.array(told).reshape(frames, count, channels)


def slowly(of, clip, root, layers, heads):
    """A clip (T, M, V, C) → the features of its frames (T, W)."""
    name = "layers.0.layers"
    tokens = []
    for frame in clip:
        row = []
        for joint in range(clip.shape[2]):
            for body in range(clip.shape[1]):
                seen = frame[body, joint] if joint == root else frame[body, joint] - frame[body, root]
                row.append(linear(of, f"{name}.embed_place" if joint == root else f"{name}.embed", seen))
        tokens.append(row)
    joints = np.array(tokens)
    for layer in range(layers):
        joints = slow_block(of, f"{name}.blocks.{layer}", joints, heads)
    features = []
    for frame in joints.reshape(len(clip), -1):
        told = normed(of, f"{name}.norm", frame)
        for number in (0, 3):
            activated = slow_attention.gelu(linear(of, f"{name}.mlp.{number}", told))
            told = normed(of, f"{name}.mlp.{number + 2}", activated)
        features.append(told)
    return np.array(features)


@pytest.mark.parametrize(("bodies", "channels", "heads"), [(2, 4, (1, 4)), (1, 8, (2, 4))])
def test_every_frame_is_that_of_the_slow_reference(bodies, channels, heads):
    encoder, clips = encoder_of(bodies, channels=channels), random(2, 5, bodies, 3, 3)
    of = slow_attention.weights_of(encoder)
    for clip, found in zip(clips, encoder.frames(clips).detach().numpy(), strict=True):
        np.testing.assert_allclose(found, slowly(of, clip.numpy(), 1, 2, heads), rtol=1e-9, atol=1e-11)


def test_joints_are_seen_from_the_root_of_their_body_and_that_from_the_origin():
    values = random(2, 4, 3, 2, 3)
    found = relative_to_root(values, 1)
    for joint in range(3):
        expected = values[:, :, joint] - (values[:, :, 1] if joint != 1 else 0)
        assert torch.equal(found[:, :, joint], expected)


def test_where_a_body_goes_is_told_to_its_place_alone():
    encoder, clips = encoder_of(1), random(1, 5, 1, 3, 3)
    layers = encoder.layers[0].layers
    seen = []
    layers.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for moved in (clips, clips + 2.0):
        encoder.frames(moved)
    torch.testing.assert_close(seen[0][:, :, [0, 2]], seen[1][:, :, [0, 2]], rtol=0, atol=1e-12)
    assert not torch.equal(seen[0][:, :, 1], seen[1][:, :, 1])


def test_places_begin_at_nothing_and_are_spread_over_longer_clips():
    block = encoder_of(1, frames=4).layers[0].layers.blocks[0]
    assert torch.equal(block._places(3, None)[0], block.places[:3])
    long = block._places(8, torch.tensor([8, 3]))
    expected = torch.nn.functional.interpolate(block.places.flatten(1).T[None], 8, mode="linear")[0].T
    torch.testing.assert_close(long[0].flatten(1), expected, rtol=0, atol=1e-6)
    assert torch.equal(long[1, :4], block.places)  # a clip that is short has those of the first frames
    fresh = Encoder(
        1, 25, hidden_size=4, layers=1, kind="gl_transformer", direction="bidirectional", parents=KINECT2.parents
    )
    assert not fresh.layers[0].layers.blocks[0].places.any()


@pytest.mark.parametrize(("bodies", "hidden_size", "channels"), [(1, 64, 8), (2, 64, 4), (2, 1200, 48)])
def test_a_joint_has_so_many_channels_that_a_frame_has_about_2h(bodies, hidden_size, channels):
    with torch.device("meta"):
        encoder = Encoder(bodies, 25, hidden_size=hidden_size, layers=1, kind="gl_transformer",
                          direction="bidirectional", parents=KINECT2.parents)  # fmt: skip
    assert encoder.layers[0].layers.embed.out_features == channels
    assert encoder.frame_width == 2 * hidden_size


def test_in_training_values_rows_and_whole_layers_are_left_out_and_later_ones_more_often():
    encoder = encoder_of(dropout=0.5, layers=3)
    layers = encoder.layers[0].layers
    assert isinstance(layers, JointsAndFrames)
    assert [block.drop_path.rows.p for block in layers.blocks] == [0.0, 0.25, 0.5]
    clips = random(2, 5, 2, 3, 3)
    assert torch.equal(encoder.eval().frames(clips), encoder.frames(clips))
    assert not torch.equal(encoder.train().frames(clips), encoder.frames(clips))


def test_rows_are_left_out_whole_and_the_others_count_for_them():
    path, values = DropPath(0.25), torch.ones(4000, 2, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kept = path(values)
    assert torch.equal(kept, kept[:, :1, :1].expand_as(values))
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert kept.mean().item() == pytest.approx(1, abs=0.03)
    assert path.eval()(values) is values


@pytest.mark.parametrize(
    "changes", [{"layers": 0}, {"hidden_size": 0}, {"frames": 0}, {"channels": -1}, {"dropout": 1.0}]
)
def test_sizes_that_make_no_sense_are_refused(changes):
    with pytest.raises(ConfigError, match="expected at least one layer"):
        encoder_of(**changes)


def test_features_are_finite_for_a_body_that_is_not_there():
    encoder, clips = encoder_of(), random(1, 5, 2, 3, 3)
    clips[:, :, 1] = 0
    assert math.isfinite(encoder.frames(clips).sum().item())
