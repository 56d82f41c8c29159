"""The model that comes with the package: how it is made, and that it is there, small, and of use at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from upright_people import KINECT, standing

import pcm3
from pcm3.data.recording import Recording
from pcm3.data.source_index import SourceClip
from pcm3.data.store import ClipStore
from pcm3.encoders.files import load_encoder, save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import CheckpointError
from pcm3.experiments import simulated_model as module
from pcm3.packaged import packaged_model
from pcm3.retarget import plan_retarget
from pcm3.skeleton import load_layout

MOST_BYTES = 3_000_000


def clip(seed=0, frames=40):
    return standing(seed, frames)[:, 0].astype(np.float32)


def test_it_is_there_and_small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = packaged_model(module.Path("simulated"))
    assert sum(file.stat().st_size for file in folder.iterdir()) < MOST_BYTES
    assert {file.name for file in folder.iterdir()} == {"model.safetensors", "model.json"}
    model = pcm3.load("simulated")
    assert (model.layout, model.spec.rule, model.spec.bodies, model.spec.fps) == (KINECT, "upright", 1, 30.0)
    assert model.spec.gaps
    assert model.spec.provenance.finished
    assert {tensor.dtype for name, tensor in model.encoder.named_parameters()} == {torch.float32}
    (tmp_path / "simulated").mkdir()
    with pytest.raises(CheckpointError, match="found none"):
        pcm3.load("simulated")  # a folder of that name is what was named


def raised(*parts):
    """Someone raises some parts of the body and lowers them again (60, V, 3)."""
    moving = np.repeat(clip(0, 1), 60, axis=0)
    for joint, name in enumerate(KINECT.joints):
        if any(part in name for part in parts) and not any(still in name for still in ("shoulder", "hip", "spine")):
            moving[:, joint, 1] += 0.4 * np.sin(np.linspace(0, np.pi, 60))
    return moving


def test_it_knows_the_same_motion_in_other_layouts():
    model = pcm3.load("simulated")
    motions = [raised(*parts) for parts in (["left_elbow", "left_wrist", "left_hand"], ["right_knee", "right_ankle"],
                                             ["elbow", "wrist", "hand"], ["head", "neck"])]  # fmt: skip
    here = model.embed(motions, up="y")
    assert here.shape == (4, model.width)
    for name in module.SENSORS:
        plan = plan_retarget(KINECT, load_layout(name))
        elsewhere = model.embed([plan(motion)[0] for motion in motions], layout=name, up="y")
        distance = np.linalg.norm(here[:, None] - elsewhere, axis=-1)
        assert distance.argmin(axis=0).tolist() == [0, 1, 2, 3], name


def test_what_a_sensor_sees_is_its_joints_and_what_follows_from_them():
    recording = Recording("r", clip()[:, None])
    seen = module.recorded_by(recording, load_layout("kinect_v1"), KINECT)
    for joint, name in enumerate(KINECT.joints):
        same = np.array_equal(seen.frames[:, :, joint], recording.frames[:, :, joint])
        assert same != ("tip" in name or "thumb" in name or name in ("spine_mid", "neck")), name
    assert seen.present.all()


def test_half_of_the_recordings_are_seen_by_other_sensors():
    whole = Recording("r", clip()[:, None]).frames
    clips = [SourceClip("r", "r", lambda: Recording("r", whole))] * 200
    seen = [np.array_equal(recording.frames, whole) for recording in module.recorded_by_sensors(clips)]
    assert 70 < sum(seen) < 130


def test_halved_matrices_are_the_only_difference(tmp_path):
    spec = EncoderSpec(KINECT, 1, 8, 1, "bidirectional", "mean", "joint", kind="transformer", normalised=True)
    encoder = spec.build(0)
    encoder.norm.running_var.fill_(1e-6)
    save_encoder(tmp_path / "run", encoder, spec)
    module.ship(tmp_path / "run", tmp_path / "small")
    small, told = load_encoder(tmp_path / "small")
    assert told == replace(spec, gaps=True)
    for name, tensor in small.state_dict().items():
        theirs = encoder.state_dict()[name]
        assert tensor.dtype == theirs.dtype
        assert torch.equal(tensor, theirs.half().float() if theirs.dim() > 1 else theirs)
    with safe_open(tmp_path / "small" / "model.safetensors", "pt") as file:
        assert file.get_tensor("layers.0.enter.weight").dtype == torch.float16


def test_it_is_made_by_one_command(cli, tmp_path, monkeypatch):
    for name in ("SUBJECTS", "REPETITIONS", "CAMERAS"):
        monkeypatch.setattr(module, name, 3 if name == "CAMERAS" else 1)
    found = cli("reproduce", "simulated-model", "--out", tmp_path / "made", "--steps", 2)
    assert found.code == 0, found.err
    store = ClipStore.open(tmp_path / "made" / "store")
    assert store.frames.shape[1:] == (1, 25, 3)
    assert (len(store), store.rule, store.kind) == (3 * 28, "upright", "simulated")
    model = pcm3.load(tmp_path / "made" / "simulated")
    assert model.spec.provenance.step == 2
    assert model.spec.provenance.store_checksum == store.checksum


def test_tables_still_need_a_store(cli, tmp_path):
    found = cli("reproduce", "table7", "--out", tmp_path / "out")
    assert found.code == 2
    assert found.err.strip() == "pcm3 reproduce: --store: expected a store that pcm3 import wrote, got none"
