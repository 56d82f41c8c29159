"""Models on the hub, tried against a folder in its place: only data goes there, and only data comes back."""

import json
import shutil
import sys

import huggingface_hub
import numpy as np
import pytest
from ntu_file_text import walkers

import pcm3
from pcm3.api.hub import is_hub_name
from pcm3.errors import CheckpointError


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder in the hub's place: models lie in it by their names."""
    place = tmp_path / "hub"

    class Api:
        def create_repo(self, name, private, exist_ok):
            (place / name).mkdir(parents=True)
            return f"https://hub/{name}"

        def upload_folder(self, repo_id, folder_path, commit_message):
            shutil.copytree(folder_path, place / repo_id, dirs_exist_ok=True)

    def snapshot_download(name, allow_patterns):
        if not (place / name).is_dir():
            raise ConnectionError("no such model\nmore about it")
        copy = tmp_path / "cache" / name
        copy.mkdir(parents=True)
        for file in (place / name).iterdir():
            if file.name in allow_patterns:
                shutil.copy(file, copy)
        return str(copy)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    return place


def test_what_is_pushed_is_loaded_again_and_holds_data_alone(cli, hub, finished_path):
    found = cli("push", finished_path, "org/walks", "--licence", "CC BY 4.0, of ours")
    assert (found.code, found.out) == (0, "https://hub/org/walks: the model and its page\n"), found.err
    assert {file.name for file in (hub / "org/walks").iterdir()} == {"model.safetensors", "model.json", "README.md"}
    assert json.loads((hub / "org/walks" / "model.json").read_text())["run"] is None
    (hub / "org/walks" / "evil.pkl").write_bytes(b"")
    model, ours = pcm3.load("org/walks"), pcm3.load(finished_path)
    assert model.spec == ours.spec
    clip = walkers(0, 30)
    np.testing.assert_array_equal(model.embed(clip), ours.embed(clip))
    assert {file.name for file in (hub.parent / "cache/org/walks").iterdir()} == {"model.safetensors", "model.json"}


def test_what_would_be_pushed_can_be_looked_at_first(cli, hub, finished_path, tmp_path):
    found = cli("push", finished_path, "org/walks", "--licence", "ours", "--out", tmp_path / "folder")
    assert found.code == 0, found.err
    assert (tmp_path / "folder" / "README.md").read_text().startswith("---\nlibrary_name: pcm3\n")
    assert not hub.exists()
    words = ["push", finished_path, "org/walks", "--licence", "ours", "--out"]
    assert cli(*words, tmp_path / "folder").code == 0
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "README.md").write_text("mine")
    found = cli(*words, tmp_path / "own")
    assert (found.code, "expected a new folder" in found.err) == (2, True), found.err
    assert (tmp_path / "own" / "README.md").read_text() == "mine"
    assert pcm3.load(tmp_path / "folder").width == pcm3.load(finished_path).width


def test_names_of_the_hub_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert is_hub_name("org/name")
    assert not any(map(is_hub_name, ["runs/a", "runs", "a/b/c", "../a", "/a/b", "a\\b", "simulated", ""]))


def test_a_hub_out_of_reach_is_told_in_one_line(cli, hub, finished_path, monkeypatch):
    with pytest.raises(CheckpointError, match=r"^org/none: nothing of that name is here, .* \(no such model\)$"):
        pcm3.load("org/none")

    def refuse(self, *given, **named):
        raise ConnectionError("cannot reach it\nbecause")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    found = cli("push", finished_path, "org/walks", "--licence", "ours")
    assert (found.code, found.err) == (
        2, "pcm3 push: org/walks: the hub did not take the model (cannot reach it)\n",
    )  # fmt: skip


def test_what_is_missing_is_told_in_one_line(cli, hub, finished_path, monkeypatch):
    nameless = cli("push", finished_path, "walks", "--licence", "x")
    assert "expected a name on the hub, org/name, got 'walks'" in nameless.err
    assert "required: licence" in cli("push", finished_path, "org/walks").err
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    found = cli("push", finished_path, "org/walks", "--licence", "ours")
    assert (found.code, found.err) == (
        2, "pcm3 push: org/walks: the hub needs huggingface_hub: pip install 'pcm3[hub]'\n",
    )  # fmt: skip
