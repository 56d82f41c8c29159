import json
import pickle
import sys
import textwrap
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import forks
import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pcm3.benchmark import features, machine, memory, step
from pcm3.benchmark import importing as import_timing
from pcm3.benchmark import pretrain as pretrain_benchmark
from pcm3.benchmark.features import Sizes, benchmark_linear, benchmark_retrieval
from pcm3.benchmark.importing import benchmark_import
from pcm3.benchmark.interleaved import Spread, interleaved, median_ratio
from pcm3.benchmark.memory import StepMemory, step_memory
from pcm3.benchmark.operations import encoder_flop_per_clip
from pcm3.benchmark.peer import FILES, PeerStep, has_prompts
from pcm3.benchmark.pretrain import benchmark_pretrain, calls, entrants
from pcm3.benchmark.step import Step, random_clips
from pcm3.device import has_bf16
from pcm3.encoders.readout import pooled_width
from pcm3.settings import presets
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import changed
from pcm3.settings.tasks import LinearSettings
from pcm3.skeleton import load_layout
from pcm3.train.loop import PHASES
from pcm3.train.plan import encoder_spec

BATCH = 4
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(step, "CLIPS", 8)
    monkeypatch.setitem(machine.MATMUL, "cpu", 128)
    one_layer = {"encoder.layers": 1}
    monkeypatch.setattr(presets, "settings_of_preset", lambda name: changed(settings_of_preset(name), one_layer))


@pytest.fixture
def toy(tiny):
    return tiny(batch=BATCH)


def encoder_flop(spec):
    """Of one clip in the encoder, from the sizes of its matrices."""
    seen, width = spec.bodies * spec.joints * 3 * len(spec.input_features), 2 * spec.hidden_size
    if spec.kind == "gru":  # two halves a layer, of three gates, on what comes in and on the state
        layers = [seen, *[width] * (spec.layers - 1)]
        of_frame = sum(2 * 2 * 3 * spec.hidden_size * (inputs + spec.hidden_size) for inputs in layers)
    else:  # query, key and value, what is gathered, both layers of the MLP, and all frames
        of_frame = 2 * seen * width + spec.layers * (2 * 12 * width * width + 2 * 2 * spec.frames * width)
    return spec.frames * (of_frame + (2 * width if spec.pooling == "attention" else 0))


def step_flop(spec, settings):
    """Of one clip in one step: a backward pass costs twice its forward pass; the key network has none."""
    outputs, width, objective = spec.bodies * spec.joints * 3, 2 * spec.hidden_size, settings.method.objective
    pooled = pooled_width(spec.pooling, width)
    encoder, projector = encoder_flop(spec), 2 * pooled * (pooled + objective.embedding)
    bridge = objective.decoder_hidden
    decoder = spec.frames * 2 * (width * bridge + bridge * bridge + 2 * 3 * bridge * 2 * bridge + bridge * outputs)
    positives = set(objective.positives)
    masked = bool(positives & {"mask", "predict"}) or objective.prediction_weight > 0
    encodings = len(positives & {"intra", "inter", "predict"}) + masked
    decodings = (objective.prediction_weight > 0) + ("predict" in positives and objective.decoder_gradient)
    queries = 3 * (encodings * encoder + len(positives) * projector + decodings * decoder)
    negatives = settings.batch if objective.negatives == "batch" else objective.queue
    contrast = 3 * len(positives) * 2 * negatives * objective.embedding
    return queries + contrast + (encoder + projector if positives else 0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"encoder.hidden_size": 24, "encoder.layers": 3},
        {"encoder.layers": 2, "encoder.direction": "bidirectional", "encoder.pooling": "mean"},
        {"objective.decoder_gradient": False},
        {"objective.positives": ["intra"], "objective.prediction_weight": 0.0, "prompts.kind": "none"},
        {"objective.positives": ["intra", "mask"]},
        {"objective.positives": [], "prompts.kind": "domain"},
        {"encoder.input_features": ["joint", "bone", "motion"]},
        {
            "encoder.pooling": "mean_max",
            "encoder.hidden_size": 64,
            "objective.embedding": 1024,
            "objective.projector_norm": True,
        },
        {
            "encoder.input_features": ["joint", "motion"],
            "encoder.pooling": "attention",
            "encoder.normalise_features": True,
        },
        {"objective.negatives": "batch", "objective.queue": 4096, "objective.embedding": 256},
        {"encoder.kind": "transformer", "encoder.direction": "bidirectional", "encoder.layers": 2},
    ],
    ids=str,
)
def test_the_operations_of_a_step_are_those_that_the_sizes_say(tiny, changes):
    settings = tiny(
        {"encoder.hidden_size": 16, "batch": BATCH, "frames": 8, "objective.queue": 16, "objective.decoder_hidden": 12}
        | changes
    )
    stepped = Step(settings, CPU, random_clips())
    assert stepped.flop_per_clip == pytest.approx(step_flop(stepped.spec, settings), rel=0.05)


