"""Imports go only upwards: the table of the rows, and what the files really import."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import pcm3

SOURCE = Path(pcm3.__file__).parent
LONGEST = 400

ROWS = [
    {"errors", "packaged", "limits"},
    {"files", "checksums", "parallel", "summary"},
    {"skeleton"},
    {"settings"},
    {"geometry", "segments"},
    {"joint_names"},
    {"retarget", "hierarchy"},
    {"body_centre"},
    {"normalisation"},
    {"nn", "losses"},
    {"device"},
    {"data"},
    {"augment", "simulate", "render"},
    {"encoders"},
    {"clips"},
    {"methods"},
    {"train"},
    {"tasks"},
    {"api", "sklearn"},
    {"report"},
    {"benchmark", "experiments"},
    {"cli", "web", "__main__", "__init__"},
]
"""A file imports from its own row and from those above it."""
SIBLINGS = {"data", "augment", "nn", "losses"}
"""These never import each other."""


def modules():
    """Name of every module of the package, without ``pcm3.``, and its file; a folder's name is that of its init."""
    named = {}
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = file
    return named


@cache
def imports():
    """(importer, imported) for every import of pcm3 in pcm3, wherever in the file it stands."""
    known, pairs = modules(), []
    for name, file in known.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: imports are written with their full names"
                if node.module == "pcm3" or (node.module or "").startswith("pcm3."):
                    module = node.module.removeprefix("pcm3").lstrip(".")
                    for alias in node.names:
                        inner = f"{module}.{alias.name}".lstrip(".")
                        pairs.append((name, inner if inner in known else module or "__init__"))
            elif isinstance(node, ast.Import):
                taken = [alias.name.removeprefix("pcm3").lstrip(".") for alias in node.names if is_ours(alias.name)]
                pairs += [(name, module or "__init__") for module in taken]
    return pairs


def is_ours(name):
    return name.split(".")[0] == "pcm3"


def row_of(name):
    top = name.split(".")[0]
    return next((number for number, row in enumerate(ROWS) if top in row), None)


def test_every_module_has_a_row():
    assert {name for name in modules() if row_of(name) is None} == set()


def test_imports_are_seen():
    seen = imports()
    assert ("methods.pcm3", "encoders.encoder") in seen
    assert ("geometry", "errors") in seen
    assert ("train.session", "train.loop") in seen, "from pcm3.train import loop"
    assert ("cli", "__init__") in seen, "from pcm3 import __version__"
    assert len(seen) > 100


def test_imports_go_only_upwards():
    # The version number, in the package's own file, is everyone's.
    wrong = [(a, b) for a, b in imports() if b != "__init__" and row_of(b) > row_of(a)]
    assert wrong == []


def test_data_views_networks_and_losses_never_import_each_other():
    tops = [(a.split(".")[0], b.split(".")[0]) for a, b in imports()]
    assert [(a, b) for a, b in tops if a in SIBLINGS and b in SIBLINGS and a != b] == []


def test_no_two_modules_import_each_other_in_a_circle():
    below = {}
    for importer, imported in imports():
        below.setdefault(importer, set()).add(imported)

    def reach(name, path):
        assert name not in path, " → ".join([*path, name])
        if name not in done:
            for other in below.get(name, ()):
                if other != name:
                    reach(other, [*path, name])
            done.add(name)

    done = set()
    for name in below:
        reach(name, [])


def test_settings_and_errors_know_nothing_of_the_package():
    assert {b for a, b in imports() if a.startswith("settings") and not b.startswith("settings")} == {
        "errors",
        "packaged",
        "limits",
        "skeleton",
    }
    assert {b for a, b in imports() if a in ("errors", "packaged", "limits")} <= {"errors"}


def lines_of(file):
    return len(file.read_text(encoding="utf-8").splitlines())


def test_no_file_is_longer_than_the_limit():
    assert {name for name, file in modules().items() if lines_of(file) > LONGEST} == set()


@pytest.mark.parametrize("module", ["pcm3", "pcm3.cli", "pcm3.settings.pretrain", "pcm3.cli.pretrain"])
def test_importing_the_package_and_its_commands_needs_no_torch(module):
    assert heavy_after(f"import {module}") == []


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_help_needs_no_torch(words):
    assert heavy_after(f"import pcm3.cli; assert pcm3.cli.main({words}) == 0") == []


def heavy_after(code):
    """Which of the slow libraries are loaded after running the code in a fresh interpreter."""
    slow = ["torch", "lightning_fabric", "numpy", "scipy", "sklearn", "matplotlib"]
    tail = f"import json, sys; print(json.dumps([name for name in {slow} if name in sys.modules]))"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{tail}"], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def test_python_m_pcm3_is_the_command_line():
    run = subprocess.run([sys.executable, "-m", "pcm3", "--help"], capture_output=True, text=True, check=True)
    assert "pcm3 COMMAND" in run.stdout


def test_no_module_imports_what_windows_does_not_have():
    absent = re.compile(r"^\s*(import|from) (fcntl|grp|pwd|resource|termios)\b", re.M)
    assert absent.search("import os\n    import fcntl\n")
    assert [name for name, file in modules().items() if absent.search(file.read_text(encoding="utf-8"))] == []


@pytest.mark.soak
def test_every_module_is_imported_where_there_is_no_fcntl_as_on_windows():
    code = (
        "import importlib, pkgutil, sys; sys.modules['fcntl'] = None; import pcm3\n"
        "for module in pkgutil.walk_packages(pcm3.__path__, 'pcm3.'):\n"
        "    module.name == 'pcm3.__main__' or importlib.import_module(module.name)\n"
        "print(len(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
