"""Search: which clips are like a motion, and where in long recordings does it occur."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from pcm3.api.contract import FedModel
from pcm3.api.given import AS_THE_MODEL, Clips, Recorded, recorded_so
from pcm3.checksums import read_checked_json, with_checksum
from pcm3.data.names import is_name
from pcm3.data.store import ClipStore
from pcm3.encoders.files import check_not_newer, tensors_checksum
from pcm3.errors import CheckpointError, ConfigError, DataError, brief
from pcm3.files import write_atomically, write_json
from pcm3.limits import MOST, check_integer, check_real, folder_to_write
from pcm3.skeleton import Layout
from pcm3.tasks.head_files import weights_checksum

FORMAT = 1
"""Of the files; a newer one is refused."""
ROWS, DESCRIPTION = "index.safetensors", "index.json"
HOP = 4
"""Windows begin this many times in the length of one."""
OVERLAP = 0.3
"""Share of the shorter of two matches in one recording from which on they are one."""
SPARE = 50
"""Rows looked at for each match asked for, since many lie beside each other."""
BATCH = 512
"""Windows encoded at a time."""
LONGEST = 600
"""Seconds of a window at most."""
NOWHERE = 1e-6
"""Metres: shoulders nearer to each other on the ground than this do not tell where a body faces."""


@dataclass(frozen=True)
class Match:
    """A stretch of a recording that is like the query."""

    id: str
    """Of the clip or recording."""
    start: float
    """Seconds from its beginning."""
    stop: float
    """Likewise, of the end."""
    score: float
    """Cosine of the two features; 1: they are the same."""


@dataclass(frozen=True, eq=False)
class Index:
    """The features of clips, or of windows of recordings, ready to be searched."""

    model: FedModel
    rows: Float[Tensor, "R D"]
    """Of length 1, rounded to half precision."""
    recording: Int[np.ndarray, " R"]
    """The clip or recording of each row."""
    start: Float64[np.ndarray, " R"]
    """Seconds."""
    stop: Float64[np.ndarray, " R"]
    """Seconds."""
    ids: tuple[str, ...]
    """Names of clips or recordings."""
    window: float
    """Seconds of a window; 0: each row is a whole clip."""

    @classmethod
    def of(
        cls, model: FedModel, source: Clips, window: float | None = None, recorded: Recorded = AS_THE_MODEL
    ) -> Index:
        """The index of clips, or of windows of recordings.

        Args:
            model: whose features they are.
            source: see `pcm3.api.given.Clips`.
            window: seconds of the windows that recordings are cut into, four in the length of one; None: whole clips.
            recorded: what arrays and files do not tell.

        Raises:
            DataError: as `Model.embed`.
            ConfigError: a window that is none.
        """
        if window is not None:
            check_real("window", window)
        if window is not None and not 0.05 <= window <= LONGEST:
            raise ConfigError(f"setting window: expected seconds, 0.05 to {LONGEST}, got {window:g}")
        given = (model.given if window is None else model.given_recordings)(source, recorded)
        store = given.store if window is None else given.store.recordings or given.store
        recording, start, length = _windows(store, window)
        features = _embedded(model, store, recording, start, length)
        ends = (start / store.fps, (start + length) / store.fps)
        return cls(model, features, recording, *ends, tuple(store.ids.tolist()), window or 0.0)

    def search(
        self,
        query: Clips,
        k: int = 10,
        *,
        fps: float | None = None,
        layout: str | Path | Layout | None = None,
        up: str | None = None,
        recorded: Recorded = AS_THE_MODEL,
    ) -> list[Match]:
        """The stretches that are most like one motion, the likest first; of those that overlap the likest alone.

        Args:
            query: one clip, see `Model.embed`, as the three that follow.
            k: how many.
            fps: frames a second.
            layout: of the skeletons.
            up: which way is up.
            recorded: of files: all that is known of them.

        Raises:
            DataError: as `Model.embed`; or more than one clip.
        """
        check_integer("k", k, 1, MOST)
        store = self.model.given(query, recorded_so(recorded, fps, layout, up)).store
        if len(store) != 1:
            raise DataError(f"query: expected one clip, got {len(store)}")
        whole_clips = np.zeros(1, np.int64), np.zeros(1, np.int64), store.length.astype(np.int64)
        return self.nearest(_embedded(self.model, store, *whole_clips), k)

    def nearest(self, feature: Float[Tensor, "1 D"], k: int) -> list[Match]:
        """The stretches of the nearest features."""
        cosines = _products(self.rows, F.normalize(feature[0], dim=0)) / self._lengths
        near = cosines.topk(min(len(self.rows), k * (SPARE if self.window else 1)))
        matches: list[Match] = []
        for row, cosine in zip(near.indices.tolist(), near.values.tolist(), strict=True):
            score = min(max(cosine, -1.0), 1.0)  # rounding leads a little beyond
            match = Match(self.ids[self.recording[row]], float(self.start[row]), float(self.stop[row]), score)
            if not (self.window and any(_overlap(match, other) for other in matches)):
                matches.append(match)
            if len(matches) == k:
                break
        return matches

    @cached_property
    def _lengths(self) -> Float[Tensor, " R"]:
        """Of the rows: 1 before they were rounded. Undivided, a row's product with itself can be below another's."""
        lengths: Tensor = self.rows.norm(dim=1)
        return lengths

    def save(self, folder: str | Path) -> None:
        """Write the index into a folder; the model does not lie in it, only its checksum."""
        folder = folder_to_write(folder, "a folder to write the index into")
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"rows": self.rows.half().cpu(), "recording": torch.from_numpy(self.recording)}
        tensors |= {"start": torch.from_numpy(self.start), "stop": torch.from_numpy(self.stop)}
        description = {"format": FORMAT, "model": weights_checksum(self.model.encoder), "ids": list(self.ids)}
        description |= {"window": self.window, "tensors": tensors_checksum(tensors)}
        write_atomically(folder / ROWS, lambda file: file.write(to_safetensors(tensors)))
        write_json(folder / DESCRIPTION, with_checksum(description))

    @classmethod
    def load(cls, folder: str | Path, model: FedModel) -> Index:
        """The index in a folder, made with this model.

        Raises:
            CheckpointError: there is none, it is of another model, damaged, or a newer version wrote it.
        """
        folder = Path(folder)
        try:
            description = read_checked_json(folder / DESCRIPTION, CheckpointError, "make the index anew")
            data = (folder / ROWS).read_bytes()
        except OSError as error:
            raise CheckpointError(
                f"{folder}: expected an index ({DESCRIPTION} and {ROWS}): {error.strerror}"
            ) from error
        check_not_newer(description.get("format"), FORMAT, folder)
        if description.get("model") != weights_checksum(model.encoder):
            raise CheckpointError(f"{folder}: was made with another model: give that one, or make the index anew")
        try:
            tensors = from_safetensors(data)
            if tensors_checksum(tensors) != description["tensors"]:
                raise ValueError(f"{ROWS} is not the file that {DESCRIPTION} was written with")
            _check_content(tensors, description["ids"], description["window"], model.encoder.width)
            recording, start, stop = (tensors[name].numpy() for name in ("recording", "start", "stop"))
            rows, ids = tensors["rows"].float().to(model.device), tuple(description["ids"])
            return cls(model, rows, recording, start, stop, ids, float(description["window"]))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder}: damaged ({error}): make the index anew") from error


def _check_content(tensors: Mapping[str, Tensor], ids: object, window: object, width: int) -> None:
    """Raises ValueError where what an index's files hold cannot be one, whoever wrote it."""
    rows, recording = tensors["rows"], tensors["recording"]
    count = len(recording)
    if rows.shape != (count, width) or rows.dtype != torch.float16 or not rows.isfinite().all():
        raise ValueError(f"rows are no {count} features of width {width}")
    if not isinstance(ids, list) or not all(map(is_name, ids)):
        raise ValueError(f"ids is {brief(ids)}, no names")
    inside = recording.dtype == torch.int64 and ((recording >= 0) & (recording < len(ids))).all()
    if count == 0 or recording.shape != (count,) or not inside:
        raise ValueError("a row is of no recording")
    for name in ("start", "stop"):
        column = tensors[name]
        if column.shape != (count,) or column.dtype != torch.float64 or not column.isfinite().all():
            raise ValueError(f"{name} is no column of seconds")
    if isinstance(window, bool) or not isinstance(window, int | float) or not 0 <= window <= LONGEST:
        raise ValueError(f"window is {brief(window)}, no seconds")


