"""Detectors on a causal encoder's own feature of each frame of the whole recording: no frame knows a later one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy import toy_encoder

from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.data.store_writer import write_store
from pcm3.errors import ConfigError
from pcm3.settings.tasks import DetectionSettings
from pcm3.skeleton import load_layout
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.detection.evaluate import LabelledRecordings, fit_detector
from pcm3.tasks.detection.frame_classifier import FrameClassifier, frame_scores
from pcm3.tasks.detection.windows import BEYOND, RecordingBank
from pcm3.tasks.heads import load_head

CPU = torch.device("cpu")
CLASSES = ("bow", "wave")
SETTINGS = DetectionSettings(epochs=40, lr=0.5, drop_epochs=[30], windows=4, stretch=60, batch=8, feature="frame")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three recordings of 90, 100 and 110 frames in which joints of the class are elsewhere from 20 to 50."""
    made = []
    for number in range(3):
        rng = np.random.default_rng(number)
        frames = np.broadcast_to(np.random.default_rng(9).normal(scale=0.3, size=(20, 3)), (90 + 10 * number, 1, 20, 3))
        frames = frames + rng.normal(scale=0.01, size=frames.shape)
        label = number % 2
        frames[20:50, 0, 4 + 4 * label : 8 + 4 * label, 2] += 0.5
        made.append(Recording(f"r{number}", frames.astype(np.float32), intervals=(Interval(20, 50, label),)))
    about = {"layout": load_layout("kinect_v1"), "fps": 30.0, "bodies": 1, "kind": "npz", "classes": CLASSES}
    return ClipStore.open(write_store(tmp_path_factory.mktemp("s") / "store", made, protocols={}, **about).path)


@pytest.fixture
def bank(store):
    return RecordingBank.of(store, "joint", CPU)


def encoder_of(direction="causal"):
    return toy_encoder(bodies=1, joints=20, direction=direction).eval()


def test_stretches_are_pieces_of_recordings_and_beyond_the_end_nothing_is_labelled(bank):
    clips, label = bank.stretches(torch.tensor([0, 2]), torch.tensor([10, 80]), 45)
    assert torch.equal(clips[0], bank.whole(0)[10:55])
    assert torch.equal(clips[1, :30], bank.whole(2)[80:])
    assert torch.equal(clips[1, 30:], bank.whole(2)[-1:].expand(15, -1, -1, -1))
    assert label[0].tolist() == [0] * 10 + [1] * 30 + [0] * 5
    assert label[1].tolist() == [0] * 30 + [BEYOND] * 15


@torch.no_grad()
def test_scores_are_the_linear_layer_on_the_frames_of_the_whole_recording(bank):
    encoder = encoder_of()
    classifier = FrameClassifier.fresh(encoder, 2, "frame", "frozen", torch.Generator().manual_seed(0))
    scores = frame_scores(classifier, bank, 1, SETTINGS)
    expected = classifier.linear(encoder.frames(bank.whole(1)[None])[0]).double().softmax(dim=1)
    np.testing.assert_array_equal(scores, expected)
    some = torch.tensor([70, 3])
    np.testing.assert_array_equal(frame_scores(classifier, bank, 1, SETTINGS, some), scores[[70, 3]])
    bank.frames[bank.start[1] + 60 :] += 1
    changed = frame_scores(classifier, bank, 1, SETTINGS)
    np.testing.assert_array_equal(changed[:60], scores[:60])
    assert not np.allclose(changed[60:], scores[60:])


def test_a_fitted_one_tells_frames(bank):
    detector = fit_detector(encoder_of(), LabelledRecordings(bank, np.arange(3), CLASSES), SETTINGS, 0, "frozen")
    for recording in range(3):
        told = detector.scores(encoder_of(), bank, recording).argmax(axis=1)
        assert (told == bank.labels(recording).numpy()).mean() > 0.9


@pytest.mark.parametrize("use", ["frozen", "tuned"])
def test_a_saved_one_is_the_same_and_the_encoder_stays(bank, use, tmp_path):
    encoder = encoder_of()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    settings = replace(SETTINGS, epochs=1, windows=1, drop_epochs=[1])
    detector = fit_detector(encoder, LabelledRecordings(bank, np.arange(3), CLASSES), settings, 0, use)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    scores = detector.scores(encoder, bank, 1)
    np.testing.assert_array_equal(detector.score_of(encoder, bank, 1, 30), scores[30:31])
    detector.save(tmp_path / "head")
    np.testing.assert_array_equal(load_head(tmp_path / "head", encoder).scores(encoder, bank, 1), scores)


def test_the_loss_of_stretches_leaves_out_what_is_beyond_the_end(bank):
    train = LabelledRecordings(bank, np.array([0]), CLASSES)
    whole = replace(SETTINGS, epochs=1, windows=1, stretch=90, drop_epochs=[1])
    detectors = [fit_detector(encoder_of(), train, replace(whole, stretch=n), 0, "frozen") for n in (90, 150)]
    torch.testing.assert_close(detectors[0].linear.weight, detectors[1].linear.weight)


def test_an_encoder_whose_frames_know_later_ones_is_refused(store):
    generator = torch.Generator()
    with pytest.raises(ConfigError, match="as the encoder's frames know later ones, got frame: pretrain a causal one"):
        FrameClassifier.fresh(encoder_of("bidirectional"), 2, "frame", "frozen", generator)
    with pytest.raises(ConfigError, match="as RawCoordinates has no feature of a frame, got frame"):
        FrameClassifier.fresh(RawCoordinates(16, 1, 20), 2, "frame", "frozen", generator)
    with pytest.raises(ConfigError, match=r"frame expects a model of the joint stream .*, got one of motion"):
        RecordingBank.of(store, "motion", CPU).whole(0)
