"""An encoder that learned from whole clips, fed with clips from which joints are absent for a while.

Wherever a model meets clips it is adapted to their gaps: an absent joint leads nowhere, it does not leap to the origin.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy import KINECT2

from pcm3.api import Model
from pcm3.clips import ClipBank, extract
from pcm3.data.recording import Changes, Interval
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.spec import ClipFormat, EncoderSpec
from pcm3.geometry import input_feature
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.tasks import DetectionSettings, LinearSettings, PredictionSettings, TaskSettings
from pcm3.tasks.detection.evaluate import LabelledRecordings, fit_detector
from pcm3.tasks.detection.windows import RecordingBank
from pcm3.tasks.evaluate import LoadedEncoder, evaluate
from pcm3.tasks.prediction.evaluate import fit_predictor
from pcm3.tasks.prediction.windows import MotionBank
from pcm3.train.plan import spec_for

MOVING = EncoderSettings(
    kind="gru", hidden_size=6, layers=1, direction="causal", pooling="mean", input_features=["motion"]
)


@pytest.fixture
def torn(recordings, write_tiny, tmp_path):
    """The tiny store, of which a hand is not seen for longer than an import fills."""
    clips = [replace(clip, changes=Changes(absent=18)) for clip in recordings]
    for clip in clips:
        clip.frames[12:30, 0, 11] = 0
    made = write_tiny(tmp_path / "store", clips)
    assert made.has_gaps
    return made


def loaded(store, tiny, gaps):
    """A model with the same weights, whether it learned from clips with gaps or not."""
    settings = tiny(steps=1)
    spec = spec_for(store, settings).with_encoder(MOVING)
    spec = replace(spec, gaps=gaps, frames=16)
    return LoadedEncoder(store.path, spec.build(0).eval(), spec)


def bank_of(store):
    return ClipBank.of(store, "joint", 16, torch.device("cpu"))


def test_features_are_those_of_an_encoder_that_knew_of_gaps_from_the_beginning(torn, tiny):
    told, untold = loaded(torn, tiny, gaps=True).encoder, loaded(torn, tiny, gaps=False).encoder
    every = np.arange(len(torn))
    assert torch.equal(extract(untold, bank_of(torn), every), extract(told, bank_of(torn), every))
    with torch.no_grad():
        leapt = untold.embed(bank_of(torn).centre(torch.from_numpy(every)))
    assert not torch.allclose(leapt, extract(told, bank_of(torn), every), atol=1e-3), "so the store does tell"


@pytest.mark.parametrize("task", ["linear-cached", pytest.param("finetune", marks=pytest.mark.soak)])
def test_tasks_come_to_the_same(torn, tiny, task):
    settings = TaskSettings(head=LinearSettings(epochs=1))
    found = []
    for gaps in (True, False):
        made = loaded(torn, tiny, gaps)
        few = {"seeds": 1, "baselines": 0, "device": "cpu"}
        found.append(evaluate(task, [made], torn, "xsub", settings, **few).rows[0].metrics)
    assert found[0] == found[1]


@pytest.fixture
def torn_sessions(recordings, write_tiny, tmp_path):
    """Untrimmed recordings of two people, of whom the second loses a hand again and again."""
    made = []
    for clip in recordings[:4]:
        frames = np.repeat(clip.frames[:40], 2, axis=0)
        frames[:, 1] = frames[:, 0] + np.float32(0.7)
        frames[np.arange(80) // 10 % 2 == 1, 1, 11] = 0
        intervals = (Interval(5, 35, 0), Interval(40, 70, 1))
        made.append(replace(clip, frames=frames, label=-1, intervals=intervals, changes=Changes(absent=40)))
    store = write_tiny(tmp_path / "sessions", made)
    assert store.has_gaps
    return store


@pytest.mark.parametrize("use", ["frozen", "tuned"])
def test_heads_of_frames_and_windows_come_to_the_same(torn_sessions, tiny, use):
    store, found = torn_sessions, []
    for gaps in (True, False):
        encoder = loaded(store, tiny, gaps).encoder
        bank, cpu = RecordingBank.of(store, "joint", torch.device("cpu")), torch.device("cpu")
        seen = LabelledRecordings(bank, np.arange(3), store.classes)
        quick = DetectionSettings(epochs=1, windows=4, batch=16, test_every=1)
        detector = fit_detector(encoder, seen, quick, 0, use)
        motions = MotionBank.of(store, "joint", 8, 4, cpu)
        brief = PredictionSettings(seed_frames=8, predicted_frames=4, hidden_size=8, steps=3, batch=4)
        predictor = fit_predictor(encoder, motions, np.arange(len(store)), brief, 0, use)
        kept = replace(predictor, tuned=None if predictor.tuned is None else loaded(store, tiny, gaps).encoder)
        windows = motions.take(torch.arange(6))
        found.append([
            *detector.linear.parameters(), torch.from_numpy(detector.scores(encoder, bank, 3)),
            *predictor.decoder.parameters(), predictor.predict(encoder, motions, windows),
            kept.predict(encoder, motions, windows),
        ])  # fmt: skip
    assert all(torch.equal(told, untold) for told, untold in zip(*found, strict=True))


def test_a_model_embeds_and_has_features_of_frames_alike(torn, tiny):
    pair = (loaded(torn, tiny, gaps) for gaps in (True, False))
    models = [Model(made.encoder, made.spec, torch.device("cpu")) for made in pair]
    np.testing.assert_array_equal(models[0].embed(torn), models[1].embed(torn))


def test_frames_that_come_one_at_a_time_are_fed_alike(torn, tiny):
    pair, came = [loaded(torn, tiny, gaps) for gaps in (True, False)], torn.clip(5) + np.float32(0.1)
    came[5:25, 0, 11] = came[:, 1] = 0
    live = []
    for made in pair:
        model = Model(made.encoder, replace(made.spec, rule="upright"), torch.device("cpu"))
        with model.stream(fps=30.0) as stream:
            live.append([result.feature for frame in came[:, :1] if (result := stream.push(frame)) is not None])
    assert len(live[0]) > 5
    np.testing.assert_array_equal(live[0], live[1])


def test_a_stream_that_loses_a_joint_is_as_with_a_model_that_knew_of_gaps():
    torch.manual_seed(0)
    encoder = Encoder(1, 25, hidden_size=6, layers=1, pooling="mean", input_features=("motion",)).eval()
    clips = torch.randn(2, 12, 1, 25, 3)
    clips[:, 4:7, :, 11] = 0
    told = encoder.with_gaps()
    assert told.gaps
    assert not encoder.gaps
    assert all(mine is its for mine, its in zip(encoder.parameters(), told.parameters(), strict=True))
    state, features = None, []
    for frame in clips.unbind(1):
        feature, state = told.step(frame, state)
        features.append(feature)
    with torch.no_grad():
        torch.testing.assert_close(torch.stack(features, dim=1), told.frames(clips))
        assert not torch.allclose(encoder.frames(clips), told.frames(clips), atol=1e-3)


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("stream", ["joint", "bone", "motion"])
def test_of_whole_clips_an_encoder_makes_the_same_to_the_bit_told_or_not(stream, direction):
    features = ["joint", "bone"]
    if stream != "motion":  # whose last frame has none, which counts as absent for motions of it
        features += ["motion", "motion4", "motion8"]
    settings = replace(MOVING, direction=direction, input_features=features)
    encoder = EncoderSpec.of(settings, ClipFormat(KINECT2, 2), stream, 16).build(0).eval()
    clips = torch.randn(3, 16, 2, 25, 3, generator=torch.Generator().manual_seed(0))
    clips[:, :, 0, KINECT2.centre] = 0  # where it stands
    clips[2, :, 1] = 0  # nobody
    seen, whole = (
        input_feature(clips, stream, KINECT2.parents, gaps, False, KINECT2.at_origin) for gaps in (True, False)
    )
    assert torch.equal(seen, whole)
    with torch.no_grad():
        assert torch.equal(encoder.with_gaps().frames(seen), encoder.frames(whole))


def test_views_that_lose_joints_are_of_an_encoder_that_knows(store, tiny):
    assert not spec_for(store, tiny()).gaps
    assert spec_for(store, tiny({"views.flicker": 0.2})).gaps
