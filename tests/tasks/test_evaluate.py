"""Every task behind `pcm3 evaluate`: one table, the baselines beside it, files and pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pcm3.data.recording import Interval, Recording
from pcm3.encoders.files import save_encoder
from pcm3.errors import CheckpointError, ConfigError, DataError
from pcm3.settings.tasks import (
    TASK_WORDS,
    DetectionSettings,
    FinetuneSettings,
    LinearSettings,
    PredictionSettings,
    SubsetSettings,
    TaskSettings,
)
from pcm3.tasks.evaluate import PRETRAINED, RAW, UNTRAINED, LoadedEncoder, evaluate, work
from pcm3.tasks.task_table import TASKS
from pcm3.train.pretrain import pretrain

pytestmark = pytest.mark.usefixtures("size_is_no_matter")

QUICK = TaskSettings(
    head=LinearSettings(epochs=2),
    finetune=FinetuneSettings(epochs=2, drop_epochs=[1]),
    subset=SubsetSettings(shares=[0.2, 0.5], kinds=["stratified"]),
    detection=DetectionSettings(epochs=2, windows=4, test_every=2, frames=8),
    prediction=PredictionSettings(seed_frames=12, predicted_frames=10, hidden_size=8, steps=4, test_every=2),
)
SMALL_DETECTION = ["--detection.epochs", 2, "--detection.windows", 2, "--detection.test_every", 2]
WORDS = [
    "--head.epochs", 2, "--finetune.epochs", 2, "--finetune.drop_epochs", "[1]", "--subset.shares", "[0.5]",
    *SMALL_DETECTION, "--prediction.seed_frames", 12, "--prediction.steps", 2, "--prediction.hidden_size", 8,
    "--seeds", 1, "--workers", 1,
]  # fmt: skip


@pytest.fixture
def untrimmed(recordings, write_tiny, tmp_path):
    """The tiny clips, six behind each other in a recording, with the classes of the first five told."""
    made = []
    for subject in (1, 2, 3, 4):
        mine = [clip for clip in recordings if clip.subject == subject]
        stops = np.cumsum([len(clip.frames) for clip in mine])
        marked = [
            Interval(int(stop) - len(clip.frames), int(stop), clip.label)
            for clip, stop in zip(mine[:5], stops, strict=False)
        ]
        frames = np.concatenate([clip.frames for clip in mine])
        made.append(Recording(f"r{subject}", frames, subject=subject, intervals=tuple(marked)))
    protocols = {"xsub": {"by": "subject", "train": [1, 2, 4]}}
    return write_tiny(tmp_path / "untrimmed", made, protocols=protocols)


def test_the_words_and_the_table_are_of_the_same_tasks():
    assert list(TASKS) == list(TASK_WORDS)


AGAIN = {task for task in TASKS if task.startswith(("linear", "semi-", "robustness"))}
"""Tasks that are run twice, in which heads, labels and noise are drawn; the others' bits have tests of their own."""


def test_raw_coordinates_may_be_left_out_and_change_nothing_of_the_rest(finished_path, store):
    words = {"settings": QUICK, "seeds": 1, "device": "cpu"}
    both, without = (evaluate("retrieval", [finished_path], store, "xsub", raw=raw, **words) for raw in (True, False))
    assert [row.to_dict() for row in without.rows] == [row.to_dict() for row in both.rows if row.name != RAW]
    assert {row.name for row in both.rows} == {PRETRAINED, UNTRAINED, RAW}


@pytest.mark.parametrize(
    "task", [pytest.param(task, marks=pytest.mark.soak if f"{task}-frozen" in TASKS else ()) for task in TASKS]
)
def test_every_task_stands_beside_its_baselines(finished_path, untrimmed, task):
    told = []
    found = evaluate(task, [finished_path], untrimmed, "xsub", QUICK, seeds=2, device="cpu", on_progress=told.append)
    names = [PRETRAINED, UNTRAINED, RAW, *TASKS[task].baselines]
    assert [row.name for row in found.rows] == names
    heads = 2 if TASKS[task].seeded else 1
    assert [len(row.values) for row in found.rows] == [heads, 2, heads, *(1 for _ in TASKS[task].baselines)]
    assert len(told) == work(task, 1, 2, QUICK)
    assert all(np.isfinite(value) for row in found.rows for values in row.metrics.values() for value in values)
    assert len(found.header) == len(found.table()[0]) == 1 + len(found.table_metrics)
    assert set(found.table_metrics) <= set(found.rows[0].metrics)
    told = json.loads(json.dumps(found.to_dict()))
    first = next(iter(found.rows[0].metrics))
    assert told[first] == pytest.approx(np.mean(told["rows"][0]["values"]))
    if task in AGAIN:
        again = evaluate(task, [finished_path], untrimmed, "xsub", QUICK, seeds=2, device="cpu")
        assert again.to_dict() == found.to_dict()


