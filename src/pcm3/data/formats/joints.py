"""Which skeleton the joints of a file are, and its joints in that skeleton's order."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from pcm3.data.formats.motion_file import MotionFile
from pcm3.data.names import printable
from pcm3.errors import DataError
from pcm3.skeleton import Layout, layout_names, load_layout

SIDES = {"l": "left", "r": "right", "lft": "left", "rgt": "right"}
SPELLINGS = {"center": "centre", "centre": "centre", "mid": "centre", "middle": "centre"}


def canonical(name: str) -> str:
    """A joint's name as others write it too: ``HipLeft``, ``left_hip``, ``L.Hip`` and ``LHip`` are one."""
    bare = name.rsplit(":", 1)[-1]
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", re.sub(r"\b([LR])([A-Z][a-z])", r"\1 \2", bare))
    words = [word.lower() for word in words]
    words = [part for word in words for part in _parts(word)]
    return " ".join(sorted(SPELLINGS.get(word, SIDES.get(word, word)) for word in words))


def _parts(word: str) -> list[str]:
    """A word without a joint in it as it is; ``leftshoulder`` as its two."""
    for side in ("left", "right"):
        if word.startswith(side) and word != side:
            return [side, word[len(side) :]]
        if word.endswith(side) and word != side:
            return [word[: -len(side)], side]
    return [word]


def layout_of(where: str, file: MotionFile, given: Layout | None) -> Layout:
    """The skeleton of a file: the one that the user gives, its own, or the one whose joints it has by name.

    Raises:
        DataError: it is not known; the error lists the joints and says how to give one.
    """
    if given is not None:
        return given
    if file.layout is not None:
        return load_layout(file.layout)
    if file.parents is not None:
        return layout_of_tree(file.joints, file.parents)
    wanted = {canonical(name) for name in file.joints}
    for name in layout_names():
        layout = load_layout(name)
        if wanted == {canonical(joint) for joint in layout.joints} and len(wanted) == len(layout.joints):
            return layout
    raise DataError(
        f"{where}: which skeleton is it? Its {len(file.joints)} joints ({_some(file.joints)}) are not those of "
        f"{', '.join(layout_names())}: give one with --layout, a name or a TOML file (docs/DATA.md)"
    )


def layout_of_tree(joints: tuple[str, ...], parents: tuple[int, ...]) -> Layout:
    """The layout of joints whose hierarchy the file tells."""
    raise NotImplementedError(joints, parents)


def arranged(where: str, file: MotionFile, layout: Layout) -> MotionFile:
    """The file with the joints of the layout (V), in its order.

    Joints are found by their names; a file whose joints have only numbers must have as many as the layout.

    Raises:
        DataError: joints of the layout are missing, or have two candidates.
    """
    count = len(layout.joints)
    if file.joints == layout.joints:
        return file
    if all(re.fullmatch(r"\D*\d+", name) for name in file.joints) and file.layout is None:
        if len(file.joints) != count:
            raise DataError(
                f"{where}: expected {count} joints for layout '{layout.name}', got {len(file.joints)} "
                f"({_some(file.joints)})"
            )
        return replace(file, joints=layout.joints)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(file.joints):
        places.setdefault(canonical(name), []).append(place)
    missing = [joint for joint in layout.joints if canonical(joint) not in places]
    if missing:
        near = get_close_matches(canonical(missing[0]), places, n=1, cutoff=0.4)
        hint = f"; the nearest is '{printable(file.joints[places[near[0]][0]], 40)}'" if near else ""
        raise DataError(
            f"{where}: expected the joints of layout '{layout.name}', but {len(missing)} of {count} are missing "
            f"({_some(missing)}){hint}; the file has {_some(file.joints)}"
        )
    several = next((joint for joint in layout.joints if len(places[canonical(joint)]) > 1), None)
    if several is not None:
        names = " and ".join(f"'{printable(file.joints[place], 40)}'" for place in places[canonical(several)][:2])
        raise DataError(f"{where}: which is '{several}' of layout '{layout.name}': {names}?")
    order = np.array([places[canonical(joint)][0] for joint in layout.joints])
    return replace(
        file,
        frames=file.frames[:, :, order],
        scores=None if file.scores is None else file.scores[:, :, order],
        joints=layout.joints,
        parents=None,
    )


def _some(names: tuple[str, ...] | list[str]) -> str:
    """Some of the names, in a line."""
    return ", ".join(printable(name, 30) for name in names[:6]) + (", …" if len(names) > 6 else "")
