"""The command line as a user meets it: help, mistakes, JSON, files."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from pcm3 import __version__
from pcm3.cli import COMMANDS
from pcm3.settings.presets import preset_names
from pcm3.settings.pretrain import flat
from pcm3.train.run_folder import RunFolder

COMMAND = Path(sys.executable).with_name("pcm3")


def run_command(*words, **more):
    return subprocess.run([COMMAND, *map(str, words)], capture_output=True, text=True, check=False, **more)


def assert_refused(found, *told):
    """Exit code 2, nothing on stdout, one line on stderr that says all this."""
    assert found.code == 2
    assert found.err.endswith("\n")
    assert found.err.count("\n") == 1
    assert "\r" not in found.err, "no progress bar either"
    assert found.err.startswith("pcm3")
    for part in told:
        assert part in found.err


# Help


def test_help_is_quick():
    """Quicker than Python with numpy alone, in seconds of the processor, whatever the machine and what else runs."""

    def seconds(*words):
        before = os.times()
        subprocess.run(words, check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    with_numpy = [sys.executable, "-c", "import numpy"]
    assert min(seconds(COMMAND, "--help") for _ in range(3)) < min(seconds(*with_numpy) for _ in range(3))


def test_help_and_the_package_itself_import_nothing_heavy():
    look = (
        "import sys; from pcm3.cli import main; import pcm3.skeleton, pcm3.errors, pcm3.settings.pretrain\n"
        "main(['--help'])\n"
        "main(['--version']); main(['pretrian'])\n"
        "heavy = {'torch', 'numpy', 'scipy', 'lightning_fabric', 'matplotlib', 'sklearn', 'jsonargparse'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_overview_names_every_command(cli):
    for words in ([], ["--help"], ["-h"], ["help"]):
        found = cli(*words)
        assert found.code == 0
        assert all(f"  {command} " in found.out for command in COMMANDS)
        assert found.err == ""
    assert cli("--version").out == f"pcm3 {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_its_arguments(cli, command):
    found = cli(command, "--help")
    assert found.code == 0
    assert found.err == ""
    assert f"pcm3 {command}" in found.out
    assert "--json" in found.out
    assert COMMANDS[command].split(":")[0].split(",")[0][:20] in " ".join(found.out.split())


@pytest.mark.parametrize("command", ["pretrain", "evaluate", "tune", "reproduce"])
def test_no_help_names_a_class_of_ours(cli, command):
    words = {"reproduce": ["rows"]}.get(command, [])
    assert not re.findall(r"\w*[a-z]Settings\b", cli(command, *words, "--help").out)


def test_pretrains_help_tells_every_setting_and_what_it_is(cli, tiny):
    out = " ".join(cli("pretrain", "--help").out.split())
    for name in flat(tiny()):
        assert f"--{name}" in out
    assert "number of frames that every crop is resampled to, at least 1" in out


# Mistakes


def test_an_unknown_command_is_told_the_nearest(cli):
    assert_refused(cli("pretrian"), "there is no command 'pretrian'", "did you mean pretrain?")
    assert_refused(cli("xyzzy", "--json"), "expected one of", "evaluate")


RUN, STORE, NONE, FILE = "{run}", "{store}", "{none}", "{file}"
NEW = "{new}"
MISTAKES = {
    "pretrain: no store": (["pretrain", NONE, "--run", NEW], ["expected a store"]),
    "pretrain: store is a file": (["pretrain", FILE, "--run", NEW], ["expected a store"]),
    "pretrain: store is a run": (["pretrain", RUN, "--run", NEW], ["expected a store, got a model", "--model"]),
    "pretrain: nothing": (["pretrain"], ["required", "store", "run"]),
    "pretrain: no --run": (["pretrain", STORE], ["required", "run", "--help"]),
    "pretrain: preset": (["pretrain", STORE, "--run", NEW, "--preset", "smal"], ["smal", "small", "released"]),
    "pretrain: preset=": (["pretrain", STORE, "--run", NEW, "--preset=huge"], ["huge", "small", "released"]),
    "pretrain: preset without a name": (["pretrain", STORE, "--run", NEW, "--preset"], ["preset"]),
    "pretrain: protocol": (["pretrain", STORE, "--run", NEW, "--protocol", "xsup"], ["did you mean 'xsub'?"]),
    "pretrain: setting": (["pretrain", STORE, "--run", NEW, "--hiden", "8"], ["did you mean --encoder.hidden_size?"]),
    "pretrain: dash": (["pretrain", STORE, "--run", NEW, "--checkpoint-steps", "8"], ["--checkpoint_steps?"]),
    "pretrain: leaf": (["pretrain", STORE, "--run", NEW, "--lr", "8"], ["did you mean --optimiser.lr?"]),
    "pretrain: group": (["pretrain", STORE, "--run", NEW, "--view.crop", "8"], ["did you mean --views.crop?"]),
    "pretrain: half a clip": (["pretrain", STORE, "--run", NEW, "--batch", "3.5"], ["batch", "whole number", "3.5"]),
    "pretrain: not a number": (
        ["pretrain", STORE, "--run", NEW, "--encoder.hidden_size", "wide"],
        ["hidden", "whole number"],
    ),
    "pretrain: no such choice": (["pretrain", STORE, "--run", NEW, "--stream", "bones"], ["stream", "'bone'"]),
    "pretrain: no sense": (["pretrain", STORE, "--run", NEW, "--frames", "0"], ["frames", "at least 1"]),
    "pretrain: no width": (["pretrain", STORE, "--run", NEW, "--encoder.hidden_size", "-1"], ["hidden", "at least 1"]),
    "pretrain: large batch": (["pretrain", STORE, "--run", NEW, "--batch", "64"], ["batch", "18", "64"]),
    "pretrain: no config": (["pretrain", STORE, "--run", NEW, "--config", NONE], ["config", "not exist"]),
    "pretrain: one word more": (["pretrain", STORE, "more", "--run", NEW], ["more"]),
    "pretrain: device": (["pretrain", STORE, "--run", NEW, "--device", "tpu"], ["device", "'cuda'"]),
    "evaluate: task": (["evaluate", "retreival", "--model", RUN, "--store", STORE], ["did you mean 'retrieval'?"]),
    "evaluate: nothing": (["evaluate"], ["required", "task"]),
    "evaluate: seeds": (["evaluate", "linear", "--model", RUN, "--store", STORE, "--seeds", "0"], ["seeds"]),
    "evaluate: half a seed": (["evaluate", "linear", "--model", RUN, "--store", STORE, "--seeds", "1.5"], ["seeds"]),
    "evaluate: no store": (["evaluate", "linear", "--model", RUN, "--store", NONE], ["expected a store"]),
    "evaluate: no model": (["evaluate", "linear", "--model", NONE, "--store", STORE], ["nothing is there"]),
    "evaluate: model is text": (["evaluate", "linear", "--model", FILE, "--store", STORE], ["released code"]),
    "evaluate: store as model": (["evaluate", "linear", "--model", STORE, "--store", STORE], ["pretrain first"]),
    "evaluate: protocol": (
        ["evaluate", "linear", "--model", RUN, "--store", STORE, "--protocol", "xviev"],
        ["did you mean 'xview'?"],
    ),
    "evaluate: device": (
        ["evaluate", "retrieval", "--model", RUN, "--store", STORE, "--device", "tpu"],
        ["device", "tpu"],
    ),
    "evaluate: head": (
        ["evaluate", "linear", "--model", RUN, "--store", STORE, "--head.epoch", "3"],
        ["did you mean --head.epochs?"],
    ),
    "info: no store": (["info", NONE], ["expected a store"]),
    "info: file": (["info", FILE], ["expected a store"]),
    "check: no store": (["check", NONE], ["expected a store"]),
    "import: kind": (["import", "ntu6", STORE, NEW], ["ntu60"]),
    "import: no source": (["import", "ntu60", NONE, NEW], ["{none}"]),
    "import: earlier name": (["import", "ntu60", STORE, NEW, "--leave_out", NONE], ["--skip_list now"]),
    "import: store is there": (["import", "ntu60", RUN, STORE], ["already exists"]),
    "benchmark: what": (["benchmark", "pretain"], ["did you mean 'pretrain'?"]),
    "benchmark: preset": (["benchmark", "pretrain", "--preset", "smal"], ["small"]),
    "benchmark: width": (["benchmark", "pretrain", "--hidden_size", "0"], ["hidden", "at least 1"]),
    "benchmark: precision": (
        ["benchmark", "pretrain", "--precision", "fp16", "--hidden_size", "8", "--batch", "4", "--steps", "1"],
        ["precision", "fp16"],
    ),
    "benchmark: no steps": (
        ["benchmark", "pretrain", "--steps", "0", "--hidden_size", "8", "--batch", "4", "--precision", "32"],
        ["steps", "at least 1"],
    ),
    "simulate: nobody": (["simulate", NEW, "--subjects", "0"], ["subjects"]),
    "simulate: form": (["simulate", NEW, "--form", "zip"], ["form", "'store'"]),
    "demo: steps": (["demo", "--folder", NEW, "--steps", "many"], ["steps", "whole number"]),
    "demo: no steps": (["demo", "--folder", NEW, "--steps", "0"], ["steps", "at least 1"]),
}


@pytest.mark.parametrize("mistake", [pytest.param(name, id=name.replace(" ", "-")) for name in MISTAKES])
def test_a_mistake_is_told_in_one_line_and_leaves_everything_as_it_was(
    cli, run_path, store_path, tmp_path, content, mistake
):
    words, told = MISTAKES[mistake]
    (tmp_path / "file").write_text("mine")
    places = {
        "run": run_path,
        "store": store_path,
        "none": tmp_path / "none",
        "file": tmp_path / "file",
        "new": tmp_path / "new",
    }
    before = content(tmp_path), content(store_path)
    found = cli(*(word.format(**places) for word in words))
    assert (content(tmp_path), content(store_path)) == before
    assert_refused(found, *(part.format(**places) for part in told))


def test_mistakes_look_the_same_to_a_shell(tmp_path):
    for words in (
        ("info", tmp_path / "none"),
        ("evaluat",),
    ):
        done = run_command(*words)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr


def test_a_store_of_a_newer_format_is_refused(cli, store_path, tmp_path, run_path):
    newer = Path(shutil.copytree(store_path, tmp_path / "newer"))
    described = json.loads((newer / "store.json").read_text())
    (newer / "store.json").write_text(json.dumps(described | {"format": 99}))
    for words in (
        ("pretrain", newer, "--run", tmp_path / "new"),
        ("evaluate", "retrieval", "--model", run_path, "--store", newer),
        ("info", newer),
        ("check", newer),
    ):
        assert_refused(cli(*words), "written by a newer pcm3", "update pcm3")


def test_a_store_that_does_not_fit_the_model_is_refused(cli, recordings, write_tiny, run_path, tmp_path):
    from pcm3.skeleton import load_layout

    for clip in recordings:
        object.__setattr__(clip, "frames", np.ascontiguousarray(clip.frames[:, :1, :20]))
    other = write_tiny(tmp_path / "other", recordings, bodies=1, layout=load_layout("kinect_v1")).path
    found = cli("evaluate", "retrieval", "--model", run_path, "--store", other)
    assert_refused(found, "layout kinect_v2", "kinect_v1")


def test_a_protocol_that_the_data_cannot_serve_is_refused(cli, recordings, write_tiny, tmp_path):
    for clip in recordings:
        object.__setattr__(clip, "camera", -1)
    blind = write_tiny(tmp_path / "blind", recordings).path
    found = cli("pretrain", blind, "--run", tmp_path / "new", "--batch", 8, "--protocol", "xview")
    assert_refused(found, "goes by camera", "no clip of the store has one")


@pytest.mark.parametrize("text", ["frames: [", "hiden: 3\n", "views: 3\n", "frames: wide\n", "[1, 2]\n", "\x00"])
def test_a_config_file_that_is_not_one_is_refused(cli, store_path, tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    found = cli("pretrain", store_path, "--run", tmp_path / "new", "--config", tmp_path / "c.yaml")
    assert_refused(found)
    assert not (tmp_path / "new").exists()


def test_an_interruption_is_told_in_one_line(cli, store_path, monkeypatch):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("pcm3.cli.info.run", interrupt)
    found = cli("info", store_path)
    assert (found.code, found.err.count("\n")) == (130, 1)


def test_a_reader_that_has_gone_is_no_error(store_path):
    with subprocess.Popen(
        [COMMAND, "info", store_path, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        told = process.stderr.read()
        process.wait()
    assert b"Traceback" not in told
    assert b"Exception ignored" not in told


# Settings: presets, files, words


def printed(cli, store_path, *words):
    found = cli("pretrain", store_path, "--run", "r", *words, "--print_config")
    assert found.code == 0
    return found.out


def settings_of(run):
    return flat(RunFolder(run).read_settings()[0])


def test_printed_settings_given_back_are_the_same_settings(cli, store_path, tmp_path):
    words = [
        "--encoder.hidden_size",
        "24",
        "--views.crop",
        "[0.3, 0.9]",
        "--optimiser.lr",
        "1e-4",
        "--objective.positives",
        "[mask]",
    ]
    text = printed(cli, store_path, *words)
    (tmp_path / "c.yaml").write_text(text)
    again = printed(cli, store_path, "--config", tmp_path / "c.yaml")
    assert again == text


@pytest.mark.parametrize("preset", ["released", "small"])
def test_printed_settings_of_a_preset_given_back_do_not_need_the_preset(cli, store_path, tmp_path, preset):
    text = printed(cli, store_path, "--preset", preset)
    (tmp_path / "c.yaml").write_text(text)
    again = printed(cli, store_path, "--config", tmp_path / "c.yaml")

    def kept(text):
        return [line for line in text.split("\n") if not line.startswith("preset:")]

    assert kept(again) == kept(text)


@pytest.mark.parametrize(
    "preset",
    [pytest.param(name, marks=() if name in ("small", "aimclr") else pytest.mark.soak) for name in preset_names()],
)
def test_every_preset_can_be_named_either_way(cli, store_path, preset):
    assert printed(cli, store_path, "--preset", preset) == printed(cli, store_path, f"--preset={preset}")


def test_words_overrule_the_file_and_the_file_overrules_the_preset(cli, store_path, tiny_words, tmp_path):
    words = [
        word for word in tiny_words() if not word.startswith(("--encoder.hidden_size", "--seed", "--optimiser.lr"))
    ]
    (tmp_path / "c.yaml").write_text("encoder:\n  hidden_size: 12\nseed: 5\noptimiser:\n  lr: 1e-3\n")
    found = cli("pretrain", store_path, "--run", tmp_path / "r", "--config", tmp_path / "c.yaml", *words, "--seed=6")
    assert found.code == 0
    held = settings_of(tmp_path / "r")
    assert (held["encoder.hidden_size"], held["seed"], held["optimiser.lr"]) == (12, 6, 1e-3)


def test_the_settings_of_a_run_are_those_of_its_command_line(cli, store_path, tiny, tiny_words, tmp_path):
    assert cli("pretrain", store_path, "--run", tmp_path / "r", *tiny_words()).code == 0
    assert settings_of(tmp_path / "r") == flat(tiny()) | {"protocol": "xsub", "threads": 1}


# The whole way


def test_pretraining_and_all_tasks_give_tables_files_and_json(
    cli, store_path, tiny_words, tmp_path, trace, finished_path
):
    run = tmp_path / "run"
    found = cli("pretrain", store_path, "--run", run, *tiny_words(), "--json")
    assert found.code == 0
    told = found.json
    assert (told["run"], told["clips"], told["steps"], told["epochs"]) == (str(run), 18, 10, 5.0)
    assert told["seconds"] > 0
    assert told["clips_per_s"] > 0
    assert "pcm3 evaluate linear-cached --model" in found.out
    assert matplotlib.image.imread(run / "loss.png").shape[0] > 100
    trace(run).assert_equals(trace(finished_path))

    short = ["--head.epochs", 2]
    for task, words in {"linear": short, "linear-cached": short, "retrieval": []}.items():
        found = cli("evaluate", task, "--model", run, "--store", store_path, *words, "--seeds", 2, "--json")
        assert found.code == 0
        told = found.json
        assert (told["task"], told["protocol"], told["train_clips"], told["test_clips"]) == (task, "xsub", 18, 6)
        assert told["top1"] == told["rows"][0]["top1"]
        assert [row["name"] for row in told["rows"]] == ["pretrained", "untrained encoder", "raw coordinates"]
        assert f"{told['top1']:.1f}" in found.out
        stem = run / "results" / f"{task}-xsub"
        assert told["written"] == [f"{stem}.json", f"{stem}.md", f"{stem}-confusion.png"]
        held = json.loads(Path(f"{stem}.json").read_text())
        assert {name: held[name] for name in held if name != "store"} == {
            name: told[name] for name in told if name != "written"
        }
        assert Path(f"{stem}.md").read_text().startswith(f"# {task}, npz xsub\n")
        assert matplotlib.image.imread(f"{stem}-confusion.png").shape[0] > 100


def test_results_go_where_they_are_asked_to_go(cli, run_path, store_path, tmp_path):
    base = ["evaluate", "retrieval", "--store", store_path, "--seeds", 1, "--json"]
    asked = cli(*base, "--model", run_path, "--out", tmp_path / "out" / "here")
    assert asked.json["written"][0] == str(tmp_path / "out" / "here" / "retrieval-xsub.json")
    weights = shutil.copy(run_path / "model.safetensors", tmp_path / "weights.safetensors")
    beside = cli(*base, "--model", weights)
    assert Path(beside.json["written"][0]).is_relative_to(tmp_path)
    assert Path(beside.json["written"][0]).name == "retrieval-xsub.json"
    assert cli(*base, "--model", weights, "--out", tmp_path / "o").json["written"][0].startswith(str(tmp_path / "o"))


def test_another_protocol_is_evaluated_when_asked_for_with_a_note(cli, run_path, store_path):
    found = cli(
        "evaluate",
        "retrieval",
        "--model",
        run_path,
        "--store",
        store_path,
        "--protocol",
        "xview",
        "--seeds",
        1,
        "--json",
    )
    assert (found.json["train_clips"], found.json["test_clips"]) == (16, 8)
    assert "note: " in found.out
    assert sum("was pretrained on the training side" in note for note in found.json["notes"]) == 1


def test_info_and_check_give_counts_and_leaks_as_json(cli, store_path, recordings, write_tiny, tmp_path):
    told = cli("info", store_path, "--json").json
    assert (told["clips"], told["classes"]) == (24, {"raise arm": 8, "nod": 8, "hand over": 8})
    sound = cli("check", store_path, "--json")
    assert sound.code == 0
    assert (sound.json["clips"], sound.json["leaks"]) == (24, [])
    object.__setattr__(recordings[12], "frames", recordings[0].frames)  # a test subject's clip is a training clip
    leaky = write_tiny(tmp_path / "leaky", recordings).path
    found = cli("check", leaky, "--json")
    assert found.code == 1
    assert [sorted(pair) for pair in found.json["leaks"]] == [["clip00", "clip12"]]


def test_json_is_the_last_line_of_a_real_process_too(store_path):
    done = run_command("info", store_path, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout.rstrip("\n").split("\n")[-1])["clips"] == 24


def test_a_switch_may_stand_alone():
    from pcm3.cli import import_
    from pcm3.cli.parse import parse

    def parsed(*words):
        return parse("import", "", import_.add_arguments, ["npz", "file", "store", *words])

    assert (parsed("--strict").strict, parsed("--strict", "--overwrite").overwrite) == (True, True)
    assert (parsed("--strict", "false").strict, parsed("--strict=false").strict, parsed().strict) == (
        False,
        False,
        False,
    )
    assert parsed("--overwrite", "--dtype", "float16").dtype == "float16"
