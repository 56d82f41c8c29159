"""Readers and files that accidents have changed: what must come of them."""

import numpy as np
from damage import damage

from pcm3.errors import DataError


def damaged_files(whole, count, mark=b",", seed=0):
    """So many damaged versions of a file: a few bytes flipped, cut out, put in; every fifth ends early."""
    random = np.random.default_rng(seed)
    for number in range(count):
        data = damage(whole, random, 60, mark)
        yield data[: random.integers(len(data) + 1)] if number % 5 == 0 else data


def assert_read_or_told(parse, whole, count, mark=b","):
    """Each damaged file is a DataError in one line, or frames that are finite or absent; some are refused."""
    refused = 0
    for data in damaged_files(whole, count, mark):
        try:
            frames, told = parse(data), ""
        except DataError as error:
            frames, told = np.zeros((0, 1, 1, 3)), str(error)
        refused += bool(told)
        assert "\n" not in told, told
        assert frames.ndim == 4
        assert not np.isinf(frames).any()
    assert refused > 0, "no damage was noticed"
    return refused
