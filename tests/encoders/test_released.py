import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from pcm3.encoders.files import encoder_from_released, load_encoder
from pcm3.errors import CheckpointError

JOINTS, COORDINATES = 25, 3


class Released(nn.Module):
    """The encoder of the authors' checkpoints as docs/FIDELITY.md tells of it, independent of our own."""

    def __init__(self, hidden, layers, bodies):
        super().__init__()
        inputs = JOINTS * COORDINATES * bodies
        self.input_norm = nn.BatchNorm1d(inputs)
        self.encoder = nn.Module()
        self.encoder.gru = nn.GRU(inputs, hidden, layers, batch_first=True, bidirectional=True)

    def forward(self, clips):
        """(B, T, M, V, C) → the features of all frames (B, T, 2H), one frame at a time."""
        size, frames, bodies, joints, coordinates = clips.shape
        inputs = np.zeros((size, frames, joints * coordinates * bodies))
        for v in range(joints):
            for c in range(coordinates):
                for m in range(bodies):
                    inputs[:, :, (v * coordinates + c) * bodies + m] = clips[:, :, m, v, c]
        normed = self.input_norm(torch.from_numpy(inputs).transpose(1, 2)).transpose(1, 2)
        features, past = [], None
        for frame in range(frames):
            feature, past = self.encoder.gru(normed[:, frame : frame + 1], past)
            features.append(feature)
        return torch.cat(features, dim=1)


def released(hidden=6, layers=3, bodies=2):
    """The authors' encoder in evaluation mode, with statistics as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Released(hidden, layers, bodies)
        with torch.no_grad():
            network.input_norm.running_mean.normal_()
            network.input_norm.running_var.uniform_(0.5, 2)
            network.input_norm.weight.uniform_(0.5, 2)
            network.input_norm.bias.normal_()
    return network.eval()


def state_of(network, module=""):
    """The authors' state dict: the encoder among much that downstream tasks do not need."""
    state = {f"encoder_q.{name}": tensor for name, tensor in network.state_dict().items()}
    state |= {f"encoder_k.{name}": tensor + 1 for name, tensor in network.state_dict().items()}
    state |= {"encoder_q.fc.0.weight": torch.zeros(12, 12), "queue": torch.zeros(128, 16), "queue_ptr": torch.zeros(1)}
    state |= {"base_prompt": torch.zeros(1, 1, 150), "recons_decoder.decoder.weight_ih_l0": torch.zeros(3, 3)}
    return {module + name: tensor for name, tensor in state.items()}


def clips_for(bodies, size=3, frames=9):
    generator = torch.Generator().manual_seed(1)
    return torch.randn((size, frames, bodies, JOINTS, COORDINATES), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("module", ["", "module."])
@pytest.mark.parametrize(("hidden", "layers", "bodies"), [(6, 3, 2), (4, 1, 1), (5, 2, 2)])
def test_released_weights_give_the_released_features(module, hidden, layers, bodies):
    theirs = released(hidden, layers, bodies)
    ours = encoder_from_released(state_of(theirs, module)).double()
    clips = clips_for(bodies)
    with torch.no_grad():
        expected = theirs.double()(clips.numpy())
        torch.testing.assert_close(ours.frames(clips), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(ours.embed(clips), expected[:, -1], rtol=0, atol=1e-6)
    assert not ours.training
    assert (ours.hidden_size, len(ours.layers), ours.bodies, ours.joints) == (hidden, layers, bodies, JOINTS)


def test_a_checkpoint_file_of_the_authors_is_an_encoder(tmp_path):
    theirs, file = released(), tmp_path / "checkpoint_0450.pth.tar"
    optimiser = torch.optim.SGD(theirs.parameters(), 0.02, momentum=0.9)
    whole = {"epoch": 451, "arch": "BiGRU", "state_dict": state_of(theirs), "optimizer": optimiser.state_dict()}
    torch.save(whole, file)
    encoder, spec = load_encoder(file)
    clips = clips_for(2).float()
    with torch.no_grad():
        expected = theirs.double()(clips.double().numpy())[:, -1]
        torch.testing.assert_close(encoder.embed(clips), expected.float(), rtol=0, atol=1e-5)
    assert (spec.layout.name, spec.bodies, spec.hidden_size, spec.layers) == ("kinect_v2", 2, 6, 3)
    assert (spec.direction, spec.pooling, spec.stream) == ("causal", "last", "joint")
    assert spec.provenance.finished


def test_a_bare_state_dict_is_an_encoder_too(tmp_path):
    theirs, file = released(), tmp_path / "weights.pth"
    torch.save(state_of(theirs), file)
    encoder, _ = load_encoder(file)
    assert torch.equal(encoder.layers[2].halves[1].weight_hh_l0, theirs.encoder.gru.weight_hh_l2_reverse)


@pytest.mark.parametrize(
    "name",
    [
        "input_norm.running_var",
        "encoder.gru.weight_hh_l1_reverse",
        "encoder.gru.bias_ih_l0",
        "encoder.gru.weight_hh_l2",
    ],
)
def test_a_missing_weight_is_named(name):
    state = state_of(released())
    del state[f"encoder_q.{name}"]
    kind = name.rpartition(".")[2].partition("_l")[0]
    with pytest.raises(CheckpointError, match=rf"{kind}.* is missing"):
        encoder_from_released(state)


@pytest.mark.parametrize(
    "name",
    ["input_norm.weight", "encoder.gru.weight_ih_l1", "encoder.gru.weight_hh_l0_reverse", "encoder.gru.bias_hh_l2"],
)
def test_a_weight_of_another_shape_is_named_with_both_shapes(name):
    state = state_of(released())
    tensor = state[f"encoder_q.{name}"]
    state[f"encoder_q.{name}"] = torch.zeros(tensor.shape[0] + 1, *tensor.shape[1:])
    with pytest.raises(CheckpointError, match=rf"has shape \({tensor.shape[0] + 1},.*expected \({tensor.shape[0]},"):
        encoder_from_released(state)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"encoder_k.encoder.gru.weight_ih_l0": torch.zeros(18, 150)},
        {"encoder_q.encoder.gru.weight_ih_l0": torch.zeros(18, 151)},
        {"encoder_q.encoder.gru.weight_ih_l0": torch.zeros(18)},
    ],
    ids=["nothing", "only keys", "no 75 a body", "a vector"],
)
def test_weights_of_something_else_are_refused_with_what_was_expected(state):
    with pytest.raises(CheckpointError, match=r"expected encoder_q\.encoder\.gru\.weight_ih_l0 of shape"):
        encoder_from_released(state)


