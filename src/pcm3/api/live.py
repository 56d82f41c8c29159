"""A model or a head on frames as they come: `Model.stream`, `ClassifierHead.stream`, `DetectorHead.stream`.

There are two ways. A causal encoder with a head on its frames (`--detection.feature frame`) is stepped frame by frame
with explicit state, and tells of each frame what it would tell of it in the whole recording. Everything else sees the
last seconds as a clip of their own, prepared by the code that prepares any clip, every few frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from pcm3.api.contract import FedModel
from pcm3.api.given import Recorded
from pcm3.clips import Feed, extract
from pcm3.data.gravity import given_up
from pcm3.data.live.clock import Clock, TimedFrame
from pcm3.data.live.incoming import Frame, IncomingFrames
from pcm3.data.live.pose import LivePose
from pcm3.data.live.start import Preparation, Start
from pcm3.data.picture import FLAT
from pcm3.data.prepare import RuleName
from pcm3.encoders.encoder import Encoder, StepState
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import ConfigError
from pcm3.limits import MOST, check_integer, check_real
from pcm3.skeleton import Layout, load_layout
from pcm3.tasks.detection.evaluate import Detector
from pcm3.tasks.detection.windows import BACKGROUND, RecordingBank

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
WINDOW = 2.0
"""Seconds that a head sees which tells the class of a clip."""
EVERY = 0.2
"""Seconds from one window to the next, unless told otherwise."""
MOST_SECONDS = 600.0


@dataclass(frozen=True, eq=False)
class LiveLabel:
    """What a head tells at a moment."""

    time: float
    """Of the frame that it is about: seconds on the clock of the sender."""
    label: str | None
    """The class; None: no action, or nobody there."""
    share: float
    """Of that class, 0 to 1; where there is no action, that of the background."""
    shares: Float[NDArray[np.float64], " S"]
    """Of all L classes; of a detector, before them that of the background."""


@dataclass(frozen=True, eq=False)
class LiveFeature:
    """What a model makes of a moment."""

    time: float
    """See `LiveLabel`."""
    feature: Float[NDArray[np.float32], " D"]
    """Of the frame where the encoder is causal, else of the window."""


@runtime_checkable
class Reader(Protocol[Result_co]):
    """What is made of frames at the model's rate."""

    def read(self, timed: TimedFrame) -> Result_co | None:
        """The result of one more frame; None: none yet, or not for this one."""


class Stream(Generic[Result]):
    """Frames of one sender in, results out."""

    def __init__(self, incoming: IncomingFrames, clock: Clock, reader: Reader[Result], delay: float) -> None:
        self._incoming, self._clock, self._reader = incoming, clock, reader
        self._closed = False
        self.delay = delay
        """Seconds from the frame that a result is about to the last that it needs."""

    def push(self, frame: Frame, time: float | None = None) -> Result | None:
        """The result that one more frame brings; None: none, as in the first second or between two windows.

        A frame that is refused changes nothing: the stream goes on with the next.

        Args:
            frame: an array (V, 3) or (M, V, 3) in metres, NaN or zeros where a joint is absent; or joints by name,
                see `pcm3.data.live.incoming.Frame`.
            time: of the frame in seconds; None: a frame after the one before.

        Raises:
            DataError: it is no frame of the layout in metres, or its time is not after that of the one before.
            ConfigError: the stream is closed.
        """
        if self._closed:
            raise ConfigError("expected an open stream to push a frame into, got one that is closed: open another")
        latest = None
        for timed in self._clock.push(self._incoming(frame), time):
            latest = self._reader.read(timed) or latest
        return latest

    @property
    def time(self) -> float:
        """Of the last frame, on the clock of the sender."""
        return self._clock.time

    @property
    def start(self) -> Start | None:
        """What the first second told, which way is up among it; None: it is not over, or each window tells its own."""
        return self._reader.pose.start if isinstance(self._reader, Steps) else None

    def close(self) -> None:
        """No more frames are taken."""
        self._closed = True

    def __enter__(self) -> Stream[Result]:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class Windows(Generic[Result]):
    """The last frames as a clip of their own, every few frames."""

    def __init__(self, frames: int, hop: int, result: Callable[[NDArray[np.float32], float], Result]) -> None:
        self._recent: deque[TimedFrame] = deque(maxlen=frames)
        self._frames, self._hop, self._since = frames, hop, 0
        self._result = result

    def read(self, timed: TimedFrame) -> Result | None:
        """The result of the window that this frame ends, where one does."""
        if timed.anew:
            self._recent.clear()
            self._since = 0
        self._recent.append(timed)
        if len(self._recent) < self._frames:
            return None
        since, self._since = self._since, (self._since + 1) % self._hop
        return None if since else self._result(_clip(self._recent), timed.time)


