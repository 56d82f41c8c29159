"""Every field of a store and every column of its tables, replaced by what it cannot be: one line that names it."""

import json

import numpy as np
import pytest
from ntu_file_text import walkers

from pcm3.data.info import describe
from pcm3.data.prepare import Recipe
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import BY_SPLIT, CHANGES, ClipStore
from pcm3.data.store_writer import write_store
from pcm3.errors import DataError
from pcm3.render.selection import store_scenes
from pcm3.skeleton import load_layout

ODD = [
    None, True, False, 0, -1, 3, 2.5, 1e400, float("nan"), 10**30, "", "x", " ", "\x1b[31m", "\ud800", [], [0], [None],
    ["x", "x"], [["x", 1]], [[]], {}, {"x": 1}, {"x": {}}, {"": {"by": "subject", "train": [1]}},
    {"x": {"by": [], "train": [1]}}, {"x": {"by": "subject", "train": "12"}}, {"x": {"by": "subject", "train": [1.5]}},
]  # fmt: skip
PROTOCOLS = {"xsub": {"by": "subject", "train": [0]}, "split": BY_SPLIT}


@pytest.fixture
def stored(tmp_path):
    """The folder of a store of untrimmed recordings, which has every file and column there is."""
    about = {"layout": load_layout("kinect_v2"), "fps": 30.0, "bodies": 2, "kind": "ntu60", "classes": ["walk", "run"]}
    made = [
        Recording(
            f"é{number}",
            walkers(number, 20, 2),
            subject=number,
            splits={"split": number % 2},
            intervals=(Interval(2, 9, 1), Interval(9, 20, 0)),
        )
        for number in range(3)
    ]
    recipe = Recipe(about["layout"], 2, max_frames=300, origin=1).to_dict()
    write_store(tmp_path / "s", made, protocols=PROTOCOLS, preparation=recipe, **about)
    file = tmp_path / "s" / "store.json"
    said = json.loads(file.read_text())
    said["report"] |= {"left_out": [["a.skeleton", "no body"]], "notes": ["odd"]}
    file.write_text(json.dumps(said))
    return tmp_path / "s"


def opened(path):
    """What the store's refusal says; empty where it opened and can be described and drawn."""
    try:
        store = ClipStore.open(path)
    except DataError as error:
        told = str(error)
        assert told.startswith(f"{path}: ")
        assert "\n" not in told
        assert told.isprintable()
        assert len(told) < 500 + len(str(path))
        return told
    json.dumps(describe(store), allow_nan=False)
    store_scenes(store)
    return ""


def replaced(value, odd_ones=ODD):
    """(where, value with something odd in it): of a dictionary or list each entry, to the bottom, and each left out."""
    for odd in odd_ones:
        yield (), odd
    if isinstance(value, dict):
        for name, entry in value.items():
            yield (name, "gone"), {other: kept for other, kept in value.items() if other != name}
            for where, odd in replaced(entry):
                yield (name, *where), value | {name: odd}
    elif isinstance(value, list) and value:
        for where, odd in replaced(value[0], ODD[::5]):
            yield ("0", *where), [odd, *value[1:]]


MAY_BE_GONE = {"counts", "sha256", "preparation", "dimensions"}


def test_each_field_of_store_json_is_refused_by_its_name_where_it_is_not_what_it_must_be(stored):
    file = stored / "store.json"
    said = json.loads(file.read_text())
    refused = tried = 0
    assert opened(stored) == ""
    for field, entry in said.items():
        for where, odd in replaced(entry):
            file.write_text(json.dumps(said | {field: odd}))
            told = opened(stored)
            tried, refused = tried + 1, refused + bool(told)
            if told and field != "format":
                assert f"store.json, {field}" in told or "wrong size" in told, (where, odd)
        file.write_text(json.dumps({name: value for name, value in said.items() if name != field}))
        assert bool(opened(stored)) == (field not in MAY_BE_GONE)
    assert tried > 400
    assert refused > 0.8 * tried


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '"x"', "{}", "[" * 100_000, '{"format": NaN}', "1" * 9000]
)
def test_any_other_text_is_one_line(stored, text):
    (stored / "store.json").write_text(text)
    assert "the store is damaged" in opened(stored)


def test_what_a_later_version_may_add_is_passed_over(stored):
    file = stored / "store.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"mood": [{"a": None}], "preparation": {"mood": "y"}}))
    with np.load(stored / "clips.npz") as archive:
        columns = dict(archive)
    np.savez(stored / "clips.npz", mood=np.array([["?"]]), **columns)
    assert opened(stored) == ""


