import contextlib
import json
import math
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from in_processes import ALONE, clips_numbered
from torch import nn
from toy import BEGINNING

from pcm3.errors import RunFailed
from pcm3.methods.protocol import Method, StepOutput
from pcm3.train import loop
from pcm3.train.clock import SLACK, Clock
from pcm3.train.loop import BatchOrder, Learner, LoopPlan, MicroBatch, generator_for, train_step
from pcm3.train.metrics_log import Metrics
from pcm3.train.schedule import Schedule

sizes = st.integers(2, 40).flatmap(lambda batch: st.tuples(st.integers(batch, 300), st.just(batch)))


# Which clips a step sees


@given(sizes, st.integers(0, 2**31), st.integers(0, 5))
def test_an_epoch_shows_each_clip_once_and_drops_the_last_partial_batch(size, seed, epoch):
    clips, batch = size
    order = BatchOrder(clips, batch, seed)
    steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
    seen = np.concatenate([order.at(step) for step in steps])
    assert len(np.unique(seen)) == len(seen) == clips - clips % batch
    assert seen.min() >= 0
    assert seen.max() < clips
    assert all(len(order.at(step)) == batch for step in steps)


@given(sizes, st.integers(0, 2**31), st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_a_batch_is_a_function_of_seed_and_step_alone(size, seed, steps):
    used = BatchOrder(*size, seed)
    for step in steps:  # in any order, asked before or not
        np.testing.assert_array_equal(used.at(step), BatchOrder(*size, seed).at(step))


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 30), st.integers(0, 1000))
def test_ranks_part_the_batch_between_them(ranks, share, step, seed):
    order = BatchOrder(3 * ranks * share + 1, ranks * share, seed)
    parts = [order.at(step, rank, ranks) for rank in range(ranks)]
    assert {len(part) for part in parts} == {share}
    assert sorted(np.concatenate(parts)) == sorted(order.at(step))


def test_epochs_and_seeds_are_shuffled_differently():
    order = BatchOrder(100, 50, seed=0)
    first, second = (np.concatenate([order.at(epoch * 2 + half) for half in (0, 1)]) for epoch in (0, 1))
    assert (first != second).any()
    assert (order.at(0) != BatchOrder(100, 50, seed=1).at(0)).any()


def test_clips_that_one_epoch_drops_are_seen_in_others():
    order = BatchOrder(19, 10, seed=0)
    assert len(np.unique(np.concatenate([order.at(step) for step in range(30)]))) == 19


@given(st.tuples(*[st.integers(0, 10**6)] * 3), st.tuples(*[st.integers(0, 10**6)] * 3))
def test_the_generator_of_a_step_is_a_function_of_seed_step_and_rank(one, other):
    first = torch.rand(4, generator=generator_for(*one, torch.device("cpu")))
    again = torch.rand(4, generator=generator_for(*other, torch.device("cpu")))
    assert torch.equal(first, again) == (one == other)


# The learning rate


def test_the_step_schedule_divides_by_ten_after_each_drop_epoch():
    schedule = Schedule("step", 0.2, (2, 5), steps_per_epoch=3, total_steps=30)
    expected = [0.2] * 6 + [0.02] * 9 + [0.002] * 15
    assert [schedule.at(step) for step in range(30)] == pytest.approx(expected, rel=1e-12)


def test_the_step_schedule_drops_by_what_is_asked_for():
    schedule = Schedule("step", 0.2, (2, 5), steps_per_epoch=3, total_steps=30, drop=0.5)
    expected = [0.2] * 6 + [0.1] * 9 + [0.05] * 15
    assert [schedule.at(step) for step in range(30)] == pytest.approx(expected, rel=1e-12)


def test_the_cosine_schedule_goes_from_the_rate_to_zero_and_stays_there():
    schedule = Schedule("cosine", 0.4, (), steps_per_epoch=3, total_steps=100)
    assert schedule.at(0) == 0.4
    assert schedule.at(50) == pytest.approx(0.2)
    assert schedule.at(25) == pytest.approx(0.4 * math.cos(math.pi / 8) ** 2)
    assert schedule.at(100) == schedule.at(130) == pytest.approx(0, abs=1e-15)
    rates = [schedule.at(step) for step in range(101)]
    assert rates == sorted(rates, reverse=True)


