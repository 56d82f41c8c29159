import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fitted import labelled, recordings
from safetensors.torch import load_file, save_file
from toy import toy_encoder

from pcm3.checksums import with_checksum
from pcm3.clips import ClipBank
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.encoders.files import load_encoder
from pcm3.encoders.in_bfloat16 import InBfloat16
from pcm3.errors import CheckpointError, DataError
from pcm3.settings.tasks import (
    DetectionSettings,
    FinetuneSettings,
    LinearSettings,
    OcclusionSettings,
    PredictionSettings,
    RetrievalSettings,
)
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.classifier import score_classifier
from pcm3.tasks.detection.evaluate import evaluate_detector, score_detector
from pcm3.tasks.detection.windows import RecordingBank
from pcm3.tasks.finetune import evaluate_finetuned
from pcm3.tasks.head_files import weights_checksum
from pcm3.tasks.heads import HEADS, load_head
from pcm3.tasks.linear import evaluate_linear
from pcm3.tasks.occlusion import evaluate_occlusion, score_occlusion
from pcm3.tasks.prediction.evaluate import evaluate_predictor, score_predictor
from pcm3.tasks.prediction.windows import MotionBank
from pcm3.tasks.retrieval import fit_retrieval, score_retrieval

CPU = torch.device("cpu")
TRAIN, TEST = np.arange(18), np.arange(18, 24)
LINEAR, TUNED = LinearSettings(epochs=3), FinetuneSettings(epochs=2, batch=8, test_every=1, lr=0.1)
DETECTED = DetectionSettings(epochs=2, windows=4, test_every=1, frames=8, lr=0.1)
PREDICTED = PredictionSettings(seed_frames=8, predicted_frames=4, hidden_size=8, steps=4, batch=4, test_every=2)


@pytest.fixture
def bank(store):
    return ClipBank.of(store, "joint", 16, CPU)


@pytest.fixture
def untrimmed(write_tiny, tmp_path):
    rng, made = np.random.default_rng(0), []
    for subject in (1, 2, 3, 4):
        frames = rng.normal(scale=0.3, size=(80, 2, 25, 3)).astype(np.float32)
        frames[:40, :, 5] += subject % 3
        marked = (Interval(0, 40, subject % 3), Interval(45, 75, (1 + subject) % 3))
        made.append(Recording(f"r{subject}", frames, subject=subject, intervals=marked))
    return RecordingBank.of(write_tiny(tmp_path / "untrimmed", made), "joint", CPU)


def encoder_of(bodies=2):
    return toy_encoder(bodies=bodies).eval()


def of_clips(kind, encoder, bank):
    """A head of this kind, what its evaluation came to, and what scores it."""
    train, test = labelled(bank, TRAIN), labelled(bank, TEST)
    if kind == "nearest":
        head = fit_retrieval(encoder, train, RetrievalSettings())
        return head, score_retrieval(encoder, head, test), lambda head: score_retrieval(encoder, head, test)
    head, result = (
        evaluate_finetuned(encoder, train, test, TUNED, 0)
        if kind == "tuned"
        else evaluate_linear(encoder, train, test, LINEAR, 0, kind)
    )
    return head, result, lambda head: score_classifier(encoder, head, test)


