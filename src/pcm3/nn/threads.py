"""Pieces of one computation side by side on CPU threads, each of which runs its own torch operations."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

LEAST_CLIPS = 32
"""Clips that a thread should have at least: fewer make a product slow."""


def side_by_side(run: Callable[[int, slice], None], halves: int, batch: int) -> None:
    """Call run(half, rows) for every half and all rows: on as many threads as torch may use, each by itself."""
    count = torch.get_num_threads()
    parts = max(1, min(count // halves, batch // LEAST_CLIPS))
    size = -(-batch // parts)
    tasks = [(half, slice(first, first + size)) for half in range(halves) for first in range(0, batch, size)]
    if count == 1 or len(tasks) == 1:
        for half, rows in tasks:
            run(half, rows)
        return
    inference = torch.is_inference_mode_enabled()

    def quietly(task: tuple[int, slice]) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            run(*task)

    for _ in _workers(min(count, len(tasks)), max(1, count // len(tasks))).map(quietly, tasks):
        pass


@functools.cache
def _workers(count: int, each: int) -> ThreadPoolExecutor:
    """Threads that stay, each of which lets torch use `each` threads of its own."""
    before, all_there = torch.get_num_threads(), threading.Barrier(count)

    def start(_: int) -> None:
        torch.set_num_threads(each)
        all_there.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="pcm3-gru")
    list(pool.map(start, range(count)))
    torch.set_num_threads(before)  # the number is every thread's own, but the default for new threads is shared
    return pool


os.register_at_fork(after_in_child=_workers.cache_clear)
