"""Two processes on one CPU: the batch is parted between them, and they agree on everything that is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from pcm3.config import to_dict
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError
from pcm3.loop import BatchOrder
from pcm3.pretrain import pretrain

STEPS = 6
COMMAND = Path(sys.executable).with_name("pcm3")

# Each process writes down what it saw and what it ended with. No class or function of the script is needed elsewhere.
SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
from pcm3 import loop, pretrain as p
from pcm3.checkpoint import EncoderSpec
from pcm3.config import from_dict
from pcm3.data.store import ClipStore

store, folder = ClipStore.open(sys.argv[1]), Path(sys.argv[2])
settings = p.resolve(from_dict(json.loads(sys.argv[3])), store)
clips = p.training_clips(store, settings)
fabric = p.make_fabric(settings)
method = p.build_method(EncoderSpec(**json.loads(sys.argv[4])), settings)
optimiser = p.build_optimiser(method, settings)
wrapped, fabric_optimiser = fabric.setup(method, optimiser)
order = loop.BatchOrder(len(clips), settings.batch, settings.seed)
draw, seen = p.batch_drawer(store, clips, p.view_maker(store.layout, settings), fabric.device), []
loop.train(
    fabric, wrapped, fabric_optimiser,
    draw=lambda numbers, generator: seen.append(numbers) or draw(numbers, generator),
    order=order,
    schedule=loop.Schedule("constant", settings.optimiser.lr, (), order.steps_per_epoch, settings.steps),
    budget=loop.Budget(settings.steps), seed=settings.seed, first_step=0, seconds_before=0.0, checkpoint_steps=100,
    save=lambda step, seconds: None, metrics=loop.Metrics(None, 0), show=lambda step, line: None,
)
state = {"seen": seen, "method": method.state_dict(), "optimiser": optimiser.state_dict(), "world": fabric.world_size}
torch.save(state, folder / f"rank{fabric.global_rank}.pt")
"""


def run_group(words, folder, seconds):
    """Runs a command in a process group of its own; ends it when the time is over, or all but one process is."""
    with (folder / "told").open("w") as told:
        process = subprocess.Popen([str(word) for word in words], stdout=told, stderr=told, start_new_session=True)
    until = time.monotonic() + seconds
    try:
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
            if "in use by another" in (folder / "told").read_text():
                break
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, (folder / "told").read_text()


@pytest.mark.slow
def test_two_processes_part_the_batch_and_agree_on_all_that_is_kept(store_path, tiny, tiny_spec, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    settings = tiny(steps=STEPS, devices=2)
    words = [store_path, tmp_path, json.dumps(to_dict(settings)), json.dumps(asdict(tiny_spec(settings)))]
    code, told = run_group([sys.executable, tmp_path / "script.py", *words], tmp_path, 90)
    assert code == 0, told
    one, other = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))

    assert (one["world"], other["world"]) == (2, 2)
    order = BatchOrder(18, 8, seed=0)
    assert len(one["seen"]) == len(other["seen"]) == STEPS
    for step in range(STEPS):
        parts = [one["seen"][step].numpy(), other["seen"][step].numpy()]
        assert [len(part) for part in parts] == [4, 4]
        assert sorted(np.concatenate(parts)) == sorted(order.at(step))

    # Weights, key networks, queue and optimiser; but each BatchNorm has seen its own process's clips.
    running = {name for name in one["method"] if "running_" in name}
    assert {name.partition(".norm.")[0] for name in running} == {"encoder", "key_encoder", "decoder"}
    for name in set(one["method"]) - running:
        torch.testing.assert_close(one["method"][name], other["method"][name], rtol=0, atol=0, msg=name)
    torch.testing.assert_close(one["optimiser"], other["optimiser"], rtol=0, atol=0)

    # Every key of both processes is in the queue: 48 of 64 places hold new keys, none of them twice.
    queue = one["method"]["queue.keys"]
    assert queue.shape == (64, 8)
    torch.testing.assert_close(queue.norm(dim=1), torch.ones(64))
    assert len(torch.unique(queue.round(decimals=6), dim=0)) == 64


@pytest.mark.slow
def test_the_command_trains_with_two_processes(store_path, tiny_words, tmp_path, trace):
    words = [COMMAND, "pretrain", store_path, "--run", tmp_path / "run"]
    code, told = run_group([*words, *tiny_words(devices=2)], tmp_path, 90)
    assert code == 0, told
    state = trace(tmp_path / "run").state
    assert state["step"] == 10
    assert [line["step"] for line in trace(tmp_path / "run").metrics] == [5, 10]
    assert all(tensor.isfinite().all() for tensor in state["method"].values())


def test_a_batch_that_cannot_be_parted_is_refused(store_path, tiny, tmp_path):
    with pytest.raises(ConfigError, match="setting batch: expected a multiple of devices x nodes, got 8"):
        pretrain(ClipStore.open(store_path), tmp_path / "run", tiny(devices=3), progress=False)
