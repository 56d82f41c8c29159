"""Estimators for scikit-learn: `MotionEncoder`, clips → features, and `MotionClassifier`, clips → classes.

They clone, pickle, and work in `Pipeline`, `GridSearchCV` and `cross_val_score` with groups; docs/PYTHON.md says which
of scikit-learn's own checks they pass. X is a list of clips; aeon's and sktime's forms go in as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from pcm3.api import Model, load
from pcm3.api.fitting import ClassifierKind, fit_classifier, is_unknown
from pcm3.api.given import Recorded
from pcm3.api.heads import ClassifierHead, head_of
from pcm3.data.import_plan import PROBED
from pcm3.data.importer import store_recordings
from pcm3.data.recording import Recording
from pcm3.data.store import ClipStore
from pcm3.device import choose_device
from pcm3.errors import ConfigError, DataError, brief
from pcm3.limits import check_real, check_seed, check_type
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import Device
from pcm3.settings.tasks import LinearSettings
from pcm3.skeleton import load_layout
from pcm3.train.pretrain import pretrain

Cases: TypeAlias = "Sequence[ArrayLike] | NDArray[Any]"
"""Clips: a list of arrays (T, V, 3) or (T, M, V, 3), or an array of such; aeon's forms, an array
(n_cases, n_channels, n_timepoints) or a list of (n_channels, n_timepoints); sktime's list of data frames, rows the
times, columns the channels. Channels are x, y, z of the first joint, then of the second, and so on."""
PackedFiles: TypeAlias = dict[str, NDArray[np.uint8]]
"""Files of a model or a head by name: what a pickle holds in their place, numbers and no code."""
_Read = TypeVar("_Read")


def as_clips(cases: Cases, joints: int) -> list[NDArray[np.float32]]:
    """Clips in any of the forms of `Cases` as arrays (T, V, 3) or (T, M, V, 3).

    Args:
        cases: the clips.
        joints: V.

    Raises:
        DataError: they have another number of joints, or are no clips.
    """
    check_type("X", cases, (Sequence, np.ndarray, torch.Tensor), "a list of clips")
    if isinstance(cases, str) or not len(cases):
        raise DataError(f"X: expected a list of clips, got {brief(cases) if isinstance(cases, str) else 'none'}")
    return [_as_clip(place, case, joints) for place, case in enumerate(cases)]


def _as_clip(place: int, case: ArrayLike, joints: int) -> NDArray[np.float32]:
    frame = hasattr(case, "columns")
    try:
        clip = np.asarray(case, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"X[{place}]: expected an array of numbers ({error})") from None
    if clip.ndim == 2:
        clip = clip if frame else clip.T
        if clip.shape[1] != 3 * joints:
            form = "columns" if frame else "rows (n_channels, n_timepoints)"
            raise DataError(
                f"X[{place}]: expected {3 * joints} {form}, x, y, z of {joints} joints, got {clip.shape[1]}"
            )
        return clip.reshape(len(clip), joints, 3)
    if clip.ndim not in (3, 4) or clip.shape[-2:] != (joints, 3):
        raise DataError(
            f"X[{place}]: expected a clip (T, {joints}, 3), (T, M, {joints}, 3) or channels ({3 * joints}, T), got "
            f"{clip.shape}: name its layout where it has another (layout='coco17' …)"
        )
    return clip


class MotionEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clips → the features of a pretrained model (N, D).

    Attributes:
        model_: the `pcm3.api.Model`, after `fit`.
        up_: which way is up in the clips, as told or found by `fit`; None: it was not found, and each clip is turned by
            how its own body stands.
    """

    def __init__(
        self,
        model: str | Path | None = "simulated",
        *,
        layout: str | Path | None = None,
        fps: float | None = None,
        up: str | None = None,
        preset: str = "small",
        minutes: float | None = None,
        steps: int | None = None,
        seed: int = 0,
        device: Device = "auto",
    ) -> None:
        """Nothing is read or looked at before `fit`.

        Args:
            model: what `pcm3.load` reads; None: `fit` pretrains one on the clips it is given, without labels.
            layout: of the skeletons; None: the model's.
            fps: frames a second; None: as many as the model's, or 30 where there is none.
            up: which way is up, ``y``, ``-z`` …; None: found by how people stand in the clips given to `fit`.
            preset: of the pretraining.
            minutes: of the pretraining; None: as the preset says.
            steps: of the pretraining, in place of minutes.
            seed: of the pretraining.
            device: where to compute.
        """
        self.model = model
        self.layout = layout
        self.fps = fps
        self.up = up
        self.preset = preset
        self.minutes = minutes
        self.steps = steps
        self.seed = seed
        self.device = device

    def fit(self, X: Cases, y: ArrayLike | None = None) -> MotionEncoder:  # noqa: N803 (scikit-learn's name)
        """Loads the model and looks at the clips; pretrains where there is no model.

        Args:
            X: clips, see `Cases`.
            y: not looked at.

        Raises:
            DataError: they are not clips, or not such as the model can be fed with.
            CheckpointError: there is no such model.
            ConfigError: there is no model, and no layout is told.
        """
        check_type("X", X, (Sequence, np.ndarray, torch.Tensor), "a list of clips")
        self.model_ = self._pretrained(X) if self.model is None else load(self.model, device=self.device)
        probe = self.model_.given(self.clips(X[:PROBED]), Recorded(self.fps, self.layout, self.up)).store
        up = probe.preparation.get("up")
        self.up_ = self.up if self.up or not up else ",".join(f"{number:g}" for number in up)
        return self

    def transform(self, X: Cases) -> NDArray[np.float32]:  # noqa: N803
        """The feature of each clip (N, D).

        Raises:
            DataError: as `fit`.
        """
        check_is_fitted(self)
        return self.model_.embed(self.clips(X), fps=self.fps, layout=self.layout, up=self.up_)

    def clips(self, X: Cases) -> list[NDArray[np.float32]]:  # noqa: N803
        """The clips as `pcm3.api.Model` takes them; of a fitted encoder."""
        return as_clips(X, len(load_layout(self.layout).joints if self.layout else self.model_.layout.joints))

    @property
    def recorded(self) -> Recorded:
        """What `fit` knows of the clips beside their numbers."""
        return Recorded(self.fps, self.layout, self.up_)

    @property
    def _n_features_out(self) -> int:
        return self.model_.width

    def _pretrained(self, X: Cases) -> Model:  # noqa: N803
        if self.layout is None:
            raise ConfigError("layout: expected that of the skeletons, to pretrain on them (layout='kinect_v1' …)")
        layout = load_layout(self.layout)
        for name in ("minutes", "steps"):
            if getattr(self, name) is not None:
                check_real(name, getattr(self, name))
        check_seed(self.seed)
        clips = as_clips(X, len(layout.joints))
        recordings = [Recording(f"clip {place}", _with_body(clip)) for place, clip in enumerate(clips)]
        settings = replace(settings_of_preset(self.preset), protocol="all", seed=self.seed, device=self.device)
        minutes = None if self.steps is not None else self.minutes or settings.minutes
        settings = replace(settings, steps=self.steps, minutes=minutes)
        with tempfile.TemporaryDirectory(prefix="pcm3-sklearn-") as folder:
            stored, run = Path(folder) / "store", Path(folder) / "run"
            store_recordings(recordings, stored, layout=layout, fps=self.fps or 30.0, up=self.up, strict=True)
            pretrain(ClipStore.open(stored), run, settings, progress=False)
            return load(run, device=self.device)

    def __getstate__(self) -> dict[str, Any]:
        """The parameters, and the files of the model."""
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = _packed(self.model_.save)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What `__getstate__` gave."""
        super().__setstate__(state)
        if "model_" in state:
            device = choose_device(self.device)
            self.model_ = _unpacked(state["model_"], lambda folder: Model.read(folder, device))

    def __sklearn_tags__(self) -> Tags:
        """X is no table, and may have gaps."""
        return _motion_tags(super().__sklearn_tags__())


class MotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Clips → classes: a head on the features of a pretrained model, as ``pcm3 fit classifier`` fits it.

    Attributes:
        classes_: the classes (L,), sorted.
        encoder_: the fitted `MotionEncoder`.
        head_: the `pcm3.api.ClassifierHead`.
    """

    def __init__(
        self,
        model: str | Path | None = "simulated",
        *,
        kind: ClassifierKind = "linear",
        epochs: int = 100,
        lr: float = 0.1,
        layout: str | Path | None = None,
        fps: float | None = None,
        up: str | None = None,
        preset: str = "small",
        minutes: float | None = None,
        steps: int | None = None,
        seed: int = 0,
        device: Device = "auto",
    ) -> None:
        """Nothing is read or looked at before `fit`.

        Args:
            model: see `MotionEncoder`, as all that is not named here.
            kind: ``linear``, a linear layer; ``nearest``, the class of the most similar labelled clip.
            epochs: of the linear layer's training.
            lr: its learning rate.
            layout: of the skeletons.
            fps: frames a second.
            up: which way is up.
            preset: of a pretraining.
            minutes: of a pretraining.
            steps: of a pretraining.
            seed: of a pretraining, and of the linear layer's weights.
            device: where to compute.
        """
        self.model = model
        self.kind = kind
        self.epochs = epochs
        self.lr = lr
        self.layout = layout
        self.fps = fps
        self.up = up
        self.preset = preset
        self.minutes = minutes
        self.steps = steps
        self.seed = seed
        self.device = device

    def fit(self, X: Cases, y: ArrayLike) -> MotionClassifier:  # noqa: N803
        """Fits the head on the features of the clips.

        Args:
            X: clips, see `Cases`.
            y: the class of each, names or numbers.

        Raises:
            DataError: fewer than two classes, another number of labels than clips, or as `MotionEncoder.fit`.
        """
        own = {name: getattr(self, name) for name in MotionEncoder().get_params()}
        self.encoder_ = MotionEncoder(**own).fit(X)
        self.classes_, codes = np.unique(_classes(y, len(X)), return_inverse=True)
        self.head_ = fit_classifier(
            self.encoder_.model_,
            self.encoder_.clips(X),
            codes.tolist(),
            kind=self.kind,
            settings=LinearSettings(epochs=self.epochs, lr=self.lr),
            seed=self.seed,
            recorded=self.encoder_.recorded,
        )
        return self

    def predict_proba(self, X: Cases) -> NDArray[np.float32]:  # noqa: N803
        """The share of each class (N, L), in the order of `classes_`.

        Raises:
            DataError: as `fit`.
        """
        check_is_fitted(self)
        known = self.encoder_.recorded
        clips = self.encoder_.clips(X)
        shares = self.head_.predict_proba(clips, fps=known.fps, layout=known.layout, up=known.up)
        # The head's classes are the codes of ours, as words, sorted as words.
        return shares[:, [self.head_.classes.index(str(code)) for code in range(len(self.classes_))]]

    def predict(self, X: Cases) -> NDArray[Any]:  # noqa: N803
        """The likeliest class of each clip (N,).

        Raises:
            DataError: as `fit`.
        """
        shares = self.predict_proba(X)
        return np.asarray(self.classes_[shares.argmax(axis=1)])

    def __getstate__(self) -> dict[str, Any]:
        """The parameters, the encoder, and the files of the head."""
        state = dict(super().__getstate__())
        if "head_" in state:
            state["head_"] = _packed(self.head_.fitted.save)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What `__getstate__` gave."""
        super().__setstate__(state)
        if "head_" in state:
            self.head_ = _unpacked(state["head_"], self._head_in)

    def _head_in(self, folder: Path) -> ClassifierHead:
        head = head_of(self.encoder_.model_, folder)
        if not isinstance(head, ClassifierHead):
            raise DataError(f"expected a classifier, got {type(head).__name__}")
        return head

    def __sklearn_tags__(self) -> Tags:
        """X is no table, and may have gaps."""
        return _motion_tags(super().__sklearn_tags__())


def _classes(y: ArrayLike, count: int) -> NDArray[Any]:
    """The class of each of so many clips.

    Raises:
        DataError: there is not one for each.
    """
    classes = np.asarray(y)
    if classes.ndim == 2 and classes.shape[1] == 1:
        classes = classes[:, 0]
    if classes.ndim != 1 or len(classes) != count:
        got = f"{len(classes)}" if classes.ndim == 1 else brief(y)
        raise DataError(f"y: expected a class for each of the {count} clips, got {got}")
    if any(map(is_unknown, classes.tolist())):
        raise DataError("y: expected a class for each clip, got None or NaN for one: leave such clips out")
    return classes


def _motion_tags(tags: Tags) -> Tags:
    tags.input_tags.two_d_array = False
    tags.input_tags.three_d_array = True
    tags.input_tags.allow_nan = True
    return tags


def _with_body(clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """A clip as (T, M, V, 3)."""
    return clip if clip.ndim == 4 else clip[:, None]


def _packed(save: Callable[[Path], None]) -> PackedFiles:
    """The files that `save` writes into a folder."""
    with tempfile.TemporaryDirectory(prefix="pcm3-sklearn-") as folder:
        save(Path(folder))
        return {file.name: np.fromfile(file, np.uint8) for file in sorted(Path(folder).iterdir())}


def _unpacked(files: PackedFiles, read: Callable[[Path], _Read]) -> _Read:
    """What `read` makes of a folder with these files."""
    with tempfile.TemporaryDirectory(prefix="pcm3-sklearn-") as folder:
        for name in ("model.safetensors", "model.json", "head.safetensors", "head.json"):
            if name in files:
                files[name].tofile(Path(folder) / name)
        return read(Path(folder))
