"""A static copy: what is in it, and what a browser shows of it."""

import functools
import gc
import http.server
import json
import threading

import numpy as np
import pytest
from fastapi.testclient import TestClient
from visitors import DRAWN, browsing

from pcm3.web import skeletons
from pcm3.web.routes import explorer_app
from pcm3.web.skeletons import skeleton
from pcm3.web.static_copy import ABSENT, LEAST, STEPS, export, packed


def unpacked(data, bodies, joints):
    """As the page reads it, at the kept frames."""
    frames, kept, there, _, *low, extent = np.frombuffer(data, "<f4", 8)
    steps = np.frombuffer(data, np.uint8, offset=32).reshape(int(kept), int(there), joints, 3)
    clip = np.full((int(kept), bodies, joints, 3), np.nan)
    clip[:, : int(there)] = np.where(steps == ABSENT, np.nan, steps / STEPS * extent + low)
    return int(frames), clip


def test_with_room_every_frame_is_kept_to_the_step_that_bytes_allow():
    rng = np.random.default_rng(0)
    clip = rng.normal(size=(20, 2, 5, 3)).astype(np.float32)
    clip[3, 0, 2] = np.nan
    clip[7:, 1] = np.nan
    frames, got = unpacked(packed(clip, 10_000), 2, 5)
    assert frames == len(got) == 20
    np.testing.assert_allclose(got, clip, atol=float(np.ptp(clip[np.isfinite(clip)])) / STEPS, equal_nan=True)


@pytest.mark.parametrize("room", [1, 1_000, 3_000])
def test_with_little_room_frames_are_left_out_and_bodies_that_are_never_there(room):
    clip = np.full((200, 2, 20, 3), np.nan, np.float32)
    clip[:, 0] = np.linspace(0, 1, 200)[:, None, None]
    data = packed(clip, room)
    frames, got = unpacked(data, 2, 20)
    assert frames == 200
    assert len(data) <= 32 + max(room, LEAST * 60)
    np.testing.assert_allclose(got[[0, -1], 0, 0, 0], [0, 1], atol=0.01)
    assert np.isnan(got[:, 1]).all()


def test_a_clip_with_nobody_in_it_is_packed_too():
    assert np.isnan(unpacked(packed(np.full((3, 1, 4, 3), np.nan, np.float32), 99), 1, 4)[1]).all()


@pytest.fixture
def copy(computed, tmp_path):
    computed.labels.give([str(computed.store.ids[3])], "odd")
    size = export(computed, tmp_path / "copy")
    assert size == sum(file.stat().st_size for file in (tmp_path / "copy").rglob("*") if file.is_file())
    return tmp_path / "copy"


def test_the_answers_lie_where_the_page_asks_for_them(copy, computed, client):
    for path in ("ids", "columns", "map/pca", "map/tsne", "guesses"):
        assert (copy / "api" / path).read_bytes() == client.get(f"/api/{path}").content
    about = json.loads((copy / "api/about").read_bytes())
    assert about == client.get("/api/about").json() | {"fixed": True}
    assert json.loads((copy / "api/labels").read_bytes()) == client.get("/api/labels").json()
    near = np.frombuffer((copy / "api/neighbours").read_bytes(), np.int32).reshape(2, 24, 12)[0]
    assert near[5].tolist() == computed.mine.neighbours(5, 12)[0].tolist()
    assert (copy / "index.html").read_bytes() == client.get("/").content
    assert not list(copy.rglob("*.csv"))


def test_clips_that_a_server_tells_in_pieces_are_whole_in_the_copy(computed, tmp_path, monkeypatch):
    store = computed.store
    monkeypatch.setattr(skeletons, "PIECE", 30)
    skeletons._standing.cache_clear()
    export(computed, tmp_path / "copy")
    skeletons._standing.cache_clear()
    for clip in (0, 5):
        data = (tmp_path / f"copy/api/clips/{clip}/small").read_bytes()
        frames, got = unpacked(data, store.frames.shape[1], len(store.layout.joints))
        assert frames == len(got) == store.length[clip] > 30


def test_a_comparison_is_in_the_copy_too(compare_with, tmp_path):
    explorer = compare_with("raw")
    export(explorer, tmp_path / "copy")
    client = TestClient(explorer_app(explorer))
    for path in ("other/map/pca", "other/map/tsne", "comparison/clips"):
        assert (tmp_path / "copy/api" / path).read_bytes() == client.get(f"/api/{path}").content
    summary = json.loads((tmp_path / "copy/api/comparison/summary").read_bytes())
    assert summary == client.get("/api/comparison/summary").json()
    near = np.frombuffer((tmp_path / "copy/api/other/neighbours").read_bytes(), np.int32).reshape(2, 24, 12)[0]
    assert near[5].tolist() == explorer.other.neighbours(5, 12)[0].tolist()


def test_the_command_writes_it_and_serves_nothing(cli, finished_path, store_path, tmp_path, monkeypatch):
    monkeypatch.setattr("pcm3.web.explorer.tsne_map", lambda features: np.zeros((len(features), 2), np.float32))
    words = ("explore", finished_path, store_path, "--folder", tmp_path / "kept", "--export", tmp_path / "copy")
    found = cli(*words, "--json")
    assert found.code == 0, found.err
    assert found.json["bytes"] < 2_000_000
    assert (tmp_path / "copy/api/clips/23/small").is_file()
    gc.disable()  # what is refused leaves the folder at once, not when the interpreter tidies up
    try:
        assert "already exists" in cli(*words).err
        assert cli(*words, "--overwrite", "true").code == 0
    finally:
        gc.enable()
    assert "lies in the store" in cli(*words[:-1], store_path / "copy").err


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.mark.soak
def test_a_plain_web_server_shows_the_copy(copy, computed, browser):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=copy)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with browsing(f"http://127.0.0.1:{server.server_port}/", browser) as visitor:
            visitor.text("#count", "24 clips")
            visitor.click(*visitor.where(7))
            visitor.text("#grid .focus small", computed.store.ids[7])
            visitor.sees(DRAWN, "true")
            visitor.text("#near ol small", computed.store.ids[computed.mine.neighbours(7, 1)[0][0]])
            visitor.sees("getComputedStyle(document.querySelector('#labels')).display", "none")
            visitor.key("1")
            shown = visitor.ask(
                "[...window.explorer.players.pieces.at(7, 0).frames].map((x) => Number.isNaN(x) ? null : x)"
            )
        server.shutdown()
        thread.join()
    wanted = skeleton(computed.store, 7).ravel()
    np.testing.assert_allclose(np.array(shown, np.float64), wanted, atol=0.02, equal_nan=True)