@given(st.floats(0, 1), st.integers(0, 120))
def test_the_cosine_schedule_can_end_at_a_share_of_the_rate(share, step):
    ends, zero = (Schedule("cosine", 0.4, (), 3, total_steps=100, cosine_end=end) for end in (share, 0.0))
    assert ends.at(step) == pytest.approx(0.4 * share + (1 - share) * zero.at(step), abs=1e-15)


def test_the_constant_schedule_is_constant():
    schedule = Schedule("constant", 0.3, (1,), steps_per_epoch=2, total_steps=9)
    assert {schedule.at(step) for step in range(20)} == {0.3}


def test_the_exponential_schedule_is_multiplied_after_every_so_many_steps():
    schedule = Schedule("exponential", 0.4, (1,), steps_per_epoch=2, total_steps=9, decay=0.5, decay_steps=3)
    assert [schedule.at(step) for step in range(9)] == [0.4] * 3 + [0.2] * 3 + [0.1] * 3


@given(st.sampled_from(["step", "cosine", "constant", "exponential"]), st.integers(1, 40), st.integers(41, 90))
def test_the_rate_rises_in_a_straight_line_up_to_the_rate_and_no_step_has_more(kind, warmup, total):
    schedule = Schedule(kind, 0.6, (9,), steps_per_epoch=10, total_steps=total, warmup_steps=warmup)
    rates = np.array([schedule.at(step) for step in range(total)])
    np.testing.assert_allclose(rates[:warmup], np.linspace(0.6 / warmup, 0.6, warmup), rtol=1e-12)
    assert rates.max() == rates[warmup - 1] == rates[warmup] == 0.6


@given(st.integers(0, 60), st.integers(1, 60))
def test_after_the_warm_up_the_half_cosine_runs_over_what_is_left(warmup, left):
    warm = Schedule("cosine", 0.3, (), steps_per_epoch=3, total_steps=warmup + left, warmup_steps=warmup)
    cold = Schedule("cosine", 0.3, (), steps_per_epoch=3, total_steps=left)
    assert [warm.at(warmup + step) for step in range(left + 9)] == [cold.at(step) for step in range(left + 9)]


def test_after_the_warm_up_the_step_schedule_counts_the_epochs_of_the_run():
    warm = Schedule("step", 0.2, (2, 5), steps_per_epoch=3, total_steps=30, warmup_steps=4)
    cold = Schedule("step", 0.2, (2, 5), steps_per_epoch=3, total_steps=30)
    assert [warm.at(step) for step in range(4, 30)] == [cold.at(step) for step in range(4, 30)]


@pytest.mark.parametrize("kind", ["step", "cosine", "constant", "exponential"])
@pytest.mark.parametrize("warmup", [5, 9])
def test_a_run_may_be_over_before_its_warm_up(kind, warmup):
    schedule = Schedule(kind, 1.0, (9,), steps_per_epoch=1, total_steps=5, warmup_steps=warmup)
    assert [schedule.at(step) for step in range(5)] == [(step + 1) / warmup for step in range(5)]
    assert all(math.isfinite(schedule.at(step)) for step in range(-1, 20))


# The metrics file


def terms(**values):
    return {name: torch.tensor(float(value)) for name, value in values.items()}


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_of_the_metrics_holds_the_means_since_the_line_before(tmp_path):
    metrics = Metrics(tmp_path / "m", 0)
    for step, loss in ((1, 2), (2, 4)):
        metrics.add(step, terms(loss=loss, part=10 * loss))
    assert metrics.flush(lr=0.5) == {"step": 2, "lr": 0.5, "loss": 3, "part": 30}
    metrics.add(3, terms(loss=8, part=1))
    metrics.flush(lr=0.25)
    assert metrics.flush() == {}, "nothing new is no line"
    metrics.close()
    assert [(line["step"], line["loss"], line["lr"]) for line in lines_of(tmp_path / "m")] == [
        (2, 3, 0.5),
        (3, 8, 0.25),
    ]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_term_that_is_not_finite_stops_with_its_step_and_all_terms(tmp_path, bad):
    metrics = Metrics(tmp_path / "m", 0)
    metrics.add(11, terms(loss=1, prediction=0.25))
    metrics.add(12, terms(loss=2, prediction=bad))
    metrics.add(13, terms(loss=bad, prediction=bad))
    with pytest.raises(RunFailed, match=r"not finite at step 12: loss 2, prediction (nan|-?inf)\.") as caught:
        metrics.flush()
    metrics.close()
    assert "\n" not in str(caught.value)
    assert (tmp_path / "m").read_text() == ""


