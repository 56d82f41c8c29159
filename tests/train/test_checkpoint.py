import contextlib
import dataclasses
import json
import pickle
import random
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from pcm3.errors import CheckpointError
from pcm3.skeleton import load_layout
from pcm3.train.checkpoint import EncoderSpec, RunState, load_checkpoint, load_encoder, save_checkpoint, save_encoder
from pcm3.train.pretrain import pretrain
from pcm3.train.run_folder import RunFolder

SPEC = EncoderSpec(
    layout="kinect_v2",
    bodies=1,
    joints=25,
    hidden_size=4,
    layers=2,
    direction="bidirectional",
    pooling="mean",
    stream="bone",
    frames=16,
    step=7,
    finished=True,
    protocol="xview",
    store_checksum="abc",
)


def one_line(text):
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


def saved(folder, spec=SPEC):
    run, encoder = RunFolder(folder), spec.build(3)
    with torch.no_grad():
        encoder.norm.running_mean.uniform_(-1, 1)
    save_encoder(run, encoder, spec)
    return run, encoder


# Our encoder files


def test_an_encoder_is_read_as_it_was_written_with_its_buffers_and_ready_for_use(tmp_path):
    run, encoder = saved(tmp_path)
    for path in (tmp_path, run.encoder):
        read, spec = load_encoder(path)
        assert spec == SPEC
        assert not read.training
        torch.testing.assert_close(dict(read.state_dict()), dict(encoder.state_dict()), rtol=0, atol=0)
    assert json.loads(run.encoder_summary.read_text())["encoder"] == json.loads(json.dumps(dataclasses.asdict(SPEC)))


