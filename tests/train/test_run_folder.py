import errno
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from pcm3.data.store import ClipStore
from pcm3.errors import CheckpointError, ConfigError
from pcm3.files import write_atomically, write_json
from pcm3.settings.pretrain import flat
from pcm3.train.pretrain import pretrain
from pcm3.train.run_folder import MAY_CHANGE, RunFolder, commit_of, locked


def one_line(text):
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


# Files that are whole or not there


def test_a_file_whose_writing_fails_is_as_it_was(tmp_path):
    path = tmp_path / "file"

    def fail(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomically(path, fail)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_flushed_to_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    order = []
    flush, rename = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("flush"), flush(handle))[1])
    monkeypatch.setattr(type(tmp_path), "replace", lambda *paths: (order.append("rename"), rename(*paths))[1])
    write_json(tmp_path / "file", {"one": "é"})
    assert order == ["flush", "rename"]
    assert json.loads((tmp_path / "file").read_text(encoding="utf-8")) == {"one": "é"}


# One process at a time


def test_a_folder_is_locked_until_its_block_ends_however_it_ends(tmp_path):
    folder = tmp_path / "a" / "b"

    def try_again_and_fail():
        with locked(folder):
            with pytest.raises(ConfigError, match="in use by another pcm3 process"), locked(folder):
                pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        try_again_and_fail()
    with locked(folder):
        pass


def test_a_second_command_on_the_folder_is_refused_and_changes_nothing(cli, run_path, store_path, tiny_words, content):
    before = content(run_path)
    with locked(run_path):
        found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=20))
    assert found.code == 2
    assert one_line(found.err)
    assert "in use by another" in found.err
    assert content(run_path) == before


def test_a_killed_process_leaves_no_lock(tmp_path):
    hold = (
        "import sys, time, pathlib, pcm3.train.run_folder as r\n"
        "with r.locked(pathlib.Path(sys.argv[1])):\n print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match="in use"), locked(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with locked(tmp_path):
            pass


@pytest.mark.parametrize("below", [".", "below"])
def test_a_run_folder_that_is_a_file_is_refused_and_stays(cli, store_path, tiny_words, tmp_path, below):
    file = tmp_path / "file"
    file.write_text("mine")
    found = cli("pretrain", store_path, "--run", file / below, *tiny_words())
    assert found.code == 2
    assert one_line(found.err)
    assert "expected a folder, but" in found.err
    assert file.read_text() == "mine"


# What a folder holds, and what may be done with it


def test_a_finished_run_folder_holds_what_its_docstring_says_and_no_more(finished_path):
    names = {path.name for path in finished_path.iterdir()} - {".lock", "loss.png", "results"}
    assert names == {
        "settings.json",
        "environment.json",
        "metrics.jsonl",
        "checkpoint.pt",
        "model.safetensors",
        "model.json",
    }


def test_settings_are_read_as_they_were_asked_for_with_nothing_left_on_auto(finished_path, tiny, store):
    settings, described = RunFolder(finished_path).read_settings()
    asked = flat(tiny())
    assert {name: value for name, value in flat(settings).items() if value != asked[name]} == {
        "protocol": "xsub",
        "threads": 1,
    }
    assert described == {"path": str(store.path), "kind": "npz", "clips": 24, "checksum": store.checksum}


def test_the_environment_tells_versions_and_command(finished_path):
    told = json.loads((finished_path / "environment.json").read_text())
    assert set(told["packages"]) == {"pcm3", "torch", "numpy", "lightning-fabric"}
    assert told["command"] == sys.argv
    assert told["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")


OTHER = [
    ("encoder.hidden_size", 16),
    ("seed", 1),
    ("batch", 4),
    ("stream", "bone"),
    ("protocol", "xview"),
    ("optimiser.lr", 0.5),
    ("views.crop", (0.2, 1.0)),
    ("objective.positives", ["intra"]),
    ("method", "cmd"),
]


@pytest.mark.parametrize(("name", "value"), OTHER, ids=[name for name, _ in OTHER])
def test_another_setting_is_refused_by_its_name_and_nothing_is_touched(run_path, store, tiny, content, name, value):
    before = content(run_path)
    with pytest.raises(ConfigError) as caught:
        pretrain(store, run_path, tiny({"steps": 20, name: value}), progress=False)
    shown = list(value) if isinstance(value, tuple) else value
    assert f"holds a run with {name}=" in str(caught.value)
    assert f"you asked for {shown}" in str(caught.value)
    assert content(run_path) == before


def test_several_other_settings_are_counted(run_path, store, tiny):
    with pytest.raises(ConfigError, match="and 2 more differ"):
        pretrain(store, run_path, tiny({"encoder.hidden_size": 16}, seed=3, batch=4), progress=False)


def test_settings_that_only_say_how_long_and_how_often_may_change(run_path, store, tiny):
    changes = {"epochs": 7, "steps": 12, "minutes": 10.0, "checkpoint_steps": 4}
    assert set(changes) == set(MAY_CHANGE) - {"tensorboard"}
    assert pretrain(store, run_path, tiny(changes), progress=False).steps == 12
    held = flat(RunFolder(run_path).read_settings()[0])
    assert {name: held[name] for name in changes} == changes


def test_other_data_is_refused_even_at_the_same_path(run_path, recordings, write_tiny, tiny, content, tmp_path):
    recordings[3].frames[5] += 0.001
    other = write_tiny(tmp_path / "other", recordings)
    before = content(run_path)
    with pytest.raises(ConfigError, match=r"holds a run on other data .*24 clips.* than .*other"):
        pretrain(other, run_path, tiny(steps=20), progress=False)
    assert content(run_path) == before


def test_the_same_data_at_another_path_is_the_same_data(run_path, store_path, tiny, tmp_path):
    moved = ClipStore.open(shutil.copytree(store_path, tmp_path / "moved"))
    assert pretrain(moved, run_path, tiny(steps=12), progress=False).steps == 12


def test_a_finished_run_again_says_that_nothing_was_left_and_changes_no_weight(
    cli, run_path, store_path, tiny_words, trace
):
    before = trace(run_path)
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words())
    assert found.code == 0
    assert "nothing was left to do" in found.out
    trace(run_path).assert_equals(before)


