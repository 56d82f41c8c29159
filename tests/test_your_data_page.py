"""The page for any other data set, tried as a reader would try it."""

import re
from pathlib import Path

import numpy as np
import pytest
from ntu_file_text import walkers

from pcm3.data.changes import change_lines
from pcm3.data.importer import store_recordings
from pcm3.data.protocol import split
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError

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
    assert capsys.readouterr().out.startswith("6 clips [] ['")
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


def test_a_recording_that_is_wrong_is_left_out_with_its_reason(tmp_path):
    good = walkers(0, 5, 1, 20)
    made = [Recording("a", good), Recording("far", good * 1e5), Recording("other", walkers(0, 5)), Recording("z", good)]
    report = store_recordings(made, tmp_path / "s", layout="kinect_v1", fps=30.0)
    assert ClipStore.open(tmp_path / "s").ids.tolist() == ["a", "z"]
    (far, why), (other, what) = report.skipped
    assert (far, other) == ("far", "other")
    assert "expected metres" in why
    assert "expected frames (T, M, 20, C)" in what


def test_what_is_not_a_number_is_absent_and_filled_in(tmp_path):
    whole = walkers(3, 40, 1, 20)
    gappy = whole.copy()
    gappy[7:9, 0, 3] = np.nan
    gappy[20, 0, 0, 1] = np.nan
    about = {"layout": "kinect_v1", "fps": 30.0, "up": "y"}
    store_recordings([Recording("a", whole)], tmp_path / "whole", **about)
    store_recordings([Recording("a", gappy)], tmp_path / "gappy", **about)
    store = ClipStore.open(tmp_path / "gappy")
    assert np.abs(store.frames - ClipStore.open(tmp_path / "whole").frames).max() < 0.1
    assert (store.absent.tolist(), store.filled.tolist()) == ([0], [3])


@pytest.mark.parametrize("wrong", [{"bodies": 0}, {"bodies": -1}, {"fps": float("nan")}, {"fps": 0.0}, {"fill": -1.0}])
def test_numbers_that_make_no_sense_are_refused(tmp_path, wrong):
    name = next(iter(wrong))
    with pytest.raises(ConfigError, match=f"setting {name}: expected"):
        store_recordings(
            [Recording("a", walkers(0, 5))], tmp_path / "s", **{"layout": "kinect_v2", "fps": 30.0} | wrong
        )
    assert not (tmp_path / "s").exists()


def test_as_many_people_are_kept_as_were_recorded(tmp_path):
    about = {"layout": "kinect_v1", "fps": 30.0}
    two, three = walkers(0, 5, 2, 20), walkers(0, 5, 3, 20)
    store_recordings([Recording("a", two[:, :1]), Recording("b", two)], tmp_path / "s", **about)
    assert ClipStore.open(tmp_path / "s").bodies.tolist() == [[True, False], [True, True]]
    many = [Recording(f"r{k}", two) for k in range(60)]
    with pytest.raises(DataError, match=r"late: expected up to 2 bodies, .* got 3: say how many to keep \(bodies=3\)"):
        store_recordings([*many, Recording("late", three)], tmp_path / "late", **about)
    report = store_recordings([Recording("a", three)], tmp_path / "one", bodies=1, **about)
    store = ClipStore.open(tmp_path / "one")
    assert store.dropped.tolist() == [2]
    assert report.changes == ["1 of 1 clips have more than 1 bodies: 2 bodies are dropped, e.g. of a"]
    assert any("bodies are dropped" in line for line in change_lines(store))
    assert report.clips == 1


def test_what_is_wrong_with_a_recording_stops_a_strict_import_and_nothing_is_written(tmp_path):
    about = {"layout": "kinect_v1", "fps": 30.0, "strict": True}
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
    assert (report.clips, report.skipped) == (1, [("b", "missing skeleton: no body in any frame")])
