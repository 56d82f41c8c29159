"""A model, or a classifier with its model, as one file for other programs: ONNX, or torch.export's ``.pt2``.

The graph takes clips that are prepared as those that the model learned from (docs/PYTHON.md says how), of any length
and number, and does all that follows: crop, resampling, stream, input features, encoder, head. What it expects is told
inside the file, as JSON.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pcm3.api.contract import FedModel
from pcm3.clips import Feed, crops_of_a_test, have_gaps
from pcm3.encoders.encoder import Encoder, StepState
from pcm3.encoders.inputs import first_past
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import ConfigError, not_one_of
from pcm3.files import write_atomically
from pcm3.limits import check_path
from pcm3.tasks.classifier import Classifier
from pcm3.tasks.head_files import weights_checksum
from pcm3.tasks.retrieval import NearestNeighbour

ExportForm = Literal["onnx", "torch"]
ENDINGS: dict[str, ExportForm] = {".onnx": "onnx", ".pt2": "torch"}
KEY = "pcm3"
"""Where the JSON stands in the metadata of an ONNX file; in a ``.pt2`` it is the extra file ``pcm3.json``."""
OPSET = 20


class WholeClips(nn.Module):
    """Prepared clips → their features, as `pcm3.api.Model.embed` gives them, or with a head the share of each class."""

    def __init__(self, encoder: Encoder, spec: EncoderSpec, head: Classifier | NearestNeighbour | None) -> None:
        super().__init__()
        self.encoder, self.spec, self.head = encoder, spec, head
        if isinstance(head, Classifier):
            self.linear = head.linear.cpu()

    def forward(self, clips: Float[Tensor, "B T M V C"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Of clips padded to one length, of which so many frames are each one's own."""
        frames, first = clips.flatten(0, 1), torch.arange(clips.shape[0], device=clips.device) * clips.shape[1]
        crops = crops_of_a_test(lengths, 1 if self.head is None else self.head.crops)
        gaps = None if self.spec.gaps else have_gaps(clips, lengths, self.spec.layout)
        features = [self._embed(frames, first + start, length, gaps) for start, length in crops]
        feature = torch.stack(features).mean(dim=0)
        return feature if self.head is None else self.head.logits(feature).softmax(dim=1)

    def _embed(
        self,
        frames: Float[Tensor, "F M V C"],
        start: Int[Tensor, " B"],
        length: Int[Tensor, " B"],
        gaps: Bool[Tensor, " B"] | None,
    ) -> Float[Tensor, "B D"]:
        """Of a crop of each clip; None: the encoder learned from clips with gaps, and takes all for such."""
        crops, feed = (frames, start, length), Feed(self.spec.stream, self.spec.layout, gaps=False)
        torn = self._inputs(feed.torn(), *crops)
        if gaps is not None:
            torn = torch.where(gaps[:, None, None], torn, self._inputs(feed, *crops))
        (features,) = self.encoder.encode_views(torn)
        return self.encoder.readout.finish(self.encoder.pool(features))

    def _inputs(
        self, feed: Feed, frames: Float[Tensor, "F M V C"], start: Int[Tensor, " B"], length: Int[Tensor, " B"]
    ) -> Float[Tensor, "B T I"]:
        crops = feed.crops(frames, start, length, self.spec.frames)
        return feed.adapted(self.encoder).build_inputs(feed.streamed(crops))


