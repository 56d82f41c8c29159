"""What is odd about labels is said, once, with its numbers; a store whose labels are in order says nothing."""

import numpy as np
import pytest
from ntu_file_text import walkers

from pcm3.data.audit.label_flaws import few_clips, label_flaws, split_notes
from pcm3.data.info import describe
from pcm3.data.protocol import split
from pcm3.data.recording import Recording
from pcm3.data.store import BY_SPLIT
from pcm3.data.store_writer import write_store
from pcm3.skeleton import load_layout


def store_of(path, label, side=None, classes=None, protocols=None, **columns):
    """A clip for each label; training and test clips in turn where nothing else is said."""
    label = np.asarray(label)
    side = np.arange(len(label)) % 2 if side is None else side
    clips = [
        Recording(
            f"c{i}", walkers(0, 2, 1), int(label[i]), splits={"split": int(side[i])},
            **{name: int(column[i]) for name, column in columns.items()},
        )
        for i in range(len(label))
    ]  # fmt: skip
    classes = [str(number) for number in range(max(label) + 1)] if classes is None else classes
    about = {"layout": load_layout("kinect_v2"), "fps": 30.0, "bodies": 1, "kind": "npz", "classes": classes}
    return write_store(path / "s", clips, protocols=protocols or {"split": BY_SPLIT}, **about)


def told(store):
    return {finding.name: finding.text for finding in label_flaws(store)}


BALANCED = np.arange(120) // 2 % 4


def test_nothing_is_said_of_labels_that_are_in_order(tmp_path):
    store = store_of(tmp_path, BALANCED)
    assert told(store) == {}
    assert split_notes(store, "split", *split(store, "split")) == []
    assert describe(store)["labels"] == []


def with_unseen():
    label = BALANCED.copy()
    label[1:12:2] = 4  # odd clips test
    return label


@pytest.mark.parametrize(
    ("name", "label", "text"),
    [
        ("unseen_class", with_unseen(), "6 of 60 test clips are of 1 class without training clips (4): recognition "
         "cannot be right there, so its accuracy is at most 90.0 %"),
        ("untested_class", np.roll(with_unseen(), 1), "1 class without test clips (4): no metric covers them"),
        ("one_class", np.zeros(120, int), "all labelled clips are of one class (0), so an accuracy of 100 % says "
         "nothing"),
        ("empty_class", BALANCED + 1, "no clip has label 0: the labels go from 1 to 4, but are counted from 0; "
         "subtract 1 from them"),
        ("empty_class", BALANCED * 10, "only 4 of the 31 labels from 0 to 30 have a clip: are they classes?"),
        ("largest_class", np.where(np.arange(120) < 100, 0, 1), "83.3 % of the test clips are of one class (0): "
         "always predicting this class would be right in 83.3 %"),
    ],
)  # fmt: skip
def test_a_flaw_is_told_for_the_store_and_beside_the_figures(tmp_path, name, label, text):
    store = store_of(tmp_path, label)
    assert told(store)[name].endswith(text)
    assert describe(store)["labels"] == list(told(store).values())
    assert text in split_notes(store, "split", *split(store, "split"))


def test_clips_without_a_label_are_counted(tmp_path):
    label = BALANCED.copy()
    label[:5] = -1
    store = store_of(tmp_path, label)
    assert told(store) == {
        "unlabelled": "5 of 120 clips without a label: pretraining takes them, recognition does not",
        "unlabelled_side": "protocol 'split': 3 training and 2 test clips have no label: recognition leaves them out",
    }
    notes = split_notes(store, "split", *split(store, "split"))
    assert notes == ["3 training and 2 test clips have no label: recognition leaves them out"]


def test_a_store_without_labels_has_none_to_tell_of(tmp_path):
    assert told(store_of(tmp_path, np.full(120, -1), classes=[])) == {}


def test_a_side_of_one_class_or_without_labels_is_told(tmp_path):
    side = np.arange(120) % 2
    one = np.where(side == 0, 0, BALANCED)
    assert "all training clips are of one class (0)" in told(store_of(tmp_path / "one", one))["side_labels"]
    none = np.where(side == 1, -1, BALANCED)
    assert "no test clip has a label" in told(store_of(tmp_path / "none", none))["side_labels"]


def test_people_on_both_sides_are_told_unless_cameras_part_them(tmp_path):
    subject = np.arange(120) // 20
    text = "6 of the 6 subjects that test also train: metrics say little about people who are new"
    assert told(store_of(tmp_path / "a", BALANCED, subject=subject)) == {"shared_subjects": f"protocol 'split': {text}"}
    assert told(store_of(tmp_path / "b", BALANCED, subject=subject, camera=1 + np.arange(120) % 2)) == {}
    cross_view = {"xview": {"by": "camera", "train": [1]}}
    other = store_of(tmp_path / "c", BALANCED, subject=subject, camera=1 + np.arange(120) % 2, protocols=cross_view)
    assert told(other) == {}


def test_few_clips_are_told(tmp_path):
    store = store_of(tmp_path, BALANCED[:20])
    assert told(store) == {}
    assert split_notes(store, "split", *split(store, "split")) == []
    assert few_clips(10) == ["only 10 clips to test: one of them is 10.0 points"]
    assert few_clips(50) == []
    few = store_of(tmp_path / "few", BALANCED[:20], side=np.arange(20) >= 3)
    assert told(few)["few_clips"] == "protocol 'split': only 3 labelled training clips"


def test_many_protocols_are_one_line_with_a_line_for_each(tmp_path):
    protocols = {f"p{i}": {"by": "subject", "train": [i]} for i in range(4)}
    store = store_of(tmp_path, with_unseen(), subject=np.arange(120) % 2, protocols=protocols)
    (finding,) = (finding for finding in label_flaws(store) if finding.name == "unseen_class")
    assert finding.text.startswith("protocol 'p0': 6 of 60 test clips")
    store = store_of(tmp_path / "b", BALANCED, subject=BALANCED, protocols=protocols)
    (finding,) = (finding for finding in label_flaws(store) if finding.name == "side_labels")
    assert finding.text.endswith("(and so in 3 more protocols)")
    assert len(finding.details) == 4
