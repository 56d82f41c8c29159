"""CSV and Parquet written by the tests: wide and long, named in several ways, with confidence, times and people."""

import io

import numpy as np
import pytest
from ntu_file_text import walkers
from reading import assert_read_or_told

from pcm3.data.formats import arrow_columns, csv_table, parquet
from pcm3.data.formats.columns import cell_word
from pcm3.data.formats.joints import layout_of
from pcm3.data.formats.table_text import table_text
from pcm3.data.importer import import_recordings
from pcm3.data.recordings import read_files
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v1")
FRAMES = walkers(3, 6, 1, 20).astype(np.float64)[:, 0]


def wide(frames, names=KINECT.joints, form="{}_{}", axes="xyz", before=(), divider=","):
    """A table of a row a frame, perhaps with columns (name, values) before the joints."""
    head = [name for name, _ in before] + [form.format(joint, axis) for joint in names for axis in axes]
    lines = [divider.join(head)]
    for number, frame in enumerate(frames):
        cells = [f"{values[number]}" for _, values in before] + [f"{x:.6f}" for x in frame.ravel()]
        lines.append(divider.join(cells))
    return "\n".join(lines) + "\n"


def parsed(text, layout=None):
    return csv_table.parse("a.csv", text.encode() if isinstance(text, str) else text, Options(layout))


@pytest.mark.parametrize("divider", [",", ";", "\t", " "])
@pytest.mark.parametrize("form", ["{}_{}", "{}.{}", "{}_pos_{}"])
def test_wide_tables_are_read_whatever_divides(form, divider):
    file = parsed(wide(FRAMES, form=form, divider=divider))
    assert file.joints == KINECT.joints
    np.testing.assert_allclose(file.frames[:, 0], FRAMES, atol=1e-6)


def test_camel_case_numbers_and_utf16():
    names = [joint.title().replace("_", "") for joint in KINECT.joints]
    text = wide(FRAMES, names).replace("_x", "X").replace("_y", "Y").replace("_z", "Z")
    np.testing.assert_allclose(parsed(text.encode("utf-16")).frames[:, 0], FRAMES, atol=1e-6)
    numbered = ",".join(f"{axis}{number}" for number in range(20) for axis in "xyz")
    text = "\n".join([numbered, *(",".join(f"{x:.6f}" for x in frame.ravel()) for frame in FRAMES)])
    assert parsed(text).joints == tuple(map(str, range(20)))


def test_what_spreadsheets_and_statistics_programs_write_is_read():
    european = wide(FRAMES, divider=";").replace(".", ",")
    np.testing.assert_allclose(parsed(european).frames[:, 0], FRAMES, atol=1e-6)
    head, first, *rest = wide(FRAMES).splitlines()
    for word in ("NA", "NaN", "null", "", "#N/A"):
        cells = first.split(",")
        cells[4] = word
        file = parsed("\n".join([head, ",".join(cells), *rest]))
        np.testing.assert_array_equal(
            np.isnan(file.frames).any(axis=(1, 3)), [[False, True, *[False] * 18], *[[False] * 20] * 5]
        )
    assert table_text("Müller".encode("cp1252")) == "Müller"
    assert table_text("Müller".encode()[:2], whole=False) == "M"
    assert table_text(b"a\0b") is None


def test_large_tables_are_read_as_small_ones_are(monkeypatch):
    pytest.importorskip("pyarrow")

    def either_way(text):
        told = []
        for large in (0, 2**30):
            monkeypatch.setattr(arrow_columns, "LARGE", large)
            try:
                table = csv_table.table("a.csv", text, {"id"})
            except DataError as error:
                told.append(str(error))
            else:
                told.append({name: [cell_word(cell) for cell in cells] for name, cells in table.items()})
        assert told[0] == told[1]
        return told[0]

    head = "id,who,head_x,note,count\n"
    text = '123456789012345678,"a, b",0.1,x,1\n123456789012345679,NA,,"two\nlines",2\n007,Müller,-1e-3, ,3\n'
    told = either_way(head + text)
    assert told["id"] == ["123456789012345678", "123456789012345679", "007"]
    assert (told["who"], told["head_x"], told["note"]) == (
        ["a, b", "", "Müller"],
        ["0.1", "", "-0.001"],
        ["x", "two\nlines", ""],
    )
    assert either_way(head + ",,,,\n" + text)["head_x"] == ["", *told["head_x"]]
    for more in ("1,2,3\n", "1,2,x,4,5\n", '"1,2,3,4,5\n', "1,2,3,4,5,\n", "\n1,2,1_0,4,5"):
        either_way(head + text + more)
    monkeypatch.setattr(arrow_columns, "LARGE", 0)
    assert (
        arrow_columns.columns_of_csv(head + text, ",", head.strip().split(","), ["7", "b", "1", "x", "1"], ())
        is not None
    )


