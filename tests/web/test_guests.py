"""Files that are dropped on the page."""

import asyncio
from unittest.mock import AsyncMock

import bvh_text
import numpy as np
import pytest

from pcm3.web.guard import MOST_BYTES, MOST_OF_A_FILE
from pcm3.web.guests import placed

WALK = bvh_text.text(frames=40, scale=4.0).encode()


def drop(client, name, content):
    return client.post("/api/guests", params={"name": name}, content=content)


def test_somebody_who_leaves_while_a_file_is_sent_is_no_failure(client):
    """As when the page is loaded again meanwhile: the server prints no trace of it."""
    headers = [(b"host", b"testserver"), (b"content-length", b"9"), (b"authorization", b"Bearer secret")]
    scope = {"type": "http", "method": "POST", "path": "/api/guests", "query_string": b"name=walk.bvh"}
    scope["headers"] = headers
    sent = AsyncMock()
    asyncio.run(client.app(scope, AsyncMock(return_value={"type": "http.disconnect"}), sent))
    assert sent.await_args_list[0].args[0]["status"] == 400


def test_a_file_falls_where_its_feature_is(client, computed, tmp_path):
    (told,) = drop(client, "C:\\mine\\walk <b>.bvh", WALK).json()["guests"]
    assert told["name"] == "C:\\mine\\walk <b>.bvh".rpartition("\\")[2]
    (tmp_path / "walk.bvh").write_bytes(WALK)
    feature = computed.model.embed([tmp_path / "walk.bvh"])[0]
    np.testing.assert_allclose(computed.guests[told["number"]].features[0], feature, rtol=1e-5, atol=1e-6)
    near = client.get(f"/api/guests/{told['number']}/neighbours").json()
    cosines = computed.mine.likeness(feature)
    assert near["clips"] == np.argsort(-cosines, kind="stable")[:12].tolist()
    np.testing.assert_allclose(near["distances"], 1 - np.sort(cosines)[::-1][:12], atol=1e-5)
    low, high = computed.mine.arrays["pca"].min(axis=0), computed.mine.arrays["pca"].max(axis=0)
    assert ((low <= told["places"][0]["pca"]) & (told["places"][0]["pca"] <= high)).all()
    shape = client.get(f"/api/guests/{told['number']}/skeleton").headers["x-shape"]
    assert shape.split(",")[1:] == ["2", "25", "3"]


def test_a_feature_that_a_clip_has_is_placed_on_that_clip():
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 5.0]])
    np.testing.assert_allclose(placed(places, np.array([2, 0, 1]), np.array([0.0, 2.0, 2.0])), [0, 5], atol=0.01)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.bvh", b""), ("a.bvh", WALK[: len(WALK) // 3]), ("../../etc/passwd", b"root"),
     ("a.npz", b"PK\x03\x04" + bytes(99)),
     ("a.pkl", b"cos\nsystem\n(S'true'\ntR."), ("", WALK[:0]), ("a.csv", b"x,y\n1,2\n"), ("\x00.json", b"[" * 9999),
     ("a.c3d", bytes(range(256)) * 9), ("a.zip", b"PK\x05\x06" + bytes(18)), ("x" * 500, b"x")],
)  # fmt: skip
def test_what_is_no_recording_is_refused_in_one_line(client, name, content):
    answer = drop(client, name, content)
    assert answer.status_code == 422
    words = answer.json()["detail"]
    assert "\n" not in words
    assert "pcm3-explore-" not in words


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [("my walk.bvh", WALK[: len(WALK) // 3], "says 40 frames, but has 11 lines of numbers: is it whole?"),
     ("my walk.bvh", WALK[:-40], "line 159: expected 60 numbers, got 56: '10.00000 95.00000 -20.00000 -7.85281 5.8'…: "
                                 "export it anew, or see docs/YOUR_DATA.md"),
     ("my walk.bvh", b"", "expected a recording, got an empty file: is it still being copied?"),
     ("a.csv", b"x,y\n1,2\n", "expected columns like left_hip_x, left_hip_y, left_hip_z, or joint, x, y, z, got x, y: "
                               "export it anew, or see docs/YOUR_DATA.md"),
     ("photo.jpg", b"\xff\xd8\xff", "expected a recording of joints (.bvh, .c3d, .trc, .csv, .json, .npy; all: "
                                     "docs/YOUR_DATA.md), got a .jpg file: export the motion as one of these")],
)  # fmt: skip
def test_a_refusal_says_what_was_expected_what_came_and_what_to_do_without_a_name_that_nobody_gave(
    client, name, content, told
):
    assert drop(client, name, content).json()["detail"] == told


def test_what_only_a_command_can_be_told_is_said_so(client):
    words = drop(client, "nose.csv", b"frame,nose_x,nose_y,nose_z\n0,1,2,3\n1,1,2,3\n").json()["detail"]
    assert words.endswith("pcm3 import FILE STORE does, then explore that store")
    assert "dropped" not in words


def test_huge_files_are_refused_and_larger_ones_than_labels_are_not(client):
    assert drop(client, "a.bvh", bytes(MOST_OF_A_FILE + 1)).status_code == 413
    assert drop(client, "a.bvh", bytes(MOST_BYTES + 1)).status_code == 422


def test_the_last_dropped_clips_are_remembered(client, computed, monkeypatch):
    monkeypatch.setattr("pcm3.web.explorer.KEPT", 2)
    numbers = [drop(client, "a.bvh", WALK).json()["guests"][0]["number"] for _ in range(3)]
    assert len(set(numbers)) == 3
    assert [client.get(f"/api/guests/{number}/skeleton").status_code for number in numbers] == [404, 200, 200]
