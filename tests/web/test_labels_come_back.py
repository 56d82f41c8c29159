"""What is labelled on the page is learned from, and imported: by commands, as docs/EXPLORE.md says."""

import bvh_text
import numpy as np
import pytest

import pcm3
from pcm3.api import Recorded
from pcm3.api.given import given_clips, given_recordings
from pcm3.data.store import ClipStore
from pcm3.encoders.files import load_encoder
from pcm3.errors import ConfigError, DataError
from pcm3.web.labels import LabelBook, Stretch

ODD = ["knee, left", 'the "odd" one']
"""Labels that a careless table would not bring back."""


@pytest.fixture
def given(store, tmp_path):
    """The labels of three of the four people's clips of two classes, under other names."""
    book = LabelBook.open(tmp_path / "labels.csv")
    for label, name in enumerate(ODD):
        book.give(store.ids[(store.label == label) & (store.subject < 4)].tolist(), name)
    return book


def test_a_classifier_learns_from_the_pages_labels_of_a_store(cli, given, store, store_path, finished_path, tmp_path):
    found = cli("fit", "classifier", finished_path, store_path, "--labels", given.file, "--out", tmp_path / "head",
                "--json")  # fmt: skip
    assert found.code == 0, found.err
    assert f"note: labels.csv: labels of {len(given.given())} of the store's 24 clips" in found.out
    assert {name: told["clips"] for name, told in found.json["expected"]["by_class"].items()} == dict.fromkeys(ODD, 6)
    assert found.json["expected"]["people"] == 3
    head = pcm3.load_head(tmp_path / "head", device="cpu")
    assert head.classes == tuple(sorted(ODD))
    assert cli("classify", tmp_path / "head", store_path).code == 0
    one = pcm3.load(finished_path, device="cpu").fit_classifier(store, recorded=Recorded(labels=given.file))
    assert one.classes == head.classes


def test_labels_of_a_store_are_no_pattern_and_none_of_recordings(given, store, finished_path):
    _, spec = load_encoder(finished_path)
    with pytest.raises(ConfigError, match="pattern: expected with files, got a store"):
        given_clips(store, spec, Recorded(pattern="{label}"))
    with pytest.raises(ConfigError, match="expected with files or clips, got recordings of a store"):
        given_recordings(store, spec, Recorded(labels=given.file))
    labelled = given_clips(store, spec, Recorded(labels=given.file, fps=20.0))
    assert labelled.store.classes == tuple(sorted(ODD))
    assert len(labelled.notes) == 2


def test_files_are_imported_with_the_labels_that_the_page_gave_their_clips(cli, tmp_path):
    (tmp_path / "files" / "day 1").mkdir(parents=True)
    for number in range(4):
        text = bvh_text.text(frames=40 + number, scale=4.0)
        place = tmp_path / "files" / ("day 1" if number % 2 else ".")
        (place / f"walk, {number}.bvh").write_text(text)
    assert cli("import", "auto", tmp_path / "files", tmp_path / "store").code == 0
    ids = ClipStore.open(tmp_path / "store").ids.tolist()
    book = LabelBook.open(tmp_path / "labels.csv")
    book.give(ids[:2], ODD[0])
    book.give(ids[2:3], ODD[1])
    words = ("import", "auto", tmp_path / "files", tmp_path / "labelled", "--labels", book.file)
    assert cli(*words).code == 0
    again = ClipStore.open(tmp_path / "labelled")
    named = {name: again.classes[label] for name, label in zip(again.ids, again.label, strict=True) if label >= 0}
    assert named == book.given()
    assert len(again) == 4
    np.testing.assert_array_equal(again.frames, ClipStore.open(tmp_path / "store").frames)


def test_files_are_imported_with_the_parts_that_the_page_gave_labels(cli, tmp_path):
    (tmp_path / "files").mkdir()
    for number in range(2):
        (tmp_path / "files" / f"day {number}.bvh").write_text(bvh_text.text(frames=90, scale=4.0))
    assert cli("import", "auto", tmp_path / "files", tmp_path / "store").code == 0
    store = ClipStore.open(tmp_path / "store")
    book = LabelBook.open(tmp_path / "labels.csv")
    fps, parts = store.fps, [(3, 31, ODD[0]), (31, 80, ODD[1]), (82, 90, ODD[0])]
    book.mark(str(store.ids[1]), (), [Stretch(round(a / fps, 4), round(b / fps, 4), label) for a, b, label in parts])
    words = ("import", "auto", tmp_path / "files", tmp_path / "labelled", "--labels", book.file)
    assert cli(*words).code == 0
    again = ClipStore.open(tmp_path / "labelled")
    first = again.start - again.recordings.start[again.recording]
    assert again.recordings.ids[again.recording].tolist() == [str(store.ids[1])] * 3
    got = [
        (int(a), int(a + n), again.classes[label]) for a, n, label in zip(first, again.length, again.label, strict=True)
    ]
    assert got == parts


def test_labels_come_back_to_recordings_of_one_name_and_with_a_spreadsheets_commas(cli, tmp_path, monkeypatch):
    (tmp_path / "files" / "day 1").mkdir(parents=True)
    for place in ("walk.bvh", "day 1/walk.bvh"):
        (tmp_path / "files" / place).write_text(bvh_text.text(frames=60, scale=4.0))
    monkeypatch.chdir(tmp_path / "files")
    assert cli("import", "auto", ".", tmp_path / "store").code == 0
    ids = ClipStore.open(tmp_path / "store").ids.tolist()
    assert ids == ["day 1/walk", "walk"]
    table = tmp_path / "labels.csv"
    table.write_text("file;label;start;stop\n" + "".join(f"{name};{name};0,5;1,5\n" for name in ids), encoding="utf-8")
    assert len(LabelBook.open(table).stretches()) == 2
    assert cli("import", "auto", ".", tmp_path / "labelled", "--labels", table).code == 0
    again = ClipStore.open(tmp_path / "labelled")
    assert [again.classes[label] for label in again.label] == again.recordings.ids[again.recording].tolist() == ids
    assert again.length.tolist() == [30, 30]


def test_rows_of_parts_are_no_labels_of_whole_clips(given, store, finished_path):
    given.mark(str(store.ids[0]), (), [Stretch(0, 0.5, "another")])
    _, spec = load_encoder(finished_path)
    labelled = given_clips(store, spec, Recorded(labels=given.file))
    assert labelled.store.classes == tuple(sorted(ODD))
    assert any("rows of parts of recordings are left out (1)" in note for note in labelled.notes)
    book = LabelBook.open(given.file.with_name("parts.csv"))
    book.mark("a", (), [Stretch(0, 0.5, "another")])
    with pytest.raises(DataError, match="rows of parts of recordings alone"):
        given_clips(store, spec, Recorded(labels=book.file))
