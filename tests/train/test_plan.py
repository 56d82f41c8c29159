"""What a run chooses by itself: width and batch from the clips, steps from the minutes and the machine."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError
from pcm3.experiments.reproduce import Plan, sized
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import PretrainSettings, changed
from pcm3.settings.tasks import TaskSettings
from pcm3.train import loop
from pcm3.train import plan as sizes
from pcm3.train import pretrain as pretrain_module
from pcm3.train.pace import measured_pace
from pcm3.train.pretrain import pretrain
from pcm3.train.run_folder import RunFolder

LEFT = {"encoder.hidden_size": 0, "batch": 0, "steps": None, "epochs": 0, "prompts.kind": "none"}


def left(**given):
    """Settings that leave all sizes to the program but those given."""
    none = {"hidden_size": 0, "batch": 0, "epochs": 0, "prompts.kind": "none"} | given
    return changed(PretrainSettings(), {"encoder.hidden_size": none.pop("hidden_size")} | none)


def never(asked):
    raise AssertionError("measured")


@pytest.mark.parametrize(
    ("clips", "hidden", "batch", "words"),
    [
        (8, 128, 4, ["8 clips are fewer than 10,000", "half of the 8 clips"]),
        (101, 128, 50, ["half of the 101 clips"]),
        (127, 128, 63, ["half of the 127 clips"]),
        (128, 128, 64, ["the usual number"]),
        (9_999, 128, 64, ["9,999 clips are fewer than 10,000"]),
        (10_000, 256, 64, ["10,000 clips are 10,000 or more", "--preset paper"]),
    ],
)
def test_width_and_batch_follow_from_the_clips(clips, hidden, batch, words):
    chosen, why = sizes.with_sizes(left(), clips)
    assert (chosen.encoder.hidden_size, chosen.batch) == (hidden, batch)
    assert [line.partition(":")[0] for line in why] == [f"hidden_size {hidden}", f"batch {batch}"]
    assert all(word in " ".join(why) for word in words)


@settings(deadline=None, max_examples=50)
@given(clips=st.integers(1, 3000), parts=st.integers(1, 9), own=st.booleans())
def test_a_chosen_batch_is_one_that_the_settings_allow_and_fits_twice(clips, parts, own):
    asked = left(micro_batches=parts)
    asked.method.objective.negatives = "batch" if own else "queue"
    if clips < 2 * parts * (4 if own else 2):
        with pytest.raises(ConfigError, match=f"found {clips}:"):
            sizes.with_sizes(asked, clips)
        return
    chosen, _ = sizes.with_sizes(asked, clips)
    chosen.check()
    assert 2 * chosen.batch <= clips
    assert chosen.batch <= max(64, 4 * parts)


def test_too_few_clips_are_refused_in_one_line():
    asked = left()
    asked.method.objective.negatives = "batch"
    with pytest.raises(ConfigError, match="expected at least 8 training clips to choose it, found 5"):
        sizes.with_sizes(asked, 5)


def test_sizes_that_are_given_stay():
    chosen, why = sizes.with_sizes(left(hidden_size=64, batch=6), 500)
    assert (chosen.encoder.hidden_size, chosen.batch, why) == (64, 6, [])
    assert sizes.with_length(left(batch=6, epochs=3, minutes=1.0), 500, never)[0].epochs == 3
    told, why = sizes.with_length(left(batch=100, steps=11), 500, never)
    assert (told.steps, told.epochs, told.minutes, why) == (11, 3, None, [])


def test_steps_are_those_that_fit_into_the_minutes():
    # 20 ms a step, so 60 * 2 * 0.95 / 0.02 = 5,700 steps, which is 814.3 epochs of 7 steps.
    chosen, (why,) = sizes.with_length(left(batch=64, minutes=2.0), 500, lambda asked: 0.02)
    assert (chosen.steps, chosen.epochs, chosen.minutes) == (5700, 815, 2.0)
    assert why == "steps 5,700, 814 epochs of 500 clips: what fits into 2 minutes at the 3,200 clips/s that were " \
                  "measured just now"  # fmt: skip


def test_minutes_that_nothing_tells_are_fifteen():
    chosen, (why,) = sizes.with_length(left(batch=64), 500, lambda asked: 1.0)
    assert (chosen.steps, chosen.minutes) == (855, 15.0)
    assert "15 minutes" in why


def test_no_run_is_longer_than_brings_something():
    chosen, (why,) = sizes.with_length(left(batch=64, minutes=60.0), 128, lambda asked: 0.003)
    assert (chosen.steps, chosen.epochs) == (4000, 2000)
    assert "more than 2,000 epochs bring nothing" in why
    assert "they take 0.2 minutes of 60 minutes" in why


def test_a_step_longer_than_the_time_is_one_step():
    assert sizes.with_length(left(batch=64, minutes=0.01), 128, lambda asked: 100.0)[0].steps == 1


def test_several_processes_are_asked_for_steps_as_each_would_measure_others():
    with pytest.raises(ConfigError, match="expected steps or epochs where 4 processes train together"):
        sizes.with_length(left(batch=64, devices=2, nodes=2), 500, never)
    assert sizes.with_length(left(batch=64, devices=2, steps=9), 500, never)[0].steps == 9


def test_a_run_that_goes_on_keeps_its_sizes_and_tells_where_other_minutes_do_not_matter():
    held = left(hidden_size=32, batch=10, epochs=4, steps=190, minutes=3.0)
    chosen, why = sizes.with_sizes(left(), 500, held)
    assert (chosen.encoder.hidden_size, chosen.batch, why) == (32, 10, [])
    for minutes, stop, lines in ((None, 3.0, 0), (3.0, 3.0, 0), (9.0, 9.0, 1)):
        chosen, why = sizes.with_length(left(batch=10, minutes=minutes), 500, never, held)
        assert (chosen.steps, chosen.epochs, chosen.minutes, len(why)) == (190, 4, stop, lines)
    by_epochs = sizes.with_length(left(batch=10), 500, never, replace(held, steps=None))[0]
    assert (by_epochs.steps, by_epochs.epochs) == (None, 4)
    assert sizes.with_length(left(batch=10, steps=400), 500, never, held)[0].steps == 400


@pytest.mark.parametrize(
    ("lines", "pace"),
    [
        ([(10, 9.0), (20, 11.0), (30, 13.0)], 0.2),
        ([(10, 9.0), (13, 9.9)], 0.3),
        ([(10, 5.0)], 0.5),
        ([(4, 1.0)], 0.25),
    ],
)
def test_the_pace_leaves_the_warm_up_out_where_the_run_came_past_it(tmp_path, lines, pace):
    run = RunFolder(tmp_path)
    run.metrics.write_text("".join(json.dumps({"step": step, "seconds": at}) + "\n" for step, at in lines))
    assert measured_pace(run) == pytest.approx(pace)


def test_a_run_measures_chooses_writes_down_why_and_ends_in_time(store, tiny, tmp_path):
    said = []
    asked = tiny(LEFT | {"encoder.hidden_size": 8, "batch": 0, "minutes": 0.01, "optimiser.schedule": "cosine"})
    result = pretrain(store, tmp_path / "run", asked, progress=False, log=said.append)
    held = RunFolder(tmp_path / "run").read_settings()[0]
    assert (held.encoder.hidden_size, held.batch) == (8, 9)  # half of the 18 training clips
    assert json.loads((tmp_path / "run" / sizes.FILE).read_text()) == said
    assert [line.partition(" ")[0] for line in said] == ["batch", "steps"]
    assert 1 <= result.steps <= held.steps
    assert result.seconds < 2 * 60 * held.minutes
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    if result.steps == held.steps:
        assert last["lr"] < 0.01 * held.optimiser.lr or held.steps < 20, "the schedule ends with the run"


def test_a_chosen_run_that_was_stopped_goes_on_to_the_same_bits(store, tiny, trace, tmp_path, monkeypatch):
    asked = tiny(
        LEFT | {"encoder.hidden_size": 8, "minutes": 5.0, "optimiser.schedule": "cosine", "checkpoint_steps": 3}
    )
    monkeypatch.setattr(pretrain_module, "measure_pace", lambda store, of: 5 * 60 * sizes.SAFETY / 9.5)  # 9 steps
    pretrain(store, tmp_path / "whole", asked, progress=False)
    step, done = loop.train_step, []

    def killed_in_the_fifth(*given):
        done.append(given)
        if len(done) == 5:
            raise KeyboardInterrupt
        return step(*given)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "train_step", killed_in_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            pretrain(store, tmp_path / "parts", asked, progress=False)
    monkeypatch.setattr(pretrain_module, "measure_pace", lambda store, of: never(of))
    assert [pretrain(store, tmp_path / "parts", asked, progress=False).steps for _ in range(2)] == [9, 9]
    parts, whole = trace(tmp_path / "parts"), trace(tmp_path / "whole")
    assert parts.encoder == whole.encoder
    torch.testing.assert_close(parts.state, whole.state, rtol=0, atol=0)


def test_the_command_says_what_it_chose_and_where_the_time_cut_it_short(
    cli, store_path, tmp_path, tiny_words, monkeypatch
):
    monkeypatch.setattr(pretrain_module, "measure_pace", lambda store, of: 1e-5)
    words = [word for word in tiny_words(LEFT | {"encoder.hidden_size": 0, "minutes": 0.003}) if "=null" not in word]
    words += ["--steps=null", "--objective.decoder_hidden=8"]
    found = cli("pretrain", store_path, "--run", tmp_path / "run", *words, "--json")
    assert found.code == 0, found.err
    assert "hidden_size 128: 18 clips are fewer than 10,000" in found.out
    assert "batch 9: half of the 18 clips" in found.out
    assert f"stopped at {found.json['steps']:,} of 4,000 steps after 0.003 minutes: the machine was slower" in found.out
    again = cli("pretrain", store_path, "--run", tmp_path / "run", *words, "--json")
    assert (again.code, again.json["steps"]) == (0, found.json["steps"])
    assert "hidden_size 128:" not in again.out


def test_steps_and_width_on_the_command_line_win(cli, store_path, tmp_path):
    words = ["--preset", "small", "--steps", 2, "--encoder.hidden_size", 8, "--precision", "32", "--minutes", "null"]
    found = cli("pretrain", store_path, "--run", tmp_path / "run", *words, "--json")
    assert found.code == 0, found.err
    assert found.json["steps"] == 2
    held = RunFolder(tmp_path / "run").read_settings()[0]
    assert (held.encoder.hidden_size, held.batch, held.steps, held.epochs, held.minutes) == (8, 9, 2, 1, None)
    assert "stopped" not in found.out


def test_a_store_of_five_clips_is_refused_in_one_line(cli, recordings, write_tiny, tmp_path):
    write_tiny(tmp_path / "five", recordings[:5])
    words = ["--preset", "small", "--protocol", "all"]
    found = cli("pretrain", tmp_path / "five", "--run", tmp_path / "run", *words)
    assert found.code == 2
    assert "expected at least 8 training clips to choose it, found 5" in found.err
    assert not (tmp_path / "run").exists()


def test_a_table_has_one_width_and_batch_for_all_its_runs(store_path, tmp_path):
    asked = replace(settings_of_preset("small"), minutes=None)
    plan = Plan(ClipStore.open(store_path), "xsub", None, "", asked, TaskSettings(), 1, True, tmp_path)
    said = []
    chosen = sized(plan, said.append).settings
    assert (chosen.encoder.hidden_size, chosen.batch, chosen.minutes, len(said)) == (128, 9, 15.0, 2)
    assert sized(sized(plan, said.append), never).settings == chosen
    assert sized(replace(plan, settings=replace(asked, steps=3)), said.append).settings.minutes is None
