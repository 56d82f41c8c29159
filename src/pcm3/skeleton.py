"""Skeleton layouts as plain data: which joints there are, and how they hang together.

A layout is a small TOML file. Those of the package lie in ``layouts/``; a user's own has the same form
(see docs/DATA.md). Joint numbers are 0-based everywhere; the files speak in names, so that no one counts.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pcm3.errors import DataError, brief
from pcm3.limits import check_path
from pcm3.packaged import packaged

StreamName = Literal["joint", "bone", "motion"]
"""What a clip is turned into before anything else sees it; computed in `pcm3.geometry`."""
InputFeature = Literal["joint", "bone", "motion", "motion4", "motion8"]
"""What an encoder itself computes from a clip of its stream: the same three, and motions over several frames."""
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
    """The joint that normalisation puts at the origin (Kinect: the middle of the spine); of a mirror pair, the middle
    of the two (the hips, where no joint is in the middle of the trunk)."""
    up: tuple[int, int]
    """(from, to): the direction that normalisation turns onto z."""
    across: tuple[int, int]
    """(from, to): the direction that normalisation then turns onto x (Kinect: left to right shoulder)."""

    @property
    def root(self) -> int:
        """The joint that is its own parent."""
        return next(joint for joint, parent in enumerate(self.parents) if joint == parent)

    @property
    def filled_parts(self) -> tuple[tuple[int, ...], ...]:
        """Those of the parts that have joints: a hand has no legs."""
        return tuple(part for part in self.parts if part)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """For each joint, the joint on the other side (V)."""
        order = list(range(len(self.joints)))
        for left, right in self.mirror:
            order[left], order[right] = right, left
        return tuple(order)

    @property
    def at_origin(self) -> tuple[int, ...]:
        """The joint that lies at the origin of normalised clips; none where the centre is the middle of two."""
        return (self.centre,) if self.mirrored[self.centre] == self.centre else ()

    def neighbours(self, joint: int) -> list[int]:
        """The joints that hang from this one, and the one that it hangs from."""
        around = {other for other, parent in enumerate(self.parents) if joint in (other, parent)}
        return sorted((around | {self.parents[joint]}) - {joint})

    def to_dict(self) -> dict[str, Any]:
        """The layout as JSON-able data; `layout_from_dict` is the inverse."""
        return asdict(self)


def layout_names() -> list[str]:
    """The names of the layouts that come with the package."""
    return list(packaged("layouts", ".toml"))


def load_layout(name_or_file: str | Path) -> Layout:
    """The layout of that name, or of that TOML file.

    Raises:
        DataError: no such layout or file, or the file does not describe a skeleton; says which joint or field is wrong.
    """
    check_path("layout", name_or_file)
    layouts = packaged("layouts", ".toml")
    if str(name_or_file) in layouts:
        return _of_the_package(str(name_or_file))
    path = Path(name_or_file)
    if path.suffix != ".toml" or not path.is_file():
        raise DataError(f"expected a layout ({', '.join(layouts)}) or a .toml file that exists, got '{name_or_file}'")
    return _read(path)


@cache
def _of_the_package(name: str) -> Layout:
    return _read(packaged("layouts", ".toml")[name])


def _read(path: Path) -> Layout:
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a TOML file in UTF-8, got other bytes ({error.reason})") from error


def layout_from_dict(data: object, where: str = "layout") -> Layout:
    """The layout that `Layout.to_dict` gave, which may have come through a file.

    Args:
        data: what was read.
        where: how errors name it.

    Raises:
        DataError: the data is not a layout, or not one that can be; says which joint or field is wrong.
    """
    fields = _Fields(data, where)
    joints = fields.names("joints")

    def number(value: object, field: str) -> int:
        if type(value) is not int or not 0 <= value < len(joints):
            raise fields.wrong(field, f"the number of a joint, 0 to {len(joints) - 1}", value)
        return value

    return _layout(fields, joints, fields.get("parents"), fields.get("parts"), number)


def _parse(text: str, where: str) -> Layout:
    """The layout in a TOML text that speaks in joint names."""
    try:
        fields = _Fields(tomllib.loads(text), where)
    except (ValueError, RecursionError) as error:  # of a number with thousands of digits, of lists in lists in lists
        raise DataError(f"{where}: not a TOML file: {error}") from error
    joints = fields.names("joints")
    places = {name: place for place, name in enumerate(joints)}

    def number(value: object, field: str) -> int:
        if not isinstance(value, str):
            raise fields.wrong(field, "the name of a joint", value)
        if value not in places:
            raise fields.wrong(field, "one of the joints", value, "is missing among them")
        return places[value]

    parents, parts = (
        _Fields(fields.get("parents"), f"{where}: parents"),
        _Fields(fields.get("parts"), f"{where}: parts"),
    )
    unknown = [brief(name)[1:-1] for name in parents.data if name not in places]
    if unknown:
        raise DataError(f"{where}: parents names joints that do not exist: {', '.join(unknown[:5])}")
    climbing = [parents.data.get(name, name) for name in joints]
    return _layout(fields, joints, climbing, [parts.get(part) for part in PART_NAMES], number)


class _Fields:
    """The fields of a layout as they were read: anything may be anything."""

    def __init__(self, data: object, where: str) -> None:
        self.where = where
        if not isinstance(data, dict):
            raise DataError(f"{where}: not a layout: expected fields and their values, got {brief(data)}")
        self.data: dict[str, Any] = data

    def wrong(self, field: str, expected: str, got: object, why: str = "") -> DataError:
        """The error that says so."""
        came = f"{brief(got)} {why}" if why else f"got {brief(got)}"
        return DataError(f"{self.where}: not a layout: {field}: expected {expected}, {came}; docs/DATA.md shows one")

    def get(self, field: str) -> object:
        """The value of a field that must be there."""
        if field not in self.data:
            needed = "name, joints, parents, parts, mirror, centre, up, across"
            raise DataError(f"{self.where}: expected {needed}; '{field}' is missing; docs/DATA.md shows a layout")
        return self.data[field]

    def name(self, value: object, field: str) -> str:
        """A text that can be printed."""
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self.wrong(field, "a name of printable characters", value)
        return value

    def names(self, field: str) -> tuple[str, ...]:
        """Names, one or more, each once."""
        joints = tuple(self.name(name, field) for name in self.some(self.get(field), field))
        twice = [name for name, count in Counter(joints).items() if count > 1]
        if twice:
            raise DataError(f"{self.where}: joint names must differ from each other, '{twice[0]}' is there twice")
        if not joints:
            raise self.wrong(field, "the names of the joints", [])
        return joints

    def some(self, value: object, field: str, count: int | None = None) -> Sequence[object]:
        """A list, of so many things if that is said."""
        if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
            raise self.wrong(field, "a list" if count is None else f"a list of {count}", value)
        return value


_Number = Callable[[object, str], int]
"""(value, field) → the joint that the value means, or a DataError that names the field."""


def _layout(fields: _Fields, joints: tuple[str, ...], parents: object, parts: object, number: _Number) -> Layout:
    """The layout of these fields, whose values `number` (value, field) knows how to take as joints."""

    def pair(value: object, field: str) -> tuple[int, int]:
        left, right = (number(joint, field) for joint in fields.some(value, field, 2))
        return left, right

    layout = Layout(
        name=fields.name(fields.get("name"), "name"),
        joints=joints,
        parents=tuple(number(joint, "parents") for joint in fields.some(parents, "parents", len(joints))),
        parts=tuple(
            tuple(number(joint, f"parts, {name}") for joint in fields.some(part, f"parts, {name}"))
            for name, part in zip(PART_NAMES, fields.some(parts, "parts", len(PART_NAMES)), strict=True)
        ),
        mirror=tuple(pair(value, "mirror") for value in fields.some(fields.get("mirror"), "mirror")),
        centre=number(fields.get("centre"), "centre"),
        up=pair(fields.get("up"), "up"),
        across=pair(fields.get("across"), "across"),
    )
    flaw = tree_flaw(layout.parents, joints) or _part_flaw(layout) or _mirror_flaw(layout) or _direction_flaw(layout)
    if flaw:
        raise DataError(f"{fields.where}: {flaw}")
    return layout


def tree_flaw(parents: Sequence[int], names: Sequence[str]) -> str:
    """Why the parents, each the number of a joint, do not make one tree of the joints; empty where they do."""
    roots = [names[joint] for joint, parent in enumerate(parents) if joint == parent]
    if len(roots) != 1:
        return f"expected one root (a joint without parent), got {len(roots)}: {', '.join(roots[:5])}"
    climbed_from: dict[int, int] = {}  # joint → from which joint it was first climbed to
    for start in range(len(parents)):
        joint = start
        while joint not in climbed_from:
            climbed_from[joint] = start
            joint = parents[joint]
        if climbed_from[joint] == start and parents[joint] != joint:
            return f"parents form a circle at joint '{names[joint]}'"
    return ""


def _part_flaw(layout: Layout) -> str:
    """Why the parts do not hold every joint once."""
    count = Counter(joint for part in layout.parts for joint in part)
    wrong = [name for joint, name in enumerate(layout.joints) if count[joint] != 1]
    return f"every joint must be in exactly one of {PART_NAMES}; look at {', '.join(wrong[:5])}" if wrong else ""


def _mirror_flaw(layout: Layout) -> str:
    """Why the pairs are not an exchange of joints."""
    for left, right in layout.mirror:
        if left == right:
            return f"mirror pairs joint '{layout.joints[left]}' with itself: leave it out, a joint in no pair stays"
    count = Counter(joint for pair in layout.mirror for joint in pair)
    twice = [layout.joints[joint] for joint, times in count.items() if times > 1]
    return f"joint '{twice[0]}' is in two mirror pairs: expected at most one" if twice else ""


def _direction_flaw(layout: Layout) -> str:
    """Why up and across are not two directions."""
    for field, (start, end) in {"up": layout.up, "across": layout.across}.items():
        if start == end:
            return f"{field} goes from joint '{layout.joints[start]}' to itself: expected two joints"
    if set(layout.up) == set(layout.across):
        names = [layout.joints[joint] for joint in layout.up]
        return f"up and across are both along '{names[0]}' and '{names[1]}': expected two directions"
    return ""
