"""What routes answer: arrays as they lie in memory, or parts of them (range requests); that there is no such thing."""

from __future__ import annotations

import re
from typing import TypeVar

import numpy as np
from fastapi import HTTPException
from jaxtyping import Float32
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from pcm3.data.store import ClipStore
from pcm3.web.explorer import Explorer
from pcm3.web.guests import Guest
from pcm3.web.maps import MAPS, POSES
from pcm3.web.skeletons import skeleton

Computed = TypeVar("Computed")
MOST_NEIGHBOURS = 100
BINARY = "application/octet-stream"


def array_answer(request: Request, array: NDArray[np.float32] | NDArray[np.int32]) -> Response:
    """The array's bytes, little-endian in C order, or those that the request names; its shape as ``X-Shape``."""
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    headers = {"X-Shape": ",".join(map(str, array.shape)), "Accept-Ranges": "bytes"}
    asked = re.fullmatch(r"bytes=(\d{1,15})?-(\d{1,15})?", request.headers.get("range", ""), re.ASCII)
    if asked is None or not (asked[1] or asked[2]):  # none, or one that may be left aside (RFC 9110, 14.2)
        return Response(data, media_type=BINARY, headers=headers)
    size = len(data)
    start = int(asked[1]) if asked[1] else max(size - int(asked[2]), 0)
    stop = min(int(asked[2]) + 1, size) if asked[1] and asked[2] else size
    if start >= stop:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(data[start:stop], 206, media_type=BINARY, headers=headers)


def clip_number(explorer: Explorer, index: int) -> int:
    """The number of a clip. Raises HTTPException where there is none."""
    if not 0 <= index < len(explorer.store):
        raise HTTPException(404, f"expected a clip, 0 to {len(explorer.store) - 1}")
    return index


def guest_of(explorer: Explorer, number: int) -> Guest:
    """A clip of a dropped file. Raises HTTPException where it is not remembered."""
    guest = explorer.guests.get(number)
    if guest is None:
        raise HTTPException(404, "expected a dropped clip that is remembered: drop the file again")
    return guest


def there(value: Computed | None) -> Computed:
    """What was found. Raises HTTPException where it is still being computed."""
    if value is None:
        raise HTTPException(409, "not computed yet: /api/status tells how far it is")
    return value


def map_of(explorer: Explorer, side: int, name: str) -> Float32[np.ndarray, "N 2"]:
    """A map of the model's, or of what it is compared with. Raises HTTPException where there is none."""
    if name not in (*MAPS, POSES):
        raise HTTPException(404, f"expected a map: {', '.join(MAPS)}")
    return there(explorer.maps[side].get(name))


def skeleton_answer(
    request: Request, store: ClipStore, index: int, first: int, normalised: bool, untrimmed: bool = False
) -> Response:
    """The frames of a clip from one on, as many as come at a time, and as ``X-Frames`` how many there are. Raises
    HTTPException where it is shorter.
    """
    count = int(store.length[index])
    if not 0 <= first < count:
        raise HTTPException(404, f"expected a frame, 0 to {count - 1}")
    answer = array_answer(request, skeleton(store, index, first, normalised=normalised, untrimmed=untrimmed))
    answer.headers["X-Frames"] = str(count)
    return answer
