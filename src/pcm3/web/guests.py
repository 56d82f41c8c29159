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
from pcm3.data.formats.table import FORMATS
from pcm3.data.names import printable
from pcm3.data.recognise import recognise
from pcm3.data.store import ClipStore
from pcm3.errors import DataError, Pcm3Error
from pcm3.web.embedded import EmbeddedClips

MOST_CLIPS = 20
"""Clips of a file that are looked at."""
KEPT = 50
"""Clips of dropped files that are remembered."""
NEAREST = 5
"""Clips of the store among which one is placed."""
COMMON = ".bvh, .c3d, .trc, .csv, .json, .npy"
"""Endings that most people have."""
LONGEST = 400
"""Characters of the words of a refusal."""


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
        DataError: no file that pcm3 reads, or nobody in it; the words do not name the file, which the page does.
    """
    ending = re.search(r"(\.[A-Za-z0-9]{1,8}){1,2}$", name)
    with tempfile.TemporaryDirectory(prefix="pcm3-explore-") as folder:
        file = Path(folder) / f"dropped{ending[0].lower() if ending else ''}"
        file.write_bytes(content)
        _check_known(file)
        try:
            given = model.given([file], AS_THE_MODEL)
        except Pcm3Error as error:
            raise DataError(_refusal(str(error), file)) from None
        clips = [given.store.only(index) for index in range(min(len(given.store), MOST_CLIPS))]
        features = [tuple(side.feature_of(clip) for side in sides) for clip in clips]
    title = printable(Path(name.replace("\\", "/")).name or "dropped", 60)
    names = [title] if len(clips) == 1 else [f"{title} {number}" for number in range(1, len(clips) + 1)]
    return [Guest(*fields) for fields in zip(names, clips, features, strict=True)]


def _check_known(file: Path) -> None:
    """Raises DataError unless the file looks like one that pcm3 reads."""
    if file.stat().st_size == 0:
        raise DataError("expected a recording, got an empty file: is it still being copied?")
    try:
        recognise(file)
    except DataError:
        known = any(file.name.endswith(suffix) for form in FORMATS.values() for suffix in form.suffixes)
        ending = f"{file.suffix} file" if file.suffix else "file without an ending"
        got = f"a {ending} that holds none" if known else f"a {ending}"
        raise DataError(f"expected a recording of joints ({COMMON}; all: docs/YOUR_DATA.md), got {got}: export the "
                        "motion as one of these") from None  # fmt: skip


def _refusal(words: str, file: Path) -> str:
    """What is wrong with a file, without the name that it has here, and what its owner can do."""
    message = words.replace(f"{file}: ", "").replace(f"{file.name}: ", "").replace(file.name, "the file")
    if "--" in message or "setting " in message:  # what a command would be told
        todo = "; the page takes no options: pcm3 import FILE STORE does, then explore that store"
    else:
        todo = "" if message.endswith("?") else ": export it anew, or see docs/YOUR_DATA.md"
    return printable(message, LONGEST - len(todo)) + todo


def placed(places: Float[np.ndarray, "N 2"], near: Int[np.ndarray, " k"], far: Float[np.ndarray, " k"]) -> list[float]:
    """Where something lies on a map: among its nearest clips, the nearer the closer."""
    weight = 1 / np.maximum(far[:NEAREST], 1e-3)
    return [float(coordinate) for coordinate in (places[near[:NEAREST]] * weight[:, None]).sum(axis=0) / weight.sum()]
