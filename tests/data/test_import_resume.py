"""An import that was killed goes on where it was, and comes to the same store as one that was not."""

import errno
import os
import shutil
import signal
import time
from contextlib import suppress

import pytest
from forks import fork, run_script
from ntu_file_text import skeleton_text, walkers

from pcm3.data import importer, store_writer
from pcm3.data.importer import import_recordings
from pcm3.data.progress import Progress, read_progress
from pcm3.data.store import ClipStore
from pcm3.errors import RunFailed

FILES = 120


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    for number in range(FILES):
        text = skeleton_text(walkers(number, 4, 1)) if number % 10 else "broken"
        (folder / f"S001C001P{1 + number:03}R001A001.skeleton").write_text(text)
    return folder


def run(source, store, **settings):
    return import_recordings("ntu60", source, store, progress=False, **settings)


def content(store):
    return {file.name: file.read_bytes() for file in store.iterdir()}


class Stop(KeyboardInterrupt):
    pass


@pytest.fixture
def stopped(raw, tmp_path, monkeypatch):
    """The folder of a store whose import was stopped by Ctrl-C when 64 files were done, having saved after 48."""
    monkeypatch.setattr(importer, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(importer, "CHUNK", 16)
    save = store_writer.StoreWriter.save

    def save_or_stop(self, done):
        if done == 64:
            raise Stop
        save(self, done)

    monkeypatch.setattr(store_writer.StoreWriter, "save", save_or_stop)
    with pytest.raises(Stop):
        run(raw, tmp_path / "s")
    monkeypatch.setattr(store_writer.StoreWriter, "save", save)
    return tmp_path / "s"


def test_what_was_done_is_not_done_again(raw, stopped, tmp_path):
    assert not stopped.exists()
    report = run(raw, stopped)
    whole = run(raw, tmp_path / "whole")
    assert (report.read, whole.read) == (FILES - 48, FILES)
    assert (report.clips, report.skipped) == (whole.clips, whole.skipped)
    assert len(report.skipped) == 12
    assert content(stopped) == content(tmp_path / "whole")
    assert [entry.name for entry in stopped.parent.iterdir() if entry.name.startswith(".")] == []


def test_work_goes_on_in_as_many_pieces_as_it_is_stopped(raw, stopped, tmp_path, monkeypatch):
    save = store_writer.StoreWriter.save
    for last in (80, 112):

        def save_or_stop(self, done, last=last):
            save(self, done)
            if done == last:
                raise Stop

        monkeypatch.setattr(store_writer.StoreWriter, "save", save_or_stop)
        with pytest.raises(Stop):
            run(raw, stopped)
    monkeypatch.setattr(store_writer.StoreWriter, "save", save)
    assert run(raw, stopped).read == FILES - 112
    run(raw, tmp_path / "whole")
    assert content(stopped) == content(tmp_path / "whole")


@pytest.mark.parametrize("change", ["settings", "a file", "another kind"])
def test_other_work_begins_anew(raw, stopped, change, tmp_path):
    source, settings = raw, {}
    if change == "settings":
        settings = {"dtype": "float16"}
    elif change == "a file":
        source = shutil.copytree(raw, tmp_path / "copy")
    kind = "ntu120" if change == "another kind" else "ntu60"
    report = import_recordings(kind, source, stopped, progress=False, **settings)
    assert report.read == FILES
    assert [entry.name for entry in stopped.parent.iterdir() if entry.name.startswith(".")] == []


def test_a_torn_last_line_is_cut_off(tmp_path):
    file = tmp_path / "progress.jsonl"
    progress = Progress(file, "work")
    progress.save({"done": 1})
    progress.save({"done": 2})
    whole = file.read_bytes()
    for cut in range(1, 12):
        file.write_bytes(whole[:-cut])
        assert read_progress(file, "work") == [{"done": 1}]
        Progress(file, "work").save({"done": 3})
        assert read_progress(file, "work") == [{"done": 1}, {"done": 3}]
    assert read_progress(file, "other work") == []
    assert read_progress(tmp_path / "none", "work") == []
    file.write_bytes(b"\0\0\0")
    assert read_progress(file, "work") == []


def test_a_full_disk_keeps_what_was_done_and_says_so(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(importer, "SAVE_SECONDS", 0.0)
    add, room = store_writer.StoreWriter.add, 70

    def add_while_there_is_room(self, clip):
        if len(self) >= room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(self, clip)

    monkeypatch.setattr(store_writer.StoreWriter, "add", add_while_there_is_room)
    with pytest.raises(RunFailed, match=r"No space left.*what was done is kept beside it: run again to go on"):
        run(raw, tmp_path / "s")
    monkeypatch.setattr(store_writer.StoreWriter, "add", add)
    assert run(raw, tmp_path / "s").read < FILES


SCRIPT = """
import sys
from pcm3.data import importer
if __name__ == "__main__":
    importer.SAVE_SECONDS, importer.CHUNK = 0.0, 4
    plain = importer._append
    def slow(*args):
        import time
        time.sleep(0.01)
        plain(*args)
    importer._append = slow
    importer.import_recordings("ntu60", sys.argv[1], sys.argv[2], progress=False)
"""


def _saved(folder):
    """How often an import to that folder has saved how far it came."""
    lines = 0
    with suppress(FileNotFoundError):  # it is removed at the end
        for file in folder.glob(".*/progress.jsonl"):
            lines += file.read_bytes().count(b"\n")
    return lines


def test_killed_again_and_again_it_comes_to_the_same_store(raw, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    store = tmp_path / "place" / "s"
    kills = 0
    while not store.exists():
        process = fork(run_script, str(script), str(tmp_path / "told"), str(raw), str(store))
        done = _saved(store.parent)
        while process.is_alive() and _saved(store.parent) < done + 3:  # however slow the machine is
            time.sleep(0.005)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        assert kills < FILES
    assert kills > 2
    run(raw, tmp_path / "whole")
    assert content(store) == content(tmp_path / "whole")
    assert ClipStore.open(store).report["clips"] == FILES - 12
    assert [entry.name for entry in store.parent.iterdir()] == ["s"]
