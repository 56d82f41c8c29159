"""One frame of any form, in the joints of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from pcm3.data.names import printable
from pcm3.data.recording import metres
from pcm3.errors import DataError
from pcm3.retarget import plan_retarget
from pcm3.skeleton import Layout

NamedJoints: TypeAlias = "Mapping[str, object]"
"""Joint name → x, y, z; None, and what is missing: absent."""
Frame: TypeAlias = "ArrayLike | NamedJoints | Sequence[object]"
"""An array (V, 3) or (M, V, 3) in metres, NaN where a joint is absent; or the joints of a body by their names, or a
list of such bodies."""
MOST_BODIES = 100


class IncomingFrames:
    """Brings frames into the joints of a layout, retargeted where theirs are others (`pcm3.retarget`)."""

    def __init__(self, layout: Layout, of: Layout | None) -> None:
        """For frames of one sender.

        Args:
            layout: that is wanted.
            of: the frames' own; None: the same, or, where joints come with names, told by these.

        Raises:
            DataError: the one cannot be retargeted to the other.
        """
        self._layout, self._of = layout, of or layout
        self._given = of is not None
        self._plan = None if self._of.joints == layout.joints else plan_retarget(self._of, layout)

    def __call__(self, frame: Frame) -> Float[NDArray[np.float32], "M V 3"]:
        """The frame, absent joints all zeros.

        Raises:
            DataError: it is no frame of the layout in metres, or has names that tell no body.
        """
        bodies = _named_bodies(frame)
        array = _as_array(frame, len(self._of.joints), self._of.name) if bodies is None else self._by_name(bodies)
        clip = metres("the frame", array[None])
        return np.array(clip[0] if self._plan is None else self._plan(clip)[0][0])

    def _by_name(self, bodies: Sequence[NamedJoints]) -> Float[NDArray[np.float32], "M V 3"]:
        names = tuple(dict.fromkeys(name for body in bodies for name in body))
        if not set(names) <= set(self._of.joints):
            if self._given:
                unknown = next(name for name in names if name not in self._of.joints)
                raise DataError(f"expected joints of layout {self._of.name}, got '{printable(unknown, 40)}'")
            # What goes where is told by names alone; nothing else is asked of the layout of the sender.
            count = len(names)
            nowhere = tuple(() for _ in range(4))
            parts, at = (tuple(range(count)), *nowhere), (0, 0)
            of = Layout("of the frames", names, (0,) * count, parts, (), centre=0, up=at, across=at)
            self._plan = plan_retarget(of, self._layout)
            self._of, self._given = of, True
        array = np.full((len(bodies), len(self._of.joints), 3), np.nan, np.float32)
        for place, body in enumerate(bodies):
            for name, xyz in body.items():
                array[place, self._of.joints.index(name)] = _three(name, xyz)
        return array


def _named_bodies(frame: Frame) -> Sequence[NamedJoints] | None:
    """The bodies whose joints come by name; None: it is an array."""
    bodies = [frame] if isinstance(frame, Mapping) else frame
    if isinstance(bodies, list | tuple) and bodies and all(isinstance(body, Mapping) for body in bodies):
        if not any(body for body in bodies) or len(bodies) > MOST_BODIES:
            raise DataError(f"expected joints by name of 1 to {MOST_BODIES} bodies, got {len(bodies)} bodies")
        return bodies
    return None


def _three(name: str, xyz: object) -> NDArray[np.float32]:
    if xyz is None:
        return np.full(3, np.nan, np.float32)
    try:
        values = np.asarray(xyz, np.float32)  # of None it makes NaN
    except (TypeError, ValueError, OverflowError):
        values = np.zeros(0, np.float32)
    if values.shape != (3,):
        raise DataError(f"joint '{printable(name, 40)}': expected x, y and z in metres, or null, got something else")
    return values


def _as_array(frame: Frame, joints: int, layout: str) -> Float[NDArray[np.float32], "M V 3"]:
    expected = f"expected a frame ({joints}, 3) or (bodies, {joints}, 3) of {layout} in metres"
    try:
        array = np.asarray(frame, np.float32)  # of None it makes NaN
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{expected}, got numbers in another form") from None
    if array.shape == (0,):  # nobody
        return np.zeros((1, joints, 3), np.float32)
    if array.ndim not in (2, 3) or array.shape[-2:] != (joints, 3) or not 0 < len(array) <= max(MOST_BODIES, joints):
        raise DataError(f"{expected}, got {array.shape}: name its layout where it has another")
    return array.reshape(-1, joints, 3)
