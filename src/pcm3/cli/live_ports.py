"""Where ``pcm3 stream`` listens for lines: standard input, or a port of this machine that no other machine reaches."""

from __future__ import annotations

import errno
import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from pcm3.cli.live_lines import LONGEST, LineStream
from pcm3.data.names import printable

LOCALHOST = "127.0.0.1"
MOST_SENDERS = 64
"""Senders of datagrams that are remembered; of more, the one that was silent for longest is forgotten."""
PAGES = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
"""Pages whose scripts may connect: others in the user's browser have no business here. A page in a file is of no origin
("null"), and so is a frame that any page of the web puts into a sandbox."""


def on_stdin(open_lines: Callable[[], LineStream], log_notes: Callable[[LineStream], None]) -> tuple[int, int]:
    """Answers lines until standard input ends; gives how many there were, and how many were no frames."""
    lines = open_lines()
    while line := sys.stdin.buffer.readline(LONGEST + 1):
        rest = line
        while len(rest) > LONGEST and not rest.endswith(b"\n"):
            rest = sys.stdin.buffer.readline(LONGEST + 1)
        print(lines.answer(line), flush=True)
        log_notes(lines)
    return lines.lines, lines.errors


def on_udp(port: int, open_lines: Callable[[], LineStream], log: Callable[[str], None]) -> None:
    """Answers datagrams, each of them a line, until it is stopped; every sender has a stream of its own."""
    senders: dict[Any, LineStream] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        with _naming_port("udp", port):
            own.bind((LOCALHOST, port))
        log(f"listening on UDP {LOCALHOST}:{own.getsockname()[1]}")
        while True:
            line, sender = own.recvfrom(1 << 16)
            lines = senders.pop(sender, None) or open_lines()
            senders[sender] = lines  # the last of them is the one that was heard last
            if len(senders) > MOST_SENDERS:
                del senders[next(iter(senders))]
            try:
                own.sendto(lines.answer(line).encode(), sender)
            except ConnectionError:  # whoever asked has gone
                continue


@contextmanager
def _naming_port(option: str, port: int) -> Iterator[None]:
    """An error of opening a port as one that names it."""
    from pcm3.errors import ConfigError

    try:
        yield
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
        raise ConfigError(f"--{option}: port {port} of this machine {why}: choose another (0: any free one)") from None


def on_websocket(
    port: int, open_lines: Callable[[], LineStream], log: Callable[[str], None], origins: Sequence[str] = ()
) -> None:
    """Answers messages, each of them a line, until it is stopped; every connection has a stream of its own.

    Args:
        port: of this machine; 0: any free one.
        open_lines: makes a stream.
        log: tells whoever started it.
        origins: pages that may connect beside those of this machine, as browsers name them.

    Raises:
        ConfigError: the library is not installed.
    """
    from pcm3.errors import ConfigError

    try:
        from websockets.exceptions import ConnectionClosed
        from websockets.http11 import Request, Response
        from websockets.sync.server import ServerConnection, serve
    except ImportError as error:
        raise ConfigError("setting websocket: needs the library websockets: pip install 'pcm3[live]'") from error

    def talk(connection: ServerConnection) -> None:
        lines = open_lines()
        try:
            for message in connection:
                connection.send(lines.answer(message))
        except ConnectionClosed:
            return

    refused: set[str] = set()

    def only_known(connection: ServerConnection, request: Request) -> Response | None:
        for origin in request.headers.get_all("Origin"):  # programs send none
            if origin not in origins and re.fullmatch(PAGES, origin) is None:
                if origin not in refused and len(refused) < MOST_SENDERS:
                    refused.add(origin)
                    log(f"refused a page of {printable(origin)} (--origin {printable(origin)} lets such pages in)")
                return connection.respond(
                    HTTPStatus.FORBIDDEN, "pages from elsewhere are refused: pcm3 stream --origin\n"
                )
        return None

    with _naming_port("websocket", port):
        opened = serve(talk, LOCALHOST, port, max_size=LONGEST, process_request=only_known)
    with opened as server:
        log(f"listening on ws://{LOCALHOST}:{server.socket.getsockname()[1]}")
        server.serve_forever()
