"""PKU-MMD: files that tests write in its form, whole, moved about, mixed up and damaged."""

import shutil
import time
import zipfile

import numpy as np
import pytest
from damage import damage
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers
from pku_folders import label_text, list_text, skeleton_text, write_pku

from pcm3.data.importer import import_recordings
from pcm3.data.protocol import split
from pcm3.data.readers import pku_mmd
from pcm3.data.readers.class_names import class_names
from pcm3.data.readers.pku_mmd_lists import is_list, parse_list
from pcm3.data.readers.pku_mmd_text import parse_labels, parse_skeleton, what_is
from pcm3.data.recording import TEST, TRAIN, Interval
from pcm3.data.source_index import Options
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.errors import DataError

ROWS = [(51, 0, 10, 2), (1, 12, 30, 1)]
ONE = {f"000{number}-{camera}": (walkers(number, 40, 2), ROWS) for number in (2, 3) for camera in "LMR"}
TWO = {f"A0{a}N0{n}-{camera}": (walkers(a + n, 40, 1), ROWS) for a in (1, 2) for n in (1, 3) for camera in "LMR"}
ONE_LISTS = {
    "cross-subject.txt": ([name for name in ONE if "2" in name], [name for name in ONE if "3" in name]),
    "cross-view.txt": ([name for name in ONE if name[-1] != "L"], [name for name in ONE if name[-1] == "L"]),
}
TWO_LISTS = {
    "cross_subject_v2.txt": ([name for name in TWO if "N01" in name], [name for name in TWO if "N03" in name]),
    "cross_view_v2.txt": ([name for name in TWO if name[-1] != "L"], [name for name in TWO if name[-1] == "L"]),
}


@pytest.fixture
def one(tmp_path):
    return write_pku(tmp_path / "one", ONE, ONE_LISTS)


@pytest.fixture
def two(tmp_path):
    return write_pku(tmp_path / "two", TWO, TWO_LISTS)


def read_1(source):
    return pku_mmd.index_1(source, Options())


def recordings(index):
    return {clip.id: clip.read() for clip in index.clips}


def test_videos_come_whole_with_actions_camera_and_sides(one):
    index = read_1(one)
    assert (index.skipped, index.unusable, index.notes, index.kind) == ([], [], [], None)
    assert index.protocols == {"xsub": BY_SPLIT, "xview": BY_SPLIT}
    found = recordings(index)
    assert list(found) == sorted(ONE)
    video = found["0002-M"]
    np.testing.assert_allclose(video.frames, ONE["0002-M"][0], atol=1e-6)
    assert video.frames.dtype == np.float32
    assert (video.label, video.subject, video.camera, video.setup) == (-1, -1, 2, -1)
    assert video.intervals == (Interval(0, 10, 50, 2), Interval(12, 30, 0, 1))
    assert video.splits == {"xsub": TRAIN, "xview": TRAIN}
    assert found["0003-L"].splits == {"xsub": TEST, "xview": TEST}


def test_part_two_tells_the_subject_and_an_absent_second_body_is_zeros(two):
    found = recordings(pku_mmd.index_2(two, Options()))
    assert {name: video.subject for name, video in found.items()} == {name: int(name[4:6]) for name in TWO}
    assert {video.camera for name, video in found.items() if name.endswith("R")} == {3}
    video = found["A02N03-R"]
    assert video.frames.shape == (40, 2, 25, 3)
    assert not video.frames[:, 1].any()
    assert video.splits == {"xsub": TEST, "xview": TRAIN}


@pytest.mark.parametrize(("trim", "clips", "recs"), [(False, 12, 6), (True, 12, 12)])
def test_imports_as_untrimmed_recordings_or_as_their_actions(one, tmp_path, trim, clips, recs):
    report = import_recordings("pkummd1", one, tmp_path / "s", progress=False, trim=trim, strict=True)
    store = ClipStore.open(tmp_path / "s")
    assert (report.clips, len(store), store.kind) == (clips, 12, "pkummd1")
    assert len(store.recordings or store) == recs
    assert [len(side) for side in split(store, "xsub")] == [6, 6]
    assert [len(side) for side in split(store, "xview")] == [8, 4]
    first = store.ids.tolist().index("0002-L:0-9")
    assert (store.classes[store.label[first]], store.confidence[first], store.length[first]) == ("write", 2, 10)
    assert (store.fps, store.layout.name, store.classes) == (30.0, "kinect_v2", class_names("pku-mmd"))


