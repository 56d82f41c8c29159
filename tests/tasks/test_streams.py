"""Three streams: pretrained by one command, judged and fused by one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pcm3.encoders.files import load_encoder
from pcm3.errors import CheckpointError
from pcm3.settings.tasks import TASK_WORDS, LinearSettings, TaskSettings
from pcm3.tasks.evaluate import PRETRAINED, RAW, UNTRAINED, evaluate
from pcm3.tasks.fusion import fused
from pcm3.tasks.streams import evaluate_streams, notes_of_streams, stream_runs, streams_of

QUICK = TaskSettings(head=LinearSettings(epochs=3))
STREAMS = ["joint", "bone", "motion"]


@pytest.fixture(scope="module")
def three(tmp_path_factory, store_path, tiny):
    """A folder with a run of each stream."""
    from dataclasses import replace

    from pcm3.data.store import ClipStore
    from pcm3.train.pretrain import pretrain

    folder = tmp_path_factory.mktemp("three")
    for name in STREAMS:
        pretrain(ClipStore.open(store_path), folder / name, replace(tiny(steps=3), stream=name), progress=False)
    return folder


def test_the_sum_of_three_streams_is_that_of_their_single_logits(three, store):
    found = evaluate_streams(
        "linear-cached", stream_runs([three]), store, "xsub", settings=QUICK, seeds=2, device="cpu"
    )
    assert [row.name for row in found.rows] == [PRETRAINED, UNTRAINED, RAW]
    alone = {
        name: evaluate("linear-cached", [three / name], store, "xsub", QUICK, seeds=2, device="cpu") for name in STREAMS
    }
    for seed in range(2):
        logits = {name: one.rows[0].results[seed].logits for name, one in alone.items()}
        summed = fused(logits, "logits", {"joint": 1.0, "bone": 1.0, "motion": 1.0})
        assert found.rows[0].values[seed] == pytest.approx(100 * np.mean(summed.argmax(axis=1) == found.target))
        for name in STREAMS:
            assert found.rows[0].metrics[f"top1_{name}"][seed] == alone[name].rows[0].values[seed]
    assert (found.name, found.task, found.streams) == ("linear-cached-streams", "linear-cached", tuple(STREAMS))
    assert found.header[1:3] == ["top-1 %", "logits .6 .6 .4 %"]
    assert found.what == "clips"


def test_one_command_pretrains_them_and_one_fuses_them(cli, store_path, tmp_path, tiny):
    words = [
        "--encoder.hidden_size",
        8,
        "--encoder.layers",
        1,
        "--batch",
        8,
        "--steps",
        2,
        "--objective.queue",
        64,
        "--prompts.width",
        4,
    ]
    found = cli("pretrain", store_path, "--run", tmp_path / "r", "--streams", "[joint,bone]", *words, "--json")
    assert found.code == 0, found.err
    assert set(json.loads(found.out.splitlines()[-1])) == {"joint", "bone"}
    assert list(streams_of(tmp_path / "r")) == ["joint", "bone"]
    assert load_encoder(tmp_path / "r" / "bone")[1].stream == "bone"
    words = ["--model", tmp_path / "r", "--store", store_path, "--seeds", 1, "--json"]
    found = cli("evaluate", "linear-cached", *words, "--head.epochs", 2)
    assert found.code == 0, found.err
    told = json.loads(found.out.splitlines()[-1])
    assert {"top1", "top1_logits_664", "top1_joint", "top1_bone"} <= set(told)
    assert (tmp_path / "r" / "results" / "linear-cached-streams-xsub-confusion.png").exists()
    found = cli("evaluate", "retrieval", *words)
    assert found.code == 2
    assert "streams can be fused in linear, linear-cached, finetune, not in retrieval" in found.err
    assert cli("pretrain", store_path, "--run", tmp_path / "x", "--streams", "[joint,speed]").code == 2


@pytest.mark.parametrize("preset", ["crossclr-small", "gl-transformer-small"])
def test_a_stream_that_the_method_cannot_have_is_refused_before_the_first_one_trains(cli, store_path, tmp_path, preset):
    words = ["--streams", "[joint,bone]", "--steps", 1, "--batch", 4]
    found = cli("pretrain", store_path, "--run", tmp_path / "r", "--preset", preset, *words)
    assert (found.code, found.out) == (2, "")
    assert "setting stream: expected joint for the method" in found.err
    assert not (tmp_path / "r").exists()


def test_folders_must_hold_the_same_streams(three, tmp_path):
    (tmp_path / "other" / "joint").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="expected the streams joint, bone, motion as in"):
        stream_runs([three, tmp_path / "other"])


def test_a_run_that_left_encoders_of_other_streams_is_its_main_one_unless_all_are_asked_for(three, at_once):
    run = at_once
    assert streams_of(run) == {}
    assert streams_of(run, of_run=True) == {"joint": run, "bone": run / "bone", "motion": run / "motion"}
    assert streams_of(three / "joint", of_run=True) == {}
    with pytest.raises(CheckpointError, match=r"expected the streams joint, bone, motion as in .*, got none"):
        stream_runs([run, three / "joint"], of_runs=True)


@pytest.fixture
def at_once(three, tmp_path):
    """The run of a method that leaves an encoder for each stream."""
    run = Path(shutil.copytree(three / "joint", tmp_path / "run"))
    for name in ("motion", "bone"):
        shutil.copytree(three / name, run / name)
    return run


def test_all_fuses_what_can_be_fused_and_says_what_cannot(cli, at_once, store_path, monkeypatch):
    few = {name: TASK_WORDS[name] for name in ("semi", "linear-cached")}
    monkeypatch.setattr("pcm3.settings.tasks.TASK_WORDS", few)
    words = ["--model", at_once, "--store", store_path, "--fuse", "true", "--seeds", 1, "--json"]
    found = cli("evaluate", "all", *words, "--head.epochs", 2)
    assert found.code == 0, found.err
    assert (list(found.json["tasks"]), list(found.json["not_served"])) == (["linear-cached"], ["semi"])
    assert "not run: semi: streams can be fused in linear, linear-cached, finetune, not in semi: leave" in found.out
    assert "test; 1 seed\n" in found.out
    alone = cli("evaluate", "semi", *words)
    assert (alone.code, alone.err.count("\n")) == (2, 1)
    assert "not in semi: leave out --fuse, and a run's main stream is evaluated" in alone.err


def test_a_note_that_not_every_stream_has_names_those_that_do():
    notes = {"joint": ["few clips", "one class"], "bone": ["few clips", "one class", "short"], "motion": ["few clips"]}
    assert notes_of_streams(notes) == ["few clips", "joint and bone: one class", "bone: short"]


def test_fusing_a_run_with_one_encoder_is_told(cli, three, store_path):
    told = cli("evaluate", "linear-cached", "--model", three / "joint", "--store", store_path, "--fuse")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert "--fuse: expected a run with encoders of several streams" in told.err
    assert "leave it out, or name a folder that pcm3 pretrain --streams" in told.err
