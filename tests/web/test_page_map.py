"""The map while it moves and while somebody points at it, and the clock of the players, in a real browser."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from visitors import visiting

MAP = "window.explorer.maps[0]"
SLOWLY = f"(clearInterval(window.kept), window.kept = setInterval(() => {MAP}.pan(0, 0), 20), {MAP}.took = 1000)"
"""As on a machine where drawing all clips takes a second, and somebody never lets go of the map."""
AGAIN = "requestAnimationFrame(() => requestAnimationFrame(() => arguments[arguments.length - 1]()))"


@pytest.fixture
def visitor(computed, browser):
    with visiting(computed, browser) as somebody:
        somebody.ask("(window.explorer.players.play(false), document.querySelector('#legend').hidden = true)")
        quiet = f"!window.explorer.waiting && !{MAP}.waiting && !{MAP}.drawing && !{MAP}.stale"  # colours come late
        somebody.driver.execute_async_script(AGAIN)
        somebody.sees(f"document.documentElement.dataset.stage === 'done' && {MAP}.pictures.whole > 0 && {quiet}", True)
        yield somebody


def seen(visitor):
    """The map below the controls, as it is on the screen."""
    visitor.driver.execute_async_script(AGAIN)
    box = visitor.ask("document.querySelector('.map').getBoundingClientRect().toJSON()")
    clip = {"x": box["x"], "y": box["y"] + 90, "width": box["width"], "height": box["height"] - 90}
    shot = visitor.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip | {"scale": 1}})
    return np.asarray(Image.open(BytesIO(base64.b64decode(shot["data"]))).convert("RGB")).astype(int)


def pictures(visitor):
    return visitor.ask(f"({MAP}.pictures)")


def test_a_slow_map_that_is_panned_is_not_drawn_and_looks_as_if_it_were(visitor):
    before = pictures(visitor)
    visitor.ask(SLOWLY)
    for _ in range(5):
        visitor.ask(f"{MAP}.pan(-8, 6)")
        visitor.driver.execute_async_script(AGAIN)
    moved, middle = seen(visitor), visitor.where(7)
    assert pictures(visitor) == before
    assert visitor.ask(f"{MAP}.canvas.style.transform") == "translate(-40px, 30px) scale(1)"
    visitor.ask("clearInterval(window.kept)")
    visitor.sees(f"{MAP}.pictures.whole", before["whole"] + 1)
    visitor.sees(f"{MAP}.canvas.style.transform", "")
    assert np.abs(seen(visitor) - moved).max() < 16  # edges of points are rounded otherwise
    assert visitor.where(7) == middle
    assert np.abs(moved - moved[0, 0]).max() > 60


def test_a_slow_map_that_is_zoomed_is_shown_larger_until_that_tells_too_little(visitor):
    before = pictures(visitor)
    visitor.ask(SLOWLY)
    visitor.ask(f"{MAP}.zoom(0.5, {MAP}.places.at(7))")
    larger = seen(visitor)
    assert pictures(visitor) == before
    assert visitor.ask(f"{MAP}.canvas.style.transform").endswith("scale(2)")
    visitor.ask(f"{MAP}.zoom(0.5, {MAP}.places.at(7))")
    visitor.driver.execute_async_script(AGAIN)
    assert pictures(visitor) == before | {"sampled": before["sampled"] + 1}
    visitor.ask(f"{MAP}.zoom(2, {MAP}.places.at(7))")
    visitor.ask("clearInterval(window.kept)")
    visitor.sees(f"{MAP}.pictures.whole", before["whole"] + 1)
    inked = [np.abs(one - one[0, 0]).sum(-1) > 60 for one in (larger, seen(visitor))]
    assert inked[1].sum() > 50
    assert (inked[1] & ~inked[0]).sum() < 0.2 * inked[1].sum()  # the same clips at the same places


def test_a_slow_map_that_is_panned_far_shows_what_comes_into_view(visitor):
    whole = pictures(visitor)["whole"]
    visitor.ask(f"({MAP}.took = 0, {MAP}.zoom(0.2, {MAP}.view.centre))")
    visitor.sees(f"{MAP}.pictures.whole > {whole} && !{MAP}.drawing && !{MAP}.waiting", True)
    before = pictures(visitor)
    visitor.ask(SLOWLY)
    visitor.ask(f"{MAP}.pan(20, 0)")
    visitor.driver.execute_async_script(AGAIN)
    assert pictures(visitor) == before
    visitor.ask(f"{MAP}.pan(400, 0)")
    visitor.driver.execute_async_script(AGAIN)
    assert pictures(visitor) == before | {"sampled": before["sampled"] + 1}
    visitor.ask("clearInterval(window.kept)")


def test_a_quick_map_is_drawn_as_it_moves(visitor):
    visitor.ask(f"({MAP}.took = 1, 1)")
    before = pictures(visitor)["whole"]
    visitor.ask(f"{MAP}.pan(-8, 6)")
    visitor.sees(f"{MAP}.pictures.whole", before + 1)
    assert visitor.ask(f"{MAP}.canvas.style.transform") == ""


def test_a_map_that_the_graphics_card_has_forgotten_is_drawn_again(visitor):
    before, drawn = seen(visitor), pictures(visitor)["whole"]
    lose = f"window.lost = {MAP}.points.gl.getExtension('WEBGL_lose_context')"
    visitor.ask(f"({lose}, window.lost.loseContext())")
    visitor.driver.execute_async_script(AGAIN)
    visitor.ask("window.lost.restoreContext()")
    visitor.sees(f"{MAP}.pictures.whole > {drawn} && !{MAP}.drawing", True)
    np.testing.assert_array_equal(seen(visitor), before)


def test_whoever_points_at_clips_has_the_nearest_marked_and_the_map_is_not_drawn(visitor, computed):
    before = pictures(visitor)
    for clip in (7, 3, 12):
        x, y = visitor.where(clip)
        visitor.mouse("Moved", x + 2, y - 3)
        visitor.sees("window.explorer.state.hovered !== null", True)
        found = visitor.ask("window.explorer.state.hovered")
        places = np.array([visitor.where(one) for one in range(24)])
        assert found == np.argmin(np.square(places - (x + 2, y - 3)).sum(1))
        box = visitor.ask("document.querySelector('.here').getBoundingClientRect().toJSON()")
        near = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        np.testing.assert_allclose(near, places[found], atol=0.6)
        visitor.text(".tip span", computed.store.ids[found])
    visitor.driver.execute_async_script(AGAIN)
    assert pictures(visitor) == before


BRUTE = f"""(() => {{
    const Places = {MAP}.places.constructor;
    const of = Float32Array.from({{length: 6000}}, (_, place) => Math.sin(place * 12.9898) * (place % 7));
    const places = new Places(of), wrong = [];
    for (let turn = 0; turn < 400; turn += 1) {{
        const at = [Math.sin(turn) * 9, Math.cos(turn * 1.7) * 9], within = [0.02, 0.3, 4][turn % 3];
        let best = null, least = within ** 2;
        for (let clip = 0; clip < 3000; clip += 1) {{
            const far = (of[2 * clip] - at[0]) ** 2 + (of[2 * clip + 1] - at[1]) ** 2;
            if (clip % 3 && far <= least) [best, least] = [clip, far];
        }}
        const found = places.nearest(at, within, (clip) => clip % 3 > 0);
        const far = (clip) => clip === null ? null : (of[2 * clip] - at[0]) ** 2 + (of[2 * clip + 1] - at[1]) ** 2;
        if (far(found) !== far(best)) wrong.push([turn, found, best]);
    }}
    return wrong;
}})()"""


def test_the_clip_under_the_pointer_is_the_nearest_of_all(visitor):
    assert visitor.ask(BRUTE) == []


def test_the_clock_goes_as_time_does_though_pictures_are_left_out_and_none_is_drawn_twice(visitor):
    visitor.ask("window.explorer.state.show([0, 1, 2])")
    visitor.sees("window.explorer.players.pieces.count(2) > 0", True)
    held = """(() => { const {players} = window.explorer; players.speed = 0.05; players.jump(0); players.play(true);
        window.held = [players.before, players.now];
        const end = performance.now() + 600; while (performance.now() < end); })()"""
    visitor.ask(held)
    visitor.driver.execute_async_script(AGAIN)
    clock = "(({before, now}) => [(before - window.held[0]) / 1000, (now - window.held[1]) / 0.05])"
    passed, told = visitor.ask(f"{clock}(window.explorer.players)")
    assert 0.6 <= passed == pytest.approx(told)
    drawn, frames = visitor.ask("[window.explorer.players.stage.pictures, window.explorer.players.now * 30]")
    visitor.sees(
        f"window.explorer.players.now * 30 - {frames} > 2 || window.explorer.players.now * 30 < {frames}", True
    )
    assert visitor.ask("window.explorer.players.stage.pictures") - drawn <= 6
    visitor.ask("window.explorer.players.play(false)")
    visitor.driver.execute_async_script(AGAIN)
    drawn = visitor.ask("window.explorer.players.stage.pictures")
    for _ in range(10):
        visitor.driver.execute_async_script(AGAIN)
    assert visitor.ask("window.explorer.players.stage.pictures") == drawn  # nothing moves: nothing is drawn


@pytest.mark.parametrize("button", ["right", "left"])
def test_a_pointer_without_a_pressed_first_button_moves_no_map(visitor, button):
    """A menu takes the release of the right button, another window that of the left one."""
    x, y = before = visitor.where(7)
    if button == "left":
        visitor.mouse("Moved", x, y)
    visitor.mouse("Pressed", x, y, button=button, buttons=2 if button == "right" else 1, clickCount=1)
    visitor.mouse("Moved", x + 60, y, buttons=0)
    visitor.mouse("Moved", x + 90, y, buttons=0)
    visitor.mouse("Released", x, y, button=button, clickCount=1)
    assert visitor.where(7) == before
    assert visitor.ask("window.explorer.state.pinned.length") == 0


@pytest.mark.parametrize("width", [800, 1000, 1280])
def test_a_long_legend_leaves_the_controls_free(visitor, width):
    visitor.size((width, 640))
    visitor.ask("Object.assign(document.querySelector('#legend'), {hidden: false}).style.height = '2000px'")
    below = "document.querySelector('#controls').getBoundingClientRect().bottom"
    visitor.sees(f"document.querySelector('#legend').getBoundingClientRect().top >= {below}", True, seconds=5)


def test_a_slow_map_is_not_stretched_into_another_size(visitor):
    before = pictures(visitor)
    visitor.ask(f"({MAP}.took = 1000, {MAP}.drawing = true)")
    visitor.size((800, 500))
    sizes = "canvas.width === Math.floor(canvas.clientWidth * devicePixelRatio)"
    visitor.sees(f"(({{canvas}}) => {sizes} && canvas.clientWidth < 400)({MAP})", True, seconds=5)
    assert pictures(visitor)["whole"] == before["whole"]
    visitor.ask(f"({MAP}.drawing = false)")
    visitor.sees(f"{MAP}.pictures.whole", before["whole"] + 1)