def test_zip_folder_and_other_folder_names_are_the_same(one, tmp_path):
    expected = recordings(read_1(one))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted(one.rglob("*.txt")):
            archive.write(file, file.relative_to(one))
    lying = write_pku(tmp_path / "lying", ONE, ONE_LISTS, skeletons="labels", labels="x/skeleton")
    for source in (tmp_path / "all.zip", lying):
        found = recordings(read_1(source))
        assert list(found) == list(expected)
        for name, video in found.items():
            np.testing.assert_array_equal(video.frames, expected[name].frames)
            assert (video.intervals, video.splits) == (expected[name].intervals, expected[name].splits)


def test_each_part_is_refused_as_the_other(one, two):
    with pytest.raises(DataError, match=r"expected videos of PKU-MMD Part I, .* of Part II: import it as pkummd2"):
        read_1(two)
    with pytest.raises(DataError, match=r"expected videos of PKU-MMD Part II, .* import it as pkummd1"):
        pku_mmd.index_2(one, Options())


def test_both_parts_in_one_folder_are_told_apart(one, two):
    shutil.copytree(two, one / "part2")
    index = read_1(one)
    assert [clip.id for clip in index.clips] == sorted(ONE)
    assert set(index.protocols) == {"xsub", "xview"}
    reasons = {reason for _, reason in index.skipped}
    assert reasons == {"of PKU-MMD Part II: import it as pkummd2", "a split list of PKU-MMD Part II"}
    assert len(index.skipped) == 2 * len(TWO) + 2


def test_the_other_parts_list_under_this_parts_name_is_refused(one):
    (one / "Split" / "cross-subject.txt").write_text(list_text(["A01N01-L"], ["A01N02-L"]))
    message = r"cross-subject\.txt: expected a split list of PKU-MMD Part I, .* but it names A01N01-L of Part II"
    with pytest.raises(DataError, match=message):
        read_1(one)


def test_the_other_parts_lists_beside_this_parts_are_passed_over(one):
    for name, splits in TWO_LISTS.items():
        (one / "Split" / name).write_text(list_text(*splits))
    index = read_1(one)
    assert set(index.protocols) == {"xsub", "xview"}
    assert [reason for _, reason in index.skipped] == ["a split list of PKU-MMD Part II"] * 2
    (one / "Split" / "cross_view_v2.txt").write_text(list_text(["A01N01-L"], ["0003-M"]))
    with pytest.raises(DataError, match=r"cross_view_v2\.txt: expected a split list of PKU-MMD Part I"):
        read_1(one)


def test_lists_that_were_swapped_or_split_neither_way_are_refused(one):
    lists = one / "Split"
    (lists / "cross-view.txt").rename(lists / "a.txt")
    (lists / "cross-subject.txt").rename(lists / "cross-view.txt")
    (lists / "a.txt").rename(lists / "cross-subject.txt")
    with pytest.raises(DataError, match=r"cross-subject\.txt: expected a cross-subject list, but 0002 is on both"):
        read_1(one)
    (lists / "cross-subject.txt").unlink()
    with pytest.raises(DataError, match=r"cross-view\.txt: expected a cross-view list, but camera L is on both"):
        read_1(one)
    (lists / "cross-view.txt").write_text(list_text(["0002-L", "0003-R"], ["0002-M", "0003-L"]))
    (lists / "cross-view.txt").rename(lists / "mine.txt")
    with pytest.raises(DataError, match=r"mine\.txt: expected a split by subject or by view, but 0002 and camera L"):
        read_1(one)


def test_a_list_that_names_none_of_the_videos_is_refused(one):
    (one / "Split" / "cross-view.txt").write_text(list_text(["0101-L"], ["0102-M"]))
    with pytest.raises(DataError, match=r"cross-view\.txt: names none of the 6 videos"):
        read_1(one)


