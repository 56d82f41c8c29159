import contextlib
import errno
import pickle
import random
from pathlib import Path

import pytest
import torch
from torch import nn

from pcm3.encoders.files import load_encoder
from pcm3.errors import CheckpointError
from pcm3.train.checkpoint import RunState, load_checkpoint, save_checkpoint
from pcm3.train.pretrain import pretrain
from pcm3.train.run_folder import RunFolder


def one_line(text):
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


# Damage of any kind: what is read is either fine or a CheckpointError


def damages(data, count, seed=0):
    """Copies of a file's bytes: cut off at some place, with some bytes changed, or with a piece taken out."""
    rng = random.Random(seed)
    for number in range(count):
        place = rng.randrange(len(data)) if number % 2 else rng.randrange(min(len(data), 2000))
        kind = rng.choice(["cut", "flip", "hole", "zeros"])
        if kind == "cut":
            yield data[:place]
        elif kind == "flip":
            yield data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
        elif kind == "hole":
            yield data[:place] + data[place + rng.randrange(1, 50) :]
        else:
            yield data[:place] + bytes(len(data) - place)
    yield b""
    yield b"\n"
    yield bytes(len(data))


def refusal(load, *arguments):
    """What the CheckpointError says; None where there was none."""
    try:
        load(*arguments)
    except CheckpointError as error:
        return str(error)
    return None


def test_an_encoder_or_checkpoint_of_another_run_in_the_folder_is_refused(run_path, store, tiny, tmp_path):
    pretrain(store, tmp_path / "other", tiny(seed=1), progress=False)
    mine, other = RunFolder(run_path), RunFolder(tmp_path / "other")
    kept = mine.encoder.read_bytes()
    mine.encoder.write_bytes(other.encoder.read_bytes())
    with pytest.raises(CheckpointError, match="is of another run than"):
        load_encoder(run_path)
    load_encoder(mine.encoder)  # taken by itself it is what it is
    mine.encoder.write_bytes(kept)
    load_encoder(run_path)
    mine.checkpoint.write_bytes(other.checkpoint.read_bytes())
    with pytest.raises(CheckpointError, match="is of another run than"):
        load_checkpoint(mine)


def test_a_damaged_checkpoint_is_refused_or_read_as_it_was_written(run_path):
    run, refused = RunFolder(run_path), 0
    state = load_checkpoint(run)
    for data in list(damages(run.checkpoint.read_bytes(), 60)):
        run.checkpoint.write_bytes(data)
        told = refusal(load_checkpoint, run)
        refused += told is not None
        if told is None:
            torch.testing.assert_close(vars(load_checkpoint(run)), vars(state), rtol=0, atol=0)
        assert told is None or (str(run.checkpoint) in told and "remove the folder or choose another --run" in told)
    assert refused > 20


def test_a_checkpoint_damaged_in_its_table_of_contents_is_read_or_refused(run_path):
    run, rng = RunFolder(run_path), random.Random(1)
    data = run.checkpoint.read_bytes()
    end = data.index(b"PK\x07\x08")  # of the first file in the archive, the pickle
    for _ in range(200):
        place = rng.randrange(64, end)
        run.checkpoint.write_bytes(data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :])
        with contextlib.suppress(CheckpointError):
            load_checkpoint(run)


def test_a_damaged_checkpoint_stops_the_run_in_one_line_and_touches_nothing(
    cli, run_path, store_path, tiny_words, content
):
    file = run_path / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:1000])
    before = content(run_path)
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=20))
    assert found.code == 2
    assert one_line(found.err)
    assert "checkpoint.pt: damaged" in found.err
    after = content(run_path)
    for name in ("checkpoint.pt", "model.safetensors", "metrics.jsonl", "model.json"):
        assert after[name] == before[name]


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (99, "written by a newer pcm3 (format 99, this one goes on with 3): update pcm3"),
        (
            2,
            "written by an earlier pcm3 (format 2, this one goes on with 3): go on with that version, or to begin anew",
        ),
    ],
)
def test_a_checkpoint_of_another_version_stops_the_run(cli, run_path, store_path, tiny_words, content, version, told):
    state = torch.load(run_path / "checkpoint.pt", weights_only=True)
    torch.save(state | {"format": version}, run_path / "checkpoint.pt")
    before = content(run_path)
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=20))
    assert found.code == 2
    assert one_line(found.err)
    assert told in found.err
    assert content(run_path)["checkpoint.pt"] == before["checkpoint.pt"]


def test_a_checkpoint_with_weights_of_another_width_stops_the_run(cli, run_path, store_path, tiny_words):
    state = torch.load(run_path / "checkpoint.pt", weights_only=True)
    state["method"]["encoder.norm.weight"] = torch.zeros(3)
    torch.save(state, run_path / "checkpoint.pt")
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=20))
    assert found.code == 2
    assert one_line(found.err)
    assert "does not fit the run's settings" in found.err


