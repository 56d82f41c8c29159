import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers

from pcm3.data.datasets import DATASETS
from pcm3.data.protocol import hold_out, split
from pcm3.data.readers import ntu
from pcm3.data.recording import Recording
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.data.store_writer import write_store
from pcm3.errors import ConfigError, DataError
from pcm3.skeleton import load_layout


def store_of(path, protocols, clips):
    made = [Recording(f"c{i}", walkers(0, 2, 1), **known) for i, known in enumerate(clips)]
    about = {"layout": load_layout("kinect_v2"), "fps": 30.0, "bodies": 1, "kind": "ntu60"}
    return write_store(path / "s", made, protocols=protocols, **about)


def test_listed_values_train_and_all_other_known_ones_test(tmp_path):
    clips = [{"subject": s} for s in (3, 1, 2, -1, 1, 9)]
    store = store_of(tmp_path, {"xsub": {"by": "subject", "train": [1, 3]}}, clips)
    train, test = split(store, "xsub")
    assert train.tolist() == [0, 1, 4]
    assert test.tolist() == [2, 5]
    assert train.dtype == test.dtype == np.int64


def test_data_that_comes_split_stays_split(tmp_path):
    store = store_of(tmp_path, {"split": BY_SPLIT}, [{"splits": {"split": s}} for s in (1, 0, -1, 1)])
    assert [side.tolist() for side in split(store, "split")] == [[1], [0, 3]]


def test_unknown_protocols_are_answered_with_those_there_are(tmp_path):
    store = store_of(tmp_path, ntu.PROTOCOLS_60, [{"subject": 1}])
    with pytest.raises(DataError, match=r"\(xsub, xview\), got 'xveiw'; did you mean 'xview'\?"):
        split(store, "xveiw")
    bare = store_of(tmp_path / "bare", {}, [{}])
    with pytest.raises(
        DataError, match="the store has no protocol, which says what clips train and what clips test: docs"
    ):
        split(bare, "xsub")


def test_a_protocol_that_the_data_cannot_serve_says_what_is_there(tmp_path):
    store = store_of(tmp_path, ntu.PROTOCOLS_60, [{"subject": 1}, {"subject": 2}])
    with pytest.raises(DataError, match="goes by camera, and no clip of the store has one"):
        split(store, "xview")
    with pytest.raises(DataError, match=r"no test clip: it trains on subject 1, 2, 4.*only 1, 2 \(.*--protocol all"):
        split(store, "xsub")
    other = store_of(tmp_path / "o", {"split": BY_SPLIT}, [{"splits": {"split": 1}}])
    with pytest.raises(DataError, match="no training clip: every clip that has a side is on the test side"):
        split(other, "split")


@pytest.mark.parametrize(
    "protocol", [{}, {"by": "camera"}, {"by": "camera", "train": ["x"]}, {"by": "moon", "train": [1]}, 3]
)
def test_a_malformed_protocol_is_a_data_error(tmp_path, protocol):
    """Before anything is written, and where somebody wrote it into a store by hand."""
    with pytest.raises(
        DataError, match=r"protocols, xsub.*: expected (this field|names and values|a whole number|one of subject)"
    ):
        store_of(tmp_path, {"xsub": protocol}, [{"camera": 1}])
    assert list(tmp_path.iterdir()) == []
    file = store_of(tmp_path, {}, [{"camera": 1}]).path / "store.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"protocols": {"xsub": protocol}}))
    with pytest.raises(DataError, match=r"store\.json, protocols, xsub"):
        ClipStore.open(file.parent)


def test_ntu60_sides_have_the_sizes_the_paper_gives(tmp_path):
    """NTU 60 has 40 subjects, 3 cameras; the 20 training subjects are those of its paper."""
    clips = [{"subject": s, "camera": c} for s in range(1, 41) for c in (1, 2, 3)]
    store = store_of(tmp_path, ntu.PROTOCOLS_60, clips)
    assert [len(side) for side in split(store, "xsub")] == [60, 60]
    assert [len(side) for side in split(store, "xview")] == [80, 40]


