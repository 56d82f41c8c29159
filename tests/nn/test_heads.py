import math

import numpy as np
import pytest
import reference
import torch

from pcm3.nn.heads import Decoder, Projector


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def numbers_of(name, module):
    state = {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
    return reference.Numbers(state, hidden=0, direction="causal", bodies=1, joints=1)


def test_the_projector_is_that_of_the_slow_reference():
    projector, features = Projector(12, 5).double(), random(7, 12)
    expected = numbers_of("projector", projector).project("projector", features.numpy())
    np.testing.assert_allclose(projector(features).detach(), expected, rtol=0, atol=1e-6)


def test_embeddings_have_unit_length_and_are_float32():
    embeddings = Projector(12, 5).bfloat16()(100 * random(7, 12).bfloat16())
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(7))


def test_only_the_last_projector_layer_is_xavier():
    projector = Projector(256, 32)
    bound = math.sqrt(6 / (256 + 32))
    last, first = projector.layers[2].weight, projector.layers[0].weight
    assert 0.98 * bound < last.abs().max() <= bound
    assert first.abs().max() <= 1 / math.sqrt(256), "PyTorch's default is narrower than Xavier's"


def test_a_projector_with_a_norm_takes_mean_and_deviation_off_before_the_relu():
    projector, features = Projector(12, 5, norm=True).double(), 3 * random(7, 12) + 2
    first, norm, _, last = projector.layers
    with torch.no_grad():
        norm.weight.copy_(random(12, seed=1))
        norm.bias.copy_(random(12, seed=2))
    entered = features.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy()
    normed = (entered - entered.mean(axis=0)) / np.sqrt(entered.var(axis=0) + reference.EPSILON)
    rectified = np.maximum(norm.weight.detach().numpy() * normed + norm.bias.detach().numpy(), 0)
    embedded = rectified @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    expected = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    np.testing.assert_allclose(projector(features).detach(), expected, rtol=0, atol=1e-6)


def test_a_projector_without_a_norm_has_the_weights_and_names_of_before():
    torch.manual_seed(0)
    plain = Projector(12, 5)
    assert list(plain.state_dict()) == ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]
    torch.manual_seed(0)
    normed = Projector(12, 5, norm=True)
    assert torch.equal(plain.layers[-1].weight, normed.layers[-1].weight), "a norm draws nothing"


def test_the_decoder_is_that_of_the_slow_reference():
    decoder, features = Decoder(12, 30, hidden_size=7).double(), random(4, 6, 12)
    with torch.no_grad():
        decoder.norm.weight.copy_(random(7, seed=1))
        decoder.norm.bias.copy_(random(7, seed=2))
    (ours,) = decoder(features)
    expected = numbers_of("decoder", decoder).decode(features.numpy())
    np.testing.assert_allclose(ours.detach(), expected, rtol=0, atol=1e-6)


def test_sequences_decoded_together_equal_sequences_decoded_one_by_one():
    decoder = Decoder(12, 30, hidden_size=7).double()
    sequences = [random(4, 6, 12), 3 * random(4, 6, 12, seed=1) + 2, random(2, 6, 12, seed=2)]
    for together, sequence in zip(decoder(*sequences), sequences, strict=True):
        torch.testing.assert_close(together, decoder(sequence)[0], rtol=0, atol=1e-12)


def test_no_gradient_flows_between_sequences_decoded_together():
    decoder = Decoder(12, 30, hidden_size=7).double()
    first, second = random(4, 6, 12).requires_grad_(), random(4, 6, 12, seed=1).requires_grad_()
    ours, theirs = decoder(first, second)
    (ours**2).sum().backward()
    assert first.grad.abs().sum() > 0
    assert second.grad.abs().sum() == 0
    assert theirs.requires_grad


def test_the_decoder_runs_forward_only():
    decoder = Decoder(12, 30, hidden_size=7).double().eval()
    features = random(2, 8, 12)
    changed = features.clone()
    changed[:, 5:] += 1
    torch.testing.assert_close(decoder(features)[0][:, :5], decoder(changed)[0][:, :5], rtol=0, atol=0)


@pytest.mark.parametrize("hidden", [5, 64])
def test_the_decoder_has_the_released_parts(hidden):
    decoder = Decoder(12, 30, hidden_size=hidden)
    shapes = {name: tuple(parameter.shape) for name, parameter in decoder.named_parameters() if parameter.dim() == 2}
    assert shapes == {
        "enter.weight": (hidden, 12),
        "bridge.weight": (hidden, hidden),
        "gru.weight_ih_l0": (3 * hidden, hidden),
        "gru.weight_hh_l0": (3 * hidden, hidden),
        "gru.weight_ih_l1": (3 * hidden, hidden),
        "gru.weight_hh_l1": (3 * hidden, hidden),
        "leave.weight": (30, hidden),
    }


def test_a_decoder_of_frames_is_that_of_the_slow_reference_and_a_frame_knows_no_other():
    decoder, features = Decoder(6, 4, 5, "frame").double(), random(3, 7, 6)
    with torch.no_grad():
        decoder.norm.weight.copy_(random(5, seed=1))
        decoder.norm.bias.copy_(random(5, seed=2))
    weight = {name: tensor.numpy() for name, tensor in decoder.state_dict().items()}
    entered = features.numpy() @ weight["enter.weight"].T + weight["enter.bias"]
    normed = (entered - entered.mean(axis=(0, 1))) / np.sqrt(entered.var(axis=(0, 1)) + reference.EPSILON)
    hidden = np.maximum(weight["norm.weight"] * normed + weight["norm.bias"], 0)
    hidden = np.maximum(hidden @ weight["bridge.weight"].T + weight["bridge.bias"], 0)
    expected = hidden @ weight["leave.weight"].T + weight["leave.bias"]
    np.testing.assert_allclose(decoder(features)[0].detach(), expected, rtol=0, atol=1e-12)
    order = torch.randperm(7)
    torch.testing.assert_close(decoder(features[:, order])[0], decoder(features)[0][:, order])


def test_a_decoder_that_begins_with_nothing_predicts_zeros_and_learns():
    decoder = Decoder(6, 4, 5)
    decoder.begin_with_nothing()
    (predicted,) = decoder(torch.randn(3, 7, 6))
    assert not predicted.any()
    (predicted - 1).square().sum().backward()
    assert decoder.leave.weight.grad.any()
