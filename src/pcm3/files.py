"""Files and folders that are either whole or not there: written beside their place, flushed to the disk, renamed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import BaseFileLock, FileLock, Timeout

from pcm3.errors import DataError, RunFailed

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when there is no room, or no more for this user."""
PARTIAL = ".pcm3-partial"
"""How a folder ends that is still being written, or was when its process died."""
LOCK = ".lock"
"""How the file ends that is locked, beside a folder that is being written and will be renamed."""
REPLACED = ".pcm3-replaced"
"""How the old folder ends while the new one takes its place."""


def take_lock(file: Path) -> BaseFileLock | None:
    """A lock on the file that dies with this process, however it dies; None where another process holds it."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """`path` holds what `write` writes, or, if anything goes wrong, what it held before.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """`data` as indented JSON, atomically."""
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


@contextmanager
def new_folder(
    path: Path, *, overwrite: bool = False, going_on: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """A sibling folder to write into, which becomes ``path`` when the block ends well.

    When the block raises, or the process is killed, ``path`` is as it was before. Whatever killed processes have
    left of earlier attempts at the same path is removed first; the folder is a fresh one then.

    Args:
        path: what is to be written.
        overwrite: replace what is there.
        going_on: says of what an earlier attempt has left whether work can go on in it. If so, that folder is given
            instead of a fresh one; and it is left for the next attempt where this one is stopped (Ctrl-C) or the disk
            is full.

    Raises:
        DataError: ``path`` exists and ``overwrite`` is off, or it cannot be written there.
        RunFailed: the disk is full.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 (a link stays a link, unlike with resolve)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        left = _recover(path, going_on)
        if path.exists() and not overwrite:
            if left is not None:
                _let_go(*left)
            raise DataError(f"{path}: already exists: choose another place, or overwrite it (--overwrite)")
        partial, lock = left or _fresh(path)
        try:
            yield partial
            _flush(partial)
            _take_place(partial, path)
        except BaseException as error:
            full = isinstance(error, OSError) and error.errno in DISK_FULL
            stopped = isinstance(error, KeyboardInterrupt) or full
            if not (stopped and going_on is not None and going_on(partial)):
                shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            _let_go(partial, lock)
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror or error}); nothing was changed"
        if error.errno in DISK_FULL and going_on is not None:
            message += "; what was done is kept beside it: run again to go on"
        raise (RunFailed if error.errno in DISK_FULL else DataError)(message) from error


def _fresh(path: Path) -> tuple[Path, BaseFileLock]:
    """A new folder beside ``path``, and the lock on it."""
    while True:
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
        lock = take_lock(_lock_of(partial))
        if lock is not None:  # else whoever cleans up took it between the file's making and its locking
            partial.mkdir()
            return partial, lock


def _recover(path: Path, going_on: Callable[[Path], bool] | None) -> tuple[Path, BaseFileLock] | None:
    """Undoes what killed processes left beside ``path``; but gives a folder in which work can go on, and its lock."""
    replaced = path.with_name(f".{path.name}{REPLACED}")
    if replaced.exists() and not path.exists():
        replaced.rename(path)  # killed between the two renames of `_take_place`
    _remove(replaced)
    usable: tuple[Path, BaseFileLock] | None = None
    names = {entry.name.removesuffix(LOCK) for entry in path.parent.iterdir()}
    for name in sorted(name for name in names if name.startswith(f".{path.name}.") and name.endswith(PARTIAL)):
        partial = path.with_name(name)
        lock = take_lock(_lock_of(partial))
        if lock is None:  # somebody writes there
            continue
        if usable is None and going_on is not None and going_on(partial):
            usable = (partial, lock)
            continue
        shutil.rmtree(partial, ignore_errors=True)
        _let_go(partial, lock)
    return usable


def _lock_of(partial: Path) -> Path:
    return partial.with_name(partial.name + LOCK)


def _let_go(partial: Path, lock: BaseFileLock) -> None:
    """Releases the lock on a folder, and removes the lock's file where the folder has gone."""
    lock.release()
    if not partial.exists():
        _lock_of(partial).unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    """Has the disk hold every file of the folder before the folder gets its name."""
    for file in (entry for entry in folder.rglob("*") if entry.is_file()):
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())


def _take_place(partial: Path, path: Path) -> None:
    """Renames ``partial`` to ``path``; what was there moves aside first and is removed last."""
    replaced = path.with_name(f".{path.name}{REPLACED}")
    if path.exists():
        path.rename(replaced)
    try:
        partial.rename(path)
    except OSError:
        if replaced.exists():
            replaced.rename(path)
        raise
    _remove(replaced)


def _remove(path: Path) -> None:
    """Removes a folder with all it holds, or a link without what it leads to."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
