"""What is told of untrimmed recordings."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response

from pcm3.data.store import ClipStore
from pcm3.web.answers import clip_number, skeleton_answer, there
from pcm3.web.explorer import Explorer


def add_recordings(app: FastAPI, explorer: Explorer, recordings: ClipStore) -> None:
    """Adds them to the app."""
    store = explorer.store

    def checked(number: int) -> int:
        if not 0 <= number < len(recordings):
            raise HTTPException(404, f"expected a recording, 0 to {len(recordings) - 1}")
        return number

    @app.get("/api/recordings/{number}")
    def recording(number: int, like: int | None = None) -> dict[str, Any]:
        line = there(explorer.timelines).of(checked(number))
        mine = np.flatnonzero(store.recording == number)
        first = store.start[mine] - recordings.start[number]
        told = {
            "name": str(recordings.ids[number]),
            "frames": int(recordings.length[number]),
            "clips": mine.tolist(),
            "start": first.tolist(),
            "stop": (first + store.length[mine]).tolist(),
            "window": line.length,
            "windows": line.start.tolist(),
            "says": line.label.tolist(),
            "margin": [round(float(one), 4) for one in line.margin],
        }
        if like is not None:
            query = explorer.mine.features[clip_number(explorer, like)]
            cosines = (
                line.features @ query / np.maximum(np.linalg.norm(line.features, axis=1) * np.linalg.norm(query), 1e-12)
            )
            told["like"] = [round(float(one), 4) for one in cosines]
        return told

    @app.get("/api/recordings/{number}/skeleton")
    def frames(request: Request, number: int, first: int = 0, normalised: bool = False) -> Response:
        return skeleton_answer(request, recordings, checked(number), first, normalised, untrimmed=True)
