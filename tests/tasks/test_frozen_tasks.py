import itertools
import math
import shutil
import statistics
from dataclasses import replace

import numpy as np
import pytest
import torch
from fitted import labelled, linear, retrieval
from torch import nn

import pcm3.tasks.detection.windows as windows_module
import pcm3.tasks.task_table as table_module
from pcm3.clips import ClipBank, extract, frozen
from pcm3.data.audit.leaks import audit
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.data.store_writer import write_store
from pcm3.encoders.files import load_encoder
from pcm3.errors import CheckpointError, ConfigError, DataError
from pcm3.settings.tasks import ClipSettings, DetectionSettings, LinearSettings, PredictionSettings, TaskSettings
from pcm3.skeleton import load_layout
from pcm3.tasks import nearest as nearest_module
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.classifier import History, fresh_head
from pcm3.tasks.detection.windows import RecordingBank, windows_to_fit
from pcm3.tasks.evaluate import PRETRAINED, RAW, UNTRAINED, evaluate, work
from pcm3.tasks.linear import fit_linear, train_linear
from pcm3.tasks.retrieval import find_neighbours, fit_retrieval
from pcm3.tasks.setup import labelled_split
from pcm3.train import session as session_module
from pcm3.train.checkpoint import save_checkpoint
from pcm3.train.pretrain import pretrain

pytestmark = pytest.mark.usefixtures("size_is_no_matter")

CPU = torch.device("cpu")
QUICK = LinearSettings(epochs=3)
ALL_QUICK, TWO_EPOCHS = TaskSettings(head=QUICK), TaskSettings(head=LinearSettings(epochs=2))
RECOGNITION = ("linear", "linear-cached", "retrieval")
TRAIN, TEST = np.arange(18), np.arange(18, 24)
TRAIN_XSUB = np.r_[0:12, 18:24]


def bank_of(store, stream_name="joint", size=16):
    return ClipBank.of(store, stream_name, size, CPU)


def state_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


class Planted(nn.Module):
    """Features that someone else thought of: row n of a table for the clip whose number the store's frames hold."""

    def __init__(self, table):
        super().__init__()
        self.table, self.width = table, table.shape[1]
        self.seen = []

    def embed(self, clips):
        self.seen.append(clips)
        return self.table[clips[:, 0, 0, 0, 0].round().long()]


@pytest.fixture
def numbered(recordings, write_tiny, tmp_path):
    """The tiny clips, with the number of the clip in every coordinate instead of a person."""
    for number, clip in enumerate(recordings):
        clip.frames[:] = number
    return write_tiny(tmp_path / "numbered", recordings)


def ramps(tmp_path, write_tiny, length=400, count=4):
    """Clips whose coordinates are the share of the clip that has passed."""
    share = ((np.arange(length) + 0.5) / length).astype(np.float32)
    frames = np.broadcast_to(share[:, None, None, None], (length, 2, 25, 3)).copy()
    clips = [Recording(f"{number}", frames, number % 2, subject=1 + number, camera=1) for number in range(count)]
    return write_tiny(tmp_path / "ramps", clips)


