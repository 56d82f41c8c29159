"""How far a pretraining run is: a bar, and TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from pcm3.errors import ConfigError
from pcm3.settings.pretrain import PretrainSettings
from pcm3.train.run_folder import RunFolder


class Progress:
    """The bar with steps, loss and clips a second, and TensorBoard when asked."""

    def __init__(self, first: int, total: int, settings: PretrainSettings, run: RunFolder, show: bool) -> None:
        self._settings, self._run, self._show, self._first, self._total = settings, run, show, first, total
        self._board: Any = None

    def __enter__(self) -> Progress:
        self._bar = tqdm(
            total=self._total * self._settings.batch,
            initial=self._first * self._settings.batch,
            disable=not self._show,
            desc="resuming" if self._first else "pretraining",
            unit="clip",
            unit_scale=True,
            dynamic_ncols=True,
        )
        if self._settings.tensorboard:
            self._board = _board(self._run.path)
        return self

    def show(self, step: int, line: dict[str, int | float]) -> None:
        """Tell how far the run is, after `step` steps; `line` is empty between two looks at the losses."""
        self._bar.update(step * self._settings.batch - self._bar.n)
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


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("--tensorboard needs TensorBoard: pip install 'pcm3[tensorboard]'") from error
    return SummaryWriter(str(folder))
