"""Where files are dropped, and what is told of them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from pcm3.data.names import printable
from pcm3.errors import Pcm3Error
from pcm3.web.answers import guest_of, skeleton_answer, there
from pcm3.web.explorer import Explorer
from pcm3.web.guests import LONGEST, placed
from pcm3.web.payloads import neighbours_payload

NEIGHBOURS = 12


def add_guests(app: FastAPI, explorer: Explorer) -> None:
    """Adds them to the app."""

    @app.post("/api/guests")
    async def drop(request: Request, name: Annotated[str, Query(max_length=500)]) -> dict[str, Any]:
        there(explorer.mine.arrays.get("pca"))
        try:
            content = await request.body()
        except ClientDisconnect:  # nobody hears it
            raise HTTPException(400, "expected the whole file") from None
        try:
            numbers = await run_in_threadpool(explorer.receive, name, content)
        except Pcm3Error as error:
            raise HTTPException(422, printable(str(error), LONGEST)) from None
        return {"guests": [_guest_payload(explorer, number) for number in numbers]}

    @app.get("/api/guests/{number}/skeleton")
    def frames(request: Request, number: int, first: int = 0, normalised: bool = False) -> Response:
        return skeleton_answer(request, guest_of(explorer, number).store, 0, first, normalised)

    @app.get("/api/guests/{number}/neighbours")
    def neighbours(number: int) -> dict[str, Any]:
        return _neighbours(explorer, number, 0)

    if explorer.other is not None:

        @app.get("/api/other/guests/{number}/neighbours")
        def other_neighbours(number: int) -> dict[str, Any]:
            there(explorer.sides[1].arrays.get("features"))
            return _neighbours(explorer, number, 1)


def _neighbours(explorer: Explorer, number: int, side: int) -> dict[str, Any]:
    feature = guest_of(explorer, number).features[side]
    return neighbours_payload(*explorer.sides[side].neighbours_of(feature, NEIGHBOURS))


def _guest_payload(explorer: Explorer, number: int) -> dict[str, Any]:
    guest = guest_of(explorer, number)
    places = []
    for side, feature, maps in zip(explorer.sides, guest.features, explorer.maps, strict=True):
        near = side.neighbours_of(feature, NEIGHBOURS) if maps else ()
        places.append({name: placed(lie, *near) for name, lie in maps.items()})
    return {"number": number, "name": guest.name, "places": places}
