"""What the explorer keeps beside a store: labels, and features and maps, which another visit need not compute anew."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import ZIP_ERRORS
from pcm3.data.recording import NPY_ERRORS
from pcm3.files import write_atomically

LABELS = "labels.csv"
FEATURES = "features"


def folder_beside(store: Path) -> Path:
    """Where it is kept if no other place is named: ``STORE.explore``."""
    place = store.resolve()
    return place.with_name(f"{place.name}.explore")


@dataclass(frozen=True)
class Kept:
    """Arrays of one model on one store."""

    file: Path

    @classmethod
    def of(cls, folder: Path, model: str, store: str) -> Kept:
        """Those of a model and a store with these checksums."""
        key = hashlib.sha256(f"{model} {store}".encode()).hexdigest()[:16]
        return cls(folder / f"maps-{key}.npz")

    def read(self, clips: int, *, features: bool) -> dict[str, NDArray[np.float32]]:
        """What is kept of so many clips; nothing where there is nothing, or it is damaged.

        Args:
            clips: of the store.
            features: read these, which take seconds of many clips; else all but these.
        """
        try:
            with self.file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
                names = [name for name in archive.files if (name == FEATURES) == features]
                arrays = {name: archive[name].astype(np.float32) for name in names}
        except (OSError, *NPY_ERRORS, *ZIP_ERRORS, AttributeError):
            return {}
        sound = all(len(array) == clips and array.ndim == 2 and np.isfinite(array).all() for array in arrays.values())
        return arrays if sound else {}

    def write(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Keeps these, (N, …), features in half precision."""
        halved = {name: array.astype(np.float16 if name == FEATURES else np.float32) for name, array in arrays.items()}
        write_atomically(self.file, lambda opened: np.savez(opened, **halved))  # type: ignore[arg-type]