def test_whole_numbers_of_parquet_that_are_names_keep_their_digits():
    arrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    names = [123456789012345678, None, 123456789012345679]
    held = io.BytesIO()
    write_table(arrow.table({"id": names, "who": arrow.array(["a", "b", None]).dictionary_encode()}), held)
    told = parquet.table("a.parquet", held.getvalue(), {"id", "who"})
    assert told == {"id": ["123456789012345678", "", "123456789012345679"], "who": ["a", "b", ""]}


def test_a_joint_by_another_name_is_told_with_the_nearest_one_and_the_likely_layout():
    names = [joint.replace("left_elbow", "lft_elbw") for joint in KINECT.joints]
    told = "which skeleton is it\\? expected the joints of layout 'kinect_v1', but 1 of 20 are missing \\(left_elbow\\)"
    with pytest.raises(DataError, match=f"{told}; the nearest to 'left_elbow' is 'lft_elbw'; .* rename them, or give"):
        layout_of("a.csv", parsed(wide(FRAMES, names)), None)


def test_long_tables_become_wide():
    lines = ["frame,joint,x,y,z,score"]
    for number, frame in enumerate(FRAMES):
        lines += [f"{number},{joint},{x},{y},{z},0.9" for joint, (x, y, z) in zip(KINECT.joints, frame, strict=True)]
    del lines[5]
    file = parsed("\n".join(lines))
    assert file.joints == (*tuple(joint for joint in KINECT.joints if joint != "left_shoulder"), "left_shoulder")
    assert np.isnan(file.frames[0, 0, -1]).all()
    assert np.nanmax(np.abs(file.frames[1:, 0, 0] - FRAMES[1:, 0])) < 1e-6
    assert np.nanmax(file.scores) == 0.9


@pytest.mark.parametrize(
    ("column", "values", "fps"),
    [
        ("time", np.arange(6) / 25, 25),
        ("timestamp", 1000 + np.arange(6) * 33.3, 30),
        ("timestamp_us", np.arange(6) * 8333, 120),
        ("frame", np.arange(6), None),
    ],
)
def test_times_tell_the_rate(column, values, fps):
    file = parsed(wide(FRAMES, before=[(column, values)]))
    assert file.fps == fps
    assert bool(file.notes) == (fps is not None)


def test_people_have_slots():
    two = np.repeat(FRAMES, 2, axis=0)
    two[1::2] += 1
    text = wide(two[:-1], before=[("frame", np.repeat(np.arange(6), 2)), ("person", ["anna", "bert"] * 6)])
    file = parsed(text)
    assert file.frames.shape == (6, 2, 20, 3)
    np.testing.assert_allclose(file.frames[:, 0], FRAMES, atol=1e-6)
    assert np.isnan(file.frames[5, 1]).all()


def test_two_dimensions_are_a_picture_with_y_upwards(tmp_path):
    pixels = FRAMES[..., :2] * [300, -300] + [640, 360]
    file = parsed(wide(pixels, axes="xy"))
    np.testing.assert_allclose(file.frames[:, 0, :, 1], -pixels[..., 1], atol=1e-6)
    assert (file.unit, np.ptp(file.frames[..., 2])) == ("pixels", 0)
    (tmp_path / "a.csv").write_text(wide(pixels, axes="xy"))
    files = read_files(tmp_path / "a.csv", Options(fps=30.0))
    assert np.ptp(files.recordings[0].frames[:, 0], axis=1).max() == pytest.approx(1.7, rel=0.1)
    assert any("positions in a picture: " in note and "y upwards" in note for note in files.notes)


def test_joints_below_the_threshold_are_absent(tmp_path):
    sure = np.full((6, 20, 1), 0.9)
    sure[2, 3] = 0.2
    text = wide(np.concatenate([FRAMES, sure], axis=-1), axes=("x", "y", "z", "visibility"))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.csv").write_text(text)
    (recording,) = read_files(tmp_path / "raw", Options(fps=30.0)).recordings
    assert np.argwhere(~recording.present).tolist() == [[2, 0, 3]]
    import_recordings("csv", tmp_path / "raw", tmp_path / "s", fps=30.0, min_score=0.1, fill=0.0, progress=False)
    assert ClipStore.open(tmp_path / "s").absent.tolist() == [0]


