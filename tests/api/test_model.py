"""`pcm3.load`: clips in any form in, the features that the tasks see out."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from ntu_file_text import walkers

import pcm3
from pcm3.api.given import Recorded
from pcm3.clips import ClipBank, extract
from pcm3.data.importer import store_recordings
from pcm3.data.recording import Recording
from pcm3.data.store import ClipStore
from pcm3.encoders.files import save_encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import CheckpointError, ConfigError, DataError
from pcm3.skeleton import load_layout

KINECT1 = load_layout("kinect_v1")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model of upright people of Kinect v1, one body a clip."""
    folder = tmp_path_factory.mktemp("models") / "model"
    spec = EncoderSpec(
        KINECT1, 1, 6, 1, "causal", "mean", "joint", frames=16, fps=30.0, normalised=True, rule="upright"
    )
    save_encoder(folder, spec.build(3), spec)
    return pcm3.load(folder)


def people(count=5):
    return [walkers(k, 40 + 7 * k, 1, 20) for k in range(count)]


def test_features_of_arrays_are_those_of_the_store_that_an_import_makes_of_them(model, tmp_path):
    made = [Recording(f"r{k}", clip) for k, clip in enumerate(people())]
    store_recordings(made, tmp_path / "s", layout="kinect_v1", fps=30.0)
    store = ClipStore.open(tmp_path / "s")
    bank = ClipBank.of(store, "joint", 16, torch.device("cpu"))
    expected = extract(model.encoder, bank, np.arange(5)).numpy()
    assert np.array_equal(model.embed(store), expected)
    assert np.array_equal(model.embed(tmp_path / "s"), expected)
    assert np.array_equal(model.embed(str(tmp_path / "s")), expected)
    assert np.array_equal(model.embed(people()), expected)
    assert expected.shape == (5, model.width)


def test_a_batch_is_its_clips_one_by_one(model):
    together = model.embed(people(), up="y")
    np.testing.assert_allclose([model.embed(clip, up="y") for clip in people()], together, atol=1e-6)
    np.testing.assert_allclose(model.embed(people(), up="y", batch=2), together, atol=1e-6)


def test_every_form_of_a_clip_is_the_same_clip(model):
    clip = people(1)[0]
    one = model.embed(clip)
    assert one.shape == (model.width,)
    np.testing.assert_array_equal(model.embed(clip[:, 0]), one)
    np.testing.assert_array_equal(model.embed(clip.astype(np.float64)), one)
    np.testing.assert_array_equal(model.embed(torch.from_numpy(clip)), one)
    np.testing.assert_array_equal(model.embed([clip])[0], one)
    np.testing.assert_array_equal(model.embed([clip.tolist()])[0], one)
    # Two clips in a product may be added up in another order than one, on some processors.
    np.testing.assert_allclose(model.embed(np.stack([clip, clip])), np.stack([one, one]), atol=1e-6)


def test_absent_joints_may_be_nan_or_zeros_and_others_axes_are_found(model):
    clip = people(1)[0]
    gone = clip.copy()
    gone[5:35, 0, 11] = 0
    marked = np.where((gone == 0).all(axis=-1, keepdims=True), np.nan, gone)
    np.testing.assert_array_equal(model.embed(marked), model.embed(gone))
    assert not np.allclose(model.embed(gone), model.embed(clip))
    about = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)  # y becomes z
    np.testing.assert_allclose(model.embed(clip @ about), model.embed(clip), atol=1e-4)


def test_another_rate_is_resampled(model):
    clip = people(1)[0]
    doubled = np.repeat(clip, 2, axis=0)[:-1]
    doubled[1::2] = (clip[:-1] + clip[1:]) / 2
    np.testing.assert_allclose(model.embed(doubled, fps=60.0), model.embed(clip), atol=1e-5)
    assert not np.allclose(model.embed(doubled), model.embed(clip), atol=1e-5)


def test_frames_are_those_of_the_encoder(model):
    clip = people(1)[0]
    features = model.frames(clip)
    assert features.shape == (len(clip), model.encoder.frame_width)
    assert model.frames(clip, fps=60.0).shape[0] == (len(clip) + 1) // 2
    # Causal: what comes later changes nothing before it. The axes are given, as they are found from the whole clip.
    up = model.frames(clip, up="y")
    np.testing.assert_allclose(model.frames(clip[:20], up="y"), up[:20], atol=1e-5)
    with pytest.raises(DataError, match="expected one clip"):
        model.frames(people(2))


def test_a_saved_model_is_the_model(model, tmp_path):
    model.save(tmp_path / "copy")
    again = pcm3.load(tmp_path / "copy")
    assert again.spec == model.spec
    np.testing.assert_array_equal(again.embed(people()), model.embed(people()))


