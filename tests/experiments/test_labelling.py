import json

import numpy as np
import pytest

from pcm3.api.teaching import directions
from pcm3.experiments import labelling
from pcm3.experiments.labelling import Session


def session(clips=120, seed=0):
    """Five kinds of very different frequency; whoever labels at random seldom sees the rare ones."""
    rng = np.random.default_rng(seed)
    label = rng.choice(5, clips, p=[0.6, 0.2, 0.1, 0.06, 0.04])
    rows = directions((np.eye(5)[label] + 0.1 * rng.normal(size=(clips, 5))).astype(np.float32))
    train = np.arange(clips) % 3 > 0
    return Session(rows, label, np.flatnonzero(train), np.flatnonzero(~train))


@pytest.fixture(autouse=True)
def few_clicks(monkeypatch):
    monkeypatch.setattr(labelling, "CLICKS", 20)
    monkeypatch.setattr(labelling, "REPORTED", (5, 20))


@pytest.mark.parametrize("batch", [1, 9])
def test_clips_that_are_asked_for_teach_sooner_than_random_ones(batch):
    mine = session()
    asked, random = mine.as_asked(batch), np.mean([mine.at_random(seed) for seed in range(3)], axis=0)
    assert len(asked) == len(random) == 20
    assert asked[9] > random[9] + 3
    assert asked == mine.as_asked(batch)


def test_the_command_writes_what_it_found(cli, finished_path, store_path, tmp_path, monkeypatch):
    monkeypatch.setattr(labelling, "CLICKS", 8)
    monkeypatch.setattr(labelling, "REPORTED", (4, 8))
    words = ("reproduce", "labelling", "--store", store_path, "--protocol", "xsub", "--seeds", 2, "--out", tmp_path)
    assert "expected one for each store (1)" in cli(*words).err
    found = cli(*words, "--model", finished_path, "--json")
    assert found.code == 0, found.err
    curves = json.loads((tmp_path / "labelling.json").read_text())["stores"][store_path.name]["curves"]
    assert [len(runs) for runs in curves.values()] == [2, 1, 1]
    assert "| random |" in (tmp_path / "labelling.md").read_text()
    assert (tmp_path / "labelling.png").stat().st_size > 5_000
    assert found.json[store_path.name]["reached"]["random"] <= 8
