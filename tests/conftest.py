"""What the tests of runs, tasks and commands share: a tiny store, tiny settings, the command line in this process."""

import functools
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import docstring_parser
import filelock
import forks
import numpy as np
import pytest
import type_checks
from matplotlib.figure import Figure

# Read when torch starts: threads that wait must sleep, or two test processes on two cores slow each other tenfold; and
# one thread a process, so that bits and chosen numbers of threads are the same on every machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["slow_tests"]
type_checks.install()
# pcm3 itself is imported inside the fixtures, when the import hook that checks shapes and types stands.


def pytest_runtest_setup():
    type_checks.Test.number += 1


@pytest.fixture(autouse=True)
def float32_is_float32():
    """No test, and nothing that it calls, leaves products of float32 in a lower precision to what runs after it."""
    yield
    if (torch := sys.modules.get("torch")) is not None:
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        assert precision == "highest", f"products of float32 are left in precision {precision}"


def pytest_make_parametrize_id(config, val, argname):
    """Bytes go by their argument's name: what is in them may depend on the clock, and every process must collect the
    same names."""
    return argname if isinstance(val, bytes) else None


ACTIONS = ("raise arm", "nod", "hand over")
SUBJECTS, REPETITIONS = (1, 2, 3, 4), 2
PROTOCOLS = {"xsub": {"by": "subject", "train": [1, 2, 4]}, "xview": {"by": "camera", "train": [2, 3]}}

TINY = {
    "encoder.hidden_size": 8,
    "encoder.layers": 1,
    "batch": 8,
    "steps": 10,
    "checkpoint_steps": 5,
    "precision": "32",
    "device": "cpu",
    "frames": 8,
    "prompts.width": 4,
    "objective.embedding": 8,
    "objective.queue": 64,
    "objective.decoder_hidden": 8,
    "objective.head_hidden": 8,
    "objective.discriminator_hidden": 8,
    "distillation.neighbours": 16,
    "second.hidden_size": 8,
    "second.layers": 1,
    "second.channels": 4,
    "optimiser.schedule": "constant",
}
ON_JOINTS = {"encoder.kind": "stgcn", "encoder.direction": "bidirectional", "encoder.pooling": "mean"}
NEEDED = {
    "aimclr": ON_JOINTS,
    "cpm": {"neighbours.nearest": 4},
    "hico": {"encoder.kind": "hico", "encoder.direction": "bidirectional", "encoder.pooling": "max"},
    "gl-transformer": {"encoder.kind": "gl_transformer", "encoder.direction": "bidirectional"},
    "h-transformer": {"encoder.kind": "h_transformer", "encoder.direction": "bidirectional"},
    "mamp": {"encoder.kind": "vit", "encoder.direction": "bidirectional", "objective.decoder_layers": 1},
    "pstl": ON_JOINTS | {"partial.frames": 3},
    "skelemixclr": ON_JOINTS,
}
"""Method → what its runs cannot do without."""


def tiny_recordings():
    """24 clips of 40 to 90 frames, 3 classes that joints far from their place tell apart, 2 bodies in the last."""
    from pcm3.data.recording import Recording

    rng = np.random.default_rng(7)
    body = rng.normal(scale=0.3, size=(25, 3))
    clips = []
    for subject in SUBJECTS:
        for label in range(len(ACTIONS)):
            for _ in range(REPETITIONS):
                length = int(rng.integers(40, 91))
                time = np.arange(length) / 30
                frames = np.zeros((length, 2, 25, 3), np.float32)
                frames[:, 0] = body
                moved = slice(4 + 4 * label, 8 + 4 * label)
                frames[:, 0, moved, 2] += 0.5 + 0.1 * np.sin(2 * np.pi * (1 + label) * time)[:, None]
                frames[:, 0] += rng.normal(scale=0.01, size=(length, 25, 3))
                if label == 2:
                    frames[:, 1] = body + np.array([0.8, 0.0, 0.0])
                number = len(clips)
                clips.append(Recording(f"clip{number:02}", frames, label, subject, camera=1 + number % 3))
    return clips


