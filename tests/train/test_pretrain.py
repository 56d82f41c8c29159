import errno
import gc
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from forks import fork
from torch import nn

from pcm3 import device
from pcm3.cli import main
from pcm3.clips import ClipBank, extract
from pcm3.data.store import ClipStore
from pcm3.encoders import files as model_files
from pcm3.encoders.files import load_encoder
from pcm3.errors import ConfigError, DataError, RunFailed
from pcm3.methods.build import build_method
from pcm3.settings.pretrain import PretrainSettings
from pcm3.train import checkpoint as checkpoint_file
from pcm3.train import metrics_log
from pcm3.train.clock import Clock
from pcm3.train.distributed import make_fabric
from pcm3.train.plan import resolve, training_clips
from pcm3.train.pretrain import pretrain
from pcm3.train.run_folder import RunFolder


def one_line(text):
    """Of the lines that stay: a progress bar rewrites its own."""
    return "Traceback" not in text and text.endswith("\n") and text.count("\n") == 1


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


# The same bits


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(finished_path, store, tiny, trace, tmp_path):
    torch.manual_seed(99)  # nothing may depend on torch's or NumPy's own generators
    np.random.seed(99)  # noqa: NPY002
    pretrain(store, tmp_path / "same", tiny(), progress=False)
    trace(tmp_path / "same").assert_equals(trace(finished_path))
    pretrain(store, tmp_path / "other", tiny(seed=1), progress=False)
    one, other = (load_encoder(path)[0].state_dict() for path in (finished_path, tmp_path / "other"))
    for name in one:
        assert name == "norm.num_batches_tracked" or not torch.equal(one[name], other[name])


def test_pretraining_leaves_torchs_own_generator_alone(store, tiny, tmp_path):
    before = torch.random.get_rng_state()
    pretrain(store, tmp_path, tiny(steps=2), progress=False)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_labels_and_test_clips_are_not_looked_at(finished_path, recordings, write_tiny, tiny, trace, tmp_path):
    for number, clip in enumerate(recordings):
        object.__setattr__(clip, "label", number % 2)
        if clip.subject == 3:  # the test side of xsub
            clip.frames[:] = 1.0
    other = write_tiny(tmp_path / "store", recordings)
    pretrain(other, tmp_path / "run", tiny(), progress=False)
    one, another = trace(tmp_path / "run").state, trace(finished_path).state
    assert one.pop("run") != another.pop("run")  # the number of a run is made of the clips that it sees
    torch.testing.assert_close(one, another, rtol=0, atol=0)


def with_little_memory(monkeypatch):
    monkeypatch.setattr(device.psutil, "virtual_memory", lambda: SimpleNamespace(available=0, total=2**40))


def test_little_memory_gives_the_same_bits(finished_path, store, tiny, trace, tmp_path, monkeypatch):
    with_little_memory(monkeypatch)
    pretrain(store, tmp_path, tiny(), progress=False)
    trace(tmp_path).assert_equals(trace(finished_path))


# What is trained, and on what


def test_clips_of_the_training_side_are_trained_on(store, tiny):
    chosen = training_clips(store, tiny(protocol="xsub"))
    assert set(store.subject[chosen]) == {1, 2, 4}
    assert len(chosen) == 18
    assert set(store.camera[training_clips(store, tiny(protocol="xview"))]) == {2, 3}
    assert training_clips(store, tiny(protocol="all")).tolist() == list(range(24))


def test_auto_becomes_what_it_stands_for(store, recordings, write_tiny, tiny, tmp_path):
    resolved = resolve(tiny(device="auto", precision="auto"), store)
    assert resolved.protocol == "xsub"
    assert resolved.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolved.precision in ("32", "bf16")
    bare = write_tiny(tmp_path / "bare", recordings, protocols={})
    assert resolve(tiny(), bare).protocol == "all"


