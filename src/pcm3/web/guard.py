"""Who may ask the explorer's server for what: requests that have no business here end before any route sees them."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 4_000_000
"""Of a request: the numbers of 400,000 clips."""
MOST_OF_A_FILE = 64_000_000
"""Of a file that is dropped on the page."""
API = "/api/"
DROP = "/api/guests"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer: the page runs no script but its own and asks no other server for anything."""


@dataclass(frozen=True)
class Guard:
    """Refuses hosts and origins that are not the page's own, requests without the token, and huge ones.

    A page of another origin in the user's browser may send requests to this machine, too, also under a name of its
    own (DNS rebinding): the host tells the one, the origin the other; the token is known to neither.
    """

    app: ASGIApp
    token: str
    """Asked for by all that is below `API`, as ``Authorization: Bearer TOKEN``."""
    hosts: Collection[str]
    """What the host of a request may be, with its port; empty: anything."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or has the app answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket: there is none
            await send({"type": "websocket.close", "code": 1008})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            code, why = refused
            await JSONResponse({"detail": why}, code)(scope, receive, with_headers)
            return
        await self.app(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts and host not in self.hosts:
            return 403, "the page is not served under this host's name: open the address that pcm3 explore printed"
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return 403, "pages of other origins are refused"
        # A click on the address in another page, as a notebook's terminal, is welcome: the page itself tells nothing.
        page = scope["method"] == "GET" and not scope["path"].startswith(API)
        clicked = page and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if not clicked and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "pages of other origins are refused"
        length = headers.get("content-length", "0")
        if scope["method"] not in ("GET", "HEAD") and "content-length" not in headers:
            return 411, "expected a request that tells its length"
        most = MOST_OF_A_FILE if scope["path"] == DROP else MOST_BYTES
        if not (length.isascii() and length.isdigit()) or len(length) > 18 or int(length) > most:
            return 413, f"expected a request of at most {most:,} bytes"
        if scope["path"].startswith(API):
            given = headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
                return 401, "expected the token of the address that pcm3 explore printed"
        return None
