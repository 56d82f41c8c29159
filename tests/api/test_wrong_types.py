"""What is of a wrong kind is told in one line, in Python too."""

from pathlib import Path

import numpy as np
import pytest
from forks import said_by

from pcm3.errors import ConfigError
from pcm3.limits import check_integer, check_path, check_real, check_seed

HELPER = Path(__file__).parents[1] / "helpers" / "wrong_types.py"


def test_every_call_with_a_thing_of_a_wrong_kind_is_answered_in_one_line(tmp_path):
    assert said_by(HELPER, tmp_path / "told", tmp_path) == ["115 calls"]


def test_numbers_of_numpy_are_numbers_and_true_is_none():
    check_seed(np.int64(3))
    check_integer("hop", np.uint8(3), 1, 5)
    check_real("lr", np.float32(0.5))
    check_path("model", Path("x"))
    for value in (True, 3.0, "3", None, np.float64(3)):
        with pytest.raises(ConfigError, match=r"^setting hop: expected a whole number, got "):
            check_integer("hop", value, 1, 5)
    for value in (True, "3", None):
        with pytest.raises(ConfigError, match=r"^setting lr: expected a number, got "):
            check_real("lr", value)
    with pytest.raises(ConfigError, match=r"^model: expected a path, got None$"):
        check_path("model", None)
    with pytest.raises(ConfigError, match=r"^model: expected a path, got an empty word$"):
        check_path("model", "")  # not the folder that the program runs in
    with pytest.raises(ConfigError, match="setting seed: expected at least 0, got -1"):
        check_seed(-1)
