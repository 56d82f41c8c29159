"""The page for any other data set, tried as a reader would try it."""

import re
from pathlib import Path

import numpy as np
import pytest

from ntu_files import walkers
from pcm3.data.importer import store_recordings
from pcm3.data.protocol import split
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.errors import DataError

PAGE = Path(__file__).parents[1] / "docs" / "YOUR_DATA.md"


def test_the_reader_of_ten_lines_works_as_it_stands(tmp_path, monkeypatch, capsys):
    (tmp_path / "recordings").mkdir()
    for subject in (1, 2, 3):
        for action in ("wave", "walk"):
            frames = 1000 * walkers(subject, 30, 1, 20).reshape(30, 60)
            np.savetxt(tmp_path / "recordings" / f"{subject}_{action}.csv", frames, delimiter=",")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("from", "import", "CLASSES"))]
    assert len(lines) <= 10
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == "6 clips []\n"
    store = ClipStore.open(tmp_path / "stores" / "mine")
    assert store.ids.tolist()[:2] == ["1_walk", "1_wave"]
    assert [len(side) for side in split(store, "xsub")] == [4, 2]
    assert store.classes == ("wave", "walk")
    assert [entry.name for entry in (tmp_path / "stores").iterdir()] == ["mine"]


def test_untrimmed_recordings_of_ones_own_keep_their_intervals(tmp_path):
    made = [Recording("a", walkers(0, 50, 1, 20), intervals=(Interval(3, 20, 0), Interval(30, 50, 1)))]
    report = store_recordings(made, tmp_path / "s", layout="kinect_v1", fps=25.0, classes=["x", "y"])
    assert (report.clips, report.recordings) == (2, 1)
    assert ClipStore.open(tmp_path / "s").recordings.length.tolist() == [50]


def test_what_is_wrong_with_a_recording_stops_it_and_nothing_is_written(tmp_path):
    about = {"layout": "kinect_v1", "fps": 30.0}
    good = Recording("a", walkers(0, 5, 1, 20))
    with pytest.raises(DataError, match="a: expected an id for each recording, no two alike, got it twice"):
        store_recordings([good, good], tmp_path / "s", **about)
    with pytest.raises(DataError, match=r"b: frame 0, body 0, joint 0 \(0-based\): expected metres"):
        store_recordings([good, Recording("b", good.frames * 1e5)], tmp_path / "s", **about)
    with pytest.raises(DataError, match=r"b: expected frames \(T, M, 20, C\)"):
        store_recordings([good, Recording("b", walkers(0, 5))], tmp_path / "s", **about)
    with pytest.raises(DataError, match="no clip to store"):
        store_recordings([], tmp_path / "s", **about)
    assert list(tmp_path.iterdir()) == []


def test_a_recording_without_a_skeleton_is_left_out_and_said(tmp_path):
    made = [Recording("a", walkers(0, 5, 1, 20)), Recording("b", np.zeros((5, 1, 20, 3), np.float32))]
    report = store_recordings(made, tmp_path / "s", layout="kinect_v1", fps=30.0)
    assert (report.clips, report.left_out) == (1, [("b", "missing skeleton: no body in any frame")])
