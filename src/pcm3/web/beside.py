"""What the model is compared with: another model, the same encoder untrained, or raw coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pcm3 import api
from pcm3.api import Model
from pcm3.api.given import AS_THE_MODEL
from pcm3.clips import ClipBank, ClipEncoder, clips_to_fit, fit_readout
from pcm3.data.store import ClipStore
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.head_files import weights_checksum
from pcm3.web.embedded import EmbeddedClips
from pcm3.web.kept import Kept

RAW, UNTRAINED = "raw", "untrained"
"""The words for what is no model on the disk; a folder of that name is ``./raw``."""
SEED = 1000
"""Of the untrained encoder's weights, those of seed 0 of ``pcm3 evaluate``."""
MOST_RAW = 100_000_000
"""Numbers that raw coordinates of all clips come to; where these are more, clips are resampled to fewer frames."""
LEAST_FRAMES = 8

Fed = tuple[ClipEncoder, ClipBank]


def beside(word: str, model: Model, store: ClipStore, bank: Callable[[], ClipBank], folder: Path) -> EmbeddedClips:
    """The store's clips as something else sees them.

    Args:
        word: `RAW`, `UNTRAINED`, or whatever `pcm3.load` takes.
        model: what it stands beside.
        store: whose clips.
        bank: gives them as the model is fed with them.
        folder: where features and maps are kept.

    Raises:
        CheckpointError: there is no such model, or the store does not fit it.
    """
    if word == RAW:
        frames = raw_frames(store, model.spec.frames)
        shape = store.frames.shape[1:]

        def make() -> Fed:
            return RawCoordinates(frames, *shape), replace(bank(), stream="joint", size=frames)

        return EmbeddedClips("raw coordinates", make, Kept.of(folder, f"{RAW} {frames}", store.checksum))
    if word == UNTRAINED:
        encoder = model.spec.build(SEED).to(model.device)

        def make_untrained() -> Fed:
            if model.spec.normalise_features:
                fit_readout(bank().feed.adapted(encoder), clips_to_fit(bank(), np.arange(len(store))))
            return encoder, bank()

        name = f"{UNTRAINED} {weights_checksum(encoder)}"
        return EmbeddedClips("untrained encoder", make_untrained, Kept.of(folder, name, store.checksum))
    other = api.load(word, device="cuda" if model.device.type == "cuda" else "cpu")
    other.given(store, AS_THE_MODEL)
    spec, name = other.spec, weights_checksum(other.encoder)
    return EmbeddedClips(
        Path(word).name or word,
        lambda: (other.encoder, replace(bank(), stream=spec.stream, size=spec.frames)),
        Kept.of(folder, name, store.checksum),
        spec.provenance.store_checksum,
    )


def raw_frames(store: ClipStore, wanted: int) -> int:
    """To how many frames clips are resampled whose coordinates are compared: those of the model, or fewer of many."""
    a_frame = int(np.prod(store.frames.shape[1:]))
    return min(wanted, max(LEAST_FRAMES, MOST_RAW // (len(store) * a_frame)))
