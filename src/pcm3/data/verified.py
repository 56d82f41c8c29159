"""Whether a store's bytes are still those that were written: looked at once, and remembered.

Reading all bytes costs seconds (a core hashes about 1 GB/s), so what was verified is remembered beside the store, or in
the user's cache where the store cannot be written, with each file's size, times and inode: a file that was written to
since has others, and is read again. What changes bytes without any of these, a failing disk, only ``pcm3 check`` finds.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcm3.checksums import file_checksum, has_changed, read_checked_json, with_checksum
from pcm3.data.store import CLIPS, FRAMES, RECORDINGS, SCORES, STORE, ClipStore
from pcm3.errors import DataError, command
from pcm3.files import write_json

FILE = "verified.json"
"""In the store's folder; may be deleted."""
AT_ONCE = 8e9
"""Bytes up to which a store that was never verified is, in passing: some ten seconds."""
IN_NO_TIME = 256e6
"""The same, where a command takes less than a second: info, show."""
GRAIN = 2.0
"""Seconds. A file that was written so lately may be written again without another time: file systems count coarsely."""

Fingerprints = dict[str, list[Any]]
"""File → its checksum, size, times and inode when it was last found to be what was written; empty if it was not."""


@dataclass(frozen=True)
class Verified:
    """How a store's files stand."""

    changed: list[str]
    """Files that are not what was written."""
    unread: list[str]
    """Files that were never verified, and are too large to be read in passing."""


def verified(store: ClipStore, at_most: float = AT_ONCE, *, anew: bool = False) -> Verified:
    """How the store's files stand: those that were not verified as they are now are read, and what is found remembered.

    A file that was verified before and has been touched since is read whatever its size.

    Args:
        store: whose files they are.
        at_most: bytes of files that were never verified that are read now, the smallest file first.
        anew: read every byte, whatever is remembered.
    """
    known = [] if anew else list(_remembered(store))
    files = [name for name in (FRAMES, SCORES, CLIPS, RECORDINGS) if name in store.checksums]
    now = {name: _fingerprint(store, name) for name in files}
    to_read = [name for name in files if not any(there.get(name) == now[name] for there in known)]
    never = [name for name in to_read if not anew and not any(name in there for there in known)]
    file_sizes = {name: (store.path / name).stat().st_size for name in never}
    for name in sorted(never, key=file_sizes.__getitem__):
        at_most -= file_sizes[name]
        if at_most >= 0:
            never.remove(name)
    changed = [
        name for name in to_read if name not in never and file_checksum(store.path / name) != store.checksums[name]
    ]
    if to_read != never:
        _remember(store, {name: [] if name in changed else now[name] for name in files if name not in never})
    if _description_has_changed(store):
        changed.append(STORE)
    return Verified(changed, never)


def check_unchanged(store: ClipStore) -> list[str]:
    """What a reader of figures on the store must know about its bytes.

    Raises:
        DataError: its frames or its table of clips are not what was written.
    """
    stand = verified(store, AT_ONCE)
    arrays = [name for name in stand.changed if name != STORE]
    if arrays:
        raise DataError(
            f"{store.path}: {' and '.join(arrays)} changed since the import (the checksum differs): import it again, "
            "or copy it anew"
        )
    return _messages(store, stand)


def doubts(store: ClipStore, at_most: float) -> list[str]:
    """What there is to say about the store's bytes, changed or not."""
    return _messages(store, verified(store, at_most))


def _messages(store: ClipStore, stand: Verified) -> list[str]:
    messages = [f"{name} changed since the import (its checksum differs)" for name in stand.changed]
    never = " and ".join(stand.unread)
    return messages + (
        [f"{never} never verified: {command('pcm3', 'check', store.path)} reads all bytes"] if never else []
    )


def _description_has_changed(store: ClipStore) -> bool:
    """Whether store.json is not what its own checksum tells of; one of before carries none."""
    return has_changed(json.loads((store.path / STORE).read_text(encoding="utf-8")))


def _fingerprint(store: ClipStore, name: str) -> list[Any]:
    about = (store.path / name).stat()
    return [store.checksums[name], about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]


def _remembered(store: ClipStore) -> Iterator[Fingerprints]:
    """What is remembered of this store in its folder, and in the user's cache."""
    for place in _places(store):
        try:
            files = read_checked_json(place).get("files")
        except (OSError, DataError):
            continue
        if isinstance(files, dict):
            yield files


def _remember(store: ClipStore, files: Fingerprints) -> None:
    """Writes it down where that is allowed, but not of files that were written to just now."""
    lately = (time.time() - GRAIN) * 1e9
    settled = {
        name: messages for name, messages in files.items() if not messages or max(messages[2], messages[3]) < lately
    }
    for place in _places(store):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_json(place, with_checksum({"verified": 1, "files": settled}))
        except OSError:
            continue
        return


def _places(store: ClipStore) -> Iterator[Path]:
    """Where it may be remembered: beside the store, or in the user's cache, if there is one."""
    yield store.path / FILE
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 (it never raises)
    if cache.is_absolute():
        name = hashlib.sha256(os.fsencode(store.path.resolve())).hexdigest()[:24]
        yield cache / "pcm3" / "verified" / f"{name}.json"
