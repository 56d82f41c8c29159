"""Several logs of rows as one page."""

import json
import math

import pytest

from pcm3.report.benchmark_page import (
    benchmark_page,
    draw_over_base,
    first_comment,
    is_log_of_rows,
    over_base,
    over_untrained,
)


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


def test_what_a_row_has_learned_is_told_over_its_own_encoder_untrained(log):
    assert over_untrained(log) == {}
    log["candidates"]["g: row"]["untrained"] = "untrained, g: row"
    log["baselines"]["untrained, g: row"] = {"runs": [run("s", 1, 45.0), run("s", 0, 44.0), run("t", 0, 30.0)]}
    found = over_untrained(log)
    assert found["g: row", "s"]["linear"].mean == pytest.approx((51.0 - 44.0 + 55.0 - 45.0) / 2)
    assert str(found["g: row", "t"]["linear"]) == "-10.0"
    assert (
        "| g: row | utd-mhad | +8.5 ± 19.1 |"
        in benchmark_page({"one": log}, {}, "x.png").partition("untrained: what")[2]
    )


def test_a_log_of_nothing_but_its_base_is_drawn(log, tmp_path):
    log["standing"] = ["base"]
    draw_over_base({"one": log}, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_the_page_tells_rows_baselines_and_what_was_chosen_on_what(log):
    page = benchmark_page({"one": log, "two": log}, {"one": "Chosen on others.", "two": ""}, "x.png")
    lines = page.splitlines()
    assert "![By how much each row is over its base](x.png)" in lines
    assert lines.count("Chosen on others.") == 1
    assert lines.count("method pcm3, encoder gru of width 8, 100 to 300 steps, 2 seeds.") == 2
    assert lines.count("| base | utd-mhad | 51.0 ± 1.4 | 50.0 ± 1.4 | 10 |") == 2
    assert lines.count("| raw coordinates | utd-mhad | 40.0 | 30.0 |  |") == 2
    assert lines.count("| g: row | utd-mhad | +2.0 ± 12.7 | +2.0 ± 12.7 |") == 2
    assert "labels" not in page.partition("## one")[2], "no column of what no run has"


def test_how_rows_stand_on_clips_that_are_made_worse_is_told(log):
    for of in log["candidates"].values():
        of["runs"] = [[one | {"robustness_top1_harmed": 30.0} for one in runs] for runs in of["runs"]]
    assert "clips made worse %" in benchmark_page({"one": log}, {}, "x.png")


def test_two_stores_of_one_data_set_keep_their_names(log):
    log["stores"]["t"]["kind"] = "utd-mhad"
    assert "| base | s | 51.0 ± 1.4 |" in benchmark_page({"one": log}, {}, "x.png")


def test_the_first_comment_is_what_stands_before_the_first_setting(tmp_path):
    file = tmp_path / "rows.yaml"
    assert first_comment(file) == ""
    file.write_text("# One line\n# and another.\nbase:  # not this\n# nor this\n")
    assert first_comment(file) == "One line and another."
    file.write_text("# nothing else")
    assert first_comment(file) == "nothing else"


def test_the_command_writes_page_and_picture(cli, log, tmp_path):
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "log.json"
    file.write_text(json.dumps(log))
    found = cli("reproduce", "page", "--logs", tmp_path / "a", "--out", tmp_path / "docs", "--json")
    assert found.code == 0, found.err
    assert "## a" in (tmp_path / "docs" / "BENCHMARK.md").read_text(encoding="utf-8")
    assert (tmp_path / "docs" / "benchmark.png").read_bytes()[:4] == b"\x89PNG"
    assert found.json["logs"] == ["a"]
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