def test_ntu120_sides(tmp_path):
    clips = [{"subject": s, "setup": 1 + s % 32} for s in range(1, 107)]
    store = store_of(tmp_path, DATASETS["ntu120"].protocols, clips)
    assert [len(side) for side in split(store, "xsub")] == [53, 53]
    train, test = split(store, "xset")
    assert set(store.setup[train] % 2) == {0}
    assert set(store.setup[test] % 2) == {1}


def test_every_kind_names_only_protocols_that_can_be_split(tmp_path):
    for number, kind in enumerate(DATASETS.values()):
        named = {
            one for protocol in kind.protocols.values() if protocol["by"] == "subject" for one in protocol["train"]
        }
        subjects = sorted({*range(1, 33), *named})  # Kinder-Gator numbers its people by itself
        clips = [{"subject": s, "camera": 1 + s % 3, "setup": s} for s in subjects]
        store = store_of(tmp_path / str(number), kind.protocols, clips)
        for name in kind.protocols:
            train, test = split(store, name)
            assert len(train) + len(test) == len(store)


# Subjects of the training side that are left out


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Makes a store that tells of its clips' subjects, for all else like one clip's."""
    one = store_of(tmp_path_factory.mktemp("people"), {}, [{}])
    return lambda *subjects: replace(one, subject=np.array(subjects, np.int32))


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_every_clip_of_a_subject_is_on_one_side_and_none_of_an_unknown_one_on_either(people, data):
    subjects = data.draw(st.lists(st.sampled_from([-1, 1, 2, 3, 7]), min_size=1, max_size=30))
    store = people(*subjects)
    train = np.array(sorted(data.draw(st.sets(st.integers(0, len(subjects) - 1)))), np.int64)
    there = sorted({subjects[clip] for clip in train} - {-1})
    if len(there) < 2:
        return
    held = data.draw(st.lists(st.sampled_from(there), min_size=1, max_size=len(there) - 1, unique=True))
    rest, validation = hold_out(store, train, held)
    assert rest.tolist() == [clip for clip in train if subjects[clip] not in (-1, *held)]
    assert validation.tolist() == [clip for clip in train if subjects[clip] in held]
    assert rest.dtype == validation.dtype == np.int64


def test_where_a_subject_is_held_out_clips_of_an_unknown_one_do_not_train(people):
    rest, validation = hold_out(people(1, -1, 2, 1), np.arange(4), [2])
    assert (rest.tolist(), validation.tolist()) == ([0, 3], [2])


def test_where_no_subject_is_left_out_every_clip_stays(people):
    train = np.array([0, 2, 3])
    rest, validation = hold_out(people(-1, 1, -1, 2), train, [])
    assert rest is train
    assert len(validation) == 0


def test_a_subject_that_does_not_train_is_answered_with_those_that_do(tmp_path):
    clips = [{"subject": s} for s in (10, 4, 1, 2, -1, 3)]
    store = store_of(tmp_path, {"xsub": {"by": "subject", "train": [1, 2, 4]}}, clips)
    train, _ = split(store, "xsub")
    told = r"^setting exclude_subjects: expected subjects on the training side \(1, 2, 4\), got 3$"
    with pytest.raises(ConfigError, match=told):
        hold_out(store, train, [1, 3])
    for subject in (-1, 5, 10**12):
        with pytest.raises(ConfigError, match=f"got {subject}$"):
            hold_out(store, train, [subject])


def test_somebody_is_left_to_train_on(people):
    with pytest.raises(ConfigError, match=r"exclude_subjects: expected a subject to be left to train on; .* 1, 2$"):
        hold_out(people(1, 2, 1, -1), np.arange(4), [2, 1])


def test_a_store_that_does_not_tell_the_subjects_cannot_leave_any_out(people):
    with pytest.raises(DataError, match="no subject can be excluded, since no training clip has one"):
        hold_out(people(-1, -1, 3), np.arange(2), [3])
