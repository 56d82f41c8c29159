import sys
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fitted import retrieval
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import toy_encoder

from pcm3.clips import ClipBank, extract
from pcm3.errors import ConfigError
from pcm3.settings.tasks import RetrievalSettings
from pcm3.tasks import nearest as nearest_module
from pcm3.tasks import retrieval as retrieval_module
from pcm3.tasks import scores as scores_module
from pcm3.tasks.compression import fit_autoencoder
from pcm3.tasks.nearest import nearest
from pcm3.tasks.retrieval import find_neighbours, precision_at
from pcm3.tasks.scores import full_float32, keys_of

TRAIN, TEST = np.arange(18), np.arange(18, 24)


def slow_nearest(queries, gallery, k):
    """All cosines of unit rows in float64, rounded to float32; the largest first, of equals the first row."""
    cosine = (queries.double().numpy() @ gallery.double().numpy().T).astype(np.float32)
    row = np.stack([np.lexsort((np.arange(len(gallery)), -of_query))[:k] for of_query in cosine])
    return row, np.take_along_axis(cosine, row, axis=1)


def assert_exact(queries, gallery, k):
    found = nearest(queries, gallery, k)
    row, cosine = slow_nearest(queries, gallery, k)
    np.testing.assert_array_equal(found.row.numpy(), row)
    np.testing.assert_array_equal(found.cosine.numpy(), cosine)


def units(rng, rows, width, near):
    """Unit rows: far from each other, or all within `near` of one direction."""
    made = rng.normal(size=(rows, width)) * near + (rng.normal(size=width) if near < 1 else 0)
    return F.normalize(torch.from_numpy(made.astype(np.float32)), dim=1)


