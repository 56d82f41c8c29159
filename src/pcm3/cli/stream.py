"""``pcm3 stream HEAD``: frames in on standard input or a port, labels out, a line of JSON each (docs/LIVE.md)."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from pcm3.cli.live_lines import LineStream
from pcm3.cli.sources import add_device
from pcm3.data.names import printable


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("head", type=Path, help="a classifier or detector that pcm3 fit wrote")
    parser.add_argument("--model", type=Path | None, default=None,
                        help="the model that it was fitted on, where it does not lie in the head's folder")  # fmt: skip
    parser.add_argument("--fps", type=float | None, default=None,
                        help="frames a second; null: as the model's. Frames with a time need none")  # fmt: skip
    parser.add_argument("--layout", type=str | None, default=None,
                        help="of the frames: name or TOML file; null: the model's, or told by joint names")  # fmt: skip
    parser.add_argument("--up", type=str | None, default=None,
                        help="which way is up: x, y, z, -x …; null: found by how people stand")  # fmt: skip
    parser.add_argument("--window", type=float, default=2.0, help="seconds of the stream that a classifier is given")
    parser.add_argument("--hop", type=int | None, default=None,
                        help="frames from one window to the next; null: a fifth of a second")  # fmt: skip
    parser.add_argument("--udp", type=int | None, default=None,
                        help="listen for datagrams on this port of this machine (0: any free one)")  # fmt: skip
    parser.add_argument("--websocket", type=int | None, default=None,
                        help="listen for WebSockets on this port of this machine; needs pcm3[live]")  # fmt: skip
    parser.add_argument("--origin", type=str, nargs="+", default=[],
                        help="with --websocket: pages that may connect beside those of this machine, as "
                             "https://lab.example; null: pages opened from files, and with them sandboxed "
                             "frames of any page")  # fmt: skip
    add_device(parser)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Answers frames until standard input ends, or until it is stopped."""
    from pcm3.cli.live_ports import on_stdin, on_udp, on_websocket
    from pcm3.device import threads

    _check(options)
    opened = _opener(options)
    opened()  # settings that make no sense are told now, not to each sender
    with threads(1):  # frames are small: more threads only wait for each other
        if options.udp is not None:
            on_udp(options.udp, opened, _log)
        elif options.websocket is not None:
            on_websocket(options.websocket, opened, _log, options.origin)
        else:
            if sys.stdin.isatty():
                _log("reading frames from standard input, a line of JSON each (docs/LIVE.md); Ctrl-D ends it")
            lines, errors = on_stdin(opened, _Notes())
            return 0, {"lines": lines, "errors": errors}
    return 0, {}


def _opener(options: Any) -> Any:
    from pcm3 import api
    from pcm3.errors import CheckpointError

    model = None if options.model is None else api.load(options.model, device=options.device)
    head = api.load_head(options.head, model=model, device=options.device)
    about = {"fps": options.fps, "layout": options.layout, "up": options.up, "hop": options.hop}
    if isinstance(head, api.ClassifierHead):
        return lambda: LineStream(lambda: head.stream(**about, window=options.window))
    if isinstance(head, api.DetectorHead):
        return lambda: LineStream(lambda: head.stream(**about))
    raise CheckpointError(f"{options.head}: expected a classifier or a detector, got a predictor")


def _check(options: Any) -> None:
    from pcm3.errors import ConfigError

    for name in ("udp", "websocket"):
        port = getattr(options, name)
        if port is not None and not 0 <= port <= 65_535:
            raise ConfigError(f"--{name}: expected a port, 0 to 65535, got {port}")
    if options.udp is not None and options.websocket is not None:
        raise ConfigError("expected one of --udp and --websocket, got both: run the command twice")
    if options.origin and options.websocket is None:
        raise ConfigError("--origin: expected it with --websocket, which alone is reached by pages")
    for origin in options.origin:
        if origin != "null" and re.fullmatch(r"https?://[^/\s]+", origin) is None:
            raise ConfigError(f"--origin: expected https://host[:port] or null, got '{printable(origin)}'")


class _Notes:
    """Says once what the first second told."""

    def __init__(self) -> None:
        self._logged = False

    def __call__(self, lines: LineStream) -> None:
        if not self._logged and lines.stream.start is not None:
            self._logged = True
            for note in lines.stream.start.notes:
                _log(f"note: {note}")


def _log(text: str) -> None:
    """To whoever started the command; standard output is for the answers."""
    print(text, file=sys.stderr, flush=True)
