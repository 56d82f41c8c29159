"""Models on disk: written and read, of any kind, of earlier versions, damaged, torn, and fed with what does not fit."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pcm3.checksums import json_checksum, with_checksum
from pcm3.encoders.files import load_encoder, save_encoder
from pcm3.encoders.spec import ClipFormat, EncoderSpec, Provenance, format_of
from pcm3.errors import CheckpointError
from pcm3.settings.encoder import EncoderSettings
from pcm3.skeleton import load_layout

LAYOUT = load_layout("kinect_v2")
SPEC = EncoderSpec(
    layout=LAYOUT,
    bodies=1,
    hidden_size=4,
    layers=2,
    direction="bidirectional",
    pooling="mean",
    stream="bone",
    frames=16,
    fps=30.0,
    normalised=True,
    rule="upright",
    provenance=Provenance("moco", {"batch": 8}, "abc", "xview", 7, True, "0.1.0"),
)
WEIGHTS, DESCRIPTION, EARLIER = "model.safetensors", "model.json", "encoder.safetensors"


def saved(folder, spec=SPEC, run=None):
    encoder = spec.build(3)
    with torch.no_grad():
        for name, tensor in encoder.named_buffers():
            if "running_mean" in name:
                tensor.uniform_(-1, 1)
    save_encoder(folder, encoder, spec, run)
    return encoder


def content(file):
    with safe_open(file, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return json.loads(opened.metadata()["pcm3"]), tensors


def rewritten(folder, change):
    """The model again, with what it tells or its tensors changed, checksums and all."""
    told, tensors = content(folder / WEIGHTS)
    told = with_checksum(change(told, tensors) or told) if isinstance(told, dict) else told
    save_file(tensors, folder / WEIGHTS, {"pcm3": json.dumps(told)})
    (folder / DESCRIPTION).write_text(json.dumps(told), encoding="utf-8")


def test_a_model_is_read_as_it_was_written_and_ready_for_use(tmp_path):
    encoder = saved(tmp_path)
    for path in (tmp_path, tmp_path / WEIGHTS):
        read, spec = load_encoder(path)
        assert spec == SPEC
        assert not read.training
        torch.testing.assert_close(dict(read.state_dict()), dict(encoder.state_dict()), rtol=0, atol=0)


def test_a_model_folder_says_all_that_feeds_it_and_apart_from_that_where_it_comes_from(tmp_path):
    saved(tmp_path, run=5)
    told = json.loads((tmp_path / DESCRIPTION).read_text())
    assert set(told) == {"format", "model", "provenance", "run", "weights", "sha256"}
    assert told["model"]["layout"] == json.loads(json.dumps(LAYOUT.to_dict()))
    assert set(told["model"]["layout"]) == {"name", "joints", "parents", "parts", "mirror", "centre", "up", "across"}
    asked = {"normalised": True, "rule": "upright", "fps": 30.0, "frames": 16, "stream": "bone", "kind": "gru",
             "input_features": ["joint"], "hidden_size": 4, "layers": 2}  # fmt: skip
    assert {name: told["model"][name] for name in asked} == asked
    assert told["provenance"] == {"method": "moco", "settings": {"batch": 8}, "store_checksum": "abc",
                                  "protocol": "xview", "step": 7, "finished": True, "version": "0.1.0"}  # fmt: skip
    assert content(tmp_path / WEIGHTS)[0] == told


def test_loading_needs_no_layout_of_the_package(tmp_path, monkeypatch):
    own = dataclasses.replace(LAYOUT, name="our rig", joints=tuple(f"joint {number}" for number in range(25)))
    spec = dataclasses.replace(SPEC, layout=own, kind="stgcn")
    saved(tmp_path, spec)
    monkeypatch.setattr("pcm3.skeleton.packaged", lambda *_: {})
    assert load_encoder(tmp_path)[1] == spec


def test_fresh_weights_follow_from_the_seed_and_leave_torchs_own_generator_alone():
    before = torch.random.get_rng_state()
    one, same, other = (SPEC.build(seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for name in one:
        assert torch.equal(one[name], same[name])
    assert any(not torch.equal(one[name], other[name]) for name in one)


OTHERS = [
    {"kind": "transformer", "pooling": "attention"},
    {"kind": "graph", "pooling": "mean_max", "normalise_features": True},
    {"kind": "stgcn", "channels": 3, "dropout": 0.5, "input_features": ("joint", "motion")},
    {"kind": "agcn", "pooling": "mean_max", "channels": 4, "input_features": ("joint", "motion")},
    {"kind": "hico", "pooling": "max", "sequence": "lstm", "frames": 12},
    {"kind": "gl_transformer", "pooling": "mean", "frames": 12, "channels": 8, "dropout": 0.1},
    {"kind": "h_transformer", "pooling": "mean", "channels": 8},
    {"kind": "vit", "pooling": "mean_max", "frames": 12, "input_features": ("joint", "motion")},
    {"input_features": ("bone", "motion"), "pooling": "max", "direction": "causal", "gaps": True},
    {"kind": "graph", "input_features": ("joint", "bone", "motion"), "pooling": "last"},
]


@pytest.mark.parametrize("changes", OTHERS, ids=lambda changes: changes.get("kind", "gru"))
def test_an_encoder_of_any_kind_gives_the_features_that_it_gave_before_it_was_written(tmp_path, changes):
    spec = dataclasses.replace(SPEC, **changes)
    encoder = spec.build(3)
    clips = torch.randn(4, 16, 1, 25, 3, generator=torch.Generator().manual_seed(0))
    encoder.embed(clips + 1)  # moves what running statistics there are
    encoder.eval()
    if spec.normalise_features:
        encoder.readout.fit_normalisation(encoder.pool(encoder.frames(clips)))
    save_encoder(tmp_path, encoder, spec)
    read, told = load_encoder(tmp_path)
    assert told == spec
    with torch.no_grad():
        assert torch.equal(read.embed(clips), encoder.embed(clips))


def test_the_spec_of_settings_has_them_all():
    settings = EncoderSettings(kind="stgcn", hidden_size=6, layers=2, direction="bidirectional", pooling="max",
                               input_features=["bone"], normalise_features=True, channels=5, dropout=0.25,
                               sequence="lstm")  # fmt: skip
    spec = EncoderSpec.of(settings, ClipFormat(LAYOUT, 2, 25.0, False, "upright"), "motion", 32)
    assert {name: getattr(spec, name) for name in vars(settings)} == vars(settings) | {"input_features": ("bone",)}
    assert (spec.stream, spec.frames, spec.clip_format) == ("motion", 32, ClipFormat(LAYOUT, 2, 25.0, False, "upright"))


# What clips must be


FED = SPEC.clip_format


def with_joints(**changes):
    return dataclasses.replace(FED, layout=dataclasses.replace(LAYOUT, **changes))


@pytest.mark.parametrize(
    ("clips", "told"),
    [
        (dataclasses.replace(FED, bodies=2), "expects 1 bodies a clip, the store holds 2: pretrain on this store"),
        (dataclasses.replace(FED, layout=load_layout("kinect_v1")),
         r"layout kinect_v2 \(25 joints\), the store holds kinect_v1 \(20 joints\): pretrain on this store, choose"),
        (with_joints(joints=(*LAYOUT.joints[:5], "tail", *LAYOUT.joints[6:])), "whose joint 5 is '.*', in .* 'tail'"),
        (with_joints(parents=(*LAYOUT.parents[:3], 4, *LAYOUT.parents[4:])), "expects joint '.*' to hang from '.*'"),
        (dataclasses.replace(FED, normalised=False),
         r"trained on clips that are centred and turned, the store's are as recorded: import it again with pcm3 import "
         r"KIND SOURCE STORE --normalise true, or pretrain"),
        (dataclasses.replace(FED, rule="released"), "normalised by the rule upright, the store's are by released: "
         "import it again with --rule upright, or"),
        (dataclasses.replace(FED, coordinates=2), "expects 3 coordinates a joint, got 2: give x, y and z"),
    ],
)  # fmt: skip
def test_clips_that_do_not_fit_are_refused_with_what_differs_and_what_to_do(clips, told):
    with pytest.raises(CheckpointError, match=f"^here: the encoder .*{told}") as raised:
        SPEC.check_compatible(clips, "here")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "clips",
    [FED, dataclasses.replace(FED, fps=50.0), dataclasses.replace(FED, normalised=None, rule=""),
     dataclasses.replace(FED, rule=""), with_joints(name="ours", mirror=(), up=(0, 1), across=(1, 0))],
)  # fmt: skip
def test_clips_that_fit_or_of_which_too_little_is_known_are_taken(clips):
    SPEC.check_compatible(clips, "here")


def test_clips_as_recorded_fit_an_encoder_of_such_clips_by_any_rule():
    spec = SPEC.fed_with(dataclasses.replace(FED, normalised=False))
    spec.check_compatible(dataclasses.replace(FED, normalised=False, rule="released"), "here")
    with pytest.raises(CheckpointError, match=r"as recorded, the store's are centred and turned.*--normalise false"):
        spec.check_compatible(FED, "here")


def test_a_camera_frame_store_is_refused_by_an_encoder_of_normalised_clips(
    cli, run_path, store, write_tiny, recordings, tmp_path
):
    assert store.normalised
    write_tiny(tmp_path / "camera", recordings, normalised=False)
    found = cli("evaluate", "retrieval", "--model", run_path, "--store", tmp_path / "camera", "--protocol", "xsub")
    assert found.code == 2
    assert found.err.count("\n") == 1
    assert "clips that are centred and turned, the store's are as recorded: import it again" in found.err
    assert load_encoder(run_path)[1].clip_format == format_of(store)


# Folders that are not whole, or not ours


def test_a_path_that_holds_no_model_is_told_what_was_expected(tmp_path):
    with pytest.raises(CheckpointError, match="but nothing is there"):
        load_encoder(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"expected a run folder with model\.safetensors, found none: pretrain"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("missing", [WEIGHTS, DESCRIPTION])
def test_a_folder_of_which_a_file_is_missing_is_refused_in_one_line(cli, run_path, store_path, missing):
    (run_path / missing).unlink()
    found = cli("evaluate", "retrieval", "--model", run_path, "--store", store_path)
    assert found.code == 2
    assert found.err.count("\n") == 1
    assert f"{missing} is missing beside" in found.err


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_a_folder_with_a_file_of_a_newer_version_is_refused_in_one_line(cli, run_path, store_path, name):
    told, tensors = content(run_path / WEIGHTS)
    newer = json.dumps(with_checksum(told | {"format": 99, "telepathy": True}))
    if name == WEIGHTS:
        save_file(tensors, run_path / WEIGHTS, {"pcm3": newer})
    else:
        (run_path / DESCRIPTION).write_text(newer, encoding="utf-8")
    found = cli("evaluate", "retrieval", "--model", run_path, "--store", store_path)
    assert found.code == 2
    assert found.err.count("\n") == 1
    assert f"{name}: written by a newer pcm3 (format 99, this one reads up to 3): update pcm3" in found.err


def test_a_run_that_was_killed_between_its_two_files_leaves_a_model(tmp_path):
    saved(tmp_path / "before", run=5)
    later = SPEC.after(9, True)
    encoder = saved(tmp_path / "after", later, run=5)
    (tmp_path / "before" / WEIGHTS).write_bytes((tmp_path / "after" / WEIGHTS).read_bytes())
    read, spec = load_encoder(tmp_path / "before")
    assert spec == later
    torch.testing.assert_close(dict(read.state_dict()), dict(encoder.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("run", [None, 6])
def test_files_of_two_models_do_not_go_together(tmp_path, run):
    saved(tmp_path, run=run)
    saved(tmp_path / "other", SPEC.after(9, True), run=5)
    (tmp_path / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    with pytest.raises(CheckpointError, match=r"is of another model than model\.json beside it: copy both anew"):
        load_encoder(tmp_path)


def test_a_changed_description_is_noticed(tmp_path):
    saved(tmp_path)
    text = (tmp_path / DESCRIPTION).read_text()
    (tmp_path / DESCRIPTION).write_text(text.replace('"frames": 16', '"frames": 32'))
    with pytest.raises(CheckpointError, match=r"model\.json: changed since it was written"):
        load_encoder(tmp_path)


def strange_setting(told, tensors):
    told["model"]["telepathy"] = True


def less_spec(told, tensors):
    del told["model"]["hidden_size"]


def no_provenance(told, tensors):
    del told["provenance"]


def wider(told, tensors):
    told["model"]["hidden_size"] = 8


def one_tensor_less(told, tensors):
    del tensors["norm.weight"]


def no_format(told, tensors):
    told["format"] = "3"


def other_layout(told, tensors):
    told["model"]["layout"]["parents"][3] = 99


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (strange_setting, "damaged"),
        (less_spec, "damaged"),
        (no_provenance, "damaged"),
        (wider, "has shape"),
        (one_tensor_less, "norm.weight is missing"),
        (no_format, "damaged, expected a format"),
        (other_layout, "parents: expected the number of a joint"),
    ],
)
def test_a_model_that_is_not_one_is_refused_with_its_name(tmp_path, change, told):
    saved(tmp_path)
    rewritten(tmp_path, change)
    with pytest.raises(CheckpointError) as caught:
        load_encoder(tmp_path)
    assert told in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("told", [None, "[1]", "{", "{}", '{"format": 2}', '{"format": 3, "model": 1}'])
def test_safetensors_of_another_maker_are_refused(tmp_path, told):
    saved(tmp_path)
    save_file(
        content(tmp_path / WEIGHTS)[1], tmp_path / WEIGHTS, {"made": "elsewhere"} if told is None else {"pcm3": told}
    )
    with pytest.raises(CheckpointError, match="not an encoder that pcm3 wrote, or damaged"):
        load_encoder(tmp_path / WEIGHTS)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "psychic"}, "damaged"),
        ({"input_features": []}, "input_features is"),
        ({"input_features": ["joint", "aura"]}, "damaged"),
        ({"input_features": None}, "damaged"),
        ({"input_features": "bone"}, "damaged"),
        ({"kind": "graph", "hidden_size": 5}, "multiple of 4, got 10"),
        ({"kind": "transformer", "hidden_size": 5}, "multiple of the 4 heads, got 10"),
        ({"kind": "graph", "direction": "causal"}, "expected direction bidirectional for kind graph"),
        ({"pooling": "median"}, "damaged"),
        ({"normalise_features": "no"}, "damaged"),
        ({"normalise_features": True}, "readout.centre is missing"),
        ({"pooling": "attention"}, "readout.score.weight is missing"),
        ({"kind": "transformer"}, "is missing"),
        ({"input_features": ["joint", "motion"]}, "has shape"),
        ({"hidden_size": -1}, "damaged"), ({"hidden_size": "wide"}, "damaged"), ({"layers": 2.5}, "damaged"),
        ({"bodies": 0}, "damaged"), ({"layout": None}, "damaged"), ({"fps": -1.0}, "fps is"),
        ({"dropout": 2.0, "kind": "stgcn"}, "dropout"), ({"sequence": "rnn"}, "damaged"),
    ],
    ids=str,
)  # fmt: skip
def test_a_model_that_tells_what_no_encoder_is_or_another_one_is_refused(tmp_path, changes, told):
    saved(tmp_path)
    rewritten(tmp_path, lambda header, tensors: header["model"].update(changes))
    with pytest.raises(CheckpointError, match=told):
        load_encoder(tmp_path)


# Earlier versions


def earlier(folder, version, spec=SPEC, **changes):
    """The model as a file of format 1 or 2, written as the versions of then did."""
    encoder = spec.build(3)
    fields = {
        "layout": spec.layout.name, "bodies": spec.bodies, "joints": spec.joints, "hidden": spec.hidden_size,
        "layers": spec.layers, "direction": spec.direction, "pooling": spec.pooling, "stream": spec.stream,
        "frames": spec.frames, "step": 7, "finished": True, "protocol": "xview", "store_checksum": "abc",
    }  # fmt: skip
    told = {"format": version, "encoder": fields}
    tensors = encoder.state_dict()
    if version == 2:
        of_joints = spec.kind == "graph" or "bone" in spec.input_features
        sees = ["itself" if name == "joint" else name for name in spec.input_features]
        fields |= {"network": spec.kind, "sees": sees, "parents": list(LAYOUT.parents) if of_joints else [],
                   "standardise": spec.normalise_features, "fps": 30.0, "normalised": True, "rule": "upright",
                   "gaps": spec.gaps}  # fmt: skip
        fields |= changes
        told["run"] = 5
        digest = hashlib.sha256(json_checksum(told).encode())
        for name, tensor in sorted(tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        told["sha256"] = digest.hexdigest()
    fields |= changes
    save_file(tensors, folder / EARLIER, {"pcm3": json.dumps(told)})
    return encoder.eval()


@pytest.mark.parametrize(
    ("version", "changes"),
    [(1, {}), (2, {}), (2, {"input_features": ("joint", "bone", "motion"), "normalise_features": True}),
     (2, {"kind": "graph"}), (2, {"kind": "transformer", "pooling": "attention"}), (2, {"direction": "causal"})],
)  # fmt: skip
def test_files_of_earlier_versions_are_read_with_the_same_features(tmp_path, version, changes):
    spec = dataclasses.replace(SPEC, **changes)
    encoder = earlier(tmp_path, version, spec)
    clips = torch.randn(4, 16, 1, 25, 3)
    for path in (tmp_path, tmp_path / EARLIER):
        read, told = load_encoder(path)
        with torch.no_grad():
            assert torch.equal(read.embed(clips), encoder.embed(clips))
        origin = Provenance(store_checksum="abc", protocol="xview", step=7, finished=True)
        unknown = {"fps": 0.0, "normalised": None, "rule": ""} if version == 1 else {}
        assert told == dataclasses.replace(spec, provenance=origin, **unknown)


def test_the_names_of_the_tensors_of_a_gru_are_those_of_format_1(tmp_path):
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    gates = [f"{kind}_l0{way}" for way in ("", "_reverse") for kind in kinds]
    norm = {f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
    halves = {f"layers.{layer}.halves.0.{gate}" for layer in (0, 1) for gate in gates}
    assert set(SPEC.build().state_dict()) == norm | halves


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"layout": "our_rig"}, "written by an earlier pcm3 .format 2., which only named the layout .* 'our_rig' here"),
     ({"joints": 20}, "joints is 20"), ({"parents": [0] * 25}, "joints is 25, parents is"),
     ({"sees": ["itself", "motion"], "direction": "causal"}, "written by an earlier pcm3 .format 2., whose causal")],
)  # fmt: skip
def test_what_an_earlier_version_wrote_and_is_of_no_use_any_more_is_told_in_one_line(tmp_path, changes, told):
    earlier(tmp_path, 2, **changes)
    with pytest.raises(CheckpointError, match=told) as raised:
        load_encoder(tmp_path)
    assert str(tmp_path / EARLIER) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_earlier_file_that_was_changed_is_refused(tmp_path):
    earlier(tmp_path, 2)
    told, tensors = content(tmp_path / EARLIER)
    told["encoder"]["frames"] = 32
    save_file(tensors, tmp_path / EARLIER, {"pcm3": json.dumps(told)})
    with pytest.raises(CheckpointError, match="damaged, its bytes are not those"):
        load_encoder(tmp_path)


# Damage


def damages(data, count=60):
    """Copies of a file's bytes, each with something wrong."""
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        limit = len(data) if number % 2 else min(len(data), 2000)
        place = int(torch.randint(limit, (), generator=generator))
        before, after = data[:place], data[place + 1 :]
        yield [before, before + bytes([data[place] ^ 4]) + after, before + after[9:], before + bytes(len(after))][
            number % 4
        ]
    yield from (b"", b"\n", bytes(len(data)))


def refusal(path):
    """What the CheckpointError says; None where there was none."""
    try:
        load_encoder(path)
    except CheckpointError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_a_damaged_file_is_refused_or_read_as_it_was_written(tmp_path, name):
    encoder = saved(tmp_path)
    file, refused = tmp_path / name, 0
    whole = file.read_bytes()
    for data in damages(whole):
        file.write_bytes(data)
        why = refusal(tmp_path)
        if why is not None:
            refused += 1
            assert str(file) in why
            assert "\n" not in why
        else:
            read, spec = load_encoder(tmp_path)
            assert spec == SPEC
            torch.testing.assert_close(dict(read.state_dict()), dict(encoder.state_dict()), rtol=0, atol=0)
    assert refused > 50


@pytest.mark.parametrize("where", [0.3, 0.6, 0.9, 0.999])
def test_a_flipped_bit_among_the_weights_is_found(tmp_path, where):
    saved(tmp_path)
    file = Path(tmp_path / WEIGHTS)
    data = bytearray(file.read_bytes())
    weights = 8 + int.from_bytes(data[:8], "little")
    data[weights + int(where * (len(data) - weights))] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged, its bytes are not those that were written"):
        load_encoder(file)