def write_tiny_store(path, clips=None, **changes):
    """The tiny clips (or others) as a store."""
    from pcm3.data.store_writer import write_store
    from pcm3.skeleton import load_layout

    about = {
        "layout": load_layout("kinect_v2"),
        "fps": 30.0,
        "bodies": 2,
        "kind": "npz",
        "classes": ACTIONS,
        "protocols": PROTOCOLS,
    }
    return write_store(path, clips or tiny_recordings(), **(about | changes))


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts what it puts into the background so, and every process below would take no Ctrl-C from the tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def store_path(tmp_path_factory):
    """A folder with the tiny store; nobody may change it."""
    path = tmp_path_factory.mktemp("data") / "store"
    from pcm3.data.audit.leaks import audit
    from pcm3.data.verified import verified

    store = write_tiny_store(path)
    audit(store)  # or every evaluation would say that nobody looked for leaks
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pcm3.data.verified.GRAIN", 0)  # or it would not be remembered of files that are so new
        verified(store)  # or the first command that a process runs would remember that it did so
    assert (path / "verified.json").exists()
    return path


@pytest.fixture(scope="session")
def imported(tmp_path_factory):
    """Imports a real data set as it is by default, once for all processes of the tests; nobody may change the store."""
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place

    def store_of(kind):
        from pcm3.data.importer import import_recordings
        from pcm3.data.store import ClipStore

        with filelock.FileLock(place / f"{kind}.lock"):
            if not (place / kind).exists():
                source = Path(os.environ["PCM3_DATA"], kind.replace("-", "_"))
                import_recordings(kind, source, place / kind, workers=1, progress=False)
        return ClipStore.open(place / kind)

    return store_of


@pytest.fixture
def store(store_path):
    from pcm3.data.store import ClipStore

    return ClipStore.open(store_path)


@pytest.fixture
def recordings():
    """The clips of the tiny store, to be changed and written again with `write_tiny`."""
    return tiny_recordings()


@pytest.fixture
def write_tiny():
    return write_tiny_store


@pytest.fixture(scope="session")
def tiny():
    """Makes settings of a run that takes less than a second; changes have dotted names, as on the command line."""

    def make(changes=None, **more):
        from pcm3.settings.methods import METHODS, USUAL
        from pcm3.settings.pretrain import PretrainSettings, changed, flat

        wanted = (changes or {}) | more
        wanted = NEEDED.get(wanted.get("method", USUAL), {}) | wanted
        usual = PretrainSettings(method=METHODS[wanted.get("method", USUAL)].settings())
        return changed(usual, {name: value for name, value in TINY.items() if name in flat(usual)} | wanted)

    return make


@pytest.fixture(scope="session")
def tiny_spec():
    """The spec of the encoder that settings ask for on the tiny store."""

    def make(settings):
        from pcm3.skeleton import load_layout
        from pcm3.train.plan import encoder_spec

        return encoder_spec(load_layout("kinect_v2"), 2, settings)

    return make


@pytest.fixture(scope="session")
def tiny_words(tiny):
    """The same settings as words of a command line, every one of them, so that no preset matters."""

    def make(changes=None, **more):
        from pcm3.settings.pretrain import flat

        values = flat(tiny(changes, **more))
        return [f"--{name}={v if isinstance(v, str) else json.dumps(v)}" for name, v in values.items()]

    return make


@pytest.fixture(scope="session")
def finished_path(store_path, tiny, tmp_path_factory):
    """The folder of a finished run of ten steps on the tiny store; nobody may change it."""
    from pcm3.data.store import ClipStore
    from pcm3.train.pretrain import pretrain

    path = tmp_path_factory.mktemp("runs") / "finished"
    pretrain(ClipStore.open(store_path), path, tiny(), progress=False)
    return path


