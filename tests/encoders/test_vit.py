import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_attention import blocks, slow_tokens, weights_of

from pcm3.encoders.encoder import Encoder
from pcm3.encoders.transformer import attend, attend_to_many
from pcm3.encoders.vit import Blocks, patches, spread_over, tokens_and_blocks
from pcm3.errors import ConfigError


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def vit(bodies=2, joints=3, hidden_size=4, layers=2, frames=9, pooling="mean", seed=0, **changes):
    """A float64 encoder none of whose weights is a 0 or 1 of the start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Encoder(
            bodies, joints, hidden_size=hidden_size, layers=layers, direction="bidirectional", pooling=pooling,
            kind="vit", frames=frames, **changes,
        ).double()  # fmt: skip
        for parameter in made.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return made


@pytest.mark.parametrize(("bodies", "frames"), [(2, 8), (1, 9)])
def test_every_frame_is_that_of_the_slow_reference(bodies, frames):
    encoder, clips = vit(bodies, frames=frames), random(2, frames, bodies, 3, 3)
    of = weights_of(encoder)
    features = encoder.frames(clips).detach().numpy()
    assert encoder.time_stride == 4
    for clip, found in zip(clips.numpy(), features, strict=True):
        of_bodies = [blocks(of, "layers.0.layers.blocks", slow_tokens(of, clip[:, body])) for body in range(bodies)]
        expected = np.mean(of_bodies, axis=0).reshape(-(-frames // 4), 3, 8).mean(axis=1)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_a_method_is_given_the_tokens_that_the_encoder_reads_out():
    encoder, clips = vit(frames=8), random(2, 8, 2, 3, 3)
    tokens, layers = tokens_and_blocks(encoder, clips)
    assert tokens.shape == (2, 2, 6, 8)
    features = torch.stack([layers(tokens[:, body]).unflatten(1, (2, 3)).mean(dim=2) for body in (0, 1)]).mean(dim=0)
    torch.testing.assert_close(features, encoder.frames(clips), rtol=0, atol=1e-12)


def test_patches_hold_a_joint_over_four_frames_and_its_last_own_frame_beyond_a_clip_s_end():
    values = torch.arange(2 * 6 * 3 * 2 * 1).view(2, 6, 3, 2, 1)
    found = patches(values, torch.tensor([6, 3]))
    for clip, length in enumerate((6, 3)):
        for body, time, joint in np.ndindex(2, 2, 3):
            frames = [min(4 * time + step, length - 1) for step in range(4)]
            assert found[clip, body, time, joint].tolist() == [values[clip, f, joint, body].item() for f in frames]
    assert torch.equal(patches(values), patches(values, torch.tensor([6, 6])))


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 6), count=st.integers(1, 9))
def test_positions_are_spread_as_torch_resamples(rows, count):
    table = random(rows, 2)
    expected = torch.nn.functional.interpolate(table.T[None], size=count, mode="linear", align_corners=False)[0].T
    found = spread_over(table, torch.tensor([count, 1]), count)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-6)
    assert found.shape == (2, count, 2)


def test_a_clip_of_another_length_has_the_same_times_spread_over_it():
    encoder = vit(frames=8).eval()
    table = encoder.layers[0].layers.places.of_time
    assert torch.equal(
        encoder.layers[0].layers.places(2)[0, 0, :, 0], table + encoder.layers[0].layers.places.of_joint[0]
    )
    twice = encoder.layers[0].layers.places(4)[0, 0, :, 0] - encoder.layers[0].layers.places.of_joint[0]
    expected = [table[0], 0.75 * table[0] + 0.25 * table[1], 0.25 * table[0] + 0.75 * table[1], table[1]]
    torch.testing.assert_close(twice, torch.stack(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("padded", [False, True])
def test_the_fused_attention_is_the_written_out_one(padded):
    projected = random(2, 7, 3 * 8).requires_grad_()
    own = torch.tensor([[True] * 7, [True] * 4 + [False] * 3]) if padded else None
    both = [of(projected, 4, own) for of in (attend, attend_to_many)]
    torch.testing.assert_close(*both, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(of.square().sum(), projected)[0] for of in both]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_under_autocast_attention_among_many_is_in_float32_and_features_come_as_the_network_s():
    projected = random(2, 7, 24).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attend_to_many(projected, 4, None)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, attend(projected.float(), 4, None).bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize(("width", "heads"), [(256, 8), (48, 8), (16, 4), (12, 2), (6, 1), (3, 1)])
def test_a_width_is_shared_out_among_eight_heads_or_as_many_as_it_can(width, heads):
    assert Blocks(width, 1).blocks[0].heads == heads


def test_first_positions_are_small_and_no_two_are_alike():
    places = Encoder(1, 25, hidden_size=128, layers=1, direction="bidirectional", kind="vit", frames=120).layers[0]
    for table, rows in ((places.layers.places.of_time, 30), (places.layers.places.of_joint, 25)):
        assert table.shape == (rows, 256)
        assert table.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("changes", [{"layers": 0}, {"hidden_size": 0}, {"frames": 0}])
def test_sizes_that_make_no_sense_are_refused(changes):
    with pytest.raises(ConfigError, match="expected at least one layer"):
        vit(**changes)
