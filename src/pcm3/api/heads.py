"""What was fitted on a model, together with it: classes of clips, actions in recordings, motion to come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from pcm3.api.contract import FedModel
from pcm3.api.export import ExportForm, export
from pcm3.api.given import AS_THE_MODEL, Clips, Recorded, recorded_so
from pcm3.api.live import WINDOW, LiveLabel, Stream, stream_actions, stream_classes
from pcm3.data.store import STORE, ClipStore
from pcm3.encoders.files import is_model
from pcm3.errors import CheckpointError, ConfigError, DataError
from pcm3.files import new_folder
from pcm3.limits import folder_to_write
from pcm3.skeleton import Layout
from pcm3.tasks.classifier import Classifier
from pcm3.tasks.detection.evaluate import Detector
from pcm3.tasks.detection.windows import RecordingBank
from pcm3.tasks.head_files import DESCRIPTION, TENSORS
from pcm3.tasks.heads import load_head
from pcm3.tasks.prediction.evaluate import Predictor
from pcm3.tasks.prediction.windows import RATE, MotionBank
from pcm3.tasks.retrieval import NearestNeighbour

MODEL = "model"
"""The folder in a head's own in which the model lies that it was fitted on."""


@dataclass(frozen=True)
class Action:
    """A motion that was found in a recording."""

    label: str
    """Name of its class."""
    start: float
    """Seconds from the recording's beginning."""
    stop: float
    """Likewise, of its end."""
    confidence: float
    """The mean score of the class in it, 0 to 1."""


