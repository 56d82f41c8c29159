from collections import deque

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pcm3.nn.momentum import key_copy, momentum_update
from pcm3.nn.queue import KeyQueue


def keys_of(count, first=0, width=4):
    """Unit vectors that all differ."""
    generator = torch.Generator().manual_seed(first)
    return F.normalize(torch.randn((count, width), generator=generator), dim=1)


def oldest_first(queue):
    """The keys in the order in which they came."""
    return queue.keys.roll(-int(queue.next), dims=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.lists(st.integers(0, 45), max_size=12))
def test_queue_forgets_oldest_first(size, batches):
    queue = KeyQueue(size, 4)
    expected = deque(queue.keys.clone(), maxlen=size)
    for number, batch in enumerate(batches):
        keys = keys_of(batch, number)
        queue.push(keys)
        expected.extend(keys)
        assert torch.equal(oldest_first(queue), torch.stack(list(expected)))


def test_queue_takes_batches_that_do_not_divide_it():
    queue = KeyQueue(10, 4)
    batches = [keys_of(4, number) for number in range(5)]
    for batch in batches:
        queue.push(batch)
    assert torch.equal(oldest_first(queue), torch.cat(batches)[-10:])


def test_queue_keeps_the_last_keys_of_a_batch_larger_than_itself():
    queue, keys = KeyQueue(6, 4), keys_of(20)
    queue.push(keys)
    assert torch.equal(oldest_first(queue), keys[-6:])


def test_all_rows_have_unit_length_from_the_beginning():
    queue = KeyQueue(50, 128)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(50))
    queue.push(keys_of(7, width=128))
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(50))
    assert queue.keys.dtype == torch.float32


def test_queue_has_no_gradient_and_is_saved():
    queue = KeyQueue(5, 4)
    keys = keys_of(3).requires_grad_()
    queue.push(keys)
    assert not queue.keys.requires_grad
    assert not list(queue.parameters())
    again = KeyQueue(5, 4)
    again.load_state_dict(queue.state_dict())
    assert torch.equal(again.keys, queue.keys)
    assert again.next == 3


def test_queue_does_not_hold_on_to_the_batch():
    queue, keys = KeyQueue(5, 4), keys_of(3)
    queue.push(keys)
    before = queue.keys.clone()
    keys.zero_()
    assert torch.equal(queue.keys, before)


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()


def test_the_key_network_starts_as_a_copy_that_no_optimiser_touches():
    query = network()
    key = key_copy(query)
    for ours, theirs in zip(key.parameters(), query.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.data_ptr() != theirs.data_ptr()
        assert not ours.requires_grad
        assert theirs.requires_grad


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99, 0.999, 1.0])
def test_momentum_moves_every_parameter_as_the_paper_writes(momentum):
    query = network()
    key = key_copy(query)
    with torch.no_grad():
        for parameter in query.parameters():
            parameter.add_(torch.randn_like(parameter))
    expected = [parameter.numpy().copy() for parameter in key.parameters()]
    for _ in range(3):
        momentum_update(key, query, momentum)
        expected = [
            momentum * ours + (1 - momentum) * theirs.detach().numpy()
            for ours, theirs in zip(expected, query.parameters(), strict=True)
        ]
    for ours, theirs in zip(key.parameters(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_momentum_leaves_buffers_and_the_query_network_alone():
    query = network()
    key = key_copy(query)
    query(torch.randn(8, 3, dtype=torch.float64))
    buffers = [buffer.clone() for buffer in key.buffers()]
    weights = [parameter.clone() for parameter in query.parameters()]
    momentum_update(key, query, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(key.buffers(), buffers, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(query.parameters(), weights, strict=True))
    assert not torch.equal(key[1].running_mean, query[1].running_mean)