def test_detection_is_judged_on_recordings_and_the_rest_on_clips(finished_path, untrimmed):
    sizes = {}
    for task in ("detection-frozen", "linear-cached"):
        found = evaluate(task, [finished_path], untrimmed, "xsub", QUICK, seeds=1, device="cpu")
        sizes[found.what] = (found.train_clips, found.test_clips)
    assert sizes == {"recordings": (3, 1), "clips": (15, 5)}


def test_raw_coordinates_stand_beside_no_feature_of_a_frame(finished_path, untrimmed):
    told = []
    by_frame = replace(QUICK, detection=replace(QUICK.detection, feature="centre"))
    how = {"seeds": 1, "device": "cpu", "on_progress": told.append}
    found = evaluate("detection-frozen", [finished_path], untrimmed, "xsub", by_frame, **how)
    assert [row.name for row in found.rows] == [PRETRAINED, UNTRAINED]
    assert len(told) == work("detection-frozen", 1, 1, by_frame)
    assert any("raw coordinates have no feature of a frame" in note for note in found.notes)


def test_a_feature_that_an_encoder_lacks_is_refused_before_the_clips_are_looked_at(
    finished_path, untrimmed, tmp_path, monkeypatch
):
    spec = replace(LoadedEncoder.of(finished_path).spec, direction="bidirectional")
    save_encoder(tmp_path / "model", spec.build(0), spec)
    by_frame = replace(QUICK, detection=replace(QUICK.detection, feature="frame"))
    monkeypatch.setattr("pcm3.tasks.evaluate.check_unchanged", None)  # reads all of the store
    with pytest.raises(ConfigError, match="as the encoder's frames know later ones, got frame"):
        evaluate("detection-frozen", [tmp_path / "model"], untrimmed, "xsub", by_frame, seeds=1, device="cpu")


def test_a_trimmed_store_serves_no_detection(finished_path, store):
    with pytest.raises(DataError, match="untrimmed"):
        evaluate("detection", [finished_path], store, "xsub", QUICK, seeds=1, device="cpu")


def test_semi_supervised_figures_are_told_for_every_share_and_kind(finished_path, store):
    both = replace(QUICK, subset=SubsetSettings(shares=[0.2, 0.5]))
    found = evaluate("semi", [finished_path], store, "xsub", both, seeds=1, device="cpu")
    assert found.header == ["", "20 % global", "50 % global", "20 % stratified", "50 % stratified"]
    assert "best_top1_20pc_global" in found.to_dict()


def test_few_labels_on_frozen_features_are_told_alike(finished_path, store):
    few = replace(QUICK, subset=SubsetSettings(shares=[0.2], kinds=["stratified"]))
    found = evaluate("semi-frozen", [finished_path], store, "xsub", few, seeds=2, device="cpu")
    assert found.header == ["", "20 % stratified"]
    assert [row["name"] for row in found.to_dict()["rows"]][-2:] == ["untrained encoder", "raw coordinates"]


def test_all_runs_what_the_store_can_serve_and_says_what_it_cannot(cli, finished_path, store_path, tmp_path):
    words = ["--model", finished_path, "--store", store_path, "--out", tmp_path / "out", *WORDS, "--json"]
    found = cli("evaluate", "all", *words)
    assert found.code == 0, found.err
    told = json.loads(found.out.splitlines()[-1])
    assert set(told["not_served"]) == {"detection", "detection-frozen"}
    assert set(told["tasks"]) == set(TASK_WORDS) - set(told["not_served"])
    assert "not run: detection:" in found.out
    for task, result in told["tasks"].items():
        assert len(result["written"]) >= 2, task
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"linear-xsub-confusion.png", "occlusion-xsub-clips.png", "prediction-xsub-motion.png"} <= written


def test_what_detection_found_is_written_as_text_and_as_a_picture(cli, finished_path, untrimmed, tmp_path):
    words = [
        "--model",
        finished_path,
        "--store",
        untrimmed.path,
        "--out",
        tmp_path / "out",
        *SMALL_DETECTION,
        "--seeds",
        1,
    ]
    found = cli("evaluate", "detection-frozen", *words)
    assert found.code == 0, found.err
    assert [path.name for path in (tmp_path / "out" / "detection-frozen-xsub-found").iterdir()] == ["r3.txt"]
    assert (tmp_path / "out" / "detection-frozen-xsub-timeline.png").stat().st_size > 1000
    assert "3 training recordings, 1 test" in found.out


