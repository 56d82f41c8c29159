"""Motion prediction, protocol `short-term`: from 50 frames at 25 fps the next 10, in millimetres about the root.

The paper names a protocol and a decoder (Martinez et al. 2017) and no more; this one is ours (docs/FIDELITY.md).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn

from pcm3.clips import ClipEncoder, FrameEncoder, frozen
from pcm3.errors import DataError
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.settings.tasks import PredictionSettings
from pcm3.tasks.head_files import EncoderUse, HeadFile, tuned_tensors, weights_checksum
from pcm3.tasks.prediction.decoder import MotionDecoder
from pcm3.tasks.prediction.windows import RATE, MotionBank, MotionWindows

HORIZONS_MS = (80, 160, 320, 400, 560, 1000)
"""Times after the last seed frame at which the error is told, of those that are predicted."""
AT_ONCE = 256
"""Windows encoded in one go where no gradient is kept."""
AHEAD = 32768
"""Windows drawn in one go, of which a frozen encoder encodes each one once however often it was drawn."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A decoder on the features of an encoder that stays as it is, or of one that was tuned with it."""

    kind: ClassVar[str] = "predictor"
    decoder: MotionDecoder
    settings: PredictionSettings
    model: str
    """`weights_checksum` of the encoder that it was fitted on."""
    joints: tuple[int, ...]
    """Those that are predicted, J of them, of body 0 about its root."""
    tuned: ClipEncoder | None = None
    """The encoder that was trained with the decoder; None: the one that it was fitted on serves."""

    def predict(self, encoder: ClipEncoder, bank: MotionBank, windows: MotionWindows) -> Float[Tensor, "B P J C"]:
        """The poses after the seed of each of these windows of a bank, about the root, metres."""
        with torch.no_grad():
            feature = feature_of(bank.feed.adapted(self.tuned or encoder), windows)
            return decode(self.decoder, feature, windows, self.settings.predicted_frames)

    def save(self, folder: Path) -> None:
        """Write the head into a folder."""
        tensors = {f"decoder.{name}": value for name, value in self.decoder.state_dict().items()}
        sizes = {"joints": list(self.joints)}
        tensors |= tuned_tensors(self.tuned)
        HeadFile(self.kind, self.model, asdict(self.settings), tensors, sizes=sizes).save(folder)

    @classmethod
    def of(cls, file: HeadFile, encoder: ClipEncoder) -> Predictor:
        """The head that a file holds, fitted on this encoder."""
        settings = PredictionSettings(**file.settings)
        names = [name for name in file.tensors if name.startswith("decoder.")]
        weights = {name.removeprefix("decoder."): file.tensors[name] for name in names}
        with fresh_weights(0):  # which those of the file replace
            decoder = MotionDecoder(
                weights["start.weight"].shape[1], weights["velocity.bias"].shape[0], weights["start.bias"].shape[0]
            )
        decoder.load_state_dict(weights)
        decoder.to(weights["start.bias"].device)
        return cls(decoder, settings, file.model, tuple(file.sizes["joints"]), file.tuned(encoder))


@dataclass(frozen=True)
class PredictionResult:
    """How far predictions are from what happened, and the predictions."""

    metrics: dict[str, float]
    """Millimetres, mean over joints, frames and clips: ``mpjpe_mm`` after the last step, ``mpjpe_80ms_mm`` … at each
    horizon, and ``best_mpjpe_mm``, chosen by looking at the test clips."""
    clips: Int[np.ndarray, " N"]
    """The test clip of each window that is scored."""
    predicted: Float[np.ndarray, "N P J C"]
    """Poses of body 0 about its root, metres."""
    true: Float[np.ndarray, "N P J C"]
    """What happened."""
    last_pose: Float[np.ndarray, "N J C"]
    """The last seed frame."""
    skipped: int
    """Test clips without a scored window, most of them too short."""


