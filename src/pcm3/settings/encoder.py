"""Settings of the encoder that a run trains; the names of what it may be stand here once, for everyone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pcm3.settings.rules import Rule

EncoderKind = Literal["gru", "transformer", "graph"]
InputFeature = Literal["joint", "bone", "motion", "motion4", "motion8"]
Direction = Literal["causal", "bidirectional"]
Pooling = Literal["last", "mean", "max", "mean_max", "max_min", "mean_max_min", "attention"]


@dataclass
class EncoderSettings:
    """The network that makes features of clips."""

    kind: EncoderKind = "gru"
    """The encoder's layers: recurrent, attention over the frames, or graph convolutions over joints and frames."""
    hidden_size: int = 1024
    """H, width of each half of the encoder: a frame's feature has 2H values. At least 1, even for all kinds but gru;
    0: chosen from the number of clips."""
    layers: int = 3
    """Number of layers, at least 1."""
    direction: Direction = "causal"
    """Both halves forward (as the released code computes), or one forward and one backward (as the paper says).
    Only the gru can be causal: the other kinds' frames know later ones."""
    pooling: Pooling = "last"
    """How frames become the clip's feature: the frame where each half has seen the whole clip; the mean, maximum or
    minimum over the frames, or several of these side by side; or a mean with learned weights."""
    input_features: list[InputFeature] = field(default_factory=lambda: ["joint"])
    """What is computed from a clip of the run's stream and fed to the encoder, side by side: the clip as it is, its
    bones, its motion to the next frame or over four or eight frames. One or more, without repeats."""
    normalise_features: bool = False
    """Normalise clip features: to length 1, then to mean 0 and mean square 1 over the training clips."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            (self.hidden_size >= 0, "encoder.hidden_size", "at least 1, or 0 to have it chosen"),
            (self.layers >= 1, "encoder.layers", "at least 1"),
            (
                0 < len(self.input_features) == len(set(self.input_features)),
                "encoder.input_features",
                "one or more of joint, bone and motion, without repeats",
            ),
            (
                self.kind == "gru" or self.direction == "bidirectional",
                "encoder.direction",
                f"bidirectional for kind {self.kind}, whose frames know later ones",
            ),
            (
                self.kind == "gru" or self.hidden_size % 2 == 0,
                "encoder.hidden_size",
                f"a multiple of 2 for kind {self.kind}, which shares a feature out among four",
            ),
        ]
