import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from pcm3.objective import info_nce, masked_prediction, relational_distillation

TEMPERATURE, STUDENT, TEACHER = 0.07, 0.1, 0.05


def embeddings(generator, *shape):
    return F.normalize(torch.randn(shape, generator=generator, dtype=torch.float64), dim=-1)


def drawn(seed, pairs, batch, keys, width=16):
    """Queries (P, B, E), their keys (P, B, E), and the queue (K, E)."""
    generator = torch.Generator().manual_seed(seed)
    return (
        embeddings(generator, pairs, batch, width),
        embeddings(generator, pairs, batch, width),
        embeddings(generator, keys, width),
    )


def clips(seed, hidden_share=0.4, shape=(3, 8, 2, 5, 3)):
    generator = torch.Generator().manual_seed(seed)
    predicted = torch.randn(shape, generator=generator, dtype=torch.float64)
    source = torch.randn(shape, generator=generator, dtype=torch.float64)
    hidden = torch.rand(shape[:-1], generator=generator) < hidden_share
    return predicted, source, hidden


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6), st.integers(1, 40))
def test_contrast_is_equation_1(seed, pairs, batch, keys):
    query, key, queue = drawn(seed, pairs, batch, keys)
    ours = info_nce((query * key).sum(-1), query @ queue.T, TEMPERATURE)
    theirs = [reference.info_nce(query[p].numpy(), key[p].numpy(), queue.numpy(), TEMPERATURE) for p in range(pairs)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6), st.integers(1, 40))
def test_distillation_is_equation_3_as_a_divergence(seed, pairs, batch, keys):
    query, key, queue = drawn(seed, pairs, batch, keys)
    ours = relational_distillation(query @ queue.T, key @ queue.T, STUDENT, TEACHER)
    theirs = [
        reference.distillation(query[p].numpy(), key[p].numpy(), queue.numpy(), STUDENT, TEACHER) for p in range(pairs)
    ]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("error", ["squared", "distance"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_masked_prediction_is_equation_4(error, seed, share):
    predicted, source, hidden = clips(seed, share)
    ours = masked_prediction(predicted, source, hidden, error)
    theirs = reference.masked_prediction(predicted.numpy(), source.numpy(), hidden.numpy(), error)
    assert float(ours) == pytest.approx(theirs, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("keys", [1, 7, 64, 1000])
def test_contrast_of_equal_directions_is_log_of_one_more_than_the_keys(keys):
    direction = F.normalize(torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=-1)
    queries = direction.repeat(2, 3, 1)
    loss = info_nce((queries * direction).sum(-1), queries @ direction.repeat(keys, 1).T, TEMPERATURE)
    torch.testing.assert_close(
        loss.double(), torch.full((2,), math.log(keys + 1), dtype=torch.float64), rtol=0, atol=2e-6
    )


def test_contrast_is_small_where_the_key_is_the_only_one_near():
    loss = info_nce(torch.ones(1, 3), -torch.ones(1, 3, 20), TEMPERATURE)
    assert 0 <= loss.item() < 1e-6


def test_distillation_of_equal_relations_is_zero():
    _, key, queue = drawn(0, 2, 5, 30)
    logits = key @ queue.T
    torch.testing.assert_close(
        relational_distillation(logits, logits, 0.1, 0.1), torch.zeros(2), rtol=0, atol=1e-6, check_dtype=False
    )


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_distillation_is_never_negative(seed):
    query, key, queue = drawn(seed, 3, 4, 20)
    assert (relational_distillation(query @ queue.T, key @ queue.T, STUDENT, TEACHER) >= -1e-6).all()


def test_distillation_has_the_gradient_of_the_printed_cross_entropy():
    query, key, queue = drawn(1, 1, 3, 12)
    logits = (query @ queue.T).requires_grad_()
    relational_distillation(logits, key @ queue.T, STUDENT, TEACHER).sum().backward()
    step = 1e-6

    def printed(student_logits):
        teacher = [reference.relations(z, queue.numpy(), TEACHER) for z in key[0].numpy()]
        student = np.exp(student_logits / STUDENT)
        student /= student.sum(axis=1, keepdims=True)
        return np.mean([-(t * np.log(s)).sum() for t, s in zip(teacher, student, strict=True)])

    start = logits.detach()[0].numpy()
    np.testing.assert_allclose(
        printed(start), reference.cross_entropy(query[0].numpy(), key[0].numpy(), queue.numpy(), STUDENT, TEACHER)
    )
    for place in np.ndindex(start.shape):
        nudge = np.zeros_like(start)
        nudge[place] = step
        slope = (printed(start + nudge) - printed(start - nudge)) / (2 * step)
        assert logits.grad[0][place].item() == pytest.approx(slope, abs=1e-6)


def test_no_gradient_reaches_the_teacher():
    query, key, queue = drawn(2, 2, 4, 10)
    student, teacher = (query @ queue.T).requires_grad_(), (key @ queue.T).requires_grad_()
    relational_distillation(student, teacher, STUDENT, TEACHER).sum().backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize("error", ["squared", "distance"])
def test_prediction_costs_nothing_where_nothing_is_hidden(error):
    predicted, source, hidden = clips(3)
    predicted.requires_grad_()
    loss = masked_prediction(predicted, source, torch.zeros_like(hidden), error)
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad.abs().sum() == 0


def test_a_perfect_prediction_costs_nothing():
    _, source, hidden = clips(4)
    assert masked_prediction(source, source, hidden, "squared").item() == 0
    # The square root is kept off 0 by a micrometre, where its slope is not finite.
    assert masked_prediction(source, source, hidden, "distance").item() == pytest.approx(0, abs=1.001e-6)


@pytest.mark.parametrize("error", ["squared", "distance"])
def test_only_hidden_joints_are_judged(error):
    predicted, source, hidden = clips(5)
    elsewhere = torch.where(hidden.unsqueeze(-1), predicted, predicted + 100)
    assert masked_prediction(elsewhere, source, hidden, error) == masked_prediction(predicted, source, hidden, error)


@pytest.mark.parametrize("error", ["squared", "distance"])
def test_the_gradient_is_finite_where_prediction_and_truth_are_equal(error):
    _, source, hidden = clips(6)
    predicted = source.clone().requires_grad_()
    masked_prediction(predicted, source, hidden, error).backward()
    assert predicted.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_are_float32_whatever_precision_comes_in(dtype):
    query, key, queue = drawn(7, 1, 2, 5)
    positive, negative = (query * key).sum(-1).to(dtype), (query @ queue.T).to(dtype)
    predicted, source, hidden = clips(8)
    losses = [
        info_nce(positive, negative, TEMPERATURE),
        relational_distillation(negative, negative, STUDENT, TEACHER),
        masked_prediction(predicted.to(dtype), source.to(dtype), hidden, "squared"),
    ]
    assert [loss.dtype for loss in losses] == [torch.float32] * 3


def test_losses_keep_float64():
    query, key, queue = drawn(9, 1, 2, 5)
    assert info_nce((query * key).sum(-1), query @ queue.T, TEMPERATURE).dtype == torch.float64
