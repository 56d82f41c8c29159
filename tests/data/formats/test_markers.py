"""C3D, TRC and AMC written by the tests: markers with their units and gaps, bones in their axes, damage."""

import io

import numpy as np
import pytest
from ntu_file_text import walkers
from reading import assert_read_or_told

from pcm3.data.formats import amc, asf, trc
from pcm3.data.formats import c3d as ours
from pcm3.data.importer import import_recordings
from pcm3.data.recognise import recognise
from pcm3.data.recordings import read_files
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v1")
FRAMES = walkers(3, 8, 1, 20).astype(np.float64)[:, 0]
MM = 1000 * FRAMES


def c3d_bytes(frames=MM, names=KINECT.joints, rate=100.0, unit="mm"):
    c3d = pytest.importorskip("c3d")
    writer = c3d.Writer(point_rate=rate, point_units=f"{unit:4}")
    writer.set_point_labels(names)
    for frame in frames:
        seen = np.isfinite(frame).all(axis=-1)
        points = np.zeros((len(names), 5), np.float32)
        points[:, :3], points[:, 3] = np.nan_to_num(frame), np.where(seen, 0, -1)
        writer.add_frames([(points, np.array([[]]))])
    data = io.BytesIO()
    writer.write(data)
    return data.getvalue()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
class TestC3D:
    def test_markers_have_names_unit_rate_and_gaps(self, tmp_path):
        gappy = MM.copy()
        gappy[2, 3] = np.nan
        file = ours.parse("a.c3d", c3d_bytes(gappy))
        assert (file.joints, file.fps, file.unit) == (KINECT.joints, 100, "millimetres")
        np.testing.assert_allclose(file.frames[:, 0], gappy, atol=0.1)
        (tmp_path / "walk.c3d").write_bytes(c3d_bytes(gappy))
        assert recognise(tmp_path).kind == "c3d"
        files = read_files(tmp_path)
        assert files.layout.name == "kinect_v1"
        np.testing.assert_allclose(files.recordings[0].frames[3, 0], FRAMES[3], atol=1e-4)

    def test_names_of_subjects_are_left_out_and_missing_ones_numbered(self):
        assert ours._names(["anna:LASI", "anna:RASI"], 2) == ("LASI", "RASI")
        assert ours._names(["a:LASI", "b:LASI"], 2) == ("a:LASI", "b:LASI")
        assert ours._names(["LASI"], 2) == ("marker0", "marker1")

    @pytest.mark.parametrize("data", [b"", b"\x02P", b"\x02P" + bytes(600), b"words"])
    def test_what_is_none_is_told(self, data):
        with pytest.raises(DataError, match=r"a\.c3d: expected"):
            ours.parse("a.c3d", data)

    def test_a_file_that_ends_early_is_told(self):
        with pytest.raises(DataError, match="expected"):
            ours.parse("a.c3d", c3d_bytes()[:-1600])

    def test_damaged_files_are_data_errors_or_parse(self):
        assert_read_or_told(lambda data: ours.parse("a", data).frames, c3d_bytes(), 200)

    def test_the_library_is_named_where_it_is_missing(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "c3d", None)
        with pytest.raises(DataError, match=r"reading C3D files needs c3d: pip install 'pcm3\[formats\]'"):
            ours.parse("a", b"\x02P")


def trc_text(frames=MM, names=KINECT.joints, unit="mm", empty_line=True):
    lines = ["PathFileType\t4\t(X/Y/Z)\ta.trc", "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits"]
    lines += [f"60\t60\t{len(frames)}\t{len(names)}\t{unit}", "Frame#\tTime\t" + "\t\t\t".join(names)]
    lines += ["\t\t" + "\t".join(f"{axis}{n}" for n in range(1, len(names) + 1) for axis in "XYZ")] + [""] * empty_line
    for number, frame in enumerate(frames):
        cells = ["" if np.isnan(x) else f"{x:.4f}" for x in frame.ravel()]
        lines.append("\t".join([str(number + 1), f"{number / 60:.4f}", *cells]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("empty_line", [True, False])
def test_trc_markers_have_names_unit_rate_and_gaps(empty_line):
    gappy = MM.copy()
    gappy[1, 19], gappy[2, 3] = np.nan, np.nan
    file = trc.parse("a.trc", trc_text(gappy, empty_line=empty_line).encode())
    np.testing.assert_allclose(file.frames[:, 0], gappy, atol=1e-3)
    assert (file.joints, file.fps, file.unit) == (KINECT.joints, 60, "millimetres")


def test_trc_becomes_a_store_with_a_layout_of_some_of_its_markers(tmp_path):
    (tmp_path / "raw").mkdir()
    more = np.concatenate([MM, MM[:, :2] + 30], axis=1)
    (tmp_path / "raw" / "walk.trc").write_text(trc_text(more, (*KINECT.joints, "extra", "clavicle")))
    report = import_recordings("auto", tmp_path / "raw", tmp_path / "s", layout="kinect_v1", progress=False)
    store = ClipStore.open(tmp_path / "s")
    assert (store.layout.name, store.fps, report.clips) == ("kinect_v1", 60, 1)
    with pytest.raises(DataError, match=r"25 are missing .*; the nearest to 'left_hand_tip' is '"):
        import_recordings("trc", tmp_path / "raw", tmp_path / "t", layout="kinect_v2", progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("PathFileType", "Path"), "line 1: expected PathFileType"),
        (("60\t60", "x\t60"), "line 3: expected DataRate, frames a second, got 'x'"),
        (("\t8\t20", "\t9\t20"), "line 3 says 9 frames, got 8"),
        (("spine", "head"), "line 4: expected Frame#, Time and the names of markers"),
        (("0.0000", "x"), None),
    ],
)
def test_what_is_wrong_with_trc_is_told(change, message):
    text = trc_text().replace(*change, 1)
    if message is None:
        assert trc.parse("a.trc", text.encode()).fps == 60  # times are not read
    else:
        with pytest.raises(DataError, match=message):
            trc.parse("a.trc", text.encode())


