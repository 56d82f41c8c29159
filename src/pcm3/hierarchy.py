"""A layout of a skeleton that only comes with names and parents, as motion capture files have them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pcm3.joint_names import SIDES, roles
from pcm3.skeleton import PART_NAMES, Layout, layout_from_dict

ARM = {"collar", "shoulder", "elbow", "wrist", "hand", "hand_tip", "thumb", "index", "pinky"}
LEG = {"hip", "knee", "ankle", "heel", "foot", "toe", "small_toe"}
TRUNK_UPWARDS = ("pelvis", "lower_spine", "spine", "chest", "shoulder_centre", "neck")
"""Roles of the middle of a body, from the lowest."""


def layout_from_hierarchy(names: Sequence[str], parents: Sequence[int], name: str = "own") -> tuple[Layout, list[str]]:
    """The layout of a skeleton's joints, with what their names tell: parts, mirror pairs, centre, up and across.

    A joint whose name is not known belongs to the part of its parent.

    Args:
        names: of the V joints.
        parents: the joint that each joint hangs from (V); the root's is itself, or negative.
        name: of the layout.

    Returns:
        the layout; and what could not be told by names, in whole lines.

    Raises:
        DataError: names that are not different, or parents that make no tree.
    """
    climbing = [joint if parent < 0 else parent for joint, parent in enumerate(parents)]
    known = roles(names)
    places = {role: joint for joint, role in reversed(list(enumerate(known))) if role is not None}
    notes: list[str] = []
    pairs = _pairs(names, known)
    if not pairs:
        notes.append("no names of a left and a right side: the layout has no mirror pairs")
    root = next((joint for joint, parent in enumerate(climbing) if joint == parent), 0)
    middle = [places[role] for role in TRUNK_UPWARDS if role in places]
    centre = middle[0] if middle else root
    if not middle:
        notes.append(f"no name of a pelvis or spine: clips are centred on the root, '{names[root]}'")
    named_across = _across(places, pairs)
    up = _up(middle, centre, named_across, climbing)
    across = named_across or _any_other(up, len(names))
    for what, known_way, way in (("up", len(middle) > 1, up), ("across", named_across is not None, across)):
        if not known_way:
            taken = " to ".join(f"'{names[joint]}'" for joint in way)
            notes.append(f"no names that tell what goes {what} in the body: from {taken} is taken")
    fields = {
        "name": name,
        "joints": list(names),
        "parents": climbing,
        "parts": _parts(known, climbing),
        "mirror": pairs,
        "centre": centre,
        "up": up,
        "across": across,
    }
    return layout_from_dict(fields, name), notes


def _pairs(names: Sequence[str], known: Sequence[str | None]) -> list[tuple[int, int]]:
    """(left, right) joints whose names differ in nothing but the side."""
    twins: dict[tuple[str, ...], dict[str, int]] = {}
    for joint, (name, role) in enumerate(zip(names, known, strict=True)):
        side = role.split("_")[0] if role and role.split("_")[0] in SIDES else _named_side(name)
        if side is not None:
            twins.setdefault((_without_side(name),), {})[side] = joint
    return [(pair["left"], pair["right"]) for pair in twins.values() if len(pair) == len(SIDES)]


_SIDE = re.compile(r"left|right|(?<![a-zA-Z])[lr](?![a-z])|(?<=[_. ])[LRlr]$|^[LRlr](?=[A-Z])", re.IGNORECASE)


def _named_side(name: str) -> str | None:
    match = _SIDE.search(name)
    return {"l": "left", "r": "right"}[match.group()[0].lower()] if match else None


def _without_side(name: str) -> str:
    """The name with its side, or with the l or r that it begins with, left out."""
    return _SIDE.sub("", name, count=1).lower() if _SIDE.search(name) else name[1:].lower()


def _parts(known: Sequence[str | None], parents: Sequence[int]) -> list[list[int]]:
    """The joints of each of `PART_NAMES`."""
    parts: list[list[int]] = [[] for _ in PART_NAMES]
    for joint in range(len(parents)):
        at, climbed = joint, 0
        while known[at] is None and parents[at] != at and climbed < len(parents):
            at, climbed = parents[at], climbed + 1
        parts[_part(known[at])].append(joint)
    return parts


def _part(role: str | None) -> int:
    side, _, word = (role or "").partition("_")
    limb = "arm" if word in ARM else "leg" if word in LEG else ""
    return PART_NAMES.index(f"{side}_{limb}") if side in SIDES and limb else 0


def _across(places: dict[str, int], pairs: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """From left to right: the shoulders, else the hips, else any pair."""
    for word in ("shoulder", "hip", "collar"):
        if f"left_{word}" in places and f"right_{word}" in places:
            return places[f"left_{word}"], places[f"right_{word}"]
    return pairs[0] if pairs else None


def _up(middle: Sequence[int], centre: int, across: tuple[int, int] | None, parents: Sequence[int]) -> tuple[int, int]:
    """From the lowest joint of the trunk to the highest; else from the centre to a joint that hangs from it."""
    if len(middle) > 1:
        return middle[0], middle[-1]
    others = [joint for joint in range(len(parents)) if joint != centre and {joint, centre} != set(across or ())]
    below = [joint for joint in others if parents[joint] == centre]
    return centre, (below or others or [centre])[0]


def _any_other(up: tuple[int, int], joints: int) -> tuple[int, int]:
    """Two joints that are not those of up."""
    return up[0], next((joint for joint in range(joints) if joint not in up), up[1])
