"""Checksums: of files, and of JSON objects that carry their own, so that a changed byte is noticed when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pcm3.errors import DataError, brief

OWN = "sha256"
"""The key under which a JSON object carries the checksum of all its other content."""


def file_checksum(path: Path) -> str:
    """SHA-256 of the file, as hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def json_checksum(data: Any) -> str:
    """SHA-256 of JSON-able data, however its text is laid out."""
    plain = json.loads(json.dumps(data))  # so that keys and tuples are what they will be when they are read
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def with_checksum(data: dict[str, Any]) -> dict[str, Any]:
    """The object with its own checksum in it, in the place of one that it had; `read_checked_json` looks at it."""
    rest = {name: value for name, value in data.items() if name != OWN}
    return rest | {OWN: json_checksum(rest)}


def has_changed(data: dict[str, Any]) -> bool:
    """Whether the object is not what its own checksum tells of; one that carries none has not."""
    try:
        return OWN in data and with_checksum(data)[OWN] != data[OWN]
    except RecursionError:  # nothing of ours is that deep
        return True


def read_checked_json(path: Path, error: Callable[[str], Exception] = DataError, cure: str = "") -> dict[str, Any]:
    """The JSON object in a file, without its own checksum.

    Args:
        path: the file.
        error: what is raised.
        cure: what its message says can be done.

    Raises:
        FileNotFoundError: there is no such file.
        Exception: ``error``: it is not JSON, not an object, or not what its own checksum tells of.
    """
    cure = f"; {cure}" if cure else ""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as unreadable:
        raise error(f"{path}: damaged ({unreadable}){cure}") from unreadable
    except IsADirectoryError as unreadable:
        raise error(f"{path}: expected a file, got a folder{cure}") from unreadable
    if not isinstance(data, dict):
        raise error(f"{path}: damaged: expected an object, got {brief(data)}{cure}")
    if has_changed(data):
        raise error(f"{path}: changed since it was written: its checksum differs{cure}")
    return {name: value for name, value in data.items() if name != OWN}
