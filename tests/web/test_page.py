"""The built page: what it was built from, and, where there is a Chromium, what a person sees and does in it."""

import csv
import hashlib
import re
import time
from pathlib import Path

import bvh_text
import pytest
from visitors import DRAWN, visiting

from pcm3.web.page import STATIC, page_files

SOURCES = Path(__file__).parents[2] / "web"
NAMED = ("index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts")


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


@pytest.fixture
def visitor(computed, browser):
    with visiting(computed, browser) as somebody:
        yield somebody


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
    taught = "document.querySelector('#taught').textContent"
    for place, clip in enumerate(asked):
        visitor.text("#grid .focus small", store.ids[clip])
        visitor.key(str(store.label[clip] + 1))
        visitor.text("#labelled", f"{place + 1} clip{'s' if place else ''}, saved")
        if place == 3:  # of one class there is one alone
            visitor.sees(taught, "3 classes, too few labels of each to say how many it tells right")
    visitor.sees("document.querySelectorAll('#grid figure').length", 9)
    visitor.text("#grid .focus small", store.ids[computed.lessons.next_clips(1)[0]])
    visitor.sees(f"/^3 classes, [0-9]+ % right/.test({taught})", True)

    file = tmp_path / "half a walk.bvh"
    file.write_text(bvh_text.text(frames=40, scale=4.0)[:3000])
    visitor.driver.find_element("css selector", "#drop input").send_keys(str(file))
    visitor.text("#notice p", "half a walk.bvh: says 40 frames, but has 1 line of numbers: is it whole?")
    visitor.driver.get_log("browser")  # where the refusal stands, too
    file = tmp_path / "walk.bvh"
    file.write_text(bvh_text.text(frames=40, scale=4.0))
    visitor.driver.find_element("css selector", "#drop input").send_keys(str(file))
    visitor.text("#grid .focus small", "walk.bvh")
    visitor.sees("document.querySelectorAll('.guests button').length", 1)
    guest = next(reversed(computed.guests.values()))
    visitor.text("#near ol small", store.ids[computed.mine.neighbours_of(guest.features[0], 1)[0][0]])


@pytest.mark.soak
def test_the_disk_has_what_the_last_key_said_and_a_server_that_is_gone_is_told(visitor, computed, monkeypatch):
    give, waits, given = computed.labels.give, [0.6, 0.3], []

    def slowly(clips, label, before):
        time.sleep(waits.pop(0) if waits else 0)
        given.append(label)
        return give(clips, label, before)

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
