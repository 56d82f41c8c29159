"""Do the tests notice? Each mutation of ``mutations.toml``, one place made wrong, must make its test fail.

    python tests/helpers/mutations.py               all of them, as a table
    python tests/helpers/mutations.py NAME …        these
    python tests/helpers/mutations.py --markdown    writes docs/MUTATIONS.md, and runs nothing

The package is copied to a temporary folder, where one file at a time is changed and changed back; the checkout is never
touched. Tests are those that `make test` runs, without what soaking alone does. First all named tests must pass on the
copy as it is. Exit code 1: a mutation was not caught, a text to replace is not there exactly once, or a test fails
without any mutation.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST, PAGE = Path(__file__).with_suffix(".toml"), ROOT / "docs" / "MUTATIONS.md"
TESTS_FAILED = 1
"""Pytest's exit code where tests ran and some failed; others, as of a file that cannot be imported, catch nothing."""
LONGEST = 300
"""Seconds for a test."""
FORKS = multiprocessing.get_context("forkserver")
"""Processes that begin with what takes seconds to import."""
IMPORTED = ["torch", "lightning_fabric", "sklearn", "scipy"]


@dataclass(frozen=True)
class Mutation:
    """One place made wrong."""

    name: str
    file: str
    """Under src/pcm3."""
    before: str
    """Text that is there exactly once."""
    after: str
    test: str
    """Under tests: a file, or one test in it."""
    wrong: str
    """What is wrong then."""

    def of(self, source: str) -> str:
        """The text of the file, made wrong."""
        count = source.count(self.before)
        if count != 1 or self.before == self.after:
            raise ValueError(f"{self.name}: expected once in {self.file}, found {count} times: {self.before!r}")
        return source.replace(self.before, self.after)


def mutations() -> list[Mutation]:
    """The list."""
    read = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return [Mutation(name, **fields) for name, fields in read.items()]


def page() -> str:
    """What docs/MUTATIONS.md holds."""
    head = """# What the tests notice

Each row is one place of the package made wrong by hand, and the test that must fail then. The command
`python tests/helpers/mutations.py` makes each of them in a copy of the package, runs its test and says whether it was
caught. Whoever changes a line that is in the list (`tests/helpers/mutations.toml`) changes it there, too, and writes
this page anew with `--markdown`.

| mutation | what is wrong then | where | caught by |
|---|---|---|---|
"""
    rows = (f"| {m.name} | {m.wrong} | `{m.file}` | `{m.test.replace('::', '` `')}` |\n" for m in mutations())
    return head + "".join(rows)


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the package, to be made wrong: the folder that stands for src."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "pcm3", Path(folder) / "src" / "pcm3", ignore=ignored)
        yield Path(folder) / "src"


def run(copy: Path, tests: Sequence[str]) -> tuple[int | None, str]:
    """Exit code and output of these tests with the package of the copy; no code where they did not end in time."""
    told = copy.parent / "told.txt"
    process = FORKS.Process(target=_run, args=(copy, tests, told))
    process.start()
    process.join(LONGEST * len(tests))
    if process.is_alive():
        process.kill()
        process.join()
        return None, "did not end"
    return process.exitcode, told.read_text(encoding="utf-8")


def _run(copy: Path, tests: Sequence[str], told: Path) -> None:
    """Pytest, in a process of its own that has imported torch and not pcm3."""
    os.chdir(ROOT)
    os.environ |= {"PYTHONPATH": str(copy), "HYPOTHESIS_STORAGE_DIRECTORY": str(copy.parent / "hypothesis")}
    sys.path.insert(0, str(copy))
    with told.open("wb") as file:
        for standard in (1, 2):
            os.dup2(file.fileno(), standard)
        import pytest

        found = find_spec("pcm3")
        if found is None or not Path(found.origin or "").is_relative_to(copy):
            sys.exit(f"expected the package in {copy}, found {found}: install it in editable mode")
        words = ["-x", "-q", "--tb=no", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "not soak"]
        code = pytest.main([*words, *(f"tests/{test}" for test in tests)])
        sys.stdout.flush()
    sys.exit(int(code))


def caught(copy: Path, mutation: Mutation) -> tuple[bool, str]:
    """Whether the test of the mutation fails, and which it was, or what happened instead."""
    file = copy / "pcm3" / mutation.file
    source = file.read_text(encoding="utf-8")
    _write(file, mutation.of(source))
    try:
        code, output = run(copy, [mutation.test])
    finally:
        _write(file, source)
    failed = re.search(r"^FAILED tests/\S*?::(\w+)", output, re.MULTILINE)
    if code == TESTS_FAILED and failed:
        return True, failed[1]
    return False, f"exit code {code}: {output.strip().splitlines()[-1] if output.strip() else ''}"


def _write(file: Path, text: str) -> None:
    """The text, at a time of its own: what was compiled goes by whole seconds and the length of the file."""
    after = file.stat().st_mtime + 2
    file.write_text(text, encoding="utf-8")
    os.utime(file, (after, after))


def check(chosen: Sequence[Mutation]) -> bool:
    """Whether all of them are caught; prints a row for each."""
    with copied() as copy:
        for mutation in chosen:
            mutation.of((copy / "pcm3" / mutation.file).read_text(encoding="utf-8"))
        code, output = run(copy, sorted({mutation.test for mutation in chosen}))
        if code != 0:
            raise ValueError(f"tests fail without any mutation:\n{output}")
        missed = 0
        for mutation in chosen:
            start = time.perf_counter()
            right, by = caught(copy, mutation)
            missed += not right
            seconds = time.perf_counter() - start
            print(f"{'caught' if right else 'NOT caught':10}  {seconds:5.1f} s  {mutation.name:42}  {by}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} caught")
    return missed == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutations of the list; none: all of them")
    parser.add_argument("--markdown", action="store_true", help=f"write {PAGE.relative_to(ROOT)} and run nothing")
    words = parser.parse_args()
    if words.markdown:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    known = {mutation.name: mutation for mutation in mutations()}
    unknown = [name for name in words.names if name not in known]
    if unknown:
        parser.error(f"expected names of {LIST.name}, got {', '.join(unknown)}")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in conftest.py, which comes too late here
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    FORKS.set_forkserver_preload(IMPORTED)
    try:
        return 0 if check([known[name] for name in words.names] or list(known.values())) else 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