# Frozen stays frozen


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("task", RECOGNITION)
def test_a_task_changes_no_weight_no_buffer_and_no_mode_of_the_encoder(finished_path, store, task, training):
    encoder, spec = load_encoder(finished_path)
    encoder.train(training)
    before = state_of(encoder)
    bank = bank_of(store, spec.stream, spec.frames)
    if task == "retrieval":
        retrieval(encoder, bank, TRAIN, TEST)
    else:
        linear(encoder, bank, TRAIN, TEST, 3, QUICK, 0, "cached" if task == "linear-cached" else "fresh")
    assert {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"} <= set(before)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(module.training == training for module in encoder.modules())
    assert all(parameter.grad is None for parameter in encoder.parameters())


# Features


def test_raw_coordinates_are_the_clip_laid_out_flat():
    clips = torch.randn(3, 4, 2, 5, 3)
    raw = RawCoordinates(4, 2, 5)
    assert raw.width == 4 * 2 * 5 * 3
    np.testing.assert_array_equal(raw.embed(clips).numpy(), clips.numpy().reshape(3, -1))


def test_an_evaluation_takes_as_many_crops_as_it_is_told_and_says_so(finished_path, store):
    settings = replace(ALL_QUICK, test=ClipSettings(crops=4))
    found = evaluate("retrieval", [finished_path], store, "xsub", settings, seeds=1, device="cpu")
    assert found.notes == ["not the protocol's settings: test.crops 4 (1)"]
    assert (found.setup.clips.crops, found.setup.cropped_clips.crops) == (1, 4)
    for task, told in (("linear-cached", True), ("linear", False)):  # which learns from crops, and takes no mean
        found, centre = (
            evaluate(task, [finished_path], store, "xsub", chosen, seeds=1, device="cpu")
            for chosen in (settings, ALL_QUICK)
        )
        assert any("test.crops" in note for note in found.notes) == told
        assert np.array_equal(found.first.details.logits, centre.first.details.logits) != told
    with pytest.raises(ConfigError, match=r"setting test.crops: expected at least 1, got 0"):
        ClipSettings(crops=0).check()


# Retrieval


def slow_neighbours(queries, gallery):
    """1-NN by cosine as one would write it down; the first of equals."""
    found = []
    for query in queries.astype(np.float64):
        best, best_cosine = -1, -math.inf
        for place, key in enumerate(gallery.astype(np.float64)):
            norms = np.linalg.norm(query) * np.linalg.norm(key)
            cosine = query @ key / norms if norms else 0.0
            if cosine > best_cosine + 1e-9:
                best, best_cosine = place, cosine
        found.append(best)
    return found


@pytest.mark.parametrize("chunk", [1, 3, 4096])
def test_the_nearest_neighbours_are_those_of_the_slow_reference(monkeypatch, chunk):
    monkeypatch.setattr(nearest_module, "CHUNK", chunk)
    rng = np.random.default_rng(chunk)
    queries = rng.normal(size=(11, 5)).astype(np.float32) * rng.uniform(0.01, 100, size=(11, 1)).astype(np.float32)
    gallery = rng.normal(size=(17, 5)).astype(np.float32) * rng.uniform(0.01, 100, size=(17, 1)).astype(np.float32)
    found = find_neighbours(torch.from_numpy(queries), torch.from_numpy(gallery), 1).row[:, 0].tolist()
    assert found == slow_neighbours(queries, gallery)


def test_the_first_of_equals_is_the_nearest_and_a_feature_of_zeros_harms_nothing():
    gallery = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    queries = torch.tensor([[5.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert find_neighbours(queries, gallery, 1).row[:, 0].tolist() == [1, 3, 0]


def test_retrieval_gives_each_test_clip_the_label_of_its_neighbour(numbered):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(24, 4)).astype(np.float32)
    order = rng.permutation(24)
    train, test = order[:15], order[15:]
    result = retrieval(Planted(torch.from_numpy(table)), bank_of(numbered), train, test)
    expected = numbered.label[train][slow_neighbours(table[test], table[train])]
    np.testing.assert_array_equal(result.predicted, expected)
    assert result.top1 == result.best_top1 == pytest.approx(100 * np.mean(expected == numbered.label[test]))


# The linear head


def test_a_fresh_head_has_small_normal_weights_and_no_bias():
    head = fresh_head(400, 300, torch.Generator().manual_seed(0))
    assert head.weight.shape == (300, 400)
    assert head.weight.mean().abs() < 1e-4
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert (head.weight / 0.01).pow(4).mean().item() == pytest.approx(3, rel=0.05), "normal"
    assert not head.bias.any()
    assert torch.equal(head.weight, fresh_head(400, 300, torch.Generator().manual_seed(0)).weight)
    assert not torch.equal(head.weight, fresh_head(400, 300, torch.Generator().manual_seed(1)).weight)


@pytest.mark.parametrize("features", ["cached", "fresh"])
def test_features_that_tell_the_classes_are_read_off_without_a_mistake(numbered, features):
    table = nn.functional.one_hot(torch.from_numpy(numbered.label.astype(np.int64)), 5).float()
    result = linear(Planted(table), bank_of(numbered), TRAIN, TEST, 3, LinearSettings(), 0, features)
    assert (result.top1, result.best_top1) == (100, 100)
    np.testing.assert_array_equal(result.predicted, numbered.label[TEST])


def test_features_that_tell_nothing_give_the_commonest_class(numbered):
    train = np.flatnonzero(numbered.label != 2)[:6].tolist() + np.flatnonzero(numbered.label == 2)[:5].tolist()
    assert np.bincount(numbered.label[train]).max() < 6
    train = np.array([*train, int(np.flatnonzero(numbered.label == 2)[5]), int(np.flatnonzero(numbered.label == 2)[6])])
    result = linear(Planted(torch.ones(24, 3)), bank_of(numbered), train, TEST, 3, LinearSettings(), 0, "cached")
    assert set(result.predicted) == {2}


def slow_head(features, label, weight, generator, settings):
    """Softmax regression by SGD with momentum, in float64, by the book; the weights after training."""
    weight, bias = weight.astype(np.float64), np.zeros(len(weight))
    speed_w, speed_b = np.zeros_like(weight), np.zeros_like(bias)
    for epoch in range(settings.epochs):
        lr = settings.lr * 0.1 ** sum(epoch >= drop for drop in settings.drop_epochs)
        order = torch.randperm(len(features), generator=generator).numpy()
        for begin in range(0, len(order), settings.batch):
            part = order[begin : begin + settings.batch]
            scores = features[part] @ weight.T + bias
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            error = scores / scores.sum(axis=1, keepdims=True)
            error[np.arange(len(part)), label[part]] -= 1
            speed_w = 0.9 * speed_w + error.T @ features[part] / len(part)
            speed_b = 0.9 * speed_b + error.mean(axis=0)
            weight, bias = weight - lr * speed_w, bias - lr * speed_b
    return weight, bias


def test_the_head_is_trained_as_the_protocol_says(numbered):
    settings = LinearSettings(epochs=7, lr=0.5, batch=5, drop_epochs=[2, 5])
    table = torch.from_numpy(np.random.default_rng(2).normal(size=(24, 4)).astype(np.float32))
    result = linear(Planted(table), bank_of(numbered), TRAIN, TEST, 3, settings, 11, "cached")
    head = fit_linear(Planted(table), labelled(bank_of(numbered), TRAIN), settings, 11, "cached").linear
    generator = torch.Generator().manual_seed(11)
    start = fresh_head(4, 3, generator).weight.detach().numpy()
    weight, bias = slow_head(table[TRAIN].numpy(), numbered.label[TRAIN], start, generator, settings)
    np.testing.assert_allclose(head.weight.detach().numpy(), weight, atol=1e-5)
    np.testing.assert_allclose(head.bias.detach().numpy(), bias, atol=1e-5)
    np.testing.assert_array_equal(result.predicted, (table[TEST].numpy() @ weight.T + bias).argmax(axis=1))


def plain_head(head, seen, label, tests, settings, generator):
    """The same head by autograd and torch's own optimiser: after every epoch its logits on each set of tests."""
    optimiser = torch.optim.SGD(head.parameters(), settings.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, settings.drop_epochs)
    said = []
    for _ in range(settings.epochs):
        features = seen(generator)
        for part in torch.randperm(len(features), generator=generator).split(settings.batch):
            optimiser.zero_grad()
            nn.functional.cross_entropy(head(features[part]), label[part]).backward()
            optimiser.step()
        schedule.step()
        said.append([head(features).detach() for features in tests])
    return said


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-4)], ids=str)
@pytest.mark.parametrize("drops", [[2, 5], [3, 3], []], ids=str)
def test_the_head_is_that_of_autograd_and_of_torchs_optimiser(dtype, tolerance, drops):
    settings = LinearSettings(epochs=7, lr=0.5, batch=16, drop_epochs=drops)
    rng = np.random.default_rng(3)
    features = torch.from_numpy(rng.normal(size=(53, 9))).to(dtype)
    label, test_label = (torch.from_numpy(rng.integers(0, 5, rows)) for rows in (53, 21))
    tests = [torch.from_numpy(rng.normal(size=(21, 9))).to(dtype) for _ in range(2)]

    def seen(generator):  # other features in every epoch, drawn from the same source
        return features + torch.rand(features.shape, generator=generator, dtype=dtype)

    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    one, other = (fresh_head(9, 5, generator).to(dtype) for generator in generators)
    found = [History(test_label) for _ in tests]

    def look():
        for history, of_tests in zip(found, tests, strict=True):
            history.add(one(of_tests))

    train_linear(one, seen, label, settings, generators[0], look)
    said = plain_head(other, seen, label, tests, settings, generators[1])
    assert torch.equal(*(generator.get_state() for generator in generators)), "as much was drawn"
    for place, history in enumerate(found):
        accuracies = [100 * (mine[place].argmax(dim=1) == test_label).double().mean().item() for mine in said]
        assert (history.result().top1, history.result().best_top1) == (accuracies[-1], max(accuracies))
        expected = said[-1][place].float().numpy()
        np.testing.assert_allclose(history.result().logits, expected, rtol=tolerance, atol=tolerance)


