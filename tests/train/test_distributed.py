"""Two processes on one CPU do what one with twice the batch does; when one is killed the other ends, and it goes on."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from forks import killed_with_us
from in_processes import (
    ALONE,
    APART,
    CASES,
    CLIPS,
    NORMED,
    OTHERS,
    STEPS,
    finish,
    normed,
    normed_by_two,
    some_steps,
    start,
    three_steps_of_two,
    two_steps_of,
    views_of_step,
    without_picture,
)
from torch import nn

from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, RunFailed
from pcm3.train import distributed as processes_of_a_run
from pcm3.train.distributed import agree_with_launcher, reporting_lost_processes
from pcm3.train.pretrain import pretrain
from pcm3.train.sync_batch_norm import (
    GlobalBatchNorm,
    GlobalBatchNorm2d,
    normalise_over_processes,
    norms_with_statistics,
)

COMMAND = Path(sys.executable).with_name("pcm3")
EXACT = {"rtol": 1e-11, "atol": 1e-12}  # float64, sums in another order


# One process with the whole batch, two with half of it each


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Case → what each of two processes found."""
    folder = tmp_path_factory.mktemp("two")
    assert finish(start(three_steps_of_two, folder)) == [0, 0]
    cases = (*CASES, *OTHERS, "warned")
    return {case: [torch.load(folder / f"{case} {rank}.pt", weights_only=True) for rank in (0, 1)] for case in cases}


FOR_THEMSELVES = {*APART, "aimclr", "cmd", "cpm", "hico", "isc", "longt-gan", "moco"}
"""Methods whose queues, encoders or players no other has; that the rest keeps the same bits in both is tested below."""


def mean_terms(found):
    """The terms of each step, mean over the processes."""
    return [
        {name: torch.stack([other["terms"][step][name] for other in found]).mean(dim=0) for name in terms}
        for step, terms in enumerate(found[0]["terms"])
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("case", "parts"), [("whole", [range(8)]), ("in micro-batches", [range(4), range(4, 8)])])
def test_two_processes_do_what_one_with_twice_the_batch_does(two, case, parts):
    alone = some_steps(ALONE, [list(part) for part in parts])
    for rank in (0, 1):
        torch.testing.assert_close(two[case][rank]["gradients"], alone["gradients"], **EXACT)
        # Weights of query and key networks, BatchNorm's running statistics, the queue and its order.
        torch.testing.assert_close(two[case][rank]["state"], alone["state"], **EXACT)
    torch.testing.assert_close(mean_terms(two[case]), alone["terms"], **EXACT)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=() if name in FOR_THEMSELVES else pytest.mark.soak) for name in OTHERS]
)
def test_two_processes_do_what_one_does_in_every_method(two, method):
    parts = [[0, 2, 4, 6], [1, 3, 5, 7]] if method in APART else [list(range(CLIPS))]
    alone = two_steps_of(method, ALONE, parts)
    for rank in (0, 1):
        torch.testing.assert_close(two[method][rank]["gradients"], alone["gradients"], **EXACT)
        for name, of in alone["state"].items():
            if method not in APART or ("running_" not in name and "num_batches" not in name):
                torch.testing.assert_close(two[method][rank]["state"][name], of, **EXACT)
    torch.testing.assert_close(mean_terms(two[method]), alone["terms"], **EXACT)


@pytest.mark.slow
def test_two_processes_that_normalise_alone_do_what_one_does_that_takes_their_shares_one_after_the_other(two):
    alone = some_steps(ALONE, [[0, 2, 4, 6], [1, 3, 5, 7]])
    for found in two["each its own"]:
        torch.testing.assert_close(found["gradients"], alone["gradients"], **EXACT)
    other = some_steps(ALONE, [list(range(8))])
    assert (other["gradients"][0]["encoder.norm.weight"] - alone["gradients"][0]["encoder.norm.weight"]).abs().max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("case", [*CASES, *OTHERS])
def test_two_processes_agree_on_every_bit_that_is_kept(two, case):
    one, other = (found["state"] for found in two[case])
    # Where each normalises alone, its running statistics are its own, and the first one's are kept.
    own = {name for name in one if "running_" in name and case in ("each its own", *APART)}
    assert all(torch.equal(one[name], other[name]) == (name not in own) for name in one)


@pytest.mark.slow
def test_nobody_is_told_how_gradients_lie_in_memory(two):
    assert two["warned"] == [[], []]


@pytest.mark.slow
def test_the_queue_holds_the_keys_of_both_in_the_order_of_the_batch(two):
    queue = two["whole"][0]["state"]["queue.keys"]
    assert len(torch.unique(queue.round(decimals=9), dim=0)) == len(queue) == 20
    assert two["whole"][0]["state"]["queue.next"] == STEPS * 8 - 20


