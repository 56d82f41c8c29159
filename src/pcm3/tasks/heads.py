"""The heads that tasks fit, and how a saved one is used again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from pcm3.clips import ClipEncoder
from pcm3.errors import CheckpointError, ConfigError
from pcm3.tasks.classifier import Classifier
from pcm3.tasks.detection.evaluate import Detector
from pcm3.tasks.head_files import HeadFile, bare, weights_checksum
from pcm3.tasks.prediction.evaluate import Predictor
from pcm3.tasks.retrieval import NearestNeighbour

Head = Classifier | NearestNeighbour | Detector | Predictor
HEADS: dict[str, type[Head]] = {head.kind: head for head in (Classifier, NearestNeighbour, Detector, Predictor)}
"""By the kind that ``head.json`` names."""


def load_head(folder: Path, encoder: ClipEncoder) -> Head:
    """The head in a folder, on the device of the encoder that it was fitted on.

    Raises:
        CheckpointError: there is no head, it was fitted on another encoder, it is damaged, or a newer version wrote it.
    """
    file = HeadFile.load(folder)
    if file.kind not in HEADS:
        raise CheckpointError(f"{folder}: expected a head ({', '.join(HEADS)}), got '{file.kind}': update pcm3")
    mine = weights_checksum(encoder)
    if file.model != mine:
        raise CheckpointError(
            f"{folder}: was fitted on another model (its weights have checksum {file.model[:12]}…, those of this one "
            f"{mine[:12]}…): give the model that it was fitted on, or fit a head on this one"
        )
    weight = next(bare(encoder).parameters(), torch.empty(0))
    tensors = {name: tensor.to(weight.device) for name, tensor in file.tensors.items()}
    try:
        head = HEADS[file.kind].of(replace(file, tensors=tensors), encoder)
        head.settings.check()
        _check_classes(head)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError, ConfigError) as error:
        raise CheckpointError(f"{folder}: damaged ({str(error).splitlines()[0]}): fit the head anew") from error
    return head


def _check_classes(head: Head) -> None:
    """Raises ValueError unless there is a name for each class that the head tells apart."""
    if isinstance(head, Predictor):
        return
    if isinstance(head, NearestNeighbour):
        count = int(head.label.max()) + 1
        wrong = count > len(head.classes) or int(head.label.min()) < 0
    else:
        count = head.linear.out_features - isinstance(head, Detector)  # which has the background beside
        wrong = count != len(head.classes)
    if wrong:
        raise ValueError(f"{len(head.classes)} names for {count} classes")
