"""A folder that is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcm3.errors import DataError

try:
    import fcntl
except ImportError:  # Windows: two imports into one store at once are not told apart there
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".pcm3-partial"
"""How a folder ends that is still being written, or was when its process died."""
REPLACED = ".pcm3-replaced"
"""How the old folder ends while the new one takes its place."""


@contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A fresh sibling folder to write into, which becomes ``path`` when the block ends well.

    When the block raises, or the process is killed, ``path`` is as it was before. Whatever killed processes have
    left of earlier attempts at the same path is removed first.

    Raises:
        DataError: ``path`` exists and ``overwrite`` is off, or the disk refused.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 (a link stays a link, unlike with resolve)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _recover(path)
        if path.exists() and not overwrite:
            raise DataError(f"{path}: already exists; choose another place, or allow it to be overwritten")
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
        partial.mkdir()
        lock = _lock(partial)
        try:
            yield partial
            _flush(partial)
            _take_place(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            if lock is not None:
                os.close(lock)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed") from error


def _recover(path: Path) -> None:
    """Undoes what killed processes left beside ``path``."""
    replaced = path.with_name(f".{path.name}{REPLACED}")
    if replaced.exists() and not path.exists():
        replaced.rename(path)  # killed between the two renames of `_take_place`
    shutil.rmtree(replaced, ignore_errors=True)
    prefix = f".{path.name}."
    for partial in path.parent.iterdir():
        if partial.name.startswith(prefix) and partial.name.endswith(PARTIAL):
            lock = _lock(partial)
            if lock is not None:  # nobody writes there any more
                shutil.rmtree(partial, ignore_errors=True)
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """The handle of a lock on the folder that dies with this process; None where another process holds it."""
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _flush(folder: Path) -> None:
    """Has the disk hold every file of the folder before the folder gets its name."""
    for file in folder.iterdir():
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
    if replaced.is_dir():
        shutil.rmtree(replaced, ignore_errors=True)
