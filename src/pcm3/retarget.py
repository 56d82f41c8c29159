"""From one skeleton layout to another by joint names: what is there is copied, what is not is approximated, and said.

Names are known by `pcm3.joint_names`; the approximations stand in ``joints/approximations.toml``. A joint that can be
neither found nor approximated is absent, as everywhere: all zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from pcm3.errors import DataError
from pcm3.joint_names import SIDES, joint_table, nearest_names, roles
from pcm3.skeleton import Layout, load_layout

Way = tuple[tuple[int, float], ...]
"""(joint of the source, weight) pairs; the weights sum to 1."""


@dataclass(frozen=True)
class JointSource:
    """Where one joint of the target is taken from."""

    joint: str
    """Its name in the target."""
    words: str
    """``copied from X``, ``approximated as …`` or ``absent``."""
    ways: tuple[Way, ...]
    """The first of these whose joints are there in a frame gives its place; none: absent."""


@dataclass(frozen=True)
class Retargeting:
    """What each joint of one layout is in another; `plan_retarget` makes it."""

    source: Layout
    target: Layout
    joints: tuple[JointSource, ...]
    """One a joint of the target, in its order."""
    unknown: tuple[str, ...]
    """Names of the source that mean no joint that is known; they are not used."""

    def __call__(
        self, clip: Float[NDArray[Any], "*lead V C"], present: Bool[NDArray[Any], "*lead V"] | None = None
    ) -> tuple[Float[NDArray[Any], "*lead W C"], Bool[NDArray[Any], "*lead W"]]:
        """The clip in the target's joints, and which of them are there.

        Args:
            clip: in any unit; (T, V, 3), (T, M, V, 3), a batch of such.
            present: True where a joint is there; None: where it is neither all zeros nor NaN.

        Raises:
            DataError: the clip does not have the source's joints.
        """
        if clip.ndim < 2 or clip.shape[-2] != len(self.source.joints):
            wanted = f"(…, {len(self.source.joints)}, C) for layout {self.source.name}"
            raise DataError(f"expected a clip {wanted}, got {clip.shape}")
        finite = ~np.isnan(clip).any(axis=-1)
        there = finite & ((clip != 0).any(axis=-1) if present is None else present)
        moved = np.zeros((*clip.shape[:-2], len(self.joints), clip.shape[-1]), clip.dtype)
        filled = np.zeros(moved.shape[:-1], np.bool_)
        for place, joint in enumerate(self.joints):
            for way in joint.ways:
                fresh = there[..., [number for number, _ in way]].all(axis=-1) & ~filled[..., place]
                if fresh.any():
                    moved[fresh, place] = sum(clip[fresh, number] * clip.dtype.type(weight) for number, weight in way)
                    filled[..., place] |= fresh
        return moved, filled

    def scores(self, scores: Float[NDArray[Any], "*lead V"]) -> Float[NDArray[Any], "*lead W"]:
        """How sure the source was of each joint of the target: that of the least sure joint it is made of."""
        sure = np.zeros((*scores.shape[:-1], len(self.joints)), scores.dtype)
        for place, joint in enumerate(self.joints):
            if joint.ways:
                sure[..., place] = scores[..., [number for number, _ in joint.ways[0]]].min(axis=-1)
        return sure

    def copy_of(self, joint: int | None) -> int | None:
        """The joint of the target that is a copy of this one of the source; None: there is none."""
        if joint is None:
            return None
        return next((place for place, made in enumerate(self.joints) if made.ways == (((joint, 1.0),),)), None)

    @property
    def lines(self) -> list[str]:
        """The plan in words, a line a joint of the target."""
        return [f"{joint.joint}: {joint.words}" for joint in self.joints]

    @property
    def summary(self) -> str:
        """The plan in one line: how many joints are copied, which are not."""
        groups: dict[str, list[str]] = {"approximated": [], "absent": []}
        for joint in self.joints:
            groups.setdefault(joint.words.split()[0], []).append(joint.joint)
        phrases = [f"{len(groups.get('copied', []))} of {len(self.joints)} joints copied"]
        phrases += [f"{', '.join(names)} {how}" for how, names in groups.items() if names and how != "copied"]
        return f"{self.source.name} to {self.target.name}: {'; '.join(phrases)}"

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-able data for a store."""
        joints = {joint.joint: joint.words for joint in self.joints}
        return {"from": self.source.name, "to": self.target.name, "joints": joints, "unused": list(self.unknown)}


def retarget(
    clip: Float[NDArray[Any], "*lead V C"], layout: Layout | str, to: Layout | str = "kinect_v2"
) -> Float[NDArray[Any], "*lead W C"]:
    """The clip in the joints of another layout; what is absent, and what cannot be told, is all zeros.

    Args:
        clip: (T, V, 3), (T, M, V, 3), or a batch of such; absent joints are all zeros or NaN.
        layout: of the clip, as a `Layout`, its name or file.
        to: the other one. `plan_retarget` of the two says where each joint is taken from.

    Raises:
        DataError: no such layout, another number of joints, or what the other layout stands on cannot be told.
    """
    return plan_retarget(_layout(layout), _layout(to))(clip)[0]