def test_the_model_stays_as_it_is(model):
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    model.embed(people())
    model.frames(people(1)[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.encoder.state_dict().items())


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (np.zeros((30, 17, 3)), r"clip: expected an array \(T, 20, 3\) or .* kinect_v1 in metres, got \(30, 17, 3\)"),
        ([np.ones((30, 20, 3)), np.ones((30, 20, 2))], "clip 1: expected an array"),
        (np.ones((12, 30, 20, 3)), r"give list\(clips\) for 12 clips"),
        (np.zeros((30, 20, 3)), "clip: missing skeleton: no body in any frame"),
        (np.ones((0, 20, 3)), "clip: expected an array"),
        ([["a", "b"]], "clip 0: expected an array .* of numbers"),
        ([], "expected recordings, got none"),
    ],
)
def test_what_is_no_clip_is_told_in_one_line(model, clips, message):
    with pytest.raises(DataError, match=message) as caught:
        model.embed(clips)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (1000, "expected metres"),
        (100, "which looks like centimetres: divide by 100"),
        (1 / 0.0254, "which looks like centimetres"),
        (7, "which no person is: give metres"),
        (0.01, "which no person is: give metres"),
    ],
)
def test_other_units_are_refused(model, factor, message):
    for clip in (people(1)[0], people(1)[0] - people(1)[0][:1, :, :1]):
        with pytest.raises(DataError, match=message):
            model.embed(clip * np.float32(factor))


def test_tensors_with_gradients_and_arrays_of_other_things(model):
    clip = people(1)[0]
    np.testing.assert_array_equal(model.embed(torch.from_numpy(clip).requires_grad_()), model.embed(clip))
    for wrong in (clip.astype(np.complex64), clip > 0):
        with pytest.raises(DataError, match="clips: expected numbers, metres, got an array of"):
            model.embed(wrong)


def test_a_store_that_does_not_fit_is_refused(model, store_path):
    with pytest.raises(CheckpointError, match="expects skeletons of layout kinect_v1"):
        model.embed(store_path)


def test_a_model_of_clips_as_recorded_leaves_them_so(model):
    raw = replace(model, spec=replace(model.spec, normalised=False))
    clip = people(1)[0]
    assert not np.allclose(raw.embed(clip + np.float32(1)), raw.embed(clip), atol=1e-3)
    np.testing.assert_allclose(model.embed(clip + np.float32(1)), model.embed(clip), atol=1e-5)


def test_there_is_no_model(tmp_path):
    with pytest.raises(CheckpointError, match="nothing is there"):
        pcm3.load(tmp_path / "none")


def test_importing_the_package_brings_no_torch():
    code = "import sys, pcm3; assert not {'torch', 'numpy'} & set(sys.modules); assert callable(pcm3.load)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        pcm3.lod  # noqa: B018


def test_a_model_says_what_it_is(model):
    assert repr(model) == "Model(gru, 12 features, kinect_v1, 30 fps, joint, method not known, step 0)"


def test_lists_hold_numbers_as_arrays_do(model):
    clip = walkers(0, 30, 1, 20)
    for other in (clip.astype(complex), clip > 0):
        with pytest.raises(DataError, match="clip 1: expected numbers"):
            model.embed([clip, other])
    np.testing.assert_array_equal(model.embed([torch.from_numpy(clip).requires_grad_()]), model.embed([clip]))


@pytest.mark.parametrize("setting", [{"fps": 0.0}, {"fps": 1e-9}, {"crops": 0}, {"batch": 0}])
def test_settings_that_make_no_sense(model, setting):
    with pytest.raises(ConfigError, match=f"setting {next(iter(setting))}: expected"):
        model.embed(walkers(0, 30, 1, 20), **setting)


def test_what_is_told_of_a_store_that_knows_better_is_not_used_in_silence(model, tmp_path):
    store_recordings([Recording("a", walkers(0, 30, 1, 20))], tmp_path / "store", layout="kinect_v1", fps=30.0)
    given = model.given(tmp_path / "store", Recorded(fps=15.0))
    assert (given.notes, model.given(tmp_path / "store", Recorded()).notes) == (
        ["options that describe files (fps, layout, up, units, …) are ignored where a store is given"],
        [],
    )


def test_what_is_known_of_files_is_told_at_once_or_one_by_one(model, tmp_path):
    file = tmp_path / "all.csv"
    names = [f"{joint}_{axis}" for joint in load_layout("kinect_v1").joints for axis in "xyz"]
    rows = [(number, *walkers(number, 20, 1, 20).reshape(20, -1)[frame]) for frame in range(20) for number in (0, 1)]
    np.savetxt(file, rows, delimiter=",", header=",".join(["note", *names]), comments="")
    told = Recorded(fps=15.0, columns="clip=note", up="y")
    features = model.embed(file, recorded=told)
    assert len(features) == 2
    np.testing.assert_allclose(model.embed(file, fps=15.0, recorded=Recorded(columns="clip=note", up="y")), features)
    np.testing.assert_array_equal(model.embed(file, fps=15.0, recorded=replace(told, fps=99.0)), features)
    labels = ["a", "b"]
    head = model.fit_classifier(file, labels, kind="nearest", recorded=told)
    assert head.predict(file, recorded=told).tolist() == labels
