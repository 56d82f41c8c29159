"""Players and maps of the page while time passes and windows change, in a real browser."""

import numpy as np
import pytest
from test_page import SOURCES
from visitors import DRAWN, visiting

import pcm3
from pcm3.data.store import ClipStore
from pcm3.encoders.files import load_encoder
from pcm3.web import payloads, skeletons
from pcm3.web.explorer import Explorer
from pcm3.web.skeletons import skeleton


def test_a_piece_is_as_long_for_the_page_as_for_the_server():
    assert payloads.PIECE == skeletons.PIECE
    assert "state.about.piece" in (SOURCES / "src/pieces.ts").read_text()


FRAMES = "Object.fromEntries([...document.querySelectorAll('figure')].map((figure) => [figure.querySelector('small')" \
         ".textContent, parseInt(figure.dataset.frame)]))"  # fmt: skip


@pytest.mark.soak
def test_a_recording_plays_in_step_with_its_clip_and_timeline_beyond_the_first_piece(untrimmed, browser, monkeypatch):
    for module in (skeletons, payloads):
        monkeypatch.setattr(module, "PIECE", 100)
    skeletons._standing.cache_clear()
    store, clip = untrimmed.store, 7
    whole = store.recordings
    start = int(store.start[clip] - whole.start[1])
    with visiting(untrimmed, browser) as visitor:
        visitor.ask("window.explorer.players.play(false)")
        visitor.ask("window.explorer.state.pin(arguments[0])", clip)
        visitor.text("#recording", "r2")
        visitor.sees(f"{FRAMES}['r2']", start)
        visitor.sees(f"{FRAMES}[arguments[0] ?? '{store.ids[clip]}']", 0)
        visitor.ask("window.explorer.players.play(true)")
        visitor.sees(f"{FRAMES}['r2'] > {start + 12}", True)
        visitor.ask("window.explorer.players.play(false)")
        visitor.sees("window.explorer.players.stale", False)
        found = visitor.ask(FRAMES)
        assert (found["r2"] - start) % int(store.length[clip]) == found[store.ids[clip]]
        seconds = float(visitor.ask("document.querySelector('#moment').textContent.split(' ')[0]"))
        assert seconds == pytest.approx(found["r2"] / 30, abs=0.051)

        last = int(whole.length[1]) - 2
        assert last > 200
        visitor.ask(f"window.explorer.players.jump({last + 0.5} / 30)")
        visitor.sees(f"{FRAMES}['r2']", last)
        number = visitor.ask("window.explorer.state.pinned.find((one) => one >= window.explorer.state.about.clips)")
        place = f"window.explorer.players.pieces.at({number}, {last})"
        visitor.sees(f"{place} !== undefined", True)
        size = whole.frames[0].size
        shown = visitor.ask(f"[...{place}.frames.slice({place}.frame * {size}, ({place}.frame + 1) * {size})]"
                            ".map((x) => Number.isNaN(x) ? null : x)")  # fmt: skip
        wanted = skeleton(whole, 1, last, untrimmed=True)[0].ravel()
        np.testing.assert_allclose(np.array(shown, np.float64), wanted, atol=1e-5, equal_nan=True)
        visitor.sees(DRAWN, "true,true")
        visitor.ask(f"window.explorer.state.unpin({number})")  # the clip alone: the line goes on by it
        visitor.ask("window.explorer.players.jump(5.5 / 30)")
        visitor.sees("document.querySelector('#moment').textContent.split(' ')[0]", f"{(start + 5) / 30:.1f}")
    skeletons._standing.cache_clear()


OUTSIDE = "Array.from({length: 24}, (_, clip) => window.explorer.maps[0].onScreen(clip)).filter(([x, y]) => x < 0 || " \
          "y < 0 || x > document.querySelector('.map').clientWidth || y > innerHeight).length"  # fmt: skip


@pytest.mark.soak
def test_the_map_fits_itself_into_a_resized_window_unless_somebody_has_moved_it(computed, browser):
    with visiting(computed, browser) as visitor:
        wide = visitor.ask("window.explorer.maps[0].view.unit")
        visitor.driver.set_window_size(1400, 900)
        visitor.sees(f"window.explorer.maps[0].view.unit < {0.9 * wide}", True)
        visitor.sees(OUTSIDE, 0)
        visitor.driver.set_window_size(1000, 640)
        visitor.sees(f"Math.abs(window.explorer.maps[0].view.unit / {wide} - 1) < 0.01", True)
        visitor.ask("document.querySelector('.field').dispatchEvent(new WheelEvent('wheel', {deltaY: -400}))")
        near = visitor.ask("window.explorer.maps[0].view.unit")
        assert near < wide
        visitor.driver.set_window_size(1400, 900)
        visitor.sees("document.querySelector('.map').clientWidth > 800", True)
        visitor.sees("window.explorer.maps[0].view.unit", near)
        visitor.ask("document.querySelector('#fit').click()")
        visitor.sees(f"window.explorer.maps[0].view.unit < {0.9 * wide}", True)


@pytest.mark.soak
def test_recordings_as_they_are_are_shown_so_or_normalised(recordings, write_tiny, finished_path, browser, tmp_path):
    place = tmp_path / "as recorded"
    write_tiny(place, recordings, normalised=False)
    store = ClipStore.open(place)
    _, spec = load_encoder(finished_path)
    changed = spec.__class__(**{**vars(spec), "normalised": False})
    model = pcm3.api.Model(changed.build(), changed, pcm3.load(finished_path, device="cpu").device)
    explorer = Explorer.open(model, store, tmp_path / "kept")
    explorer.mine.arrays["tsne"] = np.zeros((24, 2), np.float32)
    explorer.work()
    shown = "[...window.explorer.players.pieces.at(5, 0).frames].map((x) => Number.isNaN(x) ? null : x)"
    with visiting(explorer, browser) as visitor:
        visitor.ask("window.explorer.state.pin(5)")
        visitor.sees("window.explorer.players.pieces.count(5)", int(store.length[5]))
        for normalised in (False, True):
            got = np.array(visitor.ask(shown), np.float64)
            wanted = skeleton(store, 5, normalised=normalised).ravel()
            np.testing.assert_allclose(got, wanted, atol=1e-5, equal_nan=True)
            visitor.ask("document.querySelector('#normalised').click()")
            visitor.sees("window.explorer.players.pieces.count(5)", int(store.length[5]))
        visitor.sees("getComputedStyle(document.querySelector('#normalised').parentElement).display !== 'none'", True)
    explorer.stop()


def test_players_that_pause_are_drawn_again_where_they_have_another_size(computed, browser):
    fits = "canvas.width === Math.round(canvas.clientWidth * devicePixelRatio) && canvas.clientWidth"
    drawn = f"(({{canvas}}) => {fits})(window.explorer.players.stage)"
    with visiting(computed, browser) as visitor:
        visitor.ask("(window.explorer.players.play(false), window.explorer.state.pin(7))")
        visitor.sees(DRAWN, "true")
        visitor.sees(f"{drawn} > 0", True)  # it may have been drawn before the page had its size
        wide = visitor.ask(drawn)
        visitor.size((600, 800))
        visitor.sees(f"document.querySelector('#grid').clientWidth !== {wide}", True)
        visitor.sees(f"![false, {wide}].includes({drawn})", True, seconds=5)
