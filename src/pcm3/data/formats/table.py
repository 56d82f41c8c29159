"""The formats of users' own recordings: one visible table. Data sets stand in `pcm3.data.datasets`."""

from __future__ import annotations

from collections.abc import Callable

from pcm3.data.formats import bvh, kinect_text, npy
from pcm3.data.formats.motion_file import FileFormat


def _begins(*magic: bytes) -> Callable[[str, bytes], bool]:
    return lambda name, head: head.startswith(magic)


FORMATS: dict[str, FileFormat] = {
    "bvh": FileFormat("BVH files", (".bvh",), bvh.looks_so, bvh.read),
    "npy": FileFormat("NumPy arrays (.npy)", (".npy",), _begins(npy.MAGIC), npy.read),
    "skeleton": FileFormat("Kinect .skeleton files", (".skeleton",), lambda name, head: True, kinect_text.read),
}
"""Kind of import → its format; the more certain first, for `pcm3.data.recognise` goes through them in this order."""