def test_parts_that_are_alike_give_the_gradient_of_the_whole():
    def twice(number):
        views, again = views_of_step(number), torch.arange(8) % 4
        mixed = views.mixed._replace(clips=views.mixed.clips[again], ratio=views.mixed.ratio[again])
        plain = {name: getattr(views, name)[again] for name in ("query", "key", "source", "observed", "masked")}
        return views._replace(mixed=mixed, **plain)

    whole = some_steps(ALONE, [list(range(8))], views_of=twice)
    parts = some_steps(ALONE, [list(range(4)), list(range(4, 8))], views_of=twice)
    torch.testing.assert_close(parts["gradients"], whole["gradients"], **EXACT)
    torch.testing.assert_close(parts["terms"], whole["terms"], **EXACT)
    learned = [name for name in whole["state"] if "running_" not in name and "num_batches" not in name]
    for name in learned:  # the key networks and the queue among them: moved and filled once a step
        torch.testing.assert_close(parts["state"][name], whole["state"][name], **EXACT, msg=name)


def test_batch_norm_of_one_process_is_torchs_to_the_bit():
    ours, theirs = nn.Sequential(nn.BatchNorm1d(5)), nn.BatchNorm1d(5)
    names = list(ours.state_dict())
    normalise_over_processes(ours)
    assert type(ours[0]) is GlobalBatchNorm
    assert list(ours.state_dict()) == names
    rows = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    for training in (True, False):
        assert torch.equal(ours.train(training)(rows), theirs.train(training)(rows))


def test_two_processes_of_different_numbers_of_frames_normalise_as_one_does(tmp_path):
    assert finish(start(normed_by_two, tmp_path)) == [0, 0]
    for case in NORMED:
        alone = normed(case, slice(0, 8), over_all=False)
        two = [torch.load(tmp_path / f"{case} {rank}.pt", weights_only=True) for rank in (0, 1)]
        for part in ("told", "grad"):
            torch.testing.assert_close(torch.cat([one[part] for one in two]), alone[part], **EXACT)
        for name, gradient in alone["learned"].items():
            torch.testing.assert_close(two[0]["learned"][name] + two[1]["learned"][name], gradient, **EXACT)
        for one in two:
            torch.testing.assert_close(one["state"], alone["state"], **EXACT)


def test_batch_norms_of_graphs_that_have_seen_a_batch_are_found_too():
    norms = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm1d(2), nn.BatchNorm2d(2))
    norms[0](torch.zeros(2, 2, 1, 1))
    assert norms_with_statistics(norms) == [norms[0]]
    normalise_over_processes(norms)
    assert [type(norm) for norm in norms] == [GlobalBatchNorm2d, GlobalBatchNorm, GlobalBatchNorm2d]
    assert norms_with_statistics(norms) == [norms[0]]


# A process that is killed


def words_of(store_path, folder, tiny_words, **changes):
    return ["pretrain", str(store_path), "--run", str(folder), *tiny_words(devices=2, **changes)]


