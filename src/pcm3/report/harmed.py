"""A picture of clips that were made worse: what the encoder sees of them, beside what there was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pcm3.data.store import ClipStore
from pcm3.render.movie import in_palette, save_png
from pcm3.render.scene import Scene, make_scene
from pcm3.render.sheet import strips
from pcm3.report.occluded import crop_of_test
from pcm3.settings.tasks import RobustnessSettings
from pcm3.tasks.robustness import harmed_clips, harms_of


def harmed_picture(
    store: ClipStore, clips: Sequence[int], frames: int, picture: Path, settings: RobustnessSettings, moments: int = 10
) -> None:
    """A contact sheet of test crops of so many frames: each clip clean, and with every harm of the settings."""
    scenes = [scene for clip in clips for scene in _scenes(store, clip, frames, settings)]
    save_png(in_palette(strips(scenes, moments=moments)), picture)


def _scenes(store: ClipStore, clip: int, frames: int, settings: RobustnessSettings) -> list[Scene]:
    """Of one clip; what is absent is not drawn."""
    (crop, fps), title = crop_of_test(store, clip, frames), str(store.ids[clip])
    scenes = []
    for harm in (None, *harms_of(settings)):
        inputs = crop if harm is None else harmed_clips(crop, harm, [title])
        name = "clean" if harm is None else harm.name.replace("_", " ")
        scene = make_scene(inputs[0].numpy(), store.layout, fps=fps, normalised=store.normalised, title=title)
        there = (inputs[0] != 0).any(dim=-1).numpy() | (crop[0] == 0).all(dim=-1).numpy()
        scenes.append(replace(scene, present=scene.present & there, labels=(name,) * frames))
    return scenes
