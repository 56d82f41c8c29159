"""Detection: windows around frames, the classifier and its training, smoothing, segments, and what they come to."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from fitted import detection, recordings
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy import toy_encoder

from pcm3.data.protocol import split
from pcm3.data.recording import Interval, Recording
from pcm3.data.store_writer import write_store
from pcm3.errors import ConfigError, DataError
from pcm3.geometry import stream
from pcm3.settings.tasks import DetectionSettings
from pcm3.skeleton import load_layout
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.classifier import fresh_head
from pcm3.tasks.detection.evaluate import compare, fit_detector, true_actions
from pcm3.tasks.detection.frame_classifier import FrameClassifier, frame_scores, train_epoch
from pcm3.tasks.detection.segments import find_actions, smooth
from pcm3.tasks.detection.windows import RecordingBank, frame_labels

CPU = torch.device("cpu")
KINECT1 = load_layout("kinect_v1")
CLASSES = ("bow", "wave", "sit down")
QUICK = DetectionSettings(epochs=2, windows=4, batch=16, test_every=1)


def session(number, intervals, frames=150):
    """Somebody who stands still but for the actions: in each, joints of its class are elsewhere."""
    rng = np.random.default_rng(number)
    joints = np.broadcast_to(np.random.default_rng(99).normal(scale=0.3, size=(20, 3)), (frames, 1, 20, 3)).copy()
    joints += rng.normal(scale=0.01, size=joints.shape)
    for start, stop, label in intervals:
        joints[start:stop, 0, 4 + 4 * label : 8 + 4 * label, 2] += 0.5
    marked = tuple(Interval(*interval) for interval in intervals)
    return Recording(f"s{number}", joints.astype(np.float32), subject=number, intervals=marked)


def sessions():
    """Four recordings of unlike length, three actions each with background between, and one without any action."""
    made = []
    for number in range(4):
        first = 2 + 3 * number
        places = [(first, first + 30, number % 3), (60, 90, (number + 1) % 3), (110, 140, (number + 2) % 3)]
        made.append(session(number, places, frames=150 + 7 * number))
    return [*made, session(4, [], 40)]


def write(path, recordings, **changes):
    about = {"layout": KINECT1, "fps": 30.0, "bodies": 1, "kind": "npz", "classes": CLASSES}
    protocols = {"xsub": {"by": "subject", "train": [0, 1, 4]}}
    return write_store(path, recordings, **(about | {"protocols": protocols} | changes))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "store", sessions())


@pytest.fixture
def bank(store):
    return RecordingBank.of(store, "joint", CPU)


TRAIN, TEST = np.array([0, 1, 4]), np.array([2, 3])


def encoder_of(direction="causal", seed=0):
    return toy_encoder(bodies=1, joints=20, direction=direction, seed=seed)


# Frames and windows


def test_a_frame_has_the_class_of_its_action_plus_one(store, bank):
    expected = []
    for recording in sessions():
        labels = [0] * len(recording.frames)
        for interval in recording.intervals:
            labels[interval.start : interval.stop] = [interval.label + 1] * (interval.stop - interval.start)
        expected += labels
    assert frame_labels(store).tolist() == expected == bank.label.tolist()
    assert bank.labels(4).tolist() == [0] * 40


def test_where_actions_overlap_the_later_one_has_the_frames(tmp_path):
    one = write(tmp_path / "s", [session(0, [(20, 40, 1), (10, 25, 0)], 50)])
    assert frame_labels(one).tolist() == [0] * 10 + [1] * 10 + [2] * 20 + [0] * 10


def test_detection_needs_whole_recordings_and_a_class_for_each_action(tmp_path, write_tiny):
    with pytest.raises(DataError, match=r"expected untrimmed recordings .* without --trim"):
        RecordingBank.of(write_tiny(tmp_path / "clips"), "joint", CPU)
    with pytest.raises(DataError, match="expected actions with a class to detect, got 1 of 2 without one"):
        RecordingBank.of(write(tmp_path / "s", [session(0, [(10, 25, 0), (30, 40, -1)], 50)]), "joint", CPU)


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_a_window_is_the_stretch_around_its_frame_whose_ends_stand_still(store, name):
    bank = RecordingBank.of(store, name, CPU)
    places = [(0, 0, 4), (1, 80, 3), (2, 163, 5), (4, 20, 4), (3, 32, 1)]
    recording, frame, stride = torch.tensor(places).T
    windows = bank.windows(recording, frame, stride, 16)
    assert windows.dtype == torch.float32
    for window, (number, centre, step) in zip(windows, places, strict=True):
        whole = store.recordings.clip(number)
        taken = [whole[min(max(centre + step * (k - 8), 0), len(whole) - 1)] for k in range(16)]
        np.testing.assert_array_equal(window.numpy(), stream(np.stack(taken), name, KINECT1))
    if name == "joint":
        np.testing.assert_array_equal(windows[3, 8].numpy(), store.recordings.clip(4)[20])


def test_a_test_window_is_64_frames_of_which_every_4th_is_seen(store):
    bank, defaults = RecordingBank.of(store, "joint", CPU), DetectionSettings()
    bank.frames[:] = torch.arange(len(bank.frames))[:, None, None, None]
    window = bank.windows(torch.tensor([1]), torch.tensor([70]), torch.tensor([defaults.test_stride]), defaults.frames)
    assert (window[0, :, 0, 0, 0] - 150).tolist() == list(range(70 - 32, 70 + 32, 4))


# Smoothing and segmenting


def scores_of(labels, classes=3):
    """Scores of somebody who is sure."""
    return np.eye(1 + classes)[np.asarray(labels)]


shares = st.lists(st.lists(st.integers(1, 9), min_size=4, max_size=4), min_size=1, max_size=60).map(
    lambda rows: np.array(rows, float) / np.sum(rows, axis=1, keepdims=True)
)


@settings(deadline=None, max_examples=40)
@given(shares, st.integers(0, 12))
def test_smoothing_is_the_mean_over_the_frames_from_reach_before_to_just_before_reach_after(scores, reach):
    slow = []
    for t in range(len(scores)):
        there = [scores[u] for u in range(t - reach, t + reach) if 0 <= u < len(scores)] or [scores[t]]
        slow.append(sum(there) / len(there))
    np.testing.assert_allclose(smooth(scores, reach), np.array(slow), atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(shares, st.sampled_from([0.4, 0.7, 0.9, 1.0]))
def test_actions_are_the_runs_of_frames_that_are_not_background(scores, activity):
    slow, run = [], []
    for t in range(len(scores) + 1):
        if t < len(scores) and 1 - scores[t, 0] >= activity:
            run.append(t)
        elif run:
            mean = np.mean([scores[u, 1:] for u in run], axis=0)
            slow.append((int(np.argmax(mean)), run[0], run[-1] + 1, float(np.max(mean))))
            run = []
    found = find_actions(scores, activity)
    assert [action[:3] for action in found] == [action[:3] for action in slow]
    np.testing.assert_allclose([action[3] for action in found], [action[3] for action in slow])


def test_an_activity_of_exactly_the_threshold_is_enough():
    scores = np.array([[0.6, 0.3, 0.1, 0.0], [0.61, 0.39, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    assert find_actions(scores, 0.4) == [(0, 0, 1, 0.3), (1, 2, 3, 1.0)]
    assert find_actions(np.empty((0, 4)), 0.4) == []


@pytest.mark.parametrize(
    ("intervals", "found"),
    [
        # 8 of the 20 frames are enough: it begins 2 frames early and ends 3 late.
        ([(100, 140, 2)], [(98, 143, 2)]),
        ([(100, 108, 0)], [(98, 111, 0)]),
        ([(100, 107, 0)], []),
        # Of the frames between two actions 13 must be background, or they are found as one: the longer.
        ([(50, 80, 0), (93, 140, 1)], [(48, 83, 0), (91, 143, 1)]),
        ([(50, 80, 0), (92, 140, 1)], [(48, 143, 1)]),
        ([(0, 30, 0), (170, 200, 1)], [(0, 33, 0), (168, 200, 1)]),
    ],
)
def test_what_smoothing_costs_even_if_every_frame_is_told_right(intervals, found):
    labels = np.zeros(200, int)
    for start, stop, label in intervals:
        labels[start:stop] = label + 1
    actions = find_actions(smooth(scores_of(labels), 10), 0.4)
    assert [(start, stop, label) for label, start, stop, _ in actions] == found


# The task


class Told(nn.Module):
    """Is told the label: it is the coordinate of every joint of the frame that the window is around."""

    width = 4

    def embed(self, clips):
        return nn.functional.one_hot(clips[:, clips.shape[1] // 2, 0, 0, 0].long(), 4).float()


@pytest.fixture
def telling(bank):
    """The recordings, with the label of the frame in every coordinate instead of a person."""
    bank.frames[:] = bank.label[:, None, None, None].float()
    return bank


def test_a_classifier_that_tells_every_frame_right_reaches_the_ceiling(telling):
    sure = DetectionSettings(epochs=40, lr=10.0, drop_epochs=[], test_every=40)
    result = detection(Told(), telling, TRAIN, TEST, 3, sure, 0, "frozen")
    assert result.metrics["frame_accuracy"] == result.ceiling["frame_accuracy"] == 100
    assert result.ceiling["map_a_voc"] == 100
    assert 80 < result.ceiling["ap_2d_official"] < 90, "30 frames become 35"
    for name, value in result.ceiling.items():
        # The soft scores of a trained classifier may move a border by a frame.
        assert result.metrics[name] == pytest.approx(value, abs=6), name
    unsmoothed = detection(Told(), telling, TRAIN, TEST, 3, replace(sure, smoothing=0), 0, "frozen")
    assert unsmoothed.ceiling == pytest.approx(dict.fromkeys(unsmoothed.ceiling, 100.0))
    assert unsmoothed.metrics == pytest.approx(dict.fromkeys(unsmoothed.metrics, 100.0))
    assert [tuple(column.tolist()) for column in (unsmoothed.predicted.start, unsmoothed.predicted.stop)] == [
        tuple(column.tolist()) for column in (unsmoothed.true.start, unsmoothed.true.stop)
    ]
    assert next(iter(result.metrics)) == "map_a_voc"
    assert result.normalised is True


def test_an_encoder_that_learns_finds_the_actions(bank):
    short = DetectionSettings(
        epochs=25, lr=0.1, windows=16, strides=(1, 2), test_stride=1, smoothing=3, drop_epochs=[20], test_every=25
    )
    result = detection(encoder_of(), bank, TRAIN, TEST, 3, short, 0, "tuned")
    assert result.metrics["map_a_voc"] > 60
    assert result.metrics["best_map_a_voc"] >= result.metrics["map_a_voc"]
    assert set(result.predicted.video.tolist()) == {2, 3}


@pytest.mark.parametrize("use", ["frozen", "tuned"])
@pytest.mark.parametrize("training", [True, False])
def test_the_encoder_stays_as_it_was(bank, use, training):
    encoder = encoder_of().train(training)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    detection(encoder, bank, TRAIN, TEST, 3, QUICK, 0, use)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(module.training == training for module in encoder.modules())
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize("use", ["frozen", "tuned"])
def test_the_same_seed_gives_the_same_bits(bank, use):
    def run(seed):
        result = detection(encoder_of(), bank, TRAIN, TEST, 3, replace(QUICK, activity=0.7), seed, use)
        return result.metrics, result.predicted.start.tolist(), result.predicted.confidence.tolist()

    assert run(0) == run(0)
    assert run(0)[2] != run(1)[2]


def test_fine_tuning_moves_all_weights_of_a_copy_and_the_head_alone_is_moved_where_it_is_frozen(bank):
    for use in ("frozen", "tuned"):
        encoder = encoder_of()
        classifier = FrameClassifier.fresh(encoder, 3, "clip", use, torch.Generator().manual_seed(0))
        before = {name: tensor.clone() for name, tensor in classifier.encoder.state_dict().items()}
        head = classifier.linear.weight.detach().clone()
        optimiser = torch.optim.SGD(classifier.trained(), 0.1)
        train_epoch(classifier, optimiser, bank, torch.from_numpy(TRAIN), QUICK, torch.Generator().manual_seed(0))
        frame_scores(classifier, bank, 2, QUICK)
        changed = [name for name, old in before.items() if not torch.equal(old, classifier.encoder.state_dict()[name])]
        assert changed == ([] if use == "frozen" else list(before))
        assert (classifier.encoder is encoder) == (use == "frozen")
        assert not torch.equal(head, classifier.linear.weight)
        assert all(module.training for module in classifier.encoder.modules())


def test_the_copy_trains_in_training_mode_even_if_the_encoder_comes_from_a_file_in_eval_mode():
    encoder = encoder_of().eval()
    tuned = FrameClassifier.fresh(encoder, 3, "clip", "tuned", torch.Generator().manual_seed(0)).encoder
    assert tuned.norm.training
    assert not encoder.norm.training


def test_scores_of_a_frame_do_not_depend_on_the_batch_and_are_those_of_its_window(bank, monkeypatch):
    classifier = FrameClassifier.fresh(encoder_of(), 3, "clip", "frozen", torch.Generator().manual_seed(0))
    scores = frame_scores(classifier, bank, 1, QUICK)
    assert scores.shape == (157, 4)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    monkeypatch.setattr("pcm3.tasks.detection.frame_classifier.TEST_BATCH", 10)
    np.testing.assert_allclose(frame_scores(classifier, bank, 1, QUICK), scores, rtol=1e-5)
    window = bank.windows(torch.tensor([1]), torch.tensor([60]), torch.tensor([4]), 16)
    classifier.encoder.eval()
    alone = classifier.linear(classifier.encoder.embed(window)).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(scores[60], alone[0], rtol=1e-5)


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_the_classifier_may_see_the_feature_of_the_centre_frame(bank, direction):
    encoder = encoder_of(direction).eval()
    window = bank.windows(torch.tensor([1, 2]), torch.tensor([60, 3]), torch.tensor([4, 4]), 16)
    for feature, seen in (("centre", encoder.frames(window)[:, 8]), ("clip", encoder.embed(window))):
        classifier = FrameClassifier.fresh(encoder, 3, feature, "frozen", torch.Generator().manual_seed(0))
        torch.testing.assert_close(classifier(window), classifier.linear(seen))
    with pytest.raises(ConfigError, match="expected clip, as RawCoordinates has no feature of a frame"):
        FrameClassifier.fresh(RawCoordinates(16, 1, 20), 3, "centre", "frozen", torch.Generator())


@pytest.mark.parametrize("use", ["frozen", "tuned"])
def test_raw_coordinates_serve_as_an_encoder(bank, use):
    result = detection(RawCoordinates(16, 1, 20), bank, TRAIN, TEST, 3, replace(QUICK, lr=0.1), 0, use)
    assert result.metrics["frame_accuracy"] > 0


class Watched(Told):
    """Keeps the windows that it is shown, by the number of the frame that is in every coordinate."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def embed(self, clips):
        self.shown.append(clips[..., 0, 0, 0].long())
        return torch.zeros(len(clips), 4)


