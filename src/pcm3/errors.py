"""The errors that a user can cause. Each message says what was expected, what came, and what to do.

The command line turns every one of them into one line and exit code 2; the library raises them.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from shutil import which


class Pcm3Error(Exception):
    """A mistake in what was given to pcm3, told in one line."""


class DataError(Pcm3Error):
    """A recording, a store or a protocol is not what it should be."""


class ConfigError(Pcm3Error):
    """A setting or an argument is not one that exists, or not one that makes sense here."""


class CheckpointError(Pcm3Error):
    """A checkpoint or a run folder does not fit what it is to be used for."""


class RunFailed(Exception):  # noqa: N818 (a run that failed is no one's mistake)
    """Something outside pcm3's input stopped a run: the loss left the numbers, the disk is full. Exit code 1."""


def command(*words: object) -> str:
    """A command line to be copied: words with spaces, or with letters that a shell may not know, are quoted."""
    return shlex.join(map(str, words))


def program(name: str) -> str:
    """What the user's shell knows a program by that lies beside this Python: its name where the shell would find this
    one, else its path, as in a virtual environment that is not activated.
    """
    beside, on_path = Path(sys.executable).with_name(name), which(name)
    if not beside.exists() or (on_path is not None and Path(on_path).parent.absolute() == beside.parent.absolute()):
        return name
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def install(extra: str) -> str:
    """The command line that installs an optional part of pcm3 where this one is."""
    return command(program("pip"), "install", f"pcm3[{extra}]")


def not_one_of(what: str, got: object, known: Iterable[str]) -> str:
    """What to say about a name that does not exist: those that do, and the nearest of them."""
    names = list(known)
    near = get_close_matches(str(got).lower(), names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"expected {what} ({', '.join(names)}), got '{got}'{hint}"


def brief(value: object) -> str:
    """The value as a message shows it: in a line, cut where it is long, without what a terminal would obey."""
    short = Repr()
    short.maxlist = short.maxtuple = short.maxdict = 4
    short.maxlevel = 3
    short.maxstring = short.maxother = 80
    return short.repr(value)
