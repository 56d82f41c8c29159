import multiprocessing
import os
import time

import pytest

from pcm3.errors import DataError
from pcm3.parallel import AHEAD, cores, worker_processes


@pytest.fixture(autouse=True)
def spawned(monkeypatch):
    """As they are for users."""
    monkeypatch.setattr("pcm3.parallel.get_context", multiprocessing.get_context)


def square(piece, shared):
    if piece == shared:
        os._exit(3)
    return piece * piece


def test_results_come_in_order_and_a_dead_process_is_an_error():
    with worker_processes(2) as map_fn:
        assert list(map_fn(square, range(40), -1)) == [n * n for n in range(40)]
        with pytest.raises(DataError, match="a worker process died"):
            list(map_fn(square, range(40), 20))


def note(piece, folder):
    (folder / str(piece)).touch()


@pytest.mark.parametrize("processes", [1, 2])
def test_work_is_not_done_far_ahead_of_its_turn(tmp_path, processes):
    """What is done and not yet taken is held in memory, so it must be bounded."""
    with worker_processes(processes) as map_fn:
        taken = map_fn(note, range(1000), tmp_path)
        next(taken)
        time.sleep(0.5)
        assert len(list(tmp_path.iterdir())) <= 1 + AHEAD * processes
        taken.close()


def test_a_limit_of_cores_is_that_of_whoever_set_it(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert cores() == 1
