"""The built page: what it was built from, and, where there is a Chromium, what a person sees and does in it."""

import csv
import hashlib
import math
import re
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import bvh_text
import pytest

from pcm3.web.page import STATIC, page_files

SOURCES = Path(__file__).parents[2] / "web"
NAMED = ("index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts")
FLAGS = ("--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
         "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--window-size=1000,640")  # fmt: skip
SHIFT = 8


def test_the_page_is_built_from_the_sources_that_are_there():
    digest = hashlib.sha256()
    for name in sorted([*NAMED, *(f"src/{file.name}" for file in (SOURCES / "src").iterdir())]):
        digest.update(f"{name}\n".encode())
        digest.update((SOURCES / name).read_bytes())
    built = (STATIC / "sources.sha256").read_text().strip()
    assert digest.hexdigest() == built, "web/ has changed: run `npm ci && npm run build` there"


def test_no_words_of_data_become_elements():
    for file in (SOURCES / "src").glob("*.ts"):
        assert re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text()) is None, (
            file
        )


def test_the_page_names_no_other_server_and_holds_no_script_of_its_own():
    page = page_files()["/"][0].decode()
    assert re.search(r"https?:|//\w", page) is None
    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", page) == []


@contextmanager
def served(explorer):
    """The page's address while the block lasts."""
    import socket

    import uvicorn

    from pcm3.web.guard import Guard
    from pcm3.web.routes import explorer_app
    from pcm3.web.serve import HERE, allowed_hosts

    with socket.create_server((HERE, 0)) as own:
        port = own.getsockname()[1]
        app = Guard(explorer_app(explorer), "secret", allowed_hosts(HERE, port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [own]})
        thread.start()
        try:
            yield f"http://{HERE}:{port}/#token=secret"
        finally:
            server.should_exit = True
            thread.join()


class Visitor:
    """Somebody with a mouse and a keyboard before the page."""

    def __init__(self, driver):
        self.driver = driver

    def mouse(self, kind, x, y, **more):
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": f"mouse{kind}", "x": x, "y": y} | more)

    def click(self, x, y):
        for kind in ("Moved", "Pressed", "Released"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def key(self, key):
        for kind in ("keyDown", "keyUp"):
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "key": key})

    def lasso(self, places, margin=12):
        """Draws around these places, with Shift held."""
        middle = [sum(place[axis] for place in places) / len(places) for axis in (0, 1)]
        far = margin + max(math.dist(middle, place) for place in places)
        ring = [(middle[0] + far * math.cos(turn / 3), middle[1] + far * math.sin(turn / 3)) for turn in range(19)]
        self.mouse("Pressed", *ring[0], button="left", clickCount=1, modifiers=SHIFT)
        for place in ring[1:]:
            self.mouse("Moved", *place, button="left", buttons=1, modifiers=SHIFT)
        self.mouse("Released", *ring[-1], button="left", clickCount=1, modifiers=SHIFT)

    def ask(self, script, *values):
        return self.driver.execute_script(f"return {script}", *values)

    def where(self, clip):
        return self.ask("window.explorer.maps[0].onScreen(arguments[0])", clip)

    def sees(self, script, wanted, seconds=20):
        """Waits until a script comes to what is wanted."""
        stop = time.monotonic() + seconds
        while (found := self.ask(script)) != wanted:
            assert time.monotonic() < stop, (
                f"{script}: expected {wanted}, got {found}: {self.driver.get_log('browser')}"
            )
            time.sleep(0.05)

    def text(self, element, wanted):
        self.sees(f"document.querySelector('{element}')?.textContent", wanted)


@contextmanager
def browsing(address, profile):
    """Somebody before a page, which is ready."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no chromium and chromedriver to open the page in")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    try:
        opened.get(address)
        visitor = Visitor(opened)
        visitor.sees("document.documentElement.dataset.ready", "yes")
        yield visitor
        assert [line for line in opened.get_log("browser") if line["level"] == "SEVERE"] == []
    finally:
        opened.quit()


@contextmanager
def visiting(explorer, profile):
    """Somebody before the explorer's page."""
    with served(explorer) as address, browsing(address, profile) as visitor:
        yield visitor


@pytest.fixture
def visitor(computed, tmp_path):
    with visiting(computed, tmp_path / "profile") as somebody:
        yield somebody


DRAWN = "[...document.querySelectorAll('#grid canvas')].map((canvas) => canvas.getContext('2d').getImageData(0, 0, " \
        "canvas.width, canvas.height).data.some((value) => value > 0)).join()"  # fmt: skip


