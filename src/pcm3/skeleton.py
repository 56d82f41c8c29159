"""Skeleton layouts as plain data: which joints there are, and how they hang together.

A layout is a small TOML file. Those of the package lie in ``layouts/``; a user's own has the same form
(see docs/DATA.md). Joint numbers are 0-based everywhere; the files speak in names, so that no one counts.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pcm3.errors import DataError
from pcm3.packaged import packaged

PART_NAMES = ("trunk", "left_arm", "right_arm", "left_leg", "right_leg")


@dataclass(frozen=True)
class Layout:
    """The joints of one kind of skeleton, V in number, and their relations, as 0-based joint numbers."""

    name: str
    """Name of the layout, as in ``layouts/<name>.toml``."""
    joints: tuple[str, ...]
    """The V joint names, in the order of the V axis."""
    parents: tuple[int, ...]
    """The joint that each joint hangs from (V); the root is its own parent. This defines the bone stream."""
    parts: tuple[tuple[int, ...], ...]
    """The five body parts of PCM³ §3.2 in the order of `PART_NAMES`; every joint is in exactly one."""
    mirror: tuple[tuple[int, int], ...]
    """(left, right) pairs of joints; a joint in no pair is its own mirror image."""
    centre: int
    """The joint that normalisation puts at the origin (Kinect: the middle of the spine)."""
    up: tuple[int, int]
    """(from, to): the direction that normalisation turns onto z."""
    across: tuple[int, int]
    """(from, to): the direction that normalisation then turns onto x (Kinect: left to right shoulder)."""

    @property
    def root(self) -> int:
        """The joint that is its own parent."""
        return next(joint for joint, parent in enumerate(self.parents) if joint == parent)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """For each joint, the joint on the other side (V)."""
        order = list(range(len(self.joints)))
        for left, right in self.mirror:
            order[left], order[right] = right, left
        return tuple(order)

    def to_dict(self) -> dict[str, Any]:
        """The layout as JSON-able data; `layout_from_dict` is the inverse."""
        return asdict(self)


def layout_names() -> list[str]:
    """The names of the layouts that come with the package."""
    return list(packaged("layouts", ".toml"))


def load_layout(name_or_file: str | Path) -> Layout:
    """The layout of that name, or of that TOML file.

    Raises:
        DataError: no such layout or file, or the file does not describe a skeleton.
    """
    layouts = packaged("layouts", ".toml")
    path = layouts.get(str(name_or_file), Path(name_or_file))
    if path.suffix != ".toml" or not path.is_file():
        raise DataError(f"expected a layout ({', '.join(layouts)}) or a .toml file that exists, got '{name_or_file}'")
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a TOML file in UTF-8, got other bytes ({error.reason})") from error


def layout_from_dict(data: dict[str, Any]) -> Layout:
    """The layout that `Layout.to_dict` gave."""
    pairs = tuple((int(left), int(right)) for left, right in data["mirror"])
    layout = Layout(
        name=data["name"],
        joints=tuple(data["joints"]),
        parents=tuple(data["parents"]),
        parts=tuple(tuple(part) for part in data["parts"]),
        mirror=pairs,
        centre=data["centre"],
        up=(data["up"][0], data["up"][1]),
        across=(data["across"][0], data["across"][1]),
    )
    _check(layout, layout.name)
    return layout


def _parse(text: str, where: str) -> Layout:
    """The layout in a TOML text that speaks in joint names."""
    try:
        data = tomllib.loads(text)
        joints = tuple(data["joints"])
        number = {name: index for index, name in enumerate(joints)}
        if len(number) != len(joints):
            raise DataError(f"{where}: joint names must differ from each other")
        layout = Layout(
            name=data["name"],
            joints=joints,
            parents=tuple(number[data["parents"].get(name, name)] for name in joints),
            parts=tuple(tuple(number[name] for name in data["parts"][part]) for part in PART_NAMES),
            mirror=tuple((number[left], number[right]) for left, right in data["mirror"]),
            centre=number[data["centre"]],
            up=(number[data["up"][0]], number[data["up"][1]]),
            across=(number[data["across"][0]], number[data["across"][1]]),
        )
        unknown = set(data["parents"]) - set(joints)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{where}: not a TOML file: {error}") from error
    except KeyError as error:
        raise DataError(
            f"{where}: expected joints, parents, parts, mirror, centre, up, across in joint names; {error} is missing"
        ) from error
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{where}: not a layout: {error}; docs/DATA.md shows one") from error
    if unknown:
        raise DataError(f"{where}: parents names joints that do not exist: {', '.join(sorted(unknown))}")
    _check(layout, where)
    return layout


def _check(layout: Layout, where: str) -> None:
    """Raises DataError unless the layout is one tree whose five parts hold every joint once."""
    joints = range(len(layout.joints))
    roots = [joint for joint in joints if layout.parents[joint] == joint]
    if len(roots) != 1:
        names = ", ".join(layout.joints[joint] for joint in roots)
        raise DataError(f"{where}: expected one root (a joint without parent), got {len(roots)}: {names}")
    for joint in joints:
        seen = {joint}
        while layout.parents[joint] != joint:
            joint = layout.parents[joint]  # noqa: PLW2901 (climbing)
            if joint in seen:
                raise DataError(f"{where}: parents form a circle at joint '{layout.joints[joint]}'")
            seen.add(joint)
    in_parts = sorted(joint for part in layout.parts for joint in part)
    if in_parts != list(joints):
        wrong = [layout.joints[joint] for joint in joints if in_parts.count(joint) != 1]
        raise DataError(f"{where}: every joint must be in exactly one of {PART_NAMES}; look at {', '.join(wrong)}")
