"""Several logs of rows as one page."""

import json
import math

import pytest

from pcm3.experiments.paper_tables import TABLES, published_columns
from pcm3.report.all_stores import ALL, over_all_stores
from pcm3.report.benchmark_page import (
    benchmark_page,
    first_comment,
    is_log_of_rows,
    over_base,
    over_untrained,
    standing,
)
from pcm3.report.benchmark_picture import draw_over_base
from pcm3.report.published_order import Order, Published, order_of

ONE = {"one": "x.png"}


def run(store, seed, linear, **more):
    return {"store": store, "seed": seed, "linear": linear, "retrieval": linear - 1.0, "seconds": 10.0} | more


@pytest.fixture
def log():
    """Two seeds on two stores; the row lacks one run of the base, and has a failed one."""
    base = [run("s", 0, 50.0), run("t", 0, 20.0), run("s", 1, 52.0), run("t", 1, 24.0)]
    row = [run("s", 0, 51.0), run("t", 0, 20.0), run("s", 1, 55.0), {"store": "t", "seed": 1, "failed": "nan"}]
    return {
        "stores": {"s": {"kind": "utd-mhad"}, "t": {"kind": "npz"}},
        "rungs": [{"steps": [100, 300], "seeds": 2}],
        "held_out": 0,
        "base": {"method": "pcm3", "encoder": {"kind": "gru", "hidden_size": 8}},
        "candidates": {"base": {"group": "", "runs": [base]}, "g: row": {"group": "g", "runs": [row]}},
        "standing": ["g: row", "base"],
        "baselines": {"raw coordinates": {"runs": [{"store": "s", "seed": 0, "linear": 40.0, "retrieval": 30.0}]}},
    }


def test_differences_are_paired_and_have_the_interval_of_their_mean(log):
    found = over_base(log)
    assert set(found) == {("g: row", "s"), ("g: row", "t")}
    of = found["g: row", "s"]["linear"]
    assert of.mean == 2.0
    assert of.half == pytest.approx(12.7062047364 * math.sqrt(2) / math.sqrt(2))  # t(1) times sd over the root of 2
    assert str(found["g: row", "t"]["retrieval"]) == "+0.0", "of one pair there is no interval"


def test_how_long_the_runs_are_is_told_with_what_they_learned_from(log):
    log["learned"], log["rungs"][0]["minutes"] = "both", 3.0
    words = "100 to 300 steps (as many as go into 3 minutes), learned from both for all stores, 2 seeds."
    assert words in benchmark_page({"one": log}, {}, ONE)


def test_what_a_row_has_learned_is_told_over_its_own_encoder_untrained(log):
    assert over_untrained(log) == {}
    log["candidates"]["g: row"]["untrained"] = "untrained, g: row"
    log["baselines"]["untrained, g: row"] = {"runs": [run("s", 1, 45.0), run("s", 0, 44.0), run("t", 0, 30.0)]}
    found = over_untrained(log)
    assert found["g: row", "s"]["linear"].mean == pytest.approx((51.0 - 44.0 + 55.0 - 45.0) / 2)
    assert str(found["g: row", "t"]["linear"]) == "-10.0"
    assert "| row | +8.5 ± 19.1 |" in benchmark_page({"one": log}, {}, ONE).partition("untrained, what")[2]


def test_of_one_seed_no_spread_is_promised(log):
    assert "± standard deviation over the seeds" in benchmark_page({"one": log}, {}, ONE)
    log["rungs"][0]["seeds"] = 1
    text = benchmark_page({"one": log}, {}, ONE)
    assert "Figures are of one seed; differences are to the run with the same seed." in text
    assert "deviation" not in text


