"""What the labels that were given so far teach, computed once for each state of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from jaxtyping import Float32, Int

from pcm3.api.teaching import Taught, expected, next_clips, teach
from pcm3.web.labels import LabelBook


@dataclass(frozen=True, eq=False)
class Lesson:
    """One state of the labels."""

    names: tuple[str, ...]
    """Of the classes that were given, sorted."""
    labelled: Int[np.ndarray, " K"]
    """The clips of the store that have a label."""
    label: Int[np.ndarray, " K"]
    """The class of each, as its number among the names."""
    taught: Taught | None
    """None: there is no label yet."""
    expected: tuple[float, int] | None
    """See `pcm3.api.teaching.expected`."""


@dataclass(eq=False)
class Lessons:
    """Gives the lesson of the labels as they are now."""

    rows: Float32[np.ndarray, "N D"]
    """Of all clips, see `pcm3.api.teaching.directions`."""
    subject: Int[np.ndarray, " N"]
    ids: list[str]
    labels: LabelBook
    _last: tuple[dict[str, str], Lesson] | None = None
    _lock: Lock = field(default_factory=Lock)

    def now(self) -> Lesson:
        """What the labels teach."""
        given = self.labels.given()
        with self._lock:
            if self._last is None or self._last[0] != given:
                self._last = given, self._lesson(given)
            return self._last[1]

    def next_clips(self, count: int) -> list[int]:
        """The clips of which a label would teach most now."""
        lesson = self.now()
        return list(map(int, next_clips(self.rows, lesson.labelled, lesson.taught, count)))

    def _lesson(self, given: dict[str, str]) -> Lesson:
        names = tuple(sorted(set(given.values())))
        number = {name: place for place, name in enumerate(names)}
        labelled = np.array([clip for clip, name in enumerate(self.ids) if name in given], np.int64)
        label = np.array([number[given[self.ids[clip]]] for clip in labelled], np.int64)
        taught = teach(self.rows, labelled, label) if len(labelled) else None
        return Lesson(names, labelled, label, taught, expected(self.rows, labelled, label, self.subject))
