"""The list of slow tests leaves some of every file to `make test-fast`."""

import re
from collections import Counter
from pathlib import Path

from slow_tests import BUDGET, LIST, told

HERE = Path(__file__).parent
MAKE = HERE.parent / "Makefile"


def test_every_file_has_a_quick_test():
    listed = set(LIST.read_text(encoding="utf-8").split())
    for file in sorted(HERE.rglob("test_*.py")):
        name = file.relative_to(HERE).as_posix()
        tests = {f"{name}::{test}" for test in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.M)}
        assert tests - listed or len(tests) == 1, f"{name}: make test-fast would look at nothing of it"


def test_no_two_files_have_one_name():
    names = Counter(file.name for file in HERE.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == [], "pytest would collect none of all the tests"


def test_every_test_of_the_list_is_there():
    for name in LIST.read_text(encoding="utf-8").split():
        file, _, test = name.partition("::")
        assert re.search(rf"^def {test}\(", (HERE / file).read_text(encoding="utf-8"), re.M), f"{name}: {LIST.name}"


def test_a_run_that_takes_more_than_it_may_says_so():
    for marks, most in BUDGET.items():
        assert told(marks, most - 1) == f"{most - 1} s of the processor"
        assert f"expected at most {most}" in told(marks, most + 1)
    assert told("soak", 9999) == "9,999 s of the processor"
    assert {f'-m "{marks}"' in MAKE.read_text(encoding="utf-8") for marks in BUDGET} == {True}
