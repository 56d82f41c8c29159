"""SLEAP, DeepLabCut, movement and NWB files written by the tests with h5py; hostile ones; damage."""

import io
import json
import pickle

import numpy as np
import pytest
from reading import assert_read_or_told

from pcm3.data.formats import csv_table, hdf5_poses
from pcm3.data.recognise import recognise
from pcm3.data.source_index import Options
from pcm3.errors import DataError

h5py = pytest.importorskip("h5py")
NODES = ("nose", "left_hip", "right_hip")
TRACKS = np.random.default_rng(0).uniform(0, 500, size=(5, 2, 3, 2)).round(3)
"""(frames, individuals, nodes, x and y)."""


def file_of(fill):
    data = io.BytesIO()
    with h5py.File(data, "w") as root:
        fill(root)
    return data.getvalue()


def sleap(root, **more):
    root["tracks"] = TRACKS.transpose(1, 3, 2, 0)
    root["node_names"] = np.array([name.encode() for name in NODES])
    root["point_scores"] = np.full((2, 3, 5), 0.8)
    for name, value in more.items():
        root[name] = value


def movement(root):
    root["time"], root["space"] = np.arange(5.0), np.array([b"x", b"y"])
    root["keypoints"], root["individuals"] = np.array([n.encode() for n in NODES]), np.array([b"a", b"b"])
    names = ("time", "space", "keypoints", "individuals")
    root["position"] = TRACKS.transpose(0, 3, 2, 1)
    root["confidence"] = np.full((5, 3, 2), 0.8)
    for name in names:
        root[name].make_scale(name)
    for axis, name in enumerate(names):
        root["position"].dims[axis].attach_scale(root[name])
    for axis, name in enumerate(("time", "keypoints", "individuals")):
        root["confidence"].dims[axis].attach_scale(root[name])
    root.attrs["fps"] = 25.0


def nwb(root):
    root.attrs["nwb_version"] = "2.7.0"
    for body, name in enumerate(("PoseA", "PoseB")):
        group = root.create_group(f"processing/behavior/{name}")
        group.attrs["neurodata_type"] = "PoseEstimation"
        for node, joint in enumerate(NODES):
            series = group.create_group(f"PoseEstimationSeries_{joint}")
            series.attrs["neurodata_type"] = "PoseEstimationSeries"
            series["data"], series["confidence"] = TRACKS[:, body, node], np.full(5, 0.8)
            first = f"/processing/behavior/PoseA/PoseEstimationSeries_{NODES[0]}/timestamps"
            if (body, node) == (0, 0):
                series["timestamps"] = np.arange(5) / 25
            else:
                series["timestamps"] = h5py.SoftLink(first)


def deeplabcut(root, pickled=None):
    columns = [("DLC", person, node, axis) for person in "ab" for node in NODES for axis in ("x", "y", "likelihood")]
    cells = np.concatenate([TRACKS, np.full((5, 2, 3, 1), 0.8)], axis=-1).reshape(5, 18)
    rows = np.zeros(5, dtype=[("index", "<i8"), ("values_block_0", "<f8", (18,))])
    rows["values_block_0"] = cells
    table = root.create_dataset("df_with_missing/table", data=rows)
    table.attrs["values_block_0_kind"] = np.bytes_(pickled or pickle.dumps(columns, 0))
    return columns, cells


def slp(root):
    """Five frames of two tracks; the middle one corrected by hand, and a second video that is not read."""
    nodes = [{"name": "unused"}, *({"name": name} for name in NODES)]
    told = {"nodes": nodes, "skeletons": [{"nodes": [{"id": 1}, {"id": 2}, {"id": 3}]}]}
    root.create_group("metadata").attrs["json"] = np.bytes_(json.dumps(told))
    frames, instances, points, predicted = [], [], [], []
    for number in range(5):
        begin = len(instances)
        for track in (0, 1):
            by_hand = number == 2
            for kind, into in ([(1, predicted), (0, points)]) if by_hand else [(1, predicted)]:
                wrong = 7.0 if by_hand and kind == 1 else 0.0
                rows = [(*(xy + wrong), True, True, *([0.8] if kind == 1 else [])) for xy in TRACKS[number, track]]
                instances.append((kind, 4 + 3 * track, len(into), len(into) + 3))
                into.extend(rows)
        frames.append((0, 10 + number, begin, len(instances)))
    frames.append((1, 900, 0, 1))
    root["frames"] = np.array(frames, [("video", "u4"), ("frame_idx", "u8"), ("instance_id_start", "u8"),
                                       ("instance_id_end", "u8")])  # fmt: skip
    root["instances"] = np.array(instances, [("instance_type", "u1"), ("track", "i4"), ("point_id_start", "u8"),
                                             ("point_id_end", "u8")])  # fmt: skip
    point = [("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")]
    root["points"] = np.array(points, point)
    root["pred_points"] = np.array(predicted, [*point, ("score", "f8")])


