"""What the names of NTU RGB+D's recordings tell, wherever they stand: setup, camera, subject and action."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from pcm3.data.readers import ntu
from pcm3.data.readers.class_names import class_names

NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})(?:\.skeleton)?", re.ASCII)


class NtuName(NamedTuple):
    """The numbers in a name, as NTU counts: from 1."""

    setup: int
    camera: int
    subject: int
    action: int

    @property
    def who(self) -> dict[str, int]:
        """Setup, camera and subject, as fields of a recording."""
        return {"setup": self.setup, "camera": self.camera, "subject": self.subject}


def ntu_name(name: str) -> NtuName | None:
    """What a name like ``S001C002P003R002A013``, with ``.skeleton`` or without, tells; None for another name."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    setup, camera, subject, _repetition, action = (int(number) for number in match.groups())
    return NtuName(setup, camera, subject, action)


def wrong_name(name: NtuName | None, label: int) -> str | None:
    """What is wrong with a recording of that name and label among recordings of NTU RGB+D; None if nothing is."""
    if name is None:
        return "expected a name like SsssCcccPpppRrrrAaaa, as others have"
    if not 1 <= name.action <= len(class_names("ntu")):
        return f"expected an action from 1 to {len(class_names('ntu'))}, got {name.action}"
    if label != name.action - 1:
        return f"expected label {name.action - 1} of its action {name.action}, got {label}"
    return None


def classes_and_protocols(names: Iterable[NtuName]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The classes and protocols of NTU RGB+D 60, or of 120 where one of the recordings has an action beyond 60."""
    if all(name.action <= 60 for name in names):
        return class_names("ntu")[:60], ntu.PROTOCOLS_60
    return class_names("ntu"), ntu.PROTOCOLS_120
