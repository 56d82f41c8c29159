"""The search for a recipe, at toy size."""

import json
import math
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import yaml

from pcm3.cli import tune as cli_tune
from pcm3.cli.candidates import read_candidates, search_file, search_names, with_changes
from pcm3.cli.tune import read_search
from pcm3.data.protocol import split
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, RunFailed
from pcm3.experiments import runs as all_runs
from pcm3.experiments import trial as module
from pcm3.experiments.search import BASE, Candidate, Search
from pcm3.experiments.trial import fewest_clips, fold, make_trial, validation_subjects
from pcm3.experiments.tune import best, score, summary, tune
from pcm3.report.search import few_labels_table
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed, flat
from pcm3.tasks.evaluate import PRETRAINED, RAW, UNTRAINED
from pcm3.train import loop, pace
from pcm3.train.plan import training_clips
from pcm3.train.run_folder import RunFolder, locked

FIGURES = (
    "linear",
    "retrieval",
    "loss",
    "steps",
    "seed",
    "held_out",
    "training_clips",
    "validation_clips",
)
"""What of an evaluation must be the same in two searches that are the same."""


def made(base, store, out, candidates, **more):
    """A search with two rungs of one and two seeds."""
    found = [
        Candidate(group, name, changes, with_changes(base, changes, name))
        for group, named in candidates.items()
        for name, changes in named.items()
    ]
    stores = store if isinstance(store, dict) else {"toy": store}
    return Search(stores, base, found, **({"seeds": [1, 2], "factor": 2.0, "share": 0.5, "keep": 1, "out": out} | more))


@pytest.fixture(scope="module", autouse=True)
def few_measurements():
    """What an evaluation is the mean over costs more than all else here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pcm3.tasks.few_labels.DRAWS", 1)
        yield


@pytest.fixture(scope="module")
def quick(tiny):
    """Makes tiny settings with one view to be compared: what a step computes is no matter here."""
    one = {"objective.positives": ["intra"], "objective.prediction_weight": 0.0, "prompts.kind": "none", "frames": 8}
    return lambda changes=None, **more: tiny(one | (changes or {}) | more)


CANDIDATES = {
    "pooling": {"mean": {"encoder.pooling": "mean"}},
    "shear": {"none": {"views.shear": 0.0}, "strong": {"views.shear": 0.9}},
}


@pytest.fixture
def search(store, quick, tmp_path):
    return made(quick(steps=3, checkpoint_steps=2), store, tmp_path / "out", CANDIDATES)


@pytest.fixture(scope="module")
def finished(store_path, quick, tmp_path_factory):
    """The search when it was done, what it gave, and what it said; nobody may change its folder."""
    said = []
    done = made(
        quick(steps=3, checkpoint_steps=2),
        ClipStore.open(store_path),
        tmp_path_factory.mktemp("search") / "out",
        CANDIDATES,
    )
    return done, tune(done, said.append), said


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished search, to be gone on with."""
    shutil.copytree(finished[0].out, tmp_path / "copy")
    return replace(finished[0], out=tmp_path / "copy")


def quiet(what):
    pass


def essence(told, figures=FIGURES):
    """All evaluations of a search, without times and places."""
    return {
        title: [[{name: run.get(name) for name in figures} for run in rung] for rung in one["runs"]]
        for title, one in told["candidates"].items()
    } | {name: [[run[figure] for figure in ("linear", "retrieval")] for run in one["runs"]]
         for name, one in told["baselines"].items()}  # fmt: skip


