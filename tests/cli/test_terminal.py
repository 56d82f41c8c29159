"""Terminals without UTF-8: no traceback at a letter that they do not know, and something to read in its place."""

import ast
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pcm3
from pcm3.cli import COMMANDS, main, terminal

SOURCE = Path(pcm3.__file__).parent
PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437"])
def test_every_letter_of_the_messages_can_be_written(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.write_readably()
    letters = sorted({letter for file in SOURCE.rglob("*.py") for letter in file.read_text(encoding="utf-8")})
    print("".join(letters), "PCM³ Δ 3 × 2 … −1 ± 2 \udcff 漢", file=stream, flush=True)
    told = stream.buffer.getvalue().decode(encoding)
    if encoding == "ascii":
        assert told.endswith("PCM3 D 3 x 2 ... -1 +- 2 \\xff ?\n")
    assert "\\xff" in told


def test_a_letter_that_the_terminal_knows_stays(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.write_readably()
    print("2 × 3 … Δ", file=stream, flush=True)
    assert stream.buffer.getvalue().decode("cp1252") == "2 × 3 … D\n"


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_help_is_written_in_ascii(monkeypatch, command):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["--help"] if command is None else [command, "--help"]) == 0
    stream.flush()
    told = stream.buffer.getvalue().decode("ascii")
    assert len(told) > 100
    assert not re.search(r"<class|Literal\[|Optional\[|list\[|tuple\[|NoneType", told)


COMMAND_AFTER_COMMAND = """
import os, sys
import lightning_fabric, matplotlib.figure, sklearn.metrics, torch  # which take a second each, so once for all
from pcm3.cli import main

commands = [[]]
for word in sys.argv[2:]:
    commands.append([]) if word == "THEN" else commands[-1].append(word)
for number, words in enumerate(commands):
    if os.fork() == 0:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{sys.argv[1]}/{number}.{name}", os.O_CREAT | os.O_WRONLY), stream)
        if words[0] == "strict":  # as with PYTHONIOENCODING=ascii
            sys.stdout.reconfigure(errors="strict")
        sys.argv[1:] = words[1:]
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # taking the interpreter down would take longer than most commands
    with open(f"{sys.argv[1]}/{number}.code", "w") as file:
        file.write(str(os.waitstatus_to_exitcode(os.wait()[1])))
"""
"""Each command in a process of its own, forked from one that has written nothing and set nothing."""


@pytest.mark.soak
def test_commands_go_the_whole_way_in_a_locale_without_utf8(store_path, tiny_words, tmp_path):
    """With bytes that are no letters let through, as such a locale has it, and without."""
    runs = {errors: tmp_path / "a b" / errors for errors in ("strict", "surrogateescape")}
    (tmp_path / "a b").mkdir()
    good, others = [], []
    for errors, run in runs.items():
        good += [
            (errors, "pretrain", store_path, "--run", run, *tiny_words(steps=2), "--json"),
            (errors, "evaluate", "retrieval", "--model", run, "--store", store_path, "--json"),
        ]
        others += [
            (errors, "info", store_path),
            (errors, "check", store_path),
            (errors, "pretrain", "--run", "Δ³×…−"),
            (errors, "Δ³"),
            (errors, "info", "töpfe"),
        ]
    words = [str(word) for command in (*good, *others) for word in (*command, "THEN")][:-1]
    script = [sys.executable, "-c", COMMAND_AFTER_COMMAND, str(tmp_path)]
    subprocess.run([*script, *words], check=True, env=os.environ | PLAIN_C)

    for number in range(len(good)):
        told = (tmp_path / f"{number}.err").read_bytes()
        assert (tmp_path / f"{number}.code").read_text() == "0", told
        out = (tmp_path / f"{number}.out").read_bytes()
        out.decode("ascii")
        assert json.loads(out.splitlines()[-1])
    for number in range(len(good) + len(others)):
        assert b"Traceback" not in (tmp_path / f"{number}.err").read_bytes()
    codes = [(tmp_path / f"{number}.code").read_text() for number in range(len(good), len(good) + len(others))]
    assert codes == ["0", "0", "2", "2", "2"] * 2
    for run in runs.values():
        held = json.loads((run / "settings.json").read_text(encoding="utf-8"))
        assert held["settings"]["encoder"]["hidden_size"] == 8


def test_every_text_file_is_read_and_written_as_utf8():
    forgotten = []
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and of_text(node) and "encoding" not in [word.arg for word in node.keywords]:
                forgotten.append(f"{file.name}:{node.lineno}")
    assert forgotten == []


def of_text(node):
    """Whether a call opens, reads or writes a file of text."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in ("open", "read_text", "write_text"):
        return False
    modes = [given.value for given in node.args if isinstance(given, ast.Constant)]
    return node.func.attr != "open" or any(re.fullmatch(r"[rwa]\+?", str(mode)) for mode in modes)
