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
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
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


@pytest.mark.parametrize("locale", [ASCII, PLAIN_C], ids=["io", "locale"])
def test_commands_go_the_whole_way_in_a_locale_without_utf8(store_path, tiny_words, tmp_path, locale):
    (tmp_path / "a b").mkdir()
    run = tmp_path / "a b" / "run"
    environment = os.environ | locale
    script = "import sys; from pcm3.cli import main; sys.exit(main(sys.argv[1:]))"

    def call(*words):
        told = [sys.executable, "-c", script, *map(str, words)]
        return subprocess.run(told, capture_output=True, check=False, env=environment)

    for words in (
        ("pretrain", store_path, "--run", run, *tiny_words(), "--json"),
        ("evaluate", "retrieval", "--model", run, "--store", store_path, "--json"),
    ):
        done = call(*words)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        done.stdout.decode("ascii")
        assert json.loads(done.stdout.splitlines()[-1])
    held = json.loads((run / "settings.json").read_text(encoding="utf-8"))
    assert held["settings"]["encoder"]["hidden_size"] == 8
    for words in (
        ("info", store_path),
        ("check", store_path),
        ("pretrain", "--run", "Δ³×…−"),
        ("Δ³",),
        ("info", "töpfe"),
    ):
        assert b"Traceback" not in call(*words).stderr


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
