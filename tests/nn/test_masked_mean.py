import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcm3.nn.masked_mean import in_feature_frames, masked_mean


@given(st.integers(0, 1000), st.integers(1, 3), st.booleans())
def test_the_mean_is_over_what_is_true_and_all_bodies(seed, bodies, alike):
    rng = np.random.default_rng(seed)
    features, where = rng.standard_normal((2, 3, bodies, 4, 5)), rng.random((1 if alike else 2, 3, 4)) < 0.5
    expected = np.zeros((2, 5))
    for clip in range(2):
        chosen = where[0 if alike else clip]
        places = [(s, m, v) for s, v in np.argwhere(chosen) for m in range(bodies)]
        for place in places:
            expected[clip] += features[(clip, *place)] / len(places)
    found = masked_mean(torch.from_numpy(features), torch.from_numpy(where))
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)


def test_a_mask_of_frames_is_that_of_the_features_that_begin_there():
    where = torch.zeros(1, 10, 2, dtype=torch.bool)
    where[0, 4:8, 1] = True
    found = in_feature_frames(where, 4)
    assert found[0].tolist() == [[False, False], [False, True], [False, False]]
