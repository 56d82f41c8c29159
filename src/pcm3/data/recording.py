"""What every reader returns: the bodies of one recording, as they were in the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
"""Value of `label`, `subject`, `camera` and `setup` where the data set does not tell."""


@dataclass(frozen=True)
class Recording:
    """One clip as it was recorded: every body of the file, nothing chosen, repaired or moved yet."""

    id: str
    """Name of the clip, unique in its data set (NTU: ``S001C002P003R002A013``)."""
    frames: NDArray[np.float32]
    """(T, M, V, C) metres, camera frame; a body that is absent from a frame is all zeros there."""
    label: int = UNKNOWN
    """Class index, 0-based."""
    subject: int = UNKNOWN
    camera: int = UNKNOWN
    setup: int = UNKNOWN
