"""Which joint a name means, whatever sensor, rig or file it comes from; the names stand in ``joints/names.toml``.

A joint is known by a word (``pelvis``) or a side and a word (``left_knee``), here called its role.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from pcm3.packaged import packaged

SIDES = ("left", "right")
_SIDE_WORDS = {"left": "left", "right": "right", "l": "left", "r": "right", "lft": "left", "rgt": "right"}
_PREFIXES = re.compile(r"^(mixamorig\d*|bip\d*|def|org|mch|jnt|joint|skel|character\d*)(?=[^a-z])", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


@cache
def joint_table(name: str) -> dict[str, Any]:
    """A table of joints that comes with the package: ``names`` or ``approximations``."""
    table: dict[str, Any] = tomllib.loads(packaged("joints", ".toml")[name].read_text(encoding="utf-8"))
    return table


def roles(names: Sequence[str], layout: str = "") -> tuple[str | None, ...]:
    """For each name of a skeleton's joints its role, as ``left_knee``; None where it is not known.

    Args:
        names: all joints of the skeleton: what a foot is depends on whether the others are joints or bones.
        layout: name of the layout; some of the package call a joint what others call another one.
    """
    words = [_words(name) for name in names]
    vocabulary = _vocabulary(_style(words))
    own: Mapping[str, str] = joint_table("names")["layouts"].get(layout, {})
    return tuple(own.get(name) or _role(of, vocabulary) for name, of in zip(names, words, strict=True))


def known_roles() -> list[str]:
    """Every role that a name can have."""
    table = joint_table("names")
    return [*table["middle"], *(f"{side}_{word}" for side in SIDES for word in table["sides"])]


def nearest_names(name: str, count: int = 3) -> list[str]:
    """The known names that are most like one that is not known."""
    plain = {"".join(role.split("_")): role for role in known_roles()}
    side, core = _side(_words(name))
    close = get_close_matches("".join(([side] if side else []) + core), plain, n=count, cutoff=0.5)
    if not close:  # a side before it that nobody recognises, like the l of lhipp
        close = get_close_matches("".join(core), plain, n=count, cutoff=0.3)
    return [plain[key] for key in close]


def _words(name: str) -> list[str]:
    """The words of a name, in small letters, without prefix and numbers at the end."""
    bare = _PREFIXES.sub("", name.strip().rsplit(":", 1)[-1])
    words = [word.lower() for word in _WORDS.findall(bare)]
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    return words


def _style(skeleton: Sequence[Sequence[str]]) -> str:
    """Whether the names are those of joints (""), of bones by their beginning, or by their end."""
    together = ["".join(words) for words in skeleton]
    for style in ("bone_ends", "bones"):
        marks = ["".join(mark.split()) for mark in joint_table("names")[style]["marks"]]
        if any(mark in name for mark in marks for name in together):
            return style
    return ""


@cache
def _vocabulary(style: str) -> dict[tuple[bool, str], str]:
    """(whether it has a side, name without spaces) → joint."""
    table = joint_table("names")
    known: dict[tuple[bool, str], str] = {}
    for part in (table, table.get(style, {}) if style else {}):
        for sided, group in ((False, part.get("middle", {})), (True, part.get("sides", {}))):
            known |= {(sided, "".join(name.split())): joint for joint, names in group.items() for name in names}
    return known


def _side(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The side that one of the words names, and the others."""
    for place in (*range(len(words)),):
        if words[place] in _SIDE_WORDS and len(words) > 1:
            return _SIDE_WORDS[words[place]], [*words[:place], *words[place + 1 :]]
    return None, list(words)


def _role(words: Sequence[str], vocabulary: Mapping[tuple[bool, str], str]) -> str | None:
    """The role that the words of one name mean."""
    side, core = _side(words)
    name = "".join(core)
    for key in (name, name.rstrip("0123456789")):
        if side and (True, key) in vocabulary:
            return f"{side}_{vocabulary[True, key]}"
        if side is None and (False, key) in vocabulary:
            return vocabulary[False, key]
        if side is None and key[:1] in ("l", "r") and (True, key[1:]) in vocabulary:  # lhip
            return f"{_SIDE_WORDS[key[0]]}_{vocabulary[True, key[1:]]}"
    return None