def test_a_search_is_run_halved_and_written(finished):
    search, told, said = finished
    assert [rung["steps"] for rung in told["rungs"]] == [[3, 3], [6, 6]]
    assert told["rungs"][0]["candidates"] == [BASE, "pooling: mean", "shear: none", "shear: strong"]
    first = {name: score(one["runs"][0]) for name, one in told["candidates"].items() if name != BASE}
    assert sorted(told["rungs"][1]["candidates"]) == sorted([BASE, *best(first, 0.5, 1)])
    assert len(told["rungs"][1]["candidates"]) == 3, "the best two of three, and the base"
    assert told["winner"] == told["standing"][0]
    assert told["standing"] == sorted(told["standing"], key=lambda name: -told["candidates"][name]["score"])
    for title in told["standing"]:
        runs = told["candidates"][title]["runs"]
        assert [[run["seed"] for run in rung] for rung in runs] == [[0], [0, 1]]
        assert [[run["held_out"] for run in rung] for rung in runs] == [[[1]], [[1], [2]]]
        assert all(run["training_clips"] == 12 and run["validation_clips"] == 6 for rung in runs for run in rung)
    assert said[0] == "3 candidates and the base, 2 rungs, the first of 3 steps a run"
    assert len(said) == 1 + 4 + 4 + 2 * 3, "two baselines of two seeds, four runs, then three with two seeds"
    assert "rung 1 of 2, 1/4 base, toy, seed 0: linear " in said[5]
    assert json.loads((search.out / "log.json").read_text()) == told
    page = (search.out / "log.md").read_text()
    assert "## shear" in page
    assert "| none | views.shear 0.0 (1.0) | " in page
    assert "raw coordinates" in page
    assert (search.out / "search.png").stat().st_size > 5000
    left = [file.name for file in search.out.rglob("*") if file.suffix in (".pt", ".safetensors")]
    assert left == [], "weights of evaluated runs take room and are not kept"


def test_a_finished_search_does_nothing_anew(copied, finished, monkeypatch):
    monkeypatch.setattr(module, "_evaluate", None)
    monkeypatch.setattr(all_runs, "pretrain", None)
    assert tune(copied, quiet) == finished[1]


def test_the_winner_s_settings_are_what_pretrain_takes(finished, store_path, cli, tmp_path):
    search, told, _ = finished
    (winner,) = [candidate for candidate in search.all if candidate.title == told["winner"]]
    found = cli("pretrain", store_path, "--run", tmp_path / "run", "--config", search.out / "winner.yaml", "--json")
    assert found.code == 0, found.err
    assert found.json["steps"] == 6, "as in the last rung"
    asked = flat(RunFolder(tmp_path / "run").read_settings()[0])
    wanted = flat(winner.settings) | {"steps": 6}
    chosen = ("protocol", "threads", "device", "precision")  # what a run fills in by itself
    assert [name for name in wanted if asked[name] != wanted[name] and name not in chosen] == []


def test_each_seed_holds_out_another_training_subject_and_no_test_clip_is_on_a_side(store, quick, tmp_path):
    train, test = split(store, "xsub")
    assert validation_subjects(store, quick()) == [1, 2, 4]
    for seed, subject in enumerate([1, 2, 4, 1, 2]):
        trial = make_trial(store, quick(), quick(), seed, tmp_path, PRETRAINED)
        assert trial.settings.exclude_subjects == [subject]
        learned, held = fold(trial, store)
        np.testing.assert_array_equal(learned, training_clips(store, trial.settings))
        assert set(store.subject[held]) == {subject}
        assert sorted([*learned, *held]) == train.tolist()
        assert not set(test) & {*learned, *held}
    # What the user leaves out stays out.
    trial = make_trial(store, quick(exclude_subjects=[2]), quick(), 1, tmp_path, PRETRAINED)
    assert trial.settings.exclude_subjects == [2, 4]
    assert set(store.subject[np.concatenate(fold(trial, store))]) == {1, 4}


def test_several_subjects_are_held_out_in_turn(store, quick, tmp_path, monkeypatch):
    for seed, left in enumerate([[1, 2], [4, 1], [2, 4], [1, 2]]):
        trial = make_trial(store, quick(), quick(), seed, tmp_path, PRETRAINED, held_out=2)
        assert trial.settings.exclude_subjects == left
        learned, held = fold(trial, store)
        assert set(store.subject[held]) == set(left)
        assert sorted([*learned, *held]) == split(store, "xsub")[0].tolist()
        assert (module._blind(trial, store).label >= 0).sum() == len(learned) + len(held)
    monkeypatch.setattr(module, "validation_subjects", lambda *_: list(range(10)))
    assert [module._left(store, quick(), seed, 5) for seed in range(2)] == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert [module._left(store, quick(), seed, 2) for seed in range(3)] == [[0, 5], [1, 6], [2, 7]]
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="fewer subjects to be held out than the 3"):
        make_trial(store, quick(), quick(), 0, tmp_path, PRETRAINED, held_out=3)
    assert fewest_clips(store, quick(), 2) == 6
    assert fewest_clips(store, quick(), 0) == 18


