"""How fast features are evaluated once they are there: the head of linear evaluation, and the nearest neighbours."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from pcm3.benchmark.interleaved import Spread, interleaved, median_ratio
from pcm3.benchmark.machine import AUTOCAST, matmul_gflops, now
from pcm3.device import choose_precision
from pcm3.settings.tasks import LinearSettings
from pcm3.tasks.classifier import accuracy, fresh_head
from pcm3.tasks.linear import train_linear
from pcm3.tasks.nearest import nearest

CHUNK = 4096
"""Queries that the plain product compares at a time."""
LATENT = 32
"""Directions in which features of the `low rank` kind differ."""


@dataclass(frozen=True)
class Sizes:
    """Of the features that are evaluated."""

    clips: int
    """Training clips, or the gallery."""
    tests: int
    """Test clips, or the queries."""
    width: int
    """Values of a feature."""
    classes: int = 60


@dataclass(frozen=True)
class LinearSpeed:
    """Training and testing one linear head on features that were taken once. Medians over the turns."""

    clips: int
    tests: int
    width: int
    classes: int
    epochs: int
    threads: int
    turns: int
    seconds: float
    lowest: float
    """Seconds of the fastest turn."""
    highest: float
    """Seconds of the slowest turn."""
    gflops: float
    """Reached: billions of multiplications and additions a second."""
    matmul_gflops: float
    """Of a plain matrix product in float32 on all cores, measured in every turn."""
    matmul_share: float
    """gflops / matmul_gflops."""


@dataclass(frozen=True)
class RetrievalSpeed:
    """The nearest neighbour of every query, exactly, beside a plain product. Medians over the turns."""

    features: str
    """``low rank``: as an encoder's, differing in few directions. ``isotropic``: in all, where the nearest is hardly
    nearer than the others: the worst case."""
    queries: int
    gallery: int
    width: int
    threads: int
    turns: int
    seconds: float
    lowest: float
    """Seconds of the fastest turn."""
    highest: float
    """Seconds of the slowest turn."""
    precision: str
    """Of the plain product: bf16 where the device computes in it natively, else 32."""
    matmul_s: float
    """Seconds of the plain product of all queries with the gallery."""
    to_matmul: float
    """seconds / matmul_s, in the same turn."""


def benchmark_linear(
    sizes: Sizes,
    settings: LinearSettings,
    turns: int,
    device: torch.device,
    on_progress: Callable[[str], object] = lambda what: None,
) -> list[LinearSpeed]:
    """Seconds of `tasks.linear.train_linear`, looked at on tests after every epoch, on random features.

    Args:
        sizes: of the features.
        settings: of the head.
        turns: heads to train, after one of one epoch.
        device: where to compute.
        on_progress: called with what comes next, after every epoch.
    """
    generator = torch.Generator(device=device).manual_seed(0)
    features, tests = (_normal(count, sizes.width, generator) for count in (sizes.clips, sizes.tests))
    label, test_label = (
        torch.randint(sizes.classes, (count,), generator=generator, device=device)
        for count in (sizes.clips, sizes.tests)
    )

    def train(asked: LinearSettings) -> float:
        began = now(device)
        generator = torch.Generator(device=device).manual_seed(0)
        head = fresh_head(sizes.width, sizes.classes, generator)

        def after_epoch() -> None:
            accuracy(head(tests).argmax(dim=1), test_label)
            on_progress("epochs")

        train_linear(head, lambda _: features, label, asked, generator, after_epoch)
        return now(device) - began

    train(replace(settings, epochs=1))
    measured_s = interleaved({"head": lambda _: (train(settings), matmul_gflops("32", device))}, turns, warm=0)["head"]
    spent = Spread.of([seconds for seconds, _ in measured_s], 3)
    # Forward and the gradient of the weights, and every epoch's look at the tests.
    flop = settings.epochs * 2 * sizes.width * sizes.classes * (2 * sizes.clips + sizes.tests)
    reached, limit = flop / spent.median / 1e9, statistics.median(limit for _, limit in measured_s)
    return [
        LinearSpeed(
            *(sizes.clips, sizes.tests, sizes.width, sizes.classes),
            settings.epochs,
            torch.get_num_threads(),
            turns,
            *spent,
            gflops=round(reached, 1),
            matmul_gflops=round(limit, 1),
            matmul_share=round(reached / limit, 3),
        )
    ]


def benchmark_retrieval(
    sizes: Sizes,
    turns: int,
    warm: int,
    device: torch.device,
    on_progress: Callable[[str], object] = lambda what: None,
) -> list[RetrievalSpeed]:
    """Seconds of `tasks.nearest.nearest` beside those of a plain product in the quickest precision, turn by turn.

    Args:
        sizes: of the features.
        turns: turns that count.
        warm: turns before them that do not.
        device: where to compute.
        on_progress: called with what comes next, before every go.
    """
    precision = choose_precision("auto", device)
    generator = torch.Generator(device=device).manual_seed(0)
    count = sizes.tests + sizes.clips
    sets = {
        name: F.normalize(make(count, sizes.width, generator), dim=1).split([sizes.tests, sizes.clips])
        for name, make in (("low rank", _low_rank), ("isotropic", _normal))
    }

    def timed(what: str, work: Callable[[Tensor, Tensor], object], name: str) -> Callable[[int], float]:
        def go(turn: int) -> float:
            on_progress(f"{what}, {name}")
            began = now(device)
            work(*sets[name])
            return now(device) - began

        return go

    goes = {name: timed("nearest", partial(nearest, k=1), name) for name in sets}
    goes["matmul"] = timed("matmul", partial(_product, AUTOCAST[precision]), next(iter(sets)))
    measured_s = interleaved(goes, turns, warm)
    return [
        RetrievalSpeed(
            name,
            *(sizes.tests, sizes.clips, sizes.width),
            torch.get_num_threads(),
            turns,
            *Spread.of(measured_s[name], 4),
            precision=precision,
            matmul_s=Spread.of(measured_s["matmul"], 4).median,
            to_matmul=median_ratio(measured_s[name], measured_s["matmul"]),
        )
        for name in sets
    ]


def _normal(count: int, width: int, generator: torch.Generator) -> Tensor:
    """(N, D) noise, of no direction more than of another."""
    return torch.randn(count, width, generator=generator, device=generator.device)


def _low_rank(count: int, width: int, generator: torch.Generator) -> Tensor:
    """(N, D) in (-1, 1), as a recurrent encoder's: a common mean, and few directions in which they differ."""
    directions = _normal(LATENT, width, generator) / LATENT**0.5
    return torch.tanh(_normal(count, LATENT, generator) @ directions + _normal(1, width, generator))


def _product(dtype: torch.dtype, queries: Tensor, gallery: Tensor) -> None:
    """All with all, in parts that fit a memory, each of which takes the place of the one before."""
    low = gallery.to(dtype).T
    scores = low.new_empty(CHUNK, len(gallery))
    for part in queries.to(dtype).split(CHUNK):
        torch.mm(part, low, out=scores[: len(part)])
