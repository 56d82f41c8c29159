import numpy as np
import pytest

from pcm3.data.relabelled import relabelled
from pcm3.errors import DataError


@pytest.fixture
def table(tmp_path):
    def write(*rows, header="file,label"):
        (tmp_path / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return tmp_path / "labels.csv"

    return write


def test_the_tables_labels_and_no_others_count(store, table, content):
    before, ids = content(store.path), store.ids
    told = table(f"{ids[3]},wave", f"{ids[5]},nod", f"{ids[9]},wave", "gone,nod", f"{ids[11]},")
    found, notes = relabelled(store, told)
    assert found.classes == ("nod", "wave")
    wanted = np.full(24, -1)
    wanted[[3, 9]], wanted[5] = 1, 0
    np.testing.assert_array_equal(found.label, wanted)
    assert found.label.dtype == store.label.dtype
    np.testing.assert_array_equal(found.subject, store.subject)
    assert notes == [
        "labels.csv: labels of 3 of the store's 24 clips; those of its import do not count",
        "labels.csv: 1 row names no clip of the store, as 'gone' does",
    ]
    assert content(store.path) == before


@pytest.mark.parametrize(
    ("rows", "header", "told"),
    [(["gone,a"], "file,label", "named in the column 'file' like 'clip 0', got 'gone'"),
     (["clip 0,"], "file,label", "got rows without a label"),
     (["clip 0,a", "clip 0,b"], "file,label", "line 3: expected one label for 'clip 0', got 'a' and 'b'"),
     (["clip 0,a"], "name,class", "expected a table with the columns file,label"),
     ([], "file,label", "expected rows below")],
)  # fmt: skip
def test_what_is_no_table_of_the_stores_labels_is_refused(store, table, rows, header, told):
    rows = [row.replace("clip 0", str(store.ids[0])) for row in rows]
    with pytest.raises(DataError, match=told.replace("clip 0", str(store.ids[0]))):
        relabelled(store, table(*rows, header=header))


def test_there_is_no_table(store, tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        relabelled(store, tmp_path / "nowhere.csv")