def test_the_defaults_of_the_head_are_the_protocols():
    assert LinearSettings() == LinearSettings(epochs=100, lr=0.1, batch=1024, drop_epochs=[20, 50, 80])


def test_the_figure_is_the_last_epochs_and_the_best_epochs_stands_beside_it(numbered):
    table = torch.from_numpy(np.random.default_rng(5).normal(size=(24, 6)).astype(np.float32))

    def judge(epochs):
        settings = LinearSettings(epochs=epochs, lr=20.0, batch=4, drop_epochs=[])
        return linear(Planted(table), bank_of(numbered), TRAIN, TEST, 3, settings, 0, "cached")

    after_each = [judge(epochs).top1 for epochs in range(1, 13)]
    result = judge(12)
    assert result.top1 == after_each[-1]
    assert result.best_top1 == max(after_each)
    assert len(set(after_each)) > 1, "or the test shows nothing"
    assert result.top1 == pytest.approx(100 * np.mean(result.predicted == numbered.label[TEST]))


def test_cached_features_are_taken_once_and_others_every_epoch_from_new_crops(tmp_path, write_tiny):
    store = ramps(tmp_path, write_tiny)
    bank, train, test = bank_of(store), np.array([0, 1]), np.array([2, 3])

    class Seeing(RawCoordinates):
        def embed(self, clips):
            seen.append(clips)
            return super().embed(clips)

    for features, passes in (("cached", 2), ("fresh", 1 + QUICK.epochs)):
        seen = []
        linear(Seeing(16, 2, 25), bank, train, test, 2, QUICK, 0, features)
        assert len(seen) == passes
        assert torch.equal(seen[0], bank.centre(torch.from_numpy(test)))
    crops = seen[1:]
    assert all(not torch.equal(one, other) for one, other in itertools.pairwise(crops))


