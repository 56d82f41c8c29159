"""How many streams a core carries is measured on both ways of streaming."""

import torch

from pcm3.benchmark.live import benchmark_live


def test_every_width_is_timed_both_ways(cli, tmp_path):
    told = []
    rows = benchmark_live([4], 2, 1, torch.device("cpu"), told.append)
    assert [(row.way, row.hidden_size, row.streams, row.frames) for row in rows] == [
        ("frames", 4, 2, 30),
        ("windows", 4, 2, 30),
    ]
    assert len(told) == 2
    for row in rows:
        assert 0 < row.median_ms <= row.p99_ms
        assert row.streams_at_30_fps > 0 < row.streams_by_cpu_time


def test_what_the_command_cannot_time_is_told(cli):
    for wrong in (["--streams", 0], ["--seconds", 0]):
        found = cli("benchmark", "live", *wrong)
        assert (found.code, found.err.count("\n")) == (2, 1)
