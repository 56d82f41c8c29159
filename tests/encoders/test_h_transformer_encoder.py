import math

import numpy as np
import pytest
import slow_attention
import torch
from slow_attention import gelu, linear, normed

from pcm3.encoders.encoder import Encoder
from pcm3.errors import ConfigError

PARTS = ((0, 3), (1,), (2, 4, 5))


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def encoder_of(bodies=2, hidden_size=4, layers=1, channels=8, parts=PARTS, **changes):
    """A float64 encoder none of whose weights is a 0 or 1 of the start, and whose BatchNorm has seen something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Encoder(
            bodies, 6, hidden_size=hidden_size, layers=layers, direction="bidirectional", pooling="mean",
            kind="h_transformer", channels=channels, parts=parts, **changes,
        ).double()  # fmt: skip
        for parameter in made.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
        made.frames(2 + random(4, 5, bodies, 6, 3, seed=9))
    return made.eval()


# The slow reference, written from docs/FIDELITY.md: one part, frame and number after the other


def block(of, name, tokens):
    """Tokens (L, W) of a width of 8 → the same; two heads."""
    tokens = tokens + slow_attention.attended(of, name, tokens, 2)
    told = [
        linear(of, f"{name}.mlp.3", gelu(linear(of, f"{name}.mlp.1", normed(of, f"{name}.mlp.0", x)))) for x in tokens
    ]
    return tokens + told


def slow_frame(of, frame):
    """Inputs of one frame (M, V, K) → (C,)."""
    name = "layers.0.layers"
    parts = []
    for body, pose in enumerate(frame):
        for number, part in enumerate(PARTS):
            joints = [linear(of, f"{name}.embed", pose[joint]) + of[f"{name}.of_joint"][joint] for joint in part]
            tokens = np.array([of[f"{name}.of_part"][number], *joints])
            parts.append(block(of, f"{name}.within_parts", tokens)[0] + of[f"{name}.of_body"][body])
    return block(of, f"{name}.among_parts", np.array([of[f"{name}.of_frame"], *parts]))[0]


def slowly(encoder, clip):
    """A clip (T, M, V, C) → the features of its frames (T, W)."""
    of = slow_attention.weights_of(encoder)
    flat = clip.transpose(0, 2, 3, 1).reshape(len(clip), -1)
    flat = (flat - of["norm.running_mean"]) / np.sqrt(of["norm.running_var"] + 1e-5) * of["norm.weight"] + of[
        "norm.bias"
    ]
    poses = flat.reshape(len(clip), 6, 3, -1).transpose(0, 3, 1, 2)
    frames = [linear(of, "layers.1.enter", slow_frame(of, pose)) for pose in poses]
    width = len(frames[0])
    for number, frame in enumerate(frames):
        rates = [10_000 ** (-column / (width // 2)) for column in range(width // 2)]
        frame += [*(math.sin(number * rate) for rate in rates), *(math.cos(number * rate) for rate in rates)]
    told = block(of, "layers.1.blocks.0", np.array(frames))
    return np.array([normed(of, "layers.1.norm", frame) for frame in told])


@pytest.mark.parametrize("bodies", [1, 2])
def test_every_frame_is_that_of_the_slow_reference(bodies):
    encoder, clips = encoder_of(bodies), random(2, 4, bodies, 6, 3)
    for clip, found in zip(clips.numpy(), encoder.frames(clips).detach().numpy(), strict=True):
        np.testing.assert_allclose(found, slowly(encoder, clip), rtol=1e-9, atol=1e-11)


def test_parts_of_joints_that_are_not_theirs_are_refused():
    for parts in ((), ((0, 1), (2, 3)), ((0, 1, 2), (2, 3, 4, 5)), ((0, 1, 2, 3), (), (4, 5))):
        with pytest.raises(ConfigError, match="expected parts that have each of 6 joints once, and none empty"):
            encoder_of(parts=parts)


@pytest.mark.parametrize("changes", [{"layers": 0}, {"hidden_size": 0}, {"channels": -1}])
def test_sizes_that_make_no_sense_are_refused(changes):
    with pytest.raises(ConfigError, match="expected at least one layer"):
        encoder_of(**changes)
