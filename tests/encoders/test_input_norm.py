"""Inputs by one scale for each input feature."""

import numpy as np
import pytest
import torch
from toy import KINECT2

from pcm3.encoders.encoder import Encoder
from pcm3.encoders.input_norm import LEAST, SharedScale
from pcm3.errors import ConfigError
from pcm3.settings.pretrain import PretrainSettings, changed

FEATURES, VALUES = 2, 6


def rows(seed=0):
    """(N, I) in which every value has a deviation of its own."""
    values = np.random.default_rng(seed).normal(size=(50, FEATURES * VALUES))
    return values * np.linspace(0.01, 2, FEATURES * VALUES) + np.arange(FEATURES * VALUES) % 3


def slowly(inputs, mean, variance, weight, bias):
    """Value by value."""
    normed = np.empty_like(inputs)
    for value in range(inputs.shape[1]):
        of = value // VALUES
        normed[:, value] = (inputs[:, value] - mean[of]) / np.sqrt(variance[of] + LEAST) * weight[of] + bias[of]
    return normed


def test_every_value_is_divided_by_the_deviation_of_its_feature():
    norm, inputs = SharedScale(FEATURES).double(), rows()
    with torch.no_grad():
        norm.norm.weight.copy_(torch.tensor([0.5, 2.0]))
        norm.norm.bias.copy_(torch.tensor([0.25, -0.5]))
    parts = [inputs[:, :VALUES], inputs[:, VALUES:]]
    mean, variance = [part.mean() for part in parts], [part.var() for part in parts]
    expected = slowly(inputs, mean, variance, [0.5, 2.0], [0.25, -0.5])
    np.testing.assert_allclose(norm(torch.from_numpy(inputs)).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_out_of_training_it_goes_by_the_mean_of_all_batches():
    norm, batches = (
        SharedScale(FEATURES).double(),
        [scale * rows(seed) for seed, scale in enumerate((0.01, 0.02, 0.03))],
    )
    loss = sum(norm(torch.from_numpy(batch).requires_grad_()).square().sum() for batch in batches)
    loss.backward()  # several views before one backward pass, as in a step
    parts = [[batch[:, :VALUES], batch[:, VALUES:]] for batch in batches]
    mean = np.mean([[part.mean() for part in of_batch] for of_batch in parts], axis=0)
    variance = np.mean([[part.var(ddof=1) for part in of_batch] for of_batch in parts], axis=0)
    other = rows(seed=9)
    got = norm.eval()(torch.from_numpy(other)).detach().numpy()
    np.testing.assert_allclose(got, slowly(other, mean, variance, [1, 1], [0, 0]), rtol=1e-12, atol=1e-10)
    assert norm.norm.num_batches_tracked == 3


def test_a_norm_that_is_held_while_the_rest_trains_stays_as_it_is():
    norm = SharedScale(FEATURES).double()
    norm(torch.from_numpy(rows()))
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    norm.train().norm.eval()
    norm(torch.from_numpy(rows(seed=3)))
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())


def test_what_hardly_moves_stays_as_quiet_as_it_was():
    inputs = torch.from_numpy(rows())
    before = inputs[:, :VALUES].std(dim=0)
    after = SharedScale(FEATURES).double()(inputs)[:, :VALUES].std(dim=0)
    torch.testing.assert_close(after / after[-1], before / before[-1])
    each = torch.nn.BatchNorm1d(FEATURES * VALUES).double()(inputs)[:, :VALUES].std(dim=0)
    assert (each / each[-1]).min() > 0.9, "by itself, every value is as loud as any"


@pytest.mark.parametrize("kind", ["gru", "transformer", "graph", "stgcn", "agcn", "h_transformer"])
def test_features_go_by_their_own_scale_in_every_kind_that_normalises(kind):
    encoder = Encoder(
        2, 25, hidden_size=6, layers=1, direction="bidirectional", pooling="mean", kind=kind, parents=KINECT2.parents,
        parts=KINECT2.filled_parts, input_features=("joint", "motion"), input_scale="shared",
    )  # fmt: skip
    assert encoder.norm.norm.num_features == 2
    encoder.train()
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(3, 8, encoder.bodies, encoder.joints, 3, generator=generator)
    inputs = encoder.build_inputs(clips)
    louder = inputs.clone()
    louder[..., inputs.shape[-1] // 2 :] *= 7
    torch.testing.assert_close(encoder._normed(louder, None), encoder._normed(inputs, None), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["hico", "vit", "gl_transformer"])
def test_a_kind_that_does_not_normalise_has_no_choice(kind):
    plain = {"encoder.kind": kind, "encoder.direction": "bidirectional", "encoder.pooling": "mean"}
    changed(PretrainSettings(), plain).check()
    with pytest.raises(ConfigError, match=f"encoder.input_scale: expected each for kind {kind}"):
        changed(PretrainSettings(), plain | {"encoder.input_scale": "shared"}).check()