def test_a_protocol_that_the_data_cannot_serve_is_refused(recordings, write_tiny, store, tiny, tmp_path):
    for clip in recordings:
        object.__setattr__(clip, "camera", -1)
    blind = write_tiny(tmp_path / "store", recordings)
    with pytest.raises(DataError, match="'xview' goes by camera, and no clip of the store has one"):
        pretrain(blind, tmp_path / "run", tiny(protocol="xview"), progress=False)
    with pytest.raises(DataError, match="did you mean 'xview'"):
        pretrain(store, tmp_path / "run", tiny(protocol="xviev"), progress=False)
    assert not (tmp_path / "run").exists()


def test_a_batch_larger_than_the_training_clips_is_refused_before_anything_is_made(store, tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"setting batch: expected at most the 18 training clips .*, got 20"):
        pretrain(store, tmp_path / "run", tiny(batch=20), progress=False)
    assert not (tmp_path / "run").exists()


def test_a_batch_of_all_training_clips_is_fine(store, tiny, tmp_path):
    assert pretrain(store, tmp_path, tiny(batch=18, steps=2), progress=False).epochs == 2


def test_the_result_tells_clips_steps_epochs_and_speed(store, tiny, tmp_path):
    result = pretrain(store, tmp_path, tiny(steps=None, epochs=2), progress=False)
    assert (result.clips, result.steps, result.epochs) == (18, 4, 2.0)
    assert result.clips_per_s == pytest.approx(4 * 8 / result.seconds, rel=0.05)
    assert result.loss == pytest.approx(lines_of(tmp_path)[-1]["loss"])


def test_the_loss_in_the_metrics_is_the_weighted_sum_of_its_terms(store, tiny, tmp_path):
    weights = {"contrast": 0.5, "distillation": 2.0, "prediction": 7.0}
    changes = {f"objective.{name}_weight": weight for name, weight in weights.items()}
    pretrain(store, tmp_path, tiny(changes), progress=False)
    for line in lines_of(tmp_path):
        terms = {name: value for name, value in line.items() if name.partition("/")[0] in weights}
        assert len(terms) == 4 + 4 + 1
        assert line["loss"] == pytest.approx(sum(weights[n.partition("/")[0]] * v for n, v in terms.items()), rel=1e-5)


def test_the_encoder_file_tells_how_it_came_about(finished_path, store):
    spec = load_encoder(finished_path)[1]
    assert (spec.layout.name, spec.bodies, spec.joints, spec.hidden_size, spec.layers) == ("kinect_v2", 2, 25, 8, 1)
    origin = spec.provenance
    assert (origin.step, origin.finished, origin.protocol, origin.store_checksum) == (10, True, "xsub", store.checksum)


def test_the_encoder_file_holds_the_query_encoder_of_the_checkpoint(finished_path, trace):
    encoder = load_encoder(finished_path)[0].state_dict()
    method = trace(finished_path).state["method"]
    for name, tensor in encoder.items():
        assert torch.equal(tensor, method[f"encoder.{name}"])


def test_the_untrained_encoder_is_what_a_run_begins_with(tiny, tiny_spec, store):
    settings = tiny(seed=5)
    spec = tiny_spec(settings)
    fresh, method = spec.build(5).state_dict(), build_method(spec.build, store.layout, settings)
    for name, tensor in fresh.items():
        assert torch.equal(tensor, method.encoder.state_dict()[name])
        assert torch.equal(tensor, method.key_encoder.state_dict()[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": "bone"},
        {"stream": "motion", "encoder.direction": "bidirectional", "encoder.pooling": "mean"},
        {"precision": "bf16"},
        {"optimiser.kind": "adam", "optimiser.lr": 1e-3, "optimiser.schedule": "cosine"},
        {"objective.prediction_weight": 0.0, "objective.positives": ["intra"], "prompts.kind": "none"},
        {"objective.positives": [], "prompts.kind": "domain"},
    ],
    ids=str,
)
def test_settings_of_every_kind_train_and_move_the_weights(store, tiny, tiny_spec, tmp_path, changes):
    settings = tiny({"steps": 4} | changes)
    result = pretrain(store, tmp_path, settings, progress=False)
    assert math.isfinite(result.loss)
    trained = load_encoder(tmp_path)[0].state_dict()
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in trained.values())
    fresh = tiny_spec(settings).build(settings.seed).state_dict()
    assert not torch.equal(trained["norm.running_mean"], fresh["norm.running_mean"])
    name = next(name for name in trained if name.endswith("weight_hh_l0"))
    assert not torch.equal(trained[name], fresh[name])


