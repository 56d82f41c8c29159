"""Models as files for other programs: what onnxruntime and torch.export make of them is what pcm3 does."""

import importlib.util
import json
import re
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import onnxruntime
import pytest
import torch
from ntu_file_text import walkers

import pcm3
from pcm3 import geometry
from pcm3.api.export import KEY, Exportable
from pcm3.api.given import AS_THE_MODEL
from pcm3.clips import have_gaps
from pcm3.encoders.files import save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.settings.tasks import LinearSettings
from pcm3.skeleton import load_layout

KINECT1 = load_layout("kinect_v1")
KINDS = {
    "gru-causal": {"kind": "gru", "direction": "causal", "pooling": "last", "input_features": ("joint", "motion4")},
    "gru-bidirectional": {"kind": "gru", "pooling": "mean", "input_features": ("joint", "bone"), "stream": "bone"},
    "transformer": {
        "kind": "transformer", "pooling": "mean_max", "input_features": ("motion", "motion4"), "gaps": True,
        "normalise_features": True,
    },
    "graph": {"kind": "graph", "pooling": "attention", "stream": "motion", "input_scale": "shared"},
    "stgcn": {"kind": "stgcn", "pooling": "max_min", "gaps": True},
    "agcn": {"kind": "agcn", "pooling": "mean", "gaps": True},
    "vit": {"kind": "vit", "pooling": "mean"},
    "gl_transformer": {"kind": "gl_transformer", "pooling": "mean"},
    "h_transformer": {"kind": "h_transformer", "pooling": "mean"},
    "hico": {"kind": "hico", "pooling": "max", "sequence": "transformer"},
    "hico-gru": {"kind": "hico", "pooling": "max"},
}  # fmt: skip
LABELS = ["bow", "wave", "bow", "wave", "sit"]


def model_of(folder, **changes):
    """A model with fresh weights; BatchNorms that have seen something."""
    chosen = {"direction": "bidirectional", "stream": "joint"} | changes
    chosen = {"layout": KINECT1, "bodies": 1, "hidden_size": 4, "layers": 1, "frames": 4} | chosen
    spec = EncoderSpec(fps=30.0, normalised=True, rule="upright", **chosen)
    encoder = spec.build(3)
    generator = torch.Generator().manual_seed(0)
    for name, buffer in encoder.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    save_encoder(folder, encoder, spec)
    return pcm3.load(folder)


def people(count=5):
    return [walkers(k, 20 + 7 * k, 1, 20) for k in range(count)]


def padded(model, clips):
    """Clips prepared as the model's, padded with something that may not be looked at, and their lengths."""
    store = model.given(clips, AS_THE_MODEL).store
    each = [store.clip(place) for place in range(len(store))]
    together = np.full((len(each), max(map(len, each)), *each[0].shape[1:]), 7.0, np.float32)
    for row, clip in zip(together, each, strict=True):
        row[: len(clip)] = clip
    return together, np.array([len(clip) for clip in each])


def told_by(session):
    return json.loads(session.get_modelmeta().custom_metadata_map[KEY])


@pytest.mark.soak  # with a head, and with lost joints, it goes the same way
@pytest.mark.parametrize(
    "kind",
    ["gru-causal", "stgcn", "transformer", "agcn", "hico", "hico-gru", "vit", "gl_transformer", "h_transformer"],
)
def test_onnxruntime_gives_the_features_of_any_number_of_clips_of_any_length(tmp_path, kind):
    model = model_of(tmp_path / "model", **KINDS[kind])
    before = model.embed(people())
    model.export(tmp_path / "model.onnx")
    np.testing.assert_array_equal(model.embed(people()), before)  # the model stays as it is
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for clips in (people(), people(1), people(3)[::-1]):
        frames, lengths = padded(model, clips)
        (features,) = session.run(None, {"clips": frames, "lengths": lengths})
        np.testing.assert_allclose(features, model.embed(clips), atol=1e-5)


def of_two(model_path, clips, **changes):
    """A model for two bodies that learned from whole clips, its prepared clips, their lengths, and its features of each
    clip by itself."""
    chosen = {"kind": "gru", "pooling": "mean", "bodies": 2, "input_features": ("motion", "bone")} | changes
    model = model_of(model_path, **chosen)
    frames, lengths = padded(model, clips)
    assert frames.shape[2] == chosen["bodies"]
    return model, frames, lengths, np.concatenate([model.embed([clip]) for clip in clips])


def pairs():
    """Two people: whole, one of whom comes late; who lose a hand, the first or the second of them, for longer than
    preparation fills; and one of whom lacks the hand all along."""
    clips = [np.concatenate([walkers(k, 40, 1, 20), walkers(k + 9, 40, 1, 20) + 0.5], axis=1) for k in range(5)]
    clips[0][:17, 1] = 0
    clips[1][5:25, 0, 7] = clips[2][5:25, 1, 7] = clips[3][:, 1, 7] = 0
    return clips


