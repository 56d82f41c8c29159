import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcm3.nn.poincare import BORDER, FARTHEST, hyperbolic_distance, to_ball


def points(seed, size=2.0):
    return np.random.default_rng(seed).standard_normal((2, 3, 4)) * size / 2


@given(st.integers(0, 1000))
def test_the_distance_is_that_of_the_ball_model(seed):
    one, other = (to_ball(torch.from_numpy(of)).numpy() for of in points(seed))
    found = hyperbolic_distance(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    for p, q, distance in zip(one, other, found, strict=True):
        between = 2 * ((p - q) ** 2).sum() / ((1 - (p**2).sum()) * (1 - (q**2).sum()))
        assert distance == pytest.approx(math.acosh(1 + between), rel=1e-7)


@given(st.integers(0, 1000))
def test_a_vector_leads_twice_as_far_as_it_is_long(seed):
    (vectors, _) = points(seed)
    there = to_ball(torch.from_numpy(vectors))
    distance = hyperbolic_distance(torch.zeros_like(there), there).numpy()
    np.testing.assert_allclose(distance, 2 * np.linalg.norm(vectors, axis=-1), rtol=1e-9)


def test_points_stay_off_the_border_and_a_distance_has_a_bound():
    far = torch.tensor([[50.0, 0.0], [-50.0, 0.0]], requires_grad=True)
    there = to_ball(far)
    torch.testing.assert_close(there.norm(dim=-1), torch.full((2,), 1 - BORDER, dtype=torch.float64))
    distance = hyperbolic_distance(there[:1], there[1:])
    assert distance.item() == pytest.approx(2 * math.atanh(FARTHEST))
    distance.sum().backward()
    assert not far.grad.any()


def test_of_the_same_point_the_gradient_is_nothing_and_the_centre_is_the_centre():
    vectors = torch.tensor([[0.0, 0.0], [0.3, 0.4]], dtype=torch.float64, requires_grad=True)
    hyperbolic_distance(to_ball(vectors), to_ball(vectors.detach())).sum().backward()
    assert torch.equal(vectors.grad, torch.zeros_like(vectors))
    assert not to_ball(vectors)[0].any()


def test_gradients_are_those_of_differences():
    one, other = (torch.from_numpy(of).requires_grad_() for of in points(3))
    assert torch.autograd.gradcheck(lambda p, q: hyperbolic_distance(to_ball(p), to_ball(q)), (one, other))