def test_where_nobody_is_held_out_the_test_side_tests(store, quick, tmp_path):
    trial = make_trial(store, quick(), quick(), 3, tmp_path, PRETRAINED, held_out=0)
    assert trial.settings.exclude_subjects == []
    for found, wanted in zip(fold(trial, store), split(store, "xsub"), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.soak  # nobody sees their labels, below
def test_the_test_clips_and_their_labels_change_nothing(finished, recordings, write_tiny, tmp_path):
    search, told, _ = finished
    for clip in recordings:
        if clip.subject == 3:
            clip.frames[:] = np.random.default_rng(0).normal(scale=1e4, size=clip.frames.shape)
    poisoned = [replace(clip, label=2 - clip.label) if clip.subject == 3 else clip for clip in recordings]
    store = write_tiny(tmp_path / "poisoned", poisoned)
    assert store.checksum != search.stores["toy"].checksum
    again = tune(replace(search, stores={"toy": store}, out=tmp_path / "again"), quiet)
    assert essence(again) == essence(told)
    assert again["standing"] == told["standing"]


def test_labels_of_test_clips_are_out_of_sight(store, quick, tmp_path):
    label = store.label.copy()
    label[split(store, "xsub")[1]] = 50  # a class that no head may make room for
    trial = make_trial(store, quick(), quick(), 0, tmp_path, RAW)
    seen = module._blind(trial, replace(store, label=label))
    assert seen.label.max() == 2
    assert (seen.label >= 0).sum() == len(split(store, "xsub")[0])


def test_a_killed_search_goes_on_where_it_was(search, finished, monkeypatch):
    plain, calls = all_runs.pretrain, []

    def stop_at(number):
        def stopping(store, folder, settings, progress):
            calls.append(folder)
            if len(calls) == number:
                plain(store, folder, replace(settings, steps=2), progress)  # killed after its first checkpoint
                raise KeyboardInterrupt
            return plain(store, folder, settings, progress)

        return stopping

    monkeypatch.setattr(all_runs, "pretrain", stop_at(3))
    with pytest.raises(KeyboardInterrupt):
        tune(search, quiet)
    monkeypatch.setattr(all_runs, "pretrain", stop_at(8))
    with pytest.raises(KeyboardInterrupt):
        tune(search, quiet)
    assert not json.loads((search.out / "log.json").read_text())["finished"]
    assert "The search is not finished." in (search.out / "log.md").read_text()
    told = tune(search, quiet)
    assert len(calls) == 2 + 4 + 6, "each run once, and two that were stopped"
    assert essence(told) == essence(finished[1])


def test_a_run_that_was_pretrained_but_not_evaluated_is_only_evaluated(copied, finished):
    search, told, _ = finished
    (folder,) = (copied.out / "runs").glob("pooling=mean-steps=3-*-s0")
    settings, _ = RunFolder(folder).read_settings()
    (folder / "evaluation.json").unlink()
    all_runs.pretrain(search.stores["toy"], folder, settings, progress=False)
    assert essence(tune(copied, quiet)) == essence(told)
    assert not (folder / "model.safetensors").exists()


@pytest.mark.soak
def test_several_processes_find_the_same(search, finished, two_processes):
    together = tune(search, quiet, two_processes)
    assert essence(together) == essence(finished[1])
    assert together["standing"] == finished[1]["standing"]


def result_of(store, seed, linear, retrieval, **more):
    return {"store": store, "seed": seed, "linear": linear, "retrieval": retrieval} | more


def test_scores_spreads_and_differences_are_as_by_hand():
    runs = [
        result_of("a", 0, 60.0, 40.0, seconds=10.0, loss=3.0),  # 50
        result_of("a", 1, 80.0, 60.0, seconds=20.0, loss=4.0),  # 70
        result_of("b", 0, 30.0, 30.0, seconds=30.0, loss=5.0),  # 30
        result_of("b", 1, 50.0, 70.0, seconds=40.0, loss=None),  # 60
    ]
    base = [result_of(run["store"], run["seed"], 40.0, 20.0 + 10 * run["seed"]) for run in runs]  # 30, 35
    told = summary(runs, base)
    assert (told["linear"], told["retrieval"]) == (55.0, 50.0)
    assert told["scores"] == [40.0, 65.0], "seed 0 over both stores, seed 1 over both stores"
    assert told["score"] == score(runs) == 52.5
    assert told["spread"] == pytest.approx(25 / math.sqrt(2))
    assert told["stores"] == {"a": 60.0, "b": 45.0}
    assert told["difference"] == pytest.approx((10 + 30) / 2)
    assert told["difference_spread"] == pytest.approx(20 / math.sqrt(2))
    assert told["difference_interval"] == pytest.approx(12.706 * 10, rel=1e-4), "t of one degree of freedom"
    of_a = told["store_differences"]["a"]
    assert of_a["linear"]["mean"] == pytest.approx((20 + 40) / 2)
    assert of_a["retrieval"]["mean"] == pytest.approx((20 + 30) / 2)
    assert of_a["retrieval"]["interval"] == pytest.approx(12.706 * 5, rel=1e-4)
    assert (told["seconds"], told["loss"]) == (25.0, 4.0)
    assert summary(runs[:1])["spread"] is None
    assert "difference" not in summary(runs)


def test_few_labels_are_told_over_the_base_store_by_store():
    def runs(*accuracies):
        return [
            {"store": store, "seed": seed, "top1_1pc_stratified": float(one), "top1_10pc_stratified": float(ten)}
            for (store, seed), (one, ten) in zip([("a", 0), ("b", 0), ("a", 1), ("b", 1)], accuracies, strict=True)
        ]

    base = {"group": "", "runs": [runs((10, 40), (20, 50), (14, 42), (20, 52))]}
    other = {"group": "g", "runs": [runs((11, 41), (20, 52), (17, 43), (20, 50))]}
    report = {
        "stores": {"a": {}, "b": {}},
        "candidates": {"base": base, "g: o": other},
        "standing": ["g: o", "base"],
        "baselines": {"raw": {"runs": runs((10, 40), (20, 50), (14, 42), (20, 52))}},
    }
    half = 12.7062047364  # Student's t of one degree of freedom at 97.5 %
    assert few_labels_table(report) == [
        ["base", "a", "12.0", "", "41.0", ""],
        ["base", "b", "20.0", "", "51.0", ""],
        ["g: o", "a", "14.0", f"+2.0 ± {half:.1f}", "42.0", "+1.0 ± 0.0"],
        ["g: o", "b", "20.0", "+0.0 ± 0.0", "51.0", f"+0.0 ± {2 * half:.1f}"],
        ["raw", "a", "12.0", "+0.0 ± 0.0", "41.0", "+0.0 ± 0.0"],
        ["raw", "b", "20.0", "+0.0 ± 0.0", "51.0", "+0.0 ± 0.0"],
    ]
    del other["runs"][0][0]["top1_1pc_stratified"]
    assert few_labels_table(report) == [], "a search of before"


def test_the_best_go_on():
    scores = {"a": 1.0, "b": 3.0, "c": None, "d": 3.0, "e": 2.0}
    assert best(scores, 0.5, 1) == ["b", "d", "e"], "half of five, rounded up; of equal ones the first"
    assert best(scores, 0.1, 2) == ["b", "d"]
    assert best(scores, 1.0, 9) == ["b", "d", "e", "a"], "what failed never goes on"
    assert best({}, 0.5, 1) == []


def test_a_candidate_that_fails_falls_and_the_search_goes_on(store, quick, tmp_path):
    wild = {"optimiser": {"wild": {"optimiser.kind": "sgd", "optimiser.lr": 1e30}, "calm": {"optimiser.lr": 0.001}}}
    search = made(quick(steps=12), store, tmp_path / "out", wild, seeds=[1, 1], factor=1.0)
    said = []
    told = tune(search, said.append)
    assert "not finite" in told["candidates"]["optimiser: wild"]["failed"]
    assert told["candidates"]["optimiser: wild"]["rung"] == 1
    assert any("optimiser: wild, toy, seed 0: failed" in line for line in said)
    assert sorted(told["standing"]) == ["base", "optimiser: calm"]
    assert "| wild | optimiser.kind sgd" in (search.out / "log.md").read_text()
    # Where even the base fails there is nothing to be told apart.
    search = made(
        quick(steps=12, **{"optimiser.kind": "sgd", "optimiser.lr": 1e30}), store, tmp_path / "worse", {}, seeds=[1]
    )
    with pytest.raises(RunFailed, match="every candidate failed"):
        tune(search, quiet)


def test_a_full_disk_stops_the_search(search, monkeypatch):
    def full(*args, **named):
        raise RunFailed("cannot be written") from OSError(28, "No space left on device")

    monkeypatch.setattr(all_runs, "pretrain", full)
    with pytest.raises(RunFailed, match="cannot be written"):
        tune(search, quiet)
    assert not list((search.out / "runs").rglob("evaluation.json"))


def test_candidates_of_equal_settings_share_their_runs(store, quick, tmp_path):
    equal = {"a": {"one": {"views.shear": 0.5}}, "b": {"two": {"views.shear": 0.5}, "as the base": {}}}
    search = made(quick(steps=2), store, tmp_path / "out", equal, seeds=[1])
    told = tune(search, quiet)
    assert len(list((search.out / "runs").iterdir())) == 2
    assert essence(told)["a: one"] == essence(told)["b: two"]
    assert told["candidates"]["b: as the base"]["difference"] == 0.0


def test_a_candidate_that_names_its_steps_runs_as_many(store, quick, tmp_path):
    search = made(quick(steps=2), store, tmp_path / "out", {"as long": {"as twice": {"steps": 4}}}, seeds=[1, 1])
    told = tune(search, quiet)["candidates"]
    assert [[run["steps"] for [run] in told[title]["runs"]] for title in (BASE, "as long: as twice")] == [
        [2, 4],
        [4, 8],
    ]


def test_the_pace_of_a_slow_candidate_is_told_from_fewer_steps(store, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "PACE_SECONDS", 0.005)  # a step takes longer
    steps = steps_of_trials(monkeypatch)
    told = module.seconds_a_step(pace_trial(store, quick, tmp_path))
    assert told is not None
    assert 0 < len(steps) < pace.PACE_STEPS


def pace_trial(store, quick, folder, **changes):
    """The trial by which a pace is told."""
    settings = quick(steps=pace.PACE_STEPS, minutes=1e-4, **changes)
    return make_trial(store, settings, quick(), 0, folder, PRETRAINED)


def steps_of_trials(monkeypatch, rest=0.0):
    """A list that has an entry for each step from now on, each of which rests so many seconds."""
    step, made_steps = loop.train_step, []

    def resting(*given):
        made_steps.append(given)
        time.sleep(rest)
        return step(*given)

    monkeypatch.setattr(loop, "train_step", resting)
    return made_steps


@pytest.mark.soak  # the pace is tested by itself
def test_minutes_become_steps_that_fit_in_them(store, quick, tmp_path):
    base = replace(quick(), steps=None, minutes=0.0005)
    search = made(base, store, tmp_path / "out", {"width": {"twice": {"encoder.hidden_size": 16}}}, seeds=[1, 1])
    told = tune(search, quiet)
    paces = [json.loads(file.read_text()) for file in (search.out / "runs").rglob("pace.json")]
    assert len(paces) == 2
    for rung, runs in enumerate(zip(*(one["runs"] for one in told["candidates"].values()), strict=True)):
        fit = sorted(max(int(0.03 * 2**rung / pace["seconds_a_step"]), 1) for pace in paces)
        assert sorted(run[0]["steps"] for run in runs) == fit
    assert tune(search, quiet) == told, "measured once"


def test_what_other_programs_take_of_a_core_is_no_part_of_the_pace(store, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "PACE_STEPS", 3)
    steps_of_trials(monkeypatch, rest=0.2)
    of_one, of_two = (pace_trial(store, quick, tmp_path / f"{threads}", threads=threads) for threads in (1, 2))
    assert module.seconds_a_step(of_one) < 0.2
    assert module.seconds_a_step(of_two) > 0.2


def test_a_pace_whose_measurement_was_killed_is_measured_anew(store, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "PACE_STEPS", 12)
    trial = pace_trial(store, quick, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_json", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            module.seconds_a_step(trial)
    steps = steps_of_trials(monkeypatch)
    told = module.seconds_a_step(trial)
    assert len(steps) == 12, "all of its steps, not those that were left"
    assert module.seconds_a_step(trial) == told
    assert len(steps) == 12


@pytest.mark.soak  # rows are compared on several below
def test_two_stores_are_searched_together(store, recordings, write_tiny, quick, tmp_path):
    other = write_tiny(tmp_path / "other", [clip for clip in recordings if clip.label < 2], classes=("a", "b"))
    search = made(quick(steps=2, batch=4), {"one": store, "other": other}, tmp_path / "out", {}, seeds=[2])
    told = tune(search, quiet)
    runs = told["candidates"][BASE]["runs"][0]
    assert [(run["store"], run["seed"]) for run in runs] == [("one", 0), ("one", 1), ("other", 0), ("other", 1)]
    assert set(told["baselines"][RAW]["stores"]) == set(told["baselines"][UNTRAINED]["stores"]) == {"one", "other"}
    assert "| one | other |" in (search.out / "log.md").read_text()


def refused(search, *words):
    with pytest.raises(ConfigError) as error:
        tune(search, quiet)
    assert all(word in str(error.value) for word in words), error.value
    assert not search.out.exists(), "nothing ran"


def test_what_cannot_be_searched_is_told_before_anything_runs(search, store, recordings, write_tiny, quick, tmp_path):
    refused(replace(search, seeds=[]), "seeds", "at least 1")
    refused(replace(search, share=0.0), "share", "more than 0")
    refused(replace(search, factor=0.5), "factor", "at least 1")
    refused(replace(search, base=quick(steps=None)), "either steps or minutes", "got neither")
    refused(replace(search, base=quick(minutes=1.0)), "either steps or minutes", "got both")
    big = made(quick(), store, tmp_path / "out", {"batch": {"16": {"batch": 16}}})
    refused(big, "candidate 'batch: 16' on toy", "at most the 12 clips", "without subject 1", "got 16")
    long = made(quick(), store, tmp_path / "out", {"as": {"long": {"steps": None, "minutes": 1.0}}})
    refused(long, "candidate 'as: long'", "expected steps", "got minutes")
    nobody = write_tiny(tmp_path / "nobody", [replace(clip, subject=-1) for clip in recordings], protocols={})
    refused(replace(search, stores={"nobody": nobody}), "at least two subjects", "but there are 0")
    unlabelled = write_tiny(tmp_path / "unlabelled", [replace(clip, label=-1) for clip in recordings], classes=())
    refused(replace(search, stores={"unlabelled": unlabelled}), "labelled clips")


# The command and its files


BAD = {
    "not YAML": ("candidates: [", ["is not what YAML may be", "line 1"]),
    "not a mapping": ("- 1", ["base and candidates", "[1]"]),
    "another key": ("recipes: {}", ["'recipes'", "candidates"]),
    "unknown setting": (
        "candidates: {a: {b: {encoder.poolin: mean}}}",
        ["candidate 'a: b'", "'encoder.poolin'", "'encoder.pooling'"],
    ),
    "unknown, nothing near": ("candidates: {a: {b: {xyzzy: 1}}}", ["no setting 'xyzzy'", "--help"]),
    "unknown in the base": ("base: {bach: 3}", ["base", "'batch'"]),
    "of before": ("base: {hidden: 3}", ["base", "hidden: it is called encoder.hidden_size now"]),
    "method": ("base: {method: pcm3}", ["base", "--preset chooses the method"]),
    "nested": ("candidates: {a: {b: {views: {shear: 1}}}}", ["dotted", "views.crop"]),
    "type": (
        "candidates: {a: {b: {encoder.hidden_size: wide}}}",
        ["candidate 'a: b'", "hidden", "whole number", "wide"],
    ),
    "word": ("candidates: {a: {b: {encoder.pooling: men}}}", ["pooling", "'mean'", "men"]),
    "pair": ("candidates: {a: {b: {views.crop: [0.5]}}}", ["views.crop", "2 numbers"]),
    "mapping": ("candidates: {a: {b: {encoder.pooling: {c: 1}}}}", ["pooling", "expected a value"]),
    "date": ("candidates: {a: {b: {encoder.pooling: 2020-01-01}}}", ["pooling", "expected a value"]),
    "makes no sense": (
        "candidates: {a: {b: {views.jitter_joint_ratio: 2}}}",
        ["'a: b'", "views.jitter_joint_ratio", "between 0 and 1"],
    ),
    "base makes no sense": ("base: {mask.ratio: 1}", ["base", "mask.ratio"]),
    "the search's own": ("candidates: {a: {b: {seed: 5}}}", ["'a: b'", "seed is the search's own"]),
    "group is a value": ("candidates: {pooling: mean}", ["'pooling'", "candidates", "'mean'"]),
    "changes are a value": ("candidates: {pooling: {mean: mean}}", ["'pooling: mean'", "dotted name", "'mean'"]),
    "twice": ("candidates: {a: {b: {batch: 8}, b: {batch: 9}}}", ["'b' stands twice"]),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_of_candidates_is_told(text, words, quick, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_search(file, with_changes(quick(), read_candidates(file, "pcm3")[0], f"{file}: base"), quick())
    assert all(word in str(error.value) for word in [str(file), *words]), error.value


def test_a_bad_file_stops_the_command_before_anything_runs(cli, store_path, tmp_path):
    for text in ("base: {encoder.hidden_size: wide}", "candidates: {a: {b: {encoder.hidden_size: wide}}}"):
        (tmp_path / "bad.yaml").write_text(text)
        found = cli("tune", store_path, "--candidates", tmp_path / "bad.yaml", "--out", tmp_path / "out")
        assert found.code == 2
        assert len(found.err.splitlines()) == 1
        assert found.out == ""
        assert "setting encoder.hidden_size: expected a whole number, got wide" in found.err
        assert not (tmp_path / "out").exists()


def test_the_command_searches_and_prints_how_the_best_stand(cli, store_path, tmp_path, tiny_words):
    file, out = tmp_path / "mine.yaml", tmp_path / "out"
    file.write_text(
        "base: {encoder.pooling: mean, optimiser.lr: 1e-3}\ncandidates: {width: {16: {encoder.hidden_size: 16}}}\n"
    )
    words = [
        word for word in tiny_words(steps=2) if word.partition("=")[0] not in ("--encoder.pooling", "--optimiser.lr")
    ]
    words = [word for word in words if "=null" not in word]
    found = cli("tune", store_path, "--candidates", file, "--out", out, "--seeds=[1]", "--workers=1", *words, "--json")
    assert found.code == 0, found.err
    assert "rung 1 of 1, 2/2 width: 16, store, seed 0: linear " in found.out
    assert "the best: " in found.out
    assert found.json["base"]["encoder"]["pooling"] == "mean"
    assert found.json["base"]["optimiser"]["lr"] == 0.001
    assert found.json["candidates"]["width: 16"]["changes"] == {"encoder.hidden_size": [8, 16]}
    assert yaml.safe_load((out / "winner.yaml").read_text())["steps"] == 2
    assert cli("tune", store_path, "--candidates", "nix", "--out", out).err.count("got 'nix'") == 1
    assert "twice" in cli("tune", store_path, store_path, "--out", out).err
    assert cli("tune", tmp_path, "--out", out).code == 2
    assert "workers" in cli("tune", store_path, "--out", out, "--workers", 0).err


def test_rows_are_compared_on_the_test_side_of_several_stores_and_none_is_chosen(
    cli, store_path, recordings, write_tiny, tmp_path, tiny_words
):
    file, out, other = tmp_path / "rows.yaml", tmp_path / "out", tmp_path / "other"
    write_tiny(other, [replace(clip, frames=clip.frames * 1.1) for clip in recordings])
    words = dict(word[2:].split("=", 1) for word in tiny_words(steps=2) if "=null" not in word)
    base = {name: yaml.safe_load(value) for name, value in words.items() if name not in ("method", "protocol", "steps")}
    file.write_text(yaml.safe_dump({"base": base, "candidates": {"shear": {"none": {"views.shear": 0.0, "steps": 3}}}}))
    asked = ["reproduce", "rows", "--store", store_path, other, "--candidates", file, "--out", out, "--steps", 2]
    found = cli(*asked, "--seeds", 2, "--workers", 1, "--json")
    assert found.code == 0, found.err
    assert found.json["winner"] is None
    assert found.json["rungs"][0]["steps"] == [2, 3]
    assert not (out / "winner.yaml").exists()
    runs = found.json["candidates"]["shear: none"]["runs"][0]
    assert [(run["store"], run["seed"], run["held_out"]) for run in runs] == [
        (name, seed, []) for name in ("store", "other") for seed in (0, 1)
    ]
    assert all(run["training_clips"] == 18 and run["validation_clips"] == 6 for run in runs)
    of_base = found.json["candidates"][BASE]["runs"][0]
    over = [run["linear"] - other["linear"] for run, other in zip(runs, of_base, strict=True)][:2]
    told = found.json["candidates"]["shear: none"]["store_differences"]["store"]["linear"]
    assert told["mean"] == pytest.approx(sum(over) / 2)
    page = (out / "log.md").read_text()
    assert "# Rows compared on store, other" in page
    assert "nothing may be chosen by these figures" in page
    assert "| score, all | store, linear | store, 1-NN | other, linear | other, 1-NN |" in page
    both = found.json["candidates"]["shear: none"]
    assert f"| shear: none | {both['difference']:+.1f} ± {both['difference_interval']:.1f} | " in page
    assert cli(*asked[:-2], "--seeds", 2, "--candidates", "nix").code == 2
    assert "--candidates" in cli("reproduce", "rows", "--store", store_path, "--out", out).err
    assert "one store" in cli("reproduce", "table8", "--store", store_path, other, "--out", out).err
    shutil.copytree(store_path, tmp_path / "copy")
    same = cli("tune", store_path, tmp_path / "copy", "--out", out)
    assert "hold the same clips" in same.err


def test_the_package_s_list_of_another_method_is_refused_with_what_to_give_instead(cli, store_path, tmp_path):
    found = cli("tune", store_path, "--preset", "aimclr-small", "--out", tmp_path / "out")
    assert (found.code, found.err.count("\n")) == (2, 1), found.err
    assert "--candidates: the package's list small has settings that the method aimclr does not have" in found.err
    assert found.err.endswith(": give a file of your own, as docs/SEARCH.md shows\n")


def test_the_lists_of_the_package_name_settings_that_there_are():
    for name in search_names():
        assert sum(map(len, read_candidates(search_file(name), "pcm3")[1].values())) >= 3, name


@pytest.mark.parametrize("name", search_names())
@pytest.mark.parametrize("as_words", [False, pytest.param(True, marks=pytest.mark.soak)])  # which takes seconds
def test_the_lists_of_the_package_are_whole(name, as_words, monkeypatch):
    def checked(settings, changes, where):
        settings = changed(settings, changes)
        settings.check()
        return settings

    if not as_words:
        monkeypatch.setattr(cli_tune, "with_changes", checked)
    file = search_file(name)
    base = with_changes(settings_of_preset("small"), read_candidates(file, "pcm3")[0], name)
    assert len(read_search(file, base, settings_of_preset("small"))) >= 3


def test_a_search_in_use_is_left_alone(search):
    with locked(search.out), pytest.raises(ConfigError, match="in use"):
        tune(search, quiet)


def test_sizes_left_to_the_program_are_one_for_all_stores_and_in_the_log(cli, store_path, tmp_path, tiny_words):
    file, out = tmp_path / "c.yaml", tmp_path / "out"
    file.write_text("base: {encoder.pooling: mean}\ncandidates: {width: {chosen: {encoder.hidden_size: 0}}}\n")
    words = [
        word
        for word in tiny_words(steps=2, batch=0, epochs=0)
        if "=null" not in word and "--encoder.pooling" not in word
    ]
    found = cli("tune", store_path, "--candidates", file, "--out", out, "--seeds=[1]", "--workers=1", *words, "--json")
    assert found.code == 0, found.err
    # Of the 18 training clips of three subjects six are held out.
    assert "batch 6: half of the 12 clips" in found.out
    assert (found.json["base"]["encoder"]["hidden_size"], found.json["base"]["batch"]) == (8, 6)
    widths = {
        json.loads((run / "settings.json").read_text())["settings"]["encoder"]["hidden_size"]
        for run in (out / "runs").iterdir()
    }
    assert widths == {8, 128}
