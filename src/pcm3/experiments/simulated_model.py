"""The model that ships with the package, pretrained on simulated people alone.

``pcm3 reproduce simulated-model --out DIR`` makes it anew, see docs/SIMULATED_MODEL.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pcm3.data.datasets import DATASETS
from pcm3.data.importer import store_recordings
from pcm3.data.recording import Recording
from pcm3.data.source_index import Options, SourceClip
from pcm3.data.store import ClipStore
from pcm3.encoders.files import load_encoder, save_encoder
from pcm3.files import new_folder
from pcm3.retarget import plan_retarget
from pcm3.settings.presets import settings_of_preset
from pcm3.simulate import simulate
from pcm3.simulate.actions import SOLO_ACTIONS
from pcm3.skeleton import Layout, load_layout
from pcm3.train.pretrain import pretrain

LAYOUT = "kinect_v2"
SUBJECTS, REPETITIONS, CAMERAS = 40, 2, 3
"""40 people do 28 actions twice before three cameras: 6,720 clips of one person each."""
STEPS = 1500
SEED = 2026
"""Of the simulation: people that no test or demo has."""
SENSORS = ("kinect_v1", "coco17", "h36m17", "mediapipe33", "openpose25", "smpl22", "sbu15")
"""Layouts by which every second recording is seen: retargeted to one of them and back, so that the model knows bodies
whose hands, feet and spine are approximated, as those of a newcomer's clips are."""


def simulated_store(folder: Path, subjects: int = SUBJECTS) -> ClipStore:
    """The recordings that the model learns from, below `folder`; what is there already is not made again."""
    raw, stored = folder / "raw", folder / "store"
    if not raw.exists():
        with new_folder(raw) as partial:
            simulate(partial, subjects=subjects, repetitions=REPETITIONS, cameras=CAMERAS,
                     actions=len(SOLO_ACTIONS), seed=SEED)  # fmt: skip
    if not stored.exists():
        clips = DATASETS["ntu60"].read(raw, Options()).clips
        store_recordings(recorded_by_sensors(clips), stored, layout=LAYOUT, fps=30.0, classes=tuple(SOLO_ACTIONS),
                         bodies=1, kind="simulated", up="y", dtype="float16")  # fmt: skip
    return ClipStore.open(stored)


def recorded_by_sensors(clips: Sequence[SourceClip]) -> Iterator[Recording]:
    """The recordings, every second one with only what a sensor drawn from `SENSORS` tells of it."""
    home = load_layout(LAYOUT)
    rng = np.random.default_rng(SEED)
    for clip in clips:
        recording, drawn = clip.read(), int(rng.integers(2 * len(SENSORS)))
        yield recorded_by(recording, load_layout(SENSORS[drawn]), home) if drawn < len(SENSORS) else recording


def recorded_by(recording: Recording, sensor: Layout, home: Layout) -> Recording:
    """The recording with only what another layout has of it: retargeted there and back."""
    there, back = plan_retarget(home, sensor), plan_retarget(sensor, home)
    frames, present = back(*there(recording.frames, recording.present))
    return replace(recording, frames=frames, present=present, scores=None)


def make(folder: Path, steps: int, subjects: int, log: Callable[[str], object]) -> Path:
    """Simulate, import and pretrain in a folder, and write the model as it ships; what is there already stays.

    Args:
        folder: for ``raw``, ``store``, ``run`` and ``simulated``, the model.
        steps: of the pretraining.
        subjects: people.
        log: is given a line for every part that begins.

    Returns:
        The model's folder.
    """
    log(f"1/3  simulate people, and show every second recording as another sensor would, in {folder / 'store'}")
    store = simulated_store(folder, subjects)
    log(f"2/3  pretrain without labels in {folder / 'run'}")
    settings = replace(settings_of_preset("small"), protocol="all", steps=steps, minutes=None, threads=1)
    pretrain(store, folder / "run", settings, log=lambda reason: log(f"     {reason}"))
    log(f"3/3  the model, its matrices in float16, in {folder / 'simulated'}")
    ship(folder / "run", folder / "simulated")
    return folder / "simulated"


def ship(run: Path, folder: Path) -> None:
    """Write the model of a run as it comes with the package: small, and for clips from which joints may be absent."""
    encoder, spec = load_encoder(run)
    save_encoder(folder, encoder, replace(spec, gaps=True), half=True)
