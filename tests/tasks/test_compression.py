import numpy as np
import torch
import torch.nn.functional as F

from pcm3.tasks.compression import fit_autoencoder


def curved(count=48):
    """Features of six values that two numbers tell."""
    two = torch.randn(count, 2, generator=torch.Generator().manual_seed(0))
    return torch.cat([two, two.sin(), two.square() / 4], dim=1)


def test_codes_of_features_that_follow_from_two_numbers_tell_them_again():
    features = curved()
    model = fit_autoencoder(features, 8, epochs=150)
    error = F.mse_loss(model(features), features).item()
    assert error < 0.25 * features.var(dim=0).mean().item(), "whoever tells the mean has all of the variance"


def test_a_code_is_three_layers_of_tanh():
    features = curved(5)
    model = fit_autoencoder(features, 3, epochs=1)
    weights = [weight.detach().double().numpy() for weight in model.compress.parameters()]
    assert [weight.shape for weight in weights[::2]] == [(12, 6), (6, 12), (3, 6)]
    expected = features.double().numpy()
    for weight, bias in zip(weights[::2], weights[1::2], strict=True):
        expected = np.tanh(expected @ weight.T + bias)
    np.testing.assert_allclose(model.compress(features).detach().numpy(), expected, rtol=0, atol=1e-6)
    assert [tuple(weight.shape) for weight in model.expand.parameters()][::2] == [(6, 3), (12, 6), (6, 12)]


def test_it_is_the_same_twice_and_draws_from_nothing_else():
    before = torch.get_rng_state()
    one, other = (fit_autoencoder(curved(), 2, epochs=2) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for weight, again in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(weight, again)
