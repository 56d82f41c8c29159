"""Somebody before the explorer's page in a real browser."""

import shutil
import threading
import time
from contextlib import contextmanager

import pytest

FLAGS = ("--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
         "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--window-size=1000,640")  # fmt: skip
SHIFT = 8
ALT_GR = 3
"""Alt and Control, as Windows has it."""


DRAWN = """(() => {
    const canvas = document.querySelector('#grid > canvas'), all = canvas.getBoundingClientRect();
    return [...document.querySelectorAll('#grid .view')].map((view) => {
        const {left, top, width, height} = view.getBoundingClientRect(), ratio = canvas.width / all.width;
        const box = [left - all.left, top - all.top, width, height].map((pixels) => Math.round(pixels * ratio));
        return canvas.getContext('2d').getImageData(...box).data.some((value) => value > 0);
    }).join();
})()"""
"""Whether there is something on each player."""


@contextmanager
def served(explorer):
    """The page's address while the block lasts."""
    import socket

    import uvicorn

    from pcm3.web.guard import Guard
    from pcm3.web.routes import explorer_app
    from pcm3.web.serve import LOCALHOST, allowed_hosts

    with socket.create_server((LOCALHOST, 0)) as own:
        port = own.getsockname()[1]
        app = Guard(explorer_app(explorer), "secret", allowed_hosts(LOCALHOST, port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [own]})
        thread.start()
        try:
            yield f"http://{LOCALHOST}:{port}/#token=secret"
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

    def drag(self, begin, end):
        """From a place to another with the mouse; from one to itself, a click."""
        self.mouse("Pressed", *begin, button="left", buttons=1, clickCount=1)
        if begin != end:
            self.mouse("Moved", *end, button="left", buttons=1)
        self.mouse("Released", *end, button="left", clickCount=1)

    def wheel(self, x, y, down):
        self.mouse("Wheel", x, y, deltaX=0, deltaY=down)

    def key(self, key, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "key": key, "modifiers": modifiers})

    def lasso(self, places, margin=12):
        """Draws around these places, with Shift held."""
        (left, top), (right, bottom) = (
            [each(place[axis] for place in places) for axis in (0, 1)] for each in (min, max)
        )
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        out = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
        ring = [(x + margin * dx, y + margin * dy) for (x, y), (dx, dy) in zip(corners, out, strict=True)]
        self.mouse("Pressed", *ring[0], button="left", clickCount=1, modifiers=SHIFT)
        for place in ring[1:]:
            self.mouse("Moved", *place, button="left", buttons=1, modifiers=SHIFT)
        self.mouse("Released", *ring[-1], button="left", clickCount=1, modifiers=SHIFT)

    def size(self, wide_and_high, phone=False):
        """The page has so many pixels; None: as many as the window."""
        command, more = "Emulation.clearDeviceMetricsOverride", {}
        if wide_and_high is not None:
            width, height = wide_and_high
            command = "Emulation.setDeviceMetricsOverride"
            more = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.driver.execute_cdp_cmd(command, more)

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
def chromium(profile):
    """A browser without a window; skips the test where there is none."""
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
        yield opened
    finally:
        opened.quit()


@contextmanager
def browsing(address, browser):
    """Somebody before a page, which is ready."""
    browser.get(address)
    visitor = Visitor(browser)
    try:
        visitor.sees("document.documentElement.dataset.ready", "yes")
        yield visitor
        assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    finally:
        visitor.size(None)
        browser.get("about:blank")  # the next page begins afresh, and this one asks nothing more
        browser.get_log("browser")


@contextmanager
def visiting(explorer, browser):
    """Somebody before the explorer's page."""
    with served(explorer) as address, browsing(address, browser) as visitor:
        yield visitor