def test_a_head_follows_from_its_seed(finished_path, store):
    encoder, spec = load_encoder(finished_path)
    bank = bank_of(store, spec.stream, spec.frames)
    heads = [fit_linear(encoder, labelled(bank, TRAIN), QUICK, seed, "fresh").linear for seed in (0, 0, 1)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)


@pytest.mark.parametrize("words", [("--head.epochs", 0), ("--head.batch", 0), ("--head.lr", -1)], ids=str)
def test_a_head_that_cannot_be_trained_is_bad_input(cli, run_path, store_path, words):
    found = cli("evaluate", "linear-cached", "--model", run_path, "--store", store_path, *words)
    assert found.code == 2
    assert words[0].removeprefix("--") in found.err


# Whole evaluations


def test_every_table_stands_beside_the_untrained_encoder_and_raw_coordinates(finished_path, store):
    for task in RECOGNITION:
        told = []
        found = evaluate(
            task, [finished_path], store, "xsub", ALL_QUICK, seeds=2, device="cpu", on_progress=told.append
        )
        assert [row.name for row in found.rows] == [PRETRAINED, UNTRAINED, RAW]
        heads = 1 if task == "retrieval" else 2
        assert [len(row.values) for row in found.rows] == [heads, 2, heads]
        assert len(told) == work(task, 1, 2, ALL_QUICK)
        assert (found.train_clips, found.test_clips, found.steps, found.seeds) == (18, 6, [10], 2)
        np.testing.assert_array_equal(found.target, store.label[labelled_split(store, "xsub")[1]])
        assert found.rows[2].values[0] == 100 or task != "retrieval", "the classes are told by where joints stand"
        assert found.rows[0].values[0] == pytest.approx(100 * np.mean(found.first.predicted == found.target))