@dataclass(frozen=True, eq=False)
class ClassifierHead:
    """Tells the class of a clip. Wherever clips are asked for: see `Model.embed`."""

    model: FedModel
    fitted: Classifier | NearestNeighbour

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the L classes."""
        return self.fitted.classes

    def predict_proba(
        self,
        clips: Clips,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        recorded: Recorded = AS_THE_MODEL,
    ) -> NDArray[np.float32]:
        """The share of each class: one row a clip (N, L), or (L,) of a single array.

        Args:
            clips: see `Model.embed`, as the three that follow.
            fps: frames a second.
            layout: of the skeletons.
            up: which way is up.
            recorded: of files: all that is known of them.

        Raises:
            DataError: as `Model.embed`.
        """
        given = self.model.given(clips, recorded_so(recorded, fps, layout, up))
        features = self.fitted.features(self.model.encoder, self.model.bank(given.store), np.arange(len(given.store)))
        shares = self.shares(features).cpu().numpy()
        return shares[0] if given.single else shares

    def shares(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N L"]:
        """The share of each class, of features as the head sees them."""
        return self.fitted.logits(features).softmax(dim=1)

    def predict(
        self,
        clips: Clips,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        recorded: Recorded = AS_THE_MODEL,
    ) -> NDArray[Any]:
        """The name of the likeliest class of each clip (N,); of a single array that name alone, as an array ().

        Args:
            clips: see `predict_proba`.
            fps: see `predict_proba`.
            layout: see `predict_proba`.
            up: see `predict_proba`.
            recorded: see `predict_proba`.

        Raises:
            DataError: as `Model.embed`.
        """
        shares = self.predict_proba(clips, fps=fps, layout=layout, up=up, recorded=recorded)
        return np.asarray(np.array(self.classes)[shares.argmax(axis=-1)])

    def stream(
        self,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        window: float = WINDOW,
        hop: int | None = None,
    ) -> Stream[LiveLabel]:
        """Frames in as they come, the class of the last seconds out (docs/LIVE.md).

        Args:
            fps: frames a second of the sender; None: the model's.
            layout: of the frames; None: the model's, or told by joint names.
            up: which way is up; None: found in each window, as `predict` finds it.
            window: seconds that are seen.
            hop: frames, at the model's rate, from one result to the next; None: a fifth of a second.

        Raises:
            ConfigError: a setting that makes no sense.
            DataError: no such layout, or one that cannot be retargeted to the model's.
        """

        def shares_of(clip: NDArray[np.float32], rate: float, up: str | None) -> NDArray[np.float32]:
            return np.asarray(self.predict_proba([clip], fps=rate, layout=self.model.spec.layout, up=up)[0])

        return stream_classes(self.model, self.classes, shares_of, Recorded(fps, layout, up), window, hop)

    def export(self, path: str | Path, *, to: ExportForm | None = None) -> dict[str, Any]:
        """Write the head with its model as one file for other programs, see `pcm3.api.export.export`."""
        return export(self.model, path, head=self.fitted, to=to)

    def save(self, folder: str | Path) -> None:
        """Write the head and its model into a folder, which `load_head` reads."""
        _save(self, folder)


@dataclass(frozen=True, eq=False)
class DetectorHead:
    """Finds actions in long recordings."""

    model: FedModel
    fitted: Detector

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the L classes."""
        return self.fitted.classes

    def predict_proba(
        self,
        recording: Clips,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        recorded: Recorded = AS_THE_MODEL,
    ) -> NDArray[np.float64]:
        """For each frame of one recording, at the model's frames a second, the share of no action at all, and of each
        class (T, 1 + L), not smoothed.

        Args:
            recording: one; see `Model.embed`, as the three that follow.
            fps: frames a second.
            layout: of the skeletons.
            up: which way is up.
            recorded: of files: all that is known of them.

        Raises:
            DataError: as `Model.embed`; or more than one recording.
        """
        given = self.model.given_recordings(recording, recorded_so(recorded, fps, layout, up))
        bank = RecordingBank.of(given.store, self.model.spec.stream, self.model.device)
        if len(bank.start) != 1:
            raise DataError(f"recording: expected one recording, got {len(bank.start)}")
        return np.asarray(self.fitted.scores(self.model.encoder, bank, 0))

    def predict(
        self,
        recordings: Clips,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        recorded: Recorded = AS_THE_MODEL,
    ) -> list[list[Action]]:
        """The actions in each recording, by their start.

        Args:
            recordings: see `Model.embed`, as the three that follow.
            fps: frames a second.
            layout: of the skeletons.
            up: which way is up.
            recorded: of files: all that is known of them.

        Raises:
            DataError: as `Model.embed`.
        """
        given = self.model.given_recordings(recordings, recorded_so(recorded, fps, layout, up))
        return [actions for _, actions in self.predict_named(given.store)]

    def predict_named(self, store: ClipStore) -> list[tuple[str, list[Action]]]:
        """The id and the actions of each recording of a store that the model can be fed with."""
        bank = RecordingBank.of(store, self.model.spec.stream, self.model.device)
        names = (store.recordings or store).ids.tolist()
        predictions = []
        for place, name in enumerate(names):
            actions = [
                Action(self.classes[label], start / store.fps, stop / store.fps, confidence)
                for label, start, stop, confidence in self.fitted.detect(self.model.encoder, bank, place)
            ]
            predictions.append((name, actions))
        return predictions

    def stream(
        self,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        hop: int | None = None,
    ) -> Stream[LiveLabel]:
        """Frames in as they come, out what is done (docs/LIVE.md).

        A detector with the feature ``frame`` tells it of each frame, as `predict_proba` of the whole recording would;
        others of the frame in the middle of the last window, `Stream.delay` later.

        Args:
            fps: frames a second of the sender; None: the model's.
            layout: of the frames; None: the model's, or told by joint names.
            up: which way is up; None: found in the first second, or in each window.
            hop: frames, at the model's rate, from one window to the next; None: a fifth of a second.

        Raises:
            ConfigError: a setting that makes no sense.
            DataError: no such layout, or one that cannot be retargeted to the model's.
        """
        return stream_actions(self.model, self.fitted, Recorded(fps, layout, up), hop)

    def save(self, folder: str | Path) -> None:
        """Write the head and its model into a folder, which `load_head` reads."""
        _save(self, folder)


