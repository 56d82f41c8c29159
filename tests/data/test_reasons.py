"""Thousands of files that were skipped are a few lines: grouped by kind of reason, causes first, none of them long."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ntu_file_text import skeleton_text, walkers

from pcm3.cli import main
from pcm3.data.reasons import by_cause, group, reason_lines


def test_reasons_that_differ_in_particulars_are_of_one_kind():
    lost = [(f"S001A00{n}.skeleton", f"line {n}: expected x, y, z in metres, got '{n} it's NaN'") for n in range(1, 6)]
    assert reason_lines(lost) == [
        "5 x line …: expected x, y, z in metres, got … (S001A001.skeleton, S001A002.skeleton, S001A003.skeleton, …)"
    ]
    assert reason_lines(lost[:1]) == [f"1 x {lost[0][1]} (S001A001.skeleton)"]


def test_two_values_are_both_told():
    lost = [
        ("a", "expected 25 joints, got 20"),
        ("b", "expected 25 joints, got 21"),
        ("c", "expected 25 joints, got 20"),
    ]
    assert reason_lines(lost) == ["3 x expected 25 joints, got 20 or 21 (a, b, c)"]


def test_names_of_files_and_clips_do_not_divide():
    lost = [
        (f"f: {name}", f"the id '{name}' is taken by 'x/{name}.skeleton'") for name in ("walk", "sit", "it's", "a b")
    ]
    assert [len(kind.files) for kind in group(lost)] == [4]


def test_causes_come_before_what_follows_and_the_commonest_first():
    causes = [("z", "damaged"), ("b", "expected 3, got 4"), ("a", "expected 3, got 5")]
    follows = [(f"n{n}", "named in 'train', but not annotated") for n in range(9)]
    assert by_cause(causes, follows) == [
        ("a", "expected 3, got 5"),
        ("b", "expected 3, got 4"),
        ("z", "damaged"),
        *follows,
    ]


def test_many_kinds_are_cut_with_a_word():
    lost = [(f"f{n}", "x" * n) for n in range(1, 9)]
    assert reason_lines(lost)[5:] == ["3 for 3 other reasons"]


@given(st.lists(st.tuples(st.text(max_size=300), st.text(max_size=2000)), max_size=20))
def test_no_line_is_long_or_does_not_print(lost):
    told = reason_lines(lost)
    assert len(told) <= 6
    assert all(len(line) < 600 and line.isprintable() for line in told)
    assert sum(len(kind.files) for kind in group(lost)) == len(lost)


def save(file, frames, **more):
    np.savez(file, frames=np.concatenate(frames), length=[len(one) for one in frames], layout="kinect_v2", **more)


def test_an_import_and_info_print_a_few_lines(tmp_path, capsys):
    clips = [walkers(seed, 5) for seed in range(60)]
    for number, clip in enumerate(clips[:50]):
        clip[number % 5, 0, number % 25, number % 3] = np.inf
    save(tmp_path / "f.npz", clips, id=[f"clip_{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60)])
    assert main(["import", "npz", str(tmp_path / "f.npz"), str(tmp_path / "s")]) == 0
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if "50 x" in line)
    assert "50 x frame …, body 0, joint … (0-based): expected metres, got inf (" in line
    assert main(["info", str(tmp_path / "s"), "--json"]) == 0
    printed = capsys.readouterr().out
    assert line.strip() in printed
    assert json.loads(printed.splitlines()[-1])["skipped"]["reasons"] == {
        "frame …, body 0, joint … (0-based): expected metres, got inf": 50
    }
    assert max(map(len, printed.splitlines()[:-1])) < 400


def test_where_nothing_can_be_used_the_cause_is_told_in_one_line(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    for number in range(1, 200):
        text = skeleton_text(walkers(number, 3)).replace(" ", " x", number)
        (tmp_path / "raw" / f"S001C001P001R001A{number % 60 + 1:03d}-{number}.skeleton").write_text(text)
    assert main(["import", "ntu60", str(tmp_path / "raw"), str(tmp_path / "s")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "none of 199 recordings can be used: 199 x expected a name like SsssCcccPpppRrrrAaaa.skeleton" in told
    assert len(told) < 600


@pytest.mark.parametrize("name", ["\x1b[2J\x1b]0;x\x07.skeleton", "a\u202e.skeleton", "a\nb.skeleton"])
def test_names_of_files_are_shown_escaped(tmp_path, capsys, name):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / name).write_text("x")
    (tmp_path / "raw" / "S001C001P001R001A001.skeleton").write_text(skeleton_text(walkers(1, 3)))
    assert main(["import", "ntu60", str(tmp_path / "raw"), str(tmp_path / "s")]) == 0
    assert main(["info", str(tmp_path / "s")]) == 0
    (tmp_path / "raw" / "S001C001P001R001A001.skeleton").unlink()
    assert main(["import", "ntu60", str(tmp_path / "raw"), str(tmp_path / "t")]) == 2
    printed = capsys.readouterr()
    assert all(line.isprintable() for line in (printed.out + printed.err).splitlines())
