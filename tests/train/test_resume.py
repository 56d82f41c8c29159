"""A run that was stopped, killed or crashed at any moment and gone on with has the bits of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from forks import fork
from in_processes import finish, without_picture

from pcm3.settings.methods import METHODS, USUAL
from pcm3.train import loop
from pcm3.train.pretrain import pretrain

STEPS, CHECKPOINT_STEPS = 8, 2
COMMAND = Path(sys.executable).with_name("pcm3")


@pytest.fixture(scope="session")
def short(tiny):
    """Four checkpoints in eight steps, in which the queue goes round twice, where the method has one."""

    def make(changes=None, **more):
        method = METHODS[(changes or {}).get("method", USUAL)]
        queue = {"objective.queue": 32} if "objective.queue" in method.names() else {}
        return tiny({"checkpoint_steps": CHECKPOINT_STEPS} | queue | (changes or {}), **more)

    return make


@pytest.fixture(scope="module")
def whole(store_path, short, trace, tmp_path_factory):
    """The trace of the run that nothing happened to."""
    from pcm3.data.store import ClipStore

    path = tmp_path_factory.mktemp("whole") / "run"
    pretrain(ClipStore.open(store_path), path, short(steps=STEPS), progress=False)
    return trace(path)


@pytest.mark.parametrize("stop", [2, *(pytest.param(stop, marks=pytest.mark.soak) for stop in (1, 3, 4, 7))])
def test_a_run_stopped_after_some_steps_and_gone_on_with_is_the_run_not_stopped(
    whole, store, short, trace, tmp_path, stop
):
    pretrain(store, tmp_path, short(steps=stop), progress=False)
    pretrain(store, tmp_path, short(steps=STEPS), progress=False)
    parts = trace(tmp_path)
    torch.testing.assert_close(parts.state, whole.state, rtol=0, atol=0)
    assert parts.encoder == whole.encoder
    if stop % CHECKPOINT_STEPS == 0:  # elsewhere the first run's last line stands where the other has none
        assert parts.metrics == whole.metrics


BESIDE = {"cmd": {"motion", "bone"}, "crossclr": {"motion", "bone"}, "isc": {"agcn"}}
"""Method → the encoders that its runs leave beside the model."""


FOR_THEMSELVES = {"cmd", "halp", "isc", "longt-gan"}
"""Methods with encoders beside the model's, prototypes or two optimisers; the rest goes through the same by soaking."""


@pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=() if name in FOR_THEMSELVES else pytest.mark.soak) for name in METHODS if name != USUAL],
)
def test_a_run_of_every_method_that_crashed_is_the_run_that_did_not(store, short, trace, tmp_path, monkeypatch, method):
    settings, step, done = short({"method": method}, steps=5), loop.train_step, []
    pretrain(store, tmp_path / "whole", settings, progress=False)

    def crash_in_the_fourth(*given):
        done.append(given)
        if len(done) == 4:
            raise Crashed
        return step(*given)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "train_step", crash_in_the_fourth)
        with pytest.raises(Crashed):
            pretrain(store, tmp_path / "parts", settings, progress=False)
    assert trace(tmp_path / "parts").state["step"] == 2
    pretrain(store, tmp_path / "parts", settings, progress=False)
    trace(tmp_path / "parts").assert_equals(trace(tmp_path / "whole"))
    others = [file.relative_to(tmp_path / "whole") for file in (tmp_path / "whole").glob("*/*.safetensors")]
    assert {str(file.parent) for file in others} == BESIDE.get(method, set())
    for file in others:
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_run_stopped_many_times_is_the_run_not_stopped(whole, store, short, trace, tmp_path):
    for stop in (1, 2, 3, 5, 6, 7, STEPS):
        pretrain(store, tmp_path, short(steps=stop), progress=False)
    torch.testing.assert_close(trace(tmp_path).state, whole.state, rtol=0, atol=0)
    assert trace(tmp_path).encoder == whole.encoder


def test_a_run_of_epochs_gone_on_with_in_steps_is_the_same_run(whole, store, short, trace, tmp_path):
    settings = short(steps=None, epochs=2)  # of two steps
    pretrain(store, tmp_path, settings, progress=False)
    pretrain(store, tmp_path, short(steps=STEPS, epochs=2), progress=False)
    trace(tmp_path).assert_equals(whole)


def test_more_checkpoints_change_no_weight(whole, store, short, trace, tmp_path):
    pretrain(store, tmp_path, short(steps=STEPS, checkpoint_steps=3), progress=False)
    torch.testing.assert_close(trace(tmp_path).state, whole.state, rtol=0, atol=0)


