"""The list of slow tests leaves some of every file to `make test-fast`."""

import ast
from pathlib import Path

import pytest
from slow_tests import LIST

HERE = Path(__file__).parent
LISTED = LIST.read_text(encoding="utf-8").split()


def functions(file):
    """The names of the tests in a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("file", sorted(str(file.relative_to(HERE)) for file in HERE.rglob("test_*.py")))
def test_every_file_has_a_quick_test(file):
    slow = {name.partition("::")[2] for name in LISTED if name.startswith(f"{file}::")}
    tests = functions(HERE / file)
    assert tests - slow or len(tests) == 1, f"make test-fast would look at nothing of it: take one out of {LIST.name}"
