"""Labels are on the disk when they have been given, whatever happens to the process."""

import csv
import signal
import subprocess
import sys
import time

import pytest

from pcm3.errors import ConfigError
from pcm3.web.labels import LabelBook


def rows(file):
    with file.open(encoding="utf-8", newline="") as opened:
        return [tuple(row) for row in csv.reader(opened)]


def test_what_was_given_is_in_the_file_and_is_read_again(tmp_path):
    file = tmp_path / "labels.csv"
    book = LabelBook.open(file)
    assert book.give(["a", 'b, "x"'], "wave") == 2
    book.give(["a"], "nod")
    assert rows(file) == [("file", "label"), ('b, "x"', "wave"), ("a", "nod")]
    assert LabelBook.open(file).given() == book.given() == {'b, "x"': "wave", "a": "nod"}
    assert book.give(["a", "never"], None) == 1


@pytest.mark.parametrize("label", ["", " wave", "a\nb", "x" * 201])
def test_a_label_that_is_none_changes_nothing(tmp_path, label):
    book = LabelBook.open(tmp_path / "labels.csv")
    with pytest.raises(ConfigError, match="1 to 200 characters"):
        book.give(["a"], label)
    assert not book.file.exists()


@pytest.mark.parametrize("text", ["", "id,class\na,b\n", "file,label\na\n", "file,label\na,\x00\n", '"file,label'])
def test_a_file_of_somebody_elses_is_left_alone(tmp_path, text):
    file = tmp_path / "labels.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="move the file away"):
        LabelBook.open(file)
    assert file.read_text(encoding="utf-8") == text


def test_where_the_file_cannot_be_written_the_labels_stay_as_they_were(tmp_path):
    book = LabelBook.open(tmp_path / "labels.csv")
    book.give(["a"], "wave")
    book.file.rename(tmp_path / "kept.csv")
    (tmp_path / "labels.csv" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"."):
        book.give(["b"], "nod")
    assert book.given() == {"a": "wave"}


WRITER = """
import sys
from pathlib import Path
from pcm3.web.labels import LabelBook
book = LabelBook.open(Path(sys.argv[1]))
for number in range(100_000):
    book.give([f"clip {place}" for place in range(number % 50 * 40)] + ["last"], f"label {number}")
    print(number, flush=True)
"""


@pytest.mark.parametrize("turn", [0, *[pytest.param(turn, marks=pytest.mark.soak) for turn in range(1, 30)]])
def test_killed_while_saving_the_labels_are_those_of_before_or_after(tmp_path, turn):
    file = tmp_path / "labels.csv"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, file], stdout=subprocess.PIPE, text=True)
    writer.stdout.readline()
    time.sleep(0.02 + 0.007 * turn)
    writer.send_signal(signal.SIGKILL)
    told = int(writer.communicate()[0].split("\n")[-2] or 0)
    numbers = {int(label.removeprefix("label ")) for name, label in rows(file)[1:] if name == "last"}
    assert len(numbers) == 1
    assert numbers <= {told, told + 1}
    assert "last" in LabelBook.open(file).given()