@pytest.fixture
def evaluated(finished_path, store):
    return evaluate(
        "linear-cached",
        [finished_path],
        store,
        "xview",
        TWO_EPOCHS,
        seeds=4,
        device="cpu",
    )


def test_means_and_spreads_are_those_of_the_values(evaluated):
    told = evaluated.to_dict()
    assert told["top1"] == told["rows"][0]["top1"]
    assert told["top1_sd"] == told["rows"][0]["top1_sd"]
    for row, kept in zip(told["rows"], evaluated.rows, strict=True):
        assert len(row["values"]) == 4
        assert row["top1"] == pytest.approx(statistics.mean(row["values"]))
        assert row["top1_sd"] == pytest.approx(statistics.stdev(row["values"]))
        assert row["best_top1"] == pytest.approx(statistics.mean(kept.metrics["best_top1"]))
        assert row["best_top1"] >= row["top1"]
    line = evaluated.table()[1]
    values = told["rows"][1]["values"]
    assert line[:2] == [UNTRAINED, f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"]


def test_a_single_value_has_no_spread(finished_path, store):
    told = evaluate("retrieval", [finished_path], store, "xsub", seeds=1, device="cpu").to_dict()
    assert [row["top1_sd"] for row in told["rows"]] == [None, None, None]


def test_the_same_evaluation_gives_the_same_figures(finished_path, store, evaluated):
    again = evaluate(
        "linear-cached",
        [finished_path],
        store,
        "xview",
        TWO_EPOCHS,
        seeds=4,
        device="cpu",
    )
    assert again.to_dict() == evaluated.to_dict()
    np.testing.assert_array_equal(again.first.predicted, evaluated.first.predicted)


def test_the_encoder_on_disk_is_not_touched_by_an_evaluation(run_path, store, content):
    before = content(run_path)
    evaluate("linear", [run_path], store, "xsub", ALL_QUICK, seeds=1, device="cpu")
    assert content(run_path) == before


def test_several_models_are_one_row_of_all_their_heads(finished_path, store, tiny, tmp_path):
    other = tmp_path / "other"
    pretrain(store, other, tiny(seed=1, steps=4), progress=False)
    both = evaluate("linear-cached", [finished_path, other], store, "xsub", ALL_QUICK, seeds=2, device="cpu")
    alone = [
        evaluate("linear-cached", [path], store, "xsub", ALL_QUICK, seeds=2, device="cpu")
        for path in (finished_path, other)
    ]
    assert both.rows[0].values == alone[0].rows[0].values + alone[1].rows[0].values
    assert both.rows[1].values == alone[0].rows[1].values
    assert both.steps == [10, 4]


def test_models_that_need_other_clips_are_not_put_into_one_table(finished_path, store, tiny, tmp_path):
    other = tmp_path / "other"
    pretrain(store, other, tiny(stream="bone", steps=1), progress=False)
    with pytest.raises(CheckpointError, match=r"expected stream joint and 8 frames .* got bone and 8"):
        evaluate("retrieval", [finished_path, other], store, "xsub", seeds=1, device="cpu")


def test_an_unfinished_run_and_pretraining_on_another_split_are_noted(store, tiny, run_path):
    assert evaluate("retrieval", [run_path], store, "xsub", seeds=1, device="cpu").notes == []
    untested, note = evaluate("retrieval", [run_path], store, "xview", seeds=1, device="cpu").notes
    assert untested == "1 class without test clips (hand over): no metric covers them"
    assert "pretrained on the training side of 'xsub' of this store" in note
    assert "may have seen test clips of 'xview'" in note

    class Stop(BaseException):
        pass

    saves = []

    def save_once(*state):
        if saves:
            raise Stop
        saves.append(save_checkpoint(*state))

    unfinished = run_path.parent / "unfinished"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session_module, "save_checkpoint", save_once)
        with pytest.raises(Stop):
            pretrain(store, unfinished, tiny(), progress=False)
    notes = evaluate("retrieval", [unfinished], store, "xsub", seeds=1, device="cpu").notes
    assert notes == [f"{unfinished}: the run is not finished; this is its checkpoint at step 5"]


