"""Clips of a user's own in one .npz file; and the real data sets, where PCM3_DATA names them."""

import contextlib
import os
import re
from pathlib import Path

import numpy as np
import pytest
from ntu_file_text import walkers

from pcm3.data.audit.check import check_store
from pcm3.data.importer import import_recordings
from pcm3.data.info import describe
from pcm3.data.prepare import Recipe, prepare
from pcm3.data.protocol import split
from pcm3.data.readers import npz
from pcm3.data.recording import Recording
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")
CLIPS = [walkers(i, 4 + i, 2) for i in range(3)]


def arrays(**changes):
    whole = {
        "frames": np.concatenate(CLIPS),
        "length": np.array([len(clip) for clip in CLIPS]),
        "layout": "kinect_v2",
        "label": np.array([1, 0, -1]),
        "subject": np.array([3, 4, 5]),
        "id": np.array(["wave, Ann", "walk, Bob", "?"]),
        "classes": np.array(["walk", "wave"]),
        "split": np.array(["train", "test", ""]),
        "fps": 25,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


RELEASED = Recipe(KINECT, 2)


def import_npz(tmp_path, content, **settings):
    np.savez(tmp_path / "mine.npz", **content)
    report = import_recordings("npz", tmp_path / "mine.npz", tmp_path / "s", progress=False, **settings)
    return ClipStore.open(tmp_path / "s"), report


def test_all_that_is_known_of_the_clips_arrives(tmp_path):
    store, report = import_npz(tmp_path, arrays(), rule="released")
    assert report.clips == 3
    assert store.ids.tolist() == ["wave, Ann", "walk, Bob", "?"]
    for index, clip in enumerate(CLIPS):
        np.testing.assert_array_equal(store.clip(index), prepare(Recording("", clip), RELEASED)[0].frames)
    assert (store.label.tolist(), store.subject.tolist(), store.camera.tolist()) == ([1, 0, -1], [3, 4, 5], [-1] * 3)
    assert (store.classes, store.fps, store.layout, store.kind) == (("walk", "wave"), 25.0, KINECT, "npz")
    assert [side.tolist() for side in split(store, "split")] == [[0], [1]]


def test_frames_and_lengths_are_enough_when_the_layout_is_given(tmp_path):
    alone = {"frames": np.concatenate(CLIPS)[:, 0].astype(np.float64), "length": np.array([4, 5, 6], np.uint8)}
    store, _ = import_npz(tmp_path, alone, layout="kinect_v2")
    assert store.frames.shape == (15, 1, 25, 3)
    assert (store.classes, store.protocols, store.fps) == ((), {}, 30.0)
    assert store.ids.tolist() == ["mine-000000", "mine-000001", "mine-000002"]


DOCS = (Path(__file__).parents[2] / "docs" / "DATA.md").read_text(encoding="utf-8")


def example(language, containing):
    """The code block of docs/DATA.md in that language with that text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)
    return next(block for block in blocks if containing in block)


def test_the_npz_example_of_the_docs_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(example("python", "np.savez"), {"frames": walkers(0, 447, 1, joints=20)})
    import_recordings("npz", "mine.npz", "s", progress=False)
    store = ClipStore.open("s")
    assert (store.length.tolist(), store.classes, store.fps) == ([120, 87, 240], ("walk", "run"), 25.0)
    assert [side.tolist() for side in split(store, "split")] == [[0], [1]]


def test_a_layout_of_ones_own_goes_into_the_store(tmp_path):
    (tmp_path / "stick.toml").write_text(example("toml", "stick"))
    content = {"frames": walkers(0, 9, 1, joints=7), "length": np.array([4, 5])}
    store, _ = import_npz(tmp_path, content, layout=tmp_path / "stick.toml")
    (tmp_path / "stick.toml").unlink()
    assert ClipStore.open(tmp_path / "s").layout.joints[:2] == ("hip", "chest")
    np.testing.assert_allclose(store.clip(1)[:, 0, 0], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": None}, "the array 'frames' is missing"),
        ({"length": None}, "the array 'length' is missing"),
        ({"layout": None}, "which skeleton is it"),
        ({"layout": "kinect_v3"}, "expected layout to be one of the package"),
        ({"labels": np.zeros(3, int)}, "'labels' is not an array of this form; did you mean 'label'"),
        ({"frames": CLIPS[0][:, :, :20]}, r"expected frames \(F, M, 25, 3\) .* got \(4, 2, 20, 3\)"),
        ({"frames": CLIPS[0][..., :1]}, "got .*1"),
        ({"frames": np.zeros((15, 2, 25, 3), int)}, "of floats in metres .* of int64"),
        ({"frames": np.zeros((15, 0, 25, 3))}, "got"),
        ({"length": np.array([4, 5, 7])}, "length adds up to 16 frames, frames has 15"),
        ({"length": np.array([4, 5, 2**62])}, "length adds up to"),
        ({"length": np.array([4, 11, 0])}, "whole numbers of at least 1"),
        ({"length": np.array([4.0, 5.0, 6.0])}, "whole numbers"),
        ({"length": np.array([], int)}, "whole numbers"),
        ({"label": np.array([1, 0])}, r"expected label \(3,\)"),
        ({"label": np.array([1, 0, -2])}, "from 0, or −1"),
        ({"label": np.array([1, 0, 2])}, "label goes up to 2, but classes has only 2 names"),
        ({"label": np.array(["a", "b", "c"])}, "expected label"),
        ({"subject": np.array([1.5, 2, 3])}, "expected subject"),
        ({"subject": np.array([1, 2, 2**40])}, "expected subject"),
        ({"id": np.array(["a", "b", "a"])}, "no two alike, got 'a' more than once"),
        ({"id": np.array([1, 2, 3])}, "expected id .* of strings"),
        ({"split": np.array(["train", "val", ""])}, "expected 'train', 'test' or '' in split, got 'val'"),
        ({"fps": 0}, "expected fps, one number above 0"),
        ({"fps": np.array([30, 30, 30])}, "expected fps"),
        ({"classes": np.array([1, 2])}, "expected classes"),
    ],
)
def test_each_mistake_is_one_clear_error(tmp_path, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        import_npz(tmp_path, arrays(**changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "s").exists()


def test_pickles_and_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds Python objects"):
        import_npz(tmp_path, {"frames": np.array([{}], dtype=object), "length": np.array([1])})
    (tmp_path / "mine.npy").write_bytes(b"nothing")
    np.save(tmp_path / "one.npy", np.ones(3))
    for name in ("mine.npy", "one.npy", "none.npz", "."):
        with pytest.raises(DataError, match=r"expected a (source of kind npz|\.npz file)"):
            import_recordings("npz", tmp_path / name, tmp_path / "s", progress=False)


def test_a_clip_that_is_not_finite_is_left_out_with_its_place(tmp_path):
    frames = np.concatenate(CLIPS)
    frames[5, 1, 7, 2] = np.inf
    store, report = import_npz(tmp_path, arrays(frames=frames))
    assert store.ids.tolist() == ["wave, Ann", "?"]
    ((file, reason),) = report.skipped
    assert file.endswith("mine.npz: clip 1")
    assert reason == "frame 1, body 1, joint 7 (0-based): expected metres, got inf"


REAL = [
    ("utd-mhad", "utd_mhad", 861, 58_299, 0, {"train": 431, "test": 430, "neither": 0}, 27, 8),
    ("msr-action3d", "msr_action3d", 557, 21_825, 10, {"train": 284, "test": 273, "neither": 0}, 20, 10),
]
ODD = {"utd-mhad": {"a26_s1_t2": "bones"}}
"""Clips that `check` asks to look at, and why: a shank there is between 0.11 and 0.37 m long."""


@pytest.mark.data
@pytest.mark.skipif("PCM3_DATA" not in os.environ, reason="PCM3_DATA does not name a folder with the real data sets")
@pytest.mark.parametrize(("kind", "folder", "clips", "frames", "skipped", "xsub", "classes", "subjects"), REAL)
def test_real_sets_import_whole(imported, tmp_path, kind, folder, clips, frames, skipped, xsub, classes, subjects):
    source = Path(os.environ["PCM3_DATA"], folder)
    settings = {"max_frames": None, "progress": False}
    report = import_recordings(kind, source, tmp_path / "s", workers=2, strict=True, **settings)
    assert (report.clips, report.frames, len(report.skipped)) == (clips, frames, skipped)
    store = ClipStore.open(tmp_path / "s")
    about = describe(store)
    assert about["protocols"] == {"xsub": xsub}
    assert (len(about["classes"]), min(about["classes"].values()) > 10, about["subjects"]) == (
        classes, True, list(range(1, subjects + 1)),
    )  # fmt: skip
    found = check_store(store).findings
    assert {finding.name for finding in found if finding.wrong} == set()
    # People who lean in the frame that turns the clip, by the short bone from hip to spine: said, and no fault.
    tilted = [clip for finding in found if finding.name == "tilted" for clip in finding.clips]
    assert len(tilted) == {"utd-mhad": 23, "msr-action3d": 2}[kind]
    odd = {clip: finding.name for finding in found for clip in finding.clips if finding.name != "tilted"}
    assert odd == ODD.get(kind, {})
    assert imported(kind).checksum == store.checksum, "by one process, too"


def test_damaged_heads_and_labels_without_end_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="expected labels below 10000, got 2147483647"):
        import_npz(tmp_path, arrays(label=np.array([0, 2**31 - 1, -1])))
    file = tmp_path / "mine.npz"
    np.savez(file, **arrays())
    whole = file.read_bytes()
    for place in range(400):
        file.write_bytes(whole[:place] + b"(" + whole[place + 1 :])
        with contextlib.suppress(DataError):
            npz.index(file, Options())
