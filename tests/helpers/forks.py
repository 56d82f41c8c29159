"""Processes forked from one that has imported torch already: as fresh as those of a shell, without the wait."""

import multiprocessing
import os
import threading
from multiprocessing import connection

PRELOADED = ["__main__", "pcm3.train.pretrain", "pcm3.report.pictures", "lightning.fabric", "toy"]


def fork(target, *words):
    """A started process that calls target(*words), and that ends when this one does, however it ends."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(PRELOADED)
    process = forks.Process(target=_beside_its_parent, args=(target, words))
    process.start()
    return process


def _beside_its_parent(target, words):
    gone = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: connection.wait([gone]) and os._exit(1), daemon=True).start()
    raise SystemExit(target(*words))
