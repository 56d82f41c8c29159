"""The Poincaré ball: the unit ball as hyperbolic space of curvature -1, in float64, since its border is near.

Where all weights are outside of the ball, these closed forms are all that is needed of it: no layer and no optimiser.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

BORDER = 1e-5
"""Points are at least so far from the border."""
FARTHEST = 1 - 1e-7
"""A distance counts up to twice the artanh of this, and has no gradient beyond."""
TINY = 1e-15
"""A length counts as at least this much."""


def to_ball(vectors: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
    """The points of the ball where one arrives from its centre along these vectors: the exponential map at 0."""
    exact = vectors.double()
    length = exact.norm(dim=-1, keepdim=True).clamp(min=TINY)
    points: Tensor = exact / length * length.tanh().clamp(max=1 - BORDER)
    return points


def hyperbolic_distance(first: Float[Tensor, "*lead D"], second: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead"]:
    """The distance of points of the ball: 2 artanh |(-first) ⊕ second|, ⊕ being Möbius addition."""
    apart = (first - second).norm(dim=-1)
    squares = first.square().sum(dim=-1) * second.square().sum(dim=-1)
    shrunk = (1 - 2 * (first * second).sum(dim=-1) + squares).clamp(min=TINY).sqrt()
    distance: Tensor = 2 * (apart / shrunk).clamp(max=FARTHEST).atanh()
    return distance
