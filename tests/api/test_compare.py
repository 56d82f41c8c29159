"""Two motions: the alignment against a slow reference, distances in closed form, and the command with its picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ntu_file_text import walkers
from PIL import Image

import pcm3
from pcm3.api.compare import align, compare
from pcm3.data.importer import store_recordings
from pcm3.data.recording import Recording
from pcm3.encoders.files import save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

KINECT1 = load_layout("kinect_v1")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    fed = {"frames": 16, "fps": 30.0, "normalised": True, "rule": "upright"}
    spec = EncoderSpec(KINECT1, 1, 6, 1, "causal", "mean", "joint", **fed)
    save_encoder(folder, spec.build(3), spec)
    return pcm3.load(folder)


def cheapest(cost):
    """The smallest sum of any way, by trying each step from each pair of frames."""
    rows, columns = cost.shape
    best = {}
    for i in range(rows):
        for j in range(columns):
            before = [best[way] for way in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if way in best]
            best[i, j] = cost[i, j] + min(before, default=0)
    return best[rows - 1, columns - 1]


@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.floats(0, 1).map(lambda x: round(x, 3))
    )
)
@settings(max_examples=60, deadline=None)
def test_the_alignment_is_the_cheapest_way(cost):
    path = align(cost)
    assert path[0].tolist() == [0, 0]
    assert path[-1].tolist() == [cost.shape[0] - 1, cost.shape[1] - 1]
    assert {tuple(step) for step in np.diff(path, axis=0).tolist()} <= {(0, 1), (1, 0), (1, 1)}
    assert cost[path[:, 0], path[:, 1]].sum() == pytest.approx(cheapest(cost))


def test_a_clip_is_like_itself_however_it_stands_and_turns(model):
    clip = walkers(0, 40, 1, 20)
    same = compare(model, clip, clip)
    assert same.cosine == pytest.approx(1, abs=1e-6)
    assert same.mean_mm == pytest.approx(0, abs=1e-3)
    assert same.tempo == 1
    moved = compare(model, clip, clip[:, :, :, [2, 1, 0]] * np.float32([1, 1, -1]) + np.float32([3, 0, 1]))
    assert moved.mean_mm == pytest.approx(0, abs=0.1)
    assert moved.cosine == pytest.approx(1, abs=1e-4)


def test_the_same_motion_at_half_the_pace_is_aligned(model):
    clip = walkers(0, 40, 1, 20)
    slow = np.repeat(clip, 2, axis=0)
    aligned = compare(model, clip, slow)
    assert aligned.tempo == 2
    assert aligned.mean_mm == pytest.approx(0, abs=1e-3)
    assert (aligned.path[:, 1] // 2 == aligned.path[:, 0]).all()


def test_a_hand_elsewhere_is_named_with_its_distance_and_time(model):
    clip = walkers(0, 40, 1, 20)
    other = clip.copy()
    hand = KINECT1.joints.index("left_hand")
    other[15:25, 0, hand, 1] += 0.5
    found = compare(model, clip, other)
    assert max(found.by_joint_mm, key=found.by_joint_mm.get) == "left_hand"
    step = found.path[found.parting]
    assert 15 <= step[1] < 25
    assert found.distance[found.parting, hand] == pytest.approx(0.5, abs=0.05)
    rest = [value for name, value in found.by_joint_mm.items() if name != "left_hand"]
    assert max(rest) < found.by_joint_mm["left_hand"] / 3


def test_absent_joints_do_not_count(model):
    clip = walkers(0, 40, 1, 20)
    gone = clip.copy()
    hand = KINECT1.joints.index("left_hand")
    gone[:, 0, hand] = 0
    found = compare(model, clip, gone)
    assert np.isnan(found.by_joint_mm["left_hand"])
    assert found.mean_mm == pytest.approx(0, abs=1e-3)


def test_two_clips_on_a_side_are_refused(model):
    with pytest.raises(DataError, match="the second: expected one clip of at most 6,000 frames, got 2 clips"):
        compare(model, walkers(0, 40, 1, 20), [walkers(0, 40, 1, 20)] * 2)


def test_the_command_says_where_they_part_and_draws_it(cli, model, tmp_path):
    model.save(tmp_path / "model")
    clips = [Recording(f"c{k}", walkers(k, 40 + k, 1, 20)) for k in range(2)]
    store_recordings(clips, tmp_path / "store", layout="kinect_v1", fps=30.0)
    words = [f"{tmp_path / 'store'}:c0", f"{tmp_path / 'store'}:c1"]
    found = cli("compare", tmp_path / "model", *words, "--out", tmp_path / "c.png", "--json")
    assert found.code == 0, found.err
    expected = compare(model, clips[0].frames, clips[1].frames)
    assert found.json["mean_mm"] == pytest.approx(expected.mean_mm, rel=1e-3)
    assert f"mean distance of a joint: {expected.mean_mm:.0f} mm" in found.out
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.size == (1300, 845)
    found = cli("compare", tmp_path / "model", words[0], f"{tmp_path / 'store'}:c7")
    assert (found.code, found.err.count("\n")) == (2, 1)
