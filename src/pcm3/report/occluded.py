"""A picture of occluded clips: what is left for the encoder to see, beside what there was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from pcm3.augment.crop import centre_crops, crop_resize
from pcm3.clips import TEST_CROP
from pcm3.data.store import ClipStore
from pcm3.render.movie import in_palette, save_png
from pcm3.render.scene import Scene, make_scene
from pcm3.render.sheet import strips
from pcm3.settings.tasks import OcclusionSettings
from pcm3.tasks.occlusion import KINDS, NAMES, occlusion_masks

SIZE = 64
"""Frames that clips are resampled to, as for an encoder."""


def occluded_picture(
    store: ClipStore, clips: Sequence[int], picture: Path, settings: OcclusionSettings | None = None, moments: int = 10
) -> None:
    """A contact sheet of test crops: each clip clean, without some body parts, and without a block of frames."""
    scenes = [scene for clip in clips for scene in _scenes(store, clip, settings or OcclusionSettings())]
    save_png(in_palette(strips(scenes, moments=moments)), picture)


def crop_of_test(store: ClipStore, clip: int, frames: int) -> tuple[Float[Tensor, "1 T M V C"], float]:
    """What a test sees of a clip, in so many frames, and how many of them are a second."""
    frames_of_clip = torch.from_numpy(store.clip(clip))
    start, length = centre_crops(torch.tensor([len(frames_of_clip)]), TEST_CROP)
    return crop_resize(frames_of_clip, start, length, frames), frames * store.fps / float(length)


def _scenes(store: ClipStore, clip: int, settings: OcclusionSettings) -> list[Scene]:
    """The three scenes of one clip: of the clean one, with joints that are not drawn where they are hidden."""
    crop, fps = crop_of_test(store, clip, SIZE)
    title, normalised = str(store.ids[clip]), store.normalised
    clean = make_scene(crop[0].numpy(), store.layout, fps=fps, normalised=normalised, title=title)
    scenes = []
    for kind in KINDS:
        hidden = occlusion_masks([title], store.layout, kind, SIZE, settings)[0]
        labels = (NAMES[kind],) * SIZE
        scenes.append(replace(clean, present=clean.present & ~hidden[:, None], labels=labels))
    return scenes
