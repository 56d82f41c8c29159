"""Kinder-Gator: files written by the tests; the real ones where PCM3_DATA names them."""

import os
from pathlib import Path

import numpy as np
import pytest
from ntu_file_text import walkers
from reading import assert_read_or_told

from pcm3.data.importer import import_recordings
from pcm3.data.protocol import split
from pcm3.data.readers import kinder_gator as reader
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import DataError

NAME = "POSE-p565_12-Raise-your-other-hand-1469182422458.csv"


def text(frames):
    lines = [",".join(reader.HEADER) + ","]
    for number, frame in enumerate(frames[:, 0]):
        lines.append(",".join([f"{33.3 * number:.4f}", *(f"{x:.7g}" for x in frame.ravel()), "565", "Raise", ""]))
    return "\r\n".join(lines).encode()


def test_a_file_is_a_clip_with_class_and_person():
    frames = walkers(1, 6, 1, 20)
    recording = reader.parse(NAME, text(frames))
    np.testing.assert_allclose(recording.frames, frames, rtol=1e-6)
    assert reader.CLASSES[recording.label] == "raise your other hand"
    assert (recording.subject, recording.id) == (565, NAME.removesuffix(".csv"))
    assert reader.MERGED[reader.parse_merged(NAME, text(frames)).label] == "raise your hand"


def test_there_are_58_classes_48_merged_and_odd_spellings_are_known():
    assert len(set(reader.CLASSES)) == len(reader.CLASSES) == 58
    assert len(set(reader.MERGED)) == len(reader.MERGED) == 48
    data = text(walkers(1, 3, 1, 20))
    for name, action in (
        ("POSE-p1_01-Throw-a-ball--14.csv", "throw a ball"),
        ("POSE-p1_01-Climb-and-imaginary-ladder-14.csv", "climb an imaginary ladder"),
        ("POSE-p1_01-Make-the-letter-A-14.csv", "make the letter A"),
    ):
        assert reader.CLASSES[reader.parse(name, data).label] == action


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("POSE-p565_12-Fly-1.csv", b"", "expected one of the 58 actions, got 'Fly'"),
        ("pose.csv", b"", "expected a name like POSE-pID_ORDER-Action-TIME.csv"),
        (NAME, b"a,b\n", "line 1: expected the names of the columns"),
        (NAME, text(walkers(1, 0, 1, 20)), "line 2: expected a time and 60 coordinates, got the end"),
        (NAME, text(walkers(1, 3, 1, 20)) + b"\n1,2", "line 5: expected a time and 60 coordinates, got '1,2'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(name, data, message):
    with pytest.raises(DataError, match=message):
        reader.parse(name, data)


def test_damaged_files_are_data_errors_or_parse():
    assert_read_or_told(lambda data: reader.parse(NAME, data).frames, text(walkers(1, 4, 1, 20)), 300)


def test_an_import_has_its_three_protocols(tmp_path):
    (tmp_path / "raw").mkdir()
    for person in (103, 106, 565, 577):
        file = NAME.replace("565", str(person))
        (tmp_path / "raw" / file).write_bytes(text(walkers(person, 9, 1, 20)))
    report = import_recordings("auto", tmp_path / "raw", tmp_path / "store", progress=False)
    store = ClipStore.open(tmp_path / "store")
    assert store.kind == "kinder-gator"
    assert [len(side) for name in reader.PROTOCOLS for side in split(store, name)] == [2] * 6
    assert any("--labels merged" in note for note in report.notes)
    merged = import_recordings("kinder-gator", tmp_path / "raw", tmp_path / "m", labels="merged", progress=False)
    assert merged.clips == 4
    assert len(ClipStore.open(tmp_path / "m").classes) == 48
    with pytest.raises(DataError, match=r"expected labels of kinder-gator \(named, merged\), got 'x'"):
        import_recordings("kinder-gator", tmp_path / "raw", tmp_path / "m", labels="x", progress=False)


REAL = pytest.mark.skipif("PCM3_DATA" not in os.environ, reason="needs the real data set")


@pytest.mark.data
@REAL
def test_real_recordings_are_read():
    clips = reader.index(Path(os.environ["PCM3_DATA"]) / "kinder_gator", Options()).clips
    assert len(clips) == 1159
    some = [clip.read() for clip in clips[::60]]
    assert {clip.frames.shape[1:] for clip in some} == {(1, 20, 3)}
    assert all(np.isfinite(clip.frames).all() and clip.subject > 0 <= clip.label for clip in some)
    assert len({clip.label for clip in some}) > 5


@pytest.mark.soak  # two other real sets are imported whole
@pytest.mark.data
@REAL
def test_the_real_data_set_is_whole(tmp_path):
    source = Path(os.environ["PCM3_DATA"]) / "kinder_gator"
    report = import_recordings("kinder-gator", source, tmp_path / "store", progress=False)
    store = ClipStore.open(tmp_path / "store")
    assert report.clips == 1159
    assert [len(side) for side in split(store, "xsub")] == [579, 580]
    assert len(set(store.subject.tolist())) == 20