def odd_columns(column):
    """The column in types, shapes and with numbers that it cannot have."""
    clips = len(column)
    yield "scalar", column[0]
    yield "shorter", column[:-1]
    yield "longer", np.concatenate([column, column[:1]])
    yield "empty", column[:0]
    yield "deeper", column[..., None]
    yield "structured", np.zeros(clips, [("a", "i4"), ("b", "i4")])
    yield "text", np.array(["x"] * clips)
    yield "time", np.zeros(clips, "datetime64[s]")
    yield "complex", np.zeros(clips, complex)
    yield "raw", np.zeros(clips, "V4")
    if column.dtype.kind in "iu":
        yield "fractions", column.astype(float)
        yield "truth", column.astype(bool)
        yield "large", np.full(clips, 2**40)
        yield "larger", np.full(clips, 2**64 - 1, np.uint64)
        yield "low", np.full(clips, -(2**40))
    if column.dtype.kind == "S":
        yield "not UTF-8", np.array([b"\xff\xfe"] * clips)


@pytest.mark.parametrize("file", ["clips.npz", "recordings.npz"])
def test_each_column_is_refused_by_its_name_where_it_is_not_what_it_must_be(stored, file):
    with np.load(stored / file) as archive:
        columns = dict(archive)
    for name, column in columns.items():
        for kind, odd in odd_columns(column):
            np.savez(stored / file, **columns | {name: odd})
            told = opened(stored)
            if name == "start" and kind in ("longer", "shorter", "empty"):  # then the others do not fit
                assert f"{file}, " in told
            elif (name, kind) != ("start", "large"):
                assert f"{file}, {name}: expected" in told, (name, kind, told)
            else:
                assert told
        np.savez(stored / file, **{other: kept for other, kept in columns.items() if other != name})
        if name not in ("confidence", "recording", "side_split", *CHANGES):
            assert f"{file}, {name}: expected this column" in opened(stored)


@pytest.mark.parametrize("name", ["length", "side_split"])
def test_numbers_that_cannot_be_are_refused(stored, name):
    with np.load(stored / "clips.npz") as archive:
        columns = dict(archive)
    for wrong in (-2, -(2**31)):
        np.savez(stored / "clips.npz", **columns | {name: np.full(6, wrong, np.int32)})
        assert f"clips.npz, {name}: expected numbers of" in opened(stored)


@pytest.mark.parametrize("dtype", ["<i4", "<i2", "<u8", ">i4", "<i8"])
def test_whole_numbers_of_any_width_are_taken(stored, dtype):
    with np.load(stored / "clips.npz") as archive:
        columns = dict(archive)
    wide = {
        name: column.astype(dtype) for name, column in columns.items() if column.dtype.kind == "i" and column.min() >= 0
    }
    assert "start" in wide
    np.savez(stored / "clips.npz", **columns | wide)
    assert opened(stored) == ""
    assert ClipStore.open(stored).label.dtype == np.int32


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: frames.astype("f8"),
        lambda frames: frames.astype(">f4"),
        lambda frames: frames.astype(int),
        lambda frames: frames.astype(complex),
        np.asfortranarray,
        lambda frames: frames[:, :1],
        lambda frames: frames[:, :, :20],
        lambda frames: frames[..., :2],
        lambda frames: frames[..., None],
        lambda frames: frames[:, 0],
        lambda frames: frames[:0],
        lambda frames: frames.reshape(-1),
        lambda frames: frames[0, 0, 0, 0],
        lambda frames: frames.view([("x", "f4"), ("y", "f4"), ("z", "f4")]),
        lambda frames: frames.astype("S4"),
    ],
)
def test_frames_of_another_type_or_shape_are_refused(stored, change):
    np.save(stored / "frames.npy", change(np.load(stored / "frames.npy")))
    assert "frames" in opened(stored)


@pytest.mark.parametrize("name", ["frames.npy", "clips.npz", "recordings.npz"])
def test_a_file_that_is_gone_or_of_another_kind_is_refused_by_its_name(stored, name):
    (stored / name).unlink()
    assert f"{name} is missing" in opened(stored)
    (stored / name).mkdir()
    assert name in opened(stored)
    (stored / name).rmdir()
    for other in (b"", b"x", b"PK\x03\x04", (stored / "store.json").read_bytes()):
        (stored / name).write_bytes(other)
        assert name in opened(stored)
    np.save(stored / "other.npy", np.zeros(3))
    (stored / name).write_bytes((stored / "other.npy").read_bytes())
    assert name in opened(stored)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"fps": 0.0}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"kind": ""}, "kind"),
        ({"protocols": {"xsub": {"by": "subject"}}}, "xsub"),
    ],
)
def test_what_would_not_open_is_not_written(tmp_path, change, named):
    about = {"layout": load_layout("kinect_v2"), "fps": 30.0, "bodies": 1, "kind": "npz"} | change
    with pytest.raises(DataError, match=named):
        write_store(tmp_path / "s", [Recording("a", walkers(0, 5, 1))], **about)
    assert list(tmp_path.iterdir()) == []
