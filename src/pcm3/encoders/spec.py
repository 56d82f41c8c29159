"""What an encoder is and what it is fed with; and, apart from that, where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, get_args

from pcm3.data.picture import FLAT
from pcm3.data.store import ClipStore
from pcm3.encoders.encoder import Encoder
from pcm3.errors import CheckpointError, command
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.settings.encoder import Direction, EncoderKind, EncoderSettings, InputScale, Pooling, SequenceKind
from pcm3.skeleton import InputFeature, Layout, StreamName

RETARGET = command("pcm3", "retarget", "STORE", "OUT", "--to", "MODEL")
"""How a store is brought into the layout of a model, and to its number of bodies."""
COORDINATES = 3
"""C: x, y and z of each joint."""


@dataclass(frozen=True)
class ClipFormat:
    """What coordinates mean: of the clips that an encoder learned from, or of those that it is to be fed with."""

    layout: Layout
    bodies: int
    """M, bodies that a clip has room for."""
    fps: float = 0.0
    """Frames a second; 0: not known."""
    normalised: bool | None = None
    """Whether clips are centred and turned; None: not known."""
    rule: str = ""
    """By which rule they are (`pcm3.data.prepare`); empty: not known."""
    coordinates: int = COORDINATES


def format_of(store: ClipStore) -> ClipFormat:
    """What the coordinates of a store mean."""
    _, bodies, _, coordinates = store.frames.shape
    return ClipFormat(store.layout, bodies, store.fps, store.normalised, store.rule, coordinates)


@dataclass(frozen=True)
class Provenance:
    """Where the weights of a model come from. Nothing of it is needed to use the model."""

    method: str = ""
    """Name of the method that trained it; empty: not known."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the run."""
    store_checksum: str = ""
    """Of the store that it was pretrained on."""
    protocol: str = "all"
    """The split whose training side it was pretrained on."""
    step: int = 0
    """Optimiser steps behind the weights; 0: untrained."""
    finished: bool = False
    """Whether the run that made it went to its end."""
    version: str = ""
    """Of pcm3, when the run saved it."""


