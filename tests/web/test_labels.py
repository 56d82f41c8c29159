"""Labels are on the disk when they have been given, whatever happens to the process."""

import csv
import re
import shutil
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import pytest

from pcm3.data.names import NOTHING
from pcm3.errors import ConfigError
from pcm3.web import labels
from pcm3.web.labels import LabelBook, Stretch


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


@pytest.mark.parametrize(
    "text",
    ["\ufefffile,label\r\na,wave\r\nb,nod\r\n",
     "file;label\na;wave\nb; nod\n",
     "File, Label\n\na,wave\nb,nod\n\n",
     "file,label\na,wave\nb,nod\na,wave\nc,\n"],
)  # fmt: skip
def test_what_a_spreadsheet_or_an_editor_made_of_the_file_is_read(tmp_path, text):
    file = tmp_path / "labels.csv"
    file.write_text(text, encoding="utf-8", newline="")
    book = LabelBook.open(file)
    assert book.given() == {"a": "wave", "b": "nod"}
    book.give(["b"], "bow")
    assert rows(file) == [("file", "label"), ("a", "wave"), ("b", "bow")]


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"file,label\na,wave\na,nod\n", "line 3: expected one label for 'a', got 'wave' and 'nod'"),
     (b"file,label,who\na,wave,me\n", "expected the columns file,label or file,label,start,stop, got file,label,who"),
     (b"file,label\na,wave,me\n", "line 2: expected file,label, got 3 cells"),
     (b"file,label\n\na," + 201 * b"x" + b"\n", "line 3: expected"),
     (b"file,label,start,stop\na,wave,2,1\n", "line 2: expected a label from and to seconds, from first, got wave,2,1"),
     (b"file,label,start,stop\na,,1,2\n", "line 2: expected a label from and to seconds, from first, got ,1,2"),
     (b"file,label,start,stop\na,wave,1\n", "line 2: expected file,label,start,stop, got 3 cells"),
     (b"file,label\na,h\xfcpfen\n", "expected text in UTF-8"),
     (b"", "expected the columns file,label or file,label,start,stop, got nothing")],
)  # fmt: skip
def test_what_cannot_be_read_of_the_file_is_told_with_its_line(tmp_path, content, told):
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(told)):
        LabelBook.open(file)
    assert file.read_bytes() == content