def fit_predictor(
    encoder: ClipEncoder,
    bank: MotionBank,
    train: Int[np.ndarray, " N"],
    settings: PredictionSettings,
    seed: int,
    use: EncoderUse,
    on_test: Callable[[Predictor], object] = lambda predictor: None,
) -> Predictor:
    """A decoder trained on random windows of these clips.

    It starts from the encoder's feature of the last seed frame; from that of the whole seed, where an encoder has none
    of frames, as `RawCoordinates`.

    Args:
        encoder: stays as it is, weights and BatchNorm buffers.
        bank: the windows.
        train: the training clips; no label is used.
        settings: of the decoder and its training.
        seed: of the decoder's weights and the windows drawn.
        use: train the decoder alone, or with it a copy of the encoder.
        on_test: called with the predictor after every `settings.test_every` steps, and after the last; it may be
            scored, and not be changed.

    Raises:
        DataError: no clip has a window.
    """
    learning = bank.with_windows(train)
    network = bank.feed.adapted(encoder)
    network = network if use == "frozen" else copy.deepcopy(network)
    width = encoder.frame_width if isinstance(encoder, FrameEncoder) else encoder.width
    decoder = _fresh_decoder(width, bank, settings.hidden_size, seed)
    tuned = network if use == "tuned" else None
    predictor = Predictor(decoder, settings, weights_checksum(encoder), bank.joints, tuned)
    weights = [*decoder.parameters(), *(() if use == "frozen" else cast(nn.Module, network).parameters())]
    optimiser = torch.optim.Adam(weights, settings.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    for step, (windows, feature) in enumerate(_batches(network, bank, learning, settings, seed, use), start=1):
        loss = _distance(decode(decoder, feature, windows, bank.predicted_frames), windows.future).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, settings.gradient_norm)
        optimiser.step()
        schedule.step()
        if step % settings.test_every == 0 or step == settings.steps:
            on_test(predictor)
    if tuned is not None:
        tuned.train(False)
    return predictor


def score_predictor(
    encoder: ClipEncoder, predictor: Predictor, bank: MotionBank, test: Int[np.ndarray, " N"]
) -> PredictionResult:
    """How far the predictor is from what happened in the windows of the test clips; nothing is chosen on them.

    Raises:
        DataError: no test clip has a window, or other joints are there than the predictor knows.
    """
    if bank.joints != predictor.joints:
        raise DataError(
            f"{bank.store.path}: expected the {len(predictor.joints)} joints of body 0 that the predictor was fitted "
            f"on, found {len(bank.joints)}, or others: fit a predictor on this store"
        )
    return score_predictions(lambda windows: predictor.predict(encoder, bank, windows), bank, test)


def evaluate_predictor(
    encoder: ClipEncoder,
    bank: MotionBank,
    train: Int[np.ndarray, " N_train"],
    test: Int[np.ndarray, " N"],
    settings: PredictionSettings,
    seed: int,
    use: EncoderUse,
) -> tuple[Predictor, PredictionResult]:
    """`fit_predictor`, scored on the test clips every few steps: the predictor, and what it came to.

    Raises:
        DataError: no clip of a side has a window.
    """
    bank.with_windows(train)
    bank.with_windows(test)
    errors: list[float] = []
    results: list[PredictionResult] = []

    def record(predictor: Predictor) -> None:
        results[:] = [score_predictor(encoder, predictor, bank, test)]
        errors.append(results[0].metrics["mpjpe_mm"])

    predictor = fit_predictor(encoder, bank, train, settings, seed, use, record)
    return predictor, replace(results[0], metrics=results[0].metrics | {"best_mpjpe_mm": min(errors)})


def zero_velocity(bank: MotionBank, test: Int[np.ndarray, " N"]) -> PredictionResult:
    """The baseline that every method must be compared with: the last seed frame, over and over.

    Raises:
        DataError: no test clip has a window.
    """
    return score_predictions(_still, bank, test)


def constant_velocity(bank: MotionBank, test: Int[np.ndarray, " N"]) -> PredictionResult:
    """The baseline in which every joint goes on as it went from the last but one seed frame to the last.

    Raises:
        DataError: no test clip has a window.
    """
    return score_predictions(_straight_on, bank, test)


def errors_mm(predicted: Float[Tensor, "B P J C"], true: Float[Tensor, "B P J C"]) -> Float64[Tensor, "B P"]:
    """Mean over the joints of the distance, millimetres, of poses in metres."""
    return 1000 * _distance(predicted.double(), true.double()).mean(dim=-1)


def metrics_of(errors: Float64[np.ndarray, "N P"]) -> dict[str, float]:
    """The metrics of these errors, millimetres, of which nothing was chosen; horizons beyond P are left out."""
    frame = {horizon: round(horizon * RATE / 1000) for horizon in HORIZONS_MS}
    each = {f"mpjpe_{at}ms_mm": float(errors[:, n - 1].mean()) for at, n in frame.items() if n <= errors.shape[1]}
    mean = float(errors.mean())
    return {"mpjpe_mm": mean, **each, "best_mpjpe_mm": mean}


