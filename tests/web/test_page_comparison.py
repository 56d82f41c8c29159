"""Two maps beside each other in a browser, and what the built page says of the comparison."""

from visitors import DRAWN, visiting

from pcm3.web.page import page_files

OUTSIDE = "[...document.querySelectorAll('.map canvas, #grid .focus .view, #play, #time, #next, #chosen, " \
          "#names button, #name, #undo, #csv')].filter((one) => { const box = one.getBoundingClientRect(); " \
          "return box.top < 0 || box.bottom > innerHeight || box.left < 0 || box.right > innerWidth || " \
          "box.height < 8; }).map((one) => one.id || one.textContent)"  # fmt: skip
CUT = "[...document.querySelectorAll('#comparison :is(th, td, h2)')].filter((cell) => cell.scrollWidth > " \
      "cell.clientWidth + 1).map((cell) => cell.textContent)"  # fmt: skip

WIDER = "[...document.querySelectorAll('body, aside, #names')].filter((one) => one.scrollWidth > one.clientWidth + 1)" \
        ".map((one) => one.id || one.tagName)"  # fmt: skip


def test_the_page_has_a_place_for_a_comparison():
    page = page_files()["/"][0].decode()
    assert page.index('id="one-map"') > page.index('id="comparison"') > page.index('id="pair"')


def test_a_person_compares_a_model_with_raw_coordinates(compare_with, browser):
    explorer = compare_with("raw")
    store, found = explorer.store, explorer.comparison
    with visiting(explorer, browser) as visitor:
        heads = "[...document.querySelectorAll('.map h2')].map((head) => head.textContent).join()"
        visitor.sees(heads, "mine,raw coordinates")
        visitor.sees("document.documentElement.dataset.stage", "done")

        cells = "[...document.querySelectorAll('#comparison tbody tr')].map((row) => [...row.children].slice(0, 3)" \
                ".map((cell) => cell.textContent).join(' ')).join()"  # fmt: skip
        wanted = ["{} {:.1f} % {:.1f} %".format(one.name, *one.correct) for one in found.classifiers]
        visitor.sees(cells, ",".join(wanted))
        visitor.sees("document.querySelector('#comparison p').textContent.startsWith('On people not seen (4)')", True)
        first = found.changed[0]
        visitor.text("#comparison ol small", store.ids[first])
        visitor.text("#comparison ol output", f"{round(found.kept[first] * found.k)}/{found.k}")

        there = "window.explorer.maps[1].onScreen(arguments[0])"
        visitor.mouse("Moved", *visitor.ask(there, 7))  # on the other map
        visitor.text("#grid .preview small", store.ids[7])
        tips = "[...document.querySelectorAll('.tip:not([hidden]) span')].map((name) => name.textContent).join()"
        visitor.sees(tips, f"{store.ids[7]},{store.ids[7]}")
        visitor.click(*visitor.ask(there, 7))
        visitor.text("#grid .focus small", store.ids[7])
        visitor.sees(DRAWN, "true")
        nearest = (
            "[...document.querySelectorAll('#near ol')].map((list) => list.querySelector('small')?.textContent).join()"
        )
        visitor.sees(nearest, ",".join(store.ids[side.neighbours(7, 1)[0][0]] for side in explorer.sides))

        visitor.lasso([visitor.ask(there, clip) for clip in range(24)])
        visitor.text("#chosen", "24 clips: press a key, or click a label")
        visitor.ask("document.querySelector('#comparison h3 button').click()")
        visitor.sees("[...window.explorer.state.chosen].length", len(found.changed))
        visitor.sees("document.querySelectorAll('#grid figure').length", 9)

        visitor.ask("(window.explorer.state.colouring = '1-NN: told right by', window.explorer.recolour())")
        right = found.classifiers[1].label == store.label
        counts = "[...document.querySelectorAll('#legend small')].map((count) => Number(count.textContent)).join()"
        both = [(right[0] & right[1]).sum(), (right[0] & ~right[1]).sum(), (~right[0] & right[1]).sum()]
        visitor.sees(counts, ",".join(map(str, [*both, (~right[0] & ~right[1]).sum()])))

        for size, phone in (((1280, 720), False), ((390, 700), True)):  # all that labelling needs is in sight
            visitor.size(size, phone)
            visitor.ask("window.explorer.state.show([1, 2, 3, 4, 5, 6, 7, 8, 9])")
            visitor.sees(OUTSIDE, [])
            visitor.sees(WIDER, [])
            visitor.sees(CUT, [])