def test_fresh_weights_follow_from_the_seed_and_leave_torchs_own_generator_alone():
    before = torch.random.get_rng_state()
    one, same, other = (SPEC.build(seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for name in one:
        assert torch.equal(one[name], same[name])
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_an_encoder_file_is_plain_safetensors_for_anyone(tmp_path):
    run, encoder = saved(tmp_path)
    with safe_open(run.encoder, framework="pt") as file:
        assert set(file.keys()) == set(encoder.state_dict())


def test_an_encoder_fits_clips_of_its_layout_and_bodies_and_no_others():
    SPEC.see_that_it_fits(load_layout("kinect_v2"), 1, "here")
    with pytest.raises(CheckpointError, match="here: the encoder expects 1 bodies a clip, the store holds 2"):
        SPEC.see_that_it_fits(load_layout("kinect_v2"), 2, "here")
    with pytest.raises(
        CheckpointError, match=r"layout kinect_v2 \(25 joints\), the store holds kinect_v1 \(20 joints\)"
    ):
        SPEC.see_that_it_fits(load_layout("kinect_v1"), 1, "here")


def rewritten(run, change):
    """The encoder's file again, with its header or its tensors changed."""
    with safe_open(run.encoder, framework="pt") as file:
        header = json.loads(file.metadata()["pcm3"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = {"pcm3": json.dumps(header)}
    metadata = change(header, tensors) or {"pcm3": json.dumps(header)}
    save_file(tensors, run.encoder, metadata)


def newer(header, tensors):
    header["format"] = 99
    header["encoder"]["telepathy"] = True


def strange_setting(header, tensors):
    header["encoder"]["telepathy"] = True


def less_spec(header, tensors):
    del header["encoder"]["hidden_size"]


def wider(header, tensors):
    header["encoder"]["hidden_size"] = 8


def one_tensor_less(header, tensors):
    del tensors["norm.weight"]


def other_maker(header, tensors):
    return {"made": "elsewhere"}


def no_object(header, tensors):
    return {"pcm3": "[1]"}


def no_json(header, tensors):
    return {"pcm3": "{"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (newer, "written by a newer pcm3 (format 99"),
        (strange_setting, "damaged"),
        (less_spec, "damaged"),
        (wider, "has shape"),
        (one_tensor_less, "norm.weight is missing"),
        (other_maker, "not an encoder that pcm3 wrote"),
        (no_object, "not an encoder that pcm3 wrote"),
        (no_json, "not an encoder that pcm3 wrote"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_encoder_file_that_is_not_one_is_refused_with_its_name(tmp_path, change, told):
    run, _ = saved(tmp_path)
    rewritten(run, change)
    with pytest.raises(CheckpointError) as caught:
        load_encoder(tmp_path)
    assert told in str(caught.value)
    assert str(run.encoder) in str(caught.value)


SPOILED_SPECS = [("hidden_size", -1), ("hidden_size", "wide"), ("layers", 2.5), ("joints", None), ("bodies", 0)]


@pytest.mark.parametrize(("name", "value"), SPOILED_SPECS)
def test_an_encoder_file_with_impossible_sizes_is_refused(cli, tmp_path, store_path, name, value):
    run, _ = saved(tmp_path)
    rewritten(run, lambda header, tensors: header["encoder"].update({name: value}))
    found = cli("evaluate", "retrieval", "--model", tmp_path, "--store", store_path)
    assert found.code == 2


def test_a_path_that_holds_no_model_is_told_what_was_expected(tmp_path):
    with pytest.raises(CheckpointError, match="but nothing is there"):
        load_encoder(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"expected a run folder with encoder\.safetensors, found none: pretrain"):
        load_encoder(tmp_path)


# Other networks and files of before


PARENTS = load_layout("kinect_v2").parents
OTHERS = [
    {"kind": "transformer", "pooling": "attention"},
    {"kind": "graph", "parents": PARENTS, "pooling": "mean_max", "normalise_features": True},
    {"input_features": ("bone", "motion"), "parents": PARENTS, "pooling": "max", "direction": "causal"},
    {"kind": "graph", "parents": PARENTS, "input_features": ("joint", "bone", "motion"), "pooling": "last"},
]


@pytest.mark.parametrize("changes", OTHERS, ids=lambda changes: changes.get("kind", "gru"))
def test_an_encoder_of_any_kind_gives_the_features_that_it_gave_before_it_was_written(tmp_path, changes):
    spec = dataclasses.replace(SPEC, **changes)
    run, encoder = RunFolder(tmp_path), spec.build(3)
    clips = torch.randn(4, 16, 1, 25, 3, generator=torch.Generator().manual_seed(0))
    encoder.embed(clips + 1)  # moves what running statistics there are
    if spec.normalise_features:
        encoder.readout.fit_normalisation(encoder.pool(encoder.frames(clips)))
    save_encoder(run, encoder, spec)
    read, told = load_encoder(tmp_path)
    assert told == spec
    with torch.no_grad():
        assert torch.equal(read.embed(clips), encoder.eval().embed(clips))


def test_an_encoder_file_of_format_1_is_read_with_the_same_features(tmp_path):
    run, encoder = saved(tmp_path)

    def of_format_1(header, tensors):
        header["format"] = 1
        del header["sha256"], header["run"]
        for name in ("kind", "input_features", "parents", "normalise_features"):
            del header["encoder"][name]
        header["encoder"]["hidden"] = header["encoder"].pop("hidden_size")

    rewritten(run, of_format_1)
    read, spec = load_encoder(tmp_path)
    clips = torch.randn(4, 16, 1, 25, 3)
    with torch.no_grad():
        assert torch.equal(read.embed(clips), encoder.eval().embed(clips))
    assert spec == SPEC
    # The names of its tensors, written down: a file of format 1 has these.
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    gates = [f"{kind}_l0{way}" for way in ("", "_reverse") for kind in kinds]
    norm = {f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
    halves = {f"layers.{layer}.halves.0.{gate}" for layer in (0, 1) for gate in gates}
    assert set(read.state_dict()) == norm | halves


def test_an_encoder_file_of_format_2_is_read_by_the_names_that_it_has(tmp_path):
    spec = dataclasses.replace(SPEC, input_features=("joint", "motion"), normalise_features=True)
    run, encoder = saved(tmp_path, spec)

    def of_format_2(header, tensors):
        header["format"] = 2
        del header["sha256"]
        fields = header["encoder"]
        fields |= {"sees": ["itself", "motion"], "network": fields.pop("kind"), "hidden": fields.pop("hidden_size")}
        fields["standardise"] = fields.pop("normalise_features")
        del fields["input_features"]

    rewritten(run, of_format_2)
    read, told = load_encoder(tmp_path)
    clips = torch.randn(4, 16, 1, 25, 3)
    with torch.no_grad():
        assert torch.equal(read.embed(clips), encoder.eval().embed(clips))
    assert told == spec


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "psychic"}, "damaged"),
        ({"input_features": []}, "input_features is"),
        ({"input_features": ["joint", "aura"]}, "damaged"),
        ({"input_features": None}, "damaged"),
        ({"input_features": "bone"}, "damaged"),
        ({"input_features": ["bone"]}, "parents is"),
        ({"input_features": ["bone"], "parents": [0] * 24}, "parents is"),
        ({"input_features": ["bone"], "parents": [0] * 24 + [25]}, "parents is"),
        ({"input_features": ["bone"], "parents": [0] * 24 + [-1]}, "parents is"),
        # beartype, which looks at one entry of a list at random, may be the first to see it
        ({"input_features": ["bone"], "parents": [0] * 24 + [1.5]}, "parents is|damaged"),
        ({"input_features": ["bone"], "parents": [1, 2, 0] + [3] * 22}, "parents form a circle"),
        ({"input_features": ["bone"], "parents": [0, 1] + [0] * 23}, "expected one root .* got 2"),
        ({"parents": [0] * 25}, "parents is"),
        ({"kind": "graph"}, "parents is"),
        ({"kind": "graph", "parents": [0] * 25, "hidden_size": 5}, "hidden_size is"),
        ({"kind": "transformer", "hidden_size": 5}, "hidden_size is"),
        ({"pooling": "median"}, "damaged"),
        ({"normalise_features": "no"}, "damaged"),
        ({"normalise_features": True}, "readout.centre is missing"),
        ({"pooling": "attention"}, "readout.score.weight is missing"),
        ({"kind": "transformer"}, "is missing"),
        ({"input_features": ["joint", "motion"]}, "has shape"),
    ],
    ids=str,
)
def test_an_encoder_file_that_tells_what_no_encoder_is_or_another_one_is_refused(tmp_path, changes, told):
    run, _ = saved(tmp_path)
    rewritten(run, lambda header, tensors: header["encoder"].update(changes))
    with pytest.raises(CheckpointError, match=told):
        load_encoder(tmp_path)


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


def test_a_damaged_encoder_file_is_refused_or_read_as_it_was_written(tmp_path):
    run, encoder = saved(tmp_path)
    whole, refused = run.encoder.read_bytes(), 0
    for data in list(damages(whole, 60)):
        run.encoder.write_bytes(data)
        told = refusal(load_encoder, tmp_path)
        refused += told is not None
        if told is None:
            read, spec = load_encoder(tmp_path)
            assert spec == SPEC
            torch.testing.assert_close(dict(read.state_dict()), dict(encoder.state_dict()), rtol=0, atol=0)
        else:
            assert str(run.encoder) in told
    assert refused > 50


@pytest.mark.parametrize("where", [0.3, 0.6, 0.9, 0.999])
def test_a_flipped_bit_among_the_weights_is_found(tmp_path, where):
    run, _ = saved(tmp_path)
    data = bytearray(run.encoder.read_bytes())
    weights = 8 + int.from_bytes(data[:8], "little")
    data[weights + int(where * (len(data) - weights))] ^= 1
    run.encoder.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged, its bytes are not those that were written"):
        load_encoder(run.encoder)


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
    for name in ("checkpoint.pt", "encoder.safetensors", "metrics.jsonl", "encoder.json"):
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
    assert (spec.layout, spec.bodies, spec.hidden_size, spec.layers, spec.finished) == ("kinect_v2", 2, 6, 3, True)
    assert spec.step == (451 if wrapped else 0)


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
