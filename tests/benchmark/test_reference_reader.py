"""The whole way from a file to a clip, as the import goes it and as the usual script does."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ntu_file_text import skeleton_text, walkers

from pcm3.benchmark.reference_reader import clip_line_by_line
from pcm3.data.prepare import Recipe, prepare
from pcm3.data.readers import ntu
from pcm3.simulate import simulate
from pcm3.skeleton import load_layout

NAME = "S001C002P003R002A013.skeleton"
RECIPE = Recipe(load_layout("kinect_v2"), 2, max_frames=300)


def assert_prepared_alike(file):
    [clip] = prepare(ntu.parse(NAME, file.read_bytes()), RECIPE)
    # The usual script takes an angle from a cosine in float32, which is coarse where bodies stand nearly upright.
    np.testing.assert_allclose(clip.frames, clip_line_by_line(file)[: len(clip.frames)], atol=3e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), frames=st.integers(1, 30), bodies=st.integers(1, 5))
@example(seed=8539, frames=7, bodies=5)
def test_bodies_that_come_late_leave_early_and_are_lost_between(tmp_path_factory, seed, frames, bodies):
    random = np.random.default_rng(seed)
    clip = walkers(seed, frames, bodies)
    for body in range(bodies):
        clip[random.random(frames) < random.choice([0, 0.3]), body] = 0
        clip[: random.integers(frames) * random.integers(2), body] = 0
        clip[frames - random.integers(frames) * random.integers(2) :, body] = 0
    if clip.any():
        file = tmp_path_factory.mktemp("files") / NAME
        file.write_text(skeleton_text(clip))
        assert_prepared_alike(file)


def test_recordings_longer_than_the_scripts_room_are_cut(tmp_path):
    file = tmp_path / NAME
    file.write_text(skeleton_text(walkers(0, 310, 2)))
    assert_prepared_alike(file)


def test_simulated_recordings(tmp_path):
    simulate(tmp_path, subjects=1, repetitions=1, cameras=1)
    for file in sorted(tmp_path.glob("*.skeleton"))[::7]:
        assert_prepared_alike(file)