def test_a_project_of_sleaps_is_read_with_what_was_corrected_by_hand(tmp_path):
    data = file_of(slp)
    file = hdf5_poses.parse("a.slp", data)
    assert file.joints == NODES
    np.testing.assert_allclose(file.frames[:, :, :, :2], TRACKS * [1, -1])
    assert (file.scores[2] == 1).all()
    assert (file.scores[[0, 1, 3, 4]] == 0.8).all()
    (tmp_path / "a.slp").write_bytes(data)
    assert recognise(tmp_path).kind == "hdf5"
    with pytest.raises(DataError, match=r"a\.slp: expected the nodes of one skeleton"):
        hdf5_poses.parse("a.slp", data.replace(b'"skeletons"', b'"skeletonz"'))


@pytest.mark.parametrize("fill", [sleap, movement, nwb, deeplabcut])
def test_the_four_forms_give_the_same_bodies_y_upwards(fill, tmp_path):
    data = file_of(fill)
    file = hdf5_poses.parse("a.h5", data)
    order = [file.joints.index(name) for name in NODES]
    np.testing.assert_allclose(file.frames[:, :, order, :2], TRACKS * [1, -1])
    assert (file.unit, file.frames[..., 2].any(), file.scores.min()) == ("pixels", False, 0.8)
    assert file.fps == (25 if fill in (movement, nwb) else None)
    (tmp_path / "a.h5").write_bytes(data)
    assert recognise(tmp_path).kind == "hdf5"


@pytest.mark.parametrize("people", [1, 2])
def test_deeplabcuts_csv_is_as_its_table(people):
    columns, cells = deeplabcut(h5py.File(io.BytesIO(), "w"))
    columns, cells = columns[: 9 * people], cells[:, : 9 * people]
    heads = ["scorer", *(["individuals"] if people == 2 else []), "bodyparts", "coords"]
    if people == 1:
        columns = [(column[0], *column[2:]) for column in columns]
    lines = [",".join([head, *words]) for head, words in zip(heads, zip(*columns, strict=True), strict=True)]
    lines += [",".join(map(str, [number, *row])) for number, row in enumerate(cells)]
    file = csv_table.parse("a.csv", "\n".join(lines).encode(), Options())
    np.testing.assert_allclose(file.frames[..., :2], TRACKS[:, :people] * [1, -1])
    assert file.joints == NODES
    with pytest.raises(DataError, match="expected the rows scorer, bodyparts, coords"):
        csv_table.parse("a.csv", "\n".join([*lines, "7,8"]).encode(), Options())


class Evil:
    def __reduce__(self):
        return (print, ("no",))


def test_hostile_files_are_refused(tmp_path):
    def external(root):
        root["node_names"] = np.array([b"a"])
        root["tracks"] = h5py.ExternalLink("/etc/passwd", "/tracks")

    def stored_elsewhere(root):
        root["node_names"] = np.array([b"a"])
        root.create_dataset("tracks", shape=(1, 2, 1, 4), dtype="f8", external=[("/etc/passwd", 0, 64)])

    def virtual(root):
        root["node_names"] = np.array([b"a"])
        layout = h5py.VirtualLayout(shape=(1, 2, 1, 4), dtype="f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "d", shape=(1, 2, 1, 4))
        root.create_virtual_dataset("tracks", layout)

    def huge(root):
        root["node_names"] = np.array([b"a"])
        root.create_dataset("tracks", shape=(1, 2, 1, 2**40), dtype="f8", chunks=(1, 2, 1, 1024), compression="gzip")

    def chain(root):
        root["node_names"] = np.array([b"a"])
        root["tracks"] = h5py.SoftLink("/tracks")

    for fill, message in (
        (external, "lies in another file, which is not opened"),
        (stored_elsewhere, "lies in other files, which are not opened"),
        (virtual, "lies in other files, which are not opened"),
        (huge, "expected up to 512 MB of plain numbers"),
        (chain, "is a chain of links"),
        (lambda root: deeplabcut(root, pickle.dumps(Evil(), 0)), "print"),
    ):
        with pytest.raises(DataError, match=message) as told:
            hdf5_poses.parse("a.h5", file_of(fill))
        assert str(told.value).startswith("a.h5")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda root: None, "got an empty file"),
        (lambda root: root.create_group("x"), "expected a project or an analysis file of SLEAP, .* got x"),
        (lambda root: root.update({"tracks": np.zeros(3), "node_names": np.array([b"a"])}), "expected tracks"),
        (lambda root: root.update({"tracks": np.zeros(3), "node_names": np.zeros((2, 2))}), "expected a list of names"),
        (lambda root: root.attrs.update({"nwb_version": "2"}), r"expected a PoseEstimation \(ndx-pose\), found none"),
    ],
)
def test_what_is_wrong_is_told(fill, message):
    with pytest.raises(DataError, match=message):
        hdf5_poses.parse("a.h5", file_of(fill))
    with pytest.raises(DataError, match="expected an HDF5 file"):
        hdf5_poses.parse("a.h5", b"\x89HDF\r\n\x1a\n")


@pytest.mark.parametrize("fill", [sleap, movement, nwb, deeplabcut, slp])
def test_damaged_files_are_data_errors_or_parse(fill):
    assert_read_or_told(lambda data: hdf5_poses.parse("a", data).frames, file_of(fill), 60, b"\0")