@dataclass(frozen=True)
class EncoderSpec:
    """What is needed to build an encoder and to feed it."""

    layout: Layout
    bodies: int
    hidden_size: int
    layers: int
    direction: Direction
    pooling: Pooling
    stream: StreamName
    frames: int = 64
    """T of the clips that it was trained on."""
    kind: EncoderKind = "gru"
    input_features: tuple[InputFeature, ...] = ("joint",)
    """What it makes of a clip and feeds its layers with."""
    normalise_features: bool = False
    channels: int = 0
    dropout: float = 0.0
    sequence: SequenceKind = "gru"
    input_scale: InputScale = "each"
    fps: float = 0.0
    """Frames a second of the clips; 0: not known."""
    normalised: bool | None = None
    """Whether the clips are centred and turned; None: not known."""
    rule: str = ""
    """By which rule they are (`pcm3.data.prepare`); empty: not known."""
    gaps: bool = False
    """Whether single joints are absent from some of their frames, see `Encoder`."""
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        """Raises ValueError for values that no encoder has: a spec comes from a file."""
        for name in ("bodies", "hidden_size", "layers", "frames"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        names = {"direction": Direction, "pooling": Pooling, "stream": StreamName, "kind": EncoderKind,
                 "sequence": SequenceKind, "input_scale": InputScale}  # fmt: skip
        for name, known in names.items():
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        if not self.input_features or not all(name in get_args(InputFeature) for name in self.input_features):
            raise ValueError(f"input_features is {self.input_features!r}")
        for name in ("fps", "dropout", "channels"):
            if not isinstance(getattr(self, name), int | float) or not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        types_of: dict[str, Any] = {"normalise_features": bool, "gaps": bool, "normalised": bool | None, "rule": str}
        for name, types in types_of.items():
            if not isinstance(getattr(self, name), types):
                raise ValueError(f"{name} is {getattr(self, name)!r}")

    @classmethod
    def of(cls, encoder: EncoderSettings, clips: ClipFormat, stream: StreamName, frames: int) -> EncoderSpec:
        """The encoder of these settings, for clips of that format."""
        spec = cls(layout=clips.layout, bodies=clips.bodies, stream=stream, frames=frames, **_fields_of(encoder))
        return spec.fed_with(clips)

    def with_encoder(self, encoder: EncoderSettings) -> EncoderSpec:
        """Another encoder for the same clips."""
        return replace(self, **_fields_of(encoder))

    def fed_with(self, clips: ClipFormat) -> EncoderSpec:
        """The same encoder for clips that mean this; layout and bodies stay."""
        return replace(self, fps=clips.fps, normalised=clips.normalised, rule=clips.rule)

    def after(self, step: int, finished: bool) -> EncoderSpec:
        """The same after so many steps."""
        return replace(self, provenance=replace(self.provenance, step=step, finished=finished))

    @property
    def joints(self) -> int:
        """V."""
        return len(self.layout.joints)

    @property
    def clip_format(self) -> ClipFormat:
        """Of the clips that it learned from."""
        return ClipFormat(self.layout, self.bodies, self.fps, self.normalised, self.rule)

    def build(self, seed: int = 0, encoder: EncoderSettings | None = None) -> Encoder:
        """The encoder, or one of other settings for the same clips, with fresh weights, which follow from the seed.

        Raises:
            ConfigError: its kind cannot be of this size or direction.
        """
        if encoder is not None:
            return self.with_encoder(encoder).build(seed)
        with fresh_weights(seed):
            return Encoder(
                self.bodies,
                self.joints,
                COORDINATES,
                hidden_size=self.hidden_size,
                layers=self.layers,
                direction=self.direction,
                pooling=self.pooling,
                kind=self.kind,
                input_features=self.input_features,
                parents=self.layout.parents,
                parts=self.layout.filled_parts,
                normalise_features=self.normalise_features,
                gaps=self.gaps,
                # The root has no bone: zeros throughout are not an absent one.
                at_origin=None if self.stream == "bone" else self.layout.at_origin,
                channels=self.channels,
                dropout=self.dropout,
                frames=self.frames,
                sequence=self.sequence,
                input_scale=self.input_scale,
            )

    def check_compatible(self, clips: ClipFormat, where: str) -> None:
        """Raises CheckpointError unless clips of this format can be fed to the encoder, saying what differs.

        Another number of frames a second is no reason: it is not known which is right for the movement, and results
        name it. What is not known of either side is taken to fit.
        """
        difference = self._shape_difference(clips) or self._meaning_difference(clips)
        if difference:
            raise CheckpointError(f"{where}: the encoder {difference}")

    def _shape_difference(self, clips: ClipFormat) -> str:
        """How layout, bodies or coordinates differ, and what to do."""
        mine, theirs = self.layout, clips.layout
        otherwise = f"pretrain on this store, choose one that fits, or retarget it ({RETARGET})"
        if len(mine.joints) != len(theirs.joints):
            return (
                f"expects skeletons of layout {mine.name} ({len(mine.joints)} joints), the store holds {theirs.name} "
                f"({len(theirs.joints)} joints): {otherwise}"
            )
        for joint, name in enumerate(mine.joints):
            if name != theirs.joints[joint]:
                return (
                    f"expects {mine.name}, whose joint {joint} is '{name}', in the store's {theirs.name} it is "
                    f"'{theirs.joints[joint]}': {otherwise}"
                )
            if mine.parents[joint] != theirs.parents[joint]:
                parents = mine.joints[mine.parents[joint]], theirs.joints[theirs.parents[joint]]
                return (
                    f"expects joint '{name}' to hang from '{parents[0]}', in the store it hangs from '{parents[1]}': "
                    f"{otherwise}"
                )
        if self.bodies != clips.bodies:
            return f"expects {self.bodies} bodies a clip, the store holds {clips.bodies}: {otherwise}"
        if clips.coordinates != COORDINATES:
            return f"expects {COORDINATES} coordinates a joint, got {clips.coordinates}: give x, y and z in metres"
        return ""

    def _meaning_difference(self, clips: ClipFormat) -> str:
        """Whether or by which rule clips are normalised otherwise, and what to do."""
        if self.rule and clips.rule and (self.rule == FLAT) != (clips.rule == FLAT):
            mine, theirs = ("two", "three") if self.rule == FLAT else ("three", "two")
            return (
                f"was trained on poses of {mine} coordinates, the store's have {theirs}: pretrain on this store, or "
                "choose one that fits"
            )
        if None in (self.normalised, clips.normalised):
            return ""
        words = {True: "centred and turned", False: "as recorded"}
        if self.normalised != clips.normalised:
            again = command("pcm3", "import", "KIND", "SOURCE", "STORE", "--normalise", str(self.normalised).lower())
            return (
                f"was trained on clips that are {words[bool(self.normalised)]}, the store's are "
                f"{words[bool(clips.normalised)]}: import it again with {again}, or pretrain on this store"
            )
        if self.normalised and self.rule and clips.rule and self.rule != clips.rule:
            return (
                f"was trained on clips normalised by the rule {self.rule}, the store's are by {clips.rule}: import it "
                f"again with --rule {self.rule}, or pretrain on this store"
            )
        return ""


def _fields_of(encoder: EncoderSettings) -> dict[str, Any]:
    """Those of a spec that the settings tell."""
    return vars(encoder) | {"input_features": tuple(encoder.input_features)}