def test_a_person_looks_at_clips_and_labels_them(visitor, computed, tmp_path):
    store = computed.store
    visitor.text("#store", store.path.name)
    visitor.text("#count", "24 clips")

    visitor.mouse("Moved", *visitor.where(7))  # hover
    visitor.text("#grid .preview small", store.ids[7])
    visitor.sees(DRAWN, "true")
    visitor.click(*visitor.where(7))
    visitor.text("#grid .focus b", store.classes[store.label[7]])
    near = computed.mine.neighbours(7, 12)[0]
    visitor.text("#near ol small", store.ids[near[0]])

    visitor.lasso([visitor.where(clip) for clip in range(24)])
    visitor.text("#chosen", "24 clips: press a key, or click a label")
    visitor.key("2")
    visitor.text("#labelled", "24 clips, saved")
    visitor.key("Escape")
    visitor.click(*visitor.where(7))
    visitor.ask("(document.querySelector('#name').value = '<i>odd</i>', document.querySelector('#new button').click())")
    visitor.text("#grid .focus b", "<i>odd</i>")
    visitor.sees("document.querySelectorAll('i').length", 0)
    visitor.sees("[...window.explorer.state.labels.values()].filter((name) => name.startsWith('<')).length", 1)
    with computed.labels.file.open(encoding="utf-8", newline="") as opened:
        rows = dict(list(csv.reader(opened))[1:])
    assert rows == dict.fromkeys(store.ids.tolist(), store.classes[1]) | {store.ids[7]: "<i>odd</i>"}
    visitor.key("u")
    visitor.text("#grid .focus b", store.classes[1])

    visitor.lasso([visitor.where(clip) for clip in range(24)])
    visitor.key("Backspace")
    visitor.text("#labelled", "")
    visitor.mouse("Moved", 900, 20)
    visitor.key("n")
    asked = computed.lessons.next_clips(9)
    shown = "[...document.querySelectorAll('#grid small')].map((id) => id.textContent).join()"
    visitor.sees(shown, ",".join(store.ids[asked]))
    for place, clip in enumerate(asked):
        visitor.text("#grid .focus small", store.ids[clip])
        visitor.key(str(store.label[clip] + 1))
        visitor.text("#labelled", f"{place + 1} clips, saved")
    visitor.sees("document.querySelectorAll('#grid figure').length", 9)
    visitor.text("#grid .focus small", store.ids[computed.lessons.next_clips(1)[0]])
    visitor.sees("document.querySelector('#taught').textContent.startsWith('3 classes, ')", True)

    file = tmp_path / "walk.bvh"
    file.write_text(bvh_text.text(frames=40, scale=4.0))
    visitor.driver.find_element("css selector", "#drop input").send_keys(str(file))
    visitor.text("#grid .focus small", "walk.bvh")
    visitor.sees("document.querySelectorAll('.guests button').length", 1)
    guest = next(reversed(computed.guests.values()))
    visitor.text("#near ol small", store.ids[computed.mine.neighbours_of(guest.features[0], 1)[0][0]])


@pytest.mark.soak
def test_a_person_jumps_along_a_recording(untrimmed, tmp_path):
    store, clip = untrimmed.store, 7
    with visiting(untrimmed, tmp_path / "profile") as visitor:
        visitor.ask("window.explorer.players.play(false)")
        visitor.ask("window.explorer.state.pin(arguments[0])", clip)
        visitor.text("#recording", "r2")
        first = int(store.start[clip] - store.recordings.start[1])
        name = store.classes[store.label[clip]]
        visitor.sees(f"document.querySelector('#moment').textContent.startsWith('{first / 30:.1f} s: {name};')", True)
        box = visitor.ask("document.querySelector('#timeline canvas').getBoundingClientRect().toJSON()")
        middle = box["left"] + 38 + (box["width"] - 38) / 2
        visitor.mouse("Pressed", middle, box["top"] + 30, button="left", buttons=1, clickCount=1)
        visitor.mouse("Released", middle, box["top"] + 30, button="left", clickCount=1)
        half = int(store.recordings.length[1]) / 2 / 30
        visitor.sees(f"Math.abs(parseFloat(document.querySelector('#moment').textContent) - {half}) < 0.2", True)


@pytest.mark.soak
def test_the_disk_has_what_the_last_key_said_and_a_server_that_is_gone_is_told(visitor, computed, monkeypatch):
    give, waits, given = computed.labels.give, [0.6, 0.3], []

    def slowly(clips, label):
        time.sleep(waits.pop(0) if waits else 0)
        given.append(label)
        return give(clips, label)

    monkeypatch.setattr(computed.labels, "give", slowly)
    classes, name = computed.store.classes, str(computed.store.ids[7])
    visitor.click(*visitor.where(7))
    for key in "12u3u":
        visitor.key(key)
    stop = time.monotonic() + 20
    while len(given) < 5 and time.monotonic() < stop:
        time.sleep(0.05)
    assert given == [classes[place] for place in (0, 1, 0, 2, 0)]
    visitor.text("#grid .focus b", classes[0])
    visitor.sees("[...window.explorer.state.labels.values()].join()", classes[0])
    assert computed.labels.given() == {name: classes[0]}

    gone = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    visitor.driver.execute_cdp_cmd("Network.enable", {})
    visitor.driver.execute_cdp_cmd("Network.emulateNetworkConditions", gone)
    visitor.key("2")
    visitor.text("#chosen", "not saved: no answer: is pcm3 explore still running?")
    visitor.key("n")
    visitor.text("#progress", "no answer: is pcm3 explore still running?")
    visitor.driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions", gone | {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    )
    visitor.key("u")  # what was not saved is not undone
    visitor.text("#labelled", "")
    assert computed.labels.given() == {}
    visitor.driver.get_log("browser")
