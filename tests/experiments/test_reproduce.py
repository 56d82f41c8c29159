"""The paper's tables, run at toy size."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pcm3.data.recording import Interval, Recording
from pcm3.errors import ConfigError, DataError
from pcm3.experiments import reproduce as module
from pcm3.experiments.paper_tables import AIMCLR, OURS, TABLES, Variant
from pcm3.experiments.reproduce import Plan, begins_with, reproduce, run_folder, sized, with_all_parts
from pcm3.parallel import serial_map
from pcm3.report.paper_table import as_markdown
from pcm3.settings.presets import preset_names, settings_of_preset
from pcm3.settings.pretrain import SIZES, PretrainSettings, changed, flat
from pcm3.settings.tasks import (
    TASK_WORDS,
    ClipSettings,
    DetectionSettings,
    FinetuneSettings,
    LinearSettings,
    PredictionSettings,
    SubsetSettings,
    TaskSettings,
)
from pcm3.tasks.evaluate import evaluate
from pcm3.train import plan as sizes
from pcm3.train import pretrain as pretrain_module

QUICK = TaskSettings(
    head=LinearSettings(epochs=2),
    finetune=FinetuneSettings(epochs=1),
    subset=SubsetSettings(shares=[0.1]),
    detection=DetectionSettings(epochs=1, windows=2, test_every=1, frames=8),
    prediction=PredictionSettings(seed_frames=12, hidden_size=8, steps=2, test_every=2),
)


@pytest.fixture
def plan(store, tiny, tmp_path):
    return Plan(store, "xsub", None, "", tiny(steps=2), QUICK, seeds=2, cached=True, out=tmp_path / "out")


@pytest.fixture
def untrimmed(recordings, write_tiny, tmp_path):
    made = []
    for subject in (1, 2, 3, 4):
        mine = [clip.frames for clip in recordings if clip.subject == subject]
        marked = (Interval(0, len(mine[0]), 0), Interval(len(mine[0]), len(mine[0]) + 40, 1))
        made.append(Recording(f"r{subject}", np.concatenate(mine), subject=subject, intervals=marked))
    return write_tiny(tmp_path / "untrimmed", made, protocols={"xsub": {"by": "subject", "train": [1, 2, 4]}})


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_whole(name):
    table = TABLES[name]
    assert all(len(figures) == len(table.heads) for figures in table.published.values())
    assert set(table.variants) <= set(table.published) or not table.published
    assert all(column.task in TASK_WORDS for column in table.columns)
    assert {head for column in table.columns for head in column.published} <= set(table.heads)
    assert not table.untrained or table.untrained in table.published
    for variant in table.variants.values():
        changed(PretrainSettings(), variant.changes).check()
        if variant.preset is not None:
            assert {variant.preset, f"{variant.preset}-small"} <= set(preset_names())


def test_the_paper_s_figures_are_the_paper_s():
    assert TABLES["table7"].published["PCM³"] == (90.4, 88.8, 87.0, 61.8, 101.7)
    assert TABLES["table1"].published["PCM³"][:2] == (83.9, 90.4)
    assert [name for name, table in TABLES.items() if not table.published] == ["recipe", "precision"], "our own"
    assert max(TABLES["table10"].published.values()) == (90.4,)


def test_table_1_has_a_row_of_every_system_that_the_paper_has():
    single = "LongT GAN, MS²L, CRRL, ISC, CMD, HaLP, H-Transformer, GL-Transformer, PCM³"
    three = "HiCo, CMD, CrosSCLR, AimCLR, HiCLR, HYSP, SkeleMixCLR, CPM, PCM³"
    rows = {*single.split(", "), *(f"3s-{name}" for name in three.split(", "))}
    assert set(TABLES["table1"].published) == set(TABLES["table1"].variants) == rows


def test_a_system_is_judged_by_its_authors_linear_head_too(plan, monkeypatch):
    judged = []

    def told(task, runs, *arguments, settings, **more):
        judged.append((task, settings.head))
        return evaluate(task, runs, *arguments, settings=settings, **more)

    monkeypatch.setattr(module, "evaluate", told)
    drawn = []
    monkeypatch.setattr(
        module, "loss_curves", lambda methods, *_: drawn.append({of: list(methods[of]) for of in methods})
    )
    column, row = "linear, their authors' head %", "AimCLR"
    table = TABLES["table1"]
    small = replace(AIMCLR, changes={"encoder.layers": 1, "encoder.channels": 4})
    monkeypatch.setitem(TABLES, "table1", replace(table, variants={row: small, "PCM³": table.variants["PCM³"]}))
    told_of = reproduce("table1", replace(plan, seeds=1), lambda what: None)
    assert [head.lr for _, head in judged] == [0.1, 3.0, 0.1]
    assert (judged[1][1].drop_epochs, judged[1][1].epochs) == ([80], QUICK.head.epochs)
    assert np.isfinite(told_of["rows"][row][column]["mean"])
    assert column not in told_of["rows"]["PCM³"]
    text = (plan.out / "table1.md").read_text(encoding="utf-8")
    assert drawn == [{"aimclr": ["AimCLR"], "pcm3": ["PCM³"]}]
    assert "Losses are comparable only between rows of one method" in text
    assert "; 1 seed; " in text, "which has no spread"
    assert "Their authors' heads: AimCLR lr 3.0, drop_epochs [80]." in text
    alone = reproduce("table1", replace(plan, seeds=1, rows=("PCM³",)), lambda what: None)
    assert alone["not_served"] == []
    assert column not in (plan.out / "table1.md").read_text(encoding="utf-8"), "no row has it"


def test_a_table_is_run_written_and_never_taken_for_the_paper_s(plan, untrimmed, monkeypatch):
    plan = Plan(**{**vars(plan), "untrimmed": untrimmed, "untrimmed_protocol": "xsub"})
    whole, rows = TABLES["table7"], ("multi-task", "PCM³")
    monkeypatch.setitem(TABLES, "table7", replace(whole, variants={row: whole.variants[row] for row in rows}))
    said = []
    told = reproduce("table7", plan, said.append)
    assert list(told["rows"]) == list(rows)
    assert told["not_served"] == []
    for cells in told["rows"].values():
        assert all(np.isfinite(cell["mean"]) for cell in cells.values())
        assert all(cell["sd"] is not None for cell in cells.values()), "two seeds have a spread"
    text = (plan.out / "table7.md").read_text()
    assert "(90.4)" in text
    assert "The two are not the same experiment" in text
    assert "2 x 8 units" in text
    assert told["tested_on"] == list(dict.fromkeys([plan.store.kind, plan.untrimmed.kind]))
    assert "2 seeds (mean ± sd)" in text
    assert "Not the protocols' settings: head.epochs 2 (100)" in text
    assert "## Best epoch on the test clips" in text
    assert "| ours | seconds a run | last loss |" in text
    assert len(told["pretraining"]["multi-task"]["joint"]) == 2
    assert (plan.out / "table7-loss.png").stat().st_size > 4000
    assert json.loads((plan.out / "table7.json").read_text())["conditions"]["steps"] == 2
    assert set(told["baselines"]) >= {"untrained encoder", "raw coordinates", "zero velocity"}
    # Once more nothing is trained nor evaluated, and another table uses the run that both have.
    again = []
    assert reproduce("table7", plan, again.append)["rows"] == told["rows"]
    assert [word for word in again if word.startswith("evaluate")] == []
    before = set((plan.out / "runs").iterdir())
    reproduce("table3", replace(plan, rows=("PCM³",)), again.append)
    assert set((plan.out / "runs").iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_three_streams_are_a_row_of_table_1(plan, processes, request):
    map_fn = serial_map if processes == 1 else request.getfixturevalue("two_processes")
    plan = replace(plan, seeds=1, rows=("CMD", "PCM³", "3s-CMD", "3s-PCM³"))
    told = reproduce("table1", plan, lambda what: None, map_fn)
    assert list(told["rows"]) == list(plan.rows)
    for row in ("3s-CMD", "3s-PCM³"):
        assert len(told["rows"][row]["linear %"]["values"]) == plan.seeds
    runs = sorted(path.name.split("-")[0] for path in (plan.out / "runs").iterdir())
    assert runs == ["cmd", "pcm3", "stream=bone", "stream=motion"], (
        "the joint run is that of the row PCM³, and CMD's three encoders come from one run"
    )


def test_other_methods_stand_beside_ours_at_the_same_size(plan):
    plan = replace(plan, seeds=1, rows=("HaLP", "PCM³"))
    told = reproduce("table3", plan, lambda what: None)
    assert list(told["rows"]) == ["HaLP", "PCM³"]
    assert all(np.isfinite(cells["1-NN %"]["mean"]) for cells in told["rows"].values())
    assert list(told["baselines"]) == ["untrained encoder, HaLP", "untrained encoder", "raw coordinates"]
    assert all(len(cells["1-NN %"]["values"]) == 1 for cells in told["baselines"].values())
    alone = reproduce("table3", replace(plan, rows=("PCM³",)), lambda what: None)["baselines"]
    assert {name: told["baselines"][name] for name in alone} == alone, "whichever rows stand beside PCM³"
    (run,) = (plan.out / "runs").glob("halp-*")
    made = json.loads((run / "settings.json").read_text())["settings"]
    assert (made["method"], made["encoder"]["hidden_size"], made["batch"], made["steps"]) == ("halp", 8, 8, 2)


def test_a_store_that_cannot_be_judged_is_refused_before_anything_is_trained(plan):
    with pytest.raises(DataError, match="expected a protocol of the store"):
        reproduce("table3", replace(plan, protocol="all"), lambda what: None)
    assert not plan.out.exists()


def test_rows_whose_encoders_begin_alike_share_one_untrained_encoder(plan):
    told = reproduce("table3", replace(plan, seeds=1, rows=("CMD", "HaLP")), lambda what: None)
    assert told["untrained_beside"] == {"CMD": "untrained encoder", "HaLP": "untrained encoder"}
    assert list(told["baselines"]) == ["untrained encoder", "raw coordinates"]
    text = (plan.out / "table3.md").read_text(encoding="utf-8")
    assert "Compare CMD, HaLP with “untrained encoder”" in text


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("table1", "--learn", "s"), "learn"),
        (("table1", "--tasks", "[robustness]"), "tasks"),
        (("table1", "--candidates", "methods"), "candidates"),
        (("rows", "--rows", "[PCM3]"), "rows"),
        (("rows", "--untrimmed", "s"), "untrimmed"),
        (("rows", "--logs", "s"), "logs"),
        (("page", "--candidates", "methods"), "candidates"),
    ],
)
def test_what_a_table_has_no_use_for_is_refused(words, name, cli, tmp_path):
    found = cli("reproduce", *words, "--store", tmp_path / "s", "--out", tmp_path / "out")
    assert (found.code, len(found.err.splitlines())) == (2, 1)
    assert f"--{name}: expected for" in found.err


def test_a_setting_that_none_of_the_tasks_asked_for_goes_by_is_refused(cli, tmp_path):
    words = ("--store", tmp_path / "s", "--candidates", "methods", "--out", tmp_path / "out", "--prediction.steps", 9)
    found = cli("reproduce", "rows", *words, "--tasks", "[robustness]")
    assert (found.code, len(found.err.splitlines())) == (2, 1)
    asked = "--prediction.steps: expected settings of the tasks asked for, robustness (--robustness.… and --head.…)"
    assert asked in found.err
    assert (
        "asked for, robustness and occlusion ("
        in cli("reproduce", "rows", *words, "--tasks", "[robustness,occlusion]").err
    )
    assert (
        "expected settings of the tasks asked for, none (which has none), got" in cli("reproduce", "rows", *words).err
    )


def test_the_published_size_is_a_method_s_own_unless_another_is_asked_for(plan):
    variant = Variant(preset="ms2l")
    own = begins_with(variant, sized(replace(plan, scaled=False), lambda what: None))
    assert own == replace(settings_of_preset("ms2l"), seed=plan.settings.seed, device=plan.settings.device)
    asked = begins_with(variant, replace(plan, scaled=False, sizes={"encoder.hidden_size": 24, "steps": 5}))
    assert (asked.encoder.hidden_size, asked.steps, asked.batch) == (24, 5, own.batch)
    small = begins_with(variant, sized(plan, lambda what: None))
    ours, theirs = flat(small), flat(settings_of_preset("ms2l-small"))
    assert {name for name in ours if ours[name] != theirs[name]} <= {*SIZES, "seed", "device"}
    assert [ours[name] for name in SIZES] == [flat(plan.settings)[name] for name in SIZES]


def test_precisions_stand_beside_each_other_and_no_paper(plan):
    told = reproduce("precision", plan, lambda what: None)
    assert list(told["rows"]) == ["float32", "bfloat16"]
    losses = [[run["loss"] for run in told["pretraining"][row]["joint"]] for row in told["rows"]]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert "As published" not in (plan.out / "precision.md").read_text()


def test_what_the_stores_do_not_serve_is_said(plan):
    told = reproduce("table9", plan, lambda what: None)
    assert told["not_served"] == ["detection mAP_a (VOC) %"]
    assert "Not served by the stores given: detection" in (plan.out / "table9.md").read_text()


def test_a_column_of_labels_that_nobody_asked_for_is_left_out_and_said(plan):
    told = reproduce("table2", replace(plan, seeds=1, rows=("PCM³",)), lambda what: None)
    assert told["columns"] == ["10 % (global) %", "10 % (stratified) %"]
    assert told["not_asked"] == ["1 % (global) %"]
    text = (plan.out / "table2.md").read_text()
    assert "Not asked for (subset.shares, subset.kinds): 1 % (global) %." in text
    assert "fewer clips than there are classes" in text, "what `evaluate` says of the figures"
    assert [text.count(f"- {note}\n") for note in told["notes"]] == [1] * len(told["notes"])


def test_few_labels_of_which_a_table_has_no_column_are_refused_before_anything_runs(plan):
    tasks = replace(plan.tasks, subset=SubsetSettings(shares=[0.01, 0.05], kinds=["stratified"]))
    expected = r"^--subset.shares, --subset.kinds: expected one .*10 % \(stratified\) %\), got shares 0.01, 0.05, strat"
    with pytest.raises(ConfigError, match=expected):
        reproduce("table2", replace(plan, tasks=tasks), lambda what: None)
    assert not plan.out.exists()


def test_the_paper_s_figures_stand_in_their_own_columns_where_one_before_is_not_served(plan, untrimmed):
    """Without untrimmed recordings Table 7 lacks detection, and the millimetres after it keep the paper's 101.7."""
    plan = replace(plan, seeds=1, rows=("PCM³",))
    told = reproduce("table7", plan, lambda what: None)
    assert told["columns"] == ["linear %", "1-NN %", "spatial occlusion %", "motion prediction mm"]
    (row,) = [line for line in as_markdown(told).splitlines() if line.startswith("| PCM³ |") and "(" in line]
    assert [cell.partition("(")[2].strip(") ") for cell in row.strip("| ").split("|")[1:]] == [
        "90.4", "88.8", "87.0", "101.7"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "dataset", "protocol", "row", "expected"),
    [
        ("table1", "utd-mhad", "xsub", "CMD", {"linear %": 79.8, "linear, their authors' head %": 79.8}),
        ("table1", "ntu60", "xview", "PCM³", {"linear %": 90.4, "linear, their authors' head %": 90.4}),
        ("table1", "ntu120", "xsub", "ISC", {"linear %": 67.1, "linear, their authors' head %": 67.1}),
        ("table1", "pkummd2", "xsub", "LongT GAN", {"linear %": 26.0, "linear, their authors' head %": 26.0}),
        ("table1", "ntu120", "xset", "MS²L", {}),
        ("table2", "utd-mhad", "xsub", "PCM³", {"1 % (global) %": 53.8, "10 % (global) %": 77.1}),
        ("table3", "ntu120", "xset", "HaLP", {"1-NN %": 59.0}),
        ("table4", "ntu60", "xview", "AimCLR", {"spatial %": 58.5, "temporal %": 58.6}),
        ("table5", "pkummd1", "xsub", "nothing learned", {"detection mAP_a (VOC) %": 29.6, "mAP_v (official) %": 28.2}),
        ("table6", "utd-mhad", "xsub", "nothing learned", {"motion prediction mm": 108.5}),
        ("table10", "utd-mhad", "xsub", "joints, 40 %", {"linear %": 89.5}),
    ],
)
def test_beside_our_figure_stands_the_paper_s_of_the_same_data_set_and_protocol_or_of_its_first(
    name, dataset, protocol, row, expected
):
    heads, beside = TABLES[name].beside(dataset, protocol, "nothing learned")
    assert beside[row] == expected
    assert set(expected) <= set(heads) <= {column.head for column in TABLES[name].columns}


