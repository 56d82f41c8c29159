"""Models on the hub of Hugging Face: fetched and published as folders of data, tensors and JSON, and nothing else."""

from __future__ import annotations

import re
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from pcm3.encoders.files import DESCRIPTION, WEIGHTS, load_encoder, save_encoder
from pcm3.errors import CheckpointError, ConfigError, brief
from pcm3.files import write_atomically

CARD = "README.md"


def is_hub_name(path: str | Path) -> bool:
    """Whether this is ``org/name``, and neither a path that is there nor one into a folder that is."""
    place = Path(path)
    named = re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", str(path)) is not None
    return named and not place.exists() and not place.parent.exists()


PUBLISHED = {WEIGHTS, DESCRIPTION, CARD}
"""Names of the files of a model on the hub."""


def download(name: str) -> Path:
    """The folder of a model on the hub; a copy that is there already is kept.

    Raises:
        CheckpointError: there is none, or the hub cannot be reached.
        ConfigError: huggingface_hub is not installed.
    """
    hub = _hub(name)
    try:
        return Path(hub.snapshot_download(name, allow_patterns=[WEIGHTS, DESCRIPTION]))
    except Exception as error:  # of the hub, of its client, and of what that uses to reach it
        raise CheckpointError(
            f"{name}: nothing of that name is here, and no model could be had from the hub ({_reason(error)})"
        ) from error


def write_published(model: Path, folder: Path, card: str) -> None:
    """The folder that is published: the model, without what only its run needs, and its page.

    Raises:
        CheckpointError: there is no model.
    """
    encoder, spec = load_encoder(model)
    save_encoder(folder, encoder, spec)
    write_atomically(folder / CARD, lambda file: file.write(card.encode()))


def upload(model: Path, name: str, card: str, *, private: bool = False) -> str:
    """Publish a model; returns where it is.

    Raises:
        ConfigError: huggingface_hub is not installed, or the hub refuses or cannot be reached.
        CheckpointError: there is no model.
    """
    hub = _hub(name)
    with tempfile.TemporaryDirectory(prefix="pcm3-push-") as folder:
        write_published(model, Path(folder), card)
        try:
            api = hub.HfApi()
            url = api.create_repo(name, private=private, exist_ok=True)
            api.upload_folder(repo_id=name, folder_path=folder, commit_message="Model of pcm3")
        except Exception as error:  # see `download`
            raise ConfigError(f"{name}: the hub did not take the model ({_reason(error)})") from error
    return str(url)


def _hub(name: str) -> Any:
    try:
        return import_module("huggingface_hub")
    except ImportError:
        raise ConfigError(f"{name}: the hub needs huggingface_hub: pip install 'pcm3[hub]'") from None


def _reason(error: Exception) -> str:
    """The first line of what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return brief(lines[0]).strip("'\"") if lines else type(error).__name__
