import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pcm3 import benchmark
from pcm3.benchmark import benchmark_pretrain, flop_per_clip, machine
from pcm3.data import import_timing
from pcm3.data.import_timing import benchmark_import
from pcm3.loop import generator_for
from pcm3.pretrain import build_method, view_maker
from pcm3.skeleton import load_layout

BATCH = 4


def counted(spec, settings):
    """Multiplications and additions of one clip in one step, as torch counts those of every matrix product it runs."""
    method = build_method(spec, settings).train()
    frames = torch.randn(BATCH * 90, benchmark.BODIES, 25, 3)
    start, length = torch.arange(0, BATCH * 90, 90), torch.full((BATCH,), 90)
    generator = generator_for(0, 0, 0, torch.device("cpu"))
    views = view_maker(load_layout("kinect_v2"), settings)(frames, start, length, generator)
    with FlopCounterMode(display=False) as counter:
        method(views, generator).loss.backward()
    return counter.get_total_flops() / BATCH


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden": 24, "layers": 3},
        {"layers": 2, "direction": "bidirectional", "pooling": "mean"},
        {"objective.decoder_gradient": False},
        {"objective.positives": ["intra"], "objective.prediction_weight": 0.0, "prompts.kind": "none"},
        {"objective.positives": ["intra", "mask"]},
        {"objective.positives": [], "prompts.kind": "domain"},
    ],
    ids=str,
)
def test_the_operations_counted_from_the_sizes_are_those_that_torch_counts(tiny, tiny_spec, changes):
    settings = tiny({"hidden": 16, "batch": BATCH, "objective.queue": 16, "objective.decoder_hidden": 12} | changes)
    spec = tiny_spec(settings)
    expected = counted(spec, settings)
    assert expected > 0
    assert flop_per_clip(spec, settings) == pytest.approx(expected, rel=0.05)


def test_a_row_of_the_benchmark_hangs_together(tiny, tiny_spec, monkeypatch):
    monkeypatch.setattr(benchmark, "CLIPS", 8)
    monkeypatch.setattr(benchmark, "MATMUL", 128)
    settings, told = tiny(batch=BATCH), []
    row = benchmark_pretrain(settings, 3, lambda: told.append(1), device="cpu")
    assert len(told) == 4, "the warm-up too"
    assert (row.hidden, row.precision, row.batch, row.steps) == (8, "32", BATCH, 3)
    assert row.clips_per_s == pytest.approx(BATCH / row.step_s, rel=0.05)
    assert 0 < row.views_share < 1
    assert row.gflop_per_clip == pytest.approx(flop_per_clip(tiny_spec(settings), settings) / 1e9, abs=6e-4)
    assert row.matmul_gflops > 0


def test_the_benchmark_leaves_a_table_and_the_same_figures_as_json(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "CLIPS", 8)
    monkeypatch.setattr(benchmark, "MATMUL", 128)
    out = tmp_path / "new" / "speed.json"
    words = ["--hidden", 8, 12, "--precision", 32, "--batch", 4, "--steps", 1, "--preset", "small", "--device", "cpu"]
    found = cli("benchmark", "pretrain", *words, "--out", out, "--json")
    assert found.code == 0
    assert [row["hidden"] for row in found.json["rows"]] == [8, 12]
    assert {"clips_per_s", "step_s", "matmul_share"} <= set(found.json["rows"][0])
    assert "clips_per_s" in found.out.split("\n")[1]
    assert json.loads(out.read_text()) == found.json
    assert found.json["machine"]["torch"] == torch.__version__ == machine()["torch"]


def test_the_import_benchmark_measures_every_way_in_every_turn():
    goes = []
    rows = benchmark_import(files=12, workers=[1], turns=2, tick=lambda: goes.append(1))
    assert len(goes) == 8
    assert [(row.what, row.workers, row.files) for row in rows] == [
        ("line by line", 1, 12),
        ("numpy.fromstring", 1, 12),
        ("parse", 1, 12),
        ("import", 1, 12),
    ]
    for row in rows:
        assert 0 < row.lowest <= row.files_per_s <= row.highest
        assert row.megabytes_per_s > 0
    assert rows[0].to_line_by_line == rows[1].to_fromstring == 1
    assert rows[3].to_line_by_line > 2


def test_the_command_tells_the_import_benchmark_as_a_table_and_as_json(cli):
    found = cli("benchmark", "import", "--files", 3, "--steps", 1, "--workers", 1, "--json")
    assert found.code == 0
    assert [row["what"] for row in found.json["rows"]] == ["line by line", "numpy.fromstring", "parse", "import"]
    assert {"files_per_s", "megabytes_per_s", "to_line_by_line", "to_fromstring"} <= set(found.json["rows"][0])
    assert "to_line_by_line" in found.out.split("\n")[1]


def test_more_files_than_there_are_different_ones_are_links_to_them(tmp_path):
    different = import_timing._simulated(tmp_path, 240)
    files = list(tmp_path.glob("*.skeleton"))
    assert len(files) == len(different) * round(240 / len(different))
    assert len({file.stat().st_ino for file in files}) == len(different)
