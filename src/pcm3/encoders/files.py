"""Models on disk: a folder that feeds itself, earlier files of ours, and the authors' checkpoints.

A model folder holds ``model.safetensors``, the weights, and ``model.json``, what they are and what they are fed with.
The weights carry the same description, so that either is told from another model's, and a run that is killed between
writing the two leaves a model. Nothing here unpickles code.
"""

from __future__ import annotations

import hashlib
import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from pcm3.checksums import OWN, has_changed, json_checksum, read_checked_json, with_checksum
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.spec import EncoderSpec, Provenance
from pcm3.errors import CheckpointError, ConfigError, DataError, command
from pcm3.files import write_atomically, write_json
from pcm3.packaged import packaged_model
from pcm3.skeleton import layout_from_dict, load_layout

FORMAT = 3
"""Version of a model folder; readers refuse a newer one. Formats 1 and 2 are a file, `EARLIER_FILE`, which named its
layout only."""
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
EARLIER_FILE = "encoder.safetensors"
EARLIER_NAMES = {
    "hidden": "hidden_size",
    "network": "kind",
    "sees": "input_features",
    "standardise": "normalise_features",
}
"""Of an encoder's fields, in formats 1 and 2 → today's."""


UNREADABLE: tuple[type[Exception], ...] = (
    SafetensorError, KeyError, TypeError, ValueError, AttributeError, OSError, RecursionError, DataError, ConfigError,
)  # fmt: skip
"""How reading a file that is not one of ours may fail."""


class _Earlier(Exception):  # noqa: N818 (what it says becomes a CheckpointError)
    """Why a file of an earlier version is of no use any more."""


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model of its own."""
    return any((folder / name).is_file() for name in (WEIGHTS, DESCRIPTION, EARLIER_FILE))


def save_encoder(
    folder: Path, encoder: Encoder, spec: EncoderSpec, run: int | None = None, *, half: bool = False
) -> None:
    """Write the encoder, built by `spec`, as a model into a folder.

    Args:
        folder: is made where it is not there.
        encoder: with its weights.
        spec: what it is, and what it is fed with.
        run: number of the run that it is of.
        half: matrices in float16, half the bytes; loaded, they are float32. Small variances would not survive it.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.dim() > 1 else tensor for name, tensor in tensors.items()}
    model = asdict(spec)
    description = with_checksum({
        "format": FORMAT, "model": model, "provenance": model.pop("provenance"), "run": run,
        "weights": tensors_checksum(tensors),
    })  # fmt: skip
    # One entry, since safetensors writes several in any order, and the same run must leave the same bytes.
    data = to_safetensors(tensors, {"pcm3": json.dumps(description)})
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, lambda file: file.write(data))
    write_json(folder / DESCRIPTION, description)


def load_encoder(path: Path) -> tuple[Encoder, EncoderSpec]:
    """The encoder, in evaluation mode, of a model folder, its weights' file alone, or the authors' checkpoint file; or
    of the model of that name that comes with the package.

    Raises:
        CheckpointError: there is none, it is damaged or not whole, it is not of the run whose folder it is in, or a
            newer version wrote it.
    """
    path = packaged_model(path)
    if path.is_dir():
        return _load_folder(path)
    if not path.exists():
        raise CheckpointError(f"{path}: expected a run folder or a checkpoint file, but nothing is there")
    return _load_weights(path) if path.suffix == ".safetensors" else _load_released(path)