class Steps(Generic[Result]):
    """A causal encoder frame by frame."""

    def __init__(self, encoder: Encoder, pose: LivePose, result: Callable[[Tensor, float], Result]) -> None:
        self._encoder, self.pose, self._result = encoder, pose, result
        self._device = next(encoder.parameters()).device
        self._state: StepState | None = None

    def read(self, timed: TimedFrame) -> Result | None:
        """The result of this frame, once its preparation is known."""
        if timed.anew:
            self._state = None
        feature = None
        with torch.inference_mode():
            for frame in self.pose.push(timed):
                clip = torch.from_numpy(frame).to(self._device)[None]
                feature, self._state = self._encoder.step(clip, self._state)
            return None if feature is None or self.pose.start is None else self._result(feature, timed.time)


def stream_features(model: FedModel, sender: Recorded, window: float, hop: int | None) -> Stream[LiveFeature]:
    """See `Model.stream`."""
    fps = _fps(model.spec, sender)
    if can_step(model):
        pose, encoder = LivePose(_preparation(model.spec, sender)), Feed.live(model.spec).adapted(model.encoder)
        steps = Steps(encoder, pose, lambda feature, time: LiveFeature(time, feature[0].float().cpu().numpy()))
        return _stream(model.spec, sender, steps, 0.0)
    frames = _window_frames(window, fps)

    def result(clip: NDArray[np.float32], time: float) -> LiveFeature:
        given = model.given([clip], Recorded(fps, model.spec.layout, sender.up))
        features = extract(model.encoder, model.bank(given.store), np.zeros(1, np.int64))
        return LiveFeature(time, features[0].cpu().numpy())

    return _stream(model.spec, sender, Windows(frames, _hop(hop, fps), result), 0.0)


def stream_classes(
    model: FedModel,
    classes: Sequence[str],
    shares_of: Callable[[NDArray[np.float32], float, str | None], NDArray[np.float32]],
    sender: Recorded,
    window: float,
    hop: int | None,
) -> Stream[LiveLabel]:
    """See `ClassifierHead.stream`; ``shares_of`` a clip (T, M, V, 3), its rate and what is up gives its shares (L,)."""
    fps = _fps(model.spec, sender)

    def result(clip: NDArray[np.float32], time: float) -> LiveLabel:
        if not clip.any():
            return LiveLabel(time, None, 0.0, np.zeros(len(classes)))
        shares = shares_of(clip, fps, sender.up).astype(np.float64)
        best = int(shares.argmax())
        return LiveLabel(time, classes[best], float(shares[best]), shares)

    return _stream(model.spec, sender, Windows(_window_frames(window, fps), _hop(hop, fps), result), 0.0)


