"""Multiplications and additions, as torch counts those of every product that it runs; others are not counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

from pcm3.device import threads
from pcm3.encoders.spec import EncoderSpec

Shape = Sequence[int]


@contextmanager
def counted() -> Iterator[FlopCounterMode]:
    """Counts what is computed inside, on one thread and without cuDNN: torch's counter sees into neither."""
    # The GRU's backward pass adds products in place, which torch does not count.
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: _product})
    with threads(1), torch.backends.cudnn.flags(enabled=False), counter:
        yield counter


def _product(_sum: Shape, left: Shape, right: Shape, **_: object) -> int:
    """Of a product of two matrices of these shapes."""
    return 2 * left[0] * left[1] * right[1]


def encoder_flop_per_clip(spec: EncoderSpec) -> float:
    """Of one clip in one forward pass of the encoder; nothing is computed for it."""
    encoder = spec.build(0).to("meta").eval()
    clips = torch.empty(1, spec.frames, spec.bodies, spec.joints, 3, device="meta")
    with torch.no_grad(), counted() as counter:
        encoder.embed(clips)
    return float(counter.get_total_flops())
