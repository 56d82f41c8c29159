"""A static copy of the explorer for any web host: the page, and the server's answers as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from pcm3.files import new_folder
from pcm3.web.embedded import EmbeddedClips
from pcm3.web.explorer import Explorer
from pcm3.web.page import page_files
from pcm3.web.payloads import about_payload, comparison_payload, comparison_rows, labels_payload, status_payload
from pcm3.web.skeletons import whole_skeleton

ROOM = 16_000_000
"""Bytes for all skeletons: with maps and page a copy of 5,000 clips stays below 20 MB."""
LEAST = 8
"""Frames of a clip that are kept however many clips there are."""
ABSENT = 255
STEPS = 254
"""Places that a coordinate may have within the extent of its clip, from 0 on: 1 cm where that is 2.5 m."""
NEIGHBOURS = 12
PREFIXES = ("", "other/")
"""Of the answers about the model's features, and about those of what it is compared with."""


def export(explorer: Explorer, out: Path, *, overwrite: bool = False) -> int:
    """Writes the copy of an explorer whose work is done; gives its bytes.

    Args:
        explorer: whose maps, guesses, neighbours and labels are written.
        out: a new folder.
        overwrite: replace what is there.

    Raises:
        DataError: the folder is there already, or cannot be written.
    """
    store = explorer.store
    room = ROOM // len(store)
    with new_folder(out, overwrite=overwrite) as folder:
        for path, (data, _) in page_files().items():
            _write(folder, path.strip("/") or "index.html", data)
        about = about_payload(explorer) | {"recordings": 0, "fixed": True}
        answers: dict[str, Any] = {
            "about": about,
            "status": status_payload(explorer),
            "labels": labels_payload(explorer),
        }
        for name, answer in answers.items():
            _write(folder, f"api/{name}", json.dumps(answer, ensure_ascii=False).encode())
        _write(folder, "api/ids", "\n".join(store.ids.tolist()).encode())
        _write(folder, "api/columns", _bytes(np.stack(list(explorer.columns.values()))))
        for prefix, side, maps in zip(PREFIXES, explorer.sides, explorer.maps, strict=False):
            for name, places in maps.items():
                _write(folder, f"api/{prefix}map/{name}", _bytes(places))
            _write(folder, f"api/{prefix}neighbours", _neighbours(side, len(store)))
        if explorer.comparison is not None:
            payload = comparison_payload(explorer, explorer.comparison)
            _write(folder, "api/comparison/summary", json.dumps(payload).encode())
            _write(folder, "api/comparison/clips", _bytes(comparison_rows(explorer.comparison)))
        _write(folder, "api/clusters", _bytes(explorer.mine.arrays["clusters"][:, 0].astype(np.int32)))
        if explorer.guesses is not None:
            guesses = np.stack([explorer.guesses.label, explorer.guesses.confidence]).astype(np.float32)
            _write(folder, "api/guesses", _bytes(guesses))
        for clip in range(len(store)):
            _write(folder, f"api/clips/{clip}/small", packed(whole_skeleton(store, clip), room))
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def packed(clip: Float[np.ndarray, "T M V 3"], room: int) -> bytes:
    """A clip in about so many bytes: frames at equal distances, joints to 1/254 of the clip's extent.

    Eight float32 (frames, kept frames, bodies, 0, the least x, y, z, and the extent), then bytes (kept frames, bodies,
    V, 3), 255 where a joint is absent. Bodies behind the last that is there are left out. `unpack` of
    web/src/packed.ts reads it.
    """
    bodies = 1 + max((body for body in range(clip.shape[1]) if np.isfinite(clip[:, body]).any()), default=0)
    bodies_kept = clip[:, :bodies]
    count = min(len(clip), max(LEAST, room // (bodies * clip.shape[2] * 3)))
    kept = bodies_kept[np.round(np.linspace(0, len(clip) - 1, count)).astype(int)]
    there = np.isfinite(kept).all(axis=-1)
    low, high = (edge(kept[there], axis=0) if there.any() else np.zeros(3) for edge in (np.min, np.max))
    extent = max(float((high - low).max()), 1e-6)
    steps = np.where(there[..., None], np.round((kept - low) / extent * STEPS), ABSENT).astype(np.uint8)
    head = np.array([len(clip), count, bodies, 0, *low, extent], "<f4")
    return head.tobytes() + steps.tobytes()


def _neighbours(side: EmbeddedClips, clips: int) -> bytes:
    """Clips (N, k), then distances (N, k), both of four bytes."""
    count = min(NEIGHBOURS, clips - 1)
    answers = [side.neighbours(clip, count) for clip in range(clips)]
    near, far = np.stack([clips for clips, _ in answers]), np.stack([distances for _, distances in answers])
    return _bytes(near.astype(np.int32)) + _bytes(far.astype(np.float32))


def _bytes(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _write(folder: Path, name: str, data: bytes) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
