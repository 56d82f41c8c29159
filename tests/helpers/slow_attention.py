"""Slow references of Transformer blocks in NumPy, float64: one token and number after the other, without pcm3."""

import math

import numpy as np


def linear(of, name, x):
    return of[f"{name}.weight"] @ x + of[f"{name}.bias"]


def normed(of, name, x):
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * of[f"{name}.weight"] + of[f"{name}.bias"]


def gelu(x):
    return np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x])


def attended(of, name, tokens, heads):
    """What each of the tokens (L, W) takes from all of them."""
    width = tokens.shape[1]
    size = width // heads
    projected = [linear(of, f"{name}.project", normed(of, f"{name}.norm", token)) for token in tokens]
    outputs = []
    for own in projected:
        taken = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = [own[:width][part] @ other[width : 2 * width][part] / math.sqrt(size) for other in projected]
            weights = np.exp(scores) / np.exp(scores).sum()
            taken.append(sum(w * other[2 * width :][part] for w, other in zip(weights, projected, strict=True)))
        outputs.append(linear(of, f"{name}.gather", np.concatenate(taken)))
    return np.array(outputs)


def blocks(of, name, tokens, heads=2):
    """Tokens (L, W) → (L, W)."""
    layers = len({key.split(".")[name.count(".") + 2] for key in of if key.startswith(f"{name}.blocks.")})
    for layer in range(layers):
        block = f"{name}.blocks.{layer}"
        tokens = tokens + attended(of, block, tokens, heads)
        after = [normed(of, f"{block}.mlp.0", token) for token in tokens]
        tokens = tokens + [linear(of, f"{block}.mlp.3", gelu(linear(of, f"{block}.mlp.1", token))) for token in after]
    return np.array([normed(of, f"{name}.norm", token) for token in tokens])


def slow_tokens(of, clip, name="layers.0.layers"):
    """A clip (T, V, C) of one body → its tokens (S · V, W): those of a time together."""
    frames, joints, _ = clip.shape
    tokens = []
    for begin in range(0, frames, 4):
        for joint in range(joints):
            values = [clip[min(frame, frames - 1), joint] for frame in range(begin, begin + 4)]
            place = of[f"{name}.places.of_time"][begin // 4] + of[f"{name}.places.of_joint"][joint]
            tokens.append(linear(of, f"{name}.embed", np.concatenate(values)) + place)
    return np.array(tokens)


def weights_of(module):
    return {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}
