import base64
import json
import math
import re
import statistics
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from pcm3.encoders.files import load_encoder
from pcm3.report import pictures, search
from pcm3.report.page import Section, write_page
from pcm3.report.results import write_evaluation
from pcm3.report.tables import alike, markdown_table, text_table
from pcm3.settings.tasks import LinearSettings, TaskSettings
from pcm3.summary import counted, mean_and_spread, mean_of, over_seeds, spread_of
from pcm3.tasks.evaluate import evaluate

figures = st.lists(st.floats(0, 100), min_size=2, max_size=9)


def pixels(path):
    """The picture, which must be a PNG that opens: (height, width, channels) in 0…1, not all of one colour."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    image = matplotlib.image.imread(path)
    assert image.ndim == 3
    assert 100 < image.shape[0] < 4000
    assert 100 < image.shape[1] < 4000
    assert image[..., :3].std() > 0.005
    return image


def shows(image, colour):
    """Whether any pixel has about this colour (#rrggbb)."""
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return bool((np.abs(image[..., :3] - wanted) < 0.05).all(axis=2).any())


# Tables


@given(figures)
def test_means_and_spreads_are_those_of_the_statistics_module(values):
    assert mean_of(values) == pytest.approx(statistics.mean(values), abs=1e-9)
    assert spread_of(values) == pytest.approx(statistics.stdev(values), abs=1e-6)


def test_a_spread_needs_two_values():
    assert spread_of([3.0]) is None
    assert mean_and_spread([87.25]) == "87.2"
    assert mean_and_spread([1.0, 2.0, 3.0]) == "2.0 ± 1.0"
    assert mean_and_spread([1.0, 2.0], digits=3) == "1.500 ± 0.707"


@pytest.mark.parametrize(
    ("count", "words", "told"),
    [
        (1, ("clip",), "1 clip"),
        (0, ("clip",), "0 clips"),
        (12345, ("clip",), "12,345 clips"),
        (1.0, ("epoch",), "1 epoch"),
        (2.5, ("minute",), "2.5 minutes"),
        (0.3121, ("epoch",), "0.312 epochs"),
        (1234.5, ("epoch",), "1,234 epochs"),
        (1, ("body", "bodies"), "1 body"),
        (2, ("body", "bodies"), "2 bodies"),
    ],
)
def test_so_many_of_a_thing_are_read_at_a_glance(count, words, told):
    assert counted(count, *words) == told


def test_a_text_table_has_aligned_columns_with_numbers_to_the_right():
    table = text_table(["name", "clips", "share"], [["walk", 12345, 0.5], ["jump high", 7, None]])
    assert table.split("\n") == [
        "name        clips  share",
        "---------  ------  -----",
        "walk       12,345    0.5",
        "jump high       7",
    ]


def test_a_column_has_one_number_of_decimals():
    rows = [
        ["a", 91.666, 1, 0.00123, 1234.5, "0.50"],
        ["b", 100.0, 0.0317, 1.0, 2.25, "11.25"],
        ["c", None, 0.5, 0, 1.0, ""],
    ]
    assert [line.split() for line in text_table(list("nabcde"), rows).split("\n")[2:]] == [
        ["a", "91.7", "1.000", "0.0012", "1,234.5", "0.50"],
        ["b", "100.0", "0.032", "1.0000", "2.2", "11.25"],
        ["c", "0.500", "0.0000", "1.0"],
    ]
    assert text_table(["x"], [["0.50"], ["11.25"]]).split("\n")[2:] == [" 0.50", "11.25"]
    assert alike([float("nan"), 2.5, float("inf")]) == ["nan", "2.5", "inf"]


def test_a_markdown_table_has_as_many_cells_in_every_line():
    lines = markdown_table(["", "top-1 %"], [["pretrained", "90.0 ± 1.0"], ["raw", 7]]).split("\n")
    assert lines == ["|  | top-1 % |", "| --- | --- |", "| pretrained | 90.0 ± 1.0 |", "| raw | 7 |"]


def test_a_table_without_rows_is_its_header():
    assert text_table(["a", "b"], []).split("\n")[0] == "a  b"


# Results


@pytest.fixture(scope="module")
def evaluation(finished_path, store_path):
    from pcm3.data.store import ClipStore

    store = ClipStore.open(store_path)
    head = TaskSettings(head=LinearSettings(epochs=2))
    return evaluate("linear-cached", [finished_path], store, "xview", head, seeds=2, device="cpu"), store


def test_results_are_written_as_json_markdown_and_a_picture(evaluation, tmp_path):
    found, store = evaluation
    data, text, picture = write_evaluation(found, store, tmp_path / "new" / "folder")
    assert [path.name for path in (data, text, picture)] == [
        "linear-cached-xview.json",
        "linear-cached-xview.md",
        "linear-cached-xview-confusion.png",
    ]
    read = json.loads(data.read_text())
    assert read == found.to_dict() | {"store": {"kind": "npz", "clips": 24, "checksum": store.checksum}}
    for row in read["rows"]:
        line = next(line for line in text.read_text().split("\n") if line.startswith(f"| {row['name']} |"))
        assert f"| {row['top1']:.1f} ± {row['top1_sd']:.1f} |" in line
        assert f"| {row['best_top1']:.1f} ± " in line
    assert f"Note: {read['notes'][0]}" in text.read_text()
    assert "16 training clips, 8 test clips" in text.read_text()
    pixels(picture)


def test_one_seed_is_told_as_one(evaluation, tmp_path):
    found, store = evaluation
    text = write_evaluation(replace(found, seeds=1), store, tmp_path)[1].read_text()
    assert "; 1 seed.\n" in text
    assert (over_seeds(1), over_seeds(3)) == ("1 seed", "3 seeds (mean ± sd)")


def test_results_written_again_take_the_place_of_the_old(evaluation, tmp_path, content):
    found, store = evaluation
    write_evaluation(found, store, tmp_path)
    before = content(tmp_path)
    write_evaluation(found, store, tmp_path)
    assert content(tmp_path) == before


# Pictures


def test_a_confusion_matrix_shows_only_classes_with_clips_and_names_others_by_number(tmp_path):
    names = [f"class {number}" for number in range(60)]
    target, predicted = np.array([0, 0, 7, 7, 59]), np.array([0, 7, 7, 7, 61])
    with pytest.MonkeyPatch.context() as patched:
        drawn = []
        save = pictures.save_figure
        patched.setattr(pictures, "save_figure", lambda figure, path: (drawn.append(figure), save(figure, path)))
        pictures.confusion_matrix(target, predicted, names, tmp_path / "few.png", "title")
    axes = drawn[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["class 0", "class 7", "class 59", "61"]
    share = axes.images[0].get_array()
    np.testing.assert_allclose(share, [[50, 50, 0, 0], [0, 100, 0, 0], [0, 0, 0, 100], [0, 0, 0, 0]])
    pixels(tmp_path / "few.png")


@pytest.mark.parametrize("classes", [1, 2, 41, *(pytest.param(many, marks=pytest.mark.soak) for many in (40, 120))])
def test_a_confusion_matrix_of_any_number_of_classes_can_be_drawn(tmp_path, classes):
    label = np.arange(classes)
    path = tmp_path / "below" / "matrix.png"
    pictures.confusion_matrix(label, np.roll(label, 1), [str(number) for number in label], path, "title")
    pixels(path)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_a_table_s_picture_holds_all_that_is_drawn(tmp_path, columns):
    rows = {"intra, inter, predicted, distillation": ([90.0, 91.0], 89.7), "untrained encoder": ([80.0], None)}
    title = "Positive views and distillation, without prompts: ours on utd-mhad, mean and sd of 3 seeds"
    pictures.table_bars({f"figure {number} %": rows for number in range(columns)}, tmp_path / "bars.png", title)
    image = pixels(tmp_path / "bars.png")
    edges = (image[:2], image[-2:], image[:, :2], image[:, -2:])
    assert all(bool(np.all(edge == 1)) for edge in edges)  # nothing is cut off


@pytest.mark.parametrize("paper", [60.0, 72.0, 73.7, 79.0, 95.0])
def test_the_paper_s_mark_does_not_lie_on_our_number_nor_a_spread_below_nothing(tmp_path, monkeypatch, paper):
    drawn = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: drawn.append(figure))
    pictures.table_bars({"1-NN %": {"PCM³": ([70.0, 72.0], paper), "few": ([0.0, 8.0], None)}}, tmp_path / "p.png", "")
    (figure,) = drawn
    axes = figure.axes[0]
    figure.draw_without_rendering()
    number = next(text for text in axes.texts if text.get_text().strip() == "71.0").get_window_extent()
    mark = axes.transData.transform((paper, 0))
    assert not number.x0 < mark[0] < number.x1
    assert min(path.vertices[:, 0].min() for of in axes.collections for path in of.get_paths()) >= 0


def test_baselines_are_pale_whether_the_paper_has_a_figure_of_them_or_not(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: drawn.append(figure))
    rows = {"PCM³": ([70.0], 80.0), "ours": ([71.0], None), "untrained": ([50.0], 49.0), "raw": ([40.0], None)}
    pictures.table_bars({"1-NN %": rows}, tmp_path / "p.png", "", ("untrained", "raw"))
    shades = [to_hex(bar.get_facecolor()) for bar in drawn[0].axes[0].patches]
    assert shades == [pictures.TRAINED, pictures.TRAINED, pictures.PALE, pictures.PALE]


@pytest.mark.parametrize(
    ("rungs", "winner", "legend"),
    [(1, None, []), (1, "a", ["the best"]), (2, "a", ["reached rung 2", "fell before", "the best"])],
)
def test_a_search_s_picture_explains_what_is_drawn_and_no_more(tmp_path, monkeypatch, rungs, winner, legend):
    drawn = []
    monkeypatch.setattr(search, "save_figure", lambda figure, path: drawn.append(figure))
    candidate = {"group": "g", "name": "n", "rung": rungs, "difference": 1.0, "difference_spread": None}
    report = {"rungs": [{"seeds": 1}] * rungs, "stores": {"s": {}}, "winner": winner, "candidates": {"a": candidate}}
    search.differences(report, tmp_path / "p.png")
    assert [text.get_text() for of in drawn[0].legends for text in of.get_texts()] == legend


def metrics_file(tmp_path, lines):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def panels_of(monkeypatch, draw):
    """What `draw` draws: the title of each panel → what its curves are called."""
    figures = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, picture: figures.append(figure))
    draw()
    return {axes.get_title(): [line.get_label() for line in axes.lines] for axes in figures[0].axes}


