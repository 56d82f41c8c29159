"""torch.nn.GRU is the reference."""

import copy

import pytest
import torch
from torch import nn

from pcm3.encoders.gru import DualGRULayer
from pcm3.nn.gru_cpu import applies_to, cells_of, gru_layer


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def grus(inputs, width, backward, seed=0):
    """What stands beside each other in a layer: two GRUs, or one that runs both ways."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DualGRULayer(inputs, width, backward).halves.double()


def plain(halves, inputs):
    return torch.cat([half(inputs)[0] for half in halves], dim=-1)


def ours(halves, inputs):
    return gru_layer(inputs, [cell for half in halves for cell in cells_of(half)])


def slopes(layer, halves, inputs, weights):
    inputs = inputs.detach().requires_grad_()
    outputs = layer(halves, inputs)
    return outputs.detach(), torch.autograd.grad((outputs * weights).sum(), [inputs, *halves.parameters()])


@pytest.fixture(params=[1, 2, 4])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


BOTH_WAYS = pytest.mark.parametrize("backward", [False, True], ids=["causal", "bidirectional"])


@BOTH_WAYS
@pytest.mark.parametrize(
    ("batch", "frames", "inputs", "width"), [(3, 9, 5, 4), (1, 7, 3, 16), (5, 1, 4, 3), (1, 1, 1, 1), (70, 61, 6, 8)]
)
def test_outputs_and_gradients_are_those_of_torchs_gru(threads, backward, batch, frames, inputs, width):
    halves, x, weights = grus(inputs, width, backward), random(batch, frames, inputs), random(batch, frames, 2 * width)
    expected, expected_slopes = slopes(plain, halves, x, weights)
    outputs, found = slopes(ours, halves, x, weights)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    for slope, one in zip(found, expected_slopes, strict=True):
        torch.testing.assert_close(slope, one, rtol=1e-11, atol=1e-11)


@BOTH_WAYS
def test_long_batches_are_worked_off_in_parts(backward, monkeypatch):
    halves, x, weights = grus(5, 4, backward), random(6, 11, 5), random(6, 11, 8)
    expected, expected_slopes = slopes(plain, halves, x, weights)
    monkeypatch.setattr("pcm3.nn.gru_cpu.ROWS", 25)  # four frames at a time
    outputs, found = slopes(ours, halves, x, weights)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    for slope, one in zip(found, expected_slopes, strict=True):
        torch.testing.assert_close(slope, one, rtol=1e-11, atol=1e-11)


@BOTH_WAYS
def test_gradients_are_the_derivatives(backward):
    halves, x = grus(2, 2, backward), random(2, 3, 2).requires_grad_()
    torch.autograd.gradcheck(lambda x, *_: ours(halves, x), (x, *halves.parameters()))


@BOTH_WAYS
@pytest.mark.parametrize(
    "layout",
    [lambda x: x.transpose(0, 1).contiguous().transpose(0, 1), lambda x: x.flip(1), lambda x: x[:, :1].expand_as(x)],
)
def test_the_layout_of_the_inputs_changes_nothing(backward, layout):
    halves, x, weights = grus(5, 4, backward), layout(random(3, 9, 5)), random(8, 9, 3).transpose(0, 2)
    expected, (expected_slope, *_) = slopes(plain, halves, x, weights)
    outputs, (slope, *_) = slopes(ours, halves, x, weights)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(slope, expected_slope, rtol=0, atol=1e-12)


@BOTH_WAYS
@pytest.mark.parametrize("precision", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mode", [torch.no_grad, pytest.param(torch.inference_mode, marks=pytest.mark.soak)])
def test_without_gradients_the_outputs_are_the_same_to_the_bit(threads, backward, precision, mode):
    halves, x = grus(7, 16, backward), random(70, 62, 7)
    halves = halves if precision == torch.float64 else halves.float()
    x = x.to(torch.float64 if precision == torch.float64 else torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        with_gradient = ours(halves, x)
        with mode():
            without = ours(halves, x)
    assert with_gradient.dtype == without.dtype == precision
    assert torch.equal(with_gradient, without)
    assert with_gradient.requires_grad
    assert not without.requires_grad


@BOTH_WAYS
@pytest.mark.parametrize("autocast", [False, True])
def test_the_same_bits_twice(threads, backward, autocast):
    halves, x, weights = grus(7, 16, backward).float(), random(70, 20, 7).float(), random(70, 20, 32).float()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        first, second = (slopes(ours, halves, x, weights) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def distance(found, exact):
    return float((found.double() - exact).norm() / exact.norm())


@BOTH_WAYS
@pytest.mark.parametrize("autocast", [False, True])
def test_no_further_from_the_exact_values_than_torchs_gru_in_the_same_precision(backward, autocast):
    exact_halves, x, weights = grus(40, 64, backward), random(24, 64, 40), random(24, 64, 128)
    exact, exact_slopes = slopes(plain, exact_halves, x, weights)
    halves = copy.deepcopy(exact_halves).float()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        theirs, their_slopes = slopes(plain, halves, x.float(), weights.float())
        outputs, found = slopes(ours, halves, x.float(), weights.float())
    slack = 1.2 if autocast else 3.0
    assert distance(outputs, exact) <= slack * distance(theirs, exact)
    for slope, other, one in zip(found, their_slopes, exact_slopes, strict=True):
        assert slope.dtype == other.dtype
        assert distance(slope, one) <= slack * distance(other, one)


def test_autocast_that_is_off_inside_is_off():
    halves, x = grus(7, 16, False).float(), random(3, 5, 7).float()
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(halves, x).dtype == torch.bfloat16
        assert ours(grus(7, 16, False), x.double()).dtype == torch.float64, "autocast leaves float64 alone"
        with torch.autocast("cpu", enabled=False):
            assert torch.equal(ours(halves, x), gru_layer(x, [cell for half in halves for cell in cells_of(half)]))
            assert ours(halves, x).dtype == torch.float32


def test_a_graph_can_be_walked_twice_and_changed_weights_are_noticed():
    halves, x = grus(3, 4, False), random(2, 5, 3).requires_grad_()
    outputs = ours(halves, x)
    first, second = (torch.autograd.grad(outputs.sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    with torch.no_grad():
        halves[0].weight_hh_l0 += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_an_input_without_a_gradient_gets_none_and_frozen_weights_neither():
    halves, x = grus(3, 4, True), random(2, 5, 3)
    ours(halves, x).sum().backward()
    assert x.grad is None
    assert all(parameter.grad is not None for parameter in halves.parameters())
    halves.requires_grad_(False)
    assert not ours(halves, x).requires_grad


def test_the_number_of_threads_stays_as_it_was(threads):
    ours(grus(3, 4, False), random(70, 5, 3))
    assert torch.get_num_threads() == threads


def test_layers_have_torchs_names_and_first_weights():
    torch.manual_seed(3)
    theirs = nn.GRU(5, 4, batch_first=True)
    torch.manual_seed(3)
    layer = DualGRULayer(5, 4, backward=False)
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    assert list(layer.state_dict()) == [f"halves.{half}.{name}" for half in (0, 1) for name in names]
    assert all(torch.equal(layer.state_dict()[f"halves.0.{name}"], theirs.state_dict()[name]) for name in names)


@pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning")  # torch.nn.GRU's own
def test_a_traced_layer_is_torchs_own():
    layer, x = DualGRULayer(5, 4, backward=False).eval(), random(2, 6, 5).float()
    assert applies_to(x)
    with torch.no_grad():
        exported = torch.export.export(layer, (x,)).module()
        torch.testing.assert_close(exported(x), layer(x))