@pytest.fixture
def small_steps():
    """Everything in many small pieces, so that a few rows go every way."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in (("CHUNK", 3), ("SPARE", 1), ("RANKED", 50), ("DENSE", 2)):
            patched.setattr(nearest_module, name, value)
        few_directions(patched, 1, 3)
        yield patched


def few_directions(patched, directions, sample):
    """At most so many directions are told finely, and are looked for in so many rows; of many there would be none."""
    for name, value in (("DIRECTIONS", directions), ("SAMPLE", sample), ("ROWS", 7), ("WORTH", 2.0)):
        patched.setattr(scores_module, name, value)


# The nearest, exactly


@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("near", [1, 1e-2, 1e-4, 1e-7])
@pytest.mark.parametrize(("k", "width"), [(1, 2048), (10, 64), (60, 5)])
def test_the_nearest_are_those_of_the_slow_reference(monkeypatch, low, near, k, width):
    monkeypatch.setattr(scores_module, "rounds", lambda device: low)
    rng = np.random.default_rng([k, width])
    rows = units(rng, 90, width, near)
    assert_exact(rows[60:], rows[:60], k)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([1.0, 1e-3, 1e-6]), st.integers(1, 12), st.data())
def test_ties_and_near_ties_of_every_kind_are_told_apart_or_left_in_order(seed, low, near, width, data):
    """Rows that are equal, that differ by single last bits, that are zeros, and that a coarse product cannot tell."""
    rng = np.random.default_rng(seed)
    rows = units(rng, 24, width, near)
    for _ in range(data.draw(st.integers(0, 12))):
        source, target = rng.integers(0, 24, 2)
        rows[target] = rows[source]
        moved = rng.integers(0, width)
        rows[target, moved] = torch.nextafter(rows[target, moved], torch.tensor(float(rng.integers(-2, 3))))
    for target in rng.integers(0, 24, data.draw(st.integers(0, 3))):
        rows[target] = 0
    queries, gallery = rows[:7], rows[3:]
    k = data.draw(st.integers(1, len(gallery)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scores_module, "rounds", lambda device: low)
        for name, most in (("CHUNK", 8), ("SPARE", 4), ("RANKED", 60), ("DENSE", 30)):
            patched.setattr(nearest_module, name, data.draw(st.integers(1, most)))
        few_directions(patched, data.draw(st.integers(1, 12)), data.draw(st.integers(1, 20)))
        assert_exact(queries, gallery, k)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6), st.booleans(), st.sampled_from([1.0, 1e-2, 1e-5]), st.sampled_from([1, 7, 300]),
    st.sampled_from([1, 4, 64]),
)  # fmt: skip
def test_no_score_is_off_by_more_than_its_bound(seed, low, near, width, directions):
    rng = np.random.default_rng(seed)
    rows = units(rng, 30, width, near)
    if seed % 2:  # halfway between numbers of bfloat16: the largest errors, all on one side
        rows = (rows.bfloat16().float() * (1 + 2.0**-8)).clamp(-1, 1)
        rows = torch.where(rows.norm(dim=1, keepdim=True) > 1, rows / 2, rows)
    queries, gallery = rows[:10], rows[10:]
    with pytest.MonkeyPatch.context() as patched, full_float32():
        patched.setattr(scores_module, "rounds", lambda device: low)
        few_directions(patched, directions, 20)
        keys = keys_of(gallery)
        score, off = keys.score(queries, keys.room(10))
    # What all scores of a query have in common is not known from outside: only differences are.
    error = score.double() - queries.double() @ gallery.double().T
    last = scores_module.BFLOAT16 * score.double().abs() if low else torch.zeros(())
    highest, lowest = ((error + sign * last) for sign in (1, -1))
    assert (lowest.amax(dim=1) - highest.amin(dim=1) <= 2 * off.double()).all()
    assert not low or width < 300 or near < 1 or off.max() < 0.02, "and the bound is of use"


def test_a_coarse_product_alone_would_be_wrong_and_all_ways_of_ranking_are_gone(small_steps):
    """Or the tests above show nothing: in bfloat16 these rows cannot be told apart."""
    small_steps.setattr(scores_module, "rounds", lambda device: True)
    rng = np.random.default_rng(0)
    rows = units(rng, 40, 16, 1)
    nudged = F.normalize(rows[9:] + 1e-4 * torch.from_numpy(rng.normal(size=(31, 16)).astype(np.float32)), dim=1)
    queries, gallery = rows[:9], torch.cat([rows[9:], nudged])
    keys = keys_of(gallery)
    coarse = keys.score(queries, keys.room(9))[0].argmax(dim=1).numpy()
    assert (coarse != slow_nearest(queries, gallery, 1)[0][:, 0]).any()
    ways = []
    for name in ("ranked", "ranked_all", "_nearest_of_many"):
        way = getattr(nearest_module, name)
        small_steps.setattr(nearest_module, name, lambda *a, way=way, name=name: ways.append(name) or way(*a))
    assert_exact(queries, gallery, 1)
    assert_exact(queries, torch.cat([gallery[:1]] * 60), 25)
    assert set(ways) == {"ranked", "ranked_all", "_nearest_of_many"}


def test_features_of_few_directions_have_bounds_of_float32_and_few_candidates(monkeypatch):
    """Features of a network: near each other, and of low rank. Directions that are told finely are worth it."""
    monkeypatch.setattr(scores_module, "rounds", lambda device: True)
    rng = np.random.default_rng(4)
    few = rng.normal(size=(340, 5)) @ rng.normal(size=(5, 128)) + 0.01 * rng.normal(size=(340, 128))
    rows = F.normalize(torch.from_numpy((few + 3 * rng.normal(size=128)).astype(np.float32)), dim=1)
    off = []
    for worth in (1 / 2, -1.0):
        monkeypatch.setattr(scores_module, "WORTH", worth)
        with full_float32():
            keys = keys_of(rows[40:])
            off.append(keys.score(rows[:40], keys.room(40))[1])
        assert_exact(rows[:40], rows[40:], 3)
    assert (off[0] < 0.05 * off[1]).all()


def test_features_that_are_no_numbers_find_something():
    rows = units(np.random.default_rng(5), 60, 16, 1)
    rows[7] = torch.nan
    for queries, gallery in ((rows[:9], rows[9:]), (rows[9:], rows[:9]), (rows[:9], rows[:40])):
        assert nearest(queries, gallery, 2).row.shape == (len(queries), 2)


def test_rows_that_are_all_alike_come_in_order():
    gallery = F.normalize(torch.ones(30, 8), dim=1)
    assert nearest(gallery[:5], gallery, 4).row.tolist() == [[0, 1, 2, 3]] * 5


def test_a_faster_and_coarser_product_elsewhere_changes_nothing_and_stays_chosen():
    rows = units(np.random.default_rng(1), 80, 256, 1e-2)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert_exact(rows[:20], rows[20:], 5)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


# The call


def test_cosines_are_of_features_of_any_length():
    rng = np.random.default_rng(2)
    queries, gallery = (torch.from_numpy(rng.normal(size=(rows, 6)) * 10) for rows in (4, 9))
    found = find_neighbours(queries, gallery, 9)
    for query, rows, cosines in zip(queries, found.row, found.cosine, strict=True):
        expected = F.cosine_similarity(query[None], gallery, dim=1)
        assert sorted(rows.tolist()) == list(range(9))
        torch.testing.assert_close(cosines, expected[rows].float(), rtol=0, atol=1e-6)
        assert (cosines.diff() <= 0).all()


def test_what_cannot_be_found_is_refused():
    rows = torch.randn(4, 3)
    for k in (0, 5):
        with pytest.raises(ConfigError, match=f"expected 1 to 4 neighbours.*got {k}"):
            find_neighbours(rows, rows, k)
    with pytest.raises(ConfigError, match="precision_at"):
        RetrievalSettings(precision_at=[0]).check()


def test_without_faiss_the_index_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"pip install 'pcm3\[ann\]'"):
        find_neighbours(torch.randn(4, 3), torch.randn(4, 3), 1, "ann")


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")
def test_the_index_finds_nearly_all_that_comparing_with_all_finds():
    pytest.importorskip("faiss")
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(40, 32))
    rows = torch.from_numpy((centres[rng.integers(0, 40, 2200)] + 0.3 * rng.normal(size=(2200, 32))).astype(np.float32))
    exact, quick = (find_neighbours(rows[2000:], rows[:2000], 10, how) for how in ("exact", "ann"))
    same = [len(set(one) & set(other)) for one, other in zip(exact.row.tolist(), quick.row.tolist(), strict=True)]
    assert np.mean(same) > 9.5
    agree = exact.row == quick.row
    torch.testing.assert_close(quick.cosine[agree], exact.cosine[agree], rtol=0, atol=0)
    few = find_neighbours(rows[:5], rows[:3], 3, "ann")
    torch.testing.assert_close(few.row, find_neighbours(rows[:5], rows[:3], 3).row)


# Figures


def test_precision_is_the_share_of_neighbours_with_the_querys_label():
    near = np.array([[1, 1, 0, 2], [2, 0, 2, 2]])
    label = np.array([1, 2])
    assert [precision_at(k, near, label) for k in (1, 2, 3, 4)] == [100, 75, pytest.approx(200 / 3), 62.5]


def test_retrieval_tells_precision_as_far_as_there_are_clips(store):
    bank = ClipBank.of(store, "joint", 16, torch.device("cpu"))
    found = retrieval(toy_encoder(), bank, TRAIN, TEST, RetrievalSettings(precision_at=[1, 5, 18, 19]))
    assert list(found.metrics) == ["top1", "precision_1", "precision_5", "precision_18"]
    features = [F.normalize(extract(toy_encoder(), bank, side), dim=1) for side in (TEST, TRAIN)]
    row = slow_nearest(*features, 5)[0]
    label = store.label[TRAIN][row]
    right = [[one == store.label[clip] for one in mine] for clip, mine in zip(TEST, label, strict=True)]
    first = 100 * np.mean([mine[0] for mine in right])
    assert found.top1 == found.best_top1 == found.metrics["precision_1"] == pytest.approx(first)
    assert found.metrics["precision_5"] == pytest.approx(100 * np.mean(right))
    assert found.metrics["precision_18"] == pytest.approx(100 / 3), "all of them: a third has each class"
    assert found.logits.size == 0


def test_retrieval_tells_the_accuracy_on_compressed_features_where_that_is_asked_for(store, monkeypatch):
    quick = partial(fit_autoencoder, epochs=3)
    monkeypatch.setattr(retrieval_module, "fit_autoencoder", quick)
    bank = ClipBank.of(store, "joint", 16, torch.device("cpu"))
    found = retrieval(toy_encoder(), bank, TRAIN, TEST, RetrievalSettings(precision_at=[], compressed=4))
    queries, gallery = (extract(toy_encoder(), bank, side) for side in (TEST, TRAIN))
    compress = quick(gallery, 4).compress
    with torch.no_grad():
        row = slow_nearest(*(F.normalize(compress(of), dim=1) for of in (queries, gallery)), 1)[0][:, 0]
    right = store.label[TRAIN][row] == store.label[TEST]
    assert found.metrics == {"top1": found.top1, "top1_compressed": pytest.approx(100 * right.mean())}
    with pytest.raises(ConfigError, match=r"compressed: expected at least 1, or 0 for none"):
        RetrievalSettings(compressed=-1).check()


def test_the_defaults_are_exact_and_tell_of_five_and_ten():
    assert RetrievalSettings() == RetrievalSettings(precision_at=[5, 10], how="exact")
    RetrievalSettings().check()
