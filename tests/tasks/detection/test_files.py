"""Detected actions as files that other evaluators read, and as a picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.data.names import own_file_name
from pcm3.report.timeline import class_colours, timelines
from pcm3.tasks.detection.average_precision import detection_metrics, segments
from pcm3.tasks.detection.files import write_segments

NAMES = {0: "0002-L", 3: "a/b é"}
found = st.lists(
    st.tuples(
        st.sampled_from([0, 3]), st.integers(0, 50), st.integers(0, 900), st.integers(1, 90),
        st.floats(0, 1, allow_subnormal=False),
    ).map(lambda row: (*row[:3], row[2] + row[3], row[4])),
    max_size=9,
)  # fmt: skip


def read_segments(folder, names):
    """What such files say of these videos."""
    rows = []
    for video, name in names.items():
        for line in (folder / f"{own_file_name(name)}.txt").read_text(encoding="utf-8").splitlines():
            label, start, stop, confidence = line.split(",")
            rows.append((video, int(label) - 1, int(start), int(stop), float(confidence)))
    return segments(rows)


@settings(deadline=None, max_examples=25)
@given(found)
def test_what_is_written_is_read_again(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("results")
    write_segments(folder, segments(rows), NAMES)
    read = read_segments(folder, NAMES)
    columns = (read.video, read.label, read.start, read.stop, read.confidence)
    assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == sorted(rows)


def test_the_files_are_those_of_the_official_script(tmp_path):
    rows = [(0, 4, 30, 45, 0.25), (0, 50, 3, 17, 0.5), (7, 0, 0, 9, 1.0)]
    write_segments(tmp_path / "new", segments(rows), {0: "0002-L", 1: "0003-M"})
    assert (tmp_path / "new" / "0002-L.txt").read_text() == "51,3,17,0.5\n5,30,45,0.25\n"
    assert (tmp_path / "new" / "0003-M.txt").read_text() == "", "a video in which nothing was found has a file, too"
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_the_truth_read_back_is_found_entirely(tmp_path):
    true = segments([(0, 1, 5, 35, 1.0), (0, 2, 60, 90, 1.0), (3, 0, 0, 8, 1.0), (3, 1, 8, 9, 1.0)])
    write_segments(tmp_path, true, NAMES)
    figures = detection_metrics(read_segments(tmp_path, NAMES), true, 0.5, 3)
    assert figures == pytest.approx(dict.fromkeys(figures, 100.0))


# The picture


def test_names_on_a_timeline_do_not_lie_on_each_other(tmp_path, monkeypatch):
    figures, rng = [], np.random.default_rng(0)
    monkeypatch.setattr("pcm3.report.timeline.save_figure", lambda figure, picture: figures.append(figure))
    begins = np.sort(rng.choice(2000, 120, replace=False))
    rows = [(0, int(rng.integers(20)), int(begin), int(begin) + 10, 0.5) for begin in begins]
    classes = [f"class {number}" for number in range(20)]
    timelines(segments([]), segments(rows), {0: "a"}, classes, {0: 70.0}, 30.0, tmp_path / "t.png")
    (figure,) = figures
    figure.draw_without_rendering()
    names = [text for text in figure.axes[0].texts if text.get_rotation()]
    middles = [text.get_transform().transform(text.get_position())[0] for text in names]
    slant = np.radians(names[0].get_rotation())
    names[0].set_rotation(0)
    assert len(names) > 20
    assert (np.diff(middles) * np.sin(slant) >= names[0].get_window_extent().height).all()
    told = {text.get_text() for text in figure.legends[0].texts} | {text.get_text() for text in names}
    assert {classes[row[1]] for row in rows} <= told, "a class without a name has its colour in the legend"


def test_a_timeline_is_drawn_of_many_classes_and_of_nothing(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(video, int(rng.integers(51)), 50 * n, 50 * n + 40, 0.5) for video in (0, 1) for n in range(40)]
    classes, seconds = [f"class {n}" for n in range(51)], {0: 70.0, 1: 70.0}
    timelines(segments(rows[::3]), segments(rows), {1: "b", 0: "a"}, classes, seconds, 30.0, tmp_path / "new" / "t.png")
    timelines(segments([]), segments([]), {0: "a"}, classes, seconds, 30.0, tmp_path / "empty.png")
    assert (tmp_path / "new" / "t.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "empty.png").stat().st_size > 1000


def test_classes_have_unlike_colours():
    colours = class_colours(60)
    apart = np.abs(colours[:, None] - colours).max(axis=-1)
    assert apart[~np.eye(60, dtype=bool)].min() > 0.02
    assert np.abs(np.diff(colours, axis=0)).max(axis=1).min() > 0.3