@pytest.mark.parametrize("sure", ["v", "visibility", "score_"])
def test_mediapipes_columns_are_known(tmp_path, sure):
    body = walkers(1, 6, 1, 33).astype(np.float64)[:, 0]
    body -= body[:, [23, 24]].mean(axis=1, keepdims=True)
    scores = np.full((6, 33, 1), 0.99)
    scores[2, 3] = 0.1
    rows = np.concatenate([body, scores], axis=-1).reshape(6, -1)
    head = ",".join(f"{axis}{number}" for number in range(33) for axis in ("x", "y", "z", sure))
    (tmp_path / "a.csv").write_text("\n".join([head, *(",".join(f"{x:.6f}" for x in row) for row in rows)]))
    files = read_files(tmp_path / "a.csv", Options(fps=30.0))
    assert files.layout.name == "mediapipe33"
    (recording,) = files.recordings
    assert np.argwhere(~recording.present).tolist() == [[2, 0, 3]]
    np.testing.assert_allclose(recording.frames[:, 0][recording.present[:, 0]], body[scores[..., 0] > 0.5], atol=1e-5)
    assert any("taken for those of MediaPipe" in note for note in files.notes)


def test_tables_without_names_need_a_layout():
    text = "\n".join(" ".join(f"{x:.5f}" for x in [number, *frame.ravel()]) for number, frame in enumerate(FRAMES))
    np.testing.assert_allclose(parsed(text, KINECT).frames[:, 0], FRAMES, atol=1e-5)
    with pytest.raises(DataError, match="which skeleton is it\\? The table has 61 columns without names"):
        parsed(text)
    with pytest.raises(DataError, match="expected 75 columns for layout 'kinect_v2'"):
        parsed(text, load_layout("kinect_v2"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a table as text in UTF-8, UTF-16 or Windows-1252, got nothing"),
        ("a,b\n1,2\n", "expected columns like left_hip_x, left_hip_y, left_hip_z, or joint, x, y, z, got a, b"),
        ("a_x,a_y,a_z\n", "expected rows below the names of the columns, got none"),
        ("a_x,a_y,a_z\n1,2\n", "row 2: expected 3 fields, got 2"),
        ("a_x,a_y,a_x\n1,2,3\n", "expected names of columns that differ, got 'a_x' twice"),
        ("a_x,a_y,a_z\n1,2,none\n", "expected numbers in the column a_z, got 'none'"),
        ("a_x,a_y,a_z\n1,2,inf\n", "expected numbers in the column a_z, got infinity"),
        ("joint,x,y\na,1,2\n", "expected a column frame or time beside the column joint"),
        ("frame,joint,x,y\n,a,1,2\n", "expected a number in each row of the column frame"),
        ('a_x,a_y,"a_z\n1,2,3\n', "expected a table as CSV"),
    ],
)
def test_what_is_wrong_is_told(text, message):
    with pytest.raises(DataError, match=message):
        parsed(text)


def arrow_bytes(columns):
    arrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    data = io.BytesIO()
    writer.write_table(arrow.table(columns), data)
    return data.getvalue()


def parquet_columns(frames):
    return {f"{joint}_{axis}": frames[:, j, a] for j, joint in enumerate(KINECT.joints) for a, axis in enumerate("xyz")}


def test_parquet_is_read_as_csv_is(tmp_path):
    whole = arrow_bytes({"time": np.arange(6) / 30} | parquet_columns(FRAMES))
    file = parquet.parse("a.parquet", whole)
    np.testing.assert_allclose(file.frames[:, 0], FRAMES)
    assert (file.joints, file.fps) == (KINECT.joints, 30)
    (tmp_path / "a.parquet").write_bytes(whole)
    assert read_files(tmp_path).layout.name == "kinect_v1"


def test_parquet_with_texts_and_nothing_and_without_the_library(monkeypatch):
    with pytest.raises(DataError, match="expected numbers in the column a_x, got 'u'"):
        parquet.parse("a", arrow_bytes({"a_x": ["u"], "a_y": [1.0], "a_z": [None]}))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"reading Parquet needs pyarrow: pip install 'pcm3\[formats\]'"):
        parquet.parse("a", b"PAR1")


def test_damaged_tables_are_data_errors_or_parse():
    assert_read_or_told(lambda data: parsed(data).frames, wide(FRAMES[:3]).encode(), 300)


def test_damaged_parquet_is_a_data_error_or_parses():
    whole = arrow_bytes(parquet_columns(FRAMES))
    assert_read_or_told(lambda data: parquet.parse("a", data).frames, whole, 200)