def test_without_lists_there_are_no_protocols_and_a_note_says_so(tmp_path):
    index = read_1(write_pku(tmp_path, ONE, {"cross-view.txt": ONE_LISTS["cross-view.txt"]}))
    assert set(index.protocols) == {"xview"}
    assert index.notes == ["no protocol xsub: the source has no split list such as cross-subject.txt"]


def test_videos_in_no_list_are_on_neither_side_and_missing_ones_are_counted(tmp_path):
    lists = {"cross-subject.txt": (["0002-L", "0007-L"], ["0003-L"]), "cross-view.txt": ONE_LISTS["cross-view.txt"]}
    index = read_1(write_pku(tmp_path, ONE, lists))
    assert recordings(index)["0002-M"].splits == {"xview": TRAIN}
    assert index.notes == [
        "xsub: 1 of the list's 2 training videos are there",
        "xsub: 4 videos are in no list, and on neither side",
    ]


def test_a_list_without_one_side_is_taken_and_the_note_says_so(tmp_path):
    index = read_1(write_pku(tmp_path, ONE, {"cross-subject.txt": (list(ONE), [])}))
    assert index.protocols == {"xsub": BY_SPLIT}
    assert index.notes[0] == "xsub: the list names no validation videos"


def test_two_lists_for_one_protocol_must_be_the_same(one):
    shutil.copy(one / "Split" / "cross-subject.txt", one / "subjects_copy.txt")
    assert set(read_1(one).protocols) == {"xsub", "xview"}
    (one / "subjects_copy.txt").write_text(list_text(["0002-L"], ["0003-L"]))
    with pytest.raises(DataError, match=r"another list for xsub than"):
        read_1(one)


def test_a_list_is_known_by_its_headings_and_its_protocol_by_its_cameras(one):
    (one / "Split" / "cross-subject.txt").rename(one / "a.txt")
    (one / "Split" / "cross-view.txt").rename(one / "b.txt")
    assert recordings(read_1(one))["0003-M"].splits == {"xsub": TEST, "xview": TRAIN}


def test_videos_and_labels_without_each_other_are_unusable(one):
    (one / "Label/Train_Label_PKU_final/0002-L.txt").unlink()
    (one / "Data/PKU_Skeleton_Renew/0003-R.txt").unlink()
    index = read_1(one)
    assert [clip.id for clip in index.clips] == ["0002-M", "0002-R", "0003-L", "0003-M"]
    assert index.unusable == [
        (str(one / "Data/PKU_Skeleton_Renew/0002-L.txt"), "no label file 0002-L.txt with it"),
        (str(one / "Label/Train_Label_PKU_final/0003-R.txt"), "the labels of '0003-R', which has no skeleton file"),
    ]


def test_copies_of_a_video_are_unusable_and_labels_that_differ_too(one):
    write_pku(one / "again", {"0002-L": ONE["0002-L"]})
    index = read_1(one)
    assert [reason[:24] for _, reason in index.unusable] == ["the id '0002-L' is taken"]
    (one / "again/Label/Train_Label_PKU_final/0002-L.txt").write_text(label_text([(3, 0, 9, 1)]))
    assert "label files that differ" in dict(read_1(one).unusable)[str(one / "Data/PKU_Skeleton_Renew/0002-L.txt")]


