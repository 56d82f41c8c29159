"""What would be printed as a figure without a word has its note: in the table's notes, and so in the files."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pcm3.data.audit.leaks import audit
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.encoders.files import load_encoder
from pcm3.settings.tasks import (
    DetectionSettings,
    FinetuneSettings,
    PredictionSettings,
    RetrievalSettings,
    SubsetSettings,
    TaskSettings,
)
from pcm3.tasks.evaluate import evaluate

QUICK = TaskSettings(
    finetune=FinetuneSettings(epochs=1, drop_epochs=[1]),
    subset=SubsetSettings(shares=[0.05, 0.5], kinds=["global"]),
    detection=DetectionSettings(epochs=1, windows=2, test_every=1, frames=8),
    prediction=PredictionSettings(seed_frames=12, predicted_frames=10, hidden_size=8, steps=4, test_every=2),
)


def notes_of(model, store, task="retrieval", settings=QUICK, protocol="xsub"):
    found = evaluate(task, [model], store, protocol, settings, seeds=1, device="cpu", baselines=0)
    return [note for note in found.notes if "copies of training clips" not in note and "settings" not in note]


def test_a_small_test_side_and_neighbours_beyond_the_gallery_are_told(finished_path, store):
    assert notes_of(finished_path, store) == [
        "only 6 clips to test: one of them is 16.7 points",
        "3 test classes have fewer than 10 training clips, so precision_10 cannot come to 100 %",
    ]
    many = TaskSettings(retrieval=RetrievalSettings(precision_at=[1, 6, 100]))
    told = notes_of(finished_path, store, settings=many)
    assert "precision_100: left out, there are only 18 training clips" in told
    assert not any("cannot come to 100 %" in note for note in told)


def test_labels_that_make_a_figure_mean_less_are_told_beside_it(finished_path, recordings, write_tiny, tmp_path, cli):
    for clip in recordings:
        object.__setattr__(clip, "label", 0)
    store = write_tiny(tmp_path / "one", recordings)
    text = "all labelled clips are of one class (raise arm), so an accuracy of 100 % says nothing"
    assert text in notes_of(finished_path, store)
    words = ["--model", finished_path, "--store", store.path, "--out", tmp_path / "out", "--seeds", 1, "--json"]
    found = cli("evaluate", "retrieval", *words)
    assert f"note: {text}" in found.out
    assert text in found.json["notes"]
    assert text in json.loads((tmp_path / "out" / "retrieval-xsub.json").read_text())["notes"]
    assert text in (tmp_path / "out" / "retrieval-xsub.md").read_text()


def test_shares_of_less_than_a_clip_a_class_are_told(finished_path, store):
    (told,) = (note for note in notes_of(finished_path, store, "semi") if "shares" in note)
    assert told == "shares of the 18 training clips that are fewer clips than there are classes (3): 5 % (1)"


def test_shares_that_are_the_same_clips_are_told(finished_path, store):
    few = SubsetSettings(shares=[0.01, 0.05, 0.1, 0.5])  # of 18 clips, six of each of three classes
    told = [
        note for note in notes_of(finished_path, store, "semi-frozen", replace(QUICK, subset=few)) if "same" in note
    ]
    assert told == [
        "1 %, 5 % and 10 % of the labels (global) are the same clips: at least one is taken",
        "1 %, 5 % and 10 % of the labels (stratified) are the same clips: at least one of each class is taken",
    ]


def test_prediction_is_not_told_of_labels(finished_path, recordings, write_tiny, tmp_path):
    for clip in recordings:
        object.__setattr__(clip, "label", -1)
    store = write_tiny(tmp_path / "none", recordings)
    assert not any("label" in note for note in notes_of(finished_path, store, "prediction-frozen"))


@pytest.fixture
def without_background(recordings, write_tiny, tmp_path):
    """Recordings in which every frame is in an action, at 60 frames a second."""
    made = []
    for subject in (1, 2, 3, 4):
        mine = [clip for clip in recordings if clip.subject == subject]
        stops = np.cumsum([len(clip.frames) for clip in mine])
        marked = [Interval(int(at) - len(c.frames), int(at), c.label) for c, at in zip(mine, stops, strict=True)]
        frames = np.concatenate([clip.frames for clip in mine])
        made.append(Recording(f"r{subject}", frames, subject=subject, intervals=tuple(marked)))
    write_tiny(tmp_path / "s", made, protocols={"xsub": {"by": "subject", "train": [1, 2, 4]}}, fps=60.0)
    return ClipStore.open(tmp_path / "s")


def test_a_classifier_that_has_one_answer_for_everything_is_told_with_what_may_help(
    finished_path, store, without_background
):
    wild = replace(
        QUICK,
        finetune=FinetuneSettings(epochs=3, lr=1e30),
        subset=SubsetSettings(shares=[0.05, 0.5], kinds=["global"]),
        detection=replace(QUICK.detection, activity=1.0),
    )
    one_class = "the classifier gives every test clip the same class: it has learned nothing; "
    more = "more --finetune.epochs or another --finetune.lr may help"
    by_adamw = f"{more}, or --finetune.optimiser adamw --finetune.lr 0.001, by which Transformers learn more easily"
    assert f"pretrained: {one_class}{by_adamw}" in notes_of(finished_path, store, "finetune", wild)
    assert f"with 50 % global of the labels {one_class}{by_adamw}" in notes_of(finished_path, store, "semi", wild)
    adamw = replace(wild, finetune=replace(wild.finetune, optimiser="adamw"))
    assert f"pretrained: {one_class}{more}" in notes_of(finished_path, store, "finetune", adamw)
    assert (
        "pretrained: the classifier finds no action in the test recordings; more --detection.epochs or another "
        "--detection.lr may help"
    ) in notes_of(finished_path, without_background, "detection-frozen", wild)
    assert not any("classifier" in note for note in notes_of(finished_path, store, "linear-cached"))


def test_recordings_without_background_of_another_rate_and_few_are_told(finished_path, without_background):
    told = notes_of(finished_path, without_background, "detection-frozen")
    assert "only 1 test recording" in told
    assert "windows and smoothing are made for 30 frames a second, the store has 60" in told
    for side in ("training", "test"):
        assert f"every frame of the {side} recordings is in an action, so there is no background to predict" in told


def test_an_encoder_knows_what_it_was_pretrained_on_and_other_clips_are_told(
    finished_path, store, recordings, write_tiny, tmp_path
):
    spec = load_encoder(finished_path)[1]
    assert (spec.fps, spec.normalised) == (store.fps, store.normalised)
    other = write_tiny(tmp_path / "other", recordings, fps=120.0)
    audit(other)
    (told,) = (note for note in notes_of(finished_path, other) if "pretrained" in note)
    assert "of 30 frames a second, those of this store have 120" in told
    assert spec.rule == "released"
    alike = write_tiny(tmp_path / "alike", recordings, fps=30.5)
    assert not any("pretrained" in note for note in notes_of(finished_path, alike))