def test_a_lost_joint_of_either_body_leads_nowhere_in_the_file_either(tmp_path):
    model, frames, lengths, expected = of_two(tmp_path / "model", pairs())
    assert not frames[0, 0, 1].any()
    assert not frames[2, 5:25, 1, 7].any()
    before = model.embed(pairs())
    told = model.export(tmp_path / "model.onnx")
    np.testing.assert_array_equal(model.embed(pairs()), before)  # the model stays as it is
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (features,) = session.run(None, {"clips": frames, "lengths": lengths})
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert told_by(session) == json.loads(json.dumps(told))
    assert list(told["layout"]["joints"]) == list(KINECT1.joints)
    assert (told["fps"], told["rule"], told["what"], told["pcm3"]) == (30.0, "upright", "features", version("pcm3"))
    assert told["inputs"]["clips"].startswith("(B, T, 2, 20, 3) float32")
    assert list(told["outputs"]) == ["features"]


@pytest.mark.parametrize("bodies", [1, pytest.param(2, marks=pytest.mark.soak)])
@pytest.mark.parametrize("stream", ["joint", pytest.param("bone", marks=pytest.mark.soak)])
@torch.no_grad()
def test_what_becomes_a_file_makes_of_torn_clips_what_the_model_makes_of_each(tmp_path, bodies, stream):
    clips = [clip[:, :bodies] for clip in pairs()]
    clips[0] = clips[0][20:]  # some are shorter
    chosen = {"kind": "transformer", "input_features": ("joint", "motion", "bone"), "frames": 16, "stream": stream}
    model, frames, lengths, expected = of_two(tmp_path / "model", clips, bodies=bodies, **chosen)
    module = Exportable.clips(model, None).module
    together = module(torch.from_numpy(frames), torch.from_numpy(lengths))
    np.testing.assert_allclose(together, expected, atol=1e-5)
    assert [bool(gaps) for gaps in have_gaps(torch.from_numpy(frames), torch.from_numpy(lengths), KINECT1)] == [
        bool(model.given([clip], AS_THE_MODEL).store.has_gaps) for clip in clips
    ]


def test_joints_at_the_place_of_the_centre_are_no_gaps():
    layout = load_layout("h36m32")
    clips, lengths = torch.randn(2, 9, 1, 32, 3), torch.tensor([9, 5])
    clips[:, :, 0, [layout.centre, layout.joints.index("spine_root")]] = 0
    clips[1, 5:, 0, 4] = 0  # padding
    assert not have_gaps(clips, lengths, layout).any()
    clips[0, :, 0, layout.joints.index("left_hand")] = 0
    assert have_gaps(clips, lengths, layout).tolist() == [True, False]


