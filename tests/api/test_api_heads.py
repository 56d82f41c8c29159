"""Heads with their models: what `evaluate` scored is what they tell, saved, loaded, of arrays and stores alike."""

import shutil

import numpy as np
import pytest
from ntu_file_text import walkers

import pcm3
from pcm3.api.expectation import Expected, ExpectedScores
from pcm3.api.fitting import is_unknown
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.encoders.files import save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import CheckpointError, ConfigError, DataError
from pcm3.settings.tasks import DetectionSettings, LinearSettings, PredictionSettings, TaskSettings
from pcm3.skeleton import load_layout
from pcm3.tasks.evaluate import evaluate

LINEAR = LinearSettings(epochs=5, drop_epochs=[3])
DETECTION = DetectionSettings(epochs=2, windows=4, batch=16, test_every=2)
PREDICTION = PredictionSettings(seed_frames=20, predicted_frames=5, hidden_size=8, steps=5, test_every=5)
TASKS = TaskSettings(head=LINEAR, detection=DETECTION, prediction=PREDICTION)
KINECT1 = load_layout("kinect_v1")


@pytest.fixture(scope="module")
def model(finished_path):
    return pcm3.load(finished_path)


@pytest.fixture(scope="module")
def walking(tmp_path_factory):
    """A model of Kinect v1, one body a clip, and untrimmed recordings for it."""
    spec = EncoderSpec(
        KINECT1, 1, 6, 1, "causal", "last", "joint", frames=16, fps=30.0, normalised=True, rule="upright"
    )
    folder = tmp_path_factory.mktemp("walking")
    save_encoder(folder / "model", spec.build(3), spec)
    return pcm3.load(folder / "model")


def recording(number, frames=120):
    intervals = (Interval(5, 35, number % 2), Interval(60, 100, (number + 1) % 2))
    return Recording(f"r{number}", walkers(number, frames, 1, 20), subject=number, intervals=intervals)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    from pcm3.data.importer import store_recordings

    path = tmp_path_factory.mktemp("sessions") / "store"
    made = [recording(number) for number in range(3)]
    protocols = {"xsub": {"by": "subject", "train": [0, 1]}}
    store_recordings(made, path, layout="kinect_v1", fps=30.0, classes=["bow", "wave"], protocols=protocols)
    return path


@pytest.mark.parametrize(("task", "kind"), [("linear-cached", "linear"), ("retrieval", "nearest")])
def test_a_fitted_classifier_is_the_head_that_evaluate_scored(model, finished_path, store_path, tmp_path, task, kind):
    store = ClipStore.open(store_path)
    evaluation = evaluate(
        task, [finished_path], store, "xsub", TASKS, seeds=1, device="cpu", baselines=0, keep_heads=True
    )
    evaluation.first.heads[""].save(tmp_path / "kept")
    train, test = evaluation.setup.train, evaluation.setup.test
    head = model.fit_classifier(store, kind=kind, settings=LINEAR, indices=train)
    head.save(tmp_path / "head")
    expected = np.array(store.classes)[evaluation.first.predicted]
    for one in (head, pcm3.load_head(tmp_path / "head"), pcm3.load_head(tmp_path / "kept", model=model)):
        assert one.classes == store.classes
        np.testing.assert_array_equal(one.predict(store)[test], expected)
        np.testing.assert_array_equal(one.predict_proba(store), head.predict_proba(store))
        np.testing.assert_allclose(one.predict_proba(store).sum(axis=1), 1, rtol=1e-5)


def test_a_head_travels_with_its_model(model, store_path, tmp_path):
    model.fit_classifier(store_path, settings=LINEAR).save(tmp_path / "head")
    told = pcm3.load_head(tmp_path / "head").predict(store_path)
    shutil.move(tmp_path / "head", tmp_path / "elsewhere")
    np.testing.assert_array_equal(pcm3.load_head(tmp_path / "elsewhere").predict(store_path), told)
    shutil.rmtree(tmp_path / "elsewhere" / "model")
    with pytest.raises(CheckpointError, match="name the model that it was fitted on"):
        pcm3.load_head(tmp_path / "elsewhere")
    np.testing.assert_array_equal(pcm3.load_head(tmp_path / "elsewhere", model=model).predict(store_path), told)
    with pytest.raises(CheckpointError, match="there is none"):
        pcm3.load_head(tmp_path / "head")


def test_arrays_with_names_for_labels(walking):
    clips = [walkers(k, 40, 1, 20) for k in range(6)]
    names = ["b", "a", "b", "a", "b", "a"]
    head = walking.fit_classifier(clips, names, kind="nearest")
    assert head.classes == ("a", "b")
    assert head.predict(clips).tolist() == names
    assert head.predict(clips[1]) == "a"
    assert head.predict_proba(clips[1]).shape == (2,)
    with pytest.raises(DataError, match="expected one for each of the 6 clips, got 5"):
        walking.fit_classifier(clips, names[:5])
    with pytest.raises(DataError, match="at least two classes"):
        walking.fit_classifier(clips, ["a"] * 6)
    with pytest.raises(DataError, match="expected clips with labels, got 6"):
        walking.fit_classifier(clips)


