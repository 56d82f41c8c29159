"""The model at work in a user's own program: `load` one, embed clips, fit heads and use them."""

from __future__ import annotations

from pathlib import Path

from pcm3.api.given import Recorded
from pcm3.api.heads import MODEL, ClassifierHead, DetectorHead, Head, PredictorHead, check_head, head_of
from pcm3.api.hub import download, is_hub_name
from pcm3.api.live import LiveFeature, LiveLabel, Stream
from pcm3.api.model import Model
from pcm3.device import choose_device
from pcm3.encoders.files import is_model
from pcm3.errors import CheckpointError
from pcm3.limits import check_path, check_type
from pcm3.settings.pretrain import Device

__all__ = [
    "ClassifierHead",
    "DetectorHead",
    "Head",
    "LiveFeature",
    "LiveLabel",
    "Model",
    "PredictorHead",
    "Recorded",
    "Stream",
    "load",
    "load_head",
]


def load(path: str | Path, *, device: Device = "auto") -> Model:
    """A trained model.

    Args:
        path: of a run, a model folder or a checkpoint file, the authors' too; ``simulated``, a model that comes with
            the package (docs/SIMULATED_MODEL.md); or ``org/name`` on the hub of Hugging Face.
        device: where to compute.

    Raises:
        CheckpointError: there is none, it is damaged, or a newer pcm3 wrote it.
    """
    check_path("model", path)
    return Model.read(download(str(path)) if is_hub_name(path) else Path(path), choose_device(device))


def load_head(folder: str | Path, *, model: Model | None = None, device: Device = "auto") -> Head:
    """A head, with the model that it was fitted on.

    Args:
        folder: that a head's `save`, ``pcm3 fit`` or ``pcm3 evaluate --save-heads`` wrote.
        model: that it was fitted on; None: it lies in the folder.
        device: where to compute, where the model lies in the folder.

    Raises:
        CheckpointError: there is no head, it is damaged, or it was fitted on another model.
    """
    check_path("head", folder)
    if model is not None:
        check_type("model", model, Model, "a model that pcm3.load gave")
    folder = Path(folder)
    check_head(folder)
    if model is None and not is_model(folder / MODEL):
        raise CheckpointError(
            f"{folder}: expected a head with its model (a folder '{MODEL}' in it), found none: name the model that it "
            "was fitted on (--model RUN)"
        )
    return head_of(model or load(folder / MODEL, device=device), folder)