def _fresh_decoder(width: int, bank: MotionBank, hidden_size: int, seed: int) -> MotionDecoder:
    """A decoder whose weights follow from the seed."""
    with fresh_weights(seed):
        return MotionDecoder(width, len(bank.joints) * bank.frames.shape[-1], hidden_size).to(bank.start.device)


def _batches(
    network: ClipEncoder,
    bank: MotionBank,
    learning: Int[np.ndarray, " N"],
    settings: PredictionSettings,
    seed: int,
    use: EncoderUse,
) -> Iterator[tuple[MotionWindows, Float[Tensor, "B D"]]]:
    """For every step its windows (B), one of each of B random clips, and the encoder's features of them.

    A frozen encoder keeps no gradient and encodes a window that is drawn again only once.
    """
    generator = torch.Generator(device=bank.start.device).manual_seed(seed)
    clips, shape = torch.from_numpy(learning).to(generator.device), (settings.steps, settings.batch)
    drawn = bank.random(clips[torch.randint(len(clips), shape, generator=generator, device=clips.device)], generator)
    for ahead in drawn.split(max(AHEAD // settings.batch, 1)):
        if use == "frozen":
            distinct, place = ahead.unique(return_inverse=True)
            known = torch.cat([feature_of(network, bank.take(part)) for part in distinct.split(AT_ONCE)])
            for windows, at in zip(ahead, place, strict=True):
                yield bank.take(windows), known[at]
        else:
            for windows in map(bank.take, ahead):
                network.train(True)
                yield windows, _last(network, windows.seed)


def _last(network: ClipEncoder, seed: Float[Tensor, "B S M V C"]) -> Float[Tensor, "B D"]:
    """The feature of the last frame: of a bidirectional encoder too, whose clip feature tells less of it."""
    feature = network.frames(seed)[:, -1] if isinstance(network, FrameEncoder) else network.embed(seed)
    return feature.float()


def feature_of(network: ClipEncoder, windows: MotionWindows) -> Float[Tensor, "B D"]:
    """What a decoder starts from, without changing the encoder."""
    with frozen(network):
        return _last(network, windows.seed)


def decode(
    decoder: MotionDecoder, feature: Float[Tensor, "B D"], windows: MotionWindows, frames: int
) -> Float[Tensor, "B P J C"]:
    """What the decoder says that follows, so many frames, metres."""
    last = windows.past[:, -1]
    poses: Tensor = decoder(feature, last.flatten(1), frames)
    return poses.view(*poses.shape[:2], *last.shape[1:])


def _still(windows: MotionWindows) -> Float[Tensor, "B P J C"]:
    """The last seed frame for every frame."""
    return windows.past[:, -1:].expand_as(windows.future)


def _straight_on(windows: MotionWindows) -> Float[Tensor, "B P J C"]:
    """The last seed frame, moved on as the last two say."""
    velocity = windows.past[:, -1:] - windows.past[:, -2:-1]
    frames = torch.arange(1, windows.future.shape[1] + 1, device=velocity.device)
    return _still(windows) + velocity * frames[:, None, None]


def _distance(predicted: Float[Tensor, "*shape C"], true: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape"]:
    """Of each joint."""
    distance: Tensor = torch.linalg.vector_norm(predicted - true, dim=-1)
    return distance


@torch.no_grad()
def score_predictions(
    predict: Callable[[MotionWindows], Float[Tensor, "B P J C"]], bank: MotionBank, test: Int[np.ndarray, " N"]
) -> PredictionResult:
    """How the scored windows of the test clips are predicted.

    Raises:
        DataError: no test clip has a window, or Human3.6M's are asked for and are not there.
    """
    clips = bank.with_windows(test)
    scored = bank.scored(torch.from_numpy(clips).to(bank.start.device))
    parts = []
    for windows in map(bank.take, scored.split(AT_ONCE)):
        poses = predict(windows)
        columns = (errors_mm(poses, windows.future), poses, windows.future, windows.past[:, -1])
        parts.append([column.cpu().numpy() for column in columns])
    errors, predicted, true, last_pose = (np.concatenate(column) for column in zip(*parts, strict=True))
    of = bank.clip[scored].cpu().numpy()
    skipped = len(test) - len(np.unique(of))
    return PredictionResult(metrics_of(errors * bank.counted), of, predicted, true, last_pose, skipped)
