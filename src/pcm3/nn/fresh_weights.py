"""Where the first weights of modules come from: a seed, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fresh_weights(seed: int) -> Iterator[None]:
    """Inside, the weights of new modules follow from the seed; torch's own generator stands as before when it is left.

    Args:
        seed: from 0 to below 2⁶³.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone; torch.manual_seed would not leave the others alone
        yield
