"""The addresses below which the page finds what it shows. GET changes nothing; labels and dropped files are POSTed."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field, StrictInt, StrictStr

from pcm3 import __version__
from pcm3.data.names import printable
from pcm3.errors import ConfigError
from pcm3.web.answers import MOST_NEIGHBOURS, array_answer, clip_number, map_of, skeleton_answer, there
from pcm3.web.comparison_routes import add_comparison
from pcm3.web.explorer import Explorer
from pcm3.web.guest_routes import add_guests
from pcm3.web.page import page_files
from pcm3.web.payloads import about_payload, findings_payload, labels_payload, neighbours_payload, status_payload
from pcm3.web.recording_routes import add_recordings


class Labelling(BaseModel):
    """Clips, by their numbers, that are to have a label; null takes it away. `before` is what they are seen to have."""

    clips: list[Annotated[StrictInt, Field(ge=0)]] = Field(min_length=1)
    label: StrictStr | None
    before: list[StrictStr | None] | None = None


def explorer_app(explorer: Explorer) -> FastAPI:
    """The app that answers for one explorer; who may ask is not its matter (`guard`)."""
    app = FastAPI(title="pcm3 explore", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    _add_arrays(app, explorer)
    _add_words(app, explorer)
    _add_labels(app, explorer)
    add_guests(app, explorer)
    if explorer.other is not None:
        add_comparison(app, explorer, explorer.other)
    add_recordings(app, explorer)

    @app.get("/{path:path}")
    def page(request: Request) -> Response:
        file = page_files().get(request.url.path)
        if file is None:
            raise HTTPException(404, "there is nothing here")
        return Response(file[0], media_type=file[1])

    @app.exception_handler(RequestValidationError)
    def not_understood(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]  # what came is not told back: JSON has no words for all of it
        where = ".".join(map(str, first["loc"]))
        return JSONResponse({"detail": f"{printable(where)}: {printable(first['msg'])}"}, 422)

    @app.exception_handler(OSError)
    def cannot_write(request: Request, error: OSError) -> Response:
        return JSONResponse({"detail": f"not written: {error.strerror or error}"}, 409)

    return app


def _add_arrays(app: FastAPI, explorer: Explorer) -> None:
    store = explorer.store

    @app.get("/api/columns")
    def columns(request: Request) -> Response:
        return array_answer(request, np.stack(list(explorer.columns.values())))

    @app.get("/api/map/{name}")
    def one_map(request: Request, name: str) -> Response:
        return array_answer(request, map_of(explorer, 0, name))

    @app.get("/api/clusters")
    def clusters(request: Request) -> Response:
        return array_answer(request, there(explorer.mine.arrays.get("clusters"))[:, 0].astype(np.int32))

    @app.get("/api/guesses")
    def guesses(request: Request) -> Response:
        result = there(explorer.guesses)
        return array_answer(request, np.stack([result.label.astype(np.float32), result.confidence]))

    @app.get("/api/lesson/guesses")
    def taught(request: Request) -> Response:
        result = there(there(explorer.lessons).now().taught)
        return array_answer(request, np.stack([result.label, result.margin]).astype(np.float32))

    @app.get("/api/clips/{index}/skeleton")
    def frames(request: Request, index: int, first: int = 0, normalised: bool = False) -> Response:
        return skeleton_answer(request, store, clip_number(explorer, index), first, normalised)


def _add_words(app: FastAPI, explorer: Explorer) -> None:
    store = explorer.store

    @app.get("/api/about")
    def about() -> dict[str, Any]:
        return about_payload(explorer)

    @app.get("/api/ids")
    def ids() -> Response:
        return PlainTextResponse("\n".join(store.ids.tolist()))

    @app.get("/api/status")
    def status() -> dict[str, Any]:
        return status_payload(explorer)

    @app.get("/api/findings")
    def findings() -> list[dict[str, Any]]:
        return findings_payload(explorer, there(explorer.findings))

    @app.get("/api/clips/{index}/neighbours")
    def neighbours(index: int, k: Annotated[int, Query(ge=1, le=MOST_NEIGHBOURS)] = 12) -> dict[str, Any]:
        clip_number(explorer, index)
        there(explorer.mine.arrays.get("features"))
        return neighbours_payload(*explorer.mine.neighbours(index, k))


def _add_labels(app: FastAPI, explorer: Explorer) -> None:
    store = explorer.store

    @app.get("/api/labels")
    def labels() -> dict[str, Any]:
        return labels_payload(explorer)

    @app.get("/api/lesson")
    def lesson(n: Annotated[int, Query(ge=0, le=MOST_NEIGHBOURS)] = 9) -> dict[str, Any]:
        lessons = there(explorer.lessons)
        now = lessons.now()
        correct, people = now.expected or (None, 0)
        return {"names": now.names, "labelled": len(now.labelled), "correct": correct, "people": people,
                "next": lessons.next_clips(n) if n else []}  # fmt: skip

    @app.get("/api/labels.csv")
    def table() -> Response:
        file = explorer.labels.file
        data = file.read_bytes() if file.exists() else b"file,label\n"  # as it is, whatever somebody made of it
        return Response(data, media_type="text/csv; charset=utf-8",
                        headers={"Content-Disposition": f'attachment; filename="{file.name}"'})  # fmt: skip

    @app.post("/api/labels")
    def give(labelling: Labelling) -> dict[str, Any]:
        names = [str(store.ids[clip_number(explorer, clip)]) for clip in labelling.clips]
        if labelling.before is not None and len(labelling.before) != len(names):
            raise HTTPException(422, f"before: expected a label or null for each of {len(names)} clips")
        try:
            return {"labelled": explorer.labels.give(names, labelling.label, labelling.before)}
        except ConfigError as error:
            raise HTTPException(422, str(error)) from None