def test_a_log_of_nothing_but_its_base_is_drawn(log, tmp_path):
    log["standing"] = ["base"]
    draw_over_base(log, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_the_page_tells_rows_baselines_and_what_was_chosen_on_what(log):
    pictures = {"one": "x.png", "two": "y.png"}
    page = benchmark_page({"one": log, "two": log}, {"one": "Chosen on others.", "two": ""}, pictures)
    lines = page.splitlines()
    assert [line for line in lines if line.startswith("![")] == [
        f"![By how much each row is over its base]({picture})" for picture in pictures.values()
    ]
    assert lines.count("Chosen on others.") == 1
    assert lines.count("method pcm3, encoder gru of width 8, 100 to 300 steps, 2 seeds.") == 2
    first = lines[lines.index("### one: utd-mhad") : lines.index("### one: npz")]
    assert [line for line in first if line.startswith("| ") and "---" not in line] == [
        "|  | linear % | 1-NN % | s a run |",
        "| row | 53.0 ± 2.8 | 52.0 ± 2.8 | 10 |",  # the best first
        "| base | 51.0 ± 1.4 | 50.0 ± 1.4 | 10 |",
        "| raw coordinates | 40.0 | 30.0 |  |",
        "|  | linear % | 1-NN % |",
        "| row | +2.0 ± 12.7 | +2.0 ± 12.7 |",
    ]
    assert "labels" not in page.partition("## one")[2], "no column of what no run has"
    assert "Kendall" not in page, "no paper has these rows"


def test_over_all_stores_a_run_is_the_mean_over_them_where_all_have_finished(log):
    found = over_all_stores(log)
    assert list(found["stores"]) == [ALL]
    (base,) = found["candidates"]["base"]["runs"]
    assert [(run["seed"], run["linear"], run["retrieval"], run["score"]) for run in base] == [
        (0, 35.0, 34.0, 34.5),
        (1, 38.0, 37.0, 37.5),
    ]
    (row,) = found["candidates"]["g: row"]["runs"]
    assert [(run["seed"], run["linear"]) for run in row] == [(0, 35.5)], "seed 1 has failed on a store"
    assert found["baselines"]["raw coordinates"]["runs"] == [], "measured on one store alone"
    assert str(over_base(found)["g: row", ALL]["linear"]) == "+0.5"


def test_a_metric_is_averaged_over_the_stores_that_have_it_the_same_for_all_rows(log):
    base, row = (log["candidates"][title]["runs"][0][0] for title in ("base", "g: row"))
    base["detection_map_a_voc"], row["detection_map_a_voc"] = 30.0, 33.0  # on store s alone, with seed 0
    log["candidates"]["base"]["runs"][0][1]["prediction_mpjpe_mm"] = 9.0  # of store t, where the row has none
    found = over_all_stores(log)
    first = {title: found["candidates"][title]["runs"][0][0] for title in ("base", "g: row")}
    assert (first["base"]["detection_map_a_voc"], first["g: row"]["detection_map_a_voc"]) == (30.0, 33.0)
    assert "prediction_mpjpe_mm" in first["base"]
    assert "prediction_mpjpe_mm" not in first["g: row"]
    log["candidates"]["base"]["runs"][0][1]["detection_map_a_voc"] = 10.0  # now both stores have it, the row one
    found = over_all_stores(log)
    assert found["candidates"]["base"]["runs"][0][0]["detection_map_a_voc"] == 20.0
    assert "detection_map_a_voc" not in found["candidates"]["g: row"]["runs"][0][0]


def test_the_page_begins_with_how_much_was_compared_and_the_best_row_of_each_log(log):
    page = benchmark_page({"one": log}, {}, ONE)
    assert "| [one](#one) | 2 | utd-mhad, npz | 0.0 | base | 36.0 ± 2.1 | 36.0 ± 2.1 |  |" in page.splitlines()
    log["candidates"]["g: row"]["runs"][0][3] = run("t", 1, 25.0)
    page = benchmark_page({"one": log}, {}, ONE)
    assert "| row | 37.2 ± 3.2 | 36.0 ± 2.1 | +1.2 ± 9.5 |" in page.partition("## one")[0]
    assert "### one: all stores" in page
    for of in (log["candidates"]["base"], log["candidates"]["g: row"]):
        of["runs"] = [of["runs"][0][:1]]
    assert "| [one](#one) | 2 | utd-mhad, npz | 0.0 |  |  |  |  |" in benchmark_page({"one": log}, {}, ONE)


def test_store_by_store_is_folded_below_what_all_stores_come_to(log):
    page = benchmark_page({"one": log}, {}, ONE)
    first, second = (page.index(f"### one: {store}\n") for store in ("utd-mhad", "npz"))
    begins = page.index("\n\n<details>\n<summary>Store by store</summary>\n\n")  # else what follows is not Markdown
    assert page.index("### one: all stores") < begins < first < second < page.index("\n\n</details>\n")
    del log["stores"]["t"]
    for of in log["candidates"].values():
        of["runs"] = [[run for run in of["runs"][0] if run["store"] == "s"]]
    assert "<details>" not in benchmark_page({"one": log}, {}, ONE), "of one store there is nothing else to show"


def test_a_row_is_told_how_many_of_its_figures_are_beyond_the_interval(log):
    base, row = (
        {(of["store"], of["seed"]): of for of in log["candidates"][title]["runs"][0]} for title in ("base", "g: row")
    )
    for seed in (0, 1):  # over the base by exactly as much with either seed
        row["s", seed] |= {"linear": base["s", seed]["linear"] + 1.0, "retrieval": base["s", seed]["retrieval"] - 2.0}
        base["s", seed]["prediction_mpjpe_mm"], row["s", seed]["prediction_mpjpe_mm"] = 20.0, 19.0  # less is better
    page = benchmark_page({"one": log}, {}, ONE)
    assert "| row | 2 | 1 | 3 |" in page.splitlines(), "store t has one pair and no interval"


def test_few_labels_that_are_the_same_clips_are_said_to_be_and_count_once(log):
    for title, candidate in log["candidates"].items():
        for of in (run for run in candidate["runs"][0] if "failed" not in run):
            of["top1_1pc_stratified"] = 30.0 + 5 * (title != "base")
            of["top1_10pc_stratified"] = of["top1_1pc_stratified"] + 10 * (of["store"] == "t")
    page = benchmark_page({"one": log}, {}, ONE)
    of_stores = [part.partition("\n### ")[0] for part in page.split("\n### one: ")[1:]]
    assert ["1 % and 10 % of the labels are the same clips here" in part for part in of_stores] == [False, True, False]
    # Of s: linear, 1-NN, and both shares as one; of t the row has one seed, which has no interval.
    assert "| row | 1 | 0 | 3 |" in of_stores[0]


def test_rows_of_several_groups_keep_their_groups_names_and_a_failed_row_stands_last(log):
    log["candidates"]["h: other"] = {"group": "h", "runs": [[{"store": "s", "seed": 0, "failed": "nan"}]]}
    log["standing"].insert(0, "h: other")
    assert standing(log, "s") == ["g: row", "base", "h: other"]
    page = benchmark_page({"one": log}, {}, ONE)
    assert "| g: row | 53.0 ± 2.8 |" in page
    assert "h: other |" not in page, "nothing was measured of it"


def test_runs_that_failed_are_told_with_their_stores_and_seeds(log):
    assert "Failed, and in no figure: row on npz with seed 1." in benchmark_page({"one": log}, {}, ONE)
    del log["candidates"]["g: row"]["runs"][0][-1]
    assert "Failed" not in benchmark_page({"one": log}, {}, ONE)


def test_links_reach_sections_and_pictures_of_whatever_name(log):
    page = benchmark_page({"My Rows (2)_b": log}, {}, {"My Rows (2)_b": "benchmark-My Rows (2)_b.png"})
    assert "| [My Rows (2)_b](#my-rows-2_b) | 2 |" in page
    assert "](benchmark-My%20Rows%20%282%29_b.png)" in page


def of_methods(log, figures):
    """The log with a row for each preset: two seeds on store `s`."""
    for preset, values in figures.items():
        runs = [run("s", seed, value) for seed, value in enumerate(values)]
        log["candidates"][f"g: {preset}"] = {"group": "g", "preset": f"{preset}-small", "runs": [runs]}
        log["standing"].append(f"g: {preset}")
    return log


def test_pairs_stand_as_published_or_the_other_way_beyond_the_interval_or_within(log):
    # cmd over isc by 10 ± 0, crrl over cmd by 1 ± 12.7, crrl over isc by 11 ± 12.7
    of_methods(log, {"isc": [40.0, 41.0], "cmd": [50.0, 51.0], "crrl": [52.0, 51.0]})
    paper = Published("Table 1", "linear", {"isc": 76.0, "cmd": 79.0, "crrl": 67.0, "halp": 80.0})
    assert order_of(log, "s", paper) == Order(3, as_published=1, as_published_beyond=1, other_way=2, other_way_beyond=0)
    assert order_of(log, "s", paper).tau == pytest.approx(-1 / 3)
    assert order_of(log, "t", paper) is None, "no run there"
    assert order_of(log, "s", Published("Table 3", "linear", {"isc": 1.0, "cmd": 2.0})) is None, "two are no order"
    page = benchmark_page({"one": log}, {}, ONE, [paper])
    assert "| Table 1 | utd-mhad | 3 | 1 | 1 | 2 | 0 | -0.33 |" in page.splitlines()


def test_equal_figures_of_the_paper_make_no_pair_and_equal_ones_of_ours_no_order(log):
    of_methods(log, {"isc": [40.0, 41.0], "cmd": [40.0, 41.0], "crrl": [39.0, 40.0]})
    paper = Published("Table 1", "linear", {"isc": 76.0, "cmd": 79.0, "crrl": 76.0})
    assert order_of(log, "s", paper) == Order(2, as_published=1, as_published_beyond=1, other_way=0, other_way_beyond=0)


def test_the_papers_columns_are_those_of_its_tables():
    single, three, nearest, spatial, temporal = published_columns()
    assert (single.values["pcm3"], single.values["cmd"], single.values["halp"]) == (83.9, 79.8, 79.7)
    assert (three.values["pcm3"], three.values["aimclr"]) == (87.4, 78.9)
    assert (nearest.values["cmd"], nearest.metric) == (70.6, "retrieval")
    assert (spatial.values["moco"], temporal.values["moco"]) == (64.8, 68.8)
    assert "aimclr" not in single.values, "the paper has it with three streams alone"
    assert len(three.values) == sum(variant.streams for variant in TABLES["table1"].variants.values())


def test_how_rows_stand_on_clips_that_are_made_worse_is_told(log):
    for of in log["candidates"].values():
        of["runs"] = [[one | {"robustness_top1_harmed": 30.0} for one in runs] for runs in of["runs"]]
    assert "clips made worse %" in benchmark_page({"one": log}, {}, ONE)


def test_two_stores_of_one_data_set_keep_their_names(log):
    log["stores"]["t"]["kind"] = "utd-mhad"
    assert "### one: s\n" in benchmark_page({"one": log}, {}, ONE)


def test_the_first_comment_is_what_stands_before_the_first_setting(tmp_path):
    file = tmp_path / "rows.yaml"
    assert first_comment(file) == ""
    file.write_text("# One line\n# and another.\nbase:  # not this\n# nor this\n")
    assert first_comment(file) == "One line and another."
    file.write_text("# nothing else")
    assert first_comment(file) == "nothing else"


def test_the_command_writes_page_and_pictures(cli, log, tmp_path):
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "log.json"
    file.write_text(json.dumps(log))
    found = cli("reproduce", "page", "--logs", tmp_path / "a", "--out", tmp_path / "docs", "--json")
    assert found.code == 0, found.err
    assert "## a" in (tmp_path / "docs" / "BENCHMARK.md").read_text(encoding="utf-8")
    assert (tmp_path / "docs" / "benchmark-a.png").read_bytes()[:4] == b"\x89PNG"
    assert found.json["logs"] == ["a"]
    (tmp_path / "a" / "rows.yaml").write_bytes(b"# caf\xe9\n")
    not_text = cli("reproduce", "page", "--logs", tmp_path / "a", "--out", tmp_path / "other")
    assert (not_text.code, len(not_text.err.splitlines())) == (2, 1)
    assert "rows.yaml: expected text in UTF-8, got other bytes: save it as UTF-8" in not_text.err
    assert not (tmp_path / "other").exists()
    (tmp_path / "a" / "rows.yaml").write_bytes(b"\xef\xbb\xbf# with a mark of the order of bytes\n")
    assert first_comment(tmp_path / "a" / "rows.yaml") == "with a mark of the order of bytes"
    (tmp_path / "begun" / "runs").mkdir(parents=True)
    for logs, words in (
        ("begun", "but its rows are not finished: run that command again, which goes on there"),
        ("docs", "but it holds no log.json"),
        ("nowhere", "but it does not exist"),
        ("a/log.json", "but it is a file"),
    ):
        refused = cli("reproduce", "page", "--logs", tmp_path / logs, "--out", tmp_path / "docs")
        assert (refused.code, len(refused.err.splitlines())) == (2, 1)
        assert f"{tmp_path / logs}: expected a folder that pcm3 reproduce rows wrote, {words}" in refused.err
    assert "--logs: expected folders" in cli("reproduce", "page", "--out", tmp_path / "docs").err
    twice = cli("reproduce", "page", "--logs", tmp_path / "a", tmp_path / "a", "--out", tmp_path / "docs")
    assert (twice.code, len(twice.err.splitlines())) == (2, 1)
    assert "got two 'a'" in twice.err
    for told, words in (
        ({**log, "held_out": 1}, "expected a log of pcm3 reproduce rows"),
        ([1], "expected an object"),
        ({**log, "candidates": 3}, "expected a log of pcm3 reproduce rows"),
        ({**log, "standing": ["nobody"]}, "expected a log of pcm3 reproduce rows"),
    ):
        file.write_text(json.dumps(told))
        assert not isinstance(told, dict) or not is_log_of_rows(told)
        refused = cli("reproduce", "page", "--logs", tmp_path / "a", "--out", tmp_path / "docs")
        assert (refused.code, len(refused.err.splitlines())) == (2, 1)
        assert words in refused.err
