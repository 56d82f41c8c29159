"""An evaluation leaves leaked test clips out when asked, and says so when it has not, or cannot know."""

import shutil
from dataclasses import replace

import pytest

from pcm3.data.audit.leaks import audit, remembered
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.tasks.evaluate import evaluate

pytestmark = pytest.mark.usefixtures("size_is_no_matter")


@pytest.fixture
def leaky(recordings, write_tiny, tmp_path):
    """The tiny store (subject 3 tests, clips 12 to 17) where a test clip is a training clip, a little shorter."""
    recordings[12] = replace(recordings[12], frames=recordings[0].frames[2:])
    return write_tiny(tmp_path / "leaky", recordings)


def judged(finished_path, store, **more):
    return evaluate("retrieval", [finished_path], store, "xsub", seeds=1, device="cpu", **more)


def test_a_store_that_nobody_checked_gets_a_note_and_no_search(finished_path, leaky):
    found = judged(finished_path, leaky)
    assert found.test_clips == 6
    assert found.notes == [f"not checked for test clips that are copies of training clips: pcm3 check {leaky.path}"]
    assert remembered(leaky) is None


def test_remembered_leaks_get_a_note(finished_path, leaky):
    audit(leaky)
    found = judged(finished_path, leaky)
    assert found.test_clips == 6
    assert found.notes == ["1 of 6 test clips are copies of training clips: --without-leaks leaves them out"]


@pytest.mark.parametrize("known", [True, False])
def test_leaks_are_left_out_whether_known_or_not(finished_path, leaky, known):
    if known:
        audit(leaky)
    found = judged(finished_path, leaky, without_leaks=True)
    assert (found.train_clips, found.test_clips, len(found.target)) == (18, 5, 5)
    assert found.notes == ["1 of 6 test clips are copies of training clips and were left out"]
    assert remembered(leaky) is not None


def test_the_others_are_judged_as_before(finished_path, leaky):
    kept = judged(finished_path, leaky, without_leaks=True)
    every = judged(finished_path, leaky)
    assert every.first.predicted[1:].tolist() == kept.first.predicted.tolist()


def test_a_sound_store_needs_no_note(finished_path, store_path, tmp_path):
    store = ClipStore.open(shutil.copytree(store_path, tmp_path / "store"))
    audit(store)
    assert judged(finished_path, store).notes == []
    assert judged(finished_path, store, without_leaks=True).to_dict() == judged(finished_path, store).to_dict()


def test_a_test_set_of_copies_only_is_refused(finished_path, recordings, write_tiny, tmp_path):
    for number in range(12, 18):
        recordings[number] = replace(recordings[number], frames=recordings[number - 12].frames)
    store = write_tiny(tmp_path / "copies", recordings)
    with pytest.raises(DataError, match="none is left to evaluate on"):
        judged(finished_path, store, without_leaks=True)


@pytest.mark.parametrize(
    "switch",
    [
        "--without-leaks",
        *(pytest.param(form, marks=pytest.mark.soak) for form in ("--without_leaks", "--without-leaks=true")),
    ],
)
def test_the_command_has_the_switch(cli, run_path, leaky, switch):
    words = ["evaluate", "retrieval", "--model", run_path, "--store", leaky.path, "--seeds", 1, "--json"]
    told = cli(*words, switch).json
    assert told["test_clips"] == 5
    assert told["notes"] == ["1 of 6 test clips are copies of training clips and were left out"]
