import math

import numpy as np
import pytest
import reference
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.losses import FLOOR, info_nce, info_nce_with_neighbours, masked_prediction, relational_distillation

TEMPERATURE, STUDENT, TEACHER = 0.07, 0.1, 0.05
ERRORS = pytest.mark.parametrize("error", ["squared", "distance", "normalised", "segment", "motion"])


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


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 20), st.floats(0, 1))
def test_contrast_with_neighbours_is_the_mean_over_all_positives_of_each_query(seed, batch, keys, share):
    query, key, queue = drawn(seed, 1, batch, keys)
    also = torch.rand((batch, keys), generator=torch.Generator().manual_seed(seed)) < share
    positive, relations = (query * key).sum(dim=-1)[0], query[0] @ queue.T
    expected = []
    for own, others, chosen in zip(positive.tolist(), relations.tolist(), also.tolist(), strict=True):
        total = math.exp(own / 0.3) + sum(math.exp(other / 0.3) for other in others)
        found = [own, *(other for other, is_one in zip(others, chosen, strict=True) if is_one)]
        expected.append(np.mean([math.log(total) - value / 0.3 for value in found]))
    loss = info_nce_with_neighbours(positive, relations, also, 0.3)
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-9)
    alone = info_nce_with_neighbours(positive, relations, torch.zeros_like(also), 0.3)
    torch.testing.assert_close(alone, info_nce(positive[None], relations[None], 0.3)[0])


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


@ERRORS
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


@ERRORS
def test_only_hidden_joints_are_judged(error):
    predicted, source, hidden = clips(5)
    elsewhere = torch.where(hidden.unsqueeze(-1), predicted, predicted + 100)
    assert masked_prediction(elsewhere, source, hidden, error) == masked_prediction(predicted, source, hidden, error)


@ERRORS
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


# The standardised error


def standardised_slowly(predicted, source, hidden):
    """One coordinate at a time, in NumPy."""
    clips, frames = source.shape[:2]
    variance = np.zeros(source.shape[2:])
    for place in np.ndindex(variance.shape):
        values = [source[(clip, frame, *place)] for clip in range(clips) for frame in range(frames)]
        mean = sum(values) / len(values)
        variance[place] = sum((value - mean) ** 2 for value in values) / len(values)
    unit = variance + FLOOR**2 * variance.mean()
    total, count = 0.0, 0
    for clip, frame, body, joint in np.argwhere(hidden):
        for coordinate in range(source.shape[-1]):
            difference = predicted[clip, frame, body, joint, coordinate] - source[clip, frame, body, joint, coordinate]
            total, count = total + difference**2 / unit[body, joint, coordinate], count + 1
    return total / count if count else 0.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_the_standardised_error_measures_each_coordinate_by_its_deviation(seed, share):
    predicted, source, hidden = clips(seed, share, (2, 3, 2, 3, 3))
    source = source * torch.linspace(0.1, 5, 18, dtype=torch.float64).view(2, 3, 3)
    ours = masked_prediction(predicted, source, hidden, "normalised")
    theirs = standardised_slowly(predicted.numpy(), source.numpy(), hidden.numpy())
    assert ours.item() == pytest.approx(theirs, rel=1e-6, abs=1e-9)


def test_who_predicts_the_mean_has_a_standardised_error_of_1_but_for_the_floor():
    _, source, hidden = clips(10, shape=(6, 8, 1, 5, 3))
    everything, mean = torch.ones_like(hidden), source.mean(dim=(0, 1)).expand_as(source)
    variance = source.var(dim=(0, 1), correction=0)
    expected = (variance / (variance + FLOOR**2 * variance.mean())).mean().item()
    assert masked_prediction(mean, source, everything, "normalised").item() == pytest.approx(expected, rel=1e-9)
    assert 0.98 < expected < 1
    # Deviations that are equal: 1 / (1 + FLOOR²) to the last digit, however far apart the means are.
    alike = (source - mean) / variance.sqrt() + 100 * torch.arange(15, dtype=torch.float64).view(5, 3)
    loss = masked_prediction(alike.mean(dim=(0, 1)).expand_as(alike), alike, everything, "normalised")
    assert loss.item() == pytest.approx(1 / (1 + FLOOR**2), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), unit=st.sampled_from([0.1, 10.0, 1000.0]), share=st.floats(0.2, 1))
def test_the_standardised_error_does_not_depend_on_the_unit(seed, unit, share):
    predicted, source, hidden = clips(seed, share)
    predicted, source = 0.01 * predicted, 0.01 * source  # the metres that joints move from frame to frame
    loss = masked_prediction(predicted, source, hidden, "normalised").item()
    scaled = masked_prediction(unit * predicted, unit * source, hidden, "normalised").item()
    assert scaled == pytest.approx(loss, rel=1e-4)
    single = masked_prediction(unit * predicted.float(), unit * source.float(), hidden, "normalised").item()
    assert single == pytest.approx(scaled, rel=1e-4)