def run_identity(folder: Path) -> int | None:
    """The number that all files of the run in a folder carry; None where its settings.json has none."""
    try:
        number = json.loads((folder / "settings.json").read_text(encoding="utf-8"))["run"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return number if type(number) is int else None


def tensors_checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors with their names, types and shapes: one string for a model's weights."""
    digest = hashlib.sha256()
    _add_tensors(digest, tensors)
    return digest.hexdigest()


def _add_tensors(digest: Any, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def _load_folder(folder: Path) -> tuple[Encoder, EncoderSpec]:
    weights, description = folder / WEIGHTS, folder / DESCRIPTION
    there = [file.name for file in (weights, description) if file.exists()]
    if len(there) == 1:
        (missing,) = {WEIGHTS, DESCRIPTION} - {*there}
        raise CheckpointError(f"{folder}: {missing} is missing beside {there[0]}: copy the whole folder anew")
    if not there and (folder / EARLIER_FILE).exists():
        return _load_weights(folder / EARLIER_FILE, run_identity(folder))
    if not there:
        raise CheckpointError(f"{folder}: {_no_model(folder)}")
    header = read_checked_json(description, CheckpointError, "copy the folder anew")
    _check_format(header.get("format"), description)
    return _load_weights(weights, run_identity(folder), header)


def _no_model(folder: Path) -> str:
    """What lies in a folder in place of a model, and what to do."""
    if (folder / "store.json").is_file():
        words = command("pcm3", "pretrain", folder, "--run", "RUN")
        return f"expected a run folder, got a store: pretrain first ({words})"
    if (folder / "head.json").is_file():
        own = folder / "model"
        where = f"its model is {own}" if is_model(own) else "give the model that it was fitted on"
        return f"expected a model, got a head: {where}"
    is_free = (folder / "settings.json").is_file() or not any(folder.iterdir())
    words = command("pcm3", "pretrain", "STORE", "--run", folder if is_free else "RUN")
    return f"expected a run folder with {WEIGHTS}, found none: pretrain first ({words})"


def _load_weights(
    path: Path, run: int | None = None, beside: dict[str, Any] | None = None
) -> tuple[Encoder, EncoderSpec]:
    """The encoder in a file of ours, which must be of this run and of the model that is described `beside` it."""
    try:
        header, tensors = _read_weights(path)
        spec = _spec_of(header)
        encoder = spec.build()
    except _Earlier as error:
        raise CheckpointError(f"{path}: {error}") from None
    except UNREADABLE as error:
        raise CheckpointError(f"{path}: not an encoder that pcm3 wrote, or damaged ({error})") from error
    owner = header.get("run")
    if None not in (owner, run) and owner != run:
        raise CheckpointError(f"{path}: is of another run than settings.json beside it: copy the right one there")
    mine = {name: value for name, value in header.items() if name != OWN}
    # Of one run they are of one model all the same: it was killed after it had written one of the two.
    if beside is not None and beside != mine and (owner is None or beside.get("run") != owner):
        raise CheckpointError(f"{path}: is of another model than {DESCRIPTION} beside it: copy both anew")
    _fill(encoder, tensors, str(path))
    if not _is_complete(header, tensors):
        raise CheckpointError(f"{path}: damaged, its bytes are not those that were written: copy it anew")
    return encoder.eval(), spec


def _read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the tensors in a file of ours of any format."""
    with safe_open(path, framework="pt") as file:
        header = json.loads((file.metadata() or {})["pcm3"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    _check_format(header["format"], path)
    return header, tensors


def _is_complete(header: dict[str, Any], tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file of ours holds what was written, by its checksums; files of format 1 have none."""
    if header["format"] < 3:
        return header.get(OWN) in (None, _earlier_checksum(header, tensors))
    return not has_changed(header) and header.get("weights") == tensors_checksum(tensors)


def _check_format(number: object, path: Path) -> None:
    if type(number) is not int:
        raise CheckpointError(f"{path}: damaged, expected a format from 1 to {FORMAT}: copy it anew")
    check_not_newer(number, FORMAT, path)


def check_not_newer(number: object, newest: int, path: Path) -> None:
    """Raises CheckpointError where a format is newer than what can be read here."""
    if isinstance(number, int) and number > newest:
        raise CheckpointError(
            f"{path}: written by a newer pcm3 (format {number}, this one reads up to {newest}): update pcm3"
        )


def _spec_of(header: dict[str, Any]) -> EncoderSpec:
    """The spec that a file tells of, of any format."""
    values = dict(header["encoder"] if header["format"] < 3 else header["model"])
    if header["format"] < 3:
        values = _of_earlier(values, header["format"])
        origin = {entry.name: values.pop(entry.name) for entry in fields(Provenance) if entry.name in values}
    else:
        values["layout"] = layout_from_dict(values["layout"], "layout")
        origin = {entry.name: header["provenance"][entry.name] for entry in fields(Provenance)}
    if not isinstance(values["input_features"], list | tuple):
        raise ValueError(f"input_features is {values['input_features']!r}")
    values["input_features"] = tuple(values["input_features"])
    return EncoderSpec(**values, provenance=Provenance(**origin))


def _of_earlier(fields_: dict[str, Any], version: int) -> dict[str, Any]:
    """An encoder's fields as format 1 or 2 has them → those of `EncoderSpec` and `Provenance`."""
    values = {EARLIER_NAMES.get(name, name): value for name, value in fields_.items()}
    input_features = values.setdefault("input_features", ["joint"])
    if isinstance(input_features, list):
        values["input_features"] = ["joint" if name == "itself" else name for name in input_features]
    if values["direction"] == "causal" and any(str(name).startswith("motion") for name in values["input_features"]):
        raise _Earlier(
            f"written by an earlier pcm3 (format {version}), whose causal encoders looked a frame ahead for motions: "
            "pretrain again"
        )
    joints, parents = values.pop("joints"), values.pop("parents", ())
    try:
        values["layout"] = load_layout(values["layout"])
    except DataError:
        raise _Earlier(
            f"written by an earlier pcm3 (format {version}), which only named the layout of its skeletons, and there "
            f"is none called '{values['layout']}' here: pretrain again"
        ) from None
    if joints != len(values["layout"].joints) or (parents and tuple(parents) != values["layout"].parents):
        raise ValueError(f"joints is {joints!r}, parents is {parents!r} in layout {values['layout'].name}")
    return values


def _earlier_checksum(header: dict[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of what a file of format 2 tells and holds."""
    rest = {name: value for name, value in header.items() if name != OWN}
    digest = hashlib.sha256(json_checksum(rest).encode())
    _add_tensors(digest, tensors)
    return digest.hexdigest()


def _load_released(path: Path) -> tuple[Encoder, EncoderSpec]:
    """The encoder in a checkpoint of the authors' code; read as data, never as code."""
    data = read_tensors(path, "expected a run folder or a checkpoint of the released code")
    state = data.get("state_dict", data) if isinstance(data, dict) else None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, got {type(data).__name__}")
    state = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if {"format", "method", "optimisers"} <= data.keys():
        raise CheckpointError(f"{path}: is what a run goes on from, not its model: give the run folder, {path.parent}")
    epoch = data.get("epoch")
    try:
        encoder = encoder_from_released(state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    spec = EncoderSpec(
        layout=load_layout("kinect_v2"),
        bodies=encoder.bodies,
        hidden_size=encoder.hidden_size,
        layers=len(encoder.layers),
        direction="causal",
        pooling="last",
        stream="joint",
        fps=30.0,
        normalised=True,
        rule="released",
        provenance=Provenance(method="pcm3", step=epoch if isinstance(epoch, int) else 0, finished=True),
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


def read_tensors(path: Path, otherwise: str) -> Any:
    """What torch saved in a file, read as data; a CheckpointError that says `otherwise` where that cannot be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd about a file that is then refused
            _check_archive(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch's reader fail in more ways than it names
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if reason.startswith("Weights only"):  # what torch advises next is to run what the file holds
            reason = "it is no file of torch's, or holds more than tensors"
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
