import numpy as np
import torch
import torch.nn.functional as F

from pcm3.nn.spherical_kmeans import spherical_kmeans


def points(count, seed=0, width=4):
    drawn = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(drawn, dim=-1)


def slow_kmeans(given, clusters, rounds):
    centres = [given[0]]
    while len(centres) < clusters:
        centres.append(min(given, key=lambda point: max(point @ centre for centre in centres)))
    for _ in range(rounds):
        members = [[] for _ in centres]
        for point in given:
            members[int(np.argmax([point @ centre for centre in centres]))].append(point)
        sums = [sum(own) if own else centre for own, centre in zip(members, centres, strict=True)]
        centres = [of / np.linalg.norm(of) for of in sums]
    return np.array(centres)


def test_the_centres_are_those_of_the_slow_reference():
    given = points(40)
    for rounds in (0, 1, 6):
        found = spherical_kmeans(given, 7, rounds)
        np.testing.assert_allclose(found, slow_kmeans(given.numpy(), 7, rounds), rtol=0, atol=1e-12)


def test_tight_bundles_are_found():
    middles = F.normalize(torch.eye(4, dtype=torch.float64)[:3] + 0.1, dim=-1)
    given = F.normalize(middles.repeat(8, 1) + 0.01 * points(24), dim=-1)
    found = spherical_kmeans(given, 3)
    assert (found @ middles.T).max(dim=0).values.min() > 0.999


def test_fewer_different_points_than_clusters_leave_centres_that_are_points():
    given = points(2).repeat(4, 1)
    found = spherical_kmeans(given, 5)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(5, dtype=torch.float64))
    assert (found @ given.T).max(dim=1).values.min() > 1 - 1e-12