def test_a_finished_run_asked_for_fewer_steps_keeps_them_all(cli, run_path, store_path, tiny_words, trace):
    before = trace(run_path)
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=5))
    assert found.code == 0
    assert "10 steps" in found.out
    trace(run_path).assert_equals(before)


def test_a_finished_run_again_gives_json(cli, run_path, store_path, tiny_words):
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(), "--json")
    assert found.json["steps"] == 10
    assert found.json["clips_per_s"] == 0


def test_weights_without_settings_are_not_overwritten(run_path, store, tiny, content):
    (run_path / "settings.json").unlink()
    before = content(run_path)
    with pytest.raises(ConfigError, match=r"holds weights but no settings\.json"):
        pretrain(store, run_path, tiny(), progress=False)
    assert content(run_path) == before


def test_a_folder_with_no_run_in_it_may_become_one(store, tiny, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    pretrain(store, tmp_path, tiny(steps=1), progress=False)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"settings": {}}', '{"settings": 3, "store": {}}', "\udcff\udcfe"],
    ids=["empty", "cut", "list", "null", "no store", "no settings", "not UTF-8"],
)
def test_damaged_settings_are_told_in_one_line(cli, run_path, store_path, tiny_words, text):
    (run_path / "settings.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=20))
    assert found.code == 2
    assert one_line(found.err)
    assert "settings.json" in found.err


def test_a_run_of_a_method_that_is_not_known_is_told_as_such_and_nothing_is_lost(run_path, store, tiny, content):
    data = json.loads((run_path / "settings.json").read_text())
    data["settings"]["method"] = "later"
    (run_path / "settings.json").write_text(json.dumps(data))
    before = content(run_path)
    with pytest.raises(CheckpointError, match=r"settings.json: a run of the method 'later', and this pcm3 has pcm3, "):
        pretrain(store, run_path, tiny(), progress=False)
    assert content(run_path) == before


def test_settings_of_a_newer_version_are_refused(run_path, store, tiny):
    data = json.loads((run_path / "settings.json").read_text())
    data["settings"]["telepathy"] = True
    write_json(run_path / "settings.json", data)
    with pytest.raises((CheckpointError, ConfigError), match="telepathy"):
        pretrain(store, run_path, tiny(steps=20), progress=False)


@pytest.mark.parametrize(
    "line", ["not json\n", "{}\n", *(pytest.param(one, marks=pytest.mark.soak) for one in ("[]\n", "\x00\x00\x00\n"))]
)
def test_a_damaged_line_of_metrics_is_told_in_one_line_or_mended(cli, run_path, store_path, tiny_words, line):
    with (run_path / "metrics.jsonl").open("a") as file:
        file.write(line)
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=11))
    assert found.code == 0 or (found.code == 2 and one_line(found.err) and "metrics.jsonl" in found.err)


# Damage of the files that tell what a run is


def unsealed(run_path, change):
    """Changes settings.json as somebody does who takes its checksum out."""
    file = run_path / "settings.json"
    data = json.loads(file.read_text())
    del data["sha256"]
    change(data)
    file.write_text(json.dumps(data))