TERMS = {"loss": 3.0, "contrast/intra": 1.0, "contrast/mask": 2.0, "inpainting": 0.1, "deception": 0.2}


def test_the_loss_curve_has_a_panel_for_each_group_of_terms(tmp_path, monkeypatch):
    lines = [{"step": 10 * step} | TERMS | {"lr": 1, "epoch": 1, "seconds": 2.0} for step in (1, 2, 3)]
    metrics = metrics_file(tmp_path, lines)
    assert panels_of(monkeypatch, lambda: pictures.loss_curve(metrics, tmp_path / "loss.png")) == {
        "loss": ["loss"],
        "contrast": ["intra", "mask"],
        "inpainting": ["inpainting"],
        "deception": ["deception"],
    }


def test_steps_are_whole_numbers_where_there_is_but_one(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: drawn.append(figure))
    metrics = metrics_file(tmp_path, [{"step": 3} | TERMS])
    pictures.loss_curves({"hiclr": {"HiCLR": [metrics]}}, tmp_path / "loss.png", "title")
    axes = drawn[0].axes[0]
    first, last = axes.get_xlim()
    assert [step for step in axes.get_xticks() if first <= step <= last] == [3]


def test_the_loss_curve_of_many_terms_stays_a_picture(tmp_path):
    for terms in (1, 4, 6):
        lines = [{"step": step, "loss": 1.0} | {f"term {number}": step for number in range(terms)} for step in (1, 2)]
        pictures.loss_curve(metrics_file(tmp_path, lines), tmp_path / "loss.png")
        pixels(tmp_path / "loss.png")


