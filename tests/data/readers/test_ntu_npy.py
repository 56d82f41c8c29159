"""NTU RGB+D as txt2npy.py rewrites it comes to the same store as the text files; nothing in these pickles runs."""

import os
from pathlib import Path

import numpy as np
import pytest
from ntu_field_forms import crowd, name
from ntu_file_text import skeleton_text

from pcm3.data.importer import import_recordings
from pcm3.data.readers.ntu import parse_npy
from pcm3.data.store import ClipStore
from pcm3.errors import DataError

DRAWN = {name(1): crowd(1, 40), name(2, 3): crowd(2, 70, 1), name(3, 2): crowd(3, 57, 3, [(0, 10, 20), (1, 0, 9)])}


def rewritten(id, drawn):
    """The dict that the script makes of a text file: bodies by their place in the frame."""
    frames = np.zeros((4, len(drawn), 25, 3))
    for number, frame in enumerate(drawn):
        there = [body for body in frame if body.any()]
        for place, body in enumerate(there):
            frames[place, number] = [[float(f"{value:.7g}") for value in joint] for joint in body]
    counts = [int(sum(body.any() for body in frame)) for frame in drawn]
    held = {"file_name": id, "nbodys": [count for count in counts if count], "njoints": 25}
    for body in range(max(counts)):
        held |= {f"skel_body{body}": frames[body], f"rgb_body{body}": np.zeros((len(drawn), 25, 2))}
    return held


def test_a_store_of_them_equals_a_store_of_the_text_files(tmp_path):
    for folder in ("text", "npy"):
        (tmp_path / folder).mkdir()
    for id, drawn in DRAWN.items():
        (tmp_path / "text" / f"{id}.skeleton").write_text(skeleton_text(drawn))
        np.save(tmp_path / "npy" / f"{id}.skeleton.npy", np.array(rewritten(id, drawn)))
    for folder in ("text", "npy"):
        report = import_recordings("ntu60", tmp_path / folder, tmp_path / f"of_{folder}", strict=True, progress=False)
        assert (report.clips, report.skipped) == (3, [])
    text, npy = ClipStore.open(tmp_path / "of_text"), ClipStore.open(tmp_path / "of_npy")
    assert list(text.ids) == list(npy.ids)
    np.testing.assert_array_equal(text.frames, npy.frames)
    for field in ("label", "subject", "camera", "setup", "length"):
        np.testing.assert_array_equal(getattr(text, field), getattr(npy, field))
    one = tmp_path / "npy" / f"{name(1)}.skeleton.npy"
    assert import_recordings("ntu60", one, tmp_path / "alone", progress=False).clips == 1
    (tmp_path / "npy" / f"{name(1)}.skeleton").write_text(skeleton_text(DRAWN[name(1)]))
    report = import_recordings("ntu60", tmp_path / "npy", tmp_path / "both", progress=False)
    assert [reason for _, reason in report.skipped] == [f"the id '{name(1)}' is taken by '{name(1)}.skeleton'"]


class Bite:
    def __reduce__(self):
        return os.mkdir, ("bitten",)


HELD = rewritten(name(1), DRAWN[name(1)])


@pytest.mark.parametrize(("held", "message"), [
    (np.array(HELD | {"x": Bite()}), r"asks for posix\.mkdir"),
    (np.zeros(3), "expected a pickled dict, as txt2npy.py writes it, got an array of float64"),
    (np.array([1, "a"], object), "expected a dict, as txt2npy.py writes it, got a ndarray"),
    (np.array({"njoints": 25}), "expected a body 'skel_body0' at least"),
    (np.array(HELD | {"skel_body1": [1]}), r"expected bodies \(T, 25, 3\) of floats, all of one length, got a list"),
    (np.array(HELD | {"skel_body1": np.zeros((3, 25, 3))}), r"all of one length, got \(3, 25, 3\)"),
    (np.array(HELD | {"skel_body0": np.full((40, 25, 3), np.inf)}), "expected metres, got inf"),
])  # fmt: skip
def test_what_is_no_such_file_costs_one_clip(tmp_path, held, message):
    file = tmp_path / f"{name(1)}.skeleton.npy"
    np.save(file, held)
    with pytest.raises(DataError, match=message):
        parse_npy(file.name, file.read_bytes())
    assert not Path("bitten").exists()


def test_ids_are_lost_and_asking_for_them_is_told(tmp_path):
    np.save(tmp_path / "x.npy", np.array(HELD))
    with pytest.raises(DataError, match="expected --track slot"):
        parse_npy(f"{name(1)}.skeleton.npy", (tmp_path / "x.npy").read_bytes(), track="id")


def test_damaged_files_parse_or_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array(rewritten(name(1), crowd(1, 2, 1))))
    whole = (tmp_path / "x.npy").read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for number in range(600):
        data = bytearray(whole)
        if number % 4 == 0:
            del data[random.integers(len(data)) :]
        for place in random.integers(0, 400, 3):
            if place < len(data):
                data[place] = random.integers(256)
        try:
            assert np.isfinite(parse_npy(f"{name(1)}.skeleton.npy", bytes(data)).frames).all()
        except DataError:
            refused += 1
    assert refused > 100