def test_damaged_trc_is_a_data_error_or_parses():
    assert_read_or_told(lambda data: trc.parse("a", data).frames, trc_text(MM[:3]).encode(), 300, b"\t")


ASF = """# comment
:version 1.10
:name a
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name lowerback
     direction 0 1 0
     length 4
     axis 0 0 90  XYZ
    dof rx ry rz
    limits (-20.0 45.0)
           (-30.0 30.0)
           (-30.0 30.0)
  end
  begin
     id 2
     name head
     direction 0 0 1
     length 2
     axis 0 0 0  XYZ
  end
:hierarchy
  begin
    root lowerback
    lowerback head
  end
"""
AMC = ":FULLY-SPECIFIED\n:DEGREES\n1\nroot 9 18 4.5 0 0 0\nlowerback 0 0 0\n2\nroot 0 0 0 0 0 90\nlowerback 90 0 0\n"


def test_bones_turn_in_their_own_axes():
    """Closed form: about an axis that is the world's y, a quarter turn leaves what points along y and turns z to x."""
    file = amc.parse("a.amc", AMC.encode(), asf.parse("a.asf", ASF.encode()))
    assert file.joints == ("root", "lowerback", "head")
    assert file.parents == (0, 0, 1)
    expected = np.array([[[9, 18, 4.5], [9, 22, 4.5], [9, 22, 6.5]], [[0, 0, 0], [-4, 0, 0], [-4, 2, 0]]]) / 0.45
    np.testing.assert_allclose(file.frames[:, 0], expected, atol=1e-12)


def test_motions_find_their_skeletons(tmp_path):
    (tmp_path / "01").mkdir()
    (tmp_path / "01" / "01.asf").write_text(ASF.replace("length 4", "length 20"))
    (tmp_path / "01" / "02.asf").write_text(ASF)
    for name in ("01_01.amc", "01_02.amc", "03_01.amc"):
        (tmp_path / "01" / name).write_text(AMC)
    assert recognise(tmp_path).kind == "amc"
    report = import_recordings("amc", tmp_path, tmp_path / "s", fps=120.0, progress=False)
    assert report.clips == 2
    assert "expected an .asf file of its name" in report.skipped[0][1]
    assert any("the files are in inches" in note for note in report.notes)


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        ("asf", ("length 0.45", "length 0"), "a.asf: line 6: expected a length above 0, got 'length 0'"),
        ("asf", ("direction 0 1 0", "direction 0 1"), "line 17: expected three numbers"),
        ("asf", ("dof rx ry rz", "dof rx rx"), "expected degrees of freedom of rx, ry, rz, tx, ty, tz, each once"),
        ("asf", ("lowerback head", "lowerback foot"), "expected a bone and its children, each once"),
        ("asf", ("root lowerback", "head lowerback"), "expected every bone to hang from the root; "),
        ("asf", ("name head", "name lowerback"), "expected the name of a bone, no two alike"),
        (
            "amc",
            ("lowerback 90 0 0", "lowerback 90 0"),
            "line 8: expected 3 numbers of 'lowerback', once a frame",
        ),
        ("amc", ("lowerback 0 0 0\n", ""), "line 5: expected values of 'lowerback' in the frame before, got '2'"),
        ("amc", ("lowerback 0 0 0", "foot 0 0 0"), "line 5: expected the number of a frame, or a bone of the skeleton"),
        ("amc", ("lowerback 90 0 0\n", ""), "expected values of every bone in every frame: is it whole"),
    ],
)
def test_what_is_wrong_with_amc_is_told(text, change, message):
    texts = {"asf": ASF, "amc": AMC}
    assert change[0] in texts[text]
    texts[text] = texts[text].replace(*change, 1)
    with pytest.raises(DataError, match=message):
        amc.parse("a.amc", texts["amc"].encode(), asf.parse("a.asf", texts["asf"].encode()))


def test_damaged_amc_and_asf_are_data_errors_or_parse():
    skeleton = asf.parse("a.asf", ASF.encode())
    assert_read_or_told(lambda data: amc.parse("a", data, skeleton).frames, AMC.encode(), 300, b" ")
    assert_read_or_told(lambda data: amc.parse("a", AMC.encode(), asf.parse("b", data)).frames, ASF.encode(), 300, b" ")
