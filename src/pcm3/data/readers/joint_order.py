"""From a data set's own order of joints to that of a layout, by name, so that no one counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcm3.skeleton import load_layout


def joint_order(names: tuple[str, ...], layout: str) -> NDArray[np.intp]:
    """The place in ``names`` of each joint of the layout (V): the index that brings the V axis into its order."""
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[joint] for joint in load_layout(layout).joints])
