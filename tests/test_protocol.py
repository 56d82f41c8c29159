import numpy as np
import pytest

from ntu_files import walkers
from pcm3.data.kinds import KINDS
from pcm3.data.protocol import split
from pcm3.data.readers import ntu
from pcm3.data.recording import Recording
from pcm3.data.store import BY_SIDE
from pcm3.data.store_writer import write_store
from pcm3.errors import DataError
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
    store = store_of(tmp_path, {"split": BY_SIDE}, [{"sides": {"split": s}} for s in (1, 0, -1, 1)])
    assert [side.tolist() for side in split(store, "split")] == [[1], [0, 3]]


def test_unknown_protocols_are_answered_with_those_there_are(tmp_path):
    store = store_of(tmp_path, ntu.PROTOCOLS_60, [{"subject": 1}])
    with pytest.raises(DataError, match=r"\(xsub, xview\), got 'xveiw'; did you mean 'xview'\?"):
        split(store, "xveiw")
    bare = store_of(tmp_path / "bare", {}, [{}])
    with pytest.raises(DataError, match="the store has no protocol, so not 'xsub' either"):
        split(bare, "xsub")


def test_a_protocol_that_the_data_cannot_serve_says_what_is_there(tmp_path):
    store = store_of(tmp_path, ntu.PROTOCOLS_60, [{"subject": 1}, {"subject": 2}])
    with pytest.raises(DataError, match="goes by camera, and no clip of the store has one"):
        split(store, "xview")
    with pytest.raises(DataError, match=r"trains on subject 1, 2, 4.*only 1, 2, so the test side is empty"):
        split(store, "xsub")
    other = store_of(tmp_path / "o", {"split": BY_SIDE}, [{"sides": {"split": 1}}])
    with pytest.raises(DataError, match="trains on side train; the store has only test, so the training side is empty"):
        split(other, "split")


@pytest.mark.parametrize(
    "protocol", [{}, {"by": "camera"}, {"by": "camera", "train": ["x"]}, {"by": "moon", "train": [1]}, 3]
)
def test_a_malformed_protocol_is_a_data_error(tmp_path, protocol):
    store = store_of(tmp_path, {"xsub": protocol}, [{"camera": 1}])
    with pytest.raises(DataError, match=r"needs 'by' and 'train'|goes by 'moon', expected one of subject, camera"):
        split(store, "xsub")


def test_ntu60_sides_have_the_sizes_the_paper_gives(tmp_path):
    """NTU 60 has 40 subjects, 3 cameras; the 20 training subjects are those of its paper."""
    clips = [{"subject": s, "camera": c} for s in range(1, 41) for c in (1, 2, 3)]
    store = store_of(tmp_path, ntu.PROTOCOLS_60, clips)
    assert [len(side) for side in split(store, "xsub")] == [60, 60]
    assert [len(side) for side in split(store, "xview")] == [80, 40]


def test_ntu120_sides(tmp_path):
    clips = [{"subject": s, "setup": 1 + s % 32} for s in range(1, 107)]
    store = store_of(tmp_path, KINDS["ntu120"].protocols, clips)
    assert [len(side) for side in split(store, "xsub")] == [53, 53]
    train, test = split(store, "xset")
    assert set(store.setup[train] % 2) == {0}
    assert set(store.setup[test] % 2) == {1}


def test_every_kind_names_only_protocols_that_can_be_split(tmp_path):
    clips = [{"subject": s, "camera": 1 + s % 3, "setup": s} for s in range(1, 33)]
    for number, kind in enumerate(KINDS.values()):
        store = store_of(tmp_path / str(number), kind.protocols, clips)
        for name in kind.protocols:
            train, test = split(store, name)
            assert len(train) + len(test) == len(store)
