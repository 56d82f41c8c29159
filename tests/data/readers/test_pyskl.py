"""The pickles of PYSKL and MMAction2: annotations become clips, lists become protocols, and nothing is passed over."""

import bz2
import gzip
import lzma
import os
import pickle
import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_field_forms import annotation, crowd, name
from ntu_file_text import skeleton_text

from pcm3.data.datasets import DATASETS, Dataset
from pcm3.data.importer import import_recordings
from pcm3.data.protocol import split
from pcm3.data.readers import ntu, pyskl
from pcm3.data.readers.class_names import class_names
from pcm3.data.readers.pyskl_split import read_split
from pcm3.data.recording import TEST, TRAIN, UNKNOWN
from pcm3.data.source_index import Options
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

DRAWN = {
    name(1): crowd(1, 40),
    name(2, 3): crowd(2, 70, 1),
    name(3, 2, 2, 5): crowd(3, 57, 2, [(1, 10, 20)]),
    name(4, 3, 3, 60): crowd(4, 300),
    name(5, 8, 1, 2): crowd(5, 35),
}
RECORDINGS = {id: ntu.parse(f"{id}.skeleton", skeleton_text(drawn).encode()).frames for id, drawn in DRAWN.items()}
LABELS = [0, 0, 4, 59, 1]
IDS = list(RECORDINGS)
SPLIT = {
    "xsub_train": [IDS[0], IDS[2], IDS[4]],
    "xsub_val": [IDS[1], IDS[3]],
    "xview_train": [IDS[2], IDS[3]],
    "xview_val": [IDS[0], IDS[1], IDS[4]],
}


def annotations(dtype=np.float16):
    return [
        annotation(id, frames, label, dtype) for (id, frames), label in zip(RECORDINGS.items(), LABELS, strict=True)
    ]


@pytest.fixture
def written(tmp_path):
    """Writes a pickle, and reads it."""

    def write(held, protocol=4, **options):
        (tmp_path / "ntu60_3danno.pkl").write_bytes(pickle.dumps(held, protocol))
        return pyskl.index(tmp_path / "ntu60_3danno.pkl", Options(**options))

    return write


@pytest.fixture(autouse=True)
def kind(monkeypatch):
    monkeypatch.setitem(DATASETS, "pyskl", Dataset(pyskl.index, fps=30.0))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-7), (np.float16, 0.01)])
def test_a_store_of_the_pickle_equals_a_store_of_the_raw_files(tmp_path, dtype, tolerance):
    (tmp_path / "raw").mkdir()
    for id, drawn in DRAWN.items():
        (tmp_path / "raw" / f"{id}.skeleton").write_text(skeleton_text(drawn))
    (tmp_path / "ntu60_3danno.pkl").write_bytes(pickle.dumps({"split": SPLIT, "annotations": annotations(dtype)}))
    import_recordings("ntu60", tmp_path / "raw", tmp_path / "of_raw", progress=False)
    report = import_recordings("pyskl", tmp_path / "ntu60_3danno.pkl", tmp_path / "made", strict=True, progress=False)
    assert (report.skipped, report.notes) == ([], [])
    raw, made = ClipStore.open(tmp_path / "of_raw"), ClipStore.open(tmp_path / "made")
    assert (made.classes, made.kind, made.normalised) == (class_names("ntu")[:60], "pyskl", True)
    places = [list(raw.ids).index(id) for id in made.ids]
    for field in ("label", "subject", "camera", "setup", "length"):
        np.testing.assert_array_equal(getattr(made, field), getattr(raw, field)[places])
    for index, place in enumerate(places):
        np.testing.assert_allclose(made.clip(index), raw.clip(place), atol=tolerance)
    for protocol in ("xsub", "xview"):
        for ours, theirs in zip(split(made, protocol), split(raw, protocol), strict=True):
            assert set(made.ids[ours]) == set(raw.ids[theirs])


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_frames_are_those_that_were_written(written, protocol):
    index = written({"split": SPLIT, "annotations": annotations()}, protocol)
    assert [clip.id for clip in index.clips] == IDS
    for clip, recording in zip(index.clips, RECORDINGS.values(), strict=True):
        np.testing.assert_array_equal(clip.read().frames, recording.astype(np.float16))
    assert index.bodies == 2


def test_a_folder_with_one_pickle_is_as_good_as_the_pickle(written, tmp_path):
    written({"split": SPLIT, "annotations": annotations()})
    assert len(pyskl.index(tmp_path, Options()).clips) == 5
    (tmp_path / "other.pkl").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected one pickle like ntu60_3danno\.pkl, got ntu60"):
        pyskl.index(tmp_path, Options())


