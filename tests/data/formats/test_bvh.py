"""BVH files written by the tests: places against closed forms and pybvh, layouts, damage."""

import warnings

import numpy as np
import pytest
from bvh_text import BODY, text
from reading import assert_read_or_told

from pcm3.data.formats import bvh
from pcm3.data.importer import import_recordings
from pcm3.data.recordings import read_files
from pcm3.data.store import ClipStore
from pcm3.errors import DataError


def test_places_are_pybvhs(tmp_path):
    pybvh = pytest.importorskip("pybvh")
    (tmp_path / "a.bvh").write_text(text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pybvh.read_bvh_file(tmp_path / "a.bvh").joint_positions()
    ours = bvh.parse("a.bvh", text().encode())
    np.testing.assert_allclose(ours.frames[:, 0], theirs, atol=1e-4)
    assert ours.fps == 30


def test_position_channels_stand_for_the_offset_and_one_rotation_is_enough():
    content = """HIERARCHY
ROOT a {
OFFSET 7 7 7
CHANNELS 3 Xposition Yposition Zposition
JOINT b of two words
{
OFFSET 0 10 0
CHANNELS 2 Zrotation Yposition
JOINT c {
OFFSET 1 0 0
CHANNELS 0
End Site
{
OFFSET 0 0 1
}
}
}
}
MOTION
Frames: 1
Frame Time: 0.0083333
1 2 3 90 4
"""
    read = bvh.parse("a", content.encode())
    np.testing.assert_allclose(read.frames[0, 0], [[1, 2, 3], [1, 6, 3], [1, 7, 3]], atol=1e-12)
    assert (read.joints, read.parents, read.fps) == (("a", "b of two words", "c"), (0, 0, 1), 120)


def test_a_film_rate_stays_what_it_is():
    assert bvh.parse("a", text(fps=23.976).encode()).fps == pytest.approx(23.976, abs=1e-3)


def test_a_file_gives_its_layout_and_centimetres_are_told(tmp_path):
    (tmp_path / "walk.bvh").write_text(text(40, scale=3))
    files = read_files(tmp_path / "walk.bvh")
    layout = files.layout
    assert set(layout.joints) == {row[0] for row in BODY}
    assert len(layout.mirror) == 7
    assert [layout.joints[joint] for joint in layout.across] == ["LeftArm", "RightArm"]
    assert any("taken for centimetres" in note for note in files.notes)
    assert 1.2 < np.ptp(files.recordings[0].frames[0, 0], axis=0).max() < 2


def test_a_folder_of_bvh_becomes_a_store(tmp_path):
    for action in ("walk", "wave"):
        for person in (1, 2):
            (tmp_path / "raw" / action).mkdir(parents=True, exist_ok=True)
            (tmp_path / "raw" / action / f"p{person}.bvh").write_text(text(30, person, scale=3))
    (tmp_path / "raw" / "walk" / "p3.bvh").write_text(text(30, 3).replace("JOINT Neck", "JOINT Nose"))
    report = import_recordings("auto", tmp_path / "raw", tmp_path / "store", progress=False)
    store = ClipStore.open(tmp_path / "store")
    assert (len(store), store.classes, store.subject.tolist()) == (4, ("walk", "wave"), [1, 2, 1, 2])
    assert "1 of 19 are missing (Neck)" in report.skipped[0][1]
    assert report.notes[0].startswith("taken for bvh: 5 of 5 files")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("HIERARCHY", "HIER"), "line 1: expected HIERARCHY, got 'HIER'"),
        (("OFFSET 0 20 0", "OFFSET 0 20"), "line 8: expected OFFSET x y z"),
        (("CHANNELS 3 Z", "CHANNELS 4 Z"), "expected CHANNELS, their number and their names"),
        (("CHANNELS 3 Zrotation X", "CHANNELS 3 Wrotation X"), "expected CHANNELS, their number and their names"),
        (("JOINT Spine", "ROOT Spine"), "line 6: expected one ROOT, and each JOINT inside another"),
        (("Frames: 5", "Frames: 6"), "says 6 frames, but has 5 lines of numbers: is it whole"),
        (("Frame Time: 0.033333", "Frame Time: 0"), "expected the seconds of a frame, got 0"),
        (("MOTION", "MOTHION"), "expected a part of the hierarchy, got 'MOTHION'"),
        (("10.00000 95", "1e9 95"), "below a million"),
        (("10.00000 95", "x 95"), "expected a number, got 'x'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(change, message):
    assert change[0] in text()
    with pytest.raises(DataError, match=message):
        bvh.parse("a.bvh", text().replace(*change, 1).encode())


def test_damaged_files_are_data_errors_or_parse():
    assert_read_or_told(lambda data: bvh.parse("a.bvh", data).frames, text(3).encode(), 300, b" ")


def test_a_hierarchy_that_never_ends_is_refused():
    deep = "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n" + "JOINT b\n{\nOFFSET 0 0 0\n" * 100_000
    with pytest.raises(DataError, match="up to 1000 of them"):
        bvh.parse("a.bvh", deep.encode())
