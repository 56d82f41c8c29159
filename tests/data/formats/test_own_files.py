"""Files of one's own as a source: skeleton, unit, rate, labels and people, told or asked for."""

import zipfile

import numpy as np
import pytest
from ntu_file_text import skeleton_text, walkers
from reading import assert_read_or_told

from pcm3.data.archives import Entry
from pcm3.data.formats import npy
from pcm3.data.formats.joints import canonical
from pcm3.data.formats.motion_file import FileGroup
from pcm3.data.formats.scale import given_scale
from pcm3.data.importer import import_recordings
from pcm3.data.protocol import split
from pcm3.data.recording import UNKNOWN
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError


def save(path, seed=0, frames=12, scale=1.0, bodies=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, (scale * walkers(seed, frames, bodies, 20)).astype(np.float32))


def imported(source, target, **options):
    options = {"layout": "kinect_v1", "fps": 30.0, "progress": False} | options
    report = import_recordings("npy", source, target, **options)
    return ClipStore.open(target), report


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("HipLeft", "left_hip"),
        ("LHip", "left_hip"),
        ("L_Hip", "left_hip"),
        ("left hip", "left_hip"),
        ("lefthip", "left_hip"),
        ("mixamorig:LeftHip", "left_hip"),
        ("ShoulderCenter", "shoulder_centre"),
        ("HandTipRight", "right_hand_tip"),
    ],
)
def test_names_of_joints_are_the_same_however_they_are_spelled(name, same):
    assert canonical(name) == canonical(same)


def test_left_is_not_right():
    assert canonical("LHip") != canonical("RHip")
    assert canonical("Hip") != canonical("LHip")


@pytest.mark.parametrize(("scale", "told"), [(1, None), (100, "centimetres"), (1000, "millimetres")])
def test_the_unit_is_told_by_the_size_and_said(tmp_path, scale, told):
    for seed in range(3):
        save(tmp_path / "raw" / f"{seed}.npy", seed, scale=scale)
        save(tmp_path / "metres" / f"{seed}.npy", seed)
    store, report = imported(tmp_path / "raw", tmp_path / "store")
    other, _ = imported(tmp_path / "metres", tmp_path / "other")
    np.testing.assert_allclose(store.frames, other.frames, atol=1e-5)
    assert [note for note in report.notes if "taken for" in note and "--units" in note] == [
        note for note in report.notes if told and told in note
    ]


def test_a_unit_that_nobody_knows_is_asked_for_and_taken(tmp_path):
    save(tmp_path / "raw" / "a.npy", scale=18)
    with pytest.raises(DataError, match=r"in which unit are the coordinates\? .* --units"):
        imported(tmp_path / "raw", tmp_path / "store")
    store, report = imported(tmp_path / "raw", tmp_path / "store", units=str(1 / 18))
    assert 0.5 < np.ptp(store.frames, axis=2).max() < 3
    assert any("as given" in note for note in report.notes)
    assert (given_scale("mm"), given_scale("feet"), given_scale("0.5")) == (0.001, 0.3048, 0.5)
    with pytest.raises(ConfigError, match="setting units: expected metres"):
        imported(tmp_path / "raw", tmp_path / "other", units="yards")


def test_the_rate_and_the_skeleton_are_asked_for(tmp_path):
    save(tmp_path / "raw" / "a.npy")
    with pytest.raises(DataError, match="how many frames a second"):
        imported(tmp_path / "raw", tmp_path / "store", fps=None)
    with pytest.raises(DataError, match=r"which skeleton is it\? Its 20 joints .* --layout"):
        imported(tmp_path / "raw", tmp_path / "store", layout=None)
    with pytest.raises(DataError, match="expected 25 joints for layout 'kinect_v2', got 20"):
        imported(tmp_path / "raw", tmp_path / "store", layout="kinect_v2")


def test_folders_are_classes_people_are_told_by_names(tmp_path):
    for action in ("wave", "walk"):
        for person in (3, 7, 8):
            save(tmp_path / "raw" / action / f"s{person:02}_take.npy", person)
    store, report = imported(tmp_path / "raw", tmp_path / "store")
    assert store.classes == ("walk", "wave")
    assert sorted(zip(store.label.tolist(), store.subject.tolist(), strict=True)) == [
        (label, person) for label in (0, 1) for person in (3, 7, 8)
    ]
    assert [len(side) for side in split(store, "xsub")] == [4, 2]
    assert any("the folders are the classes" in note for note in report.notes)


def test_train_and_test_folders_make_a_protocol(tmp_path):
    for side, count in (("train", 3), ("test", 2)):
        for number in range(count):
            save(tmp_path / "raw" / side / "wave" / f"{side}{number}.npy", number)
            save(tmp_path / "raw" / side / "walk" / f"{side}{number}b.npy", number)
    store, _ = imported(tmp_path / "raw", tmp_path / "store")
    assert [len(part) for part in split(store, "split")] == [6, 4]
    assert store.classes == ("walk", "wave")


def test_words_in_names_are_classes_and_a_pattern_says_which(tmp_path):
    for person in ("anna", "bert"):
        for action in ("wave", "walk"):
            for take in (1, 2):
                save(tmp_path / "raw" / f"{person}_{action}_{take}.npy", take)
    store, report = imported(tmp_path / "raw", tmp_path / "store")
    assert store.classes == ()  # two words vary: which is the class cannot be known
    assert any("no labels" in note for note in report.notes)
    assert any("not told apart" in note for note in report.notes)
    store, report = imported(tmp_path / "raw", tmp_path / "other", pattern="{subject}_{label}_{}")
    assert store.classes == ("walk", "wave")
    assert sorted(set(store.subject.tolist())) == [1, 2]
    assert any("subjects by number: anna = 1, bert = 2" in note for note in report.notes)
    with pytest.raises(ConfigError, match="fits none of 8"):
        imported(tmp_path / "raw", tmp_path / "none", pattern="{label}-{subject}")
    with pytest.raises(ConfigError, match=r"expected fields .*, got 'who'"):
        imported(tmp_path / "raw", tmp_path / "none", pattern="{who}_{label}")