def test_a_list_of_annotations_without_splits_has_ntus_protocols(written):
    index = written(annotations())
    assert index.protocols == ntu.PROTOCOLS_60
    assert index.clips[0].read().splits == {}


def test_names_of_no_data_set_have_classes_by_number_and_any_layout(written):
    keypoint = crowd(1, 20, 1).transpose(1, 0, 2, 3)[:, :, :20]
    held = [{"frame_dir": f"v_{i}", "label": i, "keypoint": keypoint, "total_frames": 20} for i in range(3)]
    index = written(
        {"split": {"train": ["v_0"], "val": ["v_1"], "test": ["v_2"]}, "annotations": held},
        layout=load_layout("kinect_v1"),
    )
    assert index.classes == ("0", "1", "2")
    assert index.protocols == {"split": BY_SPLIT, "split-val": BY_SPLIT}
    splits = [clip.read().splits for clip in index.clips]
    assert splits == [{"split": TRAIN, "split-val": TRAIN}, {"split-val": TEST}, {"split": TEST}]
    assert index.clips[0].read().subject == UNKNOWN


@pytest.mark.parametrize(("lists", "protocols"), [
    (["xsub_train", "xsub_val"], ["xsub"]),
    (["train", "test"], ["split"]),
    (["train", "val"], ["split"]),
    (["train", "val", "test"], ["split", "split-val"]),
    (["train1", "test1", "train2", "test2"], ["split1", "split2"]),
    (["training", "validation"], ["split"]),
    (["train-xset", "test-xset"], ["xset"]),
    (["fold_3_train", "fold_3_test"], ["fold_3"]),
])  # fmt: skip
def test_lists_become_the_protocols_they_are_called_by(tmp_path, lists, protocols):
    held = read_split(tmp_path, {called: [called] for called in lists}, lists)
    assert held.protocols == protocols
    assert (held.notes, held.missing) == ([], [])
    for called in lists:
        assert set(held.splits[called].values()) == {TRAIN if "train" in called else TEST}


@settings(max_examples=40, deadline=None)
@given(
    lists=st.dictionaries(
        st.sampled_from(["train", "val", "test", "xsub_train", "xsub_val", "all", "xview_train"]),
        st.lists(st.sampled_from("abcdef"), max_size=5),
    )
)
def test_every_name_of_every_list_is_on_a_side_or_spoken_of(tmp_path_factory, lists):
    clips = set("abcd")
    held = read_split(tmp_path_factory.getbasetemp(), lists, clips)
    spoken = " ".join(held.notes)
    for called, names in lists.items():
        for one in names:
            missing = any(file.endswith(f": {one}") for file, _ in held.missing)
            assert missing == (one not in clips)
            assert missing or one in held.splits or f"'{called}" in spoken or called in spoken or "both lists" in spoken
    for splits in held.splits.values():
        assert set(splits) <= set(held.protocols)


def test_a_clip_on_both_sides_is_on_neither_and_a_note_says_so(written):
    lists = SPLIT | {"xsub_val": [*SPLIT["xsub_val"], IDS[0]]}
    index = written({"split": lists, "annotations": annotations()})
    assert "xsub" not in index.clips[0].read().splits
    assert index.notes == [f"xsub: 1 clips are in both lists, and so on neither side; one is '{IDS[0]}'."]


def test_a_list_that_is_not_ntus_protocol_is_told(written):
    lists = {"xsub_train": SPLIT["xsub_val"], "xsub_val": SPLIT["xsub_train"]}
    index = written({"split": lists, "annotations": annotations()})
    assert index.notes == ["xsub: the lists put 5 clips on the other side than NTU RGB+D's own protocol."]


def test_a_name_without_annotation_is_reported_as_left_out(written):
    lists = SPLIT | {"xsub_val": [*SPLIT["xsub_val"], "S009"], "extra": [], "other_train": [IDS[0]]}
    index = written({"split": lists, "annotations": annotations()})
    assert [(file[-6:], reason) for file, reason in index.skipped] == [
        (": S009", "named in 'xsub_val', but not annotated")
    ]
    assert index.notes == [
        "The list 'extra' is called neither train nor val nor test, and is not used.",
        "The list 'other_train' has no counterpart, and makes no protocol.",
    ]


def changed(**changes):
    return [annotations()[0] | changes]


