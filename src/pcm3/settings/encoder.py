"""Settings of the encoder that a run trains; the names of what it may be stand here once, for everyone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pcm3.settings.rules import Rule
from pcm3.skeleton import InputFeature

EncoderKind = Literal["gru", "transformer", "graph", "stgcn", "agcn", "hico", "vit", "gl_transformer", "h_transformer"]
Direction = Literal["causal", "bidirectional"]
SequenceKind = Literal["gru", "lstm", "transformer"]
InputScale = Literal["each", "shared"]
Pooling = Literal["last", "mean", "max", "mean_max", "max_min", "mean_max_min", "attention"]


class KindRow(NamedTuple):
    """What is known of a kind without building it."""

    module: str
    """Its ``build(size: NetworkSize) -> Network`` makes the layers (`pcm3.encoders.network`)."""
    directions: tuple[Direction, ...] = ("bidirectional",)
    """Causal: a frame's feature knows no later frame, and the encoder can be stepped."""
    on_joints: bool = False
    """It needs to know which joint hangs from which."""
    on_parts: bool = False
    """It needs to know which joints are in which part of the body."""
    size_multiple: int = 1
    """What hidden_size must be a multiple of."""
    joint_features: bool = False
    """A frame's feature is the mean of its joints' and bodies', which it gives, too (`Encoder.joint_frames`)."""
    some_joints: bool = False
    """It can do with some of the joints (`Encoder.frames_of_joints`)."""
    normalises_inputs: bool = True
    """It normalises its inputs."""
    own_settings: tuple[str, ...] = ()
    """Settings that no other kind has."""


KINDS: dict[EncoderKind, KindRow] = {
    "gru": KindRow("pcm3.encoders.gru", directions=("causal", "bidirectional"), own_settings=("dropout",)),
    "transformer": KindRow("pcm3.encoders.transformer", size_multiple=2),
    "graph": KindRow("pcm3.encoders.graph", on_joints=True, size_multiple=2),
    "stgcn": KindRow(
        "pcm3.encoders.stgcn",
        on_joints=True,
        size_multiple=2,
        joint_features=True,
        some_joints=True,
        own_settings=("channels", "dropout"),
    ),
    "agcn": KindRow(
        "pcm3.encoders.agcn", on_joints=True, size_multiple=2, joint_features=True, own_settings=("channels",)
    ),
    "hico": KindRow(
        "pcm3.encoders.hico", size_multiple=2, normalises_inputs=False, own_settings=("dropout", "sequence")
    ),
    "vit": KindRow("pcm3.encoders.vit", size_multiple=2, normalises_inputs=False),
    "gl_transformer": KindRow(
        "pcm3.encoders.gl_transformer", on_joints=True, normalises_inputs=False, own_settings=("channels", "dropout")
    ),
    "h_transformer": KindRow("pcm3.encoders.h_transformer", on_parts=True, own_settings=("channels",)),
}
"""The one table of kinds."""


@dataclass
class EncoderSettings:
    """The network that makes features of clips."""

    kind: EncoderKind = "gru"
    """The encoder's layers: recurrent; attention over the frames; graph convolutions over joints and frames; ST-GCN,
    which are these as published (Yan et al. 2018), with a feature for every fourth frame; A-GCN (Shi et al. 2019),
    whose joints also look at others that are like them; HiCo's (Dong et al. 2023), over frames and over joints at
    four granularities each; MAMP's ViT (Mao et al. 2023), attention among all joints over four frames each;
    GL-Transformer's (Kim et al. 2022), attention among the joints of a frame and among frames, in turn; or one like
    H-Transformer's (Cheng et al. 2021), from the joints of a part over the parts of a frame to the frames."""
    hidden_size: int = 1024
    """H, width of each half of the encoder: a frame's feature has 2H values, of a hico 2H at each of 8 granularities.
    At least 1, even for all kinds but gru; 0: chosen from the number of clips. Published ST-GCNs, A-GCNs and ViTs:
    128; GL-Transformer's: 1200."""
    layers: int = 3
    """Number of layers, at least 1; of an stgcn or agcn the stages, of which 3 are the paper's 10 blocks."""
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
    channels: int = 0
    """Channels of the first blocks of an stgcn or agcn, at least 1 (64 in the papers, 16 in most later work); 0: H / 2,
    so that three stages double up to 2H. Of a gl_transformer those of a joint (48 in its paper); 0: so many that all
    joints of a frame together have about 2H. Of an h_transformer those of joints and parts; 0: H."""
    dropout: float = 0.0
    """Share of the values that training leaves out between the layers of a gru, after every block of an stgcn but the
    first (0.5 in its paper), or in the Transformer layers of a hico or gl_transformer (0.1 in their code), of which
    the second also leaves out whole layers, the last ones as often; from 0 to below 1."""
    sequence: SequenceKind = "gru"
    """What the sequences of a hico go through: gru or lstm, both with one half backward, or transformer."""
    input_scale: InputScale = "each"
    """What inputs are divided by: every value by its own deviation over clips and frames, as published (BatchNorm), or
    all values of an input feature by one, so that joints that hardly move, whose motion is mostly noise, stay quiet."""

    def rules(self, group: str = "encoder.") -> list[Rule]:
        """What the values must keep to; `group` is where they stand among the settings of the run."""
        row = KINDS[self.kind]
        return [
            (self.hidden_size >= 0, f"{group}hidden_size", "at least 1, or 0 to have it chosen"),
            (self.layers >= 1, f"{group}layers", "at least 1"),
            (
                0 < len(self.input_features) == len(set(self.input_features)),
                f"{group}input_features",
                "one or more of joint, bone and motion, without repeats",
            ),
            (
                self.direction in row.directions,
                f"{group}direction",
                f"{' or '.join(row.directions)} for kind {self.kind}, whose frames know later ones",
            ),
            (
                self.hidden_size % row.size_multiple == 0,
                f"{group}hidden_size",
                f"a multiple of {row.size_multiple} for kind {self.kind}, which shares a feature out among channels",
            ),
            (
                row.normalises_inputs or self.input_scale == "each",
                f"{group}input_scale",
                f"each for kind {self.kind}, which does not normalise its inputs",
            ),
            (self.channels >= 0, f"{group}channels", "at least 1, or 0 to have it chosen"),
            (0 <= self.dropout < 1, f"{group}dropout", "at least 0 and less than 1"),
            *(
                (
                    name in row.own_settings or getattr(self, name) == default,
                    f"{group}{name}",
                    f"{default} for kind {self.kind}",
                )
                for name, default in (("channels", 0), ("dropout", 0), ("sequence", "gru"))
            ),
        ]