def stream_actions(model: FedModel, detector: Detector, sender: Recorded, hop: int | None) -> Stream[LiveLabel]:
    """See `DetectorHead.stream`."""
    settings, fps = detector.settings, _fps(model.spec, sender)
    if settings.feature == "frame":
        pose = LivePose(_preparation(model.spec, sender))
        encoder = Feed.live(model.spec).adapted(cast(Encoder, detector.tuned or model.encoder))

        def of_frame(feature: Tensor, time: float) -> LiveLabel:
            logits: Tensor = detector.linear(feature)
            return _live_label(detector, logits[0].double().softmax(dim=0).cpu().numpy(), time)

        return _stream(model.spec, sender, Steps(encoder, pose, of_frame), 0.0)
    after = (settings.frames - 1 - settings.frames // 2) * settings.test_stride
    frames = (settings.frames - 1) * settings.test_stride + 1

    def result(clip: NDArray[np.float32], time: float) -> LiveLabel:
        if not clip.any():
            return LiveLabel(time - after / fps, None, 0.0, np.zeros(1 + len(detector.classes)))
        given = model.given_recordings([clip], Recorded(fps, model.spec.layout, sender.up))
        bank = RecordingBank.of(given.store, model.spec.stream, model.device)
        shares = detector.score_of(model.encoder, bank, 0, frames - 1 - after)[0]
        return _live_label(detector, shares, time - after / fps)

    return _stream(model.spec, sender, Windows(frames, _hop(hop, fps), result), after / fps)


def can_step(model: FedModel) -> bool:
    """Whether the model can be stepped frame by frame."""
    return model.encoder.causal and model.spec.stream == "joint"


def _live_label(detector: Detector, shares: NDArray[np.float64], time: float) -> LiveLabel:
    """The likeliest class where something is done, as `find_actions` tells it of a frame."""
    best = int(shares[BACKGROUND + 1 :].argmax()) + 1
    if 1 - shares[BACKGROUND] < detector.settings.activity:
        return LiveLabel(time, None, float(shares[BACKGROUND]), shares)
    return LiveLabel(time, detector.classes[best - 1], float(shares[best]), shares)


def _stream(spec: EncoderSpec, sender: Recorded, reader: Reader[Result], delay: float) -> Stream[Result]:
    if spec.rule == FLAT:
        raise ConfigError("expected a model of three dimensions to stream, got one of poses in a picture: not yet")
    layout = sender.layout
    of = layout if layout is None or isinstance(layout, Layout) else load_layout(layout)
    if sender.up is not None:
        given_up(sender.up)
        if _rule(spec) != "upright":
            raise ConfigError(f"setting up: expected it only where clips are turned upright, not {_rule(spec)}")
    fps = _fps(spec, sender)
    own = fps if sender.fps is None else sender.fps
    if not 0 < own <= 10_000:
        raise ConfigError(f"setting fps: expected frames a second, more than 0 and up to 10000, got {own:g}")
    return Stream(IncomingFrames(spec.layout, of), Clock(own, fps), reader, delay + (1 / own if own != fps else 0.0))


def _preparation(spec: EncoderSpec, sender: Recorded) -> Preparation:
    normalise = spec.normalised is not False
    return Preparation(spec.layout, spec.bodies, _fps(spec, sender), normalise, _rule(spec), sender.up)


def _rule(spec: EncoderSpec) -> RuleName:
    return cast(RuleName, spec.rule or "upright")


def _fps(spec: EncoderSpec, sender: Recorded) -> float:
    """The rate at which the model is fed."""
    return spec.fps or sender.fps or 30.0


def _window_frames(seconds: float, fps: float) -> int:
    check_real("window", seconds)
    if not 0 < seconds <= MOST_SECONDS:
        raise ConfigError(f"setting window: expected seconds, more than 0 and up to {MOST_SECONDS:g}, got {seconds:g}")
    return max(1, round(seconds * fps))


def _hop(hop: int | None, fps: float) -> int:
    if hop is not None:
        check_integer("hop", hop, 1, MOST)
    return hop or max(1, round(EVERY * fps))


def _clip(frames: Sequence[TimedFrame] | deque[TimedFrame]) -> NDArray[np.float32]:
    """The frames (T, M, V, 3), with as many bodies as the one that has most."""
    most = max(len(timed.frame) for timed in frames)
    clip = np.zeros((len(frames), most, *frames[0].frame.shape[1:]), np.float32)
    for place, timed in enumerate(frames):
        clip[place, : len(timed.frame)] = timed.frame
    return clip
