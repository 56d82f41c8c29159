"""How many streams one core carries, and how long a frame waits for its label."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from pcm3.api.heads import ClassifierHead, DetectorHead
from pcm3.api.live import LiveLabel, Stream
from pcm3.api.model import Model
from pcm3.device import threads
from pcm3.encoders.spec import ClipFormat, EncoderSpec
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.tasks import DetectionSettings, LinearSettings
from pcm3.skeleton import load_layout
from pcm3.tasks.classifier import Classifier, fresh_head
from pcm3.tasks.detection.evaluate import Detector

FPS = 30.0
CLASSES = tuple(f"class {number}" for number in range(40))
LAYOUT = "kinect_v2"


@dataclass(frozen=True)
class LiveSpeed:
    """One way of streaming, of one width, on one thread."""

    way: str
    """``frames``: a causal encoder stepped; ``windows``: two seconds as a clip, five times a second."""
    hidden_size: int
    streams: int
    """That were fed in turn, a frame each."""
    frames: int
    """Of each that were timed."""
    median_ms: float
    """From a frame's push to its answer, of frames that bring one."""
    p99_ms: float
    """The same, which 99 % do not exceed."""
    streams_at_30_fps: float
    """As many as take all of one core, by the clock."""
    streams_by_cpu_time: float
    """The same by the time that the processor spent on it, in which waiting for other programs does not count."""
    load: float
    """Programs that wanted a core, in the mean over the minute before; more than there are lengthen every wait."""


def benchmark_live(
    hidden_sizes: Sequence[int],
    streams: int,
    seconds: int,
    device: torch.device,
    on_progress: Callable[[str], object] = lambda what: None,
) -> list[LiveSpeed]:
    """A row for each width and way, of the preset `live` with fresh weights.

    Args:
        hidden_sizes: H.
        streams: at a time.
        seconds: of frames that each of them is fed, after two and a half that do not count.
        device: that the encoder is on.
        on_progress: told what comes next.
    """
    rows = []
    with threads(1):
        for hidden_size in hidden_sizes:
            model = _model(hidden_size, device)
            for way, opened in {"frames": _frame_head(model).stream, "windows": _window_head(model).stream}.items():
                on_progress(f"{way}, width {hidden_size}")
                rows.append(_timed(way, hidden_size, [opened() for _ in range(streams)], round(seconds * FPS)))
    return rows


def _timed(way: str, hidden_size: int, streams: Sequence[Stream[LiveLabel]], frames: int) -> LiveSpeed:
    warm = round(2.5 * FPS)
    people = [_simulated_person(number, warm + frames) for number in range(len(streams))]
    answered, spent, cpu = [], 0.0, 0.0
    for frame in range(warm + frames):
        cpu_began = time.process_time()
        for stream, person in zip(streams, people, strict=True):
            began = time.perf_counter()
            result = stream.push(person[frame])
            took = time.perf_counter() - began
            if frame >= warm:
                spent += took
                if result is not None:
                    answered.append(took)
        cpu += time.process_time() - cpu_began if frame >= warm else 0.0
    median, slow = (1000 * float(value) for value in np.quantile(answered or [np.nan], [0.5, 0.99]))
    per_second = len(streams) * frames / FPS
    carried = per_second / max(spent, 1e-9), per_second / max(cpu, 1e-9)
    return LiveSpeed(way, hidden_size, len(streams), frames, median, slow, *carried, psutil.getloadavg()[0])


def _simulated_person(seed: int, frames: int) -> NDArray[np.float32]:
    """Joints about a place that drifts (T, V, 3), of about human size; y is up."""
    random, layout = np.random.default_rng(seed), load_layout(LAYOUT)
    pose = random.normal(0, 0.15, (1, len(layout.joints), 3))
    pose[:, [*layout.parts[3], *layout.parts[4]], 1] -= 0.8
    drift = random.normal(0, 0.01, (frames, 1, 3)).cumsum(axis=0)
    jitter = random.normal(0, 0.005, (frames, len(layout.joints), 3))
    return np.asarray(pose + drift + jitter + [0, 0, 3], np.float32)


def _model(hidden_size: int, device: torch.device) -> Model:
    settings = settings_of_preset("live")
    clips = ClipFormat(load_layout(LAYOUT), bodies=1, fps=FPS, normalised=True, rule="upright")
    encoder = replace(settings.encoder, hidden_size=hidden_size)
    spec = EncoderSpec.of(encoder, clips, "joint", settings.frames)
    return Model(spec.build(0).eval().to(device), spec, device)


def _frame_head(model: Model) -> DetectorHead:
    linear = fresh_head(model.encoder.frame_width, 1 + len(CLASSES), torch.Generator()).to(model.device)
    return DetectorHead(model, Detector(linear, CLASSES, DetectionSettings(feature="frame"), ""))


def _window_head(model: Model) -> ClassifierHead:
    linear = fresh_head(model.encoder.width, len(CLASSES), torch.Generator()).to(model.device)
    return ClassifierHead(model, Classifier(linear, CLASSES, LinearSettings(), ""))