def test_a_spoilt_line_of_the_metrics_is_left_out_of_the_curve(tmp_path, monkeypatch):
    metrics = metrics_file(tmp_path, [{"step": 1} | TERMS])
    metrics.write_text(metrics.read_text() + "spoilt\n")
    assert panels_of(monkeypatch, lambda: pictures.loss_curve(metrics, tmp_path / "loss.png"))["loss"] == ["loss"]


def test_the_losses_of_each_method_have_a_panel(tmp_path, monkeypatch):
    metrics = [metrics_file(tmp_path, [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}])]
    methods = {"pcm3": {"intra": metrics, "all": metrics}, "halp": {"HaLP": metrics}}
    drawn = panels_of(monkeypatch, lambda: pictures.loss_curves(methods, tmp_path / "loss.png", "title"))
    assert drawn == {"pcm3": ["intra", "all"], "halp": ["HaLP"]}


def test_a_run_without_metrics_has_no_loss_curve(tmp_path):
    pictures.loss_curve(metrics_file(tmp_path, []), tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()


def test_bars_show_every_row_of_every_task(tmp_path):
    rows = {"pretrained": [80.0, 82.0], "untrained encoder": [40.0], "raw coordinates": [50.0, 51.0, 52.0]}
    pictures.bars({"linear": rows, "retrieval": rows}, tmp_path / "bars.png", "top-1 %", "title")
    image = pixels(tmp_path / "bars.png")
    assert all(shows(image, colour) for colour in (pictures.TRAINED, pictures.PALE, pictures.OTHER))


def test_a_feature_map_has_a_panel_for_each_encoder(tmp_path):
    points = np.random.default_rng(0).normal(size=(12, 2))
    label = np.arange(12) % 3 * 2
    panels = {"untrained": points, "pretrained": points + label[:, None]}
    pictures.feature_map(panels, label, [f"class {number}" for number in range(5)], tmp_path / "map.png")
    image = pixels(tmp_path / "map.png")
    assert image.shape[1] > image.shape[0]


# The page


class Page(HTMLParser):
    """What a browser would load, and the text of cells."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.tags, self.cells = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        if self.tags and self.tags[-1] in ("td", "th"):
            self.cells.append(data)


def test_the_page_holds_all_that_it_shows(tmp_path):
    picture = tmp_path / "bars.png"
    pictures.bars({"linear": {"pretrained": [80.0, 82.0]}}, picture, "%", "title")
    table = (("", "top-1 %"), [["pretrained <b>", "81.0 ± 1.4"]])
    sections = [
        Section("First & last", "a < b", [picture, tmp_path / "is not there.png"], table),
        Section("Second", "text"),
    ]
    write_page(tmp_path / "page.html", "Title & all", sections)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "http://" not in text
    assert "https://" not in text
    (source,) = page.sources
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == picture.read_bytes()
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "<title>Title &amp; all</title>" in text
    assert "<h2>First &amp; last</h2>" in text
    assert "<p>a &lt; b</p>" in text
    assert "<td>pretrained &lt;b&gt;</td><td>81.0 ± 1.4</td>" in text
    assert not re.search(r"url\(|@import", text)


def test_what_a_table_shows_is_what_json_holds(evaluation):
    found, _ = evaluation
    for shown, row in zip(found.table(), found.to_dict()["rows"], strict=True):
        mean, _, spread = shown[1].partition(" ± ")
        assert float(mean) == pytest.approx(row["top1"], abs=0.051)
        assert float(spread) == pytest.approx(row["top1_sd"], abs=0.051)
        assert math.isfinite(row["best_top1"])


def test_the_loss_curve_of_a_real_run_can_be_drawn(finished_path, tmp_path):
    pictures.loss_curve(finished_path / "metrics.jsonl", tmp_path / "loss.png")
    pixels(tmp_path / "loss.png")
    assert load_encoder(finished_path)[1].provenance.step == 10
