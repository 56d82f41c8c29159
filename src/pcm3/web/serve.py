"""The explorer's server: a port of this machine, one token, until it is stopped."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Callable
from ipaddress import ip_address

from pcm3.errors import ConfigError, install
from pcm3.web.explorer import Explorer

LOCALHOST = "127.0.0.1"
NAMES = (LOCALHOST, "localhost", "[::1]")
"""What this machine calls itself."""
LAST_ANSWERS = 3
"""Seconds that requests have when it ends: one that is sent too slowly must not keep it from ending."""


def serve(explorer: Explorer, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answers requests until the process is interrupted.

    Args:
        explorer: its work in the background begins here.
        host: where to listen; `LOCALHOST`: only this machine reaches it.
        port: 0: any free one.
        ready: is called with the page's address when the page can be opened.

    Raises:
        ConfigError: the libraries are not installed, or nothing can listen there.
    """
    try:
        import uvicorn

        from pcm3.web.guard import Guard
        from pcm3.web.routes import explorer_app
    except ImportError as error:
        raise ConfigError(f"needs the library {error.name}: {install('web')}") from None
    with _listening(host, port) as own:
        try:
            port = own.getsockname()[1]
            token = secrets.token_urlsafe(24)
            # Before the work begins: FastAPI and the maps both silence warnings, which is the whole process's state.
            app = Guard(explorer_app(explorer), token, allowed_hosts(host, port))
            explorer.begin()  # the first map is there when the page asks for it
            settings = uvicorn.Config(
                app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=LAST_ANSWERS
            )
            # What stands behind a # is not sent to any server, and is in no log.
            ready(f"http://{'localhost' if is_everywhere(host) else _in_address(host)}:{port}/#token={token}")
            uvicorn.Server(settings).run(sockets=[own])
        finally:
            explorer.stop()


def allowed_hosts(host: str, port: int) -> frozenset[str]:
    """The hosts that requests may name; none where the machine is reached under names that nobody here knows."""
    if is_everywhere(host):
        return frozenset()
    return frozenset(f"{name}:{port}" for name in (*NAMES, _in_address(host)))


def is_everywhere(host: str) -> bool:
    """Whether it stands for all addresses of this machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def is_local(host: str) -> bool:
    """Whether other machines cannot reach it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listening(host: str, port: int) -> socket.socket:
    try:
        own = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror or error})"
        raise ConfigError(f"--port: port {port} of {host} {why}: choose another (0: any free one)") from None
    own.set_inheritable(True)
    return own