def test_a_table_made_once_more_is_the_same_to_the_byte(plan):
    plan = replace(plan, seeds=1, rows=("HaLP",))
    reproduce("table3", plan, lambda what: None)
    files = [plan.out / f"table3.{ending}" for ending in ("json", "md")]
    first = [file.read_bytes() for file in files]
    reproduce("table3", plan, lambda what: None)
    assert [file.read_bytes() for file in files] == first
    assert json.loads(first[0])["pretraining"]["HaLP"]["joint"][0]["clips_per_s"] > 0
    text = first[1].decode()
    assert "encoder of 2 x" not in text, "no row of PCM³, whose encoder that would be"
    assert "(65.8)" in text, "the paper's HaLP on NTU 60 xsub"
    assert "In brackets: the paper's figures (1-NN %: NTU 60 xsub)." in text


def test_a_table_that_no_store_serves_is_refused_from_python_too(plan):
    with pytest.raises(ConfigError, match="all of table5 is of"):
        reproduce("table5", plan, lambda what: None)
    assert not (plan.out / "runs").exists()


def test_runs_of_equal_settings_have_one_place(plan):
    ours = run_folder(OURS, plan, 0)
    assert run_folder(Variant({"mask.ratio": plan.settings.method.mask.ratio}), plan, 0) == ours
    assert run_folder(TABLES["table10"].variants["parts, 60 %"], plan, 0) == ours
    plan = replace(plan, settings=PretrainSettings())
    without_prompts = run_folder(TABLES["table9"].variants["none"], plan, 0)
    assert run_folder(TABLES["table8"].variants["all, distillation"], plan, 0) == without_prompts
    assert len({run_folder(one, plan, 0) for one in TABLES["table8"].variants.values()}) == 6
    assert run_folder(OURS, replace(plan, protocol="all"), 0) != ours, "learned from other clips"


