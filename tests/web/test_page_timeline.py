"""A recording's timeline in a real browser: what it says, where it jumps, and labels of parts."""

import csv

from visitors import ALT_GR, visiting

from pcm3.web.labels import Stretch
from pcm3.web.page import page_files

LEFT = 76
MOMENT = "document.querySelector('#moment').textContent"
VIEW = "window.explorer.timeline.view.map(Math.round).join()"


def test_the_page_has_a_place_for_a_timeline():
    page = page_files()["/"][0].decode()
    assert (
        page.index('id="players"') < page.index('id="timeline"') < page.index('id="labels"') < page.index('id="near"')
    )


def test_a_person_jumps_along_a_recording_and_labels_a_part_of_it(untrimmed, browser):
    store, clip = untrimmed.store, 7
    length = int(store.recordings.length[1])
    with visiting(untrimmed, browser) as visitor:
        visitor.ask("window.explorer.players.play(false)")
        visitor.ask("window.explorer.state.pin(arguments[0])", clip)
        visitor.text("#recording", "r2")
        first = int(store.start[clip] - store.recordings.start[1])
        name = store.classes[store.label[clip]]
        words = f"{first / 30:.1f} s · labelled: {name} · model: "
        visitor.sees(f"{MOMENT}.startsWith({words!r})", True)
        line = untrimmed.timelines.of(1)
        window = min(max(round((first - line.length / 2) / 15), 0), len(line.start) - 1)
        said = f"{store.classes[line.label[window]]} ({100 * line.confidence[window]:.0f} % sure)"
        visitor.sees(f"{MOMENT}.endsWith({said!r})", True)

        box = visitor.ask("document.querySelector('#timeline canvas').getBoundingClientRect().toJSON()")

        def at(share):
            return box["left"] + LEFT + (box["width"] - LEFT) * share

        visitor.drag((at(0.5), box["top"] + 30), (at(0.5), box["top"] + 30))
        visitor.sees(f"Math.abs(parseFloat({MOMENT}) - {length / 2 / 30}) < 0.2", True)
        visitor.sees("document.querySelector('#timeline canvas').getAttribute('aria-valuetext')", visitor.ask(MOMENT))

        visitor.wheel(at(0.5), box["top"] + 30, -100)
        visitor.sees(f"Math.abs({VIEW}.split(',')[1] - {VIEW}.split(',')[0] - {length / 1.3}) < 2", True)
        visitor.wheel(at(0.5), box["top"] + 30, 200)
        visitor.sees(VIEW, f"0,{length}")

        own = box["top"] + 3 * 22 + 9
        visitor.drag((at(0.25), own), (at(0.5), own))
        start, stop = visitor.ask("window.explorer.state.part")
        assert abs(start - length / 4) < 3
        assert abs(stop - length / 2) < 3
        visitor.key("3")
        visitor.text("#labelled", "1 part, saved")
        visitor.key("2")
        visitor.sees("window.explorer.state.recording.data.stretches[0][2]", store.classes[1])
        visitor.key("3")  # the part is selected still: another key changes its label, and no key that of the clip
        visitor.sees("window.explorer.state.recording.data.stretches[0][2]", store.classes[2])
        assert untrimmed.labels.given() == {}
        visitor.text("#labelled", "1 part, saved")
        visitor.text("#grid .focus b", name)  # the clip has the label that it had
        with untrimmed.labels.file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.reader(opened))
        assert rows[0] == ["file", "label", "start", "stop"]
        assert rows[1][:2] == ["r2", store.classes[2]]
        assert [round(30 * float(cell)) for cell in rows[1][2:]] == [start, stop]

        visitor.ask(f"window.explorer.players.jump({start + 20} / 30)")
        visitor.key("[", ALT_GR)  # as a German keyboard has it
        visitor.ask(f"window.explorer.players.jump({start + 29.5} / 30)")
        visitor.key("]")
        visitor.sees("window.explorer.state.part.join()", f"{start + 20},{start + 30}")
        visitor.key("1")  # what lay there is cut
        visitor.text("#labelled", "3 parts, saved")
        parts = untrimmed.labels.stretches()["r2"]
        assert [(round(30 * a), round(30 * b), label) for a, b, label in parts] == [
            (start, start + 20, store.classes[2]), (start + 20, start + 30, store.classes[0]),
            (start + 30, stop, store.classes[2])]  # fmt: skip
        visitor.key("u")
        visitor.text("#labelled", "1 part, saved")
        visitor.drag((at(0.3), own), (at(0.3), own))  # a click selects what lies there
        visitor.sees("window.explorer.state.part.join()", f"{start},{stop}")
        visitor.key("Backspace")
        visitor.text("#labelled", "")
        assert untrimmed.labels.stretches() == {}
        visitor.ask("window.explorer.state.pin(arguments[0])", clip)  # a label is for what was selected last
        visitor.key("1")
        visitor.text("#labelled", "1 clip, saved")
        assert untrimmed.labels.given() == {str(store.ids[clip]): store.classes[0]}


def test_parts_that_another_page_has_given_meanwhile_are_shown_and_neither_overwritten_nor_undone(untrimmed, browser):
    labels, classes = untrimmed.labels, untrimmed.store.classes
    with visiting(untrimmed, browser) as visitor:
        visitor.ask("window.explorer.state.pin(7)")
        visitor.text("#recording", "r2")
        first, second = Stretch(0.0, 1.0, classes[2]), Stretch(2.0, 3.0, "theirs")
        visitor.ask("Object.assign(window.explorer.state, { part: [0, 30] })")
        visitor.key("3")
        visitor.text("#labelled", "1 part, saved")
        labels.mark("r2", [first], [first, second])  # as another page does
        visitor.key("1")
        visitor.sees("document.querySelector('#chosen').textContent.includes('changed elsewhere meanwhile')", True)
        visitor.sees("document.querySelector('#chosen').classList.contains('wrong')", True)
        visitor.sees(
            "window.explorer.state.recording.data.stretches.map((part) => part[2]).join()", f"{classes[2]},theirs"
        )
        visitor.key("u")  # there is nothing to undo: it would take theirs away
        visitor.key("1")
        visitor.sees(
            "window.explorer.state.recording.data.stretches.map((part) => part[2]).join()", f"{classes[0]},theirs"
        )
        visitor.sees("document.querySelector('#chosen').classList.contains('wrong')", False)
        assert labels.stretches()["r2"] == (Stretch(0.0, 1.0, classes[0]), second)
        visitor.driver.get_log("browser")  # where the refusal stands, too