def test_another_store_of_the_same_kind_needs_no_note_on_splits(finished_path, recordings, write_tiny, tmp_path):
    recordings[0].frames[0] += 0.01
    other = write_tiny(tmp_path / "other", recordings)
    audit(other)
    (untested,) = evaluate("retrieval", [finished_path], other, "xview", seeds=1, device="cpu").notes
    assert "without test clips" in untested


def test_clips_without_a_label_are_on_neither_side(recordings, write_tiny, tmp_path):
    object.__setattr__(recordings[0], "label", -1)
    object.__setattr__(recordings[12], "label", -1)  # of subject 3, who tests
    store = write_tiny(tmp_path / "store", recordings)
    train, test = labelled_split(store, "xsub")
    assert (len(train), len(test)) == (17, 5)
    assert 0 not in train
    assert 12 not in test


def test_what_a_store_cannot_serve_is_refused(finished_path, recordings, write_tiny, store, tmp_path):
    with pytest.raises(DataError, match="did you mean 'xsub'"):
        evaluate("retrieval", [finished_path], store, "xsubb", seeds=1, device="cpu")
    for clip in recordings:
        object.__setattr__(clip, "camera", -1)
    blind = write_tiny(tmp_path / "blind", recordings)
    with pytest.raises(DataError, match="no clip of the store has one"):
        evaluate("retrieval", [finished_path], blind, "xview", seeds=1, device="cpu")
    for clip in recordings:
        object.__setattr__(clip, "label", -1)
    unlabelled = write_tiny(tmp_path / "unlabelled", recordings)
    with pytest.raises(DataError, match="expected labelled clips on both sides of xsub"):
        evaluate("retrieval", [finished_path], unlabelled, "xsub", seeds=1, device="cpu")


def test_labels_without_class_names_have_a_head_wide_enough(finished_path, recordings, write_tiny, tmp_path):
    store = write_tiny(tmp_path / "store", recordings, classes=())
    found = evaluate("linear-cached", [finished_path], store, "xsub", seeds=1, device="cpu")
    assert found.rows[2].values == [100.0]


