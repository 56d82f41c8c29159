"""Multiplications and additions of every product that torch runs; other operations are not counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pcm3.device import threads
from pcm3.encoders.spec import EncoderSpec


def _product(_sum: Tensor, left: Tensor, right: Tensor, **_: object) -> int:
    """Of a product of two matrices."""
    return 2 * left.shape[0] * left.shape[1] * right.shape[1]


class ProductCounter(TorchDispatchMode):
    """Sums what torch's table of formulas says of each product that is run inside. torch's own counter, which also
    tells modules apart, takes three times as long.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        """Multiplications and additions until now."""
        # The GRU's backward pass adds products in place, which torch does not count.
        self._formulas: Mapping[object, Callable[..., int]] = flop_registry | {torch.ops.aten.addmm_: _product}

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Run it, and count it where it is a product."""
        named = kwargs or {}
        result = func(*args, **named)
        formula = self._formulas.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **named, out_val=result)
        return result


@contextmanager
def counted() -> Iterator[ProductCounter]:
    """Counts what is computed inside, on one thread and without cuDNN: no counter sees into either."""
    counter = ProductCounter()
    with threads(1), torch.backends.cudnn.flags(enabled=False), counter:
        yield counter


def encoder_flop_per_clip(spec: EncoderSpec) -> float:
    """Of one clip in one forward pass of the encoder."""
    encoder = spec.build(0).eval()
    clips = torch.zeros(1, spec.frames, spec.bodies, spec.joints, 3)
    with torch.no_grad(), counted() as counter:
        encoder.embed(clips)
    return float(counter.total)