@pytest.fixture
def run_path(finished_path, tmp_path):
    """A copy of the finished run, to be damaged or gone on with."""
    return Path(shutil.copytree(finished_path, tmp_path / "run"))


class Outcome(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The last line of stdout, which must be strict JSON (so without NaN)."""

        def refuse(word):
            raise ValueError(f"{word} is not JSON")

        return json.loads(self.out.rstrip("\n").split("\n")[-1], parse_constant=refuse)


@pytest.fixture
def cli(capsys):
    """Runs a command in this process, as ``pcm3`` would."""

    def call(*words):
        from pcm3.cli import main

        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return call


@pytest.fixture(scope="session", autouse=True)
def quick_workers():
    """Worker processes of a test are forked from one that has imported torch. They are spawned, as they are for users,
    in test_parallel and where a command has a process of its own, as in test_importer."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pcm3.parallel.get_context", lambda _: forks.context())
        yield


@pytest.fixture(scope="session", autouse=True)
def read_once():
    """What classes of settings and their docstrings say is read once, not for every command: jsonargparse parses their
    source anew, which is a fifth of parsing a command line."""
    from jsonargparse import _signatures

    parameters = functools.cache(_signatures.get_signature_parameters)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("docstring_parser.parse_from_object", functools.cache(docstring_parser.parse_from_object))
        patched.setattr(_signatures, "get_signature_parameters", lambda of, name=None, **_: parameters(of, name))
        yield


@pytest.fixture(scope="session", autouse=True)
def seeded_at_once():
    """Where there is only the CPU its generator alone is seeded: torch writes down the stack, thrice, for each other
    kind of device that there might be, which in a test takes ten milliseconds."""
    import torch

    with pytest.MonkeyPatch.context() as patched:
        if not torch.cuda.is_available():
            patched.setattr(torch, "manual_seed", torch.default_generator.manual_seed)
        yield


@pytest.fixture(scope="session", autouse=True)
def roughly_drawn():
    """Pictures are laid out and have axes, titles and legends in the tests of pictures alone: that is most of what
    drawing them takes."""
    draw = Figure.savefig

    def savefig(self, *given, **named):
        if "report/" not in os.environ["PYTEST_CURRENT_TEST"]:
            self.set_layout_engine("none")
            for axes in self.axes:
                axes.set_axis_off()
                axes.set_title("", y=1.0)  # or its place would be looked for among all axes
                if (legend := axes.get_legend()) is not None:
                    legend.remove()
        return draw(self, *given, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Figure, "savefig", savefig)
        yield


@pytest.fixture(scope="session")
def two_processes():
    """A map_fn over two processes, for all tests."""
    from pcm3.parallel import worker_processes

    with worker_processes(2) as over:
        yield over


@pytest.fixture
def content():
    """Reads a folder: name of each file → its bytes, but for the lock."""

    def read(folder):
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    return read


class Trace(NamedTuple):
    """All that must be the same in two runs that are the same, whatever happened to them on the way."""

    encoder: bytes
    state: dict
    metrics: list

    def assert_equals(self, other):
        """Bit by bit."""
        import torch

        torch.testing.assert_close(self.state, other.state, rtol=0, atol=0, equal_nan=True)
        assert self.metrics == other.metrics
        assert self.encoder == other.encoder


@pytest.fixture(scope="session")
def trace():
    """Reads a run folder: the file of the encoder, the checkpoint and the metrics, both without the seconds."""

    def read(folder):
        import torch

        state = torch.load(Path(folder) / "checkpoint.pt", weights_only=True)
        del state["seconds"]
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            del line["seconds"]
        return Trace((Path(folder) / "model.safetensors").read_bytes(), state, lines)

    return read


@pytest.fixture
def size_is_no_matter(monkeypatch):
    """Evaluations without the notes that every tiny store would get for its few clips."""
    from pcm3.data.audit import label_flaws
    from pcm3.tasks import notes

    monkeypatch.setattr(label_flaws, "FEW", 1)
    monkeypatch.setattr(notes, "_neighbours", lambda setup: [])
