"""Libraries that single formats need, imported when such a file is read."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pcm3.errors import DataError


def library(module: str, what: str) -> Any:
    """The module of that name.

    Raises:
        DataError: it is not installed; names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = module.split(".", maxsplit=1)[0]
        raise DataError(f"reading {what} needs {name}: pip install 'pcm3[formats]'") from error
