"""Features of test recordings that are made once where the encoder stays as it is."""

import numpy as np
import pytest
import torch
from fitted import detection
from toy import toy_encoder

from pcm3.data.recording import Interval, Recording
from pcm3.data.store_writer import write_store
from pcm3.settings.tasks import DetectionSettings
from pcm3.skeleton import load_layout
from pcm3.tasks.detection.frame_classifier import FrameClassifier, KeptFeatures, frame_scores
from pcm3.tasks.detection.windows import RecordingBank

THREE_LOOKS = DetectionSettings(epochs=3, windows=4, batch=16, test_every=1)
TRAIN, TEST = np.array([0, 1]), np.array([2, 3])


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Four recordings of 90 to 120 frames, an action in each."""
    generator = np.random.default_rng(0)
    recordings = [
        Recording(
            f"r{number}",
            generator.normal(size=(90 + 10 * number, 1, 20, 3)).astype(np.float32),
            intervals=(Interval(20, 50, number % 2),),
        )
        for number in range(4)
    ]
    about = {"layout": load_layout("kinect_v1"), "fps": 30.0, "bodies": 1, "kind": "npz", "classes": ("bow", "wave")}
    store = write_store(tmp_path_factory.mktemp("s") / "store", recordings, protocols={}, **about)
    return RecordingBank.of(store, "joint", torch.device("cpu"))


def encoder_of(direction="causal"):
    return toy_encoder(bodies=1, joints=20, direction=direction, seed=0)


def windows_in_eval_mode(encoder, monkeypatch):
    """Counts, from now on, the clips that the encoder encodes in eval mode, as all of a frozen one are."""
    seen, embed = [], type(encoder).embed

    def counting(self, clips):
        seen.append(len(clips))
        return embed(self, clips)

    monkeypatch.setattr(type(encoder), "embed", counting)
    return seen


def test_a_frozen_encoder_sees_each_test_window_once_however_often_the_detector_is_scored(bank, monkeypatch):
    encoder = encoder_of()
    seen = windows_in_eval_mode(encoder, monkeypatch)
    detection(encoder, bank, TRAIN, TEST, 2, THREE_LOOKS, 0, "frozen")
    trained = THREE_LOOKS.epochs * len(TRAIN) * THREE_LOOKS.windows
    assert sum(seen) == trained + int(bank.length[TEST].sum())


def test_a_tuned_encoder_sees_them_at_each_look(bank, monkeypatch):
    encoder = encoder_of()
    seen = windows_in_eval_mode(encoder, monkeypatch)
    detection(encoder, bank, TRAIN, TEST, 2, THREE_LOOKS, 0, "tuned")
    trained = THREE_LOOKS.epochs * len(TRAIN) * THREE_LOOKS.windows
    assert sum(seen) == trained + THREE_LOOKS.epochs * int(bank.length[TEST].sum())


@pytest.mark.parametrize(
    ("feature", "direction"), [("clip", "bidirectional"), ("centre", "causal"), ("frame", "causal")]
)
def test_kept_features_change_no_bit_of_the_scores(bank, feature, direction):
    generator = torch.Generator().manual_seed(0)
    classifier = FrameClassifier.fresh(encoder_of(direction), 2, feature, "frozen", generator)
    kept = KeptFeatures()
    for recording in (1, 2, 1):
        scores = frame_scores(classifier, bank, recording, THREE_LOOKS)
        np.testing.assert_array_equal(frame_scores(classifier, bank, recording, THREE_LOOKS, kept=kept), scores)
        with torch.no_grad():
            classifier.linear.weight.mul_(2)
    some = torch.tensor([70, 3])
    np.testing.assert_allclose(
        frame_scores(classifier, bank, 1, THREE_LOOKS, some, kept),
        frame_scores(classifier, bank, 1, THREE_LOOKS)[some],
        rtol=1e-5,
    )


def test_what_there_is_no_room_for_is_made_anew():
    kept, made = KeptFeatures(room=100), []

    def encode(frames):
        made.append(frames)
        return torch.zeros(frames, 4)

    for _ in range(2):
        for recording, frames in enumerate((5, 3, 1)):  # 80, 48 and 16 bytes
            assert kept.of(recording, lambda frames=frames: encode(frames)).shape == (frames, 4)
    assert made == [5, 3, 1, 3]
