"""Which tests `make test-fast` leaves out: those of ``slow_tests.txt`` beside the tests, as measured, not as guessed.

A plugin of pytest. A test that is slow and neither in the list nor marked `slow` is named at the end of every run.
``--write-slow-tests`` measures anew and writes the list. Seconds are those of the processor, so that other work on the
machine is no matter; processes that a test did not wait for are not counted, so tests that start such are marked.
At the end of a run stands what it took in all, with processes that are still there, and whether it may.
"""

import resource
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

LIST = Path(__file__).parents[1] / "slow_tests.txt"
SLOW = 0.12
"""Seconds of a test function, all its parameters together, above which it is in the list."""
NAMED = 1.5
"""Above which it is named where it is not: machines differ, and what is kept between tests is paid by the first."""


BUDGET = {"not soak": 480, "not slow": 100}
"""The marks of `make test` and `make test-fast` → seconds that they may take on all cores: less than five minutes and
less than one on two."""


def function_of(name):
    """tests/a/test_b.py::test_c[parameters] → a/test_b.py::test_c"""
    return name.partition("[")[0].removeprefix("tests/")


def pytest_addoption(parser):
    parser.addoption("--write-slow-tests", action="store_true", help=f"measure, and write {LIST.name}")


def pytest_configure(config):
    config.pluginmanager.register(Seconds(config.getoption("--write-slow-tests")), "seconds of tests")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    listed = set(LIST.read_text(encoding="utf-8").split())
    for item in items:
        if function_of(item.nodeid) in listed:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    before = seconds()
    try:
        return (yield)
    finally:
        item.user_properties.append(("seconds", seconds() - before))


def seconds():
    """Of the processor, by this process and those that it waited for. (`os.times` can take milliseconds a call.)"""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def seconds_of_all():
    """Also of processes that were started and are still there, as that which workers of tests are forked from."""
    total = seconds()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total


def told(marks, total):
    """What a run of these marks took, and whether it may."""
    line = f"{total:,.0f} s of the processor"
    most = BUDGET.get(marks, total)
    return line if total <= most else f"{line}: expected at most {most} (CONTRIBUTING.md, How long tests take)"


def pytest_sessionfinish(session):
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["seconds"] = seconds_of_all()


class Seconds:
    """Sums what test functions take, in the process that reports."""

    def __init__(self, write):
        self.write, self.of, self.marked, self.of_workers = write, defaultdict(float), set(), []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        self.of_workers.append(getattr(node, "workeroutput", {}).get("seconds", 0.0))

    def pytest_runtest_logreport(self, report):
        function = function_of(report.nodeid)
        if report.when == "call":
            self.of[function] += dict(report.user_properties).get("seconds", 0.0)
        if "slow" in report.keywords:
            self.marked.add(function)

    def quickest(self):
        """One test of every file, so that none goes without."""
        files = defaultdict(list)
        for name, seconds in self.of.items():
            files[name.partition("::")[0]].append((seconds, name))
        return {min(tests)[1] for tests in files.values() if len(tests) > 1}

    def pytest_terminal_summary(self, terminalreporter, config):
        total = time.process_time() + sum(self.of_workers) if self.of_workers else seconds_of_all()
        terminalreporter.write_line(told(config.option.markexpr, total))
        if self.write:
            slow = sorted(name for name, seconds in self.of.items() if seconds > SLOW and name not in self.quickest())
            LIST.write_text("".join(f"{name}\n" for name in slow), encoding="utf-8")
            terminalreporter.write_line(f"{len(slow)} tests above {SLOW:g} s are in {LIST.name}")
            return
        for name, seconds in sorted(self.of.items()):
            if seconds > NAMED and name not in self.marked:
                terminalreporter.write_line(f"slow, and not in {LIST.name}: {name}, {seconds:.1f} s")