def test_an_epoch_draws_16_windows_of_each_recording_with_steps_from_3_to_5(bank):
    bank.frames[:] = torch.arange(len(bank.frames))[:, None, None, None].float()
    watched, wanted = Watched(), DetectionSettings(windows=400)
    classifier = FrameClassifier.fresh(watched, 3, "clip", "frozen", torch.Generator().manual_seed(0))
    optimiser = torch.optim.SGD(classifier.trained(), 0.01)
    train_epoch(classifier, optimiser, bank, torch.tensor([0, 1]), wanted, torch.Generator().manual_seed(0))
    assert {len(batch) for batch in watched.shown[:-1]} == {64}
    windows = torch.cat(watched.shown)
    assert len(windows) == 800
    centre = windows[:, 8]
    assert [int(((centre >= first) & (centre < first + length)).sum()) for first, length in ((0, 150), (150, 157))] == [
        400,
        400,
    ]
    assert len(centre.unique()) > 0.85 * 307, "any frame"
    inside = windows[(centre > 45) & (centre < 100)]
    steps = inside.diff(dim=1)
    assert (steps == steps[:, :1]).all()
    share = torch.bincount(steps[:, 0], minlength=6)[3:].double() / len(steps)
    assert share.tolist() == pytest.approx([1 / 3] * 3, abs=0.1)
    assert DetectionSettings().windows == 16
    assert (centre[:100] >= 150).double().mean() == pytest.approx(0.5, abs=0.2), "in random order"


