import math
import os

import numpy as np
import pytest
import torch
from fitted import motion_prediction
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy import KINECT1, KINECT2, toy_encoder

import pcm3.tasks.prediction.evaluate as prediction_module
from pcm3.data.protocol import split
from pcm3.data.recording import Changes, Interval, Recording
from pcm3.errors import ConfigError, DataError
from pcm3.geometry import stream
from pcm3.report.motion import motion_strips, moving_clips
from pcm3.settings.tasks import PredictionSettings
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.prediction.decoder import MotionDecoder
from pcm3.tasks.prediction.evaluate import constant_velocity, errors_mm, fit_predictor, metrics_of, zero_velocity
from pcm3.tasks.prediction.windows import MotionBank, resample

CPU = torch.device("cpu")
QUICK = PredictionSettings(seed_frames=8, predicted_frames=4, hidden_size=8, steps=6, batch=4, test_every=3)
HORIZONS = ["mpjpe_80ms_mm", "mpjpe_160ms_mm", "mpjpe_320ms_mm", "mpjpe_400ms_mm"]
ROOT = KINECT2.root
OTHERS = [joint for joint in range(25) if joint != ROOT]


def bank_of(store, stream_name="joint", seed_frames=8, predicted_frames=4):
    return MotionBank.of(store, stream_name, seed_frames, predicted_frames, CPU)


def body(rng=None):
    """A pose (25, 3) with no joint at the origin."""
    return (rng or np.random.default_rng(3)).uniform(0.1, 1, size=(25, 3))


def moving(length, fps, velocity, pose=None):
    """Frames (T, 1, 25, 3) of a body whose joints move at their own constant velocities, m/s (25, 3)."""
    time = np.arange(length)[:, None, None] / fps
    frames = (body() if pose is None else pose) + time * velocity
    return frames[:, None].astype(np.float32)


@pytest.fixture
def store_of(write_tiny, tmp_path):
    """A store of these frames, a clip each."""

    def make(*clips, fps=25.0, intervals=None, **changes):
        recordings = [
            Recording(f"clip{number:03}", frames, 0, subject=1 + number % 2, intervals=intervals)
            for number, frames in enumerate(clips)
        ]
        about = {"fps": fps, "bodies": clips[0].shape[1], "normalised": False}
        return write_tiny(tmp_path / f"store{len(list(tmp_path.iterdir()))}", recordings, **(about | changes))

    return make


def state_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


# Resampling


