"""Embedding and searching are timed, each beside its reference."""

import time

import numpy as np
import torch

from pcm3.api.index import _products
from pcm3.benchmark import at_work


def test_every_way_of_embedding_has_its_rate_and_quotient(cli, monkeypatch, tmp_path):
    monkeypatch.setattr(at_work, "EMBEDDED", 6)
    words = [
        "--hidden_size",
        8,
        12,
        "--steps",
        2,
        "--warm",
        0,
        "--device",
        "cpu",
        "--json",
        "--out",
        tmp_path / "e.json",
    ]
    found = cli("benchmark", "embed", *words)
    assert found.code == 0, found.err
    rows = found.json["rows"]
    assert [row["hidden_size"] for row in rows] == [8, 12]
    for row in rows:
        assert min(row[name] for name in ("loop", "store", "arrays", "store_to_loop", "arrays_to_loop")) > 0
    assert (tmp_path / "e.json").exists()


def test_a_search_is_timed_without_faiss_too(cli, monkeypatch):
    monkeypatch.setattr(at_work, "_faiss", lambda rows: None)
    found = cli("benchmark", "search", "--clips", 300, "--width", 8, "--steps", 2, "--warm", 0, "--json")
    assert found.code == 0, found.err
    (row,) = found.json["rows"]
    assert (row["windows"], row["width"], row["faiss_seconds"], row["times_as_fast"]) == (300, 8, None, None)
    assert row["seconds"] >= 0


def test_beside_faiss_there_is_a_quotient(cli, monkeypatch):
    monkeypatch.setattr(at_work, "_faiss", lambda rows: lambda query: time.sleep(0.01))
    (row,) = cli("benchmark", "search", "--clips", 3000, "--width", 8, "--steps", 1, "--warm", 0, "--json").json["rows"]
    assert row["times_as_fast"] > 0


def test_products_are_those_of_float64():
    rows, query = torch.randn(50, 33), torch.randn(33)
    np.testing.assert_allclose(_products(rows, query), rows.double() @ query.double(), atol=1e-5)
