"""A trained model in one object: clips in, features out; heads fitted on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from pcm3.api import fitting
from pcm3.api.expectation import Expected
from pcm3.api.export import ExportForm, export
from pcm3.api.fitting import ClassifierKind, Labels, People
from pcm3.api.given import AS_THE_MODEL, Clips, GivenClips, Recorded, given_clips, given_recordings, recorded_so
from pcm3.api.heads import ClassifierHead, DetectorHead, PredictorHead
from pcm3.api.index import Index
from pcm3.api.live import WINDOW, LiveFeature, Stream, stream_features
from pcm3.clips import ClipBank, Feed, extract, frozen
from pcm3.data.store import ClipStore
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.files import load_encoder, save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import DataError
from pcm3.limits import MOST, check_integer, check_type, folder_to_write
from pcm3.settings.tasks import DetectionSettings, LinearSettings, PredictionSettings
from pcm3.skeleton import Layout
from pcm3.tasks.head_files import EncoderUse


@dataclass(frozen=True, eq=False)
class Model:
    """A pretrained encoder that knows what it is fed with; `pcm3.load` gives one.

    Wherever clips are asked for, they may be given in any form of `pcm3.api.given.Clips`. Arrays are in metres, joints
    that are absent are NaN or zeros; `fps`, `layout` and `up` say of them what no array tells, `recorded` all that
    is known of files.
    """

    encoder: Encoder
    """In evaluation mode; it stays as it is."""
    spec: EncoderSpec
    """What it is, what it is fed with, and where it comes from."""
    device: torch.device

    @classmethod
    def read(cls, path: Path, device: torch.device) -> Model:
        """The model of a run, a model folder or a checkpoint file.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        encoder, spec = load_encoder(path)
        return cls(encoder.to(device), spec, device)

    @property
    def width(self) -> int:
        """D, the width of a clip's feature."""
        return self.encoder.width

    @property
    def layout(self) -> Layout:
        """Of the skeletons that it learned from."""
        return self.spec.layout

    def __repr__(self) -> str:
        spec = self.spec
        return (
            f"Model({spec.kind}, {self.width} features, {spec.layout.name}, {spec.fps:g} fps, {spec.stream}, "
            f"{spec.provenance.method or 'method not known'}, step {spec.provenance.step:,})"
        )

    def embed(
        self,
        clips: Clips,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        recorded: Recorded = AS_THE_MODEL,
        crops: int = 1,
        batch: int = 256,
    ) -> NDArray[np.float32]:
        """The features that the tasks of ``pcm3 evaluate`` see: one row a clip (N, D), or (D,) of a single array.

        Args:
            clips: see `pcm3.api.given.Clips`; labels are not looked at.
            fps: of arrays: frames a second; None: as many as the model's.
            layout: of arrays: name, file or `Layout` of their skeletons; None: the model's.
            up: of arrays: which way is up; None: found by how people stand in all of the given clips, so that a clip's
                feature may depend on those beside it.
            recorded: of files: all that is known of them.
            crops: the feature is the mean over so many crops; 1: the central 95 % of the clip.
            batch: clips that are encoded at a time.

        Raises:
            DataError: they are not clips, of another skeleton, not in metres, or somebody is missing from one.
            CheckpointError: a store that the model cannot be fed with.
        """
        check_integer("crops", crops, 1, 1000)
        check_integer("batch", batch, 1, MOST)
        given = self.given(clips, recorded_so(recorded, fps, layout, up))
        bank = replace(self.bank(given.store), crops=crops)
        features = extract(self.encoder, bank, np.arange(len(given.store)), batch=batch).cpu().numpy()
        return features[0] if given.single else features

    def frames(
        self,
        clip: Clips,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        recorded: Recorded = AS_THE_MODEL,
    ) -> NDArray[np.float32]:
        """The feature of each frame of one clip (T, `frame_width`), at the model's frames a second.

        Args:
            clip: one; see `embed`.
            fps: see `embed`.
            layout: see `embed`.
            up: see `embed`.
            recorded: of files: all that is known of them.

        Raises:
            DataError: as `embed`; or more than one clip.
        """
        given = self.given(clip, recorded_so(recorded, fps, layout, up))
        if len(given.store) != 1:
            raise DataError(f"clip: expected one clip to have features of frames of, got {len(given.store)}")
        return self.frame_features(given, 0)

    def frame_features(self, given: GivenClips, index: int) -> Float[np.ndarray, "T W"]:
        """The feature of each frame of one of the clips."""
        frames = torch.from_numpy(given.store.clip(index)).to(self.device)[None]
        feed = Feed.of(given.store, self.spec.stream)
        encoder = feed.adapted(self.encoder)
        with frozen(encoder):
            features = encoder.every_frame(encoder.frames(feed.streamed(frames)), frames.shape[1])
        return features[0].float().cpu().numpy()

    def stream(
        self,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        window: float = WINDOW,
        hop: int | None = None,
    ) -> Stream[LiveFeature]:
        """Frames in as they come, features out: of each frame by a causal encoder, as `frames` gives them, else of the
        last seconds, as `embed` does. Labels come from the `stream` of a head.

        Args:
            fps: frames a second of the sender; None: the model's.
            layout: of the frames; None: the model's, or told by joint names.
            up: which way is up; None: found in the first second, or in each window.
            window: seconds that are seen, where the encoder is not causal.
            hop: frames, at the model's rate, from one window to the next; None: a fifth of a second.

        Raises:
            ConfigError: a setting that makes no sense.
            DataError: no such layout, or one that cannot be retargeted to the model's.
        """
        return stream_features(self, Recorded(fps, layout, up), window, hop)

    def fit_classifier(
        self,
        clips: Clips,
        labels: Labels | None = None,
        *,
        kind: ClassifierKind = "linear",
        settings: LinearSettings | None = None,
        seed: int = 0,
        indices: NDArray[np.int64] | None = None,
        recorded: Recorded = AS_THE_MODEL,
    ) -> ClassifierHead:
        """A classifier of clips, see `pcm3.api.fitting.fit_classifier`."""
        return fitting.fit_classifier(
            self, clips, labels, kind=kind, settings=settings, seed=seed, indices=indices, recorded=recorded
        )

    def expect(
        self,
        clips: Clips,
        labels: Labels | None = None,
        *,
        subjects: People | None = None,
        kind: ClassifierKind = "linear",
        settings: LinearSettings | None = None,
        seed: int = 0,
        recorded: Recorded = AS_THE_MODEL,
    ) -> Expected:
        """What to expect of such a classifier on people that it has not seen, see `pcm3.api.fitting.expect`."""
        return fitting.expect(
            self, clips, labels, subjects=subjects, kind=kind, settings=settings, seed=seed, recorded=recorded
        )

    def fit_detector(
        self,
        store: Clips,
        *,
        settings: DetectionSettings | None = None,
        use: EncoderUse = "frozen",
        seed: int = 0,
        indices: NDArray[np.int64] | None = None,
    ) -> DetectorHead:
        """A detector of actions in long recordings, see `pcm3.api.fitting.fit_detector_on`."""
        return fitting.fit_detector_on(self, store, settings=settings, use=use, seed=seed, indices=indices)

    def fit_predictor(
        self,
        clips: Clips,
        *,
        settings: PredictionSettings | None = None,
        use: EncoderUse = "frozen",
        seed: int = 0,
        indices: NDArray[np.int64] | None = None,
        recorded: Recorded = AS_THE_MODEL,
    ) -> PredictorHead:
        """A predictor of motion, see `pcm3.api.fitting.fit_predictor_on`."""
        return fitting.fit_predictor_on(
            self, clips, settings=settings, use=use, seed=seed, indices=indices, recorded=recorded
        )

    def index(self, source: Clips, *, window: float | None = None, recorded: Recorded = AS_THE_MODEL) -> Index:
        """Clips, or with a window in seconds long recordings, ready to be searched, see `pcm3.api.index.Index`."""
        return Index.of(self, source, window, recorded)

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of its own, which `pcm3.load` reads."""
        save_encoder(folder_to_write(folder, "a folder to write the model into"), self.encoder, self.spec)

    def export(self, path: str | Path, *, to: ExportForm | None = None, step: bool = False) -> dict[str, Any]:
        """Write the model as one file for other programs, see `pcm3.api.export.export`."""
        return export(self, path, to=to, step=step)

    def given(self, clips: Clips, recorded: Recorded) -> GivenClips:
        """The clips, prepared as those that the model learned from.

        Raises:
            DataError: as `embed`.
        """
        check_type("recorded", recorded, Recorded, "a pcm3.api.Recorded")
        return given_clips(clips, self.spec, recorded).complete()

    def given_recordings(self, recordings: Clips, recorded: Recorded) -> GivenClips:
        """Long recordings, prepared likewise.

        Raises:
            DataError: as `embed`.
        """
        check_type("recorded", recorded, Recorded, "a pcm3.api.Recorded")
        return given_recordings(recordings, self.spec, recorded).complete()

    def bank(self, store: ClipStore) -> ClipBank:
        """The clips of a store that the model can be fed with, on the device."""
        return ClipBank.of(store, self.spec.stream, self.spec.frames, self.device)