@dataclass(frozen=True, eq=False)
class PredictorHead:
    """Goes on with a motion."""

    model: FedModel
    fitted: Predictor

    @property
    def fps(self) -> float:
        """Frames a second of what is predicted."""
        return RATE

    def predict(
        self,
        clips: Clips,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        recorded: Recorded = AS_THE_MODEL,
    ) -> NDArray[np.float32]:
        """The poses that follow each clip's last frame (N, P, V, 3), or (P, V, 3) of a single array.

        They are of the first body, in metres about its root, turned as the model's clips are; joints that the head does
        not predict are NaN.

        Args:
            clips: of the settings' `seed_frames` at least (2 seconds); see `Model.embed`, as the three that follow.
            fps: frames a second.
            layout: of the skeletons.
            up: which way is up.
            recorded: of files: all that is known of them.

        Raises:
            DataError: as `Model.embed`; or a clip that is too short, or lacks joints at its end.
        """
        given = self.model.given(clips, recorded_so(recorded, fps, layout, up))
        _, poses, lost = self.predict_store(given.store)
        if lost:
            raise DataError(": ".join(lost[0]))
        return poses[0] if given.single else poses

    def predict_store(
        self, store: ClipStore
    ) -> tuple[Int[np.ndarray, " K"], Float[np.ndarray, "K P V C"], list[tuple[str, str]]]:
        """As `predict`, of the clips of a store that are long enough: which they are, their poses, and what is wrong
        with each of the others.

        Raises:
            DataError: joints that the head predicts are absent from most frames.
        """
        chosen = self.fitted.settings
        bank = MotionBank.of(store, self.model.spec.stream, chosen.seed_frames, 0, self.model.device)
        missing = [store.layout.joints[joint] for joint in self.fitted.joints if joint not in bank.joints]
        if missing:
            raise DataError(f"clips: expected the joints that the head predicts, and {missing[0]} is mostly absent")
        count = bank.count.cpu().numpy()
        lost = [
            (
                str(store.ids[clip]),
                f"expected at least {chosen.seed_frames / RATE:g} s in which the first body is whole, got "
                f"{store.length[clip] / store.fps:.2f} s, or joints are absent",
            )
            for clip in np.flatnonzero(count == 0)
        ]
        long = np.flatnonzero(count)
        if len(long) == 0:
            frames = (chosen.predicted_frames, len(store.layout.joints), 3)
            return long, np.empty((0, *frames), np.float32), lost
        last = (bank.first + bank.count - 1)[torch.from_numpy(long).to(bank.first.device)]
        windows = replace(bank, joints=self.fitted.joints).take(last)
        poses = bank.bodies(self.fitted.predict(self.model.encoder, bank, windows).cpu().numpy())
        return long, np.asarray(poses, np.float32), lost

    def save(self, folder: str | Path) -> None:
        """Write the head and its model into a folder, which `load_head` reads."""
        _save(self, folder)


Head = ClassifierHead | DetectorHead | PredictorHead


def head_of(model: FedModel, folder: Path) -> Head:
    """The head in a folder, which was fitted on this model.

    Raises:
        CheckpointError: there is no head, it is damaged, or it was fitted on another model.
    """
    fitted = load_head(folder, model.encoder)
    if isinstance(fitted, Detector):
        return DetectorHead(model, fitted)
    return PredictorHead(model, fitted) if isinstance(fitted, Predictor) else ClassifierHead(model, fitted)


def check_head(folder: Path) -> None:
    """Raises CheckpointError where no head lies in a folder, with what lies there instead."""
    words = "pcm3 fit writes heads (pcm3 fit classifier MODEL STORE --out HEAD)"
    if not folder.exists():
        raise CheckpointError(f"{folder}: expected a folder with a head, and there is none: {words}")
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected the folder of a head, got a file: {words}")
    if any((folder / name).exists() for name in (DESCRIPTION, TENSORS)):
        return
    if is_model(folder) and (folder.parent / DESCRIPTION).is_file():
        raise CheckpointError(f"{folder}: expected a head, got its model: the head is {folder.parent}")
    got = "a model" if is_model(folder) else "a store" if (folder / STORE).is_file() else "something else"
    raise CheckpointError(f"{folder}: expected a head, got {got}: {words}")


def check_place(folder: str | Path) -> None:
    """Raises ConfigError where a head may not be written: in the place of something else."""
    folder = folder_to_write(folder, "a new folder or a head to replace")
    others = sorted({file.name for file in folder.iterdir()} - {MODEL, TENSORS, DESCRIPTION}) if folder.is_dir() else []
    if others:
        raise ConfigError(f"{folder}: expected a new folder or a head to replace, got a folder with {others[0]} in it")


def _save(head: Head, folder: str | Path) -> None:
    """Whole or not at all: an earlier head stays until the new one, with its model, is written."""
    check_place(folder)
    with new_folder(Path(folder), overwrite=True) as partial:
        head.model.save(partial / MODEL)
        head.fitted.save(partial)