class Crashed(BaseException):
    """The process is gone: nothing but `finally` runs."""


@pytest.mark.parametrize(
    "file", [4, 12, *(pytest.param(file, marks=pytest.mark.soak) for file in (2, 3, 5, 6, 9, 10, 11, 13, 14))]
)
def test_a_run_that_crashed_before_the_renaming_of_any_file_is_the_run_that_did_not(
    whole, store, short, trace, tmp_path, monkeypatch, file
):
    # settings, environment; three times checkpoint, encoder, its summary; the same at the end: 14 files.
    rename, renamed = Path.replace, []

    def crash(self, target):
        renamed.append(target)
        if len(renamed) == file:
            raise Crashed
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(Crashed):
            pretrain(store, tmp_path, short(steps=STEPS), progress=False)
    pretrain(store, tmp_path, short(steps=STEPS), progress=False)
    trace(tmp_path).assert_equals(whole)
    assert not list(tmp_path.glob(".*.partial"))


def test_what_a_killed_process_left_half_written_harms_nothing(whole, store, short, trace, tmp_path):
    pretrain(store, tmp_path, short(steps=4), progress=False)
    for name in ("checkpoint.pt", "model.safetensors", "model.json", "settings.json"):
        (tmp_path / f".{name}.partial").write_bytes(b"half of")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "epoch": 3.0, "lo')
    pretrain(store, tmp_path, short(steps=STEPS), progress=False)
    trace(tmp_path).assert_equals(whole)


# The real thing: processes and SIGKILL


def wait_for(happened, process, alive, seconds=60):
    """Polls until it happened or the process is gone."""
    until = time.monotonic() + seconds
    while not happened() and alive(process) and time.monotonic() < until:
        time.sleep(0.001)


def trigger(folder, rng, lines):
    """A moment to kill at, once the metrics have so many lines: at once, a little later, or while a file is written."""
    metrics = folder / "metrics.jsonl"

    def far_enough():
        return metrics.exists() and metrics.read_bytes().count(b"\n") >= lines

    kind = rng.choice(["at once", "later", "checkpoint.pt", "model.safetensors"])
    later = time.monotonic() + 3600

    def happened():
        nonlocal later
        if not far_enough():
            return False
        if kind == "later":
            later = min(later, time.monotonic() + rng.random() * 0.15)
            return time.monotonic() > later
        return kind == "at once" or (folder / f".{kind}.partial").exists()

    return happened


@pytest.mark.slow
@pytest.mark.parametrize("times", [2, *(pytest.param(times, marks=pytest.mark.soak) for times in (3, 5, 10))])
def test_a_run_killed_many_times_has_the_bits_of_one_that_was_not(store_path, tiny_words, trace, tmp_path, times):
    rng = random.Random(3)
    # A line of metrics each five steps. The last kill sees at most seven: no run ends before it is killed.
    steps = 75 if times == 10 else 45
    quick = tiny_words(steps=steps)

    def words(folder):
        return ["pretrain", str(store_path), "--run", str(tmp_path / folder), *quick]

    folder, kills = tmp_path / "killed", 0
    # The command itself: once stopped with Ctrl-C, where there is time once killed before that.
    both = [(signal.SIGKILL, 1, -signal.SIGKILL), (signal.SIGINT, 2, 130)]
    for signal_, lines, code in both if times > 3 else both[1:]:
        with subprocess.Popen([COMMAND, *words("killed")], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            wait_for(trigger(folder, rng, lines), process, lambda process: process.poll() is None)
            process.send_signal(signal_)
            _, told = process.communicate(timeout=60)
        assert process.returncode == code, told.decode(errors="replace")[-3000:]
        kills += 1
    assert told.decode().rstrip("\n").split("\n")[-1] == "pcm3 pretrain: stopped; what was complete is kept"

    # Then processes that are forked from one that has imported torch already: the same command, without the wait.
    for number in range(times - kills):
        process = fork(without_picture, words("killed"))
        wait_for(trigger(folder, rng, 2 + number * 5 // 8), process, lambda process: process.is_alive())
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        process.close()
    assert kills == times

    # The one that went on and the one that nothing happened to, beside each other.
    ends = [fork(without_picture, words(name)) for name in ("killed", "whole")]
    assert finish(ends) == [0, 0]
    trace(folder).assert_equals(trace(tmp_path / "whole"))
    assert trace(folder).state["step"] == steps
    assert not list(folder.glob(".*.partial"))
