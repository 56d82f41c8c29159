"""pcm3: representations of human motion from unlabelled 3D skeletons. Importing this is light; torch comes later."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcm3.api import Model, load, load_head

__all__ = ["Model", "load", "load_head"]

__version__ = "0.2.0"


def __getattr__(name: str) -> object:
    """`load`, `load_head` and `Model` are `pcm3.api`'s, which brings torch: read when they are first asked for."""
    if name in __all__:
        return getattr(import_module("pcm3.api"), name)
    raise AttributeError(f"module 'pcm3' has no attribute '{name}'")