@pytest.mark.parametrize(
    "change", [{"step": None}, {"step": "7"}, {"optimisers": None}, {"method": [1]}, {"format": "x"}]
)
def test_a_checkpoint_with_other_parts_than_it_should_have_stops_the_run(cli, run_path, store_path, tiny_words, change):
    state = torch.load(run_path / "checkpoint.pt", weights_only=True) | change
    torch.save({name: part for name, part in state.items() if part is not None}, run_path / "checkpoint.pt")
    found = cli("pretrain", store_path, "--run", run_path, *tiny_words(steps=20))
    assert found.code == 2


class Evil:
    """What a pickle may hold: a call of anything with anything."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_no_file_is_ever_unpickled_into_code(tmp_path, run_path):
    proof = tmp_path / "proof"
    for file in (tmp_path / "model.pt", run_path / "checkpoint.pt"):
        torch.save({"format": 1, "state_dict": Evil(str(proof))}, file)
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(Evil(str(proof)), protocol=2))
    for path in (tmp_path / "model.pt", plain):
        with pytest.raises(CheckpointError):
            load_encoder(path)
    with pytest.raises(CheckpointError):
        load_checkpoint(RunFolder(run_path))
    assert not proof.exists()


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    run = RunFolder(tmp_path)
    assert load_checkpoint(run) is None
    state = RunState(3, 1.5, {"a": torch.randn(3)}, {"all": {"state": {0: torch.ones(2)}}})
    save_checkpoint(run, state)
    torch.testing.assert_close(vars(load_checkpoint(run)), vars(state), rtol=0, atol=0)


# The authors' files


class Released(nn.Module):
    """The authors' encoder, as far as its state and its arithmetic: one bidirectional GRU stepped frame by frame."""

    def __init__(self, hidden, layers):
        super().__init__()
        self.input_norm = nn.BatchNorm1d(150)
        self.encoder = nn.Module()
        self.encoder.gru = nn.GRU(150, hidden, layers, batch_first=True, bidirectional=True)

    def forward(self, clips):
        flat = clips.permute(0, 1, 3, 4, 2).flatten(2)  # (B, T, V·C·M)
        flat = self.input_norm(flat.flatten(0, 1)).view_as(flat)
        state = None
        for frame in flat.split(1, dim=1):
            out, state = self.encoder.gru(frame, state)
        return out[:, 0]


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_released_weights_compute_here_what_they_compute_stepped_frame_by_frame(tmp_path, wrapped):
    torch.manual_seed(0)
    released = Released(6, 3)
    with torch.no_grad():
        released.input_norm.running_mean.uniform_(-0.1, 0.1)
        released.input_norm.running_var.uniform_(0.5, 2)
        released.input_norm.weight.uniform_(0.5, 2)
    prefix = "module.encoder_q." if wrapped else "encoder_q."
    state = {prefix + name: tensor for name, tensor in released.state_dict().items()}
    state["encoder_k.fc.weight"] = torch.zeros(2)
    torch.save({"epoch": 451, "state_dict": state} if wrapped else state, tmp_path / "released.pth.tar")
    encoder, spec = load_encoder(tmp_path / "released.pth.tar")
    clips = torch.randn(5, 12, 2, 25, 3)
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(clips), released.eval()(clips), rtol=1e-5, atol=1e-6)
    assert (spec.layout.name, spec.bodies, spec.hidden_size, spec.layers) == ("kinect_v2", 2, 6, 3)
    assert spec.provenance.finished
    assert spec.provenance.step == (451 if wrapped else 0)


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(2)],
        torch.zeros(2),
        {"state_dict": [1]},
        {"encoder_q.encoder.gru.weight_ih_l0": torch.zeros(5, 7)},
        {"encoder_q.encoder.gru.weight_ih_l0": torch.zeros(12, 150)},
        {"weight": torch.zeros(2)},
        {},
        {1: torch.zeros(2)},
        {"encoder_q.encoder.gru.weight_ih_l0": "wide"},
        {"encoder_q.encoder.gru.weight_ih_l0": torch.zeros(0, 0)},
    ],
    ids=["list", "tensor", "state of list", "sizes", "only one", "others", "nothing", "numbers", "text", "empty"],
)
def test_a_torch_file_with_something_else_in_it_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(CheckpointError, match=r"file\.pt|released"):
        load_encoder(tmp_path / "file.pt")


# What stops a write half-way is told, not that the file is cut short


class StoppedFile:
    """A file for `torch.save` whose second write, from within torch's own code, does not come to its end."""

    def __init__(self, file, error):
        self.file, self.error, self.writes = file, error, 0

    def write(self, data):
        self.writes += 1
        if self.writes == 2:
            raise self.error
        return self.file.write(data)

    def flush(self):
        self.file.flush()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")], ids=repr)
def test_what_stops_a_checkpoint_s_write_is_what_is_raised(finished_path, tmp_path, monkeypatch, error):
    run = RunFolder(tmp_path)
    state = load_checkpoint(RunFolder(finished_path))
    real = torch.save
    monkeypatch.setattr("torch.save", lambda data, file: real(data, StoppedFile(file, error)))
    with pytest.raises(type(error)) as told:
        save_checkpoint(run, state)
    assert told.value is error
    assert list(tmp_path.iterdir()) == []
