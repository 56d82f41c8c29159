"""Rows of several methods, rows learned on one store and tested on others, and tasks beside recognition."""

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml

from pcm3.cli.candidates import read_candidates, with_changes
from pcm3.cli.tune import read_search
from pcm3.data.merge import merge_stores
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError
from pcm3.experiments import trial as trial_module
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import flat
from pcm3.tasks.evaluate import RAW, UNTRAINED

QUICK = (
    "--head.epochs=2", "--head.drop_epochs=[1]", "--detection.epochs=1", "--detection.windows=2",
    "--detection.test_every=1", "--detection.frames=8", "--detection.drop_epochs=[]",
)  # fmt: skip
HEAD = ("--head.epochs=2", "--head.drop_epochs=[1]")
SHARED = {"frames": 8, "batch": 6, "epochs": 1, "encoder.hidden_size": 8}
SMALL_MOCO = {"preset": "moco-small", "objective.queue": 12, "objective.embedding": 8}


@pytest.fixture(scope="module", autouse=True)
def few_measurements():
    """What an evaluation is the mean over costs more than all else here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pcm3.tasks.few_labels.DRAWS", 1)
        yield


@pytest.fixture
def written(tmp_path):
    """Writes a file of rows."""

    def write(candidates, base=SHARED):
        file = tmp_path / "rows.yaml"
        file.write_text(yaml.safe_dump({"base": base, "candidates": {"methods": candidates}}))
        return file

    return write


def read(file, preset="small", **told):
    begins = settings_of_preset(preset)
    base = with_changes(begins, read_candidates(file, "pcm3")[0] | told, f"{file}: base")
    return base, read_search(file, base, begins)


def test_a_candidate_of_another_preset_has_what_the_base_tells_and_then_its_own(written):
    # The kind is told although the base's preset has it too: all rows are to have it.
    file = written({"MoCo": SMALL_MOCO, "deeper": {"encoder.layers": 2}}, SHARED | {"encoder.kind": "transformer"})
    base, (moco, deeper) = read(file, seed=3, steps=7, minutes=None)
    assert (moco.preset, deeper.preset) == ("moco-small", None)
    told, of_preset, of_base = flat(moco.settings), flat(settings_of_preset("moco-small")), flat(base)
    for name in (*SHARED, "encoder.kind", "seed", "steps", "minutes"):
        assert told[name] == of_base[name], name
    assert told["objective.queue"] == 12
    others = set(told) - set(SHARED) - set(SMALL_MOCO) - {"encoder.kind", "seed", "steps", "minutes"}
    assert all(told[name] == of_preset[name] for name in others)
    assert moco.changes == {name: value for name, value in SMALL_MOCO.items() if name != "preset"}
    assert flat(deeper.settings) == of_base | {"encoder.layers": 2}


BAD = {
    "no preset": ({"a": {"preset": "mocco"}}, SHARED, ["methods: a", "expected a preset", "'mocco'"]),
    "a setting that its method lacks": (
        {"a": {"preset": "moco-small", "mask.ratio": 0.5}}, SHARED, ["methods: a", "mask.ratio", "moco"],
    ),
    "a base that its method lacks": (
        {"a": {"preset": "moco-small"}}, {"mask.ratio": 0.5}, ["base", "methods: a", "mask.ratio", "here is moco"],
    ),
    "a method": ({"a": {"method": "moco"}}, SHARED, ["methods: a", "preset: NAME chooses the method"]),
}  # fmt: skip


@pytest.mark.parametrize(("candidates", "base", "words"), BAD.values(), ids=BAD)
def test_a_bad_row_of_another_method_is_told_in_one_line(candidates, base, words, written):
    with pytest.raises(ConfigError) as error:
        read(written(candidates, base))
    said = str(error.value)
    assert all(word in said for word in words), said
    assert "\n" not in said


@pytest.fixture
def other(recordings, write_tiny, tmp_path):
    """Clips of other people, a bit larger, on both sides of the same protocol."""
    return write_tiny(tmp_path / "other", [replace(clip, frames=clip.frames * 1.1) for clip in recordings]).path


def test_methods_stand_beside_each_other_each_over_its_own_untrained_encoder(cli, store_path, written, tmp_path):
    same = {"encoder.kind": "gru", "encoder.layers": 1, "encoder.pooling": "mean", "encoder.input_scale": "each"}
    rows = {
        "MoCo": SMALL_MOCO,
        "MoCo, wider": SMALL_MOCO | {"encoder.hidden_size": 12},
        "wider": {"encoder.hidden_size": 12},
    }
    file, out = written(rows, SHARED | same | {"encoder.input_features": ["joint"]}), tmp_path / "out"
    asked = ["reproduce", "rows", "--store", store_path, "--candidates", file, "--out", out, "--steps", 2, "--seeds", 1]
    found = cli(*asked, "--workers", 1, "--json")
    assert found.code == 0, found.err
    told = found.json["candidates"]
    assert {title: one["method"] for title, one in told.items()} == {
        "base": "pcm3", "methods: MoCo": "moco", "methods: MoCo, wider": "moco", "methods: wider": "pcm3",
    }  # fmt: skip
    wide = f"{UNTRAINED}, methods: MoCo, wider"
    assert {title: one["untrained"] for title, one in told.items()} == {
        "base": UNTRAINED, "methods: MoCo": UNTRAINED, "methods: MoCo, wider": wide, "methods: wider": wide,
    }  # fmt: skip
    assert list(found.json["baselines"]) == [UNTRAINED, RAW, wide]
    assert "preset moco-small, objective.embedding 8" in (out / "log.md").read_text()
    page = cli("reproduce", "page", "--logs", out, "--out", tmp_path / "page")
    assert page.code == 0, page.err
    text = (tmp_path / "page" / "BENCHMARK.md").read_text()
    learned = text.partition("Over its own encoder untrained")[2]
    assert all(f"| {title.rpartition(': ')[2]} | " in learned for title in told)


def test_what_was_learned_on_one_store_is_tested_on_others(cli, store_path, other, written, tmp_path):
    (tmp_path / "both").mkdir()
    both = merge_stores(
        {path.name: ClipStore.open(path) for path in (store_path, other)}, tmp_path / "both" / "store", "xsub"
    ).path
    file, out = written({"shear": {"views.shear": 0.0}}), tmp_path / "out"
    asked = ["reproduce", "rows", "--candidates", file, "--steps", 2, "--workers", 1, "--json"]
    found = cli(*asked, "--seeds", 2, "--store", store_path, other, "--learn", both, "--out", out)
    asked += ["--seeds", 1]
    assert found.code == 0, found.err
    assert len(list((out / "runs").iterdir())) == 4, "a run is learned once, and tested on every store"
    assert found.json["learned"] == str(both), "another store that is tested has its name"
    assert f"Learned from the training side of {both}" in (out / "log.md").read_text(encoding="utf-8")
    runs = found.json["candidates"]["methods: shear"]["runs"][0]
    assert sorted((run["store"], run["seed"]) for run in runs) == [(n, s) for n in ("other", "store") for s in (0, 1)]
    assert all((run["training_clips"], run["validation_clips"]) == (18, 6) for run in runs)
    alone = cli(*asked, "--store", other, "--learn", other, "--out", tmp_path / "a")
    usual = cli(*asked, "--store", other, "--out", tmp_path / "b")
    of = [
        [run["linear"] for one in told.json["candidates"].values() for run in one["runs"][0]] for told in (alone, usual)
    ]
    assert (alone.json["learned"], usual.json["learned"]) == ("other", None)
    assert of[0] == of[1], "learned from the store that is tested is what it always was"


def test_a_store_that_learned_from_the_test_clips_is_refused(
    cli, store_path, other, recordings, write_tiny, written, tmp_path
):
    turned = {"xsub": {"by": "subject", "train": [3]}}
    leaking = write_tiny(tmp_path / "leaking", recordings, protocols=turned).path
    asked = ["reproduce", "rows", "--candidates", written({}), "--steps", 2, "--out", tmp_path / "out"]
    found = cli(*asked, "--store", other, store_path, "--learn", leaking)
    assert found.code == 2
    assert (
        "store: expected test clips that leaking does not pretrain on, but 6 are among its training clips" in found.err
    )
    assert len(found.err.splitlines()) == 1


@pytest.fixture
def untrimmed(recordings, write_tiny, tmp_path):
    made = []
    for subject in (1, 2, 3, 4):
        mine = [clip.frames for clip in recordings if clip.subject == subject]
        marked = (Interval(0, len(mine[0]), 0), Interval(len(mine[0]), len(mine[0]) + 40, 1))
        made.append(Recording(f"r{subject}", np.concatenate(mine), subject=subject, intervals=marked))
    return write_tiny(tmp_path / "untrimmed", made, protocols={"xsub": {"by": "subject", "train": [1, 2, 4]}}).path


def test_further_tasks_are_evaluated_on_the_stores_that_serve_them(cli, store_path, untrimmed, written, tmp_path):
    file, out = written({}), tmp_path / "out"
    asked = [
        "reproduce",
        "rows",
        "--candidates",
        file,
        "--steps",
        2,
        "--seeds",
        1,
        "--workers",
        1,
        "--out",
        out,
        "--json",
    ]
    stores = ["--store", store_path, untrimmed, "--learn", store_path]
    assert cli(*asked, *stores).code == 0
    found = cli(*asked, *stores, "--tasks", "[occlusion-cached,detection-frozen]", *QUICK)
    assert found.code == 0, found.err
    for runs in (*found.json["baselines"].values(), found.json["candidates"]["base"]["runs"][0]):
        for run in runs["runs"] if isinstance(runs, dict) else runs:
            assert "occlusion-cached_top1_spatial" in run
            assert ("detection-frozen_map_a_voc" in run) == (run["store"] == "untrimmed")
    assert cli("reproduce", "page", "--logs", out, "--out", tmp_path / "page").code == 0
    heads = (tmp_path / "page" / "BENCHMARK.md").read_text()
    assert "| spatial occlusion % | temporal occlusion % | detection mAP_a % |" in heads
    page = (out / "log.md").read_text()
    assert "over stores, of one seed. Differences" in page
    assert "±" not in page, "of one seed there is no spread"
    assert "linear and 1-NN are linear-cached and retrieval by their defaults; the tasks asked for, by" in found.out
    assert re.search(
        r"1-NN \S+ %; tasks asked for: occlusion-cached spatial \S+ %, detection-frozen mAP_a VOC", found.out
    )
    assert "linear and 1-NN above are `linear-cached` and `retrieval` by their defaults." in page
    assert "|  | store | spatial % | temporal % | clean % | Δ % |" in page.partition("### occlusion-cached")[2]
    assert "### detection-frozen" in page
    assert "| base | untrimmed | " in page.partition("## detection-frozen")[2]
    assert "Not the protocols' settings: head.epochs 2 (100), " in page
    lacking = cli(*asked, "--store", store_path, "--tasks", "[detection-frozen]")
    assert "detection-frozen: expected a store with untrimmed recordings among those tested on, got none" in lacking.err
    assert "'dance'" in cli(*asked, *stores, "--tasks", "[dance]").err


def test_a_run_is_made_once_for_all_that_is_evaluated_and_leaves_no_weights(
    cli, store_path, other, written, tmp_path, monkeypatch
):
    plain, made = trial_module.pretrain_in, []
    monkeypatch.setattr(trial_module, "pretrain_in", lambda *given: made.append(given) or plain(*given))
    isc = {"preset": "isc-small", "objective.queue": 12, "second.hidden_size": 4, "second.channels": 4}
    file, out = written({"ISC": isc}, SHARED | {"encoder.input_features": ["joint"]}), tmp_path / "out"
    asked = ["reproduce", "rows", "--candidates", file, "--steps", 2, "--seeds", 1, "--workers", 1, "--out", out]
    found = cli(*asked, "--store", store_path, other, "--learn", store_path, "--tasks", "[robustness]", *HEAD, "--json")
    assert found.code == 0, found.err
    assert len(made) == 2, "the base and ISC, once each for two stores and two evaluations"
    assert [path.name for path in (out / "runs").rglob("*.safetensors")] == []
    for runs in (of["runs"][0] for of in found.json["candidates"].values()):
        assert all("robustness_top1_harmed" in run and run["training_clips"] == 18 for run in runs)
