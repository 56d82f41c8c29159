"""What one encoder makes of a store's clips: features and maps, computed once and kept; the nearest of each clip."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy.typing import NDArray

from pcm3.clips import ClipBank, ClipEncoder, extract
from pcm3.data.store import ClipStore
from pcm3.errors import RunFailed
from pcm3.web.kept import Kept

BLOCK = 256
"""Clips that are encoded between two words of progress."""


@dataclass(eq=False)
class EmbeddedClips:
    """The clips of one store as one encoder sees them."""

    name: str
    """What the page calls the encoder."""
    make: Callable[[], tuple[ClipEncoder, ClipBank]] = field(repr=False)
    """Gives the encoder, and the clips as it is fed with them; asked once, when they are first needed."""
    kept: Kept
    taught_by: str = ""
    """Checksum of the store that the encoder was pretrained on; empty: none, or not known."""
    arrays: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """features (N, D), pca, tsne, umap (N, 2), clusters (N, 1): those that are there."""

    _fed: tuple[ClipEncoder, ClipBank] | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)
    _complained: bool = field(default=False, repr=False)

    @property
    def fed(self) -> tuple[ClipEncoder, ClipBank]:
        """The encoder and its clips."""
        with self._lock:  # a file may be dropped while the clips are encoded
            if self._fed is None:
                self._fed = self.make()
            return self._fed

    @property
    def features(self) -> Float32[np.ndarray, "N D"]:
        """Of all clips; KeyError while they are not there."""
        return self.arrays["features"]

    def once(self, name: str, compute: Callable[[], NDArray[np.float32]]) -> None:
        """Computes an array, and keeps it, unless it is there. Where it cannot be kept, whoever started the server
        reads so, once; the page misses nothing.
        """
        if name in self.arrays:
            return
        self.arrays = self.arrays | {name: compute()}
        try:
            self.kept.write(self.arrays)
        except OSError as error:
            if not self._complained:
                why = f"not kept ({error.strerror or error}): the next visit computes it anew"
                sys.stderr.write(f"note: {self.kept.file}: {why}\n")
            self._complained = True

    def embed(self, on_block: Callable[[int], None]) -> Float[np.ndarray, "N D"]:
        """The features of all clips.

        Args:
            on_block: is told how many clips are done; what it raises ends the work.

        Raises:
            RunFailed: they are not finite.
        """
        encoder, bank = self.fed
        count, parts = len(bank.store), []
        for start in range(0, count, BLOCK):
            on_block(start)
            block = np.arange(start, min(start + BLOCK, count))
            parts.append(extract(encoder, bank, block).cpu().numpy())
        on_block(count)
        features = np.concatenate(parts)
        if not np.isfinite(features).all():
            raise RunFailed(f"{self.name}: its features are no numbers: it did not train well")
        return features

    def feature_of(self, clip: ClipStore) -> Float[np.ndarray, " D"]:
        """The feature of a clip that is not of the store: the only one of a store that is prepared as this one is."""
        encoder, bank = self.fed
        own = ClipBank.of(clip, bank.stream, bank.size, bank.device)
        return np.asarray(extract(encoder, own, np.arange(1)).cpu().numpy()[0])

    def neighbours(self, index: int, k: int) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """The clips that the encoder finds most like one, and 1 − cosine of each; the clip itself is left out."""
        far = 1 - self.likeness(self.features[index])
        far[index] = np.inf
        return self._nearest(far, min(k, len(far) - 1))

    def neighbours_of(
        self, feature: Float[np.ndarray, " D"], k: int
    ) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """The same of a feature that is not of the store."""
        far = 1 - self.likeness(feature)
        return self._nearest(far, min(k, len(far)))

    def likeness(self, feature: Float[np.ndarray, " D"]) -> Float[np.ndarray, " N"]:
        """The cosine of each clip's feature with one."""
        return np.asarray(self.unit_rows @ (feature / max(float(np.linalg.norm(feature)), 1e-12)))

    @cached_property
    def unit_rows(self) -> Float32[np.ndarray, "N D"]:
        """The features as rows of length 1."""
        norms = np.linalg.norm(self.features, axis=1, keepdims=True)
        return np.asarray(self.features / np.maximum(norms, 1e-12), np.float32)

    @staticmethod
    def _nearest(far: Float[np.ndarray, " N"], k: int) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        near = np.argpartition(far, k - 1)[:k] if k else np.zeros(0, np.int64)
        near = near[np.argsort(far[near], kind="stable")]
        return near, np.maximum(far[near], 0)
