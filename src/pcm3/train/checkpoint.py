"""Weights on disk: resuming a run, and the encoder that downstream tasks load; also the authors' own files.

Nothing here unpickles code: checkpoints are read with ``weights_only=True``, encoders are safetensors.
"""

from __future__ import annotations

import hashlib
import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from pcm3.checksums import OWN, json_checksum
from pcm3.encoders.encoder import Encoder
from pcm3.errors import CheckpointError, command
from pcm3.files import write_atomically, write_json
from pcm3.settings.encoder import Direction, EncoderKind, Pooling
from pcm3.skeleton import InputFeature, Layout, StreamName, load_layout, tree_flaw
from pcm3.train.run_folder import RunFolder

FORMAT = 2
"""Version of what is written here; readers refuse a newer one."""


@dataclass(frozen=True)
class EncoderSpec:
    """What is needed to build an encoder and to feed it."""

    layout: str
    """Name of the skeleton layout."""
    bodies: int
    joints: int
    hidden_size: int
    layers: int
    direction: Direction
    pooling: Pooling
    stream: StreamName
    frames: int = 64
    """T of the clips that it was trained on."""
    step: int = 0
    """Optimiser steps behind the weights; 0: untrained."""
    finished: bool = False
    """Whether the run that made it went to its end."""
    protocol: str = "all"
    """The split whose training side it was pretrained on."""
    store_checksum: str = ""
    """Checksum of the store that it was pretrained on."""
    kind: EncoderKind = "gru"
    input_features: tuple[InputFeature, ...] = ("joint",)
    """What it makes of a clip and feeds its layers with."""
    parents: tuple[int, ...] = ()
    """Of every joint, where the encoder needs them."""
    normalise_features: bool = False
    fps: float = 0.0
    """Frames a second of the store that it was pretrained on; 0: not known."""
    normalised: bool | None = None
    """Whether that store's clips are centred and turned; None: not known."""
    rule: str = ""
    """By which rule they are (`pcm3.data.prepare`); empty: not known."""
    gaps: bool = False
    """Whether single joints are absent from some of their frames, see `Encoder`."""

    def __post_init__(self) -> None:
        """Raises ValueError for sizes and names that no encoder has: a spec comes from a file."""
        for name in ("bodies", "joints", "hidden_size", "layers", "frames"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        names = {"direction": Direction, "pooling": Pooling, "stream": StreamName, "kind": EncoderKind}
        for name, known in names.items():
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        if not self.input_features or not all(name in get_args(InputFeature) for name in self.input_features):
            raise ValueError(f"input_features is {self.input_features!r}")
        if self.kind != "gru" and self.hidden_size % 2:  # a frame's feature is shared out among four
            raise ValueError(f"hidden_size is {self.hidden_size!r}")
        if not isinstance(self.fps, int | float) or not 0 <= self.fps < float("inf"):
            raise ValueError(f"fps is {self.fps!r}")
        kinds_of: dict[str, Any] = {"normalise_features": bool, "gaps": bool, "normalised": bool | None, "rule": str}
        for name, kinds in kinds_of.items():
            if not isinstance(getattr(self, name), kinds):
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        needed = self.kind == "graph" or "bone" in self.input_features
        if len(self.parents) != (self.joints if needed else 0) or not all(
            isinstance(parent, int) and 0 <= parent < self.joints for parent in self.parents
        ):
            raise ValueError(f"parents is {self.parents!r}")
        flaw = tree_flaw(self.parents, list(map(str, range(self.joints)))) if needed else ""
        if flaw:
            raise ValueError(f"parents: {flaw}")

    def build(self, seed: int = 0) -> Encoder:
        """The encoder with fresh weights, which follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Encoder(
                self.bodies,
                self.joints,
                hidden_size=self.hidden_size,
                layers=self.layers,
                direction=self.direction,
                pooling=self.pooling,
                kind=self.kind,
                input_features=self.input_features,
                parents=self.parents,
                normalise_features=self.normalise_features,
                gaps=self.gaps,
            )

    def see_that_it_fits(self, layout: Layout, bodies: int, where: str) -> None:
        """Raises CheckpointError unless clips of this layout and number of bodies can be fed to the encoder."""
        if self.layout != layout.name or self.joints != len(layout.joints):
            raise CheckpointError(
                f"{where}: the encoder expects skeletons of layout {self.layout} ({self.joints} joints), the store "
                f"holds {layout.name} ({len(layout.joints)} joints): pretrain on this store, or choose one that fits"
            )
        if self.bodies != bodies:
            raise CheckpointError(
                f"{where}: the encoder expects {self.bodies} bodies a clip, the store holds {bodies}: pretrain on "
                "this store, or choose one that fits"
            )


def save_encoder(run: RunFolder, encoder: Encoder, spec: EncoderSpec) -> None:
    """The encoder's weights as safetensors that carry their spec, and the spec as JSON for people to read."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    told = {"format": FORMAT, "encoder": asdict(spec), "run": run.identity()}
    # One entry, since safetensors writes several in any order, and the same run must leave the same bytes.
    data = to_safetensors(tensors, {"pcm3": json.dumps(told | {OWN: _checksum(told, tensors)})})
    write_atomically(run.encoder, lambda file: file.write(data))
    write_json(run.encoder_summary, told)


def load_encoder(path: Path) -> tuple[Encoder, EncoderSpec]:
    """The encoder of a run folder, of an ``encoder.safetensors``, or of the authors' checkpoint file.

    Raises:
        CheckpointError: there is none, it is damaged, it is not of the run whose folder it is in, or a newer version
            wrote it.
    """
    if path.is_dir():
        file = RunFolder(path).encoder
        if not file.exists():
            if (path / "store.json").is_file():
                words = command("pcm3", "pretrain", path, "--run", "RUN")
                raise CheckpointError(f"{path}: expected a run folder, got a store: pretrain first ({words})")
            words = command("pcm3", "pretrain", "STORE", "--run", path)
            raise CheckpointError(
                f"{path}: expected a run folder with {file.name}, found none: pretrain first ({words})"
            )
        return _load_ours(file, RunFolder(path))
    if not path.exists():
        raise CheckpointError(f"{path}: expected a run folder or a checkpoint file, but nothing is there")
    return _load_ours(path) if path.suffix == ".safetensors" else _load_released(path)


def _load_ours(path: Path, run: RunFolder | None = None) -> tuple[Encoder, EncoderSpec]:
    """The encoder in a file of ours; in a run's folder, that of this run."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["pcm3"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if header["format"] > FORMAT:
            raise CheckpointError(
                f"{path}: written by a newer pcm3 (format {header['format']}, this one reads up to {FORMAT}): "
                "update pcm3"
            )
        told = _of_format_2(header["encoder"])
        of_lists: dict[str, Any] = {name: tuple(told[name]) for name in ("input_features", "parents") if name in told}
        spec = EncoderSpec(**(told | of_lists))
        written, owner = header.pop(OWN, None), header.get("run")
    except (SafetensorError, KeyError, TypeError, ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path}: not an encoder that pcm3 wrote, or damaged ({error})") from error
    mine = None if run is None else run.identity()
    if None not in (owner, mine) and owner != mine:
        raise CheckpointError(f"{path}: is of another run than settings.json beside it: copy the right one there")
    encoder = spec.build()
    _fill(encoder, tensors, str(path))
    if written not in (None, _checksum(header, tensors)):
        raise CheckpointError(f"{path}: damaged, its bytes are not those that were written: copy it anew")
    return encoder.eval(), spec


EARLIER_NAMES = {
    "hidden": "hidden_size",
    "network": "kind",
    "sees": "input_features",
    "standardise": "normalise_features",
}
"""Of an encoder's fields, in the files of formats 1 and 2 → today's."""


def _of_format_2(told: dict[str, Any]) -> dict[str, Any]:
    """An encoder's fields as an earlier version wrote them → the fields of `EncoderSpec`."""
    fields = {EARLIER_NAMES.get(name, name): value for name, value in told.items()}
    seen = fields.get("input_features")
    if isinstance(seen, list):
        fields["input_features"] = ["joint" if name == "itself" else name for name in seen]
    return fields


def _checksum(told: dict[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of what an encoder's file tells and holds."""
    digest = hashlib.sha256(json_checksum(told).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _load_released(path: Path) -> tuple[Encoder, EncoderSpec]:
    """The encoder in a checkpoint of the authors' code; read as data, never as code."""
    data = _read_tensors(path, "expected a run folder or a checkpoint of the released code")
    state = data.get("state_dict", data) if isinstance(data, dict) else None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, got {type(data).__name__}")
    state = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}
    epoch = data.get("epoch")
    encoder = encoder_from_released(state)
    layout = load_layout("kinect_v2")
    spec = EncoderSpec(
        layout=layout.name,
        bodies=encoder.bodies,
        joints=encoder.joints,
        hidden_size=encoder.hidden_size,
        layers=len(encoder.layers),
        direction="causal",
        pooling="last",
        stream="joint",
        step=epoch if isinstance(epoch, int) else 0,
        finished=True,
        fps=30.0,
        normalised=True,
        rule="released",
    )
    return encoder, spec


def encoder_from_released(state_dict: Mapping[str, Tensor]) -> Encoder:
    """Our causal encoder with the weights of the authors' checkpoint.

    The released code keeps one bidirectional GRU and steps it frame by frame, so that its "reverse" weights run
    forward too; they become the second half of our causal layers. Inputs of a frame are in the order (V, C, M).

    Args:
        state_dict: with ``encoder_q.input_norm.*`` and ``encoder_q.encoder.gru.*``; other entries are ignored, and
            so is a leading ``module.``.

    Raises:
        CheckpointError: tensors are missing or do not fit together.
    """
    prefix = "encoder_q."
    state = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    state = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    first = state.get("encoder.gru.weight_ih_l0")
    if first is None or first.dim() != 2 or first.shape[1] % 75 or first.shape[0] % 3 or not first.numel():
        raise CheckpointError(
            "expected encoder_q.encoder.gru.weight_ih_l0 of shape (3H, 75 x bodies) as in the released PCM3 "
            f"checkpoints, got {'nothing' if first is None else tuple(first.shape)}"
        )
    layers = sum(name.startswith("encoder.gru.weight_ih_l") and not name.endswith("_reverse") for name in state)
    encoder = Encoder(first.shape[1] // 75, 25, hidden_size=first.shape[0] // 3, layers=layers, direction="causal")
    tensors = {}
    for name, tensor in state.items():
        if name.startswith("input_norm."):
            tensors[f"norm.{name.removeprefix('input_norm.')}"] = tensor
        elif name.startswith("encoder.gru."):
            kind, _, rest = name.removeprefix("encoder.gru.").rpartition("_l")
            layer, _, reverse = rest.partition("_")
            tensors[f"layers.{layer}.halves.{1 if reverse else 0}.{kind}_l0"] = tensor
    _fill(encoder, tensors, "the released checkpoint")
    return encoder.eval()


def _fill(encoder: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load the tensors into the encoder, or say which one does not fit."""
    expected = encoder.state_dict()
    for name in expected:
        if name not in tensors:
            raise CheckpointError(f"{where}: weight {name} is missing")
        if tensors[name].shape != expected[name].shape:
            raise CheckpointError(
                f"{where}: weight {name} has shape {tuple(tensors[name].shape)}, expected {tuple(expected[name].shape)}"
            )
    encoder.load_state_dict({name: tensors[name] for name in expected})


@dataclass(frozen=True)
class RunState:
    """What a run needs to go on, beside its settings."""

    step: int
    """Steps done."""
    seconds: float
    """Seconds spent."""
    method: dict[str, Tensor]
    """Networks and state of the method."""
    optimisers: dict[str, dict[str, Any]]
    """State of each, by the method's name for it."""


RUN_FORMAT = 3
"""Version of a run's checkpoint."""


def save_checkpoint(run: RunFolder, state: RunState) -> None:
    """The state, atomically: killed while writing, the one before is still there."""
    data = {"format": RUN_FORMAT, **vars(state)}
    identity = run.identity()
    if identity is not None:
        data["run"] = identity
    write_atomically(run.checkpoint, lambda file: torch.save(data, file))


def load_checkpoint(run: RunFolder) -> RunState | None:
    """What `save_checkpoint` wrote, on the CPU; None where the run has not come that far.

    Raises:
        CheckpointError: it is damaged, of another run, or another version wrote it.
    """
    if not run.checkpoint.exists():
        return None
    anew = "to begin anew remove the folder or choose another --run"
    data: Any = _read_tensors(run.checkpoint, f"damaged, {anew}")
    if isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] != RUN_FORMAT:
        newer = data["format"] > RUN_FORMAT
        raise CheckpointError(
            f"{run.checkpoint}: written by {'a newer' if newer else 'an earlier'} pcm3 (format {data['format']}, this "
            f"one goes on with {RUN_FORMAT}): {'update pcm3' if newer else f'go on with that version, or {anew}'}"
        )
    parts = {"format": int, "step": int, "seconds": float, "method": dict, "optimisers": dict}
    if not isinstance(data, dict) or not all(isinstance(data.get(name), kind) for name, kind in parts.items()):
        raise CheckpointError(f"{run.checkpoint}: damaged, expected {', '.join(parts)} in it; {anew}")
    if "run" in data and run.identity() not in (None, data["run"]):
        raise CheckpointError(f"{run.checkpoint}: damaged, it is of another run than settings.json beside it; {anew}")
    return RunState(data["step"], data["seconds"], data["method"], data["optimisers"])


def _read_tensors(path: Path, otherwise: str) -> Any:
    """What torch saved in a file, read as data; a CheckpointError that says `otherwise` where that cannot be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd about a file that is then refused
            _check_archive(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch's reader fail in more ways than it names
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: {otherwise} ({reason})") from None


def _check_archive(path: Path) -> None:
    """Raises ValueError where bytes are not those that torch wrote: it writes a CRC-32 of each part, but looks at none.

    Files from before torch 1.6 are no archives and carry none.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the bytes of {damaged} are not those that were written")
