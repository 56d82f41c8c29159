"""What is told of recordings moment by moment, and the labels that parts of them are given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from jaxtyping import Float
from pydantic import BaseModel, Field, StrictInt, StrictStr

from pcm3.errors import ConfigError
from pcm3.web.answers import clip_number, guest_of, skeleton_answer, there
from pcm3.web.explorer import Explorer
from pcm3.web.labels import CHANGED, Stretch
from pcm3.web.timelines import recordings_of

MOST = 10_000
"""Labelled parts of a recording."""
DIGITS = 4
"""Of seconds in a table: enough for a thousand frames a second."""

Part = tuple[Annotated[StrictInt, Field(ge=0)], Annotated[StrictInt, Field(ge=0)], StrictStr]
"""From which frame, before which, the label."""


class Marking(BaseModel):
    """The labelled parts that a recording is to have, and those that whoever asks has seen there."""

    before: list[Part] = Field(max_length=MOST)
    after: list[Part] = Field(max_length=MOST)


def add_recordings(app: FastAPI, explorer: Explorer) -> None:
    """Adds them to the app. Where the store's clips are trimmed, each of them is a recording by itself."""
    store, recordings = explorer.store, recordings_of(explorer.store)

    def checked(number: int) -> int:
        if not 0 <= number < len(recordings):
            raise HTTPException(404, f"expected a recording, 0 to {len(recordings) - 1}")
        return number

    def stretches_of(number: int) -> tuple[Stretch, ...]:
        return explorer.labels.stretches().get(str(recordings.ids[number]), ())

    @app.get("/api/recordings/{number}")
    def recording(number: int, like: int | None = None, guest: int | None = None) -> dict[str, Any]:
        line = there(explorer.timelines).of(checked(number))
        mine = np.array([number]) if recordings is store else np.flatnonzero(store.recording == number)
        first = store.start[mine] - recordings.start[number]
        parts, outside = _parts(stretches_of(number), store.fps, int(recordings.length[number]))
        payload = {
            "name": str(recordings.ids[number]),
            "frames": int(recordings.length[number]),
            "clips": mine.tolist(),
            "start": first.tolist(),
            "stop": (first + store.length[mine]).tolist(),
            "window": line.length,
            "windows": line.start.tolist(),
            "says": line.label.tolist(),
            "confidence": [round(float(value), 4) for value in line.confidence],
            "stretches": [part for part, _ in parts],
            "outside": len(outside),
        }
        query = _query(explorer, like, guest)
        if query is not None:
            cosines = (
                line.features @ query / np.maximum(np.linalg.norm(line.features, axis=1) * np.linalg.norm(query), 1e-12)
            )
            payload["like"] = [round(float(value), 4) for value in cosines]
        return payload

    @app.post("/api/recordings/{number}/stretches")
    def mark(number: int, marking: Marking) -> dict[str, Any]:
        frames = int(recordings.length[checked(number)])
        if any(not start < stop <= frames for start, stop, _ in marking.after):
            raise HTTPException(422, f"after: expected parts of the recording, in frames from 0 to {frames}")
        before = stretches_of(number)
        parts, outside = _parts(before, store.fps, frames)
        if [part for part, _ in parts] != marking.before:
            raise HTTPException(422, CHANGED)
        if _overlap(marking.after) and not _overlap(marking.before):  # those that were written by hand may
            raise HTTPException(422, "after: expected parts that do not overlap, by their start")
        known = dict(parts)  # their seconds may be finer than frames
        after = [known.get(part) or _in_seconds(store.fps, part) for part in marking.after]
        try:
            explorer.labels.mark(str(recordings.ids[number]), before, sorted([*after, *outside]))
        except ConfigError as error:
            raise HTTPException(422, str(error)) from None
        return {"stretches": [list(part) for part in marking.after]}

    if recordings is not store:

        @app.get("/api/recordings/{number}/skeleton")
        def frames(request: Request, number: int, first: int = 0, normalised: bool = False) -> Response:
            return skeleton_answer(request, recordings, checked(number), first, normalised, untrimmed=True)


def _query(explorer: Explorer, like: int | None, guest: int | None) -> Float[np.ndarray, " D"] | None:
    """The feature of the motion that is looked for: a clip's, or that of one of a dropped file."""
    if guest is not None:
        return guest_of(explorer, guest).features[0]
    return None if like is None else np.asarray(explorer.mine.features[clip_number(explorer, like)])


def _parts(stretches: Sequence[Stretch], fps: float, frames: int) -> tuple[list[tuple[Part, Stretch]], list[Stretch]]:
    """Labelled parts as the page knows them, each with what the file says; and those without a frame of the recording,
    which the page does not know: an import takes them so, too.
    """
    inside, outside = list[tuple[Part, Stretch]](), list[Stretch]()
    for stretch in stretches:
        start, stop = round(stretch.start * fps), min(round(stretch.stop * fps), frames)
        if start < stop:
            inside.append(((start, stop, stretch.label), stretch))
        else:
            outside.append(stretch)
    return inside, outside


def _overlap(parts: Sequence[Part]) -> bool:
    return any(first[1] > second[0] for first, second in pairwise(parts))


def _in_seconds(fps: float, part: Part) -> Stretch:
    start, stop, label = part
    return Stretch(round(start / fps, DIGITS), round(stop / fps, DIGITS), label)
