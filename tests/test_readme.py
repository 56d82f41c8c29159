import importlib
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from pcm3.cli import COMMANDS
from pcm3.cli.parse import parse
from pcm3.settings.methods import METHODS
from pcm3.settings.presets import preset_names
from pcm3.settings.pretrain import PretrainSettings, flat
from pcm3.settings.tasks import TaskSettings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [block for word, block in re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE) if not word]
LINES = [line for block in BLOCKS for line in block.splitlines() if line.startswith("pcm3 ")]


def test_the_readme_shows_commands():
    assert len(LINES) >= 7
    assert {line.split()[1] for line in LINES} >= {"simulate", "import", "info", "check", "pretrain", "evaluate"}


@pytest.mark.parametrize("line", LINES)
def test_commands_of_the_readme_are_understood(line):
    command, *words = shlex.split(line, comments=True)[1:]
    module = importlib.import_module(f"pcm3.cli.{'import_' if command == 'import' else command}")
    assert parse(command, COMMANDS[command], module.add_arguments, words) is not None


@pytest.mark.parametrize("file", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda file: file.name)
def test_lists_in_commands_are_quoted(file):
    """Unquoted, a shell takes them for patterns of files' names; zsh refuses them."""
    assert re.findall(r"--[\w.]+ \[.*", file.read_text(encoding="utf-8")) == []


GROUPS = ("views", "mask", "mix", "prompts", "objective", "optimiser", "encoder")


@pytest.mark.parametrize("file", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda file: file.name)
def test_settings_of_a_run_that_the_documents_name_exist(file):
    names = set(
        re.findall(rf"`(?:--)?((?:{'|'.join(GROUPS)})\.(?!json|safetensors)\w+)", file.read_text(encoding="utf-8"))
    )
    known = set(flat(PretrainSettings())).union(*(row.names() for row in METHODS.values()))
    assert {name for name in names if name not in known} == set()


def test_every_preset_is_told_of():
    methods = (ROOT / "docs" / "METHODS.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([\w-]+)`", README.partition("| preset |")[2].partition("\n\n")[0]))
    assert {name for name in preset_names() if name not in told and name.removesuffix("-small") not in told} == set()
    rows = re.findall(r"^\| `([\w-]+)` \|", methods, re.MULTILINE)
    assert sorted(rows) == sorted(set(METHODS) - {"pcm3"}), "one row a compared system"


def test_settings_named_in_the_readme_exist():
    settings = re.findall(r"`--([\w.]+) ([^`…]+)`", README)
    assert len(settings) >= 6
    of_tasks = {group.name for group in fields(TaskSettings)}
    words = {"pretrain": ["store", "--run", "run"], "evaluate": ["linear", "--model", "run", "--store", "store"]}
    for name, value in settings:
        command = "evaluate" if name.partition(".")[0] in of_tasks else "pretrain"
        words[command] += [f"--{name}", *shlex.split(value)]
    for command, given in words.items():
        module = importlib.import_module(f"pcm3.cli.{command}")
        assert parse(command, "", module.add_arguments, given) is not None


@pytest.mark.parametrize("document", [README, *(p.read_text(encoding="utf-8") for p in ROOT.glob("docs/*.md"))])
def test_links_and_pictures_of_the_documents_are_there(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document):
        assert any((folder / target).exists() for folder in (ROOT, ROOT / "docs")), target


def test_figures_of_the_readme_are_those_that_were_measured():
    """Every row of the README's tables of results stands in the page that a command wrote."""
    measured = (ROOT / "docs/BENCHMARK.md").read_text(encoding="utf-8")
    section = README.partition("## What was measured")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "%" not in line and "---" not in line]
    assert len(rows) >= 6
    for row in rows:
        assert row in measured, row
