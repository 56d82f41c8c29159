"""Files that are dropped on the page: what pcm3 reads of them, and where it falls among the clips of the store."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from pcm3.api import Model
from pcm3.api.given import AS_THE_MODEL
from pcm3.data.names import printable
from pcm3.data.store import ClipStore
from pcm3.web.embedded import EmbeddedClips

MOST_CLIPS = 20
"""Clips of a file that are looked at."""
KEPT = 50
"""Clips of dropped files that are remembered."""
NEAREST = 5
"""Clips of the store among which one is placed."""


@dataclass(frozen=True, eq=False)
class Guest:
    """A clip of a dropped file."""

    name: str
    store: ClipStore
    """Which holds it alone, prepared as those that the model learned from."""
    features: tuple[Float[np.ndarray, " D"], ...]
    """One for each kind of features that is shown."""


def received(model: Model, sides: Sequence[EmbeddedClips], name: str, content: bytes) -> list[Guest]:
    """The clips of a file, as the model is fed with them.

    Args:
        model: which tells how they are prepared.
        sides: whose features they have.
        name: of the file; only its ending is looked at, which may tell its form.
        content: of the file.

    Raises:
        DataError: no file that pcm3 reads, or nobody in it.
    """
    ending = re.search(r"(\.[A-Za-z0-9]{1,8}){1,2}$", name)
    with tempfile.TemporaryDirectory(prefix="pcm3-explore-") as folder:
        file = Path(folder) / f"dropped{ending[0].lower() if ending else ''}"
        file.write_bytes(content)
        given = model.given([file], AS_THE_MODEL)
        clips = [given.store.only(index) for index in range(min(len(given.store), MOST_CLIPS))]
        features = [tuple(side.feature_of(clip) for side in sides) for clip in clips]
    shown = printable(Path(name.replace("\\", "/")).name or "dropped", 60)
    names = [shown] if len(clips) == 1 else [f"{shown} {number}" for number in range(1, len(clips) + 1)]
    return [Guest(*one) for one in zip(names, clips, features, strict=True)]


def placed(places: Float[np.ndarray, "N 2"], near: Int[np.ndarray, " k"], far: Float[np.ndarray, " k"]) -> list[float]:
    """Where something lies on a map: among its nearest clips, the nearer the closer."""
    weight = 1 / np.maximum(far[:NEAREST], 1e-3)
    return [float(one) for one in (places[near[:NEAREST]] * weight[:, None]).sum(axis=0) / weight.sum()]