def test_what_is_written_by_hand_meanwhile_is_not_overwritten(tmp_path):
    book = LabelBook.open(tmp_path / "labels.csv")
    book.give(["a", "b"], "wave")
    with book.file.open("a", encoding="utf-8") as opened:
        opened.write("by hand,nod\n")
    assert book.given() == {"a": "wave", "b": "wave", "by hand": "nod"}
    book.give(["a"], "bow")
    assert dict(rows(book.file)[1:]) == {"b": "wave", "by hand": "nod", "a": "bow"}

    book.file.write_text("file,label\nhalf", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2"):
        book.give(["c"], "bow")
    assert book.file.read_text(encoding="utf-8") == "file,label\nhalf"
    assert book.given() == {"b": "wave", "by hand": "nod", "a": "bow"}
    book.file.unlink()  # what the page shows comes back
    assert book.give(["c"], "bow") == len(rows(book.file)[1:]) == 4


def test_parts_of_recordings_stand_in_the_same_file_with_their_seconds(tmp_path):
    book = LabelBook.open(tmp_path / "labels.csv")
    book.give(["a"], "wave")
    parts = (Stretch(0.5, 1.25, "nod"), Stretch(1.25, 3.0, "bow"))
    book.mark("long, 1", (), parts)
    assert rows(book.file) == [("file", "label", "start", "stop"), ("a", "wave", "", ""),
                               ("long, 1", "nod", "0.5", "1.25"), ("long, 1", "bow", "1.25", "3")]  # fmt: skip
    again = LabelBook.open(book.file)
    assert (again.given(), again.stretches()) == ({"a": "wave"}, {"long, 1": parts})
    again.give(["b"], "bow")
    assert again.stretches() == {"long, 1": parts}
    again.mark("long, 1", parts, ())
    assert rows(book.file) == [("file", "label"), ("a", "wave"), ("b", "bow")]


def test_parts_that_somebody_has_changed_meanwhile_are_not_overwritten(tmp_path):
    book = LabelBook.open(tmp_path / "labels.csv")
    one, other = Stretch(0, 1, "nod"), Stretch(2, 3, "bow")
    book.mark("a", (), [one])
    with book.file.open("a", encoding="utf-8") as opened:
        opened.write("a,wave,1,2\n")
    before = book.file.read_bytes()
    with pytest.raises(ConfigError, match="changed elsewhere meanwhile"):
        book.mark("a", [one], [one, other])
    assert book.file.read_bytes() == before
    assert book.stretches() == {"a": (one, Stretch(1, 2, "wave"))}


@pytest.mark.parametrize("label", sorted(NOTHING - {""}))
def test_a_word_that_says_in_a_table_that_nothing_is_there_is_no_label(tmp_path, label):
    with pytest.raises(ConfigError, match="no label"):
        LabelBook.open(tmp_path / "labels.csv").give(["a"], label)


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


def test_where_the_file_cannot_be_written_the_labels_stay_as_they_were(tmp_path, monkeypatch):
    book = LabelBook.open(tmp_path / "labels.csv")
    book.give(["a"], "wave")
    book.file.rename(tmp_path / "kept.csv")
    (tmp_path / "labels.csv" / "in the way").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        book.give(["b"], "nod")
    shutil.rmtree(tmp_path / "labels.csv")
    monkeypatch.setattr(labels, "write_csv", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        book.give(["b"], "nod")
    assert book.given() == {"a": "wave"}


def test_a_label_that_somebody_else_has_changed_meanwhile_is_not_overwritten_unseen(tmp_path):
    book = LabelBook.open(tmp_path / "labels.csv")
    book.give(["a", "b"], "wave", [None, None])
    book.give(["a"], "nod", ["wave"])
    for before, words in (([None, "wave"], "a: 'nod' was given to it elsewhere"), (["nod", "bow"], "b: 'wave' was")):
        with pytest.raises(ConfigError, match=words):
            book.give(["a", "b"], "kick", before)
    assert book.given() == {"a": "nod", "b": "wave"}
    book.give(["a"], None)
    with pytest.raises(ConfigError, match="a: its label was taken away elsewhere"):
        book.give(["a"], "kick", ["nod"])
    book.give(["b"], "wave", [None])  # it has that label
    book.give(["a", "b"], "kick")  # who does not ask
    assert book.given() == {"a": "kick", "b": "kick"}


WRITER = """
import sys
from pathlib import Path
from pcm3.web.labels import LabelBook, Stretch
book = LabelBook.open(Path(sys.argv[1]))
for number in range(100_000):
    book.give([f"clip {place}" for place in range(number % 50 * 40)] + ["last"], f"label {number}")
    print(number, flush=True)
"""


@pytest.mark.parametrize("turn", [0, *[pytest.param(turn, marks=pytest.mark.soak) for turn in range(1, 30)]])
def test_killed_while_saving_the_labels_are_those_of_before_or_after(tmp_path, turn):
    file = tmp_path / "labels.csv"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, file], stdout=subprocess.PIPE, text=True)
    first = writer.stdout.readline()
    time.sleep(0.02 + 0.007 * turn)
    writer.send_signal(signal.SIGKILL)
    told = int((first + writer.communicate()[0]).split("\n")[-2])
    numbers = {int(label.removeprefix("label ")) for name, label in rows(file)[1:] if name == "last"}
    assert len(numbers) == 1
    assert numbers <= {told, told + 1}
    assert "last" in LabelBook.open(file).given()
