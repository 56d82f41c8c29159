"""The tutorials, command by command as they stand, on small files and with a tiny encoder."""

import csv
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from bvh_text import text
from ntu_file_text import walkers

from pcm3.data.importer import store_recordings
from pcm3.data.recording import Recording
from pcm3.skeleton import load_layout

PAGE = (Path(__file__).parents[1] / "docs" / "TUTORIALS.md").read_text(encoding="utf-8")
SECTIONS = {
    title: [
        line
        for word, block in re.findall(r"^```(\w*)\n(.*?)^```", body, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
        if not word
    ]
    for title, _, body in (part.partition("\n") for part in PAGE.split("\n## ")[1:])
}
TINY = ["--steps", "2", "--batch", "4", "--encoder.hidden_size", "8", "--frames", "16", "--device", "cpu"]
QUICK = {
    "classifier": ["--head.epochs", "3", "--head.drop_epochs", "[2]"],
    "detector": ["--detection.epochs", "1", "--detection.windows", "2", "--detection.frames", "8"],
}


def quickly(line):
    """A command with a tiny encoder and few epochs."""
    words = shlex.split(line)
    assert words[0] == "pcm3"
    if words[1] == "pretrain":
        place = words.index("--minutes")
        return [*words[1:place], *words[place + 2 :], *TINY]
    return words[1:] + (QUICK[words[2]] if words[1] == "fit" and "nearest" not in words else [])


def write_table(file, number, frames=30, subject=0):
    """A recording as CSV, a column a coordinate."""
    names = load_layout("kinect_v2").joints
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow([f"{joint}_{axis}" for joint in names for axis in "xyz"])
        rows.writerows(np.round(walkers(number, frames, 1, 25)[:, 0].reshape(frames, -1), 4).tolist())


def write_tables(folder, labels, file):
    """Some recordings, and a table of labels for half of them."""
    folder.mkdir()
    rows = []
    for number in range(8):
        write_table(folder / f"p{number % 4}_{number:03}.csv", number)
        rows.append((f"p{number % 4}_{number:03}.csv", ("wave", "jog")[number // 4], number % 4))
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([labels, *rows[:6]])


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_all(cli, title):
    """Runs every command of a section; gives what each printed."""
    printed = []
    for line in SECTIONS[title]:
        found = cli(*quickly(line))
        assert found.code == 0, f"{line}: {found.err}"
        printed.append(found.out)
    return printed


def test_a_folder_of_files_some_of_them_labelled(cli, at_home):
    write_tables(at_home / "recordings", ("file", "label", "subject"), at_home / "labels.csv")
    printed = run_all(cli, "A folder of files, some of them labelled")
    assert len(printed) <= 5
    assert "people not seen (4 people, 4 folds)" in printed[2]
    with (at_home / "labels_of_all.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 8
    assert {row["class"] for row in rows} <= {"wave", "jog"}


def test_one_table_with_all_recordings(cli, at_home):
    names = [f"{joint}_{axis}" for joint in load_layout("kinect_v1").joints for axis in "xyz"]
    with (at_home / "all.csv").open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["trial", "exercise", "who", "time", *names])
        for number in range(8):
            about = [f"t{number:03}", ("wave", "jog", "")[number % 3], ("anna", "bert")[number // 4]]
            poses = np.round(walkers(number, 30, 1, 20)[:, 0].reshape(30, -1), 4).tolist()
            rows.writerows([*about, round(frame / 30, 3), *pose] for frame, pose in enumerate(poses))
    printed = run_all(cli, "One table with all recordings")
    assert "classes by the column 'exercise': 2, 6 of 8 recordings have one" in printed[0]
    assert "30 frames a second by the column 'time'" in printed[0]
    assert "people not seen (2 people, 2 folds)" in printed[2]


def test_bvh_from_a_mocap_rig(cli, at_home):
    for number in range(6):
        folder = at_home / "takes" / ("wave", "jog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"take{number + 1:02}.bvh").write_text(text(frames=40, seed=number))
    printed = run_all(cli, "BVH from a mocap rig")
    assert "people are not told apart" in printed[2]
    assert (at_home / "compare.png").exists()


def test_where_does_this_movement_occur(cli, at_home):
    long = [Recording(f"long{k}", walkers(k, 200, 1, 20)) for k in range(2)]
    takes = [Recording(f"take{k:02}", walkers(k, 40, 1, 20)) for k in range(1, 7)]
    for recordings, name in ((long, "long_recordings"), (takes, "store")):
        store_recordings(recordings, at_home / name, layout="kinect_v1", fps=30.0)
    assert cli(*quickly("pcm3 pretrain store --run run --protocol all --minutes 1")).code == 0
    printed = run_all(cli, "Where does this movement occur?")
    assert "windows of 1.33 s in 2 recordings" in printed[0]


def test_actions_in_long_recordings(cli, at_home):
    (at_home / "sessions").mkdir()
    rows = [("file", "label", "subject", "start", "stop")]
    for number in range(3):
        write_table(at_home / "sessions" / f"s{number}.csv", number, frames=120)
        rows += [(f"s{number}.csv", "wave", number, 0.2, 1.2), (f"s{number}.csv", "jog", number, 2.0, 3.5)]
    with (at_home / "actions.csv").open("w", newline="") as opened:
        csv.writer(opened).writerows(rows)
    (at_home / "new_sessions").mkdir()
    write_table(at_home / "new_sessions" / "later.csv", 9, frames=90)
    run_all(cli, "Actions in long recordings")
    assert [file.name for file in (at_home / "annotations").iterdir()] == ["later.eaf"]


def test_commands_on_real_data_are_understood():
    from test_readme import test_commands_of_the_readme_are_understood as understood

    for line in SECTIONS["A data set with people: Kinder-Gator"]:
        understood(line)