KEYPOINT = annotations()[0]["keypoint"]


@pytest.mark.parametrize(("held", "message"), [
    (["clip"], "expected a dict, got a str"),
    ([annotations()[0], {"frame_dir": "a", "label": 0}], "'keypoint' is missing"),
    (changed(keypoint_score=1), r"expected keypoint_score \(2, 40, 25\) of numbers, as many as joints, got a int"),
    (changed(keypoint_score=KEYPOINT), r"expected keypoint_score \(2, 40, 25\) of numbers, .*, got \(2, 40, 25, 3\)"),
    (changed(frame_dir=b"a"), "expected a name as frame_dir"),
    (changed(frame_dir=""), "expected a name as frame_dir"),
    (changed(frame_dir="\ud800"), "expected a name as frame_dir"),
    (changed(label=-1), "label from 0 to 9999, got '-1'"),
    (changed(label=10**9), "label from 0 to 9999"),
    (changed(label="a"), "label from 0 to 9999, got 'a'"),
    (changed(label=1), "expected label 0 of its action 1, got 1"),
    (changed(total_frames=41), "total_frames says '41', keypoint has shape"),
    (changed(total_frames=None), "total_frames says 'None'"),
    (changed(keypoint=[1]), r"expected keypoint \(M, T, 25, 3\) of floats for layout 'kinect_v2', got a list"),
    (changed(keypoint=KEYPOINT[0]), r"expected keypoint \(M, T, 25, 3\)"),
    (changed(keypoint=KEYPOINT[:, :, :17]), r"expected keypoint \(M, T, 25, 3\)"),
    (changed(keypoint=KEYPOINT.astype(int)), "of floats"),
    (changed(keypoint=KEYPOINT[:0]), "keypoint has shape"),
    (changed(keypoint=KEYPOINT[:, :0], total_frames=0), "keypoint has shape"),
    ([annotations()[0], annotations()[0]], "is taken by an annotation before it"),
    ([annotations()[0], annotations()[0] | {"frame_dir": "mine"}], "a name like SsssCcccPpppRrrrAaaa"),
])  # fmt: skip
def test_an_annotation_that_is_none_costs_one_clip(written, held, message):
    index = written({"annotations": held})
    assert len(index.unusable) == 1
    assert len(index.clips) == len(held) - 1
    assert re.search(message, index.unusable[0][1])


def test_coordinates_that_are_none_cost_one_clip(written):
    broken = KEYPOINT.copy()
    broken[0, 3, 2, 1] = np.inf
    with pytest.raises(DataError, match="frame 3, body 0, joint 2"):
        written({"annotations": changed(keypoint=broken)}).clips[0].read()


@pytest.mark.parametrize(("held", "message"), [
    ({"split": {}}, "expected a dict with 'split' and a list 'annotations'"),
    ({"annotations": []}, "expected a dict with 'split' and a list 'annotations'"),
    (3, "expected a dict with 'split' and a list 'annotations'"),
    ({"split": {}, "other": 1}, "as PYSKL writes it, got a dict with split, other"),
    ({"annotations": 1}, "as PYSKL writes it, got none"),
    ("text", "as PYSKL writes it, got a str"),
    ([{"frame_dir": "a", "label": 0, "total_frames": 9}], "hold no skeletons, only frame_dir, label, total_frames"),
    ([{"frame_dir": "a", "raw_file": "a.pkl"}], "hold no skeletons, only frame_dir, raw_file: it is a list of videos"),
    ({"annotations": annotations(), "split": {"train": {"a": 1}}}, "lists of names, got a dict as 'train'"),
    ({"annotations": annotations(), "split": {"train": None}}, "lists of names, got a NoneType as 'train'"),
    ({"annotations": annotations(), "split": {"a\x1b[2J_train": None}}, r"a NoneType as 'a\\x1b\[2J_train'"),
    ({"annotations": annotations(), "split": [1]}, "expected 'split' to be a dict of lists of names, got a list"),
    ({"annotations": annotations(), "split": {1: []}}, "expected 'split' to hold lists by their names"),
    ({"annotations": annotations(), "split": {"train": "a"}}, "expected 'split' to hold lists of names"),
    ({"annotations": annotations(), "split": {"train": [1]}}, "expected names in the list 'train'"),
    ({"annotations": annotations(), "split": {"a_train": [], "train-a": []}}, "are both the train list of a"),
])  # fmt: skip
def test_each_mistake_of_the_file_is_told_in_one_line(written, held, message):
    with pytest.raises(DataError, match=message) as told:
        written(held)
    assert "\n" not in str(told.value)


