"""Untrimmed recordings under their moving skeletons."""

import bvh_text
import numpy as np
import pytest
import torch

from pcm3.augment.crop import crop_resize
from pcm3.web.labels import Stretch
from pcm3.web.skeletons import skeleton


def test_each_window_has_the_feature_of_that_stretch_as_a_clip(untrimmed):
    model, whole = untrimmed.model, untrimmed.store.recordings
    line = untrimmed.timelines.of(2)
    assert line.length == 60
    assert line.start.tolist() == list(range(0, int(whole.length[2]) - 59, 15))
    start = torch.tensor([int(whole.start[2]) + 45])
    clip = crop_resize(torch.from_numpy(np.array(whole.frames)), start, torch.tensor([60]), model.spec.frames, False)
    with torch.no_grad():
        wanted = model.encoder.embed(clip)[0].numpy()
    np.testing.assert_allclose(line.features[3], wanted, rtol=1e-4, atol=1e-5)


def test_other_people_teach_what_a_window_shows(untrimmed):
    """Any encoder tells the tiny actions apart; a window is judged where it lies inside of one."""
    store, line = untrimmed.store, untrimmed.timelines.of(0)
    mine = np.flatnonzero(store.recording == 0)
    inside = right = 0
    for first, label in zip(line.start, line.label, strict=True):
        for clip in mine:
            if store.start[clip] <= first + 15 and first + 45 <= store.start[clip] + store.length[clip]:
                inside += 1
                right += label == store.label[clip]
    assert inside >= 5
    assert right >= 0.7 * inside
    assert (untrimmed.timelines._others(0) == (store.subject != 1)).all()


def test_a_recording_is_told_with_its_truth_and_where_it_is_like_a_clip(untrimmed):
    from fastapi.testclient import TestClient

    from pcm3.web.routes import explorer_app

    client, store = TestClient(explorer_app(untrimmed)), untrimmed.store
    assert client.get("/api/about").json()["recordings"] == 4
    told = client.get("/api/recordings/1", params={"like": 7}).json()
    assert told["name"] == "r2"
    assert told["clips"] == np.flatnonzero(store.recording == 1).tolist()
    assert (np.array(told["stop"]) - told["start"]).tolist() == store.length[told["clips"]].tolist()
    assert len(told["windows"]) == len(told["says"]) == len(told["confidence"]) == len(told["like"])
    line, query = untrimmed.timelines.of(1), untrimmed.mine.features[7]
    cosine = line.features[2] @ query / np.linalg.norm(line.features[2]) / np.linalg.norm(query)
    assert told["like"][2] == pytest.approx(cosine, abs=1e-3)
    frames = np.frombuffer(client.get("/api/recordings/1/skeleton").content, np.float32)
    np.testing.assert_array_equal(frames, skeleton(store.recordings, 1).ravel())
    walk = client.post("/api/guests", params={"name": "a.bvh"}, content=bvh_text.text(frames=40, scale=4.0).encode())
    number = walk.json()["guests"][0]["number"]
    asked = client.get("/api/recordings/1", params={"guest": number}).json()["like"]  # a motion of one's own
    query = untrimmed.guests[number].features[0]
    cosine = line.features @ query / np.linalg.norm(line.features, axis=1) / np.linalg.norm(query)
    np.testing.assert_allclose(asked, cosine, atol=1e-3)
    for path in (
        "/api/recordings/1?guest=99",
        "/api/recordings/4",
        "/api/recordings/-1/skeleton",
        "/api/recordings/1?like=999",
    ):
        assert client.get(path).status_code == 404


def test_each_of_trimmed_clips_is_a_recording_by_itself(client, computed):
    told = client.get("/api/recordings/3").json()
    assert (told["name"], told["clips"], told["start"]) == (computed.store.ids[3], [3], [0])
    assert told["stop"] == [told["frames"]] == [computed.store.length[3]]
    assert client.get("/api/recordings/3/skeleton").status_code == 404
    others = np.flatnonzero(computed.timelines._others(3))
    assert (computed.store.subject[others] != computed.store.subject[3]).all()


def test_parts_of_a_recording_are_labelled_in_frames_and_kept_in_seconds(client, computed):
    place, parts = "/api/recordings/3/stretches", [[0, 7, "nod"], [7, 20, "<i>odd</i>"]]
    assert client.post(place, json={"before": [], "after": parts}).json() == {"stretches": parts}
    assert client.get("/api/recordings/3").json()["stretches"] == parts
    name = str(computed.store.ids[3])
    assert computed.labels.stretches() == {name: ((0, 0.2333, "nod"), (0.2333, 0.6667, "<i>odd</i>"))}
    labels = client.get("/api/labels").json()
    assert (labels["names"], labels["clips"], labels["stretches"]) == (["<i>odd</i>", "nod"], [], 2)
    assert client.post(place, json={"before": [], "after": []}).status_code == 422  # somebody has not seen them
    computed.labels.mark(name, computed.labels.stretches()[name], ())


def test_parts_that_were_written_by_hand_are_kept_as_they_are_and_in_nobodys_way(client, computed):
    name, frames = str(computed.store.ids[3]), int(computed.store.length[3])
    by_hand = [Stretch(0.1011, 0.3, "nod"), Stretch(0.2, 99, "nod"), Stretch(0.2, 0.2001, "blink"),
               Stretch(88, 99, "late")]  # fmt: skip
    computed.labels.mark(name, (), by_hand)
    told = client.get("/api/recordings/3").json()
    assert (told["stretches"], told["outside"]) == ([[3, 9, "nod"], [6, frames, "nod"]], 2)
    after = [[1, 3, "<i>odd</i>"], *told["stretches"]]
    answer = client.post("/api/recordings/3/stretches", json={"before": told["stretches"], "after": after})
    assert answer.json() == {"stretches": after}
    assert set(computed.labels.stretches()[name]) == {*by_hand, Stretch(0.0333, 0.1, "<i>odd</i>")}
    answer = client.post("/api/recordings/3/stretches", json={"before": after, "after": []})
    assert answer.json() == {"stretches": []}
    assert set(computed.labels.stretches()[name]) == set(by_hand[2:])


@pytest.mark.parametrize(
    "after",
    [[[0, 9_999, "nod"]], [[5, 5, "nod"]], [[-1, 5, "nod"]], [[0, 5, "nod"], [4, 9, "bow"]], [[0, 5, " "]],
     [[0, 5]], [[0.5, 5, "nod"]], [[0, 5, None]], "x"],
)  # fmt: skip
def test_parts_that_are_none_are_refused_and_nothing_is_written(client, computed, after):
    answer = client.post("/api/recordings/3/stretches", json={"before": [], "after": after})
    assert answer.status_code == 422
    assert not computed.labels.file.exists()