def test_lines_after_the_checkpoint_are_forgotten_and_a_cut_line_too(tmp_path):
    path = tmp_path / "m"
    whole = [json.dumps({"step": step, "loss": 1.5}) + "\n" for step in (5, 10, 15)]
    path.write_text("".join(whole) + '{"step": 20, "lo')
    Metrics(path, 10).close()
    assert path.read_text() == "".join(whole[:2])


def test_a_metrics_file_that_ends_without_a_line_break_does_not_grow_a_broken_line(tmp_path):
    path = tmp_path / "m"
    path.write_text('{"step": 5, "loss": 1.0}\n{"step": 10, "loss": 1.0}')
    metrics = Metrics(path, 5)
    metrics.add(10, terms(loss=2))
    metrics.flush()
    metrics.close()
    assert lines_of(path) == [{"step": 5, "loss": 1.0}, {"step": 10, "loss": 2.0}]


def test_metrics_survive_a_process_that_dies_while_it_repairs_them(tmp_path, monkeypatch):
    path = tmp_path / "m"
    text = '{"step": 5, "loss": 1.0}\n{"step": 10, "loss": 1.0}\n'
    path.write_text(text)

    def die(self, *_, **__):
        self.open("w").close()  # what a write does first to the file that it is about to fill
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", die)
        with contextlib.suppress(KeyboardInterrupt):
            Metrics(path, 10).close()
    Metrics(path, 10).close()
    assert path.read_text() == text


# The loop, with the smallest method there is