KINDS = ["cached", "fresh", "tuned", "nearest"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_measured_is_what_the_saved_and_loaded_head_says_to_the_bit(bank, tmp_path, kind):
    encoder = encoder_of()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    head, result, score = of_clips(kind, encoder, bank)
    head.save(tmp_path / "head")
    assert sorted(file.name for file in (tmp_path / "head").iterdir()) == ["head.json", "head.safetensors"]
    loaded = load_head(tmp_path / "head", encoder)
    assert type(loaded) is type(head)
    assert (loaded.classes, loaded.settings, loaded.model) == (head.classes, head.settings, head.model)
    for one in (head, loaded):
        again = score(one)
        assert again.metrics["top1"] == result.metrics["top1"]
        np.testing.assert_array_equal(again.predicted, result.predicted)
        np.testing.assert_array_equal(again.logits, result.logits)
    clips = bank.centre(torch.from_numpy(TEST))
    assert torch.equal(loaded.predict_proba(encoder, clips), head.predict_proba(encoder, clips))
    np.testing.assert_array_equal(loaded.predict(encoder, clips).numpy(), result.predicted)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("kind", ["cached", "tuned", "nearest"])
def test_a_batch_is_told_as_its_clips_one_by_one_and_shares_sum_to_1(bank, kind):
    encoder = encoder_of()
    head, _, _ = of_clips(kind, encoder, bank)
    clips = bank.centre(torch.from_numpy(TEST))
    together = head.predict_proba(encoder, clips)
    torch.testing.assert_close(together.sum(dim=1), torch.ones(6))
    torch.testing.assert_close(torch.cat([head.predict_proba(encoder, clip[None]) for clip in clips]), together)


def test_the_share_of_a_class_is_that_of_its_nearest_clip(bank):
    encoder = encoder_of()
    head, _, _ = of_clips("nearest", encoder, bank)
    clips = bank.centre(torch.from_numpy(TEST))
    features, gallery = encoder.embed(clips).double(), head.gallery.double()
    cosines = torch.stack([torch.cosine_similarity(row, gallery, dim=1) for row in features])
    most = torch.stack([cosines[:, head.label == label].max(dim=1).values for label in range(3)], dim=1)
    told = head.predict_proba(encoder, clips).double()
    torch.testing.assert_close(told, (most / 0.07).softmax(dim=1), atol=1e-5, rtol=0)


def test_a_head_over_several_crops_goes_on_to_see_as_many(bank, tmp_path):
    encoder, several = encoder_of(), replace(bank, crops=3)
    head, result = evaluate_linear(encoder, labelled(several, TRAIN), labelled(several, TEST), LINEAR, 0, "cached")
    head.save(tmp_path)
    again = score_classifier(encoder, load_head(tmp_path, encoder), labelled(bank, TEST))
    np.testing.assert_array_equal(again.logits, result.logits)


def test_raw_coordinates_have_heads_too(bank, tmp_path):
    raw = RawCoordinates(16, 2, 25)
    head, result, score = of_clips("cached", raw, bank)
    head.save(tmp_path)
    np.testing.assert_array_equal(score(load_head(tmp_path, raw)).logits, result.logits)
    with pytest.raises(CheckpointError, match="fitted on another model"):
        load_head(tmp_path, RawCoordinates(17, 2, 25))


def test_an_encoder_tuned_in_bfloat16_is_kept_and_used_in_either_precision(bank, tmp_path):
    encoder = encoder_of()
    head, result, score = of_clips("tuned", InBfloat16(encoder), bank)
    head.save(tmp_path)
    np.testing.assert_array_equal(score(load_head(tmp_path, InBfloat16(encoder))).logits, result.logits)
    np.testing.assert_allclose(score(load_head(tmp_path, encoder)).logits, result.logits, atol=0.1)


def test_the_heads_of_occlusion_are_scored_as_they_were_evaluated(bank, tmp_path):
    encoder, how = encoder_of(), OcclusionSettings()
    train, test = labelled(bank, TRAIN), labelled(bank, TEST)
    heads, result = evaluate_occlusion(encoder, train, test, how, LINEAR, 0, "cached")
    for kind, head in heads.linear.items():
        head.save(tmp_path / kind)
    heads.nearest.save(tmp_path / "nearest")
    linear = {kind: load_head(tmp_path / kind, encoder) for kind in heads.linear}
    loaded = replace(heads, linear=linear, nearest=load_head(tmp_path / "nearest", encoder))
    again = score_occlusion(encoder, loaded, test, how)
    assert list(again.metrics) == list(result.metrics)
    chosen = {name for name in result.metrics if name.startswith("best_")}
    assert {name: value for name, value in again.metrics.items() if name not in chosen} == {
        name: value for name, value in result.metrics.items() if name not in chosen
    }


@pytest.mark.parametrize("use", ["frozen", "tuned"])
def test_a_detector_finds_what_it_found_when_it_was_evaluated(untrimmed, tmp_path, use):
    encoder = encoder_of()
    train, test = recordings(untrimmed, np.array([0, 1, 3])), recordings(untrimmed, np.array([2]))
    detector, result = evaluate_detector(encoder, train, test, DETECTED, 0, use)
    assert (detector.tuned is None) == (use == "frozen")
    detector.save(tmp_path)
    loaded = load_head(tmp_path, encoder)
    assert (loaded.settings, loaded.classes) == (DETECTED, detector.classes)
    np.testing.assert_array_equal(loaded.scores(encoder, untrimmed, 2), detector.scores(encoder, untrimmed, 2))
    again = score_detector(encoder, loaded, test, DETECTED)
    assert {name: again.metrics[name] for name in again.metrics if not name.startswith("best_")} == {
        name: result.metrics[name] for name in result.metrics if not name.startswith("best_")
    }
    found = loaded.detect(encoder, untrimmed, 2)
    columns = (result.predicted.label, result.predicted.start, result.predicted.stop, result.predicted.confidence)
    assert sorted(found) == sorted(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("use", ["frozen", "tuned"])
def test_a_predictor_says_what_it_said_when_it_was_evaluated(store, tmp_path, use):
    encoder, motions = encoder_of(), MotionBank.of(store, "joint", 8, 4, CPU)
    predictor, result = evaluate_predictor(encoder, motions, TRAIN, TEST, PREDICTED, 0, use)
    predictor.save(tmp_path)
    loaded = load_head(tmp_path, encoder)
    again = score_predictor(encoder, loaded, motions, TEST)
    np.testing.assert_array_equal(again.predicted, result.predicted)
    assert again.metrics["mpjpe_mm"] == result.metrics["mpjpe_mm"]
    windows = motions.take(motions.centre(torch.from_numpy(result.clips)))
    np.testing.assert_array_equal(loaded.predict(encoder, motions, windows).numpy(), result.predicted)
    single = motions.take(motions.centre(torch.from_numpy(result.clips[:1])))
    np.testing.assert_allclose(loaded.predict(encoder, motions, single).numpy(), result.predicted[:1], atol=1e-6)
    with pytest.raises(DataError, match="joints of body 0"):
        score_predictor(encoder, loaded, replace(motions, joints=motions.joints[1:]), TEST)


# What is refused, in one line


@pytest.fixture(scope="module")
def tuned(store_path):
    """One for all tests; nobody may change it."""
    return of_clips("tuned", encoder_of(), ClipBank.of(ClipStore.open(store_path), "joint", 16, CPU))[0]


@pytest.fixture
def saved(tuned, tmp_path):
    tuned.save(tmp_path / "head")
    return tmp_path / "head"


def refused(folder, encoder=None):
    with pytest.raises(CheckpointError) as error:
        load_head(folder, encoder or encoder_of())
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(folder))
    return str(error.value)


def test_a_head_of_another_model_is_refused(saved):
    assert "was fitted on another model" in refused(saved, toy_encoder(seed=1))
    moved = encoder_of()
    with torch.no_grad():
        next(moved.parameters()).view(-1)[0] += 1e-3
    assert weights_checksum(moved) != weights_checksum(encoder_of())
    assert "give the model that it was fitted on" in refused(saved, moved)


def test_a_folder_without_a_head_is_refused(tmp_path, saved):
    assert "expected a head (head.json and head.safetensors)" in refused(tmp_path)
    (saved / "head.safetensors").unlink()
    assert "--save-heads writes heads" in refused(saved)


def changed(folder, **entries):
    data = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps(with_checksum(data | entries)))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 2}, "written by a newer pcm3 (format 2"),
        ({"kind": "oracle"}, "expected a head (classifier, nearest, detector, predictor), got 'oracle'"),
        ({"kind": 3}, "damaged (kind is 3)"),
        ({"settings": {"epochs": 0}}, "damaged"),
        ({"settings": {"colour": 1}}, "damaged"),
        ({"settings": []}, "damaged"),
        ({"classes": None}, "damaged"),
        ({"classes": ["a", "b"]}, "damaged (2 names for 3 classes)"),
        ({"classes": ["a", "b", "b"]}, "no names that differ"),
        ({"classes": ["a", "b", 3]}, "no names that differ"),
        ({"format": "a"}, "damaged (format is 'a')"),
        ({"sizes": {}}, "damaged"),
        ({"tensors": "0"}, "damaged"),
        ({"kind": "predictor"}, "damaged"),
        ({"kind": "nearest"}, "damaged"),
    ],
    ids=str,
)
def test_a_file_that_says_what_is_not_so_is_refused(saved, entries, message):
    changed(saved, **entries)
    assert message in refused(saved)


