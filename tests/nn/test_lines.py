import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.nn.lines import straight_lines


def slow(clips, masked):
    """`np.interp`, joint by joint and coordinate by coordinate."""
    clips, masked = clips.double().numpy(), masked.numpy()
    lines, time = clips.copy(), np.arange(clips.shape[1])
    for b, m, v, c in np.ndindex(len(clips), *clips.shape[2:]):
        hidden = masked[b, :, m, v]
        if hidden.all():
            seen = clips[:, :, m, v, c][~masked[:, :, m, v]]
            lines[b, :, m, v, c] = seen.mean() if len(seen) else 0
        else:
            lines[b, hidden, m, v, c] = np.interp(time[hidden], time[~hidden], clips[b, ~hidden, m, v, c])
    return lines


@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_lines_are_those_of_interp(seed, share, frames):
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn(3, frames, 2, 4, 3, generator=generator, dtype=torch.float64)
    masked = torch.rand(3, frames, 2, 4, generator=generator) < share
    masked[0, :, 0, 0] = True
    np.testing.assert_allclose(straight_lines(clips, masked).numpy(), slow(clips, masked), atol=1e-12)


def test_nothing_of_what_is_masked_is_looked_at_and_what_is_visible_stays():
    clips = torch.randn(4, 8, 1, 5, 3)
    masked = torch.rand(4, 8, 1, 5) < 0.6
    lines = straight_lines(clips, masked)
    assert torch.equal(lines[~masked], clips[~masked])
    other = torch.where(masked.unsqueeze(-1), torch.randn_like(clips), clips)
    assert torch.equal(straight_lines(other, masked), lines)


def test_who_walks_straight_at_one_pace_is_known():
    pace, start = torch.randn(2, 1, 1, 6, 3), torch.randn(2, 1, 1, 6, 3)
    clips = start + pace * torch.arange(10).view(1, 10, 1, 1, 1)
    masked = torch.rand(2, 10, 1, 6) < 0.5
    masked[:, 0], masked[:, -1] = False, False
    torch.testing.assert_close(straight_lines(clips, masked), clips)