class Malicious:
    """Runs a command when it is unpickled without care."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("form", ["torch", "pickle", "torch, not zipped"])
def test_a_malicious_checkpoint_is_refused_and_not_executed(tmp_path, form):
    trace, file = tmp_path / "trace", tmp_path / "checkpoint.pth.tar"
    whole = {"epoch": 1, "state_dict": state_of(released()), "optimizer": Malicious(trace)}
    if form == "pickle":
        file.write_bytes(pickle.dumps(whole, protocol=2))
    else:
        torch.save(whole, file, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pth\.tar") as raised:
        load_encoder(file)
    assert not trace.exists()
    assert "weights_only" not in str(raised.value), "nobody is told how to run it"
    torch.load(file, weights_only=False) if form != "pickle" else pickle.loads(file.read_bytes())
    assert trace.exists(), "the trap works"


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip", bytes(range(256)) * 10])
@pytest.mark.parametrize("name", ["checkpoint.pth.tar", "model.safetensors"])
def test_a_file_of_other_bytes_is_refused_in_one_line(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=name) as raised:
        load_encoder(file)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [[1, 2], torch.zeros(3), {"state_dict": 5}, {"state_dict": {}}],
    ids=["list", "tensor", "no state", "empty state"],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, content):
    file = tmp_path / "checkpoint.pth.tar"
    torch.save(content, file)
    with pytest.raises(CheckpointError):
        load_encoder(file)


@pytest.mark.parametrize(
    "content",
    [{"epoch": 3}, {"encoder_q.encoder.gru.weight_ih_l0": 5}, {5: torch.zeros(3)}],
    ids=["no weights", "a number for a weight", "a number for a name"],
)
def test_a_state_dict_of_something_else_is_refused(tmp_path, content):
    file = tmp_path / "checkpoint.pth.tar"
    torch.save(content, file)
    with pytest.raises(CheckpointError):
        load_encoder(file)


def test_what_a_run_goes_on_from_is_told_from_its_model(run_path):
    with pytest.raises(CheckpointError, match=f"checkpoint.pt: .*give the run folder, {run_path}$"):
        load_encoder(run_path / "checkpoint.pt")


def test_a_checkpoint_without_the_weights_is_named(tmp_path):
    torch.save({"state_dict": {"other": torch.zeros(3)}}, tmp_path / "checkpoint.pth.tar")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pth\.tar: expected encoder_q"):
        load_encoder(tmp_path / "checkpoint.pth.tar")


@pytest.mark.parametrize("epoch", [None, "last"])
def test_an_odd_epoch_does_not_keep_a_checkpoint_from_loading(tmp_path, epoch):
    file = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": epoch, "state_dict": state_of(released())}, file)
    load_encoder(file)


def test_a_path_without_a_file_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="nothing is there"):
        load_encoder(tmp_path / "none.pth.tar")
    with pytest.raises(CheckpointError, match="pretrain first"):
        load_encoder(tmp_path)
