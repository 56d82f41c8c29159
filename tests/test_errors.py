import os
import sys

import pytest

from pcm3.errors import install, program


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A virtual environment in which this Python is, whether the shell knows of it or not."""
    folder = tmp_path / "my work" / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "pip", "pcm3"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", os.defpath)
    return folder


def test_in_an_activated_environment_programs_are_called_by_name(environment, monkeypatch):
    monkeypatch.setenv("PATH", f"{environment}{os.pathsep}{os.defpath}")
    assert program("pcm3") == "pcm3"
    assert install("web") == "pip install 'pcm3[web]'"


def test_else_by_their_path(environment, monkeypatch):
    monkeypatch.chdir(environment.parents[1])
    assert program("pcm3") == ".venv/bin/pcm3"
    assert install("web") == ".venv/bin/pip install 'pcm3[web]'"
    monkeypatch.chdir(environment.parents[2])
    assert install("web") == "'my work/.venv/bin/pip' install 'pcm3[web]'"
    monkeypatch.chdir("/")
    assert program("pip") == str(environment / "pip").removeprefix("/")


def test_what_does_not_lie_beside_is_called_by_its_name(environment):
    assert program("elsewhere") == "elsewhere"
