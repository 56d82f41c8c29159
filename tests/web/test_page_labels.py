"""Labels that are typed, and those that another page gives meanwhile, in a real browser."""

import pytest
from test_page import SOURCES
from visitors import visiting


def test_the_page_sends_what_it_takes_the_labels_to_be():
    assert "{ clips, label, before }" in (SOURCES / "src/api.ts").read_text()


@pytest.fixture
def visitor(computed, browser):
    with visiting(computed, browser) as somebody:
        somebody.ask("window.explorer.state.pin(7)")
        yield somebody


def test_a_label_that_another_page_has_given_meanwhile_is_shown_and_not_overwritten(visitor, computed):
    classes, name = computed.store.classes, str(computed.store.ids[7])
    computed.labels.give([name], "odd")  # as another page does
    visitor.key("2")
    visitor.sees("document.querySelector('#chosen').textContent.includes('was given to it elsewhere')", True)
    visitor.text("#grid .focus b", "odd")
    assert computed.labels.given() == {name: "odd"}
    visitor.key("2")
    visitor.text("#grid .focus b", classes[1])
    visitor.sees("document.querySelector('#chosen').classList.contains('wrong')", False)
    assert computed.labels.given() == {name: classes[1]}
    visitor.driver.get_log("browser")  # where the refusal stands, too


def test_a_label_is_typed_as_far_as_no_other_one_begins_so(visitor, computed):
    classes, name = computed.store.classes, str(computed.store.ids[7])
    field = visitor.driver.find_element("css selector", "#name")
    visitor.key("t")
    visitor.sees("document.activeElement.id", "name")
    word = next(word for word in classes if sum(word[:3] in one for one in classes) == 1)
    field.send_keys(word[:3].upper())
    visitor.sees("[...document.querySelectorAll('#names li:not([hidden]) span')].map((one) => one.title).join()", word)
    field.send_keys("\n")
    visitor.text("#grid .focus b", word)
    assert computed.labels.given() == {name: word}
    visitor.sees("document.activeElement.id === 'name' || document.querySelector('#name').value", "")
    visitor.key("t")
    field.send_keys("a new one\n")
    visitor.text("#grid .focus b", "a new one")
    assert computed.labels.given() == {name: "a new one"}
    visitor.sees("document.activeElement.id === 'name'", False)  # the next key is a label's


def test_a_new_label_that_is_refused_stands_in_its_field_again(visitor, computed):
    field = visitor.driver.find_element("css selector", "#name")
    visitor.key("t")
    field.send_keys("nan\n")
    visitor.sees("document.querySelector('#chosen').textContent.startsWith('not saved: label')", True)
    visitor.sees("document.querySelector('#name').value", "nan")
    visitor.sees("window.explorer.labelling.names.includes('nan')", False)
    visitor.sees("document.activeElement.id", "name")
    field.send_keys("a\n")
    visitor.text("#grid .focus b", "nana")
    assert list(computed.labels.given().values()) == ["nana"]
    visitor.driver.get_log("browser")  # where the refusal stands, too