def test_a_joint_of_score_zero_is_absent_whatever_its_coordinates(written):
    score = np.ones((2, 40, 25), np.float32)
    score[0, 3, 5], score[1, 4, 6] = 0, np.nan
    index = written({"annotations": changed(keypoint_score=score)})
    frames = index.clips[0].read().frames
    expected = KEYPOINT.transpose(1, 0, 2, 3).astype(np.float32)
    expected[3, 0, 5] = expected[4, 1, 6] = 0
    np.testing.assert_array_equal(frames, expected)
    assert index.notes == [
        "keypoint_score is kept beside the frames, and tells absent joints (0.1%: those of score 0)."
    ]


@pytest.mark.parametrize("kind", [tuple, set, frozenset, np.array])
def test_a_list_of_names_may_be_of_any_kind(written, kind):
    lists = {called: kind(names) for called, names in SPLIT.items()}
    index = written({"split": lists, "annotations": annotations()})
    plain = written({"split": SPLIT, "annotations": annotations()})
    assert [clip.read().splits for clip in index.clips] == [clip.read().splits for clip in plain.clips]
    assert index.notes == []


def test_a_name_whose_annotation_is_broken_is_told_once(written):
    broken = [one | ({"label": "x"} if one["frame_dir"] == IDS[0] else {}) for one in annotations()]
    index = written({"split": SPLIT, "annotations": broken})
    assert (len(index.unusable), index.skipped) == (1, [])


@pytest.mark.parametrize("called", ["a/b_train", "../x_train", "a\\b train", "\x1b]0;x\x07_train", "x\u202ey_train"])
def test_a_list_whose_name_cannot_name_a_protocol_is_not_used_with_a_word(written, called):
    lists = {called: IDS[:2], "xsub_train": [IDS[0]], "xsub_val": [IDS[1]]}
    index = written({"split": lists, "annotations": annotations()})
    assert set(index.protocols) == {"xsub", "xview"}
    (note,) = index.notes
    assert note.isprintable()
    assert "is not used: expected a name of 1 to 80" in note


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_a_compressed_pickle_is_read(tmp_path, opener):
    with opener(tmp_path / "ntu60_3danno.pkl.gz", "wb") as packed:
        pickle.dump({"split": SPLIT, "annotations": annotations()}, packed)
    assert [clip.id for clip in pyskl.index(tmp_path, Options()).clips] == IDS


class Bite:
    def __reduce__(self):
        return os.mkdir, (os.environ["PCM3_BITTEN"],)


def test_a_malicious_pickle_is_refused_and_nothing_of_it_happens(written, tmp_path, monkeypatch):
    monkeypatch.setenv("PCM3_BITTEN", str(tmp_path / "bitten"))
    for held in (Bite(), {"split": SPLIT, "annotations": [*annotations(), Bite()]}):
        with pytest.raises(DataError, match=r"refused: asks for posix\.mkdir; a data file needs only containers"):
            written(held)
    assert not (tmp_path / "bitten").exists()


@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.soak)])
def test_many_damaged_files_parse_or_are_refused(tmp_path, count):
    held = [annotation(id, RECORDINGS[id][:4], label) for id, label in zip(IDS[:2], LABELS, strict=False)]
    whole = [
        pickle.dumps({"split": {"xsub_train": IDS[:1], "xsub_val": IDS[1:2]}, "annotations": held}, p) for p in (2, 4)
    ]
    heads = [[place for place in range(len(data)) if data[place : place + 16].count(0) < 8] for data in whole]
    file = tmp_path / "damaged.pkl"
    random = np.random.default_rng(4)
    outcomes = {True: 0, False: 0}
    began = time.process_time()
    for number in range(count):
        data = bytearray(whole[number % 2])
        if number % 4 == 0:
            del data[random.integers(len(data)) :]
        else:
            for place in random.choice(heads[number % 2], random.integers(1, 5)):
                data[place] = random.integers(256)
        file.write_bytes(data)
        outcomes[_reads(file)] += 1
    assert time.process_time() - began < 60
    assert min(outcomes.values()) > count // 20


def _reads(file):
    """Whether the file can be read; the clips of it that can are finite."""
    try:
        clips = pyskl.index(file, Options()).clips
    except DataError:
        return False
    for clip in clips:
        try:
            assert np.isfinite(clip.read().frames).all()
        except DataError:
            return False
    return True