@pytest.mark.parametrize("name", ["head.json", "head.safetensors"])
def test_a_changed_byte_is_noticed(saved, name):
    data = bytearray((saved / name).read_bytes())
    data[-20] ^= 1
    (saved / name).write_bytes(data)
    refused(saved)


def test_weights_of_other_shapes_are_refused(saved):
    from pcm3.tasks.head_files import tensors_checksum

    tensors = load_file(saved / "head.safetensors")
    tensors["linear.weight"] = tensors["linear.weight"][:, :2].contiguous()
    tensors["linear.bias"] = tensors["linear.bias"][:1].contiguous()
    save_file(tensors, saved / "head.safetensors")
    changed(saved, tensors=tensors_checksum(tensors))
    assert "damaged" in refused(saved)


def test_every_kind_of_head_has_its_name():
    assert list(HEADS) == ["classifier", "nearest", "detector", "predictor"]


# The command


@pytest.mark.parametrize(
    ("task", "names", "short"),
    [
        ("linear-cached", [""], ["--head.epochs", 2]),
        ("retrieval", [""], []),
        ("semi", ["50pc_global", "50pc_stratified"], ["--finetune.epochs", 1, "--subset.shares", "[0.5]"]),
        pytest.param("occlusion-cached", ["clean", "spatial", "temporal", "nearest"], ["--head.epochs", 2],
                     marks=pytest.mark.soak),
        pytest.param("prediction-frozen", [""], ["--prediction.steps", 2, "--prediction.seed_frames", 8,
                     "--prediction.predicted_frames", 4], marks=pytest.mark.soak),
    ],
)  # fmt: skip
def test_the_command_keeps_the_heads_of_the_first_model_and_seed(
    cli, finished_path, store, store_path, tmp_path, task, names, short
):
    found = cli("evaluate", task, "--model", finished_path, "--store", store_path, "--out", tmp_path / "out",
                "--save-heads", tmp_path / "heads", "--seeds", 2, *short, "--json")  # fmt: skip
    assert found.code == 0, found.err
    result = json.loads(found.out.splitlines()[-1])
    encoder, spec = load_encoder(finished_path)
    for name in names:
        head = load_head(tmp_path / "heads" / task / name, encoder)
        assert str(tmp_path / "heads" / task / name) in result["written"]
    if task == "linear-cached":
        assert head.classes == tuple(store.classes)
        test = np.flatnonzero(store.subject == 3)
        bank = ClipBank.of(store, spec.stream, spec.frames, CPU)
        assert score_classifier(encoder, head, labelled(bank, test)).top1 == result["rows"][0]["values"][0]


def test_heads_of_streams_have_folders_of_their_names(cli, finished_path, store_path, tmp_path):
    for stream in ("joint", "bone"):
        (tmp_path / "runs").mkdir(exist_ok=True)
        (tmp_path / "runs" / stream).symlink_to(finished_path)
    found = cli("evaluate", "linear-cached", "--model", tmp_path / "runs", "--store", store_path, "--seeds", 1,
                "--out", tmp_path / "out", "--save-heads", tmp_path / "heads", "--head.epochs", 1)  # fmt: skip
    assert found.code == 0, found.err
    assert sorted(path.name for path in (tmp_path / "heads" / "linear-cached").iterdir()) == ["bone", "joint"]


def test_a_place_where_no_heads_can_lie_is_refused(cli, finished_path, store_path):
    found = cli("evaluate", "retrieval", "--model", finished_path, "--store", store_path, "--save-heads", store_path)
    assert found.code == 2
    assert "--save-heads: expected a folder of its own" in found.err
