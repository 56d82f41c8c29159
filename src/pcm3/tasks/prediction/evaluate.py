"""Motion prediction, protocol `short-term`: from 50 frames at 25 fps the next 10, in millimetres about the root.

The paper names a protocol and a decoder (Martinez et al. 2017) and no more; this one is ours (docs/FIDELITY.md).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.clips import ClipEncoder, FrameEncoder
from pcm3.clips import frozen as unchanged
from pcm3.settings.tasks import PredictionSettings
from pcm3.tasks.prediction.decoder import MotionDecoder
from pcm3.tasks.prediction.windows import RATE, MotionBank, MotionWindows

HORIZONS_MS = (80, 160, 320, 400)
"""Times after the last seed frame at which the error is told."""
AT_ONCE = 256
"""Windows encoded in one go where no gradient is kept."""
AHEAD = 32768
"""Windows drawn in one go, of which a frozen encoder encodes each one once however often it was drawn."""


@dataclass(frozen=True)
class PredictionResult:
    """How far predictions are from what happened, and the predictions."""

    figures: dict[str, float]
    """Millimetres, mean over joints, frames and clips: ``mpjpe_mm`` after the last step, ``mpjpe_80ms_mm`` … at each
    horizon, and ``best_mpjpe_mm``, chosen by looking at the test clips."""
    clips: NDArray[np.int64]
    """(N,) the test clips that have a window: one window each."""
    predicted: NDArray[np.float32]
    """(N, P, J, C) poses of body 0 about its root, metres."""
    true: NDArray[np.float32]
    """(N, P, J, C) what happened."""
    seen: NDArray[np.float32]
    """(N, J, C) the last seed frame."""
    left_out: tuple[int, int]
    """Training and test clips without a window, most of them too short."""


def motion_prediction(
    encoder: ClipEncoder,
    bank: MotionBank,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    settings: PredictionSettings,
    seed: int,
    frozen: bool,
    tick: Callable[[], object] = lambda: None,
) -> PredictionResult:
    """Train a decoder on random windows of the clips `train`, and test it on the centre windows of `test`.

    The decoder starts from the encoder's feature of the last seed frame; from that of the whole seed, where an encoder
    has none of frames, as `RawCoordinates`.

    Args:
        encoder: stays as it is, weights and BatchNorm buffers.
        bank: the windows.
        train: numbers of the training clips; no label is used.
        test: numbers of the test clips.
        settings: of the decoder and its training.
        seed: of the decoder's weights and the windows drawn.
        frozen: train the decoder alone, or with it a copy of the encoder.
        tick: called after every test.

    Raises:
        DataError: no clip of a side has a window.
    """
    learning, judged = bank.with_windows(train), bank.with_windows(test)
    model = encoder if frozen else copy.deepcopy(encoder)
    width = encoder.frame_width if isinstance(encoder, FrameEncoder) else encoder.width
    decoder = _fresh_decoder(width, bank, settings.hidden, seed)
    trained = [*decoder.parameters(), *(() if frozen else cast(nn.Module, model).parameters())]
    optimiser = torch.optim.Adam(trained, settings.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)

    results = []
    for step, (windows, feature) in enumerate(_batches(model, bank, learning, settings, seed, frozen), start=1):
        loss = _distance(_decode(decoder, feature, windows), windows.future).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, settings.gradient_norm)
        optimiser.step()
        schedule.step()
        if step % settings.test_every == 0 or step == settings.steps:
            results.append(_test(lambda windows: _decode(decoder, _feature(model, windows), windows), bank, judged))
            tick()
    best = min(result.figures["mpjpe_mm"] for result in results)
    left_out = (len(train) - len(learning), len(test) - len(judged))
    return replace(results[-1], figures=results[-1].figures | {"best_mpjpe_mm": best}, left_out=left_out)


def zero_velocity(bank: MotionBank, test: NDArray[np.int64]) -> PredictionResult:
    """The baseline that every method must be compared with: the last seed frame, over and over.

    Raises:
        DataError: no test clip has a window.
    """
    return _untrained(_still, bank, test)


def constant_velocity(bank: MotionBank, test: NDArray[np.int64]) -> PredictionResult:
    """The baseline in which every joint goes on as it went from the last but one seed frame to the last.

    Raises:
        DataError: no test clip has a window.
    """
    return _untrained(_straight_on, bank, test)


def errors_mm(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean over the joints of the distance, millimetres; poses (B, P, J, C) in metres → (B, P) float64."""
    return 1000 * _distance(predicted.double(), true.double()).mean(dim=-1)