def _layout(layout: Layout | str) -> Layout:
    return layout if isinstance(layout, Layout) else load_layout(layout)


@lru_cache(maxsize=64)
def plan_retarget(source: Layout, target: Layout) -> Retargeting:
    """Where each joint of the target is taken from.

    Raises:
        DataError: what normalisation needs of the target (centre, up, across) can be neither found nor approximated;
            says what is missing, and which names are not known.
    """
    from_roles, to_roles = roles(source.joints, source.name), roles(target.joints, target.name)
    places = _places(from_roles)
    joints = tuple(
        _source_of(joint, role, source, from_roles, places) for joint, role in zip(target.joints, to_roles, strict=True)
    )
    same = set(target.joints)
    unknown = tuple(
        name for name, role in zip(source.joints, from_roles, strict=True) if role is None and name not in same
    )
    plan = Retargeting(source, target, joints, unknown)
    needed = {target.centre, target.mirrored[target.centre], *target.up, *target.across}
    missing = [target.joints[joint] for joint in sorted(needed) if not joints[joint].ways]
    if missing:
        raise DataError(_missing(plan, missing))
    return plan


def _missing(plan: Retargeting, missing: Sequence[str]) -> str:
    """Why a skeleton cannot be brought into the target."""
    message = (
        f"layout {plan.source.name} cannot be retargeted to {plan.target.name}: expected joints that tell "
        f"{', '.join(missing)}, which clips are centred and turned by, got none"
    )
    hints = []
    for name in plan.unknown[:5]:
        near = nearest_names(name)
        hints.append(f"'{name}'" + (f" (nearest: {', '.join(near)})" if near else ""))
    more = f" and {len(plan.unknown) - 5} more" if len(plan.unknown) > 5 else ""
    return f"{message}; unknown joint names: {', '.join(hints)}{more}: rename them in the layout" if hints else message


def _places(known: Sequence[str | None]) -> dict[str, int]:
    """Role → the joint of the source that has it; of several pieces of the spine the middle one, else the first."""
    places: dict[str, list[int]] = {}
    for joint, role in enumerate(known):
        if role is not None:
            places.setdefault(role, []).append(joint)
    return {role: joints[len(joints) // 2 if role == "spine" else 0] for role, joints in places.items()}


def _source_of(
    joint: str, role: str | None, source: Layout, known: Sequence[str | None], places: Mapping[str, int]
) -> JointSource:
    """Where a joint of the target, of that name and role, is taken from."""
    if joint in source.joints and known[source.joints.index(joint)] == role:
        return JointSource(joint, f"copied from {joint}", (((source.joints.index(joint), 1.0),),))
    if role is None:
        return JointSource(joint, "absent", ())
    if role in places:
        return JointSource(joint, f"copied from {source.joints[places[role]]}", (((places[role], 1.0),),))
    ways = _approximated(role, places, frozenset())
    if not ways:
        return JointSource(joint, "absent", ())
    words, first = ways[0]
    made_of = ", ".join(source.joints[number] for number, _ in first)
    return JointSource(joint, f"approximated as {words} ({made_of})", tuple(dict.fromkeys(way for _, way in ways)))


def _approximated(role: str, places: Mapping[str, int], tried: frozenset[str]) -> list[tuple[str, Way]]:
    """Every way to tell where a joint is, with its words, the best first; ``tried`` are roles that it is asked for."""
    if role in places:
        return [("", ((places[role], 1.0),))]
    if role in tried:
        return []
    ways = []
    for words, parts in _rules().get(role, ()):
        options = [_approximated(part, places, tried | {role}) for part, _ in parts]
        for chosen in product(*options):
            weights: dict[int, float] = {}
            for (_, share), (_, way) in zip(parts, chosen, strict=True):
                for number, weight in way:
                    weights[number] = weights.get(number, 0.0) + share * weight
            ways.append((words, tuple(sorted(weights.items()))))
    return ways


@lru_cache(maxsize=1)
def _rules() -> dict[str, list[tuple[str, list[tuple[str, float]]]]]:
    """Role → its approximations, as words and (role, weight) pairs."""
    table = joint_table("approximations")
    sided = joint_table("names")["sides"]
    rules = {role: [(rule["words"], list(rule["of"].items())) for rule in of] for role, of in table["middle"].items()}
    for side, (word, of) in product(SIDES, table["sides"].items()):
        rules[f"{side}_{word}"] = [
            (
                rule["words"],
                [(f"{side}_{part}" if part in sided else part, weight) for part, weight in rule["of"].items()],
            )
            for rule in of
        ]
    return rules