class Toy(nn.Module):
    """Draws a number towards the clips' numbers; remembers all that the loop did."""

    def __init__(self, bad_at=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.pushed, self.modes, self.progress, self.bad_at, self.saved = [], [], [], bad_at, []

    def views(self, batch, generator):
        return batch.index

    def forward(self, views, progress, generator):
        self.modes.append(self.training)
        noise = torch.rand((), generator=generator)
        loss = (self.weight - views.double().mean() - noise).square().float()
        if len(self.pushed) + 1 == self.bad_at:
            loss = loss * math.nan
        return StepOutput({"all": loss}, {"plain": loss.detach()}, {"keys": views})

    def after_step(self, state, progress):
        self.pushed.append(state["keys"])
        self.progress.append(progress)

    def optimisers(self, settings):
        return {"all": torch.optim.SGD(self.parameters(), 123.0)}

    def encoders(self):
        return {}


def run_toy(
    path, toy, steps, *, first=0, seed=0, checkpoint_steps=5, lr="constant", seconds=math.inf, micro_batches=1,
    spent=100.0,
):  # fmt: skip
    saved, shown, rates = [], [], []
    optimisers = toy.optimisers(None)

    def clips_of(numbers):
        return clips_numbered(numbers)

    see = toy.views

    def seen(batch, generator):
        rates.append(optimisers["all"].param_groups[0]["lr"])
        return see(batch, generator)

    toy.views = seen
    metrics = Metrics(path, first)
    order = BatchOrder(19, 4, seed)
    schedule = Schedule(lr, 0.1, (2,), order.steps_per_epoch, steps)
    try:
        done, spent = loop.train(
            ALONE,
            Learner(toy, toy, optimisers),
            LoopPlan(order, schedule, steps, seed, micro_batches, checkpoint_steps),
            clips_of=clips_of,
            clock=Clock(path.with_name("clock.jsonl"), steps, seconds),
            first_step=first,
            seconds_before=spent if first else 0.0,
            save=lambda step, seconds: saved.append((step, toy.weight.item())),
            metrics=metrics,
            show=lambda step, line: shown.append((step, line)),
        )
    finally:
        metrics.close()
        toy.saved = saved
        toy.views = see
    return SimpleNamespace(done=done, spent=spent, saved=saved, shown=shown, rates=rates, order=order)


def test_the_loop_trains_every_step_saves_at_the_checkpoints_and_pushes_every_key(tmp_path):
    toy = Toy().eval()
    found = run_toy(tmp_path / "m", toy, 23)
    assert found.done == 23
    assert [step for step, _ in found.saved] == [5, 10, 15, 20]
    assert [step for step, line in found.shown if line] == [5, 10, 15, 20, 23]
    assert [line["step"] for line in lines_of(tmp_path / "m")] == [5, 10, 15, 20, 23]
    assert all(toy.modes), "an encoder that comes in eval mode is trained in train mode"
    assert [keys.tolist() for keys in toy.pushed] == [found.order.at(step).tolist() for step in range(23)]


def test_each_step_has_the_rate_of_the_schedule_and_the_metrics_tell_it(tmp_path):
    found = run_toy(tmp_path / "m", Toy(), 12, lr="step")
    assert found.rates == pytest.approx([0.1] * 8 + [0.01] * 4)
    assert [line["lr"] for line in lines_of(tmp_path / "m")] == pytest.approx([0.1, 0.01, 0.01])
    assert [line["epoch"] for line in lines_of(tmp_path / "m")] == [5 / 4, 10 / 4, 12 / 4]


def test_a_batch_in_micro_batches_is_one_step_that_pushes_its_keys_once_and_is_told_as_one(tmp_path):
    toy = Toy()
    found = run_toy(tmp_path / "m", toy, 3, micro_batches=2)
    assert [keys.tolist() for keys in toy.pushed] == [found.order.at(step).tolist() for step in range(3)]
    weight, losses = 0.0, []
    for step in range(3):
        parts = [found.order.at(step)[:2], found.order.at(step)[2:]]
        noise = [torch.rand((), generator=generator_for(0, step, 0, ALONE.device, part)).item() for part in (0, 1)]
        targets = [part.mean() + extra for part, extra in zip(parts, noise, strict=True)]
        losses.append(np.mean([(weight - target) ** 2 for target in targets]))
        weight -= 0.1 * np.mean([2 * (weight - target) for target in targets])
    assert toy.weight.item() == pytest.approx(weight, rel=1e-5)
    assert lines_of(tmp_path / "m")[-1]["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_method_is_told_how_far_the_run_is_and_where_its_schedule_stands(tmp_path):
    toy = Toy()
    run_toy(tmp_path / "m", toy, 10)  # of four steps an epoch
    assert isinstance(toy, Method)
    assert [progress.step for progress in toy.progress] == list(range(10))
    assert [progress.epoch for progress in toy.progress] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert [progress.share for progress in toy.progress] == pytest.approx(np.arange(10) / 10)


class TwoPlayers(Toy):
    """Two weights, each with a loss and an optimiser of its own; each loss has a gradient for the other's too."""

    def __init__(self):
        super().__init__()
        self.other = nn.Parameter(torch.ones(()))

    def forward(self, views, progress, generator):
        product = self.weight * self.other + 2 * self.weight
        return StepOutput({"one": product, "two": 3 * self.weight.square() + 5 * self.other}, {}, {})

    def after_step(self, state, progress):
        assert state == {}

    def optimisers(self, settings):
        return {"one": torch.optim.SGD([self.weight], 0.5), "two": torch.optim.SGD([self.other], 0.25)}


class Forgetful(TwoPlayers):
    """A method whose network drops values out."""

    def forward(self, views, progress, generator):
        kept = torch.nn.functional.dropout(torch.ones(64), 0.5)
        loss = (kept * torch.arange(64) * self.weight).sum() + kept.sum()
        return StepOutput({"one": loss}, {"kept": kept.sum()}, {})

    def optimisers(self, settings):
        return {"one": torch.optim.SGD([self.weight], 0.5)}


def test_what_dropout_drops_follows_from_the_step(tmp_path):
    def told(seed, generator_seed):
        torch.manual_seed(seed)  # as other sessions of the run leave it
        toy = Forgetful()
        clips = MicroBatch(clips_numbered(torch.arange(2)), torch.Generator().manual_seed(generator_seed))
        train_step(ALONE, Learner(toy, toy, toy.optimisers(None)), [clips], BEGINNING)
        return toy.weight.item()

    assert told(0, 5) == told(1, 5)
    assert told(0, 5) != told(0, 6)


@pytest.mark.parametrize("count", [1, 2])
def test_each_optimiser_moves_its_weights_by_its_own_loss(count):
    toy = TwoPlayers()
    clips = MicroBatch(clips_numbered(torch.arange(2)), torch.Generator())
    terms = train_step(ALONE, Learner(toy, toy, toy.optimisers(None)), [clips] * count, BEGINNING)
    assert terms["loss"].item() == 0 + 5
    assert toy.weight.item() == 0 - 0.5 * (1 + 2)
    assert toy.other.item() == 1 - 0.25 * 5


def test_every_part_has_a_generator_of_its_own_and_the_first_the_one_of_a_step_in_one_part():
    drawn = [torch.rand(3, generator=generator_for(1, 2, 3, ALONE.device, part)).tolist() for part in range(4)]
    assert len({tuple(draw) for draw in drawn}) == 4
    assert drawn[0] == torch.rand(3, generator=generator_for(1, 2, 3, ALONE.device)).tolist()


@pytest.mark.parametrize("steps", [10, 12])
def test_the_last_step_is_left_to_whoever_writes_the_finished_run(tmp_path, steps):
    assert [step for step, _ in run_toy(tmp_path / "m", Toy(), steps).saved] == [5, 10][: (steps - 1) // 5]


@pytest.mark.parametrize("stop", [1, 5, 7, 10, 19])
def test_a_loop_stopped_at_any_step_and_gone_on_with_is_the_loop_not_stopped(tmp_path, stop):
    whole = Toy()
    run_toy(tmp_path / "whole", whole, 20)
    parts = Toy()
    run_toy(tmp_path / "parts", parts, stop)
    run_toy(tmp_path / "parts", parts, 20, first=stop)
    assert torch.equal(whole.weight, parts.weight)
    for one, other in zip(whole.pushed, parts.pushed, strict=True):
        assert torch.equal(one, other)


def test_the_loop_stops_when_its_time_is_spent_and_counts_the_time_before(tmp_path):
    assert run_toy(tmp_path / "m", Toy(), 20, seconds=0.0).done == 0
    resumed = run_toy(tmp_path / "m", Toy(), 20, first=7, seconds=100.0)
    assert resumed.done == 7
    assert 100 <= resumed.spent < 110


@pytest.mark.parametrize("bad_at", [1, 5, 7, 10, 13])
def test_no_checkpoint_is_written_from_a_loss_that_is_not_finite_on(tmp_path, bad_at):
    toy = Toy(bad_at)
    with pytest.raises(RunFailed, match=f"step {bad_at}:"):
        run_toy(tmp_path / "m", toy, 13)
    assert [step for step, _ in toy.saved] == [step for step in (5, 10) if step < bad_at]
    assert all(math.isfinite(weight) for _, weight in toy.saved)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 25), st.integers(1, 12))
def test_between_two_checkpoints_the_metrics_do_not_depend_on_where_a_run_was_killed(steps, checkpoint_steps):
    # The lines between two checkpoints are the same for a run that began at the first of them: nothing of the
    # loop's own (counters, waiting terms) lives across a checkpoint.
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        whole, again = Path(folder) / "whole", Path(folder) / "again"
        toy = Toy()
        found = run_toy(whole, toy, steps, checkpoint_steps=checkpoint_steps)
        for step, weight in found.saved:
            again.write_text(whole.read_text())
            second = Toy()
            with torch.no_grad():
                second.weight.fill_(weight)
            run_toy(again, second, steps, first=step, checkpoint_steps=checkpoint_steps)
            strip = [
                [{k: v for k, v in line.items() if k != "seconds"} for line in lines_of(p)] for p in (whole, again)
            ]
            assert strip[0] == strip[1]
            assert torch.equal(toy.weight, second.weight)


# A run whose time is spent before its steps


class SlowMachine:
    """One whose time goes on by so many seconds with every step, and else stands still."""

    def __init__(self, seconds):
        self.seconds, self.time = seconds, 0.0

    def now(self):
        return self.time

    def step(self, *given):
        self.time += self.seconds
        return self.real(*given)


@pytest.fixture
def machine(monkeypatch):
    """Makes every step take so long."""
    real = loop.train_step

    def become(seconds):
        slow = SlowMachine(seconds)
        slow.real = real
        monkeypatch.setattr(sys.modules[__name__], "Clock", partial(Clock, now=slow.now))
        monkeypatch.setattr(loop, "train_step", slow.step)
        return slow

    return become


@pytest.mark.parametrize("pace", [1.7, 3.0, 20.0])
def test_a_run_that_is_cut_short_by_its_time_has_cooled_down(tmp_path, machine, pace):
    machine(pace)
    found = run_toy(tmp_path / "m", Toy(), 100, lr="cosine", seconds=100.0, checkpoint_steps=1000)
    assert found.done == math.ceil(100 / pace)
    assert found.rates == sorted(found.rates, reverse=True)
    assert found.rates[0] == 0.1
    last = 0.05 * (1 + math.cos(math.pi * (1 - 1.05 * pace / 100 / (1 - SLACK))))
    assert found.rates[-1] <= last + 1e-3
    assert lines_of(tmp_path / "m")[-1]["lr"] == found.rates[-1]


def test_the_step_schedule_drops_with_the_time_too(tmp_path, machine):
    machine(5.0)
    found = run_toy(tmp_path / "m", Toy(), 12, lr="step", seconds=30.0)  # 6 of 12 steps; drops after 8
    assert found.rates == pytest.approx([0.1] * 5 + [0.01])


@pytest.mark.parametrize("pace", [0.1, 0.94, 1.0])
def test_a_run_that_keeps_its_pace_does_not_depend_on_the_clock(tmp_path, machine, pace):
    machine(pace)
    kept = run_toy(tmp_path / "m", Toy(), 100, lr="cosine", seconds=100.0, checkpoint_steps=1000)
    free = run_toy(tmp_path / "n", Toy(), 100, lr="cosine", checkpoint_steps=1000)
    assert kept.rates == free.rates
    assert kept.done == 100
    assert not (tmp_path / "clock.jsonl").exists()


def test_a_slow_start_is_not_held_against_a_run(tmp_path, machine):
    slow = machine(0.9)
    slow.time = 0.0
    first = iter([9.0])
    slow.step = lambda *given: (setattr(slow, "time", slow.time + next(first, 0.9)), slow.real(*given))[1]
    loop.train_step = slow.step
    found = run_toy(tmp_path / "m", Toy(), 100, lr="cosine", seconds=100.0, checkpoint_steps=1000)
    assert found.done == 100
    assert not (tmp_path / "clock.jsonl").exists()


@pytest.mark.parametrize("stop", [5, 10, 20])
def test_what_is_done_again_after_a_kill_goes_by_the_decisions_that_were_written_down(tmp_path, machine, stop):
    machine(4.0)
    whole = Toy()
    reference = run_toy(tmp_path / "m", whole, 100, lr="cosine", seconds=100.0)
    decided = lines_of(tmp_path / "clock.jsonl")
    assert len(decided) > 10
    weight = dict(reference.saved)[stop]  # the checkpoint; the kill came later

    def resumed(seconds):
        again = Toy()
        with torch.no_grad():
            again.weight.fill_(weight)
        machine(1.0)  # nobody else uses the machine by now
        return run_toy(tmp_path / "m", again, 100, first=stop, lr="cosine", seconds=seconds, spent=4.0 * stop)

    found = resumed(100.0)
    known = decided[-1]["step"] + 1
    assert found.rates[: known - stop] == reference.rates[stop:known]
    after = dict(reference.saved)
    for step, weight_then in found.saved:
        if step <= known and step in after:
            assert weight_then == after[step]
    assert lines_of(tmp_path / "clock.jsonl")[: len(decided)] == decided
    assert resumed(1000.0).rates[0] > reference.rates[stop], "with more time the schedule is another"


def test_a_clock_reads_what_is_sound_and_stands_never_before_the_step(tmp_path):
    file = tmp_path / "clock.jsonl"
    Clock(file, 100, 60.0).at(3, 0.5 * 60)
    sound = file.read_text()
    file.write_text(sound + sound.replace('"schedule": 44', '"schedule": 74') + 'x\n[]\n{"step": 5, "sche')
    clock = Clock(file, 100, 60.0)
    assert [clock.at(step, 0.0) for step in (2, 3, 4, 50)] == [2, 44, 44, 50]
    assert Clock(file, 100, 61.0).at(3, 0.0) == 3
    assert Clock(file, 100, math.inf).at(3, 1e9) == 3
    assert Clock(None, 100, 60.0).at(3, 60.0) == 100