def test_a_detector_finds_in_arrays_what_evaluate_found_in_the_store(walking, sessions, tmp_path):
    store = ClipStore.open(sessions)
    walking.save(tmp_path / "model")
    evaluation = evaluate(
        "detection-frozen", [tmp_path / "model"], store, "xsub", TASKS, seeds=1, device="cpu", baselines=0,
        keep_heads=True,
    )  # fmt: skip
    head = walking.fit_detector(sessions, settings=DETECTION, indices=evaluation.setup.train)
    head.save(tmp_path / "head")
    found = evaluation.first.details.predicted
    expected = [
        (store.classes[label], start / 30, stop / 30, confidence)
        for label, start, stop, confidence in zip(
            found.label.tolist(), found.start.tolist(), found.stop.tolist(), found.confidence.tolist(), strict=True
        )
    ]
    for one in (head, pcm3.load_head(tmp_path / "head")):
        named = dict(one.predict_named(store))
        assert list(named) == ["r0", "r1", "r2"]
        assert [(a.label, a.start, a.stop, a.confidence) for a in named["r2"]] == expected
    assert len(expected) > 0
    arrays = head.predict([walkers(k, 120, 1, 20) for k in range(3)])
    assert [[(a.label, a.start, a.stop) for a in actions] for actions in arrays] == [
        [(a.label, a.start, a.stop) for a in named[f"r{k}"]] for k in range(3)
    ]
    assert head.predict_proba(walkers(2, 120, 1, 20)).shape == (120, 3)
    with pytest.raises(DataError, match="expected one recording, got 3"):
        head.predict_proba(sessions)


def test_a_detector_needs_recordings(walking, tmp_path):
    from pcm3.data.importer import store_recordings

    store_recordings([Recording("a", walkers(0, 40, 1, 20), 0)], tmp_path / "s", layout="kinect_v1", fps=30.0)
    with pytest.raises(DataError, match="expected untrimmed recordings"):
        walking.fit_detector(tmp_path / "s")


def test_a_predictor_goes_on_from_the_end_of_a_clip(walking, tmp_path):
    clips = [walkers(k, 60 + k, 1, 20) for k in range(4)]
    head = walking.fit_predictor(clips, settings=PREDICTION)
    head.save(tmp_path / "head")
    poses = head.predict(clips)
    assert poses.shape == (4, 5, 20, 3)
    assert np.isfinite(poses[:, :, 1:]).all()
    assert head.fps == 25
    np.testing.assert_allclose(pcm3.load_head(tmp_path / "head").predict(clips), poses)
    # What was before the seed is not seen: 20 frames at 25 a second are 24 at 30.
    one = walking.fit_predictor(clips, settings=PREDICTION)
    up = one.predict(clips[0], up="y")
    assert up.shape == (5, 20, 3)
    with pytest.raises(DataError, match=r"clip: expected at least 0.8 s .* got 0.50 s"):
        head.predict(clips[0][:15])


def test_what_lies_before_the_seed_does_not_matter(tmp_path):
    fed = {"frames": 16, "fps": 25.0, "normalised": False}
    spec = EncoderSpec(KINECT1, 1, 6, 1, "causal", "last", "joint", **fed)
    save_encoder(tmp_path / "model", spec.build(3), spec)
    model = pcm3.load(tmp_path / "model")
    clips = [walkers(k, 60, 1, 20) for k in range(3)]
    head = model.fit_predictor(clips, settings=PREDICTION)
    np.testing.assert_allclose(head.predict(clips), head.predict([clip[-20:] for clip in clips]), atol=1e-5)
    assert not np.allclose(head.predict(clips), head.predict([clip[:20] for clip in clips]), atol=1e-3)


def test_what_to_expect_is_measured_on_other_people(model, store_path):
    expected = model.expect(store_path, settings=LINEAR)
    assert (expected.people, len(expected.accuracies)) == (4, 4)
    store = ClipStore.open(store_path)
    for subject in range(1, 5):
        mine = store.subject == subject
        head = model.fit_classifier(store, settings=LINEAR, indices=np.flatnonzero(~mine))
        told = head.predict(store)[mine]
        assert told.tolist() == np.array(store.classes)[expected.predicted[mine]].tolist()
    assert expected.accuracy == 100 * np.mean(expected.predicted == store.label)
    low, high = expected.interval
    assert 0 <= low <= expected.accuracy <= high <= 100
    assert [count for count, _ in expected.by_class.values()] == [8, 8, 8]
    assert expected.warnings == []


