"""Files that come with the package: presets, layouts, searches, simulated actions."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def packaged(folder: str, suffix: str) -> dict[str, Path]:
    """Name → file of all files of a folder of the package that end so, in the order of their names."""
    inside = (Path(str(entry)) for entry in (files("pcm3") / folder).iterdir())
    return {file.stem: file for file in sorted(inside, key=lambda file: file.stem) if file.suffix == suffix}