def test_a_folder_that_is_neither_is_named(tmp_path):
    write_pku(tmp_path, ONE, ONE_LISTS)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "0002-L.txt").write_text("the person falls\n")
    ((file, reason),) = read_1(tmp_path).unusable
    assert file == str(tmp_path / "notes" / "0002-L.txt")
    assert reason.startswith("expected a skeleton (150 numbers a line) or labels (label,start,end,confidence)")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((0, 3, 9, 1), "label 0 is not one of 1 to 51"),
        ((52, 3, 9, 1), "label 52 is not one of 1 to 51"),
        ((5, 9, 3, 1), "the action goes from frame 9 to frame 3"),
        ((5, 9, 9, 1), "the action goes from frame 9 to frame 9"),
        ((5, -1, 9, 1), "the action goes from frame -1 to frame 9"),
        ((5, 35, 41, 1), "frames 35 to 40 of a video of 40: cut after the last"),
        ((5, 35, 71, 1), "frames 35 to 70 of a video of 40"),
        ((5, 40, 44, 1), "frames 40 to 43 of a video of 40"),
    ],
)
def test_a_broken_row_costs_itself_alone_and_is_reported(tmp_path, row, reason):
    source = write_pku(tmp_path / "in", {"0002-L": (ONE["0002-L"][0], [ROWS[0], row, ROWS[1]])})
    report = import_recordings("pkummd1", source, tmp_path / "s", progress=False)
    ((file, said),) = report.skipped
    assert "0002-L.txt" in file
    assert "line 2" in file
    assert said == reason
    cut = ["0002-L:35-39"] if "cut" in reason else []
    assert ClipStore.open(tmp_path / "s").ids.tolist() == ["0002-L:0-9", "0002-L:12-29", *cut]


def test_classes_txt_makes_it_somebodys_own(two):
    (two / "classes.txt").write_text("walk\nrun\n")
    index = pku_mmd.index_2(two, Options())
    assert (index.classes, index.kind) == (("walk", "run"), "pkummd-format")
    assert {reason for _, reason in index.skipped} == {"label 51 is not one of 1 to 2"}


def test_class_names_are_51_different_ones():
    assert len(set(class_names("pku-mmd"))) == len(class_names("pku-mmd")) == 51
    assert [class_names("pku-mmd")[number - 1] for number in (1, 11, 14, 26, 32, 41, 51)] == [
        "bow", "fall down", "shake hands", "punch", "salute", "throw", "write",
    ]  # fmt: skip


GOOD = skeleton_text(walkers(3, 3))


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=12),
    frames=st.integers(1, 5),
    form=st.sampled_from(["{:f}", "{!r}", "{:.3e}"]),
    between=st.sampled_from([" ", "  ", "\t"]),
    newline=st.sampled_from(["\n", "\r\n", " \n"]),
)
def test_reads_what_a_line_by_line_reader_reads(values, frames, form, between, newline):
    numbers = np.resize(np.array(values), (frames, 150))
    text = newline.join(between.join(form.format(float(number)) for number in row) for row in numbers) + newline
    slow = np.array([[float(field) for field in line.split()] for line in text.split("\n") if line.strip()])
    read = parse_skeleton("x.txt", text.encode())
    np.testing.assert_array_equal(read, slow.reshape(frames, 2, 25, 3).astype(np.float32))


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 51), st.integers(0, 9999), st.integers(1, 999), st.integers(0, 2)).map(
            lambda row: (row[0], row[1], row[1] + row[2], row[3])
        ),
        max_size=9,
    )
)
def test_labels_are_read_as_written_by_their_start(rows):
    found, broken = parse_labels("x.txt", label_text(rows).encode(), 51)
    assert broken == []
    assert sorted((row.label + 1, row.start, row.stop, row.confidence) for row in found) == sorted(rows)
    assert [row.start for row in found] == sorted(row[1] for row in rows)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_lists_are_read_as_written(data):
    name = st.builds("{:04}-{}".format, st.integers(1, 364), st.sampled_from("LMR"))
    names = data.draw(st.lists(name, min_size=2, unique=True))
    cut = data.draw(st.integers(1, len(names) - 1))
    text = list_text(names[:cut], names[cut:])
    assert is_list(text.encode())
    named = parse_list(
        "x.txt", text.replace("Validataion", data.draw(st.sampled_from(["Validation", "Test"]))).encode()
    )
    assert named == dict.fromkeys(names[:cut], TRAIN) | dict.fromkeys(names[cut:], TEST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected 150 numbers, got the end of the file"),
        (GOOD.replace("\n", "\n\n", 1), "line 2: expected 150 numbers, got ''"),
        (GOOD[:-30], "line 3: expected 150 numbers"),
        (GOOD.replace("\n", " 1\n", 1), "line 1: expected 150 numbers"),
        (GOOD.replace("0.000000", "x", 1), "line 1: expected x, y, z in metres, got 'x 0.000000 0.000000'"),
        (GOOD.replace("0.000000", "none", 1), "line 1: expected x, y, z in metres, got 'none"),
        (GOOD.replace("0.000000", "1001", 1), "line 1: expected x, y, z in metres, got '1001"),
        (GOOD.replace("0.000000", "1-2", 1), "line 1: expected x, y, z in metres, got '1-2"),
        (GOOD.replace(" ", "  ", 1).replace(" ", "", 2), "line 1: expected 150 numbers"),
        ("51,2,3,1\n", "line 1: expected 150 numbers, got '51,2,3,1'"),
    ],
)
def test_each_mistake_in_a_skeleton_is_told_with_its_line(text, message):
    with pytest.raises(DataError, match=message) as caught:
        parse_skeleton("0002-L.txt", text.encode())
    assert str(caught.value).startswith("0002-L.txt: line ")


