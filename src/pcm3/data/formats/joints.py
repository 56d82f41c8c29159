"""Which skeleton the joints of a file are, and its joints in that skeleton's order."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from pcm3.data.formats.motion_file import MotionFile
from pcm3.data.names import printable
from pcm3.errors import DataError
from pcm3.hierarchy import layout_from_hierarchy
from pcm3.joint_names import roles
from pcm3.skeleton import Layout, layout_names, load_layout

SIDES = {"l": "left", "r": "right", "lft": "left", "rgt": "right"}
SPELLINGS = {"center": "centre", "centre": "centre", "mid": "centre", "middle": "centre"}
LIKELY = 0.6
"""Of a layout's joints, the share from which on a file is taken to mean that layout with others."""


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


def layout_of(where: str, file: MotionFile, given: Layout | None) -> tuple[Layout, list[str]]:
    """The skeleton of a file: that which the user gives, its own, or the one whose joints it has; and what was guessed.

    Raises:
        DataError: it is not known; the error lists the joints and says how to give one.
    """
    if given is not None:
        return given, []
    if file.layout is not None:
        return load_layout(file.layout), []
    if file.parents is not None:
        return layout_from_hierarchy(file.joints, file.parents)
    for layout in sorted(map(load_layout, layout_names()), key=lambda layout: -len(layout.joints)):
        if len(layout.joints) <= len(file.joints) and all(_places(file, layout)):
            unused = len(file.joints) - len(layout.joints)
            left = f"; {unused} others are not used" if unused else ""
            if unused <= len(layout.joints):
                return layout, [f"the joints are those of layout {layout.name}, by their names{left} (--layout)"]
    give = "give one with --layout, a name or a TOML file (docs/DATA.md)"
    likest = max(map(load_layout, layout_names()), key=lambda layout: _share(file, layout))
    if _share(file, likest) > LIKELY:
        raise DataError(f"{where}: which skeleton is it? {_missing(file, likest)}: rename them, or {give}")
    raise DataError(
        f"{where}: which skeleton is it? Its {len(file.joints)} joints ({_some(file.joints)}) are not those of "
        f"{', '.join(layout_names())}: {give}"
    )


def arranged(where: str, file: MotionFile, layout: Layout) -> MotionFile:
    """The file with the joints of the layout (V), in its order.

    Joints are found by their names, as they are written or as `pcm3.joint_names` knows them; a file whose joints have
    only numbers must have as many as the layout.

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
    places = _places(file, layout)
    if not all(places):
        raise DataError(f"{where}: {_missing(file, layout)}")
    for joint, matches in zip(layout.joints, places, strict=True):
        if len(matches) > 1:
            names = " and ".join(f"'{printable(file.joints[place], 40)}'" for place in matches[:2])
            raise DataError(f"{where}: which is '{joint}' of layout '{layout.name}': {names}?")
    order = np.array([matches[0] for matches in places])
    return replace(
        file,
        frames=file.frames[:, :, order],
        scores=None if file.scores is None else file.scores[:, :, order],
        joints=layout.joints,
        parents=None,
    )


def _share(file: MotionFile, layout: Layout) -> float:
    """Of the joints of the layout, that which the file has."""
    return sum(map(bool, _places(file, layout))) / len(layout.joints)


def _missing(file: MotionFile, layout: Layout) -> str:
    """Which joints of the layout the file has not, and what they may be called there."""
    missing = [joint for joint, matches in zip(layout.joints, _places(file, layout), strict=True) if not matches]
    known = {canonical(name): name for name in file.joints}
    close = ((joint, get_close_matches(canonical(joint), known, n=1, cutoff=0.6)) for joint in missing)
    near = next(((joint, known[names[0]]) for joint, names in close if names), None)
    hint = f"; the nearest to '{near[0]}' is '{printable(near[1], 40)}'" if near else ""
    return (
        f"expected the joints of layout '{layout.name}', but {len(missing)} of {len(layout.joints)} are missing "
        f"({_some(missing)}){hint}; the file has {_some(file.joints)}"
    )


def _places(file: MotionFile, layout: Layout) -> list[list[int]]:
    """For each joint of the layout the joints of the file that may be it: by spelling, else by what the name means."""
    spelled: dict[str, list[int]] = {}
    for place, name in enumerate(file.joints):
        spelled.setdefault(canonical(name), []).append(place)
    meant: dict[str | None, list[int]] = {}
    for place, role in enumerate(roles(file.joints)):
        meant.setdefault(role, []).append(place)
    wanted = zip(layout.joints, roles(layout.joints, layout.name), strict=True)
    return [spelled.get(canonical(joint)) or (meant.get(role, []) if role else []) for joint, role in wanted]


def _some(names: tuple[str, ...] | list[str]) -> str:
    """Some of the names, in a line."""
    return ", ".join(printable(name, 30) for name in names[:6]) + (", …" if len(names) > 6 else "")