NETWORKS, SEEN = ("gru", "transformer", "graph"), (["joint"], ["motion"], ["bone", "joint", "motion"])
POOLED = ("last", "mean", "max", "mean_max", "max_min", "mean_max_min", "attention")
KINDS = [  # a third of them; all poolings, kinds and inputs are among these
    pytest.param(
        *(network, pooling, SEEN[(first + second) % 3], (first + second) % 2 == 0),
        marks=pytest.mark.soak if (first + 2 * second) % 3 else (),
    )
    for first, network in enumerate(NETWORKS)
    for second, pooling in enumerate(POOLED)
]
FEW = TaskSettings(
    head=LinearSettings(epochs=1),
    detection=DetectionSettings(epochs=1, windows=2, test_every=1, frames=8, feature="centre"),
    prediction=PredictionSettings(seed_frames=12, predicted_frames=10, hidden_size=8, steps=1, test_every=1),
)


@pytest.fixture(scope="module")
def untrimmed_store(tmp_path_factory):
    """Four recordings, one a subject, in which an action takes the first half."""
    rng, made = np.random.default_rng(0), []
    for subject in (1, 2, 3, 4):
        frames = rng.normal(scale=0.3, size=(80, 2, 25, 3)).astype(np.float32)
        marked = (Interval(0, 40, subject % 3), Interval(40, 75, (1 + subject) % 3))
        made.append(Recording(f"r{subject}", frames, subject=subject, intervals=marked))
    about = {"layout": load_layout("kinect_v2"), "fps": 30.0, "bodies": 2, "kind": "npz", "classes": ("a", "b", "c")}
    protocols = {"xsub": {"by": "subject", "train": [1, 2, 4]}}
    return write_store(tmp_path_factory.mktemp("untrimmed") / "store", made, protocols=protocols, **about)


@pytest.mark.parametrize(("network", "pooling", "sees", "standardise"), KINDS, ids=str)
def test_every_kind_of_encoder_trains_is_kept_and_is_judged_by_every_kind_of_task(
    untrimmed_store, tiny, tmp_path, network, pooling, sees, standardise
):
    changes = {
        "encoder.kind": network,
        "encoder.pooling": pooling,
        "encoder.input_features": sees,
        "encoder.normalise_features": standardise,
        "steps": 1,
    }
    changes |= {
        "batch": 4,
        "objective.negatives": "batch",
        "encoder.direction": "bidirectional",
        "objective.export": "ema",
    }
    pretrain(untrimmed_store, tmp_path, tiny(changes), progress=False)
    encoder, spec = load_encoder(tmp_path)
    told = (spec.kind, spec.pooling, list(spec.input_features), spec.normalise_features)
    assert told == (network, pooling, sees, standardise)
    assert encoder.width == {"mean_max": 2, "max_min": 2, "mean_max_min": 3}.get(pooling, 1) * encoder.frame_width
    for task in ("linear-cached", "retrieval", "detection-frozen", "prediction-frozen"):
        beside = 0 if task == "detection-frozen" else 1  # raw coordinates have no feature of a centre frame
        found = evaluate(task, [tmp_path], untrimmed_store, "xsub", FEW, seeds=1, device="cpu", baselines=beside)
        assert all(np.isfinite(values).all() for row in found.rows for values in row.metrics.values())


def test_the_untrained_encoder_beside_a_standardised_one_is_fitted_too(store, tiny, tmp_path, monkeypatch):
    pretrain(
        store, tmp_path, tiny({"encoder.pooling": "mean", "encoder.normalise_features": True}, steps=1), progress=False
    )
    squares = []

    def watched(encoder, train, settings):
        squares.append(extract(encoder, train.bank, TRAIN_XSUB).square().mean().item())
        return fit_retrieval(encoder, train, settings)

    monkeypatch.setattr(table_module, "fit_retrieval", watched)
    evaluate("retrieval", [tmp_path], store, "xsub", seeds=2, device="cpu")
    assert squares[:3] == pytest.approx([1, 1, 1], rel=1e-4)


