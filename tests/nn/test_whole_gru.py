import pytest
import torch
from torch import nn

from pcm3.nn import whole_gru as module
from pcm3.nn.whole_gru import whole_gru


@pytest.mark.parametrize("layers", [1, 3])
def test_it_is_torch_s(layers, monkeypatch):
    gru = nn.GRU(5, 4, layers, batch_first=True).double()
    inputs = torch.randn(3, 7, 5, dtype=torch.float64)
    found = whole_gru(gru, inputs)
    torch.testing.assert_close(found, gru(inputs)[0], rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(module, "applies_to", lambda _: False)
    assert torch.equal(whole_gru(gru, inputs), gru(inputs)[0])


def test_values_between_layers_are_dropped_in_training_alone():
    gru = nn.GRU(5, 4, 2, batch_first=True, dropout=0.5)
    inputs = torch.randn(3, 7, 5)
    assert not torch.equal(whole_gru(gru, inputs), whole_gru(gru, inputs))
    torch.testing.assert_close(whole_gru(gru.eval(), inputs), gru(inputs)[0])
    assert torch.equal(whole_gru(gru, inputs), whole_gru(gru, inputs))
    gru.train().dropout = 0.999999  # then the second layer hears nothing
    silent = nn.GRU(4, 4, 1, batch_first=True)
    silent.load_state_dict({f"{name[:-1]}0": weight for name, weight in gru.state_dict().items() if name[-1] == "1"})
    torch.testing.assert_close(whole_gru(gru, inputs), silent(torch.zeros(3, 7, 4))[0])
