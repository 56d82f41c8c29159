"""Tables that hold several recordings, with columns that tell what is done in them and by whom."""

import numpy as np
import pytest
from ntu_file_text import walkers

from pcm3.data.formats.clip_columns import given_roles
from pcm3.data.importer import import_recordings
from pcm3.data.recording import UNKNOWN
from pcm3.data.recordings import read_files
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v1").joints
FRAMES = 6


def body(seed, frames=FRAMES):
    return walkers(seed, frames, 1, 20)[:, 0].astype(np.float64).round(5)


def wide(clips, columns, *, frame=True):
    """A row a frame: clips are (what the columns say, one for all frames or one each; the body (T, V, 3))."""
    lines = [",".join([*columns, *(["frame"] if frame else []), *(f"{j}_{a}" for j in KINECT for a in "xyz")])]
    for told, bodies in clips:
        for number, pose in enumerate(bodies):
            cells = [cell[number] if isinstance(cell, list) else cell for cell in told]
            lines.append(",".join(map(str, [*cells, *([number] if frame else []), *pose.ravel()])))
    return "\n".join(lines) + "\n"


def long(clips, columns):
    """A row a joint."""
    lines = [",".join([*columns, "frame", "joint", "x", "y", "z"])]
    for told, bodies in clips:
        for number, pose in enumerate(bodies):
            cells = [cell[number] if isinstance(cell, list) else cell for cell in told]
            lines += [
                ",".join(map(str, [*cells, number, joint, *xyz])) for joint, xyz in zip(KINECT, pose, strict=True)
            ]
    return "\n".join(lines) + "\n"


def read(path, text, **options):
    return read_files(_written(path, text), Options(fps=30.0, **options))


def _written(path, text):
    path.write_text(text)
    return path


def labels_of(files):
    return [files.classes[clip.label] if clip.label != UNKNOWN else "" for clip in files.recordings]


CLIPS = [(("b", "anna", "wave"), body(0)), (("a", "bert", "jog"), body(1, 9)), (("10", "anna", ""), body(2))]


@pytest.mark.parametrize("form", [wide, long])
def test_a_table_of_several_recordings_is_read_as_they_would_be_alone(tmp_path, form):
    files = read(tmp_path / "all.csv", form(CLIPS, ["clip", "subject", "action"]))
    assert [clip.id for clip in files.recordings] == ["b", "a", "10"]
    assert labels_of(files) == ["wave", "jog", ""]
    assert [clip.subject for clip in files.recordings] == [1, 2, 1]
    for clip, (_, bodies) in zip(files.recordings, CLIPS, strict=True):
        np.testing.assert_allclose(clip.frames[:, 0], bodies, atol=1e-6)
    assert "recordings by the column 'clip': 3 in 1 table (--columns clip=NAME)" in files.notes
    assert "classes by the column 'action': 2, 2 of 3 recordings have one" in files.notes
    assert "people by the column 'subject': 2" in files.notes


