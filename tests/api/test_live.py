"""Streams: what is told of frames as they come is what is told of the recording, or the window, that they make."""

import numpy as np
import pytest
import torch
from ntu_file_text import walkers

import pcm3
from pcm3.api.live import Windows
from pcm3.data.importer import store_recordings
from pcm3.data.live.clock import TimedFrame
from pcm3.data.recording import Interval, Recording
from pcm3.encoders.files import save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import ConfigError, DataError
from pcm3.settings.encoder import KINDS
from pcm3.settings.tasks import DetectionSettings, LinearSettings
from pcm3.skeleton import load_layout

KINECT1 = load_layout("kinect_v1")
CAUSAL = [kind for kind, row in KINDS.items() if "causal" in row.directions]
OF_FRAMES = DetectionSettings(epochs=1, windows=2, stretch=60, drop_epochs=[1], feature="frame")
OF_WINDOWS = DetectionSettings(epochs=1, windows=2, frames=8, drop_epochs=[1])
SHORT = LinearSettings(epochs=2, drop_epochs=[1])


def loaded(folder, kind="gru", direction="causal", bodies=2, rule="upright", normalised=True):
    features = ("joint", "motion4", "bone")
    fed = {"frames": 16, "fps": 30.0, "normalised": normalised, "rule": rule, "gaps": True}
    spec = EncoderSpec(KINECT1, bodies, 6, 2, direction, "mean", "joint", kind=kind, input_features=features, **fed)
    save_encoder(folder, spec.build(3), spec)
    return pcm3.load(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return loaded(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    path = tmp_path_factory.mktemp("sessions") / "store"
    made = [
        Recording(f"r{k}", walkers(k, 120, 2, 20), intervals=(Interval(5, 35, k), Interval(60, 100, 1 - k)))
        for k in range(2)
    ]
    store_recordings(made, path, layout="kinect_v1", fps=30.0, classes=["bow", "wave"])
    return path


@pytest.fixture(scope="module")
def head(model, sessions):
    return model.fit_detector(sessions, settings=OF_FRAMES)


@pytest.fixture(scope="module")
def classifier(model):
    return model.fit_classifier([walkers(k, 40, 2, 20) for k in range(4)], list("abab"), settings=SHORT)


def pushed(stream, frames, times=None):
    """What comes of every frame."""
    times = [None] * len(frames) if times is None else times
    return [stream.push(frame, time) for frame, time in zip(frames, times, strict=True)]


def shares_of(results):
    return np.stack([result.shares for result in results])


# A causal encoder, frame by frame


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("use", ["frozen", "tuned"])
def test_streamed_scores_are_those_of_the_whole_recording(tmp_path, sessions, kind, use):
    head = loaded(tmp_path / "model", kind).fit_detector(sessions, settings=OF_FRAMES, use=use)
    head.save(tmp_path / "head")
    recording = walkers(7, 150, 2, 20)
    stream = pcm3.load_head(tmp_path / "head").stream(up="y")
    results = pushed(stream, recording)
    assert results[:29] == [None] * 29
    whole = head.predict_proba(recording, up="y")
    np.testing.assert_allclose(shares_of(results[29:]), whole[29:], atol=1e-5)
    assert [result.time for result in results[29:]] == pytest.approx([k / 30 for k in range(29, 150)])
    assert stream.delay == 0


@pytest.mark.parametrize(("rule", "normalised"), [("released", True), ("upright", False)])
def test_likewise_by_the_other_rule_and_of_frames_that_are_not_turned(tmp_path, sessions, rule, normalised):
    model = loaded(tmp_path / "model", rule=rule, normalised=normalised)
    recordings = [walkers(k, 120, 2, 20) for k in range(2)]
    made = [Recording(f"r{k}", clip, intervals=(Interval(5, 35, k),)) for k, clip in enumerate(recordings)]
    store_recordings(
        made, tmp_path / "s", layout="kinect_v1", fps=30.0, classes=["bow", "wave"], rule=rule, normalise=normalised
    )
    head = model.fit_detector(tmp_path / "s", settings=OF_FRAMES)
    results = pushed(head.stream(), recordings[0])
    np.testing.assert_allclose(shares_of(results[29:]), head.predict_proba(recordings[0])[29:], atol=1e-5)


def test_which_way_is_up_is_found_in_the_first_second(head):
    about = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)
    recording = upright_walk(120) @ about.T
    stream = head.stream()
    results = pushed(stream, recording)
    up = stream.start.up
    assert [round(float(number)) for number in up.split(",")] == [0, 0, -1] or stream.start.notes
    np.testing.assert_allclose(shares_of(results[29:]), head.predict_proba(recording, up=up)[29:], atol=1e-5)


def upright_walk(frames):
    """Somebody who stands along y: the joints of the legs below."""
    recording = walkers(1, frames, 1, 20)
    for place, part in enumerate(KINECT1.parts):
        recording[:, :, list(part), 1] += -1.0 if place > 2 else 1.0
    return recording


def test_people_who_come_and_go_keep_their_places(head):
    recording = walkers(8, 150, 2, 20)
    recording[:10] = 0  # nobody yet
    recording[60:110, 1] = 0
    recording[120:, 0] = 0
    results = pushed(head.stream(up="y"), recording)
    assert [result is None for result in results[:40]] == [True] * 39 + [False]
    np.testing.assert_allclose(shares_of(results[39:]), head.predict_proba(recording, up="y")[39:], atol=1e-5)


def test_frames_of_nobody_are_told_of_too_and_a_stream_goes_on_after_them(head):
    recording = walkers(8, 150, 1, 20)
    recording[50:100] = np.nan
    results = pushed(head.stream(up="y"), recording)
    whole = head.predict_proba(recording, up="y")
    np.testing.assert_allclose(shares_of(results[29:]), whole[29:], atol=1e-5)


def test_another_rate_is_resampled_as_a_recording_is(head):
    recording = walkers(9, 240, 2, 20)
    for fps in (60.0, 50.0):
        stream = head.stream(fps=fps, up="y")
        results = [result for result in pushed(stream, recording) if result is not None]
        whole = head.predict_proba(recording, fps=fps, up="y")
        assert len(results) == len(whole) - 29
        np.testing.assert_allclose(shares_of(results), whole[29:], atol=1e-5)
        assert stream.delay == pytest.approx(1 / fps)


def test_times_that_are_given_are_as_good_as_a_rate_and_jitter_is_evened_out(head):
    recording = walkers(9, 120, 2, 20)
    steady = pushed(head.stream(up="y"), recording)
    timed = pushed(head.stream(up="y"), recording, [100 + k / 30 for k in range(120)])
    np.testing.assert_allclose(shares_of(timed[29:]), shares_of(steady[29:]), atol=1e-4)
    assert timed[-1].time == pytest.approx(100 + 119 / 30)
    with pytest.raises(DataError, match=r"time: expected more than that of the frame before \(0.1 s\), got 0.1"):
        pushed(head.stream(), recording[:5], [0.0, 0.1, 0.1, 0.2, 0.3])


def test_after_a_pause_a_stream_begins_anew(head):
    recording = walkers(9, 120, 2, 20)
    stream = head.stream(up="y")
    pushed(stream, recording, [k / 30 for k in range(120)])
    again = pushed(stream, recording, [60 + k / 30 for k in range(120)])
    fresh = pushed(head.stream(up="y"), recording, [k / 30 for k in range(120)])
    np.testing.assert_allclose(shares_of(again[29:]), shares_of(fresh[29:]), atol=1e-4)


def test_gaps_are_held_and_nothing_later_is_known(head):
    recording = walkers(10, 120, 2, 20)
    recording[50:56, 0, 11] = 0
    recording[70:, 1, 3] = np.nan
    recording[80:84, 0, KINECT1.centre] = 0
    results = pushed(head.stream(up="y"), recording)
    other = recording.copy()
    other[90:] = walkers(11, 30, 2, 20)
    changed = pushed(head.stream(up="y"), other)
    np.testing.assert_array_equal(shares_of(changed[29:90]), shares_of(results[29:90]))
    whole = head.predict_proba(recording, up="y")
    np.testing.assert_allclose(shares_of(results[29:50]), whole[29:50], atol=1e-5)


def test_a_model_streams_the_features_of_frames(model):
    recording = walkers(12, 90, 2, 20)
    results = pushed(model.stream(up="y"), recording)
    features = np.stack([result.feature for result in results[29:]])
    # The first and last frames of a clip that nobody is in are cut off by `frames`; here somebody always is.
    np.testing.assert_allclose(features, model.frames(recording, up="y")[29:], atol=1e-4)


# Anything else: windows


def test_a_streamed_class_is_that_of_the_window(classifier):
    recording = walkers(13, 100, 2, 20)
    recording[40:45, 0, 11] = np.nan
    results = pushed(classifier.stream(window=1.0, hop=4), recording)
    told = {frame: result for frame, result in enumerate(results) if result is not None}
    assert list(told) == list(range(29, 100, 4))
    for frame, result in told.items():
        window = recording[frame - 29 : frame + 1]
        np.testing.assert_allclose(result.shares, classifier.predict_proba(window), atol=1e-5)
        assert result.label == classifier.predict(window)
        assert result.share == result.shares.max()


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_a_streamed_action_is_that_of_the_frame_in_the_middle_of_the_window(tmp_path, sessions, direction):
    head = loaded(tmp_path / "model", direction=direction).fit_detector(sessions, settings=OF_WINDOWS)
    recording = walkers(14, 80, 2, 20)
    stream = head.stream(hop=5, up="y")
    results = pushed(stream, recording)
    assert stream.delay == pytest.approx(12 / 30)
    assert [frame for frame, result in enumerate(results) if result] == list(range(28, 80, 5))
    for frame in range(28, 80, 5):
        window = head.predict_proba(recording[frame - 28 : frame + 1], up="y")
        np.testing.assert_allclose(results[frame].shares, window[16], atol=1e-5)
        assert results[frame].time == pytest.approx((frame - 12) / 30)


def test_features_of_windows_are_those_that_embed_gives(tmp_path):
    model = loaded(tmp_path / "model", direction="bidirectional")
    recording = walkers(15, 50, 1, 20)
    results = pushed(model.stream(window=1.0, hop=10), recording)
    for frame in (29, 39, 49):
        np.testing.assert_allclose(results[frame].feature, model.embed(recording[frame - 29 : frame + 1]), atol=1e-5)


def test_where_nobody_is_there_is_no_label(classifier):
    stream = classifier.stream(window=0.5, hop=1)
    assert pushed(stream, np.zeros((15, 20, 3)))[-1].label is None
    assert stream.push(walkers(0, 1, 1, 20)[0]).label is not None


# What is pushed


def test_joints_by_name_and_other_layouts_are_retargeted(classifier):
    kinect2 = load_layout("kinect_v2")
    recording = walkers(16, 40, 1, 25)
    expected = pushed(classifier.stream(window=1.0, layout="kinect_v2", up="y"), recording)[29]
    named = [dict(zip(kinect2.joints, frame[0].tolist(), strict=True)) for frame in recording]
    by_name = pushed(classifier.stream(window=1.0, up="y"), named)[29]
    np.testing.assert_allclose(by_name.shares, expected.shares, atol=1e-5)
    window = classifier.predict_proba(recording[:30], layout="kinect_v2", up="y")
    np.testing.assert_allclose(expected.shares, window, atol=1e-5)


def test_a_frame_that_is_refused_changes_nothing(classifier):
    recording = walkers(17, 40, 1, 20)
    stream = classifier.stream(window=1.0, hop=1)
    for frame in recording[:20]:
        stream.push(frame)
    wrong = [
        (np.zeros((25, 3)), r"expected a frame \(20, 3\) or \(bodies, 20, 3\) of kinect_v1 in metres, got \(25, 3\)"),
        (np.full((20, 3), 5000.0), "expected metres, got 5000"),
        ([[1, 2], [3]], "got numbers in another form"),
        ({"hipp_left": [0, 0, 0]}, "cannot be retargeted"),
        ({KINECT1.joints[0]: [0, 0]}, "expected x, y and z in metres, or null"),
        ([{}], "expected joints by name"),
    ]
    for frame, message in wrong:
        with pytest.raises(DataError, match=message):
            stream.push(frame)
    results = [stream.push(frame) for frame in recording[20:]]
    np.testing.assert_allclose(results[9].shares, classifier.predict_proba(recording[:30]), atol=1e-5)
    stream.close()
    with pytest.raises(ConfigError, match="expected an open stream"):
        stream.push(recording[0])


def test_settings_that_make_no_sense_are_named(classifier, head, tmp_path):
    for wrong in ({"window": 0.0}, {"window": float("nan")}, {"hop": 0}, {"fps": -1.0}, {"up": "north"}):
        with pytest.raises(ConfigError, match=f"setting {next(iter(wrong))}: expected"):
            classifier.stream(**wrong)
    with pytest.raises(DataError, match="expected a layout"):
        head.stream(layout="kinect_v9")
    released = loaded(tmp_path / "model", rule="released")
    with pytest.raises(ConfigError, match="setting up: expected it only where clips are turned upright"):
        released.stream(up="y")
    with pytest.raises(ConfigError, match="expected a model of three dimensions to stream"):
        loaded(tmp_path / "flat", rule="flat").stream()


def test_streams_of_one_head_do_not_know_each_other(head):
    one, other = walkers(18, 60, 1, 20), walkers(19, 60, 1, 20)
    first, second = head.stream(up="y"), head.stream(up="y")
    mixed = [(first.push(a), second.push(b)) for a, b in zip(one, other, strict=True)]
    alone = pushed(head.stream(up="y"), other)
    np.testing.assert_array_equal(shares_of([pair[1] for pair in mixed[29:]]), shares_of(alone[29:]))
    assert not torch.is_grad_enabled() or not head.model.encoder.training


def test_no_window_goes_over_a_pause():
    windows = Windows(3, 2, lambda clip, time: (time, clip[:, 0, 0, 0].tolist()))
    frames = [np.full((1, 1, 3), number, np.float32) for number in range(9)]
    told = [windows.read(TimedFrame(float(number), frame, number in (0, 5))) for number, frame in enumerate(frames)]
    assert [one for one in told if one is not None] == [(2.0, [0, 1, 2]), (4.0, [2, 3, 4]), (7.0, [5, 6, 7])]