def test_the_interval_is_wilsons():
    right, label = np.array([0] * 19 + [1]), np.zeros(20, np.int64)
    low, high = Expected((), right, label, ("a", "b"), 4).interval
    assert (low, high) == (pytest.approx(76.4, abs=0.05), pytest.approx(99.1, abs=0.05))  # published for 19 of 20
    low, high = Expected((), label, label, ("a", "b"), 4).interval
    assert (low, high) == (pytest.approx(83.9, abs=0.05), 100)


def test_unknown_people_and_classes_of_few_clips_are_said(walking):
    clips = [walkers(k, 40, 1, 20) for k in range(8)]
    expected = walking.expect(clips, ["a"] * 6 + ["b"] * 2, settings=LINEAR)
    assert expected.people == 0
    assert "people are not told apart" in expected.warnings[0]
    assert expected.warnings[1] == "fewer than 5 clips: b"
    assert (expected.unseen, str(expected)[:46]) == (0, "to expect on clips not seen (8 clips, 5 folds)")
    apart = walking.expect(clips, ["a"] * 6 + ["b"] * 2, subjects=[0, 1, 2, 3, 0, 1, 4, 4], settings=LINEAR)
    assert apart.unseen == 2
    assert apart.warnings[-1].startswith(
        "2 of 8 clips are of a class that nobody else shows: they are counted as wrong"
    )
    assert walking.expect(clips, ["a", "b"] * 4, subjects=[0, 0, 1, 1, 2, 2, 3, 3], settings=LINEAR).people == 4
    with pytest.raises(DataError, match="two clips of a class at least"):
        walking.expect(clips[:2], ["a", "b"])


def test_clips_without_a_label_are_left_out(walking):
    clips = [walkers(number, 30, 1, 20) for number in range(6)]
    for nothing in (None, np.nan):
        head = walking.fit_classifier(clips, ["a", "b", nothing, "a", "b", nothing], kind="nearest")
        assert head.classes == ("a", "b")
        assert len(head.fitted.label) == 4


def test_what_is_no_better_than_nothing_is_said():
    label = np.array([0, 0, 1, 1])
    assert (
        "no better than always predicting the most frequent class"
        in Expected((), label[::-1], label, ("a", "b"), 4).warnings[-1]
    )
    for mean, worse in ((70.0, True), (60.0, False)):
        errors = ExpectedScores({"mpjpe_mm": (mean, 1.0)}, {"mpjpe_mm": ("standing still", 65.0)}, 3, 4)
        shares = ExpectedScores({"frame_accuracy": (mean, 1.0)}, {"frame_accuracy": ("no action at all", 65.0)}, 3, 4)
        assert [bool(scores.warnings) for scores in (errors, shares)] == [worse, not worse]
        told = (
            "it does no better than standing still (mpjpe_mm: 65.0, it 70.0): it needs more to learn from, or another"
        )
        assert errors.warnings == [f"{told} model"] * worse


def test_labels_that_say_nothing():
    assert all(map(is_unknown, (None, np.nan, np.float32(np.nan), np.datetime64("NaT"))))
    assert not any(map(is_unknown, ("None", "", 0, -1, "NA")))


def test_what_cannot_be_fitted_is_told_in_one_line(walking):
    clips = [walkers(number, 60, 1, 20) for number in range(4)]
    for message, fit in {
        "recordings with labelled actions, got none": lambda: walking.fit_detector(clips),
        "expected clips with labels, got 4 without any": lambda: walking.fit_classifier(clips),
        "subjects: expected one for each of the 4 clips, got 2": lambda: walking.expect(
            clips, list("abab"), subjects=[1, 2]
        ),
        "setting seed: expected": lambda: walking.fit_classifier(clips, list("abab"), seed=10**20),
    }.items():
        with pytest.raises((DataError, ConfigError), match=message):
            fit()


def test_a_head_that_is_there_stays_where_the_new_one_cannot_be_written(walking, tmp_path, monkeypatch):
    clips = [walkers(number, 30, 1, 20) for number in range(4)]
    first, second = (walking.fit_classifier(clips, list(names), kind="nearest") for names in ("abab", "aabb"))
    first.save(tmp_path / "head")
    monkeypatch.setattr(type(second.fitted), "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        second.save(tmp_path / "head")
    monkeypatch.undo()
    assert pcm3.load_head(tmp_path / "head").predict(clips).tolist() == list("abab")
    second.save(tmp_path / "head")
    assert pcm3.load_head(tmp_path / "head").predict(clips).tolist() == list("aabb")
    assert [file.name for file in tmp_path.iterdir()] == ["head"]
    (tmp_path / "head" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"got a folder with notes\.txt in it"):
        second.save(tmp_path / "head")
