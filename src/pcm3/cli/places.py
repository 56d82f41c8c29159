"""Where a command may write: checked before it begins, so that nothing is mixed up that belongs apart."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pcm3.errors import ConfigError

STORE_FILE = "store.json"
"""Tells a folder that is a store."""


def check_folder(option: str, folder: Path, stores: Iterable[Path] = (), *, exclusive: bool = False) -> None:
    """Raises ConfigError where a command may not write its folder: a file is there, a store lies there or above, or
    nobody may write there; where it is the command's `exclusive` folder, also where the stores that it reads lie in it.
    """
    place = folder.resolve()
    for above in (place, *place.parents):
        if above.exists() and not above.is_dir():
            raise ConfigError(f"{option}: expected a folder, but {above} is a file")
        if (above / STORE_FILE).is_file():
            what = "is a store" if above == place else f"lies in the store {above}"
            raise ConfigError(f"{option}: expected a folder of its own, but {folder} {what}: choose another")
    check_writable(option, place)
    for store in stores if exclusive else ():
        if place in store.resolve().parents:
            raise ConfigError(
                f"{option}: expected a folder of its own, but the store {store} lies in {folder}: choose another, as "
                f"{folder / 'run'}"
            )


def check_writable(option: str, folder: Path) -> None:
    """Raises ConfigError where a folder, or the one in which it is to be made, cannot be written."""
    there = next(above for above in (folder.resolve(), *folder.resolve().parents) if above.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{option}: expected a folder to write to, but {there} cannot be written: choose another")


def check_new_store(source: Path, store: Path, *, overwrite: bool) -> None:
    """Raises ConfigError where an import may not write its store: over its source, or in place of something else."""
    place = store.resolve()
    if place == source.resolve() or place in source.resolve().parents:
        raise ConfigError(f"expected another place for the store than that of its source, got {store}")
    check_folder("store", store.parent)
    if overwrite and place.is_dir() and not (place / STORE_FILE).is_file() and any(place.iterdir()):
        raise ConfigError(f"--overwrite: expected a store to replace, but {store} is a folder with other things in it")


def check_file(option: str, file: Path, *, makes_folder: bool = False) -> None:
    """Raises ConfigError where a file cannot be written there: a folder is, a file is above it, or no folder is where
    the command makes none.
    """
    if file.is_dir():
        raise ConfigError(f"{option}: expected a file, but {file} is a folder")
    check_folder(option, file.parent)
    if not (makes_folder or file.parent.is_dir()):
        raise ConfigError(
            f"{option}: expected a file in a folder that is there, but {file.parent} is not: make it first"
        )
