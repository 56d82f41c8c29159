"""MSRC-12: files written by the tests in the form of the data set."""

import numpy as np
import pytest
from ntu_file_text import walkers
from reading import assert_read_or_told

from pcm3.data.importer import import_recordings
from pcm3.data.protocol import split
from pcm3.data.readers import msrc12
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError

FRAMES = walkers(0, 3, 1, 20)
NAME = "P1_1_10A_p06.csv"
STEP = 33_333
"""Microseconds."""


def table(frames, first=1_000_000):
    rows = np.concatenate([frames[:, 0], np.ones((*frames.shape[::2][:1], 20, 1))], axis=-1).reshape(len(frames), 80)
    lines = [f"{first + STEP * t} " + " ".join(f"{x:.6f}" for x in row) for t, row in enumerate(rows)]
    return "\n".join(lines).encode() + b"\n"


def tags(frames, first=1_000_000):
    """Tags on those frames."""
    ticks = [(first + STEP * frame) * msrc12.TICKS // 1000 for frame in frames]
    return ("XQPCTick;Gesture\n" + "".join(f"{tick};change weapon\n" for tick in ticks)).encode()


def test_a_gesture_reaches_to_the_middles_between_tags():
    frames = walkers(0, 400, 1, 20)
    recording = msrc12.parse(NAME, table(frames), "tags", tags([100, 140, 300]))
    np.testing.assert_allclose(recording.frames, frames, atol=1e-6)
    assert [(i.start, i.stop, i.label) for i in recording.intervals] == [(40, 120, 9), (120, 201, 9), (240, 361, 9)]
    assert (recording.subject, recording.lost) == (6, ())


def test_a_gesture_reaches_as_far_as_is_asked(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / NAME).write_bytes(table(walkers(0, 300, 1, 20)))
    (tmp_path / "raw" / NAME.replace(".csv", ".tagstream")).write_bytes(tags([100, 140, 290]))
    stretches = {None: [(40, 120), (120, 201), (230, 300)], 0.5: [(85, 116), (125, 156), (275, 300)]}
    for seconds, expected in stretches.items():
        report = import_recordings(
            "msrc12", tmp_path / "raw", tmp_path / "store", reach=seconds, overwrite=True, progress=False
        )
        store = ClipStore.open(tmp_path / "store")
        assert [(start, start + length) for start, length in zip(store.start, store.length, strict=True)] == expected
        assert any(f"{60 if seconds is None else 15} frames at most" in note for note in report.notes)


def test_a_reach_that_cannot_be_is_told(tmp_path, cli):
    (tmp_path / "raw").mkdir()
    for seconds in (-1.0, 61.0, float("nan")):
        with pytest.raises(ConfigError, match="setting reach: expected seconds, 0 to 60, got"):
            import_recordings("msrc12", tmp_path / "raw", tmp_path / "store", reach=seconds, progress=False)
    found = cli("import", "sbu", tmp_path / "raw", tmp_path / "store", "--reach", "1")
    assert found.code == 2
    assert "setting reach: expected it with msrc12; sbu has no use for it" in found.err


def test_tags_outside_or_without_a_skeleton_are_lost_and_told():
    frames = walkers(0, 100, 1, 20)
    frames[:20] = 0
    recording = msrc12.parse(NAME, table(frames), "t.tagstream", tags([10, 50, 5000]))
    assert [(i.start, i.stop) for i in recording.intervals] == [(0, 100)]
    assert recording.lost == (
        ("t.tagstream tag 1", "no skeleton in its frame"),
        ("t.tagstream tag 3", "outside the recording"),
    )
    with pytest.raises(DataError, match="none of its 1 tags"):
        msrc12.parse(NAME, table(frames), "t", tags([5]))


def test_ticks_become_microseconds_by_whole_numbers():
    assert msrc12.parse_tags("t", b"XQPCTick;x\n49875;a\n24937;a\n24938;a\n").tolist() == [1000, 500, 500]


@pytest.mark.parametrize(
    ("name", "data", "tagged", "message"),
    [
        ("P1_1_13_p06.csv", b"", b"", "expected a class from 1 to 12, got 13"),
        ("P1.csv", b"", b"", "expected a name like P1_2_9A_p14.csv"),
        (NAME, b"1 2 3\n", b"", "line 1: expected a time and 80 numbers, got '1 2 3'"),
        (NAME, b"", b"", "line 1: expected a time and 80 numbers, got the end"),
        (
            NAME,
            table(walkers(0, 3, 1, 20)) + table(walkers(0, 1, 1, 20), 5),
            b"",
            "line 4: expected rising times, got 5",
        ),
        (NAME, table(FRAMES), b"head\nx;y\n", "line 2: expected tick;name, got 'x;y'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(name, data, tagged, message):
    with pytest.raises(DataError, match=message):
        msrc12.parse(name, data, "tags", tagged)


def test_damaged_files_are_data_errors_or_parse():
    whole, marked = table(walkers(0, 5, 1, 20)), tags([1, 3])
    assert_read_or_told(lambda data: msrc12.parse(NAME, data, "t", marked).frames, whole, 200, b" ")
    assert_read_or_told(lambda data: msrc12.parse(NAME, whole, "t", data).frames, marked, 200, b";")


def test_pairs_are_found_whatever_their_case(tmp_path):
    (tmp_path / "data").mkdir()
    for name, tagged in (("P2_1_2A_p12", "p2_1_2A_p12"), ("P1_1_3_p07", "P1_1_3_p07"), ("P1_1_3_p08", None)):
        (tmp_path / "data" / f"{name}.csv").write_bytes(table(walkers(0, 90, 1, 20)))
        if tagged:
            (tmp_path / "data" / f"{tagged}.tagstream").write_bytes(tags([30, 60]))
    (tmp_path / "data" / "P1_1_4_p09.tagstream").write_bytes(tags([30]))
    report = import_recordings("auto", tmp_path / "data", tmp_path / "store", progress=False)
    store = ClipStore.open(tmp_path / "store")
    assert (store.kind, report.recordings, report.clips) == ("msrc12", 2, 4)
    assert [len(side) for side in split(store, "xsub")] == [2, 2]
    assert sorted(reason for _, reason in report.skipped) == [
        "there is no .csv of its name",
        "there is no .tagstream of its name",
    ]