def test_coordinates_that_hardly_move_or_never_do_cost_no_more_than_the_floor_says():
    _, source, hidden = clips(11, hidden_share=1.0, shape=(6, 8, 1, 4, 3))
    source[..., 0, :] *= 1e-6
    source[..., 1, :] = 7.0
    wrong = source.clone()
    wrong[..., :2, :] += 0.1
    variance = source.var(dim=(0, 1), correction=0).mean().item()
    expected = 0.1**2 / (FLOOR**2 * variance) / 2
    assert masked_prediction(wrong, source, hidden, "normalised").item() == pytest.approx(expected, rel=1e-6)


def test_the_gradient_of_the_standardised_error_is_the_difference_over_the_variance():
    predicted, source, hidden = clips(12)
    predicted.requires_grad_()
    masked_prediction(predicted, source, hidden, "normalised").backward()
    unit = source.var(dim=(0, 1), correction=0)
    unit = unit + FLOOR**2 * unit.mean()
    expected = 2 * (predicted.detach() - source) / unit * hidden.unsqueeze(-1) / (3 * hidden.sum())
    torch.testing.assert_close(predicted.grad, expected, rtol=1e-6, atol=1e-12)


def in_segments_slowly(predicted, source, hidden):
    """One joint of one segment at a time, in NumPy."""
    frames, variance = source.shape[1], np.zeros(source.shape[:4])
    for clip, frame, body, joint in np.ndindex(variance.shape):
        mine = [other for other in range(frames) if other * 8 // frames == frame * 8 // frames]
        values = source[clip, mine, body, joint]
        variance[clip, frame, body, joint] = ((values - values.mean(axis=0)) ** 2).mean()
    unit = variance + FLOOR**2 * variance.mean()
    places = [tuple(place) for place in np.argwhere(hidden)]
    wrong = [((predicted[place] - source[place]) ** 2).mean() / unit[place] for place in places]
    return float(np.mean(wrong)) if wrong else 0.0


@pytest.mark.parametrize("frames", [13, 16, 20])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_error_within_segments_measures_each_joint_by_its_deviation_there(frames, share):
    predicted, source, hidden = clips(13, share, (2, frames, 2, 3, 3))
    ours = masked_prediction(predicted, source, hidden, "segment")
    theirs = in_segments_slowly(predicted.numpy(), source.numpy(), hidden.numpy())
    assert ours.item() == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_within_segments_a_small_motion_counts_as_much_as_a_large_one():
    _, source, _ = clips(14, shape=(1, 32, 1, 2, 3))
    hidden = torch.ones(1, 32, 1, 2, dtype=torch.bool)
    source[..., 0, :] = 0.5 * source[..., 1, :]
    means = source.unflatten(1, (8, 4)).mean(dim=2, keepdim=True).expand(1, 8, 4, 1, 2, 3).flatten(1, 2)
    of_each = [
        masked_prediction(torch.where(torch.arange(2).view(2, 1) == joint, means, source), source, hidden, "segment")
        for joint in range(2)
    ]
    assert of_each[0].item() == pytest.approx(of_each[1].item(), rel=0.05)
    assert sum(of_each).item() == pytest.approx(1, rel=0.05), "who predicts the mean of each segment misses by 1"


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_error_of_motion_adds_the_change_from_frame_to_frame(share):
    predicted, source, hidden = clips(15, share, (2, 5, 1, 3, 3))
    filled = torch.where(hidden.unsqueeze(-1), predicted, source).numpy()
    truth, masked = source.numpy(), hidden.numpy()
    change, made = truth[:, 1:] - truth[:, :-1], filled[:, 1:] - filled[:, :-1]
    variance = change.var(axis=(0, 1))
    unit = variance + FLOOR**2 * variance.mean()
    places = [tuple(place) for place in np.argwhere(masked[:, 1:] | masked[:, :-1])]
    wrong = [((made[place] - change[place]) ** 2 / unit[place[2:]]).mean() for place in places]
    expected = standardised_slowly(predicted.numpy(), truth, masked) + (float(np.mean(wrong)) if wrong else 0.0)
    assert masked_prediction(predicted, source, hidden, "motion").item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_error_of_motion_of_a_single_frame_is_the_standardised_one():
    predicted, source, hidden = clips(16, shape=(4, 1, 1, 3, 3))
    both = [masked_prediction(predicted, source, hidden, error) for error in ("motion", "normalised")]
    assert torch.equal(*both)