def test_a_table_gives_labels_people_and_intervals(tmp_path):
    for name in ("a", "b", "c"):
        save(tmp_path / "raw" / f"{name}.npy", frames=60)
    table = tmp_path / "labels.csv"
    table.write_text("File,label,subject\na.npy,wave,1\nb,walk,2\nraw/c.npy,wave,3\nother,walk,1\n")
    store, report = imported(tmp_path / "raw", tmp_path / "store", labels=str(table))
    assert store.label.tolist() == [1, 0, 1]
    assert store.subject.tolist() == [1, 2, 3]
    assert any("1 row names no recording, as 'other'" in note for note in report.notes)
    table.write_text("file;label;start;stop\na;wave;0.5;1\na;walk;1;1.5\nb;wave;0;9\nc;wave;7;9\n")
    store, report = imported(tmp_path / "raw", tmp_path / "spans", labels=str(table))
    assert store.ids.tolist() == ["a:15-29", "a:30-44", "b:0-59"]
    none = "no frame of the recording, which lasts 2 s"
    assert [pair for pair in report.skipped if pair[1] == none] == [
        ("b.npy (2 to 9 s)", none),
        ("c.npy (7 to 9 s)", none),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a table with the columns file,label"),
        ("name,label\na,b\n", "expected a table with the columns file,label.* got name,label"),
        ("file,label\nzzz,b\n", "expected the names of the recordings in the column 'file', like 'a', got 'zzz'"),
        ("file,label,start,stop\na,b,3,1\n", "line 2: expected start and stop in seconds, start first, got 3,1"),
        ("file,label,start,stop\na,b,x,1\n", "line 2: expected start and stop"),
        ("file,label\n", "expected rows below the names of the columns, got none"),
        ("file,label\na,b\na.npy,b\na,c\n", "line 4: expected one label for 'a', got 'b' and 'c': columns start,stop"),
    ],
)
def test_a_table_that_is_wrong_is_told_in_a_line(tmp_path, text, message):
    save(tmp_path / "raw" / "a.npy")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        imported(tmp_path / "raw", tmp_path / "store", labels=str(tmp_path / "labels.csv"))
    with pytest.raises(DataError, match="cannot be read"):
        imported(tmp_path / "raw", tmp_path / "store", labels=str(tmp_path / "none.csv"))


def test_one_that_cannot_be_read_is_skipped_and_a_pickle_refused(tmp_path):
    save(tmp_path / "raw" / "a.npy")
    np.save(tmp_path / "raw" / "b.npy", np.array([{"a": 1}], object))
    np.save(tmp_path / "raw" / "c.npy", np.zeros((3, 20)))
    store, report = imported(tmp_path / "raw", tmp_path / "store")
    assert store.ids.tolist() == ["a"]
    assert sorted(reason.split(": ", 1)[-1] for _, reason in report.skipped) == [
        "expected an array (T, V, 3) or (T, M, V, 3), got (3, 20)",
        "expected an array of numbers; it holds a pickle, which is not read",
    ]


def test_damaged_arrays_are_data_errors_or_parse(tmp_path):
    save(tmp_path / "a.npy", frames=3)
    whole = (tmp_path / "a.npy").read_bytes()

    def read(data):
        (tmp_path / "b.npy").write_bytes(data)
        return npy.read(FileGroup("b", (Entry(tmp_path / "b.npy"),)), Options()).frames

    assert_read_or_told(read, whole, 200)
    with pytest.raises(DataError, match="of the file's length"):
        read(whole.replace(b"(3, 1, 20, 3)", b"(3, 1, 20,30)"))


def test_files_of_one_name_in_several_folders_and_in_zips(tmp_path):
    for action in ("wave", "walk"):
        save(tmp_path / "raw" / action / "1.npy")
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        for file in sorted((tmp_path / "raw").rglob("*.npy")):
            archive.write(file, file.relative_to(tmp_path / "raw"))
    for source in ("raw", "raw.zip"):
        store, _ = imported(tmp_path / source, tmp_path / f"store-{source}")
        assert store.ids.tolist() == ["walk/1", "wave/1"]
        assert store.classes == ("walk", "wave")


def test_joints_of_zeros_or_nan_are_absent_and_filled(tmp_path):
    clip = walkers(0, 40, 1, 20)
    clip[5:7, 0, 7], clip[20:22, 0, 9] = np.nan, 0
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw" / "a.npy", clip)
    store, report = imported(tmp_path / "raw", tmp_path / "store")
    assert np.isfinite(store.frames).all()
    assert any(change.startswith("4 ") or " 4 " in change for change in report.changes), report.changes


def test_a_kinect_file_under_any_name_is_a_recording_without_label(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "mine.skeleton").write_text(skeleton_text(walkers(0, 40, 1, 25)))
    report = import_recordings("auto", tmp_path / "raw", tmp_path / "store", progress=False)
    assert report.notes[0] == "taken for skeleton: 1 of 1 files look so"
    assert ClipStore.open(tmp_path / "store").label.tolist() == [UNKNOWN]
