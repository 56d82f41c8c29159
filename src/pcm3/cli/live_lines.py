"""Frames as lines of JSON, each answered by a line of JSON: what ``pcm3 stream`` speaks, on whatever it listens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcm3.api.live import LiveLabel, Stream
    from pcm3.data.live.incoming import Frame

LONGEST = 1 << 20
"""Bytes of a line at most: a hundred bodies of a hundred joints."""
FORM = '{"joints": [[x, y, z], ...]} or {"joints": {"hip_left": [x, y, z], ...}}'


class LineStream:
    """The lines of one sender."""

    def __init__(self, open_stream: Callable[[], Stream[LiveLabel]]) -> None:
        self.stream = open_stream()
        self.lines, self.errors = 0, 0
        self._latest: LiveLabel | None = None

    def answer(self, line: bytes | str) -> str:
        """What is told after one more line; an error where it is no frame, which the stream forgets."""
        from pcm3.data.names import printable
        from pcm3.errors import Pcm3Error

        began, number = time.perf_counter(), self.lines
        self.lines += 1
        try:
            frame, moment = parse_frame(line)
            self._latest = self.stream.push(frame, moment) or self._latest
        except Pcm3Error as error:
            self.errors += 1
            return json.dumps({"line": number, "error": printable(" ".join(str(error).split()), 500)})
        latest, now = self._latest, self.stream.time
        reply: dict[str, object] = {"line": number, "time": round(now if latest is None else latest.time, 6)}
        reply |= {"label": None, "share": None} if latest is None else {"label": latest.label, "share": latest.share}
        late = 0.0 if latest is None else now - latest.time
        return json.dumps(reply | {"delay_ms": round(1000 * (late + time.perf_counter() - began), 3)})


def parse_frame(line: bytes | str) -> tuple[Frame, float | None]:
    """The frame in a line, and its time.

    Raises:
        DataError: the line holds no frame.
    """
    from pcm3.errors import DataError, brief

    if len(line) > LONGEST:
        raise DataError(f"expected a line of at most {LONGEST:,} bytes, got more")
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"expected a line of JSON, {FORM}, got something else") from None
    if not isinstance(message, dict) or ("joints" in message) == ("bodies" in message):
        raise DataError(f"expected {FORM}, or such bodies in a list as bodies, got {brief(message)}")
    moment = message.get("time")
    if moment is not None and (isinstance(moment, bool) or not isinstance(moment, int | float)):
        raise DataError(f"time: expected seconds, got {brief(moment)}")
    if "joints" in message:
        return _frame(message["joints"]), moment
    bodies = message["bodies"]
    if not isinstance(bodies, list):
        raise DataError(f"bodies: expected a list, got {brief(bodies)}")
    return [_body(body) for body in bodies], moment


def _body(body: Any) -> Any:
    return body["joints"] if isinstance(body, dict) and isinstance(body.get("joints"), list | dict) else body


def _frame(joints: Any) -> Frame:
    """What a stream takes; nobody where there are no joints."""
    from pcm3.errors import DataError, brief

    if joints is None:
        return []
    if not isinstance(joints, list | dict):
        raise DataError(f"joints: expected a list, or places by name, got {brief(joints)}")
    return joints
