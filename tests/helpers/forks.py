"""Processes forked from one that has imported torch already: as fresh as those of a shell, without the wait."""

import multiprocessing
import os
import runpy
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import connection

PRELOADED = [
    "__main__", "pcm3.train.pretrain", "pcm3.train.plan", "pcm3.cli.parse", "pcm3.cli.pretrain", "pcm3.encoders.gru",
    "pcm3.report.pictures", "jsonargparse", "matplotlib.backends.backend_agg", "lightning_fabric", "toy",
    "torch._dynamo",  # which the first optimiser imports, with sympy
    "pcm3.tasks.evaluate",  # with scikit-learn
]  # fmt: skip


def context():
    """Where such processes come from."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(PRELOADED)
    return forks


def fork(target, *words):
    """A started process that calls target(*words), and that ends when this one does, however it ends."""
    process = context().Process(target=_beside_its_parent, args=(target, words))
    process.start()
    return process


def said_by(script, told, *words):
    """The lines that a script prints, where annotations are not checked; `told`: the file that they are kept in."""
    process = fork(run_script, str(script), str(told), *map(str, words))
    process.join()
    said = told.read_text(encoding="utf-8")
    assert process.exitcode == 0, said
    return said.splitlines()


def run_script(script, told, *words):
    """A script with these words, whose output goes into a file."""
    sys.argv = [script, *words]
    with open(told, "w", encoding="utf-8") as out, redirect_stdout(out), redirect_stderr(out):  # noqa: PTH123
        runpy.run_path(script, run_name="__main__")


def _beside_its_parent(target, words):
    gone = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: connection.wait([gone]) and os._exit(1), daemon=True).start()
    raise SystemExit(target(*words))


def killed_with_us(*command):
    """The words of a command that is killed when this process ends: Ctrl-C does not reach another session."""
    return [sys.executable, "-c", KILLED_WITH_US, *map(str, command)]


KILLED_WITH_US = """
import ctypes, os, signal, sys
if sys.platform == "linux":  # no other system has it
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])
"""
