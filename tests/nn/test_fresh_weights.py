import pytest
import torch
from torch import nn

from pcm3.nn.fresh_weights import fresh_weights


def weights(seed):
    with fresh_weights(seed):
        return nn.Linear(3, 4).weight


def test_weights_follow_from_the_seed_alone():
    torch.manual_seed(5)
    first = weights(1)
    torch.manual_seed(6)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


def test_who_draws_afterwards_does_not_notice_even_after_an_error():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    weights(1)
    with pytest.raises(ZeroDivisionError), fresh_weights(2):
        raise ZeroDivisionError
    assert torch.equal(torch.rand(3), expected)
