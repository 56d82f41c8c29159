"""What the server answers, and what it refuses."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcm3.api.teaching import next_clips, teach
from pcm3.web.guard import HEADERS, MOST_BYTES
from pcm3.web.page import page_files
from pcm3.web.skeletons import skeleton

PATHS = ("/api/about", "/api/ids", "/api/status", "/api/columns", "/api/map/pca", "/api/map/tsne", "/api/guesses",
         "/api/clusters", "/api/clips/3/skeleton", "/api/clips/3/neighbours", "/api/lesson", "/api/labels",
         "/api/labels.csv", "/")  # fmt: skip


def array(response, dtype=np.float32):
    return np.frombuffer(response.content, dtype).reshape(
        [int(size) for size in response.headers["x-shape"].split(",")]
    )


def test_the_page_finds_all_that_it_shows(client, computed):
    store = computed.store
    about = client.get("/api/about").json()
    assert (about["clips"], about["classes"]) == (len(store), list(store.classes))
    assert [1, 0] in about["bones"] or [0, 1] in about["bones"]
    assert client.get("/api/ids").text.split("\n") == store.ids.tolist()
    columns = dict(zip(about["columns"], array(client.get("/api/columns"), np.int32), strict=True))
    np.testing.assert_array_equal(columns["label"], store.label)
    np.testing.assert_array_equal(array(client.get("/api/map/pca")), computed.mine.arrays["pca"])
    np.testing.assert_array_equal(array(client.get("/api/clips/4/skeleton")), skeleton(store, 4))
    guessed, _margin = array(client.get("/api/guesses"))
    np.testing.assert_array_equal(guessed, computed.guesses.label)
    np.testing.assert_array_equal(array(client.get("/api/clusters"), np.int32), computed.mine.arrays["clusters"][:, 0])
    assert client.get("/api/status").json()["stage"] == "done"
    near = client.get("/api/clips/3/neighbours?k=5").json()
    assert near["clips"] == computed.mine.neighbours(3, 5)[0].tolist()


def test_a_clip_comes_from_a_frame_on_and_its_length_is_told(client, computed):
    whole = client.get("/api/clips/4/skeleton")
    count = int(computed.store.length[4])
    rest = client.get("/api/clips/4/skeleton", params={"first": 5})
    assert whole.headers["x-frames"] == rest.headers["x-frames"] == str(count)
    np.testing.assert_array_equal(array(rest), array(whole)[5:])
    for first, code in ((count, 404), (-1, 404), ("x", 422)):
        assert client.get("/api/clips/4/skeleton", params={"first": first}).status_code == code


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-7", slice(0, 8)), ("bytes=100-", slice(100, None)), ("bytes=-12", slice(-12, None)),
     ("bytes=8-99999999", slice(8, None))],
)  # fmt: skip
def test_a_part_of_an_array_may_be_asked_for(client, asked, part):
    whole = client.get("/api/map/pca").content
    answer = client.get("/api/map/pca", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, whole[part])
    begin, stop, _ = part.indices(len(whole))
    assert answer.headers["content-range"] == f"bytes {begin}-{stop - 1}/{len(whole)}"


def test_a_part_that_is_not_there_is_refused(client):
    assert client.get("/api/map/pca", headers={"Range": "bytes=99999999-"}).status_code == 416


def test_labels_are_in_the_csv_when_they_have_been_posted(client, computed):
    assert client.post("/api/labels", json={"clips": [3, 5], "label": "wave"}).json() == {"labelled": 2}
    client.post("/api/labels", json={"clips": [5], "label": "=<b>nod</b>"})
    assert client.get("/api/labels").json() == {
        "names": ["=<b>nod</b>", "wave"],
        "clips": [3, 5],
        "labels": [1, 0],
        "stretches": 0,
    }
    text = client.get("/api/labels.csv").content.decode()
    ids = computed.store.ids
    assert dict(csv.reader(io.StringIO(text)))[ids[3]] == "wave"
    assert text.encode() == computed.labels.file.read_bytes()
    computed.labels.file.write_bytes(by_hand := "file,label\na,h\u00fcpfen\n".encode("cp1252"))
    assert client.get("/api/labels.csv").content == by_hand
    computed.labels.file.write_bytes(text.encode())
    client.post("/api/labels", json={"clips": [3], "label": None})
    for before, words in ((["wave"], "elsewhere meanwhile"), ([], "before: expected a label or null for each of 1")):
        refused = client.post("/api/labels", json={"clips": [5], "label": "kick", "before": before})
        assert refused.status_code == 422
        assert words in refused.json()["detail"]
    assert computed.labels.given() == {ids[5]: "=<b>nod</b>"}


def test_labels_teach_as_they_are_given(client, computed):
    store, lessons = computed.store, computed.lessons
    first = next_clips(lessons.rows, np.array([], int), None, 9).tolist()
    assert client.get("/api/lesson").json() == {"names": [], "labelled": 0, "correct": None, "people": 0, "next": first}
    assert client.get("/api/lesson/guesses").status_code == 409
    for label, name in enumerate(store.classes[:2]):
        client.post("/api/labels", json={"clips": np.flatnonzero(store.label == label).tolist(), "label": name})
    found = client.get("/api/lesson?n=4").json()
    assert (found["names"], found["labelled"], found["people"]) == (["nod", "raise arm"], 16, 4)
    assert set(store.label[found["next"]]) == {2}
    labelled = np.flatnonzero(store.label < 2)
    taught = teach(lessons.rows, labelled, 1 - store.label[labelled])
    np.testing.assert_allclose(array(client.get("/api/lesson/guesses")), [taught.label, taught.margin], rtol=1e-5)


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '{"clips": [], "label": "a"}', '{"clips": [-1], "label": "a"}', '{"clips": [1]}',
     '{"clips": [99999], "label": "a"}', '{"clips": ["1"], "label": "a"}', '{"clips": [1], "label": "a\\n"}',
     '{"clips": [1], "label": 3}', '{"clips": [1e99], "label": "a"}', '{"clips": [NaN], "label": "a"}', "[" * 100_000],
)  # fmt: skip
def test_labels_that_are_none_are_refused_and_nothing_is_written(client, computed, body):
    answer = client.post("/api/labels", content=body.encode(), headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert not computed.labels.file.exists()


def test_a_clip_that_is_one_of_many_wrong_ones_is_not_labelled(client, computed):
    assert client.post("/api/labels", json={"clips": [1, 10**9], "label": "a"}).status_code == 404
    assert computed.labels.given() == {}


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers_that_keep_other_pages_out(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    assert HEADERS.items() <= {name: answer.headers[name] for name in HEADERS}.items()


@pytest.mark.parametrize(
    ("headers", "code"),
    [({"Authorization": "Bearer other"}, 401), ({"Authorization": ""}, 401), ({"Host": "evil.example"}, 403),
     ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
     ({"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}, 200)],
)  # fmt: skip
def test_who_is_not_the_page_is_refused(client, computed, headers, code):
    asked = [client.get(path, headers=headers).status_code for path in PATHS if path.startswith("/api")]
    assert set(asked) == {code}
    posted = client.post("/api/labels", json={"clips": [1], "label": "a"}, headers=headers)
    assert posted.status_code == code
    assert computed.labels.file.exists() == (code == 200)


def test_huge_requests_and_those_of_no_length_are_refused(client):
    assert client.post("/api/labels", content=b" " * (MOST_BYTES + 1)).status_code == 413
    assert client.post("/api/labels", content=iter([b"{}"])).status_code == 411


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/assets/../../page.py", "/store.json",
     "/labels.csv", "/api/map/../../x", "/api/map/features", "/api/clips/-1/skeleton", "/api/clips/999/skeleton",
     "/api/clips/x/skeleton", "/docs", "/openapi.json"],
)  # fmt: skip
def test_nothing_but_the_page_and_the_arrays_is_reached(client, path):
    assert client.get(path).status_code in (404, 422)


def test_nothing_changes_by_a_get(client, computed, content):
    before = content(computed.labels.file.parent), content(computed.store.path)
    for path in PATHS:
        assert client.get(path, params={"clips": "1", "label": "a"}).status_code == 200
        assert client.put(path, content=b"").status_code == 405
    assert (content(computed.labels.file.parent), content(computed.store.path)) == before


def test_what_is_not_computed_yet_is_told_so(explorer):
    from fastapi.testclient import TestClient

    from pcm3.web.routes import explorer_app

    early = TestClient(explorer_app(explorer))
    for path in ("/api/map/pca", "/api/guesses", "/api/clips/1/neighbours", "/api/lesson"):
        assert early.get(path).status_code == 409
    status = {
        "stage": "features",
        "done": 0,
        "maps": [[]],
        "guesses": False,
        "clusters": False,
        "checked": False,
        "compared": False,
        "correct": None,
    }
    assert early.get("/api/status").json() | {"error": ""} == status | {"error": ""}


ODD = st.text(max_size=30) | st.integers().map(str) | st.sampled_from(["..", "%00", "%2f", "nan", "-1", "1e9", "\\"])
NAMES = st.sampled_from(
    ["about", "ids", "columns", "map", "pca", "clips", "skeleton", "neighbours", "labels", "guesses", "lesson",
     "guests", "recordings", "stretches", "findings", "clusters", "other", "comparison", "told"]
)  # fmt: skip
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["clips", "label", "before", "after", "x"]), inner)
    ),
    max_leaves=8,
)
REQUESTS = st.tuples(
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    st.lists(NAMES | ODD, max_size=5).map("/".join),
    st.dictionaries(st.sampled_from(["k", "n", "name", "like", "guest", "first", "normalised"]), ODD, max_size=2),
    st.one_of(st.binary(max_size=60), BODIES.map(json.dumps).map(str.encode)),
    st.dictionaries(st.sampled_from(["Range", "Content-Type", "If-Range", "Accept"]),
                    st.text("bytes=-0123456789,json/*", max_size=20), max_size=2),
)  # fmt: skip


def ask(client, request):
    method, path, params, body, headers = request
    target = "/api/" + path.encode("utf-8", "replace").decode("latin-1")
    return client.request(method, "http://testserver" + target.replace("#", "%23").replace("?", "%3F"), params=params,
                          content=body, headers=headers)  # fmt: skip


@pytest.mark.parametrize("count", [25, pytest.param(2_000, marks=pytest.mark.soak)])
def test_no_request_makes_the_server_fail(client, count):
    codes = []

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(REQUESTS)
    def one(request):
        try:
            answer = ask(client, request)
        except Exception as error:  # an address that the client itself does not take
            if type(error).__module__.startswith("httpx"):
                return
            raise
        codes.append(answer.status_code)
        assert answer.status_code < 500, request

    one()
    assert len(codes) > count / 2


def test_the_page_is_small_and_asks_no_other_server():
    assert sum(len(data) for data, _ in page_files().values()) < 1_000_000


def test_the_address_may_be_clicked_on_another_page_but_nothing_else_may_be_asked_from_there(client):
    click = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=click).status_code == 200
    assert client.get("/api/about", headers=click).status_code == 403
    assert client.post("/", headers=click).status_code == 403
    assert client.get("/", headers=click | {"Sec-Fetch-Dest": "iframe"}).status_code == 403
    assert client.get("/", headers=click | {"Sec-Fetch-Mode": "no-cors"}).status_code == 403