@pytest.mark.parametrize("sees", [["joint"], ["bone"], ["joint", "bone", "motion"]], ids="+".join)
@pytest.mark.parametrize("pooling", ["last", "attention"])
@pytest.mark.parametrize("network", ["gru", "transformer"])
def test_the_operations_of_the_encoder_are_those_that_the_sizes_say(tiny, sees, pooling, network):
    settings = tiny(
        {
            "encoder.hidden_size": 16,
            "encoder.layers": 3,
            "encoder.direction": "bidirectional",
            "encoder.pooling": pooling,
            "encoder.kind": network,
            "encoder.input_features": sees,
        }
    )
    spec = encoder_spec(load_layout("kinect_v2"), 2, settings)
    assert encoder_flop_per_clip(spec) == pytest.approx(encoder_flop(spec), rel=0.05)


@pytest.mark.parametrize("kind", ["gru", "transformer", "graph", "stgcn"])
def test_the_operations_of_any_encoder_are_those_of_its_forward_pass(tiny, kind):
    spec = encoder_spec(load_layout("kinect_v2"), 2, tiny({"encoder.direction": "bidirectional", "encoder.kind": kind}))
    with FlopCounterMode(display=False) as torchs, torch.no_grad():
        spec.build(0).eval().embed(torch.randn(2, spec.frames, 2, 25, 3))
    # Of an ST-GCN a thousandth, its biases' average, is done once for all clips.
    assert encoder_flop_per_clip(spec) == pytest.approx(torchs.get_total_flops() / 2, rel=1e-3)
    assert torchs.get_total_flops() > 0


