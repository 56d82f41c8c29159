"""Heads on disk: a folder with ``head.safetensors`` and ``head.json``, which names the model that it was fitted on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from pcm3.checksums import read_checked_json, with_checksum
from pcm3.clips import ClipEncoder
from pcm3.encoders.files import check_not_newer, tensors_checksum
from pcm3.encoders.in_bfloat16 import InBfloat16
from pcm3.errors import CheckpointError, brief
from pcm3.files import write_atomically, write_json

EncoderUse = Literal["frozen", "tuned"]
"""Whether a head alone is trained, or with it a copy of the encoder, which then is part of the head."""
FORMAT = 1
"""Of the files; a newer one is refused."""
TENSORS, DESCRIPTION = "head.safetensors", "head.json"
TUNED = "encoder."
"""How the names of a fine-tuned encoder's weights begin in a head's file."""


@dataclass(frozen=True, eq=False)
class HeadFile:
    """What the two files of a head hold."""

    kind: str
    """Which head it is, see `pcm3.tasks.heads.HEADS`."""
    model: str
    """`weights_checksum` of the encoder that it was fitted on."""
    settings: Mapping[str, Any]
    """Of the fit, as JSON."""
    tensors: Mapping[str, Tensor]
    classes: tuple[str, ...] = ()
    """Names of what it tells apart; none where it predicts motion."""
    sizes: Mapping[str, Any] = field(default_factory=dict)
    """What else is needed to use it, as JSON."""

    def save(self, folder: Path) -> None:
        """Write both files; the folder is made where it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        description = {
            "format": FORMAT,
            "kind": self.kind,
            "model": self.model,
            "classes": list(self.classes),
            "settings": dict(self.settings),
            "sizes": dict(self.sizes),
            "tensors": tensors_checksum(tensors),
        }
        data = to_safetensors(tensors)
        write_atomically(folder / TENSORS, lambda file: file.write(data))
        write_json(folder / DESCRIPTION, with_checksum(description))

    @classmethod
    def load(cls, folder: Path) -> HeadFile:
        """What lies in a folder.

        Raises:
            CheckpointError: there is no head, it is damaged, or a newer version wrote it.
        """
        try:
            description = read_checked_json(folder / DESCRIPTION, CheckpointError, "fit the head anew")
            data = (folder / TENSORS).read_bytes()
        except OSError as error:
            raise CheckpointError(
                f"{folder}: expected a head ({DESCRIPTION} and {TENSORS}), and {error.filename} cannot be read "
                f"({error.strerror}): pcm3 evaluate --save-heads writes heads"
            ) from error
        check_not_newer(description.get("format"), FORMAT, folder)
        try:
            if type(description["format"]) is not int:
                raise ValueError(f"format is {brief(description['format'])}")
            for name, kind in (("kind", str), ("model", str), ("settings", dict), ("sizes", dict), ("classes", list)):
                if not isinstance(description[name], kind):
                    raise ValueError(f"{name} is {brief(description[name])}")
            tensors = from_safetensors(data)
            if tensors_checksum(tensors) != description["tensors"]:
                raise ValueError(f"{TENSORS} is not the file that {DESCRIPTION} was written with")
            classes = tuple(description["classes"])
            if not all(isinstance(name, str) for name in classes) or len(set(classes)) < len(classes):
                raise ValueError(f"classes is {brief(description['classes'])}, no names that differ")
            return cls(
                description["kind"],
                description["model"],
                description["settings"],
                tensors,
                classes,
                description["sizes"],
            )
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder}: damaged ({error}): fit the head anew") from error

    def tuned(self, encoder: ClipEncoder) -> ClipEncoder | None:
        """A copy of the encoder with the fine-tuned weights that the file holds; None where it holds none.

        Raises:
            RuntimeError: they are not the weights of such an encoder.
        """
        weights = {name.removeprefix(TUNED): value for name, value in self.tensors.items() if name.startswith(TUNED)}
        if not weights:
            return None
        copy = deepcopy(encoder)
        bare(copy).load_state_dict(weights)
        copy.train(False)
        return copy


def bare(encoder: ClipEncoder) -> nn.Module:
    """The encoder without what only chooses a precision for it; an empty module where it has no weights."""
    if isinstance(encoder, InBfloat16):
        return encoder.encoder
    return encoder if isinstance(encoder, nn.Module) else nn.Module()


def tuned_tensors(encoder: ClipEncoder | None) -> dict[str, Tensor]:
    """The weights of a fine-tuned encoder by their names in a head's file; none of None."""
    return {} if encoder is None else {TUNED + name: value for name, value in bare(encoder).state_dict().items()}


def weights_checksum(encoder: ClipEncoder) -> str:
    """SHA-256 of an encoder's width and weights, the same in every precision and file that it may lie in."""
    return hashlib.sha256(f"{encoder.width} {tensors_checksum(bare(encoder).state_dict())}".encode()).hexdigest()
