"""Names from data: taken if they print, and if they can name a file where they do; everything else is shown escaped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers

from pcm3.data.importer import store_recordings
from pcm3.data.names import NOT_IN_FILES, file_name, is_name, own_file_name, printable, wrong_file_name
from pcm3.data.recording import Recording
from pcm3.data.store import BY_SPLIT
from pcm3.errors import DataError

BAD = ["", " ", "a\nb", "\x1b[2J", "\x1b]0;title\x07", "a\u202eb", "\x00", "\x9b1m", "x" * 300, "\ud800"]
BAD_FILES = ["a/b", "..", ".", "../x", "a\\b", "c:", ".hidden", "x" * 100, "a*b", *BAD]


@given(st.text())
def test_whatever_is_shown_prints_in_one_line(text):
    assert printable(text, 40).isprintable()
    assert len(printable(text, 40)) <= 40


def test_a_plain_text_is_shown_as_it_is():
    assert printable("Überkopfwurf (links), 手を振る") == "Überkopfwurf (links), 手を振る"
    assert printable("\x1b[31mred") == r"\x1b[31mred"
    assert printable("x" * 100, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_print_is_no_name(name):
    assert not is_name(name)
    assert wrong_file_name(name).isprintable()


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_names_no_file_is_told(name):
    assert "expected a name" in wrong_file_name(name)


@pytest.mark.parametrize("name", ["xsub", "split-val", "loso-s01_e01", "träger 2", "a.b"])
def test_usual_names_of_protocols_are_fine(name):
    assert wrong_file_name(name) is None
    assert file_name(name) == name


def test_a_name_from_an_older_store_leads_nowhere_else():
    assert file_name("../a/b") == ".._a_b"


def recordings(id="a"):
    return [Recording(id, walkers(1, 5), 0, splits={"mine": 0}), Recording("b", walkers(2, 5), 0, splits={"mine": 1})]


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_protocol_is_refused_before_anything_is_read(tmp_path, name):
    with pytest.raises(DataError, match="protocol: expected a name"):
        store_recordings(
            iter(()), tmp_path / "store", layout="kinect_v2", fps=30.0, classes=["c"], protocols={name: BY_SPLIT}
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", BAD)
def test_classes_and_ids_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="expected class names of 1 to 200"):
        store_recordings(recordings(), tmp_path / "store", layout="kinect_v2", fps=30.0, classes=[name])
    with pytest.raises(DataError, match="expected an id of 1 to 200"):
        store_recordings(recordings(name), tmp_path / "store", layout="kinect_v2", fps=30.0, classes=["c"])
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.text(max_size=120), min_size=2, max_size=4, unique=True))
@settings(deadline=None)
def test_names_of_files_of_their_own_stay_apart_and_are_short_enough(names):
    files = [own_file_name(name) for name in names]
    assert len(set(files)) == len(files)
    assert all(len(file.encode()) <= 200 and not set(file) & set(NOT_IN_FILES) for file in files)


def test_a_name_that_can_stand_is_the_files_name():
    assert own_file_name("Größe 漢 7") == "Größe 漢 7"
    assert own_file_name("a/b") == "a%2Fb"
    assert own_file_name("漢" * 80).startswith("漢" * 60)
