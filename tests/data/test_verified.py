"""A store's bytes are verified once; what touched a file since is found by every command."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pcm3.data import verified
from pcm3.data.store import ClipStore
from pcm3.data.verified import FILE, check_unchanged
from pcm3.errors import DataError


@pytest.fixture
def path(store_path, tmp_path, monkeypatch):
    """A copy of the tiny store, long settled, and a cache of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(verified, "GRAIN", -60.0)  # or nothing of a test would be old enough to be remembered
    copy = Path(shutil.copytree(store_path, tmp_path / "store"))
    (copy / FILE).unlink(missing_ok=True)
    return copy


@pytest.fixture
def hashed(monkeypatch):
    """The names of the files that were read to their end, in order."""
    names, checksum = [], verified.file_checksum
    monkeypatch.setattr(verified, "file_checksum", lambda path: (names.append(path.name), checksum(path))[1])
    return names


def flip(file, place=-1):
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def evaluate_words(run, store):
    return ["evaluate", "retrieval", "--model", run, "--store", store, "--seeds", "1", "--device", "cpu"]


def test_what_was_verified_is_not_read_again(path, hashed):
    assert check_unchanged(ClipStore.open(path)) == []
    assert hashed == ["frames.npy", "clips.npz"]
    assert check_unchanged(ClipStore.open(path)) == []
    assert len(hashed) == 2


def test_what_was_written_just_now_is_read_again_since_clocks_are_coarse(path, hashed, monkeypatch):
    monkeypatch.setattr(verified, "GRAIN", 2.0)
    for _ in range(2):
        check_unchanged(ClipStore.open(path))
    assert hashed == ["frames.npy", "clips.npz"] * 2


@pytest.mark.parametrize("how", ["written", "time kept", "replaced", "swapped"])
def test_a_changed_byte_is_found_whatever_was_done_to_hide_it(path, hashed, how):
    check_unchanged(ClipStore.open(path))
    file = path / "frames.npy"
    about = file.stat()
    if how == "swapped":
        shutil.copy2(file, path / "other")
        flip(path / "other")
        os.utime(path / "other", ns=(about.st_atime_ns, about.st_mtime_ns))
        (path / "other").replace(file)
    elif how == "replaced":
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.unlink()
        file.write_bytes(data)
    else:
        flip(file)
    if how == "time kept":
        os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    for _ in range(2):  # and is not forgotten
        with pytest.raises(DataError, match=r"frames\.npy changed since the import \(the checksum differs\): import"):
            check_unchanged(ClipStore.open(path))


def test_a_store_that_is_put_back_is_sound_again(path):
    file = path / "frames.npy"
    whole = file.read_bytes()
    flip(file)
    with pytest.raises(DataError, match="changed since"):
        check_unchanged(ClipStore.open(path))
    file.write_bytes(whole)
    assert check_unchanged(ClipStore.open(path)) == []


def test_a_large_store_is_said_to_be_unverified_until_it_is_checked_and_read_when_it_is_touched(path, monkeypatch, cli):
    monkeypatch.setattr(verified, "AT_ONCE", 1e5)
    told = check_unchanged(ClipStore.open(path))
    assert told == [f"frames.npy never verified: pcm3 check {path} reads all bytes"]
    cli("check", path)
    assert check_unchanged(ClipStore.open(path)) == []
    flip(path / "frames.npy")
    for _ in range(2):
        with pytest.raises(DataError, match="changed since"):
            check_unchanged(ClipStore.open(path))


def test_a_store_that_cannot_be_written_is_remembered_in_the_cache_or_not_at_all(path, hashed, monkeypatch, tmp_path):
    write = verified.write_json
    refused = [path]

    def refuse(place, data):
        if any(place.is_relative_to(folder) for folder in refused):
            raise PermissionError(13, "Permission denied")
        write(place, data)

    monkeypatch.setattr(verified, "write_json", refuse)
    for _ in range(2):
        assert check_unchanged(ClipStore.open(path)) == []
    assert len(hashed) == 2
    assert not (path / FILE).exists()
    shutil.rmtree(tmp_path / "cache")
    refused.append(tmp_path / "cache")
    for _ in range(2):
        assert check_unchanged(ClipStore.open(path)) == []
    assert len(hashed) == 6


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', '{"files": {"frames.npy": 3}}', "[" * 9999])
def test_a_damaged_memory_is_no_memory(path, hashed, text):
    check_unchanged(ClipStore.open(path))
    (path / FILE).write_text(text)
    assert check_unchanged(ClipStore.open(path)) == []
    assert len(hashed) == 4


def test_an_edited_store_json_is_said_and_one_without_a_checksum_is_not(path, cli):
    file = path / "store.json"
    said = json.loads(file.read_text())
    assert "sha256" in said
    file.write_text(json.dumps(said | {"fps": 25.0}))
    assert check_unchanged(ClipStore.open(path)) == ["store.json changed since the import (its checksum differs)"]
    assert "store.json changed since the import" in cli("info", path).out
    found = {finding["name"]: finding for finding in cli("check", path, "--json").json["findings"]}
    assert not found["description"]["wrong"]
    del said["sha256"]
    file.write_text(json.dumps(said | {"fps": 25.0}))
    assert check_unchanged(ClipStore.open(path)) == []


@pytest.mark.parametrize("file", ["frames.npy", "clips.npz"])
def test_every_command_says_it_or_stops(cli, path, finished_path, run_path, tiny_words, tmp_path, file):
    if file == "frames.npy":
        flip(path / file)
    else:  # another table that opens
        import numpy as np

        with np.load(path / file) as archive:
            columns = dict(archive)
        np.savez(path / file, **columns | {"label": columns["label"][::-1]})
    for words in (evaluate_words(finished_path, path), ["pretrain", path, "--run", run_path, *tiny_words(steps=12)]):
        outcome = cli(*words)
        assert outcome.code == 2
        assert outcome.err.count("\n") == 1
        assert f"{file} changed since the import" in outcome.err
    assert cli("check", path).code == 1
    assert f"{file} changed since the import" in cli("info", path).out
    assert (
        f"{file} changed since the import" in cli("show", path, "0", "--frames", "0", "--out", tmp_path / "p.png").out
    )


def test_an_edited_store_json_stands_beside_the_figures(cli, path, finished_path, tmp_path):
    file = path / "store.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"kind": "mine"}))
    outcome = cli(*evaluate_words(finished_path, path), "--out", tmp_path / "results", "--json")
    assert "store.json changed since the import (its checksum differs)" in outcome.json["notes"]