class OneFrame(nn.Module):
    """One more frame of each recording → its feature, and what to pass with the next one, as `Encoder.step`.

    The state (B, S) holds all that is remembered, float32; zeros before the first frame.
    """

    def __init__(self, encoder: Encoder, spec: EncoderSpec) -> None:
        super().__init__()
        self.encoder, self.spec = encoder, spec
        frame = torch.zeros(1, spec.bodies, spec.joints, 3)
        _, state = encoder.step(frame)
        self.past = state.past.shape[1:]
        self.sizes = [1, state.past[0].numel(), *(layer.shape[1] for layer in state.layers)]

    @property
    def size(self) -> int:
        """S: whether there was a frame, the frames that motions lead from, the state of each layer."""
        return sum(self.sizes)

    def forward(
        self, frame: Float[Tensor, "B M V C"], state: Float[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B W"], Float[Tensor, "B S"]]:
        """The feature of the frame, and the next state."""
        begun, past, *layers = state.split(self.sizes, dim=1)
        streamed = Feed.live(self.spec).streamed(frame.unsqueeze(1)).squeeze(1)
        before = torch.where(
            begun[..., None, None, None] > 0,
            past.unflatten(1, self.past),
            first_past(streamed, self.encoder.input_features),
        )
        feature, after = self.encoder.step(streamed, StepState(before, tuple(layers)))
        return feature, torch.cat([torch.ones_like(begun), after.past.flatten(1), *after.layers], dim=1)


@dataclass(frozen=True)
class Exportable:
    """A module that is to become a file, and what its inputs and outputs are."""

    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: dict[str, str]
    """Name → what it is, in words."""
    outputs: dict[str, str]
    axes: tuple[tuple[str, ...], ...]
    """Names of the leading axes of each input that may be of any length."""
    about: dict[str, Any]
    """What else a program must know, as JSON."""

    @classmethod
    def clips(cls, model: FedModel, head: Classifier | NearestNeighbour | None) -> Exportable:
        """Whole clips: the model's features, or with a head the shares of its classes."""
        spec, network = model.spec, model.encoder
        if isinstance(head, Classifier) and isinstance(head.tuned, Encoder):
            network = head.tuned
        if isinstance(head, NearestNeighbour):
            head = replace(head, gallery=head.gallery.cpu(), label=head.label.cpu())
        module = WholeClips(deepcopy(network).cpu(), spec, deepcopy(head))
        inputs = {"clips": f"(B, T, {spec.bodies}, {spec.joints}, 3) float32: prepared clips, padded to one length; "
                           "bodies and joints that are absent are zeros",
                  "lengths": "(B,) int64: how many of the T frames are each clip's own"}  # fmt: skip
        classes = [] if head is None else list(head.classes)
        outputs = {"shares": f"(B, {len(classes)}) float32: the share of each of the classes"}
        if head is None:
            outputs = {"features": f"(B, {model.encoder.width}) float32: one row a clip"}
        example = (torch.randn(2, 24, spec.bodies, spec.joints, 3), torch.tensor([24, 20]))
        about = {"what": "features" if head is None else "classes", "classes": classes}
        return cls(module.eval(), example, inputs, outputs, (("batch", "frames"), ("batch",)), about)

    @classmethod
    def step(cls, model: FedModel) -> Exportable:
        """A causal model, frame by frame.

        Raises:
            ConfigError: its frames know later ones.
        """
        spec, encoder = model.spec, Feed.live(model.spec).adapted(model.encoder)
        why = f"a {encoder.direction} {encoder.kind}" if not encoder.causal else ""
        if spec.stream == "motion" or (spec.stream == "bone" and spec.gaps):
            why = f"one of the stream {spec.stream}{' with gaps' if spec.gaps else ''}"
        if why:
            raise ConfigError(f"--step: expected a causal model of the joint stream to step frame by frame, got {why}")
        module = OneFrame(deepcopy(encoder).cpu(), spec).eval()
        per_frame = f"(B, {spec.bodies}, {spec.joints}, 3)"
        inputs = {
            "frame": f"{per_frame} float32: the next frame of each recording, prepared",
            "state": f"(B, {module.size}) float32: zeros before the first frame, then what the last one gave",
        }
        outputs = {
            "feature": f"(B, {encoder.frame_width}) float32: of the frame",
            "next_state": f"(B, {module.size}) float32: to pass with the next frame",
        }
        example = (torch.randn(2, spec.bodies, spec.joints, 3), torch.zeros(2, module.size))
        about = {"what": "step", "state": module.size}
        return cls(module, example, inputs, outputs, (("batch",), ("batch",)), about)

    @property
    def dynamic_shapes(self) -> tuple[dict[int, Any], ...]:
        """Of the inputs, for torch.export."""
        named = {name: torch.export.Dim(name) for axes in self.axes for name in axes}
        return tuple({axis: named[name] for axis, name in enumerate(axes)} for axes in self.axes)


def description(model: FedModel, exported: Exportable) -> dict[str, Any]:
    """What a program must know to use the file, as JSON."""
    spec = model.spec
    origin = spec.provenance
    return {
        "pcm3": version("pcm3"), **exported.about, "inputs": exported.inputs, "outputs": exported.outputs,
        "layout": spec.layout.to_dict(), "bodies": spec.bodies, "fps": spec.fps, "normalised": spec.normalised,
        "rule": spec.rule, "frames": spec.frames, "stream": spec.stream, "input_features": list(spec.input_features),
        "kind": spec.kind, "direction": spec.direction, "pooling": spec.pooling,
        "model": weights_checksum(model.encoder),
        "provenance": {"method": origin.method, "step": origin.step, "store": origin.store_checksum},
    }  # fmt: skip


def export(
    model: FedModel,
    path: str | Path,
    *,
    head: Classifier | NearestNeighbour | None = None,
    to: ExportForm | None = None,
    step: bool = False,
) -> dict[str, Any]:
    """Write a model into one file for other programs.

    Args:
        model: is exported from the CPU in float32.
        path: of the file.
        head: a classifier that was fitted on it; None: its features.
        to: None: as the file's name ends, ``.onnx`` or ``.pt2``.
        step: frame by frame, with an explicit state; of causal models.

    Returns:
        What the file tells of itself.

    Raises:
        ConfigError: the form is not known or cannot be, or what it needs is not installed.
    """
    check_path("path", path)
    path = Path(path)
    if to is not None and to not in ENDINGS.values():
        raise ConfigError(not_one_of("a form", to, ENDINGS.values()))
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: expected a file in a folder that is there: make {path.parent} first")
    form = to or ENDINGS.get(path.suffix)
    if form is None:
        raise ConfigError(f"{path}: expected a file {' or '.join(ENDINGS)}, or --to onnx or torch")
    if step and head is not None:
        raise ConfigError(
            "--step: expected a model, whose frames have features, got a head, which classifies whole clips"
        )
    if form == "onnx":
        _check_installed()
    exported = Exportable.step(model) if step else Exportable.clips(model, head)
    metadata = description(model, exported)
    with torch.no_grad(), _quiet():
        exported.module(*exported.example)  # what is kept between calls is kept before anything is traced
        data = (_onnx if form == "onnx" else _pt2)(exported, metadata)
    write_atomically(path, lambda file: file.write(data))
    return metadata


def _pt2(exported: Exportable, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(_program(exported), buffer, extra_files={f"{KEY}.json": json.dumps(metadata)})
    return buffer.getvalue()


def _onnx(exported: Exportable, metadata: dict[str, Any]) -> bytes:
    program = torch.onnx.export(
        _program(exported), dynamo=True, opset_version=OPSET, verbose=False,
        input_names=list(exported.inputs), output_names=list(exported.outputs),
    )  # fmt: skip
    if program is None:
        raise ConfigError("expected an ONNX program from torch.onnx.export, got none")
    program.model.metadata_props[KEY] = json.dumps(metadata)
    return bytes(program.model_proto.SerializeToString())


def _program(exported: Exportable) -> torch.export.ExportedProgram:
    return torch.export.export(exported.module, exported.example, dynamic_shapes=exported.dynamic_shapes)


def _check_installed() -> None:
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"--to onnx needs {' and '.join(missing)}: pip install 'pcm3[onnx]'")


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, torch and onnxscript do not tell what they leave out and will change."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
