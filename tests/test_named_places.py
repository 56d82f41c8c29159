"""What pages and docstrings name is there: the tests of a page, the rows of docs/FIDELITY.md."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "results/README.md")), *ROOT.glob("docs/*.md")]
TESTS = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*.py")]
FIDELITY = (ROOT / "docs/FIDELITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name if page.parent != ROOT / "results" else "results")
def test_tests_that_a_page_names_are_there(page):
    named = re.findall(r"`((?:tests/[a-z/]*)?test_\w+\.py)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not any(name == test or test.endswith(f"/{name}") for test in TESTS)] == []


def test_rows_and_sections_of_the_fidelity_page_that_code_names_are_there():
    """`FIDELITY.md 38, 39` are rows of the first table, `FIDELITY.md, CMD` is a section."""
    rows = set(re.findall(r"^\| (\w+) \|", FIDELITY, re.MULTILINE))
    sections = {re.split(r" \(|:", title)[0] for title in re.findall(r"^## (.*)", FIDELITY, re.MULTILINE)}
    named = 0
    for path in ROOT.glob("src/pcm3/**/*.py"):
        text = path.read_text(encoding="utf-8")
        for numbers in re.findall(r"docs/FIDELITY\.md ([\d, ]*\d)", text):
            named += 1
            assert set(re.findall(r"\d+", numbers)) <= rows, path
        for name in re.findall(r"docs/FIDELITY\.md, ([^).\n;\"]+)", text):
            named += 1
            assert name.strip() in sections, path
    assert named > 20