def figures(errors: NDArray[np.float64]) -> dict[str, float]:
    """The figures of errors (N, P), millimetres, of which nothing was chosen; horizons beyond P are left out."""
    frame = {horizon: round(horizon * RATE / 1000) for horizon in HORIZONS_MS}
    told = {f"mpjpe_{at}ms_mm": float(errors[:, n - 1].mean()) for at, n in frame.items() if n <= errors.shape[1]}
    mean = float(errors.mean())
    return {"mpjpe_mm": mean, **told, "best_mpjpe_mm": mean}


def _fresh_decoder(width: int, bank: MotionBank, hidden: int, seed: int) -> MotionDecoder:
    """A decoder whose weights follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MotionDecoder(width, len(bank.joints) * bank.frames.shape[-1], hidden).to(bank.start.device)


def _batches(
    model: ClipEncoder,
    bank: MotionBank,
    learning: NDArray[np.int64],
    settings: PredictionSettings,
    seed: int,
    frozen: bool,
) -> Iterator[tuple[MotionWindows, Tensor]]:
    """For every step its windows (B), one of each of B random clips, and the encoder's features of them (B, D).

    A frozen encoder keeps no gradient and encodes a window that is drawn again only once.
    """
    generator = torch.Generator(device=bank.start.device).manual_seed(seed)
    clips, shape = torch.from_numpy(learning).to(generator.device), (settings.steps, settings.batch)
    drawn = bank.random(clips[torch.randint(len(clips), shape, generator=generator, device=clips.device)], generator)
    for ahead in drawn.split(max(AHEAD // settings.batch, 1)):
        if frozen:
            distinct, place = ahead.unique(return_inverse=True)
            known = torch.cat([_feature(model, bank.take(part)) for part in distinct.split(AT_ONCE)])
            for windows, at in zip(ahead, place, strict=True):
                yield bank.take(windows), known[at]
        else:
            for windows in map(bank.take, ahead):
                model.train(True)
                yield windows, _last(model, windows.seed)


def _last(model: ClipEncoder, seed: Tensor) -> Tensor:
    """The feature of the last frame (B, D): of a bidirectional encoder too, whose clip feature tells less of it."""
    feature = model.frames(seed)[:, -1] if isinstance(model, FrameEncoder) else model.embed(seed)
    return feature.float()


def _feature(model: ClipEncoder, windows: MotionWindows) -> Tensor:
    """The same, without changing the model."""
    with unchanged(model):
        return _last(model, windows.seed)


def _decode(decoder: MotionDecoder, feature: Tensor, windows: MotionWindows) -> Tensor:
    """What the decoder says that follows (B, P, J, C), metres."""
    moved: Tensor = decoder(feature, windows.past[:, -1].flatten(1), windows.future.shape[1])
    return moved.view_as(windows.future)


def _still(windows: MotionWindows) -> Tensor:
    """The last seed frame for every frame (B, P, J, C)."""
    return windows.past[:, -1:].expand_as(windows.future)


def _straight_on(windows: MotionWindows) -> Tensor:
    """The last seed frame, moved on as the last two say (B, P, J, C)."""
    velocity = windows.past[:, -1:] - windows.past[:, -2:-1]
    frames = torch.arange(1, windows.future.shape[1] + 1, device=velocity.device)
    return _still(windows) + velocity * frames[:, None, None]


def _distance(predicted: Tensor, true: Tensor) -> Tensor:
    """Of each joint (..., C) → (...)."""
    distance: Tensor = torch.linalg.vector_norm(predicted - true, dim=-1)
    return distance


def _untrained(
    predict: Callable[[MotionWindows], Tensor], bank: MotionBank, test: NDArray[np.int64]
) -> PredictionResult:
    """What a baseline comes to."""
    judged = bank.with_windows(test)
    return replace(_test(predict, bank, judged), left_out=(0, len(test) - len(judged)))


@torch.no_grad()
def _test(predict: Callable[[MotionWindows], Tensor], bank: MotionBank, clips: NDArray[np.int64]) -> PredictionResult:
    """How the centre windows of the clips are predicted."""
    centre = bank.centre(torch.from_numpy(clips).to(bank.start.device))
    parts = []
    for windows in map(bank.take, centre.split(AT_ONCE)):
        poses = predict(windows)
        columns = (errors_mm(poses, windows.future), poses, windows.future, windows.past[:, -1])
        parts.append([column.cpu().numpy() for column in columns])
    errors, predicted, true, seen = (np.concatenate(column) for column in zip(*parts, strict=True))
    return PredictionResult(figures(errors), clips, predicted, true, seen, left_out=(0, 0))
