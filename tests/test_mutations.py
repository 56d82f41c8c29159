"""The list of mutations fits the package: `python tests/helpers/mutations.py` says whether the tests catch them."""

from mutations import PAGE, ROOT, mutations, page


def test_every_text_to_replace_is_there_exactly_once():
    for mutation in mutations():
        mutation.of((ROOT / "src" / "pcm3" / mutation.file).read_text(encoding="utf-8"))


def test_every_named_test_is_there():
    for mutation in mutations():
        file, _, name = mutation.test.partition("::")
        assert f"def {name}" in (ROOT / "tests" / file).read_text(encoding="utf-8"), mutation.test


def test_the_page_shows_the_list():
    assert PAGE.read_text(encoding="utf-8") == page(), "python tests/helpers/mutations.py --markdown writes it"
