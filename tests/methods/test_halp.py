import numpy as np
import pytest
import reference
import torch
import torch.nn.functional as F
from toy import BEGINNING, toy_batch, toy_halp, toy_moco

from pcm3.methods.halp import Hallucinated, attraction, between
from pcm3.methods.protocol import Progress
from pcm3.methods.views import TwoViews
from pcm3.nn.spherical_kmeans import spherical_kmeans

LATER = Progress(step=7, epoch=1, share=0.5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def with_prototypes(**settings):
    method = toy_halp(**settings).double().train()
    drawn = torch.randn(method.prototypes.shape, generator=generator(3), dtype=torch.float64)
    method.prototypes.copy_(F.normalize(drawn, dim=-1))
    return method


def views_of(method, size=4):
    """In float64."""
    return TwoViews(*(view.double() for view in method.views(*toy_batch(size))))


def arc(start, end, t):
    """The point after a share t of the way from one unit vector to the other (slerp)."""
    omega = np.arccos(start @ end)
    return (np.sin((1 - t) * omega) * start + np.sin(t * omega) * end) / np.sin(omega)


def boundary(key, own, other):
    """The share of the way to `other` at which it is as near as `own`, by halving."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        point = arc(key, other, middle)
        low, high = (middle, high) if point @ own > point @ other else (low, middle)
    return low


def slow_positives(keys, prototypes, settings, draws):
    """All that are made of each clip, and which are kept; the draws as the method makes them."""
    size = len(keys), settings.positives
    ways = torch.randint(settings.prototypes - 1, size, generator=draws)
    shares = 1 - settings.ease * torch.rand(size, generator=draws, dtype=torch.float64)
    made, kept = [], []
    for key, chosen, how_far in zip(keys, ways, shares.tolist(), strict=True):
        cosines = [key @ prototype for prototype in prototypes]
        nearest = int(np.argmax(cosines))
        others = [prototype for number, prototype in enumerate(prototypes) if number != nearest]
        for way, share in zip(chosen.tolist(), how_far, strict=True):
            made.append(arc(key, others[way], share * boundary(key, prototypes[nearest], others[way])))
            kept.append(int(np.argmax([made[-1] @ prototype for prototype in prototypes])) == nearest)
    return np.array(made).reshape(*size, -1), np.array(kept).reshape(size)


def embeddings(weights, views, direction):
    """Of the queries and of the keys, number by number."""
    numbers = reference.Numbers({}, 6, direction, 2, 25)
    numbers.of = weights
    query, key = (reference.flat_inputs(view.numpy()) for view in views)
    return (
        numbers.project("projector", numbers.pool(numbers.encode("encoder", query))),
        numbers.project("key_projector", numbers.pool(numbers.encode("key_encoder", key))),
    )


def slow_losses(queries, keys, queue, made, kept, temperature):
    contrast = []
    for own, its_key in zip(queries, keys, strict=True):
        cosines = np.array([own @ its_key, *(own @ other for other in queue)]) / temperature
        contrast.append(np.log(np.exp(cosines).sum()) - cosines[0])
    pairs = [
        -own @ point / temperature
        for own, points, keep in zip(queries, made, kept, strict=True)
        for point, stays in zip(points, keep, strict=True)
        if stays
    ]
    return np.mean(contrast), np.mean(pairs)


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_positives_loss_and_gradients_are_those_of_the_slow_reference(direction):
    method = with_prototypes(direction=direction, layers=1)
    views = views_of(method)
    weights = {name: tensor.numpy().copy() for name, tensor in method.branch.state_dict().items()}

    def slow(weights):
        queries, keys = embeddings(weights, views, direction)
        made, kept = slow_positives(keys, method.prototypes.numpy(), method.settings, generator())
        return slow_losses(queries, keys, weights["queue.keys"], made, kept, 0.3), kept.mean()

    (contrast, hallucination), share = slow(weights)
    assert 0 < share < 1
    output = method(views, LATER, generator())
    assert output.terms["contrast"].item() == pytest.approx(contrast, rel=1e-10)
    assert output.terms["hallucination"].item() == pytest.approx(hallucination, rel=1e-10)
    assert output.terms["kept"].item() == pytest.approx(share)
    assert output.losses["all"].item() == pytest.approx(contrast + 2 * hallucination, rel=1e-10)
    output.losses["all"].backward()
    rng = np.random.default_rng(0)
    for name in ("projector.layers.0.weight", "encoder.norm.weight"):
        way = rng.standard_normal(weights[name].shape)
        ahead, behind = (np.dot((1, 2), slow(weights | {name: weights[name] + h * way})[0]) for h in (1e-6, -1e-6))
        along = (method.branch.get_parameter(name).grad.numpy() * way).sum()
        assert along == pytest.approx((ahead - behind) / 2e-6, rel=1e-5), name


def test_positives_and_what_is_kept_are_those_of_the_slow_reference():
    method = with_prototypes(positives=40)
    keys = F.normalize(torch.randn(6, 5, generator=generator(1), dtype=torch.float64), dim=-1)
    made, kept = slow_positives(keys.numpy(), method.prototypes.numpy(), method.settings, generator())
    found = method.hallucinate(keys, generator())
    np.testing.assert_allclose(found.positives, made, rtol=0, atol=1e-9)
    assert np.array_equal(found.kept, kept)
    assert 0 < kept.mean() < 1


def test_on_the_boundary_both_prototypes_are_as_near_also_where_the_other_one_is_behind_the_key():
    key, own, other = F.normalize(torch.randn(3, 500, 3, generator=generator(), dtype=torch.float64), dim=-1)
    nearer = ((key * own).sum(dim=-1) >= (key * other).sum(dim=-1))[:, None]
    own, other = torch.where(nearer, own, other), torch.where(nearer, other, own)
    assert ((key * other).sum(dim=-1) < -0.9).any()
    ones = torch.ones(500, 1, dtype=torch.float64)
    points = between(key, own[:, None], other[:, None], ones)[:, 0]
    torch.testing.assert_close((points * own).sum(dim=-1), (points * other).sum(dim=-1))
    before = between(key, own[:, None], other[:, None], 0.99 * ones)[:, 0]
    assert ((before * own).sum(dim=-1) > (before * other).sum(dim=-1)).all()
    assert ((points * other).sum(dim=-1) >= (key * other).sum(dim=-1)).all()


def test_a_key_that_is_a_prototype_and_prototypes_that_are_equal_give_finite_positives():
    key = F.normalize(torch.randn(2, 5), dim=-1)
    for own, other in [(key, key), (key, -key), (-key, -key)]:
        made = between(key, own[:, None], other[:, None], torch.full((2, 1), 0.5))
        assert torch.isfinite(made).all()
        torch.testing.assert_close(made.norm(dim=-1), torch.ones(2, 1))


def test_the_gradient_of_the_queries_is_the_mean_of_what_is_kept():
    query, points = torch.randn(3, 5, requires_grad=True), torch.randn(3, 4, 5)
    kept = torch.tensor([[True, False, True, False], [False] * 4, [True] * 4])
    attraction(query, Hallucinated(points, kept), 0.5).backward()
    torch.testing.assert_close(query.grad, -(points * kept[..., None]).sum(dim=1) / 6 / 0.5)
    assert attraction(query, Hallucinated(points, torch.zeros_like(kept)), 0.5) == 0


def test_before_the_positives_count_it_is_moco_and_draws_nothing():
    method, moco, draws = toy_halp().train(), toy_moco(temperature=0.3).train(), generator()
    views = method.views(*toy_batch())
    ours = method(views, LATER._replace(share=0.49), draws)
    assert torch.equal(draws.get_state(), generator().get_state())
    theirs = moco(views, BEGINNING, generator())
    assert torch.equal(ours.losses["all"], theirs.losses["all"])
    assert ours.terms["hallucination"] == 0
    assert ours.terms.keys() == with_prototypes()(views_of(method), LATER, draws).terms.keys()


def test_prototypes_are_those_of_the_newest_keys_now_and_then():
    method = toy_halp(every=2, newest=8)
    pushed = F.normalize(torch.randn(5, 3, 5, generator=generator()), dim=-1)
    for step, keys in enumerate(pushed):
        before = method.prototypes.clone()
        method.after_step({"keys": keys}, Progress(step, 0, 0.0))
        newest = pushed[: step + 1].flatten(0, 1).flip(0)[:8]
        if step % 2:
            assert torch.equal(method.prototypes, before)
        elif len(newest) == 8:
            torch.testing.assert_close(method.prototypes, spherical_kmeans(newest, 4))
    assert method.branch.queue.next == 15 % 11
