"""What a person sees of a run while it trains: the bar with steps, loss and clips a second, and TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from tqdm import tqdm

from pcm3.errors import ConfigError


@runtime_checkable
class Board(Protocol):
    """What is used of TensorBoard's writer."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> object:
        """A number of a step."""

    def close(self) -> object:
        """Nothing more is to come."""


class ProgressBar:
    """The bar of a run, and what goes along with it."""

    def __init__(self, first: int, total: int, batch: int, *, board: Path | None, visible: bool) -> None:
        """Nothing is shown before the block begins. `board`: folder for TensorBoard's files; None: none are written."""
        self._first, self._total, self._batch, self._folder, self._visible = first, total, batch, board, visible
        self._board: Board | None = None

    def __enter__(self) -> ProgressBar:
        self._bar = tqdm(
            total=self._total * self._batch,
            initial=self._first * self._batch,
            disable=not self._visible,
            desc="resuming" if self._first else "pretraining",
            unit="clip",
            unit_scale=True,
            dynamic_ncols=True,
        )
        if self._folder is not None:
            self._board = _board(self._folder)
        return self

    def show(self, step: int, line: dict[str, int | float]) -> None:
        """Tell how far the run is, after `step` steps; `line` is empty between two looks at the losses."""
        self._bar.update(step * self._batch - self._bar.n)
        if not line:
            return
        self._bar.set_postfix(step=f"{step}/{self._total}", loss=f"{line['loss']:.3f}")
        if self._board is not None:
            for name, value in line.items():
                self._board.add_scalar(name, value, step)

    def __exit__(self, *raised: object) -> None:
        self._bar.close()
        if self._board is not None:
            self._board.close()


def _board(folder: Path) -> Board:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("--tensorboard needs TensorBoard: pip install 'pcm3[tensorboard]'") from error
    writer: Board = SummaryWriter(str(folder))
    return writer
