"""What is told of the clips as what the model is compared with sees them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from pcm3.web.answers import MOST_NEIGHBOURS, array_answer, clip_number, map_of, there
from pcm3.web.embedded import EmbeddedClips
from pcm3.web.explorer import Explorer
from pcm3.web.payloads import comparison_payload, comparison_rows, neighbours_payload


def add_comparison(app: FastAPI, explorer: Explorer, other: EmbeddedClips) -> None:
    """Adds it to the app."""

    @app.get("/api/other/map/{name}")
    def one_map(request: Request, name: str) -> Response:
        return array_answer(request, map_of(explorer, 1, name))

    @app.get("/api/other/clips/{index}/neighbours")
    def neighbours(index: int, k: Annotated[int, Query(ge=1, le=MOST_NEIGHBOURS)] = 12) -> dict[str, Any]:
        clip_number(explorer, index)
        there(other.arrays.get("features"))
        return neighbours_payload(*other.neighbours(index, k))

    @app.get("/api/comparison/summary")
    def comparison() -> dict[str, Any]:
        return comparison_payload(explorer, there(explorer.comparison))

    @app.get("/api/comparison/clips")
    def rows(request: Request) -> Response:
        return array_answer(request, comparison_rows(there(explorer.comparison)))