def slow_resample(clip, fps, offset, size):
    """The clip (T, ...) at 25 fps as one would write it down, in float64."""
    moments = (offset + np.arange(size)) / 25
    flat = clip.reshape(len(clip), -1).astype(np.float64)
    columns = [np.interp(moments, np.arange(len(clip)) / fps, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(size, *clip.shape[1:])


@given(fps=st.sampled_from([10.0, 15.0, 20.0, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 120.0]), data=st.data())
@settings(max_examples=50, deadline=None)
def test_resampled_stretches_are_those_of_the_slow_reference(fps, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    clips = [rng.normal(size=(int(rng.integers(30, 60)), 1, 3, 2)).astype(np.float32) for _ in range(3)]
    length = torch.tensor([len(clip) for clip in clips])
    most = [int((len(clip) - 1) / fps * 25 + 1e-9) + 1 for clip in clips]
    size = min(6, *most)
    offset = [data.draw(st.integers(0, frames - size)) for frames in most]
    frames = torch.from_numpy(np.concatenate(clips))
    taken = resample(frames, length.cumsum(0) - length, length, torch.tensor(offset), size, fps)
    assert taken.shape == (3, size, 1, 3, 2)
    for found, clip, begin in zip(taken, clips, offset, strict=True):
        np.testing.assert_allclose(found.numpy(), slow_resample(clip, fps, begin, size), atol=2e-5)


def test_frames_at_25_fps_are_untouched_and_those_of_50_are_every_other():
    frames = torch.randn(60, 2, 3, 3)
    start, length, offset = torch.tensor([10]), torch.tensor([50]), torch.tensor([5])
    assert torch.equal(resample(frames, start, length, offset, 20, 25.0)[0], frames[15:35])
    assert torch.equal(resample(frames, start, length, offset, 20, 50.0)[0], frames[20:60:2])
    assert torch.equal(resample(frames.half(), start, length, offset, 20, 25.0)[0], frames[15:35].half().float())


def test_between_two_recorded_frames_a_lost_joint_is_as_in_the_nearer_and_not_half_way_to_the_origin(
    write_tiny, tmp_path
):
    """The predicted body is whole in a window; the one beside it, which the encoder sees, too, need not be."""
    frames = np.repeat(moving(40, 30, np.zeros((25, 3))), 2, axis=1)
    frames[10:20, 1, 11] = 0
    clip = Recording("clip", frames, 0, subject=1, changes=Changes(absent=10))
    store = write_tiny(tmp_path / "store", [clip], fps=30.0, bodies=2, normalised=False)
    seed = bank_of(store, seed_frames=20).take(torch.tensor([0])).seed[0].numpy()
    moments = np.arange(20) * 30 / 25
    there = np.where((np.floor(moments + 0.5) >= 10) & (np.floor(moments + 0.5) < 20), 0.0, 1.0)
    np.testing.assert_allclose(seed[:, 1, 11], there[:, None] * body()[11], atol=1e-6)


@pytest.mark.parametrize("fps", [15.0, 29.97, 30.0])
def test_linear_motion_is_resampled_without_error(store_of, fps):
    velocity = np.random.default_rng(0).normal(size=(25, 3))
    store = store_of(moving(70, fps, velocity), fps=fps)
    bank = bank_of(store)
    windows = bank.take(torch.tensor([7]))
    at = (7 + np.arange(12))[:, None, None] / 25
    poses = body() + at * velocity
    poses = (poses - poses[:, [ROOT]])[:, OTHERS]
    np.testing.assert_allclose(torch.cat([windows.past, windows.future], dim=1)[0].numpy(), poses, atol=1e-6)
    np.testing.assert_allclose(windows.seed[0, :, 0].numpy(), body() + at[:8] * velocity, atol=1e-6)


# Windows


@pytest.mark.parametrize(("fps", "length"), [(25.0, 60), (30.0, 72), (15.0, 37), (50.0, 119), (29.97, 72)])
def test_a_clip_has_a_window_from_60_frames_at_25_fps_on(store_of, fps, length):
    clips = [moving(frames, fps, np.zeros((25, 3))) for frames in (length - 1, length, length + 60)]
    assert (length - 1) / fps >= 59 / 25 > (length - 2) / fps
    bank = bank_of(store_of(*clips, fps=fps), seed_frames=50, predicted_frames=10)
    assert bank.count[0] == 0
    assert bank.count[1:].tolist() == [int((frames - 1) / fps * 25 + 1e-9) + 1 - 59 for frames in (length, length + 60)]
    assert bank.count[1] in (1, 2)
    np.testing.assert_array_equal(bank.with_windows(np.arange(3)), [1, 2])
    with pytest.raises(DataError, match=r"60 frames at 25 fps \(2.4 s\).*found none among 1"):
        bank.with_windows(np.array([0]))


def test_the_windows_of_a_clip_are_all_there_are_and_the_test_sees_the_middle_one(store_of):
    bank = bank_of(store_of(moving(12, 25, np.zeros((25, 3))), moving(16, 25, np.zeros((25, 3)))))
    assert bank.clip.tolist() == [0, 1, 1, 1, 1, 1]
    assert bank.offset.tolist() == [0, 0, 1, 2, 3, 4]
    assert bank.centre(torch.tensor([1, 0, 1])).tolist() == [3, 0, 3]
    drawn = bank.random(torch.ones(50, 100, dtype=torch.int64), torch.Generator().manual_seed(0))
    assert drawn.shape == (50, 100)
    counts = torch.bincount(drawn.flatten(), minlength=6)
    assert counts[0] == 0
    assert counts[1:].min() > 900, "all as likely"


def test_no_window_touches_a_frame_in_which_the_body_or_one_of_its_joints_is_missing(store_of):
    frames = moving(60, 25, np.zeros((25, 3)))
    frames[20] = 0
    frames[40, 0, 7] = 0
    frames[:, 0, 3] = 0  # a joint that is hardly ever there is not missed
    frames[50, 0, 3] = 1
    bank = bank_of(store_of(frames))
    assert bank.offset.tolist() == [*range(9), *range(21, 29), *range(41, 49)]
    assert bank.joints == tuple(joint for joint in OTHERS if joint != 3)
    shown = bank.bodies(bank.take(torch.tensor([0])).past[:, -1].numpy())
    assert np.isnan(shown[0, 3]).all()
    assert not shown[0, ROOT].any()
    assert not np.isnan(np.delete(shown, 3, axis=1)).any()


def test_between_recorded_frames_both_neighbours_must_be_there(store_of):
    frames = moving(60, 30, np.zeros((25, 3)))
    frames[30] = 0
    offsets = bank_of(store_of(frames, fps=30.0)).offset
    reached = [(o * 1.2, (o + 11) * 1.2) for o in range(39)]
    expected = [
        o for o, (low, high) in enumerate(reached) if math.ceil(high - 1e-9) < 30 or math.floor(low + 1e-9) > 30
    ]
    assert offsets.tolist() == expected


def test_the_centre_of_normalised_clips_counts_as_there_though_it_is_at_the_origin(store_of):
    frames = moving(20, 25, np.zeros((25, 3)))
    frames[:, :, KINECT2.centre] = 0
    assert KINECT2.centre in bank_of(store_of(frames, normalised=True)).joints
    assert KINECT2.centre not in bank_of(store_of(frames)).joints


def test_a_body_without_a_root_is_refused(store_of):
    frames = moving(20, 25, np.zeros((25, 3)))
    frames[:, :, ROOT] = 0
    with pytest.raises(DataError, match="expected body 0 to have a root \\(spine_shoulder\\)"):
        bank_of(store_of(frames))


def test_windows_of_untrimmed_recordings_stay_inside_their_clips(store_of):
    rng = np.random.default_rng(0)
    frames = rng.uniform(0.1, 1, size=(80, 1, 25, 3)).astype(np.float32)
    store = store_of(frames, intervals=(Interval(10, 30, 0), Interval(50, 63, 1)))
    bank = bank_of(store)
    assert bank.count.tolist() == [9, 2]
    taken = bank.take(torch.tensor([8, 9, 10])).seed.numpy()
    for found, begin in zip(taken, (18, 50, 51), strict=True):
        np.testing.assert_array_equal(found, frames[begin : begin + 8])


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_the_encoder_sees_the_seed_of_all_bodies_as_its_stream_and_poses_are_about_the_root(store_of, name):
    rng = np.random.default_rng(0)
    frames = rng.uniform(0.1, 1, size=(12, 2, 25, 3)).astype(np.float32)
    store = store_of(frames)
    windows = bank_of(store, name).take(torch.tensor([0]))
    torch.testing.assert_close(windows.seed[0], stream(torch.from_numpy(frames[:8]), name, store.layout))
    about = (frames[:, 0] - frames[:, 0, [ROOT]])[:, OTHERS]
    np.testing.assert_array_equal(windows.past[0].numpy(), about[:8])
    np.testing.assert_array_equal(windows.future[0].numpy(), about[8:])


# Error


def test_errors_are_millimetres_mean_over_joints():
    true = torch.zeros(2, 3, 4, 3)
    predicted = true.clone()
    predicted[0, 1, 2] = torch.tensor([0.003, 0.004, 0.0])  # 5 mm at one of four joints
    predicted[1, :, :, 0] = torch.tensor([0.1, 0.2, 0.3])[:, None]
    np.testing.assert_allclose(errors_mm(predicted, true).numpy(), [[0, 1.25, 0], [100, 200, 300]], rtol=1e-6)


def test_figures_are_means_over_clips_and_frames_and_at_the_2nd_4th_8th_and_10th_frame():
    errors = np.arange(20, dtype=np.float64).reshape(2, 10)
    found = metrics_of(errors)
    assert list(found) == ["mpjpe_mm", *HORIZONS, "best_mpjpe_mm"]
    assert list(found.values()) == [9.5, 6.0, 8.0, 12.0, 14.0, 9.5]
    assert list(metrics_of(errors[:, :4])) == ["mpjpe_mm", *HORIZONS[:2], "best_mpjpe_mm"]


def test_zero_and_constant_velocity_are_exact_on_constant_velocity(store_of):
    velocity = np.zeros((25, 3))
    velocity[OTHERS] = [0.3, 0.0, 0.4]  # 0.5 m/s, 20 mm a frame, about a root that stands
    clips = [moving(60, 25, velocity), moving(59, 25, velocity), moving(75, 25, 2 * velocity)]
    bank = bank_of(store_of(*clips), seed_frames=50, predicted_frames=10)
    still = zero_velocity(bank, np.array([0, 1, 2]))
    expected = {
        "mpjpe_mm": 165.0,
        **dict(zip(HORIZONS, [60.0, 120.0, 240.0, 300.0], strict=True)),
        "best_mpjpe_mm": 165.0,
    }
    assert still.metrics == pytest.approx(expected, rel=1e-5)
    assert still.skipped == 1
    np.testing.assert_array_equal(still.clips, [0, 2])
    assert still.predicted.shape == (2, 10, 24, 3)
    assert constant_velocity(bank, np.array([0, 1, 2])).metrics["mpjpe_mm"] == pytest.approx(0, abs=1e-3)


def slow_zero_velocity(store, numbers, seed_frames, predicted_frames):
    """MPJPE of the baseline in millimetres, clip by clip, and the clips that are long enough."""
    size, means, kept = seed_frames + predicted_frames, [], []
    for number in numbers:
        clip = store.clip(int(number))[:, 0].astype(np.float64)
        frames = math.floor((len(clip) - 1) * 25 / store.fps + 1e-9) + 1
        if frames < size:
            continue
        window = slow_resample(clip, store.fps, (frames - size) // 2, size)
        about = np.delete(window - window[:, [store.layout.root]], store.layout.root, axis=1)
        distances = np.linalg.norm(about[seed_frames:] - about[seed_frames - 1], axis=-1)
        means.append(1000 * distances.mean())
        kept.append(int(number))
    return np.mean(means), kept


def test_zero_velocity_of_clips_at_30_fps_is_that_of_the_slow_reference(store):
    expected, kept = slow_zero_velocity(store, range(24), 40, 10)
    found = zero_velocity(bank_of(store, seed_frames=40, predicted_frames=10), np.arange(24))
    assert 0 < len(kept) < 24
    assert found.clips.tolist() == kept
    assert found.metrics["mpjpe_mm"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.data
@pytest.mark.skipif("PCM3_DATA" not in os.environ, reason="PCM3_DATA does not name a folder with the real data sets")
def test_zero_velocity_of_utd_mhad(imported):
    store = imported("utd-mhad")
    train, test = split(store, "xsub")
    expected, kept = slow_zero_velocity(store, test, 50, 10)
    bank = bank_of(store, seed_frames=50, predicted_frames=10)
    found = zero_velocity(bank, test)
    assert found.clips.tolist() == kept
    assert (len(kept), len(bank.with_windows(train))) == (144, 144)
    assert found.metrics["mpjpe_mm"] == pytest.approx(expected, rel=1e-4) == pytest.approx(39.7, abs=0.05)


def test_who_walks_without_moving_a_limb_is_predicted_without_error(store_of):
    bank = bank_of(store_of(moving(40, 25, np.full((25, 3), 1.5))))
    assert zero_velocity(bank, np.array([0])).metrics["mpjpe_mm"] == pytest.approx(0, abs=1e-3)


# The decoder


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slow_decode(weights, feature, pose, frames):
    """The decoder in float64, from the equations of Cho et al. 2014 in torch's order of gates."""
    w = {name: tensor.numpy().astype(np.float64) for name, tensor in weights.items()}
    hidden = np.tanh(w["start.weight"] @ feature + w["start.bias"])
    poses = []
    for _ in range(frames):
        r_x, z_x, n_x = np.split(w["gru.weight_ih"] @ pose + w["gru.bias_ih"], 3)
        r_h, z_h, n_h = np.split(w["gru.weight_hh"] @ hidden + w["gru.bias_hh"], 3)
        reset, update = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
        hidden = (1 - update) * np.tanh(n_x + reset * n_h) + update * hidden
        pose = pose + w["velocity.weight"] @ hidden + w["velocity.bias"]
        poses.append(pose)
    return np.stack(poses)


def test_the_decoder_is_that_of_the_slow_reference():
    torch.manual_seed(0)
    decoder = MotionDecoder(width=5, pose=6, hidden_size=7)
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.5)
    feature, pose = torch.randn(3, 5), torch.randn(3, 6)
    found = decoder(feature, pose, 4).detach().numpy()
    for clip in range(3):
        slow = slow_decode(decoder.state_dict(), feature[clip].double().numpy(), pose[clip].double().numpy(), 4)
        np.testing.assert_allclose(found[clip], slow, atol=1e-5)


def test_a_decoder_starts_as_zero_velocity():
    decoder = MotionDecoder(5, 6, 7)
    pose = torch.randn(3, 6)
    assert torch.equal(decoder(torch.randn(3, 5), pose, 10), pose[:, None].expand(3, 10, 6))


# Training


@pytest.fixture
def waving(store_of):
    """20 clips in which hands and feet swing as sines, each clip at its own speed, phase and width."""
    rng = np.random.default_rng(0)
    clips = []
    for _ in range(20):
        frames = moving(40, 25, np.zeros((25, 3)))
        time, speed, phase = np.arange(40) / 25, rng.uniform(0.5, 1.5), rng.uniform(0, 2 * np.pi)
        swing = rng.uniform(0.1, 0.3) * np.sin(2 * np.pi * speed * time + phase)
        frames[:, 0, [7, 11, 15, 19], 2] += swing[:, None].astype(np.float32)
        clips.append(frames)
    return store_of(*clips)


TRAIN, TEST = np.arange(14), np.arange(14, 20)


@pytest.mark.parametrize("use", ["frozen", pytest.param("tuned", marks=pytest.mark.soak)])
def test_learning_beats_zero_velocity(waving, use):
    bank = bank_of(waving, predicted_frames=10)
    encoder = toy_encoder(bodies=1, hidden_size=16, layers=1)
    chosen = PredictionSettings(8, 10, hidden_size=32, steps=100, batch=16, lr=1e-2, test_every=50)
    still = zero_velocity(bank, TEST).metrics
    learned = motion_prediction(encoder, bank, TRAIN, TEST, chosen, 0, use).metrics
    assert list(learned) == list(still)
    assert learned["mpjpe_mm"] < 0.75 * still["mpjpe_mm"]
    assert learned["mpjpe_400ms_mm"] < 0.75 * still["mpjpe_400ms_mm"]
    assert learned["best_mpjpe_mm"] <= learned["mpjpe_mm"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("use", ["frozen", "tuned"])
@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_the_encoder_given_stays_as_it_is(waving, direction, use, training):
    encoder = toy_encoder(bodies=1, direction=direction).train(training)
    before = state_of(encoder)
    motion_prediction(encoder, bank_of(waving), TRAIN, TEST, QUICK, 0, use)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(module.training == training for module in encoder.modules())
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize("use", ["frozen", "tuned"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(waving, use):
    def predicted(seed):
        torch.rand(seed + 1)  # the global generator is not used
        return motion_prediction(toy_encoder(bodies=1), bank_of(waving), TRAIN, TEST, QUICK, seed, use)

    first = predicted(0)
    again, other = predicted(0), predicted(1)
    np.testing.assert_array_equal(first.predicted, again.predicted)
    assert first.metrics == again.metrics
    assert not np.array_equal(first.predicted, other.predicted)


def test_nothing_random_is_taken_from_the_global_generator(waving):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    motion_prediction(toy_encoder(bodies=1), bank_of(waving), TRAIN, TEST, QUICK, 0, "frozen")
    assert torch.equal(torch.get_rng_state(), before)


def test_encoding_a_frozen_encoders_windows_ahead_changes_nothing(waving, monkeypatch):
    def predicted():
        return motion_prediction(toy_encoder(bodies=1), bank_of(waving), TRAIN, TEST, QUICK, 0, "frozen").predicted

    ahead = predicted()
    monkeypatch.setattr(prediction_module, "AHEAD", 1)
    monkeypatch.setattr(prediction_module, "AT_ONCE", 3)
    np.testing.assert_allclose(predicted(), ahead, atol=1e-5)


class LastFrame(nn.Module):
    """What it says of a frame is where a joint of body 0 is, and it says nothing of clips."""

    width = frame_width = 3

    def frames(self, clips):
        return clips[:, :, 0, 7]

    def embed(self, clips):
        raise NotImplementedError


def test_the_decoder_starts_from_the_feature_of_the_last_seed_frame(waving, monkeypatch):
    seen = []
    forward = MotionDecoder.forward
    monkeypatch.setattr(MotionDecoder, "forward", lambda *given: seen.append(given[1]) or forward(*given))
    bank = bank_of(waving)
    motion_prediction(LastFrame(), bank, TRAIN, TEST, QUICK, 0, "frozen")
    expected = bank.take(bank.centre(torch.from_numpy(TEST))).seed[:, -1, 0, 7]
    assert torch.equal(seen[-1], expected)
    raw = RawCoordinates(8, 1, 25)
    motion_prediction(raw, bank, TRAIN, TEST, QUICK, 0, "frozen")
    assert seen[-1].shape == (len(TEST), raw.width)


def test_fine_tuning_moves_the_encoder_and_freezing_does_not_see_the_training_clips(waving):
    encoder = toy_encoder(bodies=1)
    bank = bank_of(waving)
    results = [motion_prediction(encoder, bank, TRAIN, TEST, QUICK, 0, use) for use in ("frozen", "tuned")]
    assert not np.array_equal(results[0].predicted, results[1].predicted)


def test_test_clips_are_not_trained_on_and_the_last_step_is_the_figure(waving):
    bank, encoder = bank_of(waving), toy_encoder(bodies=1)
    one = motion_prediction(encoder, bank, TRAIN, TEST, QUICK, 0, "frozen")
    seen = []
    fit_predictor(encoder, bank, TRAIN, QUICK, 0, "frozen", seen.append)
    assert len(seen) == 2
    fewer = motion_prediction(encoder, bank, TRAIN, TEST[:2], QUICK, 0, "frozen")
    np.testing.assert_allclose(fewer.predicted, one.predicted[:2], atol=1e-6)
    true = bank.take(bank.centre(torch.from_numpy(TEST))).future
    assert one.metrics["mpjpe_mm"] == pytest.approx(errors_mm(torch.from_numpy(one.predicted), true).mean().item())


def test_clips_without_a_window_are_left_out_and_counted(store_of):
    clips = [moving(length, 25, np.full((25, 3), 0.1)) for length in (12, 11, 30, 30, 5, 30)]
    bank = bank_of(store_of(*clips))
    result = motion_prediction(RawCoordinates(8, 1, 25), bank, np.arange(3), np.arange(3, 6), QUICK, 0, "frozen")
    assert result.skipped == 1
    np.testing.assert_array_equal(result.clips, [3, 5])
    with pytest.raises(DataError, match="found none among 1"):
        motion_prediction(RawCoordinates(8, 1, 25), bank, np.array([1]), np.array([2]), QUICK, 0, "frozen")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"steps": 0}, "prediction.steps: expected at least 1, got 0"),
        ({"seed_frames": 1}, "prediction.seed_frames: expected at least 2, got 1"),
        ({"lr": 0.0}, "prediction.lr: expected more than 0, got 0.0"),
        ({"gradient_norm": float("nan")}, "prediction.gradient_norm: expected a finite number, got nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, told):
    PredictionSettings().check()
    with pytest.raises(ConfigError, match=told):
        PredictionSettings(**change).check()


# The picture


def test_the_picture_shows_lively_clips_at_every_horizon(waving, tmp_path):
    bank = bank_of(waving, predicted_frames=10)
    result = zero_velocity(bank, np.arange(20))
    shown = moving_clips(result, bank, 2)
    assert len(shown) == 2
    for name, clip in shown.items():
        number = next(n for n in range(20) if str(waving.ids[n]) in name)
        assert waving.classes[0] in name
        np.testing.assert_array_equal(
            clip.true, bank.bodies(bank.take(bank.centre(torch.tensor([number]))).future.numpy())[0]
        )
        np.testing.assert_array_equal(clip.predicted, np.broadcast_to(clip.last_pose, clip.predicted.shape))
    motion_strips(shown, waving.layout, False, tmp_path / "new" / "motion.png")
    assert (tmp_path / "new" / "motion.png").read_bytes().startswith(b"\x89PNG")


def test_one_clip_is_shown_once_however_many_are_asked_for(store_of):
    bank = bank_of(store_of(moving(20, 25, np.zeros((25, 3)))))
    assert len(moving_clips(zero_velocity(bank, np.array([0])), bank, 5)) == 1


def test_the_root_of_both_layouts_is_one_joint():
    assert (KINECT1.joints[KINECT1.root], KINECT2.joints[ROOT]) == ("shoulder_centre", "spine_shoulder")
