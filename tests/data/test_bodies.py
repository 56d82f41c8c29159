import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers

from pcm3.data.bodies import bodies_of, choose_bodies, energy, repair
from pcm3.data.prepare import Recipe, prepare
from pcm3.data.recording import Recording
from pcm3.errors import DataError
from pcm3.geometry import present_joints
from pcm3.normalisation import normalise
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")


def energy_slowly(body):
    """METHOD "bodies" for one body (T, V, C): sum over x, y, z of the deviation over the frames it is in."""
    total, seen = 0.0, [frame for frame in body if frame.any()]
    for axis in range(3):
        values = [joint[axis] for frame in seen for joint in frame]
        if values:
            mean = sum(values) / len(values)
            total += (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    return total


def repair_slowly(body, room=300):
    """METHOD "length" for one body (T, V, C), as the released code does it: in an array with room for 300 frames."""
    frames = len(body)
    padded = np.zeros((room, *body.shape[1:]))
    padded[:frames] = body
    if not padded.any():
        return padded[:frames]
    if not padded[0].any():
        kept = [frame for frame in padded if frame.any()]
        padded = np.array(kept + [np.zeros(body.shape[1:])] * (room - len(kept)))
    for t in range(room):
        if not padded[t:].any():
            looped = [padded[k % t] for k in range(room - t)]
            padded[t:] = looped
            break
    return padded[:frames]


def patchy(seed, frames, bodies):
    random = np.random.default_rng(seed)
    clip = walkers(seed, frames, bodies, joints=5).astype(np.float64)
    for body in range(bodies):
        clip[random.random(frames) < random.choice([0, 0.3, 0.9]), body] = 0
        clip[: random.integers(frames + 1) * random.integers(2), body] = 0
    return clip


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), frames=st.integers(1, 40), bodies=st.integers(1, 4))
def test_choice_and_repair_agree_with_the_slow_version(seed, frames, bodies):
    clip = patchy(seed, frames, bodies)
    energies = [energy_slowly(clip[:, body]) for body in range(bodies)]
    order = sorted(range(bodies), key=lambda body: -energies[body])[:2]
    expected = np.zeros((frames, 2, 5, 3))
    for place, body in enumerate(order):
        expected[:, place] = repair_slowly(clip[:, body])
    np.testing.assert_allclose(np.maximum(energy(bodies_of(clip)), 0), energies, atol=1e-6)
    np.testing.assert_allclose(repair(choose_bodies(bodies_of(clip), 2)).frames, expected, atol=1e-6)


def body(*frames):
    """One body of one joint that stands at x = 1, 2, … in the frames; 0 is an empty frame."""
    return np.array([[[[float(x), 0, 0]]] for x in frames])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1, 2, 3), (1, 2, 3)),
        ((1, 2, 0, 0, 0), (1, 2, 1, 2, 1)),
        ((0, 0, 1, 2, 3), (1, 2, 3, 1, 2)),
        ((1, 0, 2, 3), (1, 0, 2, 3)),
        ((1, 0, 2, 0, 0), (1, 0, 2, 1, 0)),
        ((0, 1, 0, 2, 0), (1, 2, 1, 2, 1)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_empty_frames_are_shifted_and_looped(before, after):
    np.testing.assert_array_equal(repair(bodies_of(body(*before))).frames, body(*after))


def test_the_more_lively_body_comes_first_and_noise_bodies_go():
    frames = walkers(0, 20, 3)
    lively = frames[:, 1] * 2
    clip = np.stack([frames[:, 0], lively, frames[:, 2] * 0.1], axis=1)
    chosen = choose_bodies(bodies_of(clip), 2).frames
    np.testing.assert_array_equal(chosen[:, 0], lively)
    np.testing.assert_array_equal(chosen[:, 1], frames[:, 0])


def test_frames_without_the_body_do_not_count_for_its_energy():
    clip = walkers(0, 20, 1)
    gappy = np.concatenate([clip, np.zeros_like(clip)])
    np.testing.assert_allclose(energy(bodies_of(gappy)), energy(bodies_of(clip)))


def test_joints_that_are_absent_do_not_count_for_the_energy_of_their_body():
    whole = walkers(0, 20, 1)
    without = whole.copy()
    without[:, :, [3, 7]] = 0
    np.testing.assert_allclose(energy(bodies_of(without)), energy(bodies_of(np.delete(whole, [3, 7], axis=2))))


def test_missing_bodies_are_zeros():
    assert choose_bodies(bodies_of(walkers(0, 4, 1)), 2).frames.shape == (4, 2, 25, 3)
    assert not choose_bodies(bodies_of(walkers(0, 4, 1)), 2).frames[:, 1].any()


def test_prepare_cuts_chooses_repairs_and_normalises_in_this_order():
    frames = walkers(4, 310, 3)
    frames[:5, 0] = 0
    recording = Recording("x", frames, label=3)
    (prepared,) = prepare(recording, Recipe(KINECT, 2, max_frames=300))
    chosen = repair(choose_bodies(bodies_of(frames[:300]), 2)).frames
    np.testing.assert_array_equal(prepared.frames, normalise(chosen, present_joints(chosen), KINECT))
    assert (prepared.id, prepared.label, prepared.frames.dtype) == ("x", 3, np.float32)
    (raw,) = prepare(recording, Recipe(KINECT, 2, normalise=False, max_frames=None))
    np.testing.assert_array_equal(raw.frames, repair(choose_bodies(bodies_of(frames), 2)).frames)


def test_prepare_has_nothing_of_a_recording_without_skeleton_and_refuses_another_layout():
    assert prepare(Recording("x", np.zeros((4, 1, 25, 3), np.float32)), Recipe(KINECT, 2)) == ["x"]
    assert prepare(Recording("x", np.zeros((0, 1, 25, 3), np.float32)), Recipe(KINECT, 2)) == ["x"]
    with pytest.raises(DataError, match=r"x: expected frames \(T, M, 25, C\), got \(4, 1, 20, 3\)"):
        prepare(Recording("x", np.ones((4, 1, 20, 3), np.float32)), Recipe(KINECT, 2))