def test_for_detection_it_is_fitted_to_windows_of_the_training_recordings(untrimmed_store, tiny, tmp_path, monkeypatch):
    pretrain(
        untrimmed_store,
        tmp_path,
        tiny({"encoder.pooling": "mean", "encoder.normalise_features": True}, steps=1, batch=4),
        progress=False,
    )
    squares = []

    def watched(encoder, train, *rest):
        with frozen(encoder):
            windows = torch.cat([encoder.embed(clips) for clips in windows_to_fit(train.bank, train.indices, 4, 8)])
        squares.append((windows.square().mean().item(), windows.mean(dim=0).abs().max().item()))
        return evaluate_detector(encoder, train, *rest)

    evaluate_detector = table_module.evaluate_detector
    monkeypatch.setattr(table_module, "evaluate_detector", watched)
    few = replace(FEW, detection=replace(FEW.detection, feature="clip"))
    evaluate("detection", [tmp_path], untrimmed_store, "xsub", few, seeds=1, device="cpu")
    _, (square, mean), _ = squares
    assert square == pytest.approx(1, rel=1e-4)
    assert mean < 1e-4


def test_windows_to_fit_are_spread_over_all_recordings(untrimmed_store, monkeypatch):
    bank = RecordingBank.of(untrimmed_store, "joint", CPU)
    monkeypatch.setattr(windows_module, "FITTED_CLIPS", 7)
    found = torch.cat(list(windows_to_fit(bank, np.array([3, 0, 2]), 2, 5, batch=3)))
    places = [0, 34, 68, 102, 137, 171, 205]  # of the 80 + 80 + 80 frames behind each other
    recording = torch.tensor([[3, 0, 2][place // 80] for place in places])
    frame = torch.tensor([place % 80 for place in places])
    assert torch.equal(found, bank.windows(recording, frame, torch.full_like(frame, 2), 5))
    monkeypatch.setattr(windows_module, "FITTED_CLIPS", 10_000)
    assert sum(len(part) for part in windows_to_fit(bank, np.array([1, 2]), 2, 5)) == 160


def test_models_of_another_layout_or_number_of_bodies_are_refused(finished_path, recordings, write_tiny, tmp_path):
    from pcm3.skeleton import load_layout

    for clip in recordings:
        object.__setattr__(clip, "frames", np.ascontiguousarray(clip.frames[:, :1]))
    single = write_tiny(tmp_path / "single", recordings, bodies=1)
    with pytest.raises(CheckpointError, match="expects 2 bodies a clip, the store holds 1"):
        evaluate("retrieval", [finished_path], single, "xsub", seeds=1, device="cpu")
    for clip in recordings:
        object.__setattr__(clip, "frames", np.ascontiguousarray(clip.frames[:, :, :20]))
    fewer = write_tiny(tmp_path / "fewer", recordings, bodies=1, layout=load_layout("kinect_v1"))
    with pytest.raises(CheckpointError, match=r"layout kinect_v2 \(25 joints\), the store holds kinect_v1"):
        evaluate("retrieval", [finished_path], fewer, "xsub", seeds=1, device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(finished_path, store):
    with pytest.raises(ConfigError, match="use --device cpu"):
        evaluate("retrieval", [finished_path], store, "xsub", seeds=1, device="cuda")


def test_a_moved_store_and_run_evaluate_the_same(finished_path, store_path, store, tmp_path):
    run = shutil.copytree(finished_path, tmp_path / "run")
    moved = ClipStore.open(shutil.copytree(store_path, tmp_path / "store"))
    one = evaluate("retrieval", [finished_path], store, "xsub", seeds=2, device="cpu").to_dict()
    other = evaluate("retrieval", [run], moved, "xsub", seeds=2, device="cpu").to_dict()
    assert one["rows"] == other["rows"]
    assert one["models"] != other["models"]