def test_the_classifier_is_trained_by_sgd_with_nesterov_momentum_on_the_label_of_the_centre_frame(bank):
    """Softmax regression by the book, in float64, on the windows that were shown."""
    wanted = DetectionSettings(epochs=5, windows=8, batch=16, lr=0.3, drop_epochs=[2, 4])
    table = torch.randn(len(bank.frames), 4, generator=torch.Generator().manual_seed(5))
    label = bank.label.numpy()
    bank.frames[:] = torch.arange(len(bank.frames))[:, None, None, None].float()

    class Table(Watched):
        def embed(self, clips):
            super().embed(clips)
            return table[self.shown[-1][:, 8]]

    seen = Table()
    linear = fit_detector(seen, recordings(bank, TRAIN), wanted, 0, "frozen").linear
    weight = fresh_head(4, 4, torch.Generator().manual_seed(0)).weight.detach().double().numpy()
    bias, speed_w, speed_b = np.zeros(4), np.zeros((4, 4)), np.zeros(4)
    for step, batch in enumerate(seen.shown[:10]):
        lr = (0.3, 0.3, 0.03, 0.03, 0.003)[step // 2]
        rows = batch[:, 8].numpy()
        features = table[rows].double().numpy()
        scores = np.exp(features @ weight.T + bias)
        error = scores / scores.sum(axis=1, keepdims=True) - np.eye(4)[label[rows]]
        gradient_w, gradient_b = error.T @ features / len(rows), error.mean(axis=0)
        speed_w, speed_b = 0.9 * speed_w + gradient_w, 0.9 * speed_b + gradient_b
        weight, bias = weight - lr * (gradient_w + 0.9 * speed_w), bias - lr * (gradient_b + 0.9 * speed_b)
    np.testing.assert_allclose(linear.weight.detach().numpy(), weight, atol=1e-5)
    np.testing.assert_allclose(linear.bias.detach().numpy(), bias, atol=1e-5)


def test_the_best_epoch_is_told_of_those_that_were_looked_at(telling):
    wild = DetectionSettings(epochs=6, lr=30.0, windows=1, batch=1, smoothing=0, test_every=1, drop_epochs=[])

    def after(epochs, every):
        return detection(
            Told(), telling, TRAIN, TEST, 3, replace(wild, epochs=epochs, test_every=every), 3, "frozen"
        ).metrics

    each = [after(epochs, 1)["map_a_voc"] for epochs in range(1, 7)]
    whole = after(6, 1)
    assert whole["map_a_voc"] == each[-1]
    assert whole["best_map_a_voc"] == max(each)
    assert len(set(each)) > 1, "or the test shows nothing"
    assert after(6, 4)["best_map_a_voc"] == max(each[3], each[5])


def test_it_is_looked_at_every_so_many_epochs_and_after_the_last(bank):
    seen = []
    wanted = replace(QUICK, epochs=5, test_every=2)
    detector = fit_detector(encoder_of(), recordings(bank, TRAIN), wanted, 0, "frozen", seen.append)
    assert seen == [detector] * 3


def test_the_true_actions_are_those_of_the_recordings_from_their_own_first_frame_on(store):
    true = true_actions(store, np.array([3, 1]))
    columns = (true.video, true.label, true.start, true.stop)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == [
        (1, 1, 5, 35), (1, 2, 60, 90), (1, 0, 110, 140), (3, 0, 11, 41), (3, 1, 60, 90), (3, 2, 110, 140),
    ]  # fmt: skip
    assert len(true_actions(store, np.array([4]))) == 0


def test_a_test_side_without_an_action_cannot_be_judged(bank):
    with pytest.raises(DataError, match="expected labelled actions in the test recordings, found none"):
        detection(encoder_of(), bank, TRAIN, np.array([4]), 3, QUICK, 0, "frozen")


def test_recordings_are_split_as_clips_are(store):
    train, test = split(store.recordings, "xsub")
    assert (train.tolist(), test.tolist()) == (TRAIN.tolist(), TEST.tolist())


def test_noise_scores_far_below_1(bank, store):
    rng = np.random.default_rng(0)

    def noise(recording):
        scores = rng.random((int(bank.length[recording]), 4)) ** 6
        return scores / scores.sum(axis=1, keepdims=True)

    wanted = DetectionSettings(smoothing=3, activity=0.7)
    figures, _ = compare(noise, recordings(bank, TEST), true_actions(store, TEST), wanted)
    assert all(value < 50 for value in figures.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "detection.epochs: expected at least 1, got 0"),
        ({"frames": 0}, "detection.frames: expected at least 1"),
        ({"lr": 0.0}, "detection.lr: expected more than 0"),
        ({"strides": (5, 3)}, r"detection.strides: expected two steps, 1 <= least <= greatest, got \(5, 3\)"),
        ({"feature": "last"}, "detection.feature: expected clip, centre or frame, got last"),
        ({"smoothing": -1}, "detection.smoothing: expected not negative"),
        ({"activity": 1.5}, "detection.activity"),
        ({"overlap": 0.0}, "detection.overlap: expected more than 0"),
        ({"drop_epochs": [0]}, "detection.drop_epochs"),
    ],
)
def test_settings_that_make_no_sense_are_named(changes, message):
    DetectionSettings().check()
    wrong = DetectionSettings()
    for name, value in changes.items():
        object.__setattr__(wrong, name, value)
    with pytest.raises(ConfigError, match=message):
        wrong.check()


def test_the_defaults_are_the_protocols():
    known = DetectionSettings(
        epochs=60, lr=0.01, batch=64, drop_epochs=[50], windows=16, frames=16, strides=(3, 5), test_stride=4,
        feature="clip", smoothing=10, activity=0.4, overlap=0.5, test_every=20,
    )  # fmt: skip
    assert DetectionSettings() == known


DATA = os.environ.get("PCM3_DATA")


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="PCM3_DATA does not name a folder with the real data sets")
def test_real_recordings_lose_most_to_smoothing_where_actions_follow_one_another(imported):
    store = imported("utkinect")
    bank, test = RecordingBank.of(store, "joint", CPU), split(store.recordings, "xsub")[1]
    true = true_actions(store, test)
    ceilings = {}
    for smoothing in (10, 5, 0):
        wanted = DetectionSettings(smoothing=smoothing)
        figures, _ = compare(lambda one: scores_of(bank.labels(one), 10), recordings(bank, test, 10), true, wanted)
        ceilings[smoothing] = round(figures["map_a_voc"])
    assert len(true) == 99
    # At 15 frames a second, twenty frames are 1.3 s; a quarter of the pauses are shorter than the 13 that it takes.
    assert ceilings == {10: 63, 5: 90, 0: 97}
