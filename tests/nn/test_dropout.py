import pytest
import torch

from pcm3.nn.dropout import ByteDropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.999])
def test_a_part_is_dropped_and_the_mean_stays(rate):
    torch.manual_seed(0)
    values = torch.full((3, 1001, 70), 2.0, dtype=torch.float64, requires_grad=True)
    after = ByteDropout(rate)(values)
    kept = 1 - min(round(256 * rate), 255) / 256
    assert after.unique().tolist() == pytest.approx([0, 2 / kept])
    count = values.numel()
    share = (after > 0).double().mean().item()
    assert share == pytest.approx(kept, abs=4 * (kept * (1 - kept) / count) ** 0.5)
    after.sum().backward()
    assert torch.equal(values.grad, after.detach() / 2)
    stay = (after > 0).flatten()[: 8 * 26_000].view(-1, 8).double()
    together = stay.T @ stay / len(stay)  # of the bytes of a word none knows another
    assert (together.fill_diagonal_(kept**2) - kept**2).abs().max() < 0.013


def test_in_evaluation_and_at_a_rate_of_nothing_all_values_stay_and_nothing_is_drawn():
    values, before = torch.randn(5), torch.get_rng_state()
    assert ByteDropout(0.5).eval()(values) is values
    assert ByteDropout(0.0)(values) is values
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    once = ByteDropout(0.5)(torch.ones(100))
    torch.manual_seed(3)
    assert torch.equal(once, ByteDropout(0.5)(torch.ones(100)))
