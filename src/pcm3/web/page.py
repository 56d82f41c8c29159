"""The built page: files of the package, read once; nothing else is ever served from the disk."""

from __future__ import annotations

from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def page_files() -> dict[str, tuple[bytes, str]]:
    """Path in an address → bytes and their type; ``/`` is the page."""
    files = {
        f"/{file.relative_to(STATIC).as_posix()}": (file.read_bytes(), TYPES[file.suffix])
        for file in sorted(STATIC.rglob("*"))
        if file.suffix in TYPES
    }
    return files | {"/": files["/index.html"]}
