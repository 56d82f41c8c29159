"""The command line: one table of commands; each lives in a file of its own and is imported when it is called.

Exit codes: 0 done, 1 failed (disk full, loss not finite), 2 bad use or bad input, told in one line on stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from difflib import get_close_matches

from pcm3 import __version__
from pcm3.cli.terminal import knows, write_readably
from pcm3.errors import ConfigError, Pcm3Error, RunFailed

COMMANDS = {
    "demo": "simulate recordings, import, pretrain, evaluate, one page of results: minutes on a laptop",
    "simulate": "write simulated Kinect recordings: clips as raw files or a store, or untrimmed sessions",
    "import": "read a data set's raw recordings into a store",
    "retarget": "a store in another layout: joints found by their names, others approximated",
    "merge": "several stores as one, to pretrain on all of their clips",
    "join": "a person's labelled clips one after another, as untrimmed recordings to detect actions in",
    "info": "what a store holds: counts, classes, protocols",
    "show": "draw clips: a moving skeleton, two side by side, or a contact sheet, as GIF, MP4 or PNG",
    "check": "whether a store is sound: checksums, copies across a split (leaks), odd clips and bodies",
    "pretrain": "learn an encoder from a store's clips, without labels; run again, it resumes",
    "tune": "search for a recipe on your stores: candidates, successive halving, held-out training subjects",
    "evaluate": "what an encoder is worth: recognition, retrieval, occlusion, detection, motion prediction",
    "embed": "features of clips, from a store or files of any format that pcm3 reads, as NPZ or CSV",
    "fit": "fit a classifier, a detector or a predictor on a model with the labels that there are",
    "classify": "the class of each clip, by a head that pcm3 fit wrote",
    "detect": "which actions long recordings hold, and when: CSV, JSON, ELAN, Audacity, PKU-MMD",
    "predict": "the next 400 ms of a motion",
    "search": "which clips are most like a motion, or where in long recordings it occurs",
    "compare": "how alike two motions are: aligned in time, joint by joint, with a picture of where they part",
    "explore": "a page in the browser: a map of all clips, moving skeletons, neighbours, labels by a few clicks",
    "stream": "frames in as they come, as lines of JSON, labels out, a line each",
    "play": "a recording as such lines, at the pace at which it was recorded",
    "export": "a model or a classifier as one file for other programs: ONNX, or torch.export's",
    "push": "publish a model on the hub of Hugging Face, with a page about it",
    "reproduce": "run a table of the paper on your stores, its figures beside the paper's",
    "benchmark": "how fast this machine pretrains, encodes, evaluates and imports, beside its own matmul rate",
}
"""Command → what it does. Its file is ``cli/<command>.py`` (``import_`` for import)."""

LONGEST_MESSAGE = 2000
"""Characters; whatever a message quotes, it is one line that prints."""

OUT_OF_MEMORY = (
    "out of memory; what was complete is kept. Less needs less: a smaller batch or width, micro-batches, fewer workers"
)
USAGE = "usage: pcm3 COMMAND …      pcm3 COMMAND --help lists a command's arguments; pcm3 --version"


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # Two busy torch processes on the same cores slow each other tenfold unless idle threads sleep. Read when
    # OpenMP starts, so it is set before anything imports torch.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Torch's C++ warnings are for those who write with torch; its errors still come.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    write_readably()
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"pcm3 {__version__}")
        return 0
    try:
        return _call(words[0], words[1:])
    except Pcm3Error as error:
        return _fail(words[0], error, 2)
    except RunFailed as error:
        return _fail(words[0], error, 1)
    except KeyboardInterrupt:
        return _fail(words[0], "stopped; what was complete is kept", 130)
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain when it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UnicodeEncodeError as error:
        message = f"this system's locale ({error.encoding}) has no file named '{error.object}': set PYTHONUTF8=1"
        return _fail(words[0], message, 2)
    except MemoryError:
        return _fail(words[0], OUT_OF_MEMORY, 1)
    except RuntimeError as error:
        # Torch has no error of its own for memory on a CPU; that of a GPU is a RuntimeError too.
        if "can't allocate memory" not in str(error) and type(error).__name__ != "OutOfMemoryError":
            raise
        return _fail(words[0], OUT_OF_MEMORY, 1)
    except OSError as error:
        from pcm3.files import DISK_FULL

        message = f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
        return _fail(words[0], message, 1 if error.errno in DISK_FULL else 2)


def _call(command: str, words: list[str]) -> int:
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, n=1)
        hint = f": did you mean {near[0]}?" if near else f": expected one of {', '.join(COMMANDS)}"
        raise ConfigError(f"there is no command '{command}'{hint}")
    module = importlib.import_module(f"pcm3.cli.{'import_' if command == 'import' else command}")
    from pcm3.cli.parse import parse

    options = parse(command, COMMANDS[command], module.add_arguments, words)
    if options is None:  # --help or --print_config said everything
        return 0
    code, result = module.run(options)
    if options.json:
        sys.stdout.flush()
        text = json.dumps(result, ensure_ascii=False)
        print(text if knows(text) else json.dumps(result))
    return int(code)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["pcm3: representations of human motion from unlabelled 3D skeletons", "", USAGE, "", *lines])


def _fail(command: str, error: object, code: int) -> int:
    from pcm3.data.names import printable

    text = printable(re.sub(r"\[Errno -?\d+\] ", "", " ".join(str(error).split())), LONGEST_MESSAGE)
    print(f"pcm3 {command}: {text}" if command in COMMANDS else f"pcm3: {text}", file=sys.stderr)
    return code