@pytest.mark.parametrize(
    "line", ["1,2,3", "1,2,3,4,5", "1;2;3;4", "a,2,3,1", "1,2.5,3,1", "1,2,99999999999,1", "1 2 3 1"]
)
def test_a_label_file_with_another_kind_of_line_is_unusable(one, line):
    file = one / "Label/Train_Label_PKU_final/0002-M.txt"
    file.write_text(f"1,2,9,1\n{line}\n")
    ((video, reason),) = read_1(one).unusable
    assert video == str(one / "Data/PKU_Skeleton_Renew/0002-M.txt")
    assert reason.startswith(f"{file}: line 2: expected label,start,end,confidence, got '{line}'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected names under 'Training videos:'"),
        ("0002-L, 0003-L\n", "line 1: expected 'Training videos:'.* got '0002-L'"),
        (list_text([], []), "expected names under 'Training videos:' and under 'Validation videos:', got none"),
        (list_text(["0002-L"], ["0002-L"]), "line 4: 0002-L is on both sides"),
        (list_text(["0002-X"], ["0003-L"]), "line 2: expected .* names of videos, got '0002-X'"),
        (list_text(["0002-L"], ["A01N01-L"]), "it names A01N01-L of Part II"),
    ],
)
def test_a_damaged_list_is_refused(one, text, message):
    (one / "Split" / "cross-subject.txt").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_1(one)
    assert "cross-subject.txt: " in str(caught.value)


def test_what_a_file_holds_is_seen_in_its_first_line():
    assert what_is(GOOD.encode()) == "skeleton"
    assert what_is(b"\n" + label_text(ROWS).encode()) == "labels"
    assert what_is(b"12,3,4\n") == "labels"
    assert [what_is(data) for data in (b"", b"1 2 3\n", b"\xff" * 99, b"1,2\n", list_text(["a"], ["b"]).encode())] == [
        None
    ] * 5


@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.soak)])
def test_many_damaged_files_of_each_form_parse_or_say_file_and_line(count):
    random = np.random.default_rng(5)
    forms = {
        "s": (skeleton_text(walkers(1, 2, 2)), lambda data: np.abs(parse_skeleton("s", data)).max() <= 1000),
        "l": (label_text(ROWS * 3), lambda data: all(0 <= r.start < r.stop for r in parse_labels("l", data, 51)[0])),
        "t": (list_text(list(ONE)[:4], list(ONE)[4:]), lambda data: set(parse_list("t", data).values()) <= {0, 1}),
    }
    began = time.process_time()
    for name, (text, fine) in forms.items():
        refused = []
        for _ in range(count):
            try:
                assert fine(damage(text.encode(), random, 400, b","))
            except DataError as error:
                refused.append(str(error))
        assert count / 10 < len(refused) < count
        assert [said for said in refused if not said.startswith(f"{name}: ") or len(said) > 300] == []
        assert name == "t" or [said for said in refused if not said.startswith(f"{name}: line ")] == []
    assert time.process_time() - began < 30