def test_rows_of_recordings_may_stand_among_each_other(tmp_path):
    head, *rows = wide(CLIPS[::2], ["clip", "subject", "action"]).splitlines()
    mixed = [rows[number // 2 + FRAMES * (number % 2)] for number in range(len(rows))]
    files = read(tmp_path / "all.csv", "\n".join([head, *mixed]))
    assert [clip.id for clip in files.recordings] == ["b", "10"]
    np.testing.assert_allclose(files.recordings[1].frames[:, 0], CLIPS[2][1], atol=1e-6)


@pytest.mark.parametrize("form", [wide, long])
def test_rows_may_stand_in_any_order_of_time(tmp_path, form):
    told = [(("a", ["wave"] * 2 + [""] * 4), body(0)), (("b", "jog"), body(1))]
    head, *rows = form(told, ["clip", "label"]).splitlines()
    files = read(tmp_path / "all.csv", "\n".join([head, *rows[::-1]]))
    assert [clip.id for clip in files.recordings] == ["b", "a"]
    np.testing.assert_allclose(files.recordings[1].frames[:, 0], body(0), atol=1e-6)
    assert [(span.start, span.stop) for span in files.recordings[1].intervals] == [(0, 2)]
    alone = read(tmp_path / "one.csv", "\n".join([head, *rows[len(rows) // 2 - 1 :: -1]]).replace("clip", "note"))
    np.testing.assert_allclose(alone.recordings[0].frames[:, 0], body(0), atol=1e-6)


def test_times_that_are_rounded_may_be_equal_one_after_the_other(tmp_path):
    text = wide([(("a", [0.0, 0.0, 0.01, 0.02, 0.02, 0.03]), body(0)), (("b", [0.0] * 2 + [0.01] * 4), body(1))],
                ["clip", "time_s"], frame=False)  # fmt: skip
    files = read_files(_written(tmp_path / "all.csv", text), Options(fps=100.0))
    np.testing.assert_allclose(files.recordings[1].frames[:, 0], body(1), atol=1e-6)


def test_columns_that_tell_nothing_yet_are_named(tmp_path):
    told = [(("b", "anna", "wave"), body(0)), (("a", "bert", "jog"), body(1))]
    files = read(tmp_path / "all.csv", wide(told, ["Take No", "who", "What is done"]), columns="clip=take no")
    assert "recordings by the column 'Take No': 2 in 1 table (--columns clip=NAME)" in files.notes
    assert (
        "columns of which nothing is taken: 'who', 'What is done' (--columns label=NAME,subject=NAME says what they "
        "tell)" in files.notes
    )
    files = read(tmp_path / "all.csv", wide(told, ["Take", "Who", "What"]), columns="label=what,subject=who")
    assert "classes by the column 'What': 2" in files.notes


def test_parquet_tells_the_same(tmp_path):
    pytest.importorskip("pyarrow")
    from pyarrow import csv, parquet

    files = read(tmp_path / "all.csv", wide(CLIPS, ["clip", "subject", "action"]))
    parquet.write_table(csv.read_csv(tmp_path / "all.csv"), tmp_path / "all.parquet")
    other = read_files(tmp_path / "all.parquet", Options(fps=30.0))
    assert [clip.id for clip in other.recordings] == [clip.id for clip in files.recordings]
    assert labels_of(other) == labels_of(files)
    for clip, same in zip(files.recordings, other.recordings, strict=True):
        np.testing.assert_array_equal(clip.frames, same.frames)


def test_numbers_that_begin_anew_are_told_apart_by_person_and_label(tmp_path):
    trials = [((who, what, n), body(n)) for who in (1, 2) for what in ("wave", "jog") for n in (1, 2)]
    files = read(tmp_path / "all.csv", wide(trials, ["participant_id", "Action Name", "Trial"]))
    assert [clip.id for clip in files.recordings[:3]] == ["1/1/wave", "1/2/wave", "1/1/jog"]
    assert (len(files.recordings), labels_of(files)[:3]) == (8, ["wave", "wave", "jog"])
    assert [clip.subject for clip in files.recordings] == [1, 1, 1, 1, 2, 2, 2, 2]


def test_a_label_that_changes_makes_intervals_and_one_in_the_first_row_is_the_recordings(tmp_path):
    told = [
        (("a", ["wave", "wave", "", "jog", "jog", "jog"]), body(0)),
        (("b", "jog"), body(1)),
        (("c", ["wave", *[""] * 5]), body(2)),
        (("d", "-1"), body(3)),
    ]
    files = read(tmp_path / "all.csv", wide(told, ["clip", "label"]))
    spans = [[(i.start, i.stop, files.classes[i.label]) for i in clip.intervals] for clip in files.recordings]
    assert spans == [[(0, 2, "wave"), (3, 6, "jog")], [(0, 6, "jog")], [(0, 6, "wave")], []]
    assert any("the label changes within 1 of 4 recordings: they are untrimmed" in note for note in files.notes)
    assert labels_of(read(tmp_path / "b.csv", wide(told[1:], ["clip", "label"]))) == ["jog", "wave", ""]


def test_the_user_says_which_columns_and_that_none_is(tmp_path):
    told = [((n, n % 2, "tall" if n < 3 else "low", f"p{n}"), body(n)) for n in range(4)]
    text = wide(told, ["rep", "label", "height", "who"])
    files = read(tmp_path / "all.csv", text, columns="label=Height, subject=who")
    assert (labels_of(files), [clip.subject for clip in files.recordings]) == (["tall"] * 3 + ["low"], [1, 2, 3, 4])
    assert labels_of(read(tmp_path / "all.csv", text, columns="label=")) == [""] * 4
    assert labels_of(read(tmp_path / "all.csv", text)) == ["0", "1", "0", "1"]
    (tmp_path / "labels.csv").write_text("file,label\n2,fast\n")
    assert labels_of(read(tmp_path / "all.csv", text, labels=str(tmp_path / "labels.csv"))) == ["0", "1", "fast", "1"]


def test_columns_that_tell_nothing_leave_folders_and_bodies_as_they_were(tmp_path):
    for number, action in enumerate(("wave", "jog")):
        (tmp_path / "raw" / action).mkdir(parents=True)
        text = wide([(("person", 7), body(number))], ["label", "person_id"])
        (tmp_path / "raw" / action / f"{number}.csv").write_text(text)
    files = read_files(tmp_path / "raw", Options(fps=30.0))
    assert (files.classes, labels_of(files)) == (("jog", "wave"), ["wave", "jog"])
    assert [clip.subject for clip in files.recordings] == [UNKNOWN, UNKNOWN]
    assert any("the column 'label' holds 'person' alone and is not taken" in note for note in files.notes)
    two = [(("a", "x"), body(0)), (("a", "y"), body(1)), (("b", "x"), body(2))]
    files = read(tmp_path / "two.csv", wide(two, ["clip", "person"]))
    assert [clip.frames.shape[1] for clip in files.recordings] == [2, 1]
    apart = read(tmp_path / "apart.csv", wide([two[0], (("b", "y"), body(1))], ["clip", "person"]))
    assert [(clip.frames.shape[1], clip.subject) for clip in apart.recordings] == [(1, 1), (1, 2)]


def test_tables_named_for_classes_or_people_hold_their_recordings(tmp_path):
    (tmp_path / "raw").mkdir()
    for seed, action in enumerate(("wave", "jog")):
        text = wide([((n,), body(10 * seed + n)) for n in (1, 2)], ["take"])
        (tmp_path / "raw" / f"{action}.csv").write_text(text)
    report = import_recordings("auto", tmp_path / "raw", tmp_path / "store", fps=30.0, progress=False)
    store = ClipStore.open(tmp_path / "store")
    assert store.ids.tolist() == ["jog/1", "jog/2", "wave/1", "wave/2"]
    assert [store.classes[label] for label in store.label] == ["jog", "jog", "wave", "wave"]
    assert report.skipped == []


@pytest.mark.parametrize(
    ("text", "columns", "error", "message"),
    [
        (wide(CLIPS, ["clip", "subject", "action"]), "label=actoin", ConfigError, "did you mean 'action'"),
        (wide(CLIPS, ["clip", "subject", "action"]), "labels=action", ConfigError, "expected clip=NAME, label=NAME"),
        (wide(CLIPS, ["clip", "subject", "action"]), "action", ConfigError, "with commas between them, got 'action'"),
        (wide([(("", "x"), body(0)), (("b", "y"), body(1))], ["clip", "label"]), None, DataError,
         "row 2: expected a recording's name in the column 'clip'"),
        (wide([(("wave",), body(0)), (("jog",), body(1)), (("wave",), body(2))], ["label"]), None, DataError,
         "row 14: frame or time 0 is there twice in one recording: .* --columns clip=NAME"),
        (wide([((1, "x"), body(0)), ((2, "y"), body(1))], ["nr", "what"]), None, DataError,
         "row 8: frame or time 0 is there twice in one recording: .*, of 'nr', 'what'. .* --columns clip=NAME"),
        (long([((1, "x"), body(0)), ((2, "y"), body(1))], ["nr", "what"]), None, DataError,
         "row 122: frame or time 0 is there twice in one recording: .*, of 'nr', 'what'. .* --columns clip=NAME"),
        (wide([(("a",), body(0)), (("a",), body(1))], ["person"]), None, DataError,
         "row 8: frame or time 0 is there twice in one recording"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_line(tmp_path, text, columns, error, message):
    with pytest.raises(error, match=message) as told:
        read(tmp_path / "all.csv", text, columns=columns)
    assert "\n" not in str(told.value)


def test_names_are_kept_as_they_are_written(tmp_path):
    told = [(('x, "y"', "007", "Müller; jogs"), body(0)), (("a\nb", "7", "NA"), body(1))]
    text = wide([((f'"{clip.replace(chr(34), chr(34) * 2)}"', who, what), poses) for (clip, who, what), poses in told],
                ["clip", "subject", "label"])  # fmt: skip
    (tmp_path / "all.csv").write_bytes(text.encode("cp1252"))
    files = read_files(tmp_path / "all.csv", Options(fps=30.0, columns="label=label"))
    assert [clip.id for clip in files.recordings] == ['x, "y"', "a\\nb"]
    assert (labels_of(files), [clip.subject for clip in files.recordings]) == (["Müller; jogs", ""], [1, 2])


def test_a_table_that_cannot_be_read_costs_its_own_recordings(tmp_path):
    for name, text in {
        "a": wide(CLIPS, ["clip", "subject", "action"]),
        "b": "clip,subject,action,frame,head_x,head_y,head_z\n",
        "c": wide(CLIPS, ["clip", "subject", "action"]) + "1,2\n",
    }.items():
        (tmp_path / f"{name}.csv").write_text(text)
    files = read_files(tmp_path, Options(fps=30.0))
    assert len(files.recordings) == 3
    reasons = ["expected rows below the names of the columns, got none", "row 23: expected 64 fields, got 2"]
    assert [reason for _, reason in files.lost] == reasons
    with pytest.raises(DataError, match=r"b.csv: expected rows below the names of the columns, got none"):
        read_files(tmp_path / "b.csv", Options(fps=30.0))


def test_columns_are_of_tables_alone(tmp_path):
    np.save(tmp_path / "a.npy", walkers(0, 6, 1, 20))
    with pytest.raises(ConfigError, match="setting columns: expected it with parquet, csv; npy has no use for it"):
        read_files(tmp_path / "a.npy", Options(load_layout("kinect_v1"), fps=30.0, columns="label=x"))


def test_columns_by_several_names():
    assert given_roles("clip=Session, clip=Take No,label=") == {"clip": ("session", "take_no"), "label": ()}
    assert given_roles(None) == {}