def test_settings_with_a_changed_digit_are_refused_and_taken_without_their_checksum(run_path, store, tiny):
    file = run_path / "settings.json"
    text = file.read_text()
    file.write_text(text.replace('"batch": 8', '"batch": 9'))
    with pytest.raises(CheckpointError, match=r"settings\.json: changed since it was written .* remove 'sha256'"):
        pretrain(store, run_path, tiny(steps=12), progress=False)
    file.write_text(text)
    unsealed(run_path, lambda data: data["settings"].update(batch=9))
    with pytest.raises(ConfigError, match="holds a run with batch=9, you asked for 8"):
        pretrain(store, run_path, tiny(steps=12), progress=False)
    unsealed_again = file.read_text().replace('"batch": 9', '"batch": 8')
    file.write_text(unsealed_again)
    assert pretrain(store, run_path, tiny(steps=12), progress=False).steps == 12


@pytest.mark.parametrize(
    ("name", "value"),
    [("encoder", {"hidden_size": "8"}), ("encoder", {"hidden_size": 8.5}), ("encoder", 8), ("frames", "8"),
     ("steps", [1]), ("minutes", "x"), ("stream", 3), ("views", 3), ("views", "crop"),
     ("views", {"crop": 3}), ("views", {"crop": [1]}), ("objective", None), ("positives", 3),
     ("optimiser", {"lr": "x"})],
)  # fmt: skip
def test_settings_of_another_type_are_named(run_path, name, value):
    unsealed(run_path, lambda data: data["settings"].update({name: value}))
    with pytest.raises(CheckpointError, match=r"settings\.json: damaged"):
        RunFolder(run_path).read_settings()


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{}", '{"settings": 3, "store": {}}', '{"settings": {}, "store": 3}', "[" * 9999]
)
def test_any_other_text_for_settings_is_one_line(run_path, text):
    (run_path / "settings.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"settings\.json: damaged"):
        RunFolder(run_path).read_settings()


SPOILT = [
    b"\xff\xfe\n", b"[" * 9999 + b"\n", b'{"step": true, "loss": 1}\n', b'{"step": 11, "loss": "x"}\n',
    b'{"step": 12, "loss": NaN}\n', b'{"step": -3, "loss": 1}\n', b'{"step": 5, "loss": 1.0}\n',
]  # fmt: skip


def test_damaged_lines_of_metrics_are_left_out_and_counted(run_path, store, tiny):
    file, said = run_path / "metrics.jsonl", []
    whole = file.read_bytes()
    file.write_bytes(whole + b"".join(SPOILT) + b'{"step": 99')  # the last is what a killed process leaves
    result = pretrain(store, run_path, tiny(steps=10), progress=False, log=said.append)
    assert said == [f"note: {len(SPOILT)} damaged lines of {file} are left out"]
    assert file.read_bytes() == whole
    assert result.loss == pytest.approx(json.loads(whole.splitlines()[-1])["loss"])


def of_an_earlier_version(data):
    """Settings as versions wrote them that had one method only."""
    settings = data["settings"]
    del settings["method"]
    encoder = settings.pop("encoder")
    settings |= {"hidden": encoder["hidden_size"], "layers": 1, "network": "gru", "sees": ["itself"], "leave_out": []}
    settings["views"]["frames"] = settings.pop("frames")


def test_a_run_of_an_earlier_version_is_told_with_its_version_and_nothing_is_lost(run_path, store, tiny, content):
    unsealed(run_path, of_an_earlier_version)
    about = json.loads((run_path / "environment.json").read_text())
    about["packages"]["pcm3"] = "0.1.7"
    (run_path / "environment.json").write_text(json.dumps(about))
    before = content(run_path)
    with pytest.raises(
        CheckpointError, match=r"settings\.json: written by an earlier pcm3 \(0\.1\.7\), .* choose another --run"
    ) as told:
        pretrain(store, run_path, tiny(), progress=False)
    assert "\n" not in str(told.value)
    assert content(run_path) == before


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [("encoder", "input_features", ["bone", "itself"]), ("objective", "export", "key"),
     ("objective", "prediction_error", "standardised"), ("views", "turn", 30.0)],
)  # fmt: skip
def test_a_run_whose_settings_have_words_of_before_is_told_todays(run_path, group, name, value):
    unsealed(run_path, lambda data: data["settings"][group].update({name: value}))
    with pytest.raises(CheckpointError, match=r"settings\.json: written by an earlier pcm3 .* is called .* now"):
        RunFolder(run_path).read_settings()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_the_commit_is_that_of_the_file_or_none(tmp_path):
    def git(*words):
        name = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    (tmp_path / "tracked.py").write_text("a = 1")
    (tmp_path / "installed.py").write_text("b = 1")
    git("init", "-q")
    git("add", "tracked.py")
    git("commit", "-qm", "first")
    assert commit_of(tmp_path / "tracked.py") == git("rev-parse", "HEAD").strip()
    assert commit_of(tmp_path / "installed.py") is None


def test_where_there_is_no_git_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path / "source.py") is None