def lines(folder):
    file = folder / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def wait_until(happened, seconds=60):
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "kills"),
    [
        ("32", [(1, 1)]),
        pytest.param("32", [(1, 1), (0, 3)], marks=pytest.mark.soak),
        pytest.param("bf16", [(0, 1)], marks=pytest.mark.soak),
    ],
    ids=["32", "32 twice", "bf16"],
)
def test_a_run_of_two_that_loses_one_and_goes_on_has_the_bits_of_one_that_did_not(
    store_path, tiny_words, trace, tmp_path, precision, kills
):
    changes = {"steps": 14, "checkpoint_steps": 2, "precision": precision}
    whole, killed = (words_of(store_path, tmp_path / name, tiny_words, **changes) for name in ("whole", "killed"))
    assert finish(start(without_picture, whole)) == [0, 0]
    for rank, seen in kills:
        pair = start(without_picture, killed)
        wait_until(lambda seen=seen: lines(tmp_path / "killed") > seen)
        pair[rank].kill()
        codes = finish(pair, seconds=20)
        assert codes[rank] == -signal.SIGKILL
        assert codes[1 - rank] == 1
    assert 0 < trace(tmp_path / "killed").state["step"] < 14
    assert finish(start(without_picture, killed)) == [0, 0]
    trace(tmp_path / "killed").assert_equals(trace(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.soak  # several optimisers go on in test_resume, and agree in two processes above
@pytest.mark.parametrize("method", OTHERS)
def test_a_run_of_two_of_every_method_that_was_killed_and_goes_on_has_the_bits_of_one_that_was_not(
    store_path, tiny_words, trace, tmp_path, method
):
    changes = {"method": method, "steps": 12, "checkpoint_steps": 2}
    whole, killed = (words_of(store_path, tmp_path / name, tiny_words, **changes) for name in ("whole", "killed"))
    assert finish(start(without_picture, whole)) == [0, 0]
    pair = start(without_picture, killed)
    wait_until(lambda: lines(tmp_path / "killed") > 1)
    for process in pair:
        process.kill()
    finish(pair, seconds=20)
    assert 0 < trace(tmp_path / "killed").state["step"] < 12
    assert finish(start(without_picture, killed)) == [0, 0]
    trace(tmp_path / "killed").assert_equals(trace(tmp_path / "whole"))


def of_group(group):
    """The processes of a process group that are still running."""
    alive = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, its_group = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                alive.append(int(folder.name))
    return alive


@pytest.mark.slow
@pytest.mark.soak  # what the one that is left says is tested below, and that it ends where a run of two loses one
@pytest.mark.parametrize("rank", [0, 1])
def test_the_command_s_other_process_ends_by_itself_and_says_why(store_path, tiny_words, tmp_path, rank):
    words = words_of(store_path, tmp_path / "run", tiny_words, steps=10**6)
    with (tmp_path / "told").open("w") as told:
        command = killed_with_us(COMMAND, *words)
        first = subprocess.Popen(command, stdout=told, stderr=told, start_new_session=True)
    try:
        wait_until(lambda: lines(tmp_path / "run") > 0)
        group = of_group(first.pid)
        assert len(group) == 2
        os.kill(first.pid if rank == 0 else max(set(group) - {first.pid}), signal.SIGKILL)
        wait_until(lambda: first.poll() is not None and not of_group(first.pid), seconds=20)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert first.returncode == (-signal.SIGKILL if rank == 0 else 1)
    said = (tmp_path / "told").read_text()
    assert "run the same command again to go on" in said
    assert "Traceback" not in said


def test_an_error_of_the_connection_is_told_in_one_line_and_others_pass():
    lost = RuntimeError(
        "[a/gloo/transport/tcp/pair.cc:537] Read error [::1]:9: Connection reset by peer. Check it.\nmore"
    )
    told = r"another process .* \(Connection reset by peer\)\. .* same command again"
    with pytest.raises(RunFailed, match=told), reporting_lost_processes(several=True):
        raise lost
    with pytest.raises(RuntimeError, match="gloo"), reporting_lost_processes(several=False):
        raise lost
    with pytest.raises(RuntimeError, match="shape"), reporting_lost_processes(several=True):
        raise RuntimeError("shape '[2]' is invalid")


# Launchers


def test_a_batch_that_cannot_be_parted_is_refused(store_path, tiny, tmp_path):
    with pytest.raises(
        ConfigError, match=r"setting batch: expected a multiple of devices x nodes x micro_batches \(3\)"
    ):
        pretrain(ClipStore.open(store_path), tmp_path / "run", tiny(devices=3), progress=False)
    with pytest.raises(ConfigError, match=r"setting batch: expected at least 16, 2 clips for each micro-batch"):
        pretrain(ClipStore.open(store_path), tmp_path / "run", tiny(devices=2, micro_batches=4), progress=False)


@pytest.mark.parametrize(
    ("environment", "fits"),
    [
        ({"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, (4, 2)),
        ({"SLURM_NTASKS": "16", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train"}, (8, 2)),
        ({"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "bash"}, (1, 1)),
        ({}, (3, 1)),
    ],
)
def test_settings_that_do_not_fit_the_launcher_are_refused_with_those_that_do(monkeypatch, environment, fits):
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_NNODES", "SLURM_JOB_NAME", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    agree_with_launcher(*fits)
    if processes_of_a_run.launched():
        with pytest.raises(ConfigError, match=f"add --devices {fits[0]} --nodes {fits[1]}"):
            agree_with_launcher(1, 1)
    else:
        with pytest.raises(ConfigError, match="2 machines need a launcher"):
            agree_with_launcher(1, 2)


def test_a_process_whose_first_was_gone_before_it_looked_ends(monkeypatch, capsys):
    left = threading.Event()
    monkeypatch.setattr(processes_of_a_run, "_leave", left.set)
    processes_of_a_run._end_with_parent(os.getpid(), 0.01)  # nobody is its own parent
    assert left.wait(5)
    assert "the first process of the run is gone" in capsys.readouterr().err