@pytest.mark.parametrize(
    "words",
    [("--finetune.lr", 0), ("--subset.shares", "[0]"), ("--detection.strides", "[3, 1]"), ("--prediction.steps", 0)],
    ids=str,
)
def test_settings_of_any_task_that_make_no_sense_are_bad_input(cli, finished_path, store_path, words):
    found = cli("evaluate", "linear-cached", "--model", finished_path, "--store", store_path, *words)
    assert found.code == 2
    assert f"setting {words[0].removeprefix('--')}: expected" in found.err


def test_settings_that_are_not_the_protocol_s_are_told_beside_the_figures(finished_path, store):
    found = evaluate("finetune", [finished_path], store, "xsub", QUICK, seeds=1, device="cpu")
    assert found.notes[0] == "not the protocol's settings: finetune.epochs 2 (80), finetune.drop_epochs [1] ([50, 70])"
    usual = evaluate("retrieval", [finished_path], store, "xsub", QUICK, seeds=1, device="cpu")
    assert usual.notes == []


def test_a_quick_look_says_that_it_is_one(cli, finished_path, store_path, tmp_path):
    words = ["--model", finished_path, "--store", store_path, "--out", tmp_path / "out", "--quick", "--workers", 1]
    found = cli("evaluate", "finetune", *words)
    assert found.code == 0, found.err
    assert "note: not the protocol's settings: finetune.epochs 10 (80)" in found.out
    assert "test; 1 seed\n" in found.out, "where no setting is otherwise, this alone tells it"
    found = cli("evaluate", "finetune", *words, "--finetune.epochs", 2, "--finetune.drop_epochs", "[1]", "--seeds", 2)
    assert "note: not the protocol's settings: finetune.epochs 2 (80), finetune.drop_epochs" in found.out
    assert found.out.count(" ± ") > 0  # two seeds were told, where a quick look has one


@pytest.mark.slow
def test_several_processes_come_to_the_same_figures(finished_path, untrimmed, two_processes):
    for task in ("finetune", "prediction"):
        alone = evaluate(task, [finished_path], untrimmed, "xsub", QUICK, seeds=2, device="cpu")
        shared = evaluate(task, [finished_path], untrimmed, "xsub", QUICK, seeds=2, device="cpu", map_fn=two_processes)
        assert alone.to_dict() == shared.to_dict()
        assert np.array_equal(alone.first.details.predicted, shared.first.details.predicted)


def test_a_number_of_workers_that_is_none_is_refused(cli, finished_path, store_path):
    found = cli("evaluate", "retrieval", "--model", finished_path, "--store", store_path, "--workers", 0)
    assert found.code == 2
    assert "setting workers: expected at least 1, got 0" in found.err


@pytest.mark.parametrize("task", ["linear-cached", "finetune", "detection", "prediction", "prediction-frozen"])
def test_bfloat16_is_all_but_the_same_and_is_told(finished_path, untrimmed, task):
    words = {"settings": QUICK, "seeds": 1, "device": "cpu", "baselines": 0}
    exact = evaluate(task, [finished_path], untrimmed, "xsub", **words)
    fast = evaluate(task, [finished_path], untrimmed, "xsub", precision="bf16", **words)
    assert "the encoders' products were of bfloat16" in fast.notes
    assert "the encoders' products were of bfloat16" not in exact.notes
    if task.startswith("prediction"):
        assert fast.rows[0].values == pytest.approx(exact.rows[0].values, rel=0.02)
        assert fast.rows[0].values != exact.rows[0].values


@pytest.mark.parametrize("label", [3, 20_000, -2, 2**31 - 2])
def test_a_label_that_no_class_has_stops_what_is_about_labels(
    cli, finished_path, recordings, write_tiny, tmp_path, label
):
    recordings[3] = replace(recordings[3], label=label)
    path = write_tiny(tmp_path / "s", recordings).path
    for task in ("retrieval", "linear-cached"):
        found = cli("evaluate", task, "--model", finished_path, "--store", path, "--out", tmp_path / "out")
        assert found.code == 2
        assert f"expected labels 0 to 2, of its classes, got others in 1 clip (clip03: {label})" in found.err


def test_runs_of_two_methods_have_no_mean(finished_path, store, tiny, tmp_path):
    pretrain(store, tmp_path / "moco", tiny({"method": "moco"}, steps=1), progress=False)
    with pytest.raises(CheckpointError, match=r"expected a run of the method pcm3 .* got one of moco: evaluate them"):
        evaluate("retrieval", [finished_path, tmp_path / "moco"], store, "xsub", seeds=1, device="cpu")
