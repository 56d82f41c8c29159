"""A function over many pieces of work in several processes, with the results in order and bounded memory.

Why not joblib's ``Parallel(return_as="generator")`` (1.6, measured): it runs ahead of whoever takes the results without
a bound, 1000 of 1000 pieces were done when the first was taken, whatever ``pre_dispatch``; and after a SIGKILL of the
parent its workers were still there 10 seconds later.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from typing import Protocol, TypeVar, runtime_checkable

from pcm3.errors import DataError

Piece = TypeVar("Piece")
Shared = TypeVar("Shared")
Result = TypeVar("Result")

AHEAD = 4
"""Pieces a process that may be done or under way before their turn."""

KEPT = 31 * 2**20
"""Bytes below which a block of freed memory stays with its process; glibc takes no more than 32 MiB for this."""


def cores() -> int:
    """CPU cores that this process may use: of those of the machine its share, and a container's limit of time."""
    from joblib import cpu_count

    return int(cpu_count())


@runtime_checkable
class MapFunction(Protocol):
    """A function over many pieces of work, here or in other processes."""

    def __call__(
        self, function: Callable[[Piece, Shared], Result], pieces: Sequence[Piece], shared: Shared
    ) -> Generator[Result, None, None]:
        """``function(piece, shared)`` for each piece, in their order.

        Args:
            function: of the top level of a module.
            pieces: the pieces of work.
            shared: goes to every call.

        Raises:
            DataError: a process died.
        """


def serial_map(
    function: Callable[[Piece, Shared], Result], pieces: Sequence[Piece], shared: Shared
) -> Generator[Result, None, None]:
    """A `MapFunction` without any other process."""
    yield from (function(piece, shared) for piece in pieces)


@contextmanager
def worker_processes(count: int) -> Iterator[MapFunction]:
    """A `MapFunction` over so many processes, started at its first call and kept for those that follow; 1: none."""
    _keep_memory()
    if count == 1:
        yield serial_map
        return
    # Fresh processes, not forks: the caller may hold the threads of torch.
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_prepare_process)

    def process_map(
        function: Callable[[Piece, Shared], Result], pieces: Sequence[Piece], shared: Shared
    ) -> Generator[Result, None, None]:
        waiting: deque[Future[Result]] = deque()
        try:
            for piece in pieces:
                waiting.append(pool.submit(function, piece, shared))
                if len(waiting) > AHEAD * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process died: too little memory for it, or a script that imports without "
                "`if __name__ == '__main__':`; workers 1 needs neither"
            ) from error

    try:
        yield process_map
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_process() -> None:
    _keep_memory()
    _obey_parent()


def _keep_memory() -> None:
    """Has the C library keep freed memory for the next piece.

    glibc gives large blocks back to the system at once and faults each of their pages in anew, which takes as long as
    reading a recording does. Freeing a block of that size is how it learns what is not large.
    """
    bytearray(KEPT)


def _obey_parent() -> None:
    """Leaves Ctrl-C to the parent, and ends this process when the parent is killed, which nothing else would do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=lambda: connection.wait([sentinel]) and os._exit(1), daemon=True).start()
