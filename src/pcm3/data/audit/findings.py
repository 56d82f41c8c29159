"""What a check finds: one flaw at a time, with the clips that it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.body_measures import BodyMeasures
from pcm3.data.store import ClipStore
from pcm3.summary import counted

WRONG = ("checksum", "label", "leak", "not_finite", "empty")
"""Findings that make results wrong. All others are worth a look: real data are odd in places."""


@dataclass(frozen=True)
class Finding:
    """What is wrong or odd."""

    name: str
    """One word, or several_like_this; docs/DATA.md lists them all."""
    text: str
    """What it is and what it means, in one line."""
    clips: list[str] = field(default_factory=list)
    """The ids of the clips concerned."""
    pairs: list[tuple[str, str]] = field(default_factory=list)
    """For leaks: (id of the training clip, id of the test clip)."""
    details: list[str] = field(default_factory=list)
    """A line for each pair or clip, where there is more to say than its id."""

    @property
    def wrong(self) -> bool:
        """Whether results on this store would be wrong."""
        return self.name in WRONG


def of_clips(
    store: ClipStore,
    measures: BodyMeasures,
    name: str,
    odd: NDArray[np.bool_],
    text: str,
    detail: Callable[[int], str] | None = None,
) -> Iterator[Finding]:
    """The finding about the clips of odd bodies, when there are any.

    Args:
        store: whose clips they are.
        measures: (K,) of the bodies.
        name: of the finding.
        odd: (K,) which bodies are.
        text: what goes after "3 clips".
        detail: what there is to say of one of the K bodies.
    """
    rows = np.flatnonzero(odd).tolist()
    if not rows:
        return
    ids = [str(store.ids[clip]) for clip in measures["clip"][rows]]
    details = [f"{id}: {detail(row)}" for id, row in zip(ids, rows, strict=True)] if detail else []
    different = list(dict.fromkeys(ids))
    yield Finding(name, f"{counted(len(different), 'clip')} {text}", different, details=details)