# Of a head in a file for onnxruntime soaking sees to it: what goes into it is the module that torch.export writes here.
@pytest.mark.parametrize(
    ("kind", "form"),
    [("linear", "pt2"), pytest.param("linear", "onnx", marks=pytest.mark.soak),
     pytest.param("nearest", "pt2", marks=pytest.mark.soak)],
)  # fmt: skip
def test_a_classifier_is_one_file_with_its_model(cli, tmp_path, kind, form):
    model = model_of(tmp_path / "model", **KINDS["stgcn" if form == "onnx" else "transformer"])
    head = model.fit_classifier(people(), LABELS, kind=kind, settings=LinearSettings(epochs=5))
    frames, lengths = padded(model, people())
    if form == "onnx":
        told = head.export(tmp_path / "head.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "head.onnx")
        for some in (slice(0, 5), slice(1, 2), slice(3, None, -1)):
            (shares,) = session.run(None, {"clips": frames[some], "lengths": lengths[some]})
            np.testing.assert_allclose(shares, head.predict_proba(people()[some]), atol=1e-5)
        (shares,) = session.run(None, {"clips": frames, "lengths": lengths})
    else:
        head = replace(head, fitted=replace(head.fitted, crops=2))
        head.save(tmp_path / "head")
        told = exported(cli, tmp_path / "head", "--out", tmp_path / "head.pt2")
        extra = {f"{KEY}.json": ""}
        program = torch.export.load(tmp_path / "head.pt2", extra_files=extra).module()
        single = program(torch.from_numpy(frames[1:2]), torch.from_numpy(lengths[1:2])).detach().numpy()
        np.testing.assert_allclose(single, head.predict_proba(people()[1:2]), atol=1e-5)
        shares = program(torch.from_numpy(frames), torch.from_numpy(lengths)).detach().numpy()
        assert json.loads(extra[f"{KEY}.json"])["model"] == told["model"]
    np.testing.assert_allclose(shares, head.predict_proba(people()), atol=1e-5)
    assert told["classes"] == ["bow", "sit", "wave"]


def exported(cli, *words):
    """What the command tells of the file that it wrote."""
    found = cli("export", *words, "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out.splitlines()[-1])
    assert all(f"  {name} (B" in found.out for name in told["inputs"])
    return told


def in_torch(path, *inputs):
    """What a .pt2 makes of arrays."""
    return torch.export.load(path).module()(*map(torch.from_numpy, inputs)).detach().numpy()


@pytest.mark.soak
def test_a_head_over_several_crops_is_exported_so(tmp_path):
    model = model_of(tmp_path / "model", **KINDS["graph"])
    head = model.fit_classifier(people(), LABELS, settings=LinearSettings(epochs=5))
    several = replace(head, fitted=replace(head.fitted, crops=2))
    several.export(tmp_path / "head.pt2")
    shares = in_torch(tmp_path / "head.pt2", *padded(model, people()))
    np.testing.assert_allclose(shares, several.predict_proba(people()), atol=1e-5)
    assert not np.allclose(shares, head.predict_proba(people()), atol=1e-4)


@pytest.mark.parametrize("stream", ["joint", pytest.param("bone", marks=pytest.mark.soak)])
def test_frame_by_frame_it_is_the_whole_recording(cli, tmp_path, stream):
    model = model_of(tmp_path / "model", **KINDS["gru-causal"] | {"stream": stream})
    if stream == "joint":
        told = model.export(tmp_path / "step.bin", to="onnx", step=True)
    else:
        told = exported(cli, tmp_path / "model", "--out", tmp_path / "step.bin", "--to", "onnx", "--step")
    session = onnxruntime.InferenceSession(tmp_path / "step.bin")
    frames, _ = padded(model, people(2))
    frames = frames[:, :20]
    state, features = np.zeros((2, told["state"]), np.float32), []
    for frame in frames.swapaxes(0, 1):
        feature, state = session.run(None, {"frame": frame, "state": state})
        features.append(feature)
    with torch.no_grad():
        whole = model.encoder.frames(geometry.stream(torch.from_numpy(frames), stream, KINECT1)).numpy()
    np.testing.assert_allclose(np.stack(features, 1), whole, atol=1e-5)


@torch.no_grad()
def test_frame_by_frame_no_bone_leads_to_or_from_a_lost_joint(tmp_path):
    model = model_of(tmp_path / "model", **KINDS["gru-causal"] | {"stream": "bone"})
    exported, (frames, _) = Exportable.step(model), padded(model, people(2))
    frames[:, 5:12, 0, [7, 13]] = frames[1, :, 0, 4] = 0
    clips, state, features = torch.from_numpy(frames[:, :20]), torch.zeros(2, exported.about["state"]), []
    for frame in clips.unbind(1):
        feature, state = exported.module(frame, state)
        features.append(feature)
    told = model.encoder.with_gaps().frames(geometry.stream(clips, "bone", KINECT1, gaps=True))
    torch.testing.assert_close(torch.stack(features, 1), told, rtol=0, atol=1e-5)


@pytest.mark.soak  # with a head, and as ONNX, they go the same way
@pytest.mark.parametrize("kind", ["gru-bidirectional", "graph"])
def test_torch_export_gives_the_features(tmp_path, kind):
    model = model_of(tmp_path / "model", **KINDS[kind])
    before = model.embed(people(3))
    told = model.export(tmp_path / "model.pt2")
    np.testing.assert_array_equal(model.embed(people(3)), before)  # the model stays as it is
    extra = {f"{KEY}.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    frames, lengths = padded(model, people(3))
    features = program.module()(torch.from_numpy(frames), torch.from_numpy(lengths)).detach().numpy()
    np.testing.assert_allclose(features, model.embed(people(3)), atol=1e-5)
    assert json.loads(extra[f"{KEY}.json"])["model"] == told["model"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x.bin"], "x.bin: expected a file .onnx or .pt2, or --to onnx or torch"),
        (
            ["--out", "x.onnx", "--step"],
            "--step: expected a causal model of the joint stream .* got one of the stream motion",
        ),
        (["--out", "."], "--out: expected a file, but . is a folder"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(cli, tmp_path, monkeypatch, words, message):
    model_of(tmp_path / "model", **KINDS["graph"])
    monkeypatch.chdir(tmp_path)
    found = cli("export", "model", *words)
    assert found.code == 2
    assert len(found.err.splitlines()) == 1
    assert re.search(message, found.err), found.err


def test_a_missing_library_is_told_in_one_line(cli, tmp_path, monkeypatch):
    model_of(tmp_path / "model", **KINDS["graph"])
    found_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found_spec(name))
    found = cli("export", tmp_path / "model", "--out", tmp_path / "x.onnx")
    assert (found.code, found.err) == (2, "pcm3 export: --to onnx needs onnxscript: pip install 'pcm3[onnx]'\n")
