"""What a kind of encoder is given, and what it makes of it: the contract between `Encoder` and the files of the kinds.

Each kind is a module with one function ``build(size: NetworkSize) -> Network``; `settings.encoder` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from torch import nn

from pcm3.errors import ConfigError
from pcm3.settings.encoder import KINDS, Direction, EncoderKind, SequenceKind


@dataclass(frozen=True)
class NetworkSize:
    """The plain values that layers are built from."""

    bodies: int
    joints: int
    coordinates: int
    features: int
    """Input features that stand side by side."""
    hidden_size: int
    """H; a frame's feature has 2H values, or a multiple of it."""
    layers: int
    direction: Direction
    parents: tuple[int, ...] = ()
    """Of every joint (V), where the kind works on joints; the root is its own."""
    parts: tuple[tuple[int, ...], ...] = ()
    """The joints of each body part, where the kind works on parts."""
    channels: int = 0
    dropout: float = 0.0
    frames: int = 64
    """T of the clips that it will be trained on; it takes any other."""
    sequence: SequenceKind = "gru"

    @property
    def joint_values(self) -> int:
        """Values of a joint in a frame."""
        return self.coordinates * self.features

    @property
    def in_features(self) -> int:
        """Values of a frame, flat."""
        return self.bodies * self.joints * self.joint_values


@dataclass(frozen=True)
class Network:
    """The layers of an encoder and what must be known of them.

    A layer maps ``(inputs (B, T, I), lengths (B,) or None)`` to (B, S, W) and takes no notice of frames beyond a
    clip's length; each of a causal network also has ``step(inputs (B, I), state) -> (outputs (B, W), state)``.
    """

    layers: Sequence[nn.Module]
    """One after the other."""
    frame_width: int
    """W of the last."""
    time_stride: int = 1
    """Frames of a clip for one frame of features: S = ⌈T / stride⌉."""
    norm: nn.Module | None = None
    """Of the inputs of a frame, (N, I) → (N, I); None: a BatchNorm over each value by itself."""
    batch_norms: bool = False
    """Its layers have BatchNorms, so that views may not share a pass."""
    backward_half: bool = False
    """The second half of a frame's feature has seen the frames from the last one on."""


def build_network(kind: EncoderKind, size: NetworkSize) -> Network:
    """The layers of that kind with fresh weights.

    Raises:
        ConfigError: the kind cannot be of this size or direction.
    """
    row = KINDS[kind]
    if size.direction not in row.directions:
        raise ConfigError(f"expected direction {' or '.join(row.directions)} for kind {kind}, got {size.direction}")
    if row.on_joints and len(size.parents) != size.joints:
        raise ConfigError(f"expected the parents of {size.joints} joints for kind {kind}, got {len(size.parents)}")
    if row.on_parts and (
        sorted(joint for part in size.parts for joint in part) != [*range(size.joints)] or not all(size.parts)
    ):
        raise ConfigError(
            f"expected parts that have each of {size.joints} joints once, and none empty, for kind {kind}"
        )
    build: Callable[[NetworkSize], Network] = import_module(row.module).build
    return build(size)