def test_in_each_turn_everyone_has_a_go_and_the_warm_turns_do_not_count():
    order = []
    goes = {name: lambda turn, name=name: order.append((turn, name)) or turn for name in "ab"}
    ticks = []
    assert interleaved(goes, turns=2, warm=1, on_progress=lambda: ticks.append(1)) == {"a": [1, 2], "b": [1, 2]}
    assert order == [(0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert len(ticks) == 6


def test_a_ratio_is_the_median_of_the_quotients_within_a_turn():
    assert Spread.of([3.0, 1.0, 8.0], 1) == (3.0, 1.0, 8.0)
    assert median_ratio([2.0, 30.0, 9.0], [1.0, 10.0, 9.0]) == 2.0


# The phases of a step


def test_the_phases_of_a_step_are_all_of_it_and_all_of_them_take_time(toy):
    spent = Step(toy, CPU, random_clips()).seconds(0)
    assert tuple(spent) == PHASES
    assert min(spent.values()) > 0


@pytest.mark.parametrize("part", ["encoder", "decoder", pytest.param("projector", marks=pytest.mark.soak)])
def test_what_is_slower_forward_and_backward_is_told_as_that_phase(toy, part):
    stepped = Step(toy, CPU, random_clips())
    module = getattr(stepped.method, part)
    name = "encode_views" if part == "encoder" else "forward"
    inner = getattr(module, name)

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(context, values):
            wait()
            return values.clone()

        @staticmethod
        def backward(context, gradient):
            wait()
            return gradient

    def wait():
        total = torch.zeros(())
        for _ in range(20000):
            total += 1

    def slow(*inputs, **more):
        given = inner(*inputs, **more)
        return [Slow.apply(view) for view in given] if isinstance(given, list) else Slow.apply(given)

    setattr(module, name, slow)
    spent = stepped.seconds(0)
    both = spent["forward"] + spent["backward"]
    assert both > 0.8 * sum(spent.values())
    assert 0.25 < spent["forward"] / both < 0.75


def test_a_batch_in_two_parts_is_one_step(tiny):
    spent = Step(tiny(batch=8, micro_batches=2), CPU, random_clips()).seconds(0)
    assert tuple(spent) == PHASES


# Pretraining


def test_a_row_of_the_benchmark_hangs_together(toy, tiny_spec):
    told = []
    measured = entrants(toy, [8, 12], ["32", "bf16"])
    rows = benchmark_pretrain(measured, 3, 1, CPU, memory=False, on_progress=told.append)
    assert len(told) == calls(measured, 3, 1, False)
    assert [(row.code, row.hidden_size, row.precision) for row in rows] == [
        ("pcm3", hidden, precision) for hidden in (8, 12) for precision in ("32", "bf16")
    ]
    assert told[4:8] == told[8:12] == [name.removeprefix("building ") for name in told[:4]], "turn by turn"
    row = rows[0]
    assert (row.batch, row.turns, row.to_peer, row.memory_mib) == (BATCH, 3, None, None)
    assert row.lowest <= row.clips_per_s <= row.highest
    assert row.clips_per_s == pytest.approx(BATCH / row.step_s, rel=0.05)
    assert row.without_views_clips_per_s > row.clips_per_s
    assert 0 < row.views_s < row.step_s
    assert tuple(row.parts_s) == PHASES
    assert row.gflop_per_clip == pytest.approx(step_flop(tiny_spec(toy), toy) / 1e9, abs=6e-4)
    assert row.matmul_gflops > 0
    assert row.hours(9, epochs=2) == pytest.approx(2 * 8 / row.clips_per_s / 3600, abs=0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_memory_is_made_of_what_it_is_said_to_be(tiny, monkeypatch):
    # Of a process that is as fresh as any, but has the libraries.
    monkeypatch.setattr(memory, "multiprocessing", SimpleNamespace(get_context=lambda _: forks.context()))
    settings = tiny(
        {
            "encoder.hidden_size": 256,
            "encoder.layers": 2,
            "batch": 16,
            "objective.queue": 4096,
            "objective.embedding": 64,
        }
    )
    found = step_memory(partial(Step, settings, CPU), CPU)
    built = Step(settings, CPU, random_clips()).method
    learning = sum(one.nbytes for one in built.parameters() if one.requires_grad) / 2**20
    assert found.weights == found.gradients == found.optimiser == pytest.approx(learning, abs=0.1)
    assert found.queue == 1.0
    held = found.weights + found.key_network + found.queue + found.gradients + found.optimiser
    assert found.peak == pytest.approx(held + found.rest, abs=0.3)
    assert found.peak > 0.9 * held
    assert found.peak < held + 200


def test_the_benchmark_leaves_tables_and_the_same_figures_as_json(cli, tmp_path):
    out = tmp_path / "new" / "speed.json"
    words = [
        "--hidden_size",
        8,
        12,
        "--precision",
        32,
        "--batch",
        4,
        "--steps",
        1,
        "--preset",
        "small",
        "--device",
        "cpu",
    ]
    found = cli("benchmark", "pretrain", *words, "--memory", "false", "--epoch-of", 40091, "--out", out, "--json")
    assert found.code == 0
    assert [row["hidden_size"] for row in found.json["rows"]] == [8, 12]
    assert {"clips_per_s", "step_s", "matmul_share", "hours_of_450_epochs"} <= set(found.json["rows"][0])
    for told in ("clips_per_s", "after_step", "extrapolated, not run", f"written: {out}"):
        assert told in found.out
    assert json.loads(out.read_text()) == found.json
    assert found.json["machine"]["torch"] == torch.__version__
    assert max(len(line) for line in found.out.split("\n")[:-2]) <= 120


# The released code


@pytest.fixture
def peer(tmp_path):
    """A checkout with the released code's interface, and its habits that do not work here, but none of its text."""
    sources = dict.fromkeys(FILES, "") | {
        "utils.py": "class Jointmask3: pass\n",
        "moco/GRU.py": """
            import torch, torchvision
            device = torch.device("cuda")
            class BIGRU(torch.nn.Module):
                def __init__(self, en_input_size, en_hidden_size, en_num_layers, num_class):
                    super().__init__()
                    self.gru = torch.nn.GRU(en_input_size, en_hidden_size, en_num_layers, batch_first=True).to(device)
                    self.fc = torch.nn.Linear(en_hidden_size, num_class)
            """,
        "moco/builder_mask_recons.py": """
            import numpy as np, torch
            from .GRU import BIGRU
            class MoCo(torch.nn.Module):
                def __init__(self, kind, sizes, dim, K, m, T, teacher_T, student_T, cmd_weight, topk, mlp):
                    super().__init__()
                    print("a word that nobody wants to read")
                    assert kind == "graph-based" and mlp and topk == K
                    self.encoder_q, self.encoder_k = BIGRU(**sizes), BIGRU(**sizes).requires_grad_(False)
                    self.register_buffer("queue", torch.zeros(dim, K))
                def forward_pcm3_woprompt(self, clips):
                    flat = clips.permute(0, 2, 3, 1, 4).flatten(2)
                    assert flat.shape[1:] == (64, 150)
                    return self.encoder_q.fc(self.encoder_q.gru(flat)[0][:, -1]) * np.int(1)
            """,
        "feeder/augmentations.py": """
            import numpy as np
            def crop(clip, frames, size):
                length = int(np.floor(frames * np.array([1.0])))
                return clip[:, np.linspace(0, length - 1, size).astype(np.int)]
            """,
        "feeder/feeder_pretraining_base.py": """
            import numpy as np, torch
            from torchvision import transforms
            from feeder import augmentations
            class Feeder(torch.utils.data.Dataset):
                def __init__(self):
                    raise FileNotFoundError("the authors' disk")
                def __getitem__(self, index):
                    clip, frames = np.array(self.data[index]), self.number_of_frames[index]
                    assert clip.shape == (3, 300, 25, 2) and frames == 90 and not clip[:, 90:].any()
                    return *(augmentations.crop(clip, frames, self.input_size) for _ in range(3)), 0
            """,
        "pretrain_moco_mask.py": """
            import moco.builder_mask_recons, torch
            from utils import *
            from torch.utils.tensorboard import SummaryWriter
            seen = []
            def train(train_loader, model, criterion, optimizer, epoch, args, f=None):
                model.train()
                for first, second, third, label in train_loader:
                    seen.append((len(first), args.exp_descri, args.local_rank, args.stream))
                    found = model.forward_pcm3_woprompt(first.float().cuda(non_blocking=True))
                    optimizer.zero_grad()
                    criterion(found, torch.zeros(len(found), dtype=torch.long).cuda()).backward()
                    optimizer.step()
                    print(len(found))
            """,
    }
    for name, text in sources.items():
        file = tmp_path / "peer" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
    return tmp_path / "peer"


@pytest.fixture
def released():
    preset = settings_of_preset("released")
    return changed(
        preset, {"encoder.hidden_size": 8, "encoder.layers": 1, "batch": BATCH, "objective.decoder_hidden": 8}
    )


def test_the_released_code_has_its_own_step_and_leaves_this_process_as_it_was(peer, released, capsys):
    assert np.fft  # which numpy loads when it is first asked for
    modules, path = set(sys.modules), list(sys.path)
    cuda = torch.Tensor.cuda, torch.nn.Module.cuda
    python, numpy, drawn = np.random.get_state()[1].copy(), dict(vars(np)), torch.get_rng_state()  # noqa: NPY002
    torch.set_float32_matmul_precision("medium")
    stepped = PeerStep(peer, released, CPU, random_clips())
    before = [one.clone() for one in stepped.method.encoder_q.parameters()]
    seconds = stepped.seconds(3)
    assert seconds["views"] > 0 < seconds["rest"]
    assert all(not torch.equal(a, b) for a, b in zip(before, stepped.method.encoder_q.parameters(), strict=True))
    assert stepped._script.seen == [(4, "PCM3_woprompt", -1, "joint"), (BATCH, "PCM3_woprompt", -1, "joint")]
    assert capsys.readouterr().out == ""
    assert {name for name in set(sys.modules) - modules if name.split(".")[0] in ("moco", "utils", "feeder")} == set()
    assert sys.path == path
    assert cuda == (torch.Tensor.cuda, torch.nn.Module.cuda)
    assert "torchvision" not in set(sys.modules) - modules
    assert dict(vars(np)) == numpy
    assert (np.random.get_state()[1] == python).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.get_float32_matmul_precision() == "medium"
    torch.set_float32_matmul_precision("highest")
    assert list(peer.rglob("*.pyc")) == []


def test_the_released_code_has_its_turn_between_ours_and_is_what_ours_is_held_against(peer, released):
    measured = entrants(released, [8, 16], ["32"], peer)
    told = [(one.code, one.settings.encoder.hidden_size, one.settings.method.prompts.kind) for one in measured]
    assert told == [
        (code, hidden, prompts)
        for hidden in (8, 16)
        for code, prompts in (("pcm3", "both"), ("pcm3", "none"), ("released", "none"))
    ]
    rows = benchmark_pretrain(measured[:3], 2, 0, CPU, memory=False)
    assert [row.to_peer for row in rows if row.code == "released"] == [1.0]
    assert all(row.to_peer > 0 < row.to_peer_without_views for row in rows)
    assert [row.parts_s is None for row in rows] == [row.code == "released" for row in rows]


def test_prompts_fit_one_width_of_the_released_code_and_there_both_have_them(released, peer):
    assert has_prompts(1024)
    assert [one.settings.method.prompts.kind for one in entrants(released, [1024], ["32"], peer)] == ["both", "both"]


def test_without_prompts_ours_has_the_settings_of_the_preset_for_it(released, peer):
    ours = entrants(settings_of_preset("released"), [512], ["32"], peer)[1].settings
    theirs = changed(settings_of_preset("released-bone-motion"), {"encoder.hidden_size": 512})
    assert ours == theirs


@pytest.mark.soak  # each memory is measured above
def test_both_memories_stand_in_the_table_of_the_command(cli, peer, monkeypatch):
    asked = []

    def step_memory(make, device):
        asked.append(pickle.loads(pickle.dumps(make)).args[0])  # or no other process could build it
        return StepMemory(peak=60.5, weights=1.0, key_network=1.0, queue=1.0, gradients=1.0, optimiser=1.0, rest=55.5)

    monkeypatch.setattr(pretrain_benchmark, "step_memory", step_memory)
    words = ["--hidden_size", 8, "--precision", 32, "--batch", 4, "--steps", 1, "--warm", 0, "--device", "cpu"]
    found = cli("benchmark", "pretrain", *words, "--peer", peer, "--json")
    assert found.code == 0
    assert [(one.code, one.peer) for one in asked] == [("pcm3", None), ("pcm3", None), ("released", peer)]
    assert [row["code"] for row in found.json["rows"]] == ["pcm3", "pcm3", "released"]
    assert "to_peer" in found.out
    table, in_json = found.out.rsplit("\n", 2)[:2]
    assert ["peak", *["60.5"] * 3] in [line.split() for line in table.split("\n")]
    assert in_json.count('"peak": 60.5') == 3
    assert max(len(line) for line in found.out.split("\n")[:-2]) <= 120


@pytest.mark.parametrize("file", FILES)
def test_a_folder_that_is_no_checkout_is_told_with_the_file_that_is_missing(cli, peer, file):
    (peer / file).unlink()
    found = cli("benchmark", "pretrain", "--hidden_size", 8, "--precision", 32, "--peer", peer)
    assert found.code == 2
    assert found.err.count("\n") == 1
    assert f"has no {file}" in found.err
    assert str(peer) in found.err
    assert found.out == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--batch", 48], ["batch", "divisor of its queue of 16384", "48"]),
        (["--batch", 2], ["batch", "at least 4", "2"]),
        (["--preset", "small"], ["preset", "expected released", "small"]),
        (["--micro_batches", 2], ["micro_batches", "expected 1", "2"]),
    ],
    ids=str,
)
def test_what_the_released_code_cannot_do_is_told_before_anything_is_measured(cli, peer, words, told):
    found = cli("benchmark", "pretrain", "--hidden_size", 8, "--peer", peer, *words)
    assert found.code == 2
    assert found.err.count("\n") == 1
    assert all(word in found.err for word in told), found.err


def test_a_checkout_that_cannot_be_imported_is_told(cli, peer):
    (peer / "moco" / "GRU.py").write_text("import a_library_that_nobody_has\n")
    words = ["--hidden_size", 8, "--precision", 32, "--batch", 4, "--memory", "false"]
    found = cli("benchmark", "pretrain", *words, "--peer", peer)
    assert found.code == 2
    assert "a_library_that_nobody_has" in found.err.splitlines()[-1]


# Evaluation


def test_encoding_is_measured_in_every_width_and_precision(cli):
    found = cli("benchmark", "encode", "--hidden_size", 8, 12, "--batch", 4, "--steps", 2, "--device", "cpu", "--json")
    assert found.code == 0
    rows = found.json["rows"]
    precisions = ("32", "bf16") if has_bf16(CPU) else ("32",)
    assert [(row["hidden_size"], row["precision"]) for row in rows] == [(h, p) for h in (8, 12) for p in precisions]
    for row in rows:
        assert 0 < row["lowest"] <= row["clips_per_s"] <= row["highest"]
        assert row["matmul_share"] == pytest.approx(row["gflops"] / row["matmul_gflops"], abs=0.02)
    assert "clips_per_s" in found.out
    assert max(len(line) for line in found.out.split("\n")[:-2]) <= 120


def test_the_head_is_trained_as_often_as_asked():
    told = []
    (row,) = benchmark_linear(Sizes(50, 20, 16, 3), LinearSettings(epochs=2), 2, CPU, told.append)
    assert len(told) == 1 + 2 * 2
    assert (row.clips, row.tests, row.width, row.classes, row.epochs, row.turns) == (50, 20, 16, 3, 2, 2)
    assert 0 < row.lowest <= row.seconds <= row.highest


def test_retrieval_is_held_against_the_plain_product(cli):
    told = []
    rows = benchmark_retrieval(Sizes(60, 20, 16), 2, 1, CPU, told.append)
    assert [row.features for row in rows] == ["low rank", "isotropic"]
    assert len(told) == 3 * 3
    assert all(row.to_matmul > 0 for row in rows)
    found = cli("benchmark", "retrieval", "--clips", 30, "--tests", 10, "--width", 8, "--steps", 1, "--json")
    assert found.code == 0
    assert found.json["rows"][0]["queries"] == 10
    found = cli("benchmark", "linear", "--clips", 30, "--tests", 9, "--width", 8, "--steps", 1, "--epochs", 1, "--json")
    assert found.code == 0
    assert found.json["rows"][0]["epochs"] == 1


def test_features_like_an_encoders_lie_in_few_directions():
    values = features._low_rank(300, 64, torch.Generator().manual_seed(0))
    spread = torch.linalg.svdvals(values - values.mean(dim=0))
    assert values.abs().max() < 1
    assert (spread[: features.LATENT] ** 2).sum() > 0.8 * (spread**2).sum()


def test_the_import_benchmark_measures_every_way_in_every_turn():
    goes = []
    rows = benchmark_import(files=12, workers=[1], turns=2, on_progress=lambda: goes.append(1))
    assert len(goes) == 8
    assert [(row.what, row.workers, row.files) for row in rows] == [
        ("line by line", 1, 12),
        ("numpy.fromstring", 1, 12),
        ("parse", 1, 12),
        ("import", 1, 12),
    ]
    for row in rows:
        assert 0 < row.lowest <= row.files_per_s <= row.highest
        assert row.megabytes_per_s > 0
    assert rows[0].to_line_by_line == rows[1].to_fromstring == 1
    assert rows[3].to_line_by_line > 2


def test_the_command_tells_the_import_benchmark_as_a_table_and_as_json(cli):
    found = cli("benchmark", "import", "--files", 3, "--steps", 1, "--workers", 1, "--json")
    assert found.code == 0
    assert [row["what"] for row in found.json["rows"]] == ["line by line", "numpy.fromstring", "parse", "import"]
    assert {"files_per_s", "megabytes_per_s", "to_line_by_line", "to_fromstring"} <= set(found.json["rows"][0])
    assert "to_line_by_line" in found.out
    assert max(len(line) for line in found.out.split("\n")[:-2]) <= 120


def test_more_files_than_there_are_different_ones_are_links_to_them(tmp_path, monkeypatch):
    monkeypatch.setattr(import_timing, "ACTIONS", import_timing.ACTIONS[:4])
    different = import_timing._simulated(tmp_path, 24)
    files = list(tmp_path.glob("*.skeleton"))
    assert len(different) == 4 * import_timing.CAMERAS
    assert len(files) == len(different) * round(24 / len(different))
    assert len({file.stat().st_ino for file in files}) == len(different)


def test_all_of_them_write_a_file_each(cli, tmp_path, monkeypatch):
    from pcm3.cli import benchmark as command

    ways = {what: lambda options, device, what=what: [{"what": what}] for what in command.WHAT if what != "pretrain"}
    monkeypatch.setattr(command, "_WAYS", ways)
    monkeypatch.setattr(command, "WHAT", tuple(ways))
    found = cli("benchmark", "all", "--out", tmp_path / "all", "--json")
    assert found.code == 0
    for what in ways:
        assert json.loads((tmp_path / "all" / f"benchmark-{what}.json").read_text())["rows"] == [{"what": what}]
        assert found.json[what] == [{"what": what}]
    Path(tmp_path, "file").touch()
    assert cli("benchmark", "all", "--out", tmp_path / "file").code == 2