def test_only_what_a_task_goes_by_makes_it_judge_again(plan):
    """Settings of other tasks, and settings that later versions bring, leave evaluations as they are."""
    plan = replace(plan, rows=("PCM³",))
    reproduce("table3", plan, [].append)
    said = []
    reproduce("table3", replace(plan, tasks=replace(QUICK, head=LinearSettings(epochs=3))), said.append)
    assert not any(line.startswith("evaluate") for line in said)
    reproduce("table3", replace(plan, tasks=replace(QUICK, test=ClipSettings(crops=2))), said.append)
    assert sum(line.startswith("evaluate PCM³: retrieval") for line in said) == 1


def test_an_interrupted_table_goes_on(plan, monkeypatch):
    plan, plain, calls = replace(plan, seeds=1), module.evaluate, []

    def stop_at_third(*args, **named):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(*args, **named)

    monkeypatch.setattr(module, "evaluate", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        reproduce("table8", plan, lambda what: None)
    reproduce("table8", plan, lambda what: None)
    assert len(calls) == 3 + 4, "the two that were done are not done again"


def test_the_command_prints_the_table(cli, store_path, tmp_path):
    words = [
        "--store",
        store_path,
        "--out",
        tmp_path / "o",
        "--seeds",
        1,
        "--encoder.hidden_size",
        32,
        "--steps",
        1,
        "--batch",
        8,
    ]
    words += ["--workers", 1]
    found = cli("reproduce", "table3", *words, "--rows", "[pcm3]", "--json")
    assert found.code == 0, found.err
    assert "# table3: Retrieval" in found.out
    assert set(json.loads(found.out.splitlines()[-1])["rows"]) == {"PCM³"}
    assert cli("reproduce", "table11", *words).code == 2
    none = cli("reproduce", "table3", *words, "--rows", "[PCM4]")
    assert none.code == 2
    assert "--rows: expected a row that is run (LongT GAN, " in none.err
    assert "PCM³), got 'PCM4'" in none.err
    found = cli("reproduce", "table5", *words, "--untrimmed", store_path)
    assert found.code == 2
    assert "expected a store of untrimmed recordings, got one of trimmed clips" in found.err


def test_a_table_of_untrimmed_recordings_alone_is_refused_without_them_before_anything_runs(cli, store_path, tmp_path):
    found = cli("reproduce", "table5", "--store", store_path, "--out", tmp_path / "out", "--steps", 1)
    assert found.code == 2
    assert "--untrimmed: expected a store of untrimmed recordings, which all of table5 is of, got none" in found.err
    assert not (tmp_path / "out").exists()


def test_a_table_by_minutes_says_so_and_shows_sizes_that_were_chosen(plan, monkeypatch):
    monkeypatch.setattr(
        pretrain_module, "measure_pace", lambda store, of: 60 * sizes.SAFETY / 2.5
    )  # two steps a minute
    asked = changed(plan.settings, {"encoder.hidden_size": 0, "batch": 0, "steps": None, "epochs": 0, "minutes": 1.0})
    said = []
    told = reproduce("table3", replace(plan, settings=asked, seeds=1, rows=("PCM³",)), said.append)
    about = told["conditions"]
    assert (about["hidden_size"], about["batch"]) == (128, 9)
    assert (about["steps"], about["epochs"], about["minutes_a_run"]) == (None, None, 1.0)
    text = (plan.out / "table3.md").read_text()
    assert "2 x 128 units" in text
    assert "as many steps as fit into 1 minute a run of 9 clips" in text
    assert said[:2] == ["hidden_size 128: 18 clips are fewer than 10,000", "batch 9: half of the 18 clips"]
    (made,) = (plan.out / "runs").iterdir()
    assert made.name.startswith("pcm3-"), "what is chosen for all is no change of one"
    assert [run["steps"] for run in told["pretraining"]["PCM³"]["joint"]] == [2]


def test_what_a_preset_leaves_out_of_the_method_is_put_in_before_it_is_taken_apart():
    bare = PretrainSettings()
    method = bare.method
    method.objective.positives, method.prompts.kind = ["intra"], "none"
    method.objective.prediction_weight = method.objective.distillation_weight = 0.0
    full = with_all_parts(bare)
    assert (full.method.objective.positives, full.method.prompts.kind) == (
        ["intra", "inter", "mask", "predict"],
        "both",
    )
    assert full.method.objective.prediction_weight == full.method.objective.distillation_weight == 1.0
    assert with_all_parts(PretrainSettings()) == PretrainSettings(), "what has everything stays as it is"
    assert {name: table.all_parts for name, table in TABLES.items()} == {
        **{f"table{number}": "domain" for number in range(1, 7)},
        **{f"table{number}": "both" for number in range(7, 11)},
        "recipe": None,
        "precision": None,
    }
    assert with_all_parts(settings_of_preset("small"), "domain") == settings_of_preset("pcm3-small")
