"""How fast a model works: clips embedded beside a plain loop over the same encoder, windows searched beside faiss."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from pcm3.api.index import Index
from pcm3.api.model import Model
from pcm3.benchmark.interleaved import interleaved, median_ratio
from pcm3.benchmark.machine import now
from pcm3.benchmark.step import BODIES, LAYOUT
from pcm3.data.own_recordings import PreparedRecordings
from pcm3.data.recording import Recording
from pcm3.encoders.spec import EncoderSpec
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import load_layout
from pcm3.train.plan import encoder_spec

LENGTH = 100
"""Frames of a clip, about as many as one of NTU RGB+D has."""
EMBEDDED = 300
"""Clips embedded in a go."""
BATCH = 256
"""Clips that the plain loop encodes at a time, as `Model.embed` does."""
MATCHES = 10
"""Found by a search."""


@dataclass(frozen=True)
class EmbedSpeed:
    """Clips a second, medians over the turns."""

    hidden_size: int
    clips: int
    threads: int
    turns: int
    loop: float
    """A plain loop of torch over clips that are prepared and cropped already."""
    store: float
    """`Model.embed` of a store: crops them too."""
    arrays: float
    """`Model.embed` of arrays: looks at units and axes, fills gaps, centres and turns too, in one process."""
    store_to_loop: float
    """The median of the quotients within a turn."""
    arrays_to_loop: float


@dataclass(frozen=True)
class SearchSpeed:
    """Seconds of one search, medians over the turns."""

    windows: int
    width: int
    hours: float
    """Of recordings, with windows of two seconds."""
    threads: int
    turns: int
    seconds: float
    faiss_seconds: float | None
    """Of faiss' flat index, which is exact too; None where it is not installed."""
    times_as_fast: float | None


def benchmark_embed(
    configurations: Sequence[PretrainSettings],
    turns: int,
    warm: int,
    device: torch.device,
    on_progress: Callable[[], object] = lambda: None,
) -> list[EmbedSpeed]:
    """A row for each configuration, whose encoder has fresh weights."""
    return [_embed_speed(settings, turns, warm, device, on_progress) for settings in configurations]


def _embed_speed(
    settings: PretrainSettings, turns: int, warm: int, device: torch.device, on_progress: Callable[[], object]
) -> EmbedSpeed:
    model = _model(encoder_spec(load_layout(LAYOUT), BODIES, settings), device)
    clips = _people(EMBEDDED)
    recordings = [Recording(f"clip{number}", clip) for number, clip in enumerate(clips)]
    prepared = PreparedRecordings.of(recordings, model.layout, 30.0, BODIES, rule="upright", up="y")
    store, _ = prepared.in_memory("benchmark")
    cropped = model.bank(store).centre(torch.arange(EMBEDDED, device=device))

    def loop() -> None:
        with torch.no_grad():
            for part in cropped.split(BATCH):
                model.encoder.embed(part).cpu()

    ways: dict[str, Callable[[], object]] = {
        "loop": loop,
        "store": partial(model.embed, store),
        "arrays": partial(model.embed, clips, up="y"),
    }
    goes = {name: partial(_rate, way, device) for name, way in ways.items()}
    rates = interleaved(goes, turns, warm, on_progress)
    return EmbedSpeed(
        settings.encoder.hidden_size,
        EMBEDDED,
        torch.get_num_threads(),
        turns,
        *(round(statistics.median(rates[name]), 1) for name in ("loop", "store", "arrays")),
        *(median_ratio(rates[name], rates["loop"]) for name in ("store", "arrays")),
    )


def _rate(way: Callable[[], object], device: torch.device, turn: int) -> float:
    """Clips a second."""
    began = now(device)
    way()
    return EMBEDDED / (now(device) - began)


def _model(spec: EncoderSpec, device: torch.device) -> Model:
    """A model with fresh weights of clips that are centred and turned."""
    fed = replace(spec, fps=30.0, normalised=True, rule="upright")
    return Model(fed.build().to(device).eval(), fed, device)


def _people(count: int) -> list[np.ndarray]:
    """Clips (T, M, V, 3) of bodies that stand along y and move a little."""
    random = np.random.default_rng(0)
    joints = len(load_layout(LAYOUT).joints)
    body = random.normal(scale=0.2, size=(1, BODIES, joints, 3)) + np.linspace(-0.8, 0.8, joints)[:, None] * [0, 1, 0]
    moves = random.normal(scale=0.005, size=(count, LENGTH, BODIES, joints, 3)).cumsum(axis=1)
    return list((body + moves).astype(np.float32))


def benchmark_search(
    windows: int,
    width: int,
    turns: int,
    warm: int,
    device: torch.device,
    on_progress: Callable[[], object] = lambda: None,
) -> SearchSpeed:
    """One query in an index of random features of length 1.

    Args:
        windows: rows of the index.
        width: D.
        turns: turns that count.
        warm: turns before them that do not.
        device: where to search; faiss searches on the CPU.
        on_progress: called after every go.
    """
    generator = torch.Generator().manual_seed(0)
    rows = F.normalize(torch.randn((windows, width), generator=generator), dim=1).half().float().to(device)
    query = F.normalize(torch.randn((1, width), generator=generator), dim=1).to(device)
    places = np.arange(windows)
    model = _model(EncoderSpec(load_layout(LAYOUT), 1, 1, 1, "causal", "last", "joint"), device)
    index = Index(model, rows, np.zeros(windows, np.int64), places / 2, places / 2 + 2, ("benchmark",), 2.0)
    goes: dict[str, Callable[[int], float]] = {
        "ours": partial(_seconds, partial(index.nearest, query, MATCHES), device)
    }
    flat = _faiss(rows.cpu().numpy())
    if flat is not None:
        goes["faiss"] = partial(_seconds, partial(flat, query.cpu().numpy()), device)
    seconds = interleaved(goes, turns, warm, on_progress)
    theirs = seconds.get("faiss")
    return SearchSpeed(
        windows,
        width,
        round(windows / 2 / 3600, 1),
        torch.get_num_threads(),
        turns,
        round(statistics.median(seconds["ours"]), 4),
        None if theirs is None else round(statistics.median(theirs), 4),
        None if theirs is None else median_ratio(theirs, seconds["ours"]),
    )


def _seconds(way: Callable[[], object], device: torch.device, turn: int) -> float:
    began = now(device)
    way()
    return now(device) - began


def _faiss(rows: np.ndarray) -> Callable[[np.ndarray], object] | None:
    """The search of faiss' flat index of these rows, for as many neighbours as ours; None where it is not installed."""
    try:
        import faiss  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return None
    from pcm3.api.index import SPARE

    faiss.omp_set_num_threads(torch.get_num_threads())
    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    return partial(flat.search, k=min(MATCHES * SPARE, len(rows)))
