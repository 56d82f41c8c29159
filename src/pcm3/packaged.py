"""Files that come with the package: presets, layouts, searches, simulated actions, a model."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def packaged(folder: str, suffix: str) -> dict[str, Path]:
    """Name → file of all files of a folder of the package that end so, in the order of their names."""
    inside = (Path(str(entry)) for entry in (files("pcm3") / folder).iterdir())
    return {file.stem: file for file in sorted(inside, key=lambda file: file.stem) if file.suffix == suffix}


def packaged_model(path: Path) -> Path:
    """The folder of the model of that name that comes with the package; the path itself where that is another one."""
    inside = Path(str(files("pcm3"))) / "models" / path
    return inside if len(path.parts) == 1 and not path.exists() and inside.is_dir() else path