def _products(rows: Float[Tensor, "R D"], query: Float[Tensor, " D"]) -> Float[Tensor, " R"]:
    """Of each row with one query. What `pcm3.tasks.nearest` makes ready for many queries takes longer than one of them;
    and NumPy multiplies a matrix with a vector twice to three times as fast as torch does on a CPU.
    """
    if rows.device.type != "cpu":
        return rows @ query
    return torch.from_numpy(np.einsum("rd,d->r", rows.numpy(), query.numpy()))


def _windows(
    store: ClipStore, window: float | None
) -> tuple[Int[np.ndarray, " R"], Int[np.ndarray, " R"], Int[np.ndarray, " R"]]:
    """Clip, first frame and frames of each row; the last window of a recording ends with it."""
    lengths = store.length.astype(np.int64)
    if window is None:
        return np.arange(len(store)), np.zeros_like(lengths), lengths
    size = max(round(window * store.fps), 1)
    hop = max(size // HOP, 1)
    starts = [np.append(np.arange(0, max(length - size, 0), hop), max(length - size, 0)) for length in lengths.tolist()]
    recording = np.repeat(np.arange(len(store)), [len(some) for some in starts])
    return recording, np.concatenate(starts), np.minimum(size, lengths[recording])


def _embedded(
    model: FedModel,
    store: ClipStore,
    recording: Int[np.ndarray, " R"],
    start: Int[np.ndarray, " R"],
    length: Int[np.ndarray, " R"],
) -> Float[Tensor, "R D"]:
    """Features of length 1 of stretches, each turned as a clip of its own would be."""
    bank, features = model.bank(store), []
    columns = [torch.from_numpy(column).to(model.device) for column in (recording, start, length)]
    with bank.feed.embedding(model.encoder) as embed:
        for some in zip(*(column.split(BATCH) for column in columns), strict=True):
            clips = bank.stretch(*some)
            if store.normalised:
                clips = facing_forward(clips, store.layout)
            features.append(F.normalize(embed(clips), dim=1).half())
    return torch.cat(features).float()


def facing_forward(clips: Float[Tensor, "B T M V C"], layout: Layout) -> Float[Tensor, "B T M V C"]:
    """Clips that stand along z, turned about z so that the first body faces along y when it is first seen well.

    A recording is turned once, by its first frame; a stretch of it faces anywhere.
    """
    left, right = layout.across
    ends = clips[:, :, 0, [left, right]]  # (B, T, 2, C)
    ways = ends[:, :, 1, :2] - ends[:, :, 0, :2]
    lengths = ways.norm(dim=-1)
    valid = (ends != 0).any(dim=-1).any(dim=-1) & (lengths > NOWHERE)
    first = valid.float().argmax(dim=1)
    rows = torch.arange(len(clips), device=clips.device)
    x, y = (ways[rows, first] / lengths[rows, first].clamp(min=NOWHERE).unsqueeze(1)).unbind(dim=1)
    anywhere = valid.any(dim=1)
    x, y = torch.where(anywhere, x, 1.0), torch.where(anywhere, y, 0.0)
    x, y = x.view(-1, 1, 1, 1), y.view(-1, 1, 1, 1)
    rotated = (x * clips[..., 0] + y * clips[..., 1], x * clips[..., 1] - y * clips[..., 0], clips[..., 2])
    return torch.stack(rotated, dim=-1)


def _overlap(match: Match, other: Match) -> bool:
    common = min(match.stop, other.stop) - max(match.start, other.start)
    return match.id == other.id and common > OVERLAP * min(match.stop - match.start, other.stop - other.start)