class Looks(nn.Module):
    """Keeps what it was shown, and computes a product of it."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Linear(3, 2)

    def forward(self, shown, *, views):
        self.shown, self.views = shown, views
        self.product = self.weights(shown)
        return self.product


@pytest.mark.parametrize(("precision", "computed"), [("bf16", torch.bfloat16), ("32", torch.float32)])
def test_a_step_sees_its_views_as_they_were_made_and_computes_in_the_precision_asked_for(precision, computed):
    fabric = make_fabric(PretrainSettings(device="cpu", precision=precision))
    module = Looks()
    joints = torch.full((4, 3), 1.001)  # 1 in bfloat16
    shown = fabric.setup(module)(joints, views=[joints])
    torch.testing.assert_close(module.shown, joints, rtol=0, atol=0)
    torch.testing.assert_close(module.views[0], joints, rtol=0, atol=0)
    assert module.product.dtype == computed
    assert shown.dtype == torch.float32


def test_masked_prediction_is_learned(store, tiny, tmp_path):
    changes = {"objective.positives": [], "optimiser.kind": "adam", "optimiser.lr": 0.01, "views.shear": 0.0}
    pretrain(store, tmp_path, tiny(changes, steps=80), progress=False)
    losses = [line["prediction"] for line in lines_of(tmp_path)]
    assert statistics.mean(losses[-3:]) < 0.6 * losses[0]


def test_minutes_end_a_run_which_can_be_gone_on_with(store, tiny, tmp_path):
    short = pretrain(store, tmp_path, tiny(steps=10**6, minutes=1e-3), progress=False)
    assert 1 <= short.steps < 100
    longer = pretrain(store, tmp_path, tiny(steps=short.steps + 3), progress=False)
    assert longer.steps == short.steps + 3


def test_tensorboard_files_are_written_when_asked_for(store, tiny, tmp_path):
    pytest.importorskip("tensorboard")
    pretrain(store, tmp_path, tiny(tensorboard=True), progress=False)
    (written,) = tmp_path.glob("events.out.tfevents.*")
    assert written.stat().st_size > 200


# What stops a run


def test_a_loss_that_is_not_finite_stops_the_run_with_step_and_terms(
    cli, run_path, store_path, tiny_words, monkeypatch, content
):
    from pcm3.methods import pcm3 as method

    before = content(run_path)
    real, calls = method.PCM3.forward, []

    def spoiled(self, views, generator, first):
        step = real(self, views, generator, first)
        calls.append(step)
        if len(calls) < 3:
            return step
        return step._replace(terms=step.terms | {"prediction": step.terms["prediction"] * math.nan})

    monkeypatch.setattr(method.PCM3, "forward", spoiled)
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=30))
    assert found.code == 1
    told = found.err.rstrip("\n").split("\n")[-1]
    assert "the loss is not finite at step 13: loss " in told
    assert "prediction nan" in told
    assert "contrast/predict" in told
    assert "Traceback" not in found.err
    after = content(run_path)
    for name in ("checkpoint.pt", "model.safetensors", "model.json", "metrics.jsonl"):
        assert after[name] == before[name]


def test_an_absurd_learning_rate_ends_in_one_message_and_no_weights_that_are_not_numbers(store, tiny, tmp_path):
    with pytest.raises(RunFailed, match=r"not finite at step \d+: loss .*optimiser\.lr"):
        pretrain(store, tmp_path, tiny({"optimiser.lr": 1e12, "steps": 40}), progress=False)
    encoder = tmp_path / "model.safetensors"
    assert not encoder.exists() or all(
        tensor.isfinite().all() for tensor in load_encoder(tmp_path)[0].state_dict().values()
    )


def test_no_checkpoint_holds_weights_that_are_not_numbers(store, tiny, tmp_path):
    # The loss of step 1 is finite, the weights after it are not: the checkpoint must not be one of them.
    changes = {"optimiser.lr": 1e39, "checkpoint_steps": 1, "steps": 3}
    with pytest.raises(RunFailed):
        pretrain(store, tmp_path, tiny(changes), progress=False)
    if (tmp_path / "model.safetensors").exists():
        assert all(tensor.isfinite().all() for tensor in load_encoder(tmp_path)[0].state_dict().values())


def test_a_run_that_failed_leaves_no_file_open(store, tiny, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RunFailed("on purpose")

    monkeypatch.setattr(metrics_log.Metrics, "flush", fail)
    with pytest.raises(RunFailed):
        pretrain(store, tmp_path, tiny(), progress=False)
    open_files = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    closed = not [name for name in open_files if str(tmp_path) in name]
    with pytest.MonkeyPatch.context() as patched:  # the warning of the file itself is not the point
        patched.setattr("sys.unraisablehook", lambda told: None)
        gc.collect()
    assert closed


NO_SPACE = "No space left on device"


@pytest.mark.parametrize(
    "name",
    ["checkpoint.pt", *(pytest.param(name, marks=pytest.mark.soak) for name in ("model.safetensors", "model.json"))],
)
def test_a_full_disk_stops_the_run_and_leaves_the_checkpoint(cli, run_path, store_path, tiny_words, content, name):
    # What is written to /dev/full never fits; a link leads the half-written file there.
    before = content(run_path)
    (run_path / f".{name}.partial").symlink_to("/dev/full")
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=11))
    assert found.code == 1
    told = found.err.rstrip("\n").split("\n")[-1]
    assert NO_SPACE in told
    assert "last checkpoint is intact" in told
    assert "Traceback" not in found.err
    after = content(run_path)
    assert after[name] == before[name]
    if name == "checkpoint.pt":
        assert after["model.safetensors"] == before["model.safetensors"]
    again = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=11))
    assert again.code == 0


def test_a_folder_that_may_not_be_written_is_named_with_the_reason(store, tiny, tmp_path, monkeypatch):
    def refuse(path, write):
        raise PermissionError(errno.EACCES, "Permission denied", str(path / "motion" / "model.json"))

    monkeypatch.setattr(checkpoint_file, "write_atomically", refuse)
    with pytest.raises(RunFailed, match=r"motion cannot be written \(Permission denied\)") as told:
        pretrain(store, tmp_path / "run", tiny(), progress=False)
    assert "make room" not in str(told.value)


def test_a_disk_that_fills_up_while_a_run_trains_costs_no_bit(store, tiny, trace, tmp_path, monkeypatch, finished_path):
    real, calls = checkpoint_file.write_atomically, []

    def fill(path, write):
        calls.append(path)
        if len(calls) == 3:  # checkpoint and encoder at step 5, then the checkpoint at step 10
            raise OSError(errno.ENOSPC, NO_SPACE, str(path))
        real(path, write)

    with monkeypatch.context() as patched:
        for writer in (checkpoint_file, model_files):
            patched.setattr(writer, "write_atomically", fill)
        with pytest.raises(RunFailed, match=NO_SPACE):
            pretrain(store, tmp_path, tiny(), progress=False)
    assert trace(tmp_path).state["step"] == 5
    pretrain(store, tmp_path, tiny(), progress=False)
    trace(tmp_path).assert_equals(trace(finished_path))


def test_a_disk_that_is_full_from_the_start_is_a_failed_run_too(store, tiny, tmp_path):
    (tmp_path / ".settings.json.partial").symlink_to("/dev/full")
    with pytest.raises(RunFailed, match=NO_SPACE):
        pretrain(store, tmp_path, tiny(), progress=False)


def test_a_folder_that_cannot_be_written_is_bad_input(cli, store_path, tiny_words):
    found = cli("pretrain", store_path, "--run", "/proc/nothing", *tiny_words())
    assert found.code == 2
    assert one_line(found.err)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_asked_for_where_there_is_none_is_refused(cli, store_path, tiny_words, tmp_path):
    found = cli("pretrain", store_path, "--run", tmp_path / "run", *tiny_words(), "--device", "cuda")
    assert found.code == 2
    assert one_line(found.err)
    assert "--device cpu" in found.err
    assert not (tmp_path / "run").exists()


def test_a_store_of_another_layout_trains_too(recordings, write_tiny, tiny, tmp_path):
    from pcm3.skeleton import load_layout

    layout = load_layout("kinect_v1")
    for clip in recordings:
        object.__setattr__(clip, "frames", np.ascontiguousarray(clip.frames[:, :1, : len(layout.joints)]))
    store = write_tiny(tmp_path / "store", recordings, layout=layout, bodies=1)
    pretrain(store, tmp_path / "run", tiny(steps=2), progress=False)
    spec = load_encoder(tmp_path / "run")[1]
    assert (spec.layout.name, spec.bodies, spec.joints) == ("kinect_v1", 1, 20)
    assert RunFolder(tmp_path / "run").read_settings()[1]["checksum"] == ClipStore.open(tmp_path / "store").checksum


def speaking_into(told, words):
    """The command, with all that this process says, libraries of C++ too, in a file."""
    with told.open("w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    return main(words)


@pytest.mark.parametrize("shell", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["fork", "shell"])
def test_nobody_but_us_speaks(store_path, tmp_path, shell):
    words = ["pretrain", store_path, "--run", tmp_path / "r", "--preset", "small", "--steps", 1]
    words = [*map(str, words), "--encoder.hidden_size", "16", "--batch", "8", "--precision", "bf16"]
    if shell:
        command = [Path(sys.executable).with_name("pcm3"), *words]
        told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stderr
    else:
        process = fork(speaking_into, tmp_path / "told", words)
        process.join(120)
        assert process.exitcode == 0
        told = (tmp_path / "told").read_text()
    lines = [line for line in told.replace("\r", "\n").splitlines() if line.strip()]
    assert lines
    assert [line for line in lines if not line.startswith("pretraining:")] == []


# Which encoder is kept, and what is fitted to the training clips


def features_of(folder, store, settings):
    """Features of the training clips by the encoder in the folder."""
    encoder, spec = load_encoder(folder)
    bank = ClipBank.of(store, spec.stream, spec.frames, torch.device("cpu"))
    return extract(encoder, bank, training_clips(store, settings)).double()


KEPT = {
    "encoder.normalise_features": True,
    "objective.export": "ema",
    "objective.momentum": 0.9,
    "encoder.pooling": "mean_max",
}


@pytest.mark.parametrize("export", ["online", "ema"])
@pytest.mark.parametrize("stream", ["joint", "motion"])
def test_kept_features_have_mean_0_and_mean_square_1_over_the_training_clips(store, tiny, tmp_path, export, stream):
    settings = tiny(KEPT | {"objective.export": export, "stream": stream, "steps": 3, "protocol": "xsub"})
    pretrain(store, tmp_path, settings, progress=False)
    features = features_of(tmp_path, store, settings)
    np.testing.assert_allclose(features.mean(dim=0), 0, atol=1e-4)
    assert features.square().mean().item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(("export", "network"), [("online", "encoder"), ("ema", "key_encoder")])
def test_the_kept_encoder_is_that_of_the_network_asked_for(store, tiny, tmp_path, export, network):
    settings = tiny(
        {"objective.export": export, "objective.momentum": 0.7, "objective.projector_norm": True, "steps": 3}
    )
    pretrain(store, tmp_path, settings, progress=False)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["method"]
    kept = load_encoder(tmp_path)[0].state_dict()
    for name, tensor in kept.items():
        assert torch.equal(tensor, state[f"{network}.{name}"])
    assert not torch.equal(state["encoder.norm.weight"], state["key_encoder.norm.weight"])


@pytest.mark.parametrize("checkpoint_steps", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_a_run_that_fits_and_keeps_the_key_network_goes_on_to_the_same_bits(
    store, tiny, trace, tmp_path, checkpoint_steps
):
    changes = KEPT | {"encoder.input_features": ["joint", "bone"], "checkpoint_steps": checkpoint_steps}
    pretrain(store, tmp_path / "parts", tiny(changes, steps=4), progress=False)
    pretrain(store, tmp_path / "parts", tiny(changes, steps=8), progress=False)
    pretrain(store, tmp_path / "whole", tiny(changes, steps=8), progress=False)
    parts, whole = trace(tmp_path / "parts"), trace(tmp_path / "whole")
    torch.testing.assert_close(parts.state, whole.state, rtol=0, atol=0)
    assert parts.encoder == whole.encoder


def test_fitting_leaves_the_run_itself_alone(store, tiny, tmp_path):
    for name, standardise in (("plain", False), ("fitted", True)):
        pretrain(
            store,
            tmp_path / name,
            tiny({"encoder.normalise_features": standardise}, checkpoint_steps=2),
            progress=False,
        )
    plain, fitted = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["method"] for name in ("plain", "fitted")
    )
    for name, tensor in plain.items():
        assert torch.equal(tensor, fitted[name]), name
    added = set(fitted) - set(plain)
    assert added == {f"{owner}.readout.{name}" for owner in ("encoder", "key_encoder") for name in ("centre", "scale")}
    assert all(torch.equal(fitted[name], torch.full_like(fitted[name], name.endswith("scale"))) for name in added)


def test_a_finished_run_that_is_asked_again_has_taken_no_time(run_path, store, tiny, monkeypatch):
    first = pretrain(store, run_path, tiny(), progress=False).seconds
    calls = itertools.count()
    monkeypatch.setattr("pcm3.train.session.Clock", lambda *of: Clock(*of[:3], lambda: float(next(calls))))
    assert pretrain(store, run_path, tiny(), progress=False).seconds == first


def test_a_finished_run_that_is_asked_again_keeps_the_same_encoder(store, tiny, tmp_path):
    for _ in range(2):
        pretrain(store, tmp_path, tiny(KEPT, steps=2), progress=False)
        kept = (tmp_path / "model.safetensors").read_bytes()
    pretrain(store, tmp_path / "once", tiny(KEPT, steps=2), progress=False)
    assert (tmp_path / "once" / "model.safetensors").read_bytes() == kept


@pytest.mark.parametrize("export", ["online", "ema"])
def test_test_clips_have_no_part_in_the_fit(store, recordings, write_tiny, tiny, tmp_path, export):
    for clip in recordings:
        if clip.subject == 3:
            clip.frames[:] += 100.0
    other, settings = write_tiny(tmp_path / "store", recordings), tiny(KEPT | {"objective.export": export}, steps=2)
    pretrain(store, tmp_path / "one", settings, progress=False)
    pretrain(other, tmp_path / "other", settings, progress=False)
    one, same = (load_encoder(tmp_path / name)[0].readout for name in ("one", "other"))
    assert torch.equal(one.centre, same.centre)
    assert torch.equal(one.scale, same.scale)
    assert one.scale != 1
