"""Poses in a picture: two coordinates on their way into a store, and the views of it."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from upright_people import standing

from pcm3.api.given import Recorded, given_clips
from pcm3.clips import ClipBank
from pcm3.data.audit.check import check_store
from pcm3.data.importer import import_recordings, store_recordings
from pcm3.data.picture import TALL, are_flat, body_size, normalise_in_plane, scaled
from pcm3.data.recording import Recording
from pcm3.data.retarget_store import retarget_store
from pcm3.data.store import ClipStore
from pcm3.encoders.spec import EncoderSpec, format_of
from pcm3.errors import CheckpointError, ConfigError, DataError
from pcm3.methods.pcm3_views import ViewMaker
from pcm3.methods.views import CropMaker
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.pcm3 import PCM3Settings
from pcm3.settings.views import ViewSettings
from pcm3.skeleton import load_layout

COCO = load_layout("coco17")
HIPS = [COCO.joints.index("left_hip"), COCO.joints.index("right_hip")]


def pixels(seed=0, size=400.0, layout=COCO):
    """(T, 1, V, 2) somebody in a picture of pixels, y downwards."""
    x, y, _ = np.moveaxis(standing(seed, frames=20, layout=layout), -1, 0)
    return np.stack([960 + size * x, 540 - size * y], axis=-1)


def stored(folder, **settings):
    recordings = [Recording(f"p{seed}", pixels(seed).astype(np.float32), seed % 2, seed) for seed in range(4)]
    store_recordings(recordings, folder, layout="coco17", fps=30.0, classes=["a", "b"], **settings)
    return ClipStore.open(folder)


def test_a_store_of_pixels_is_centred_upright_and_of_a_persons_size(tmp_path):
    store = stored(tmp_path / "s")
    assert (store.dimensions, store.rule, store.preparation["up"]) == (2, "flat", [0.0, -1.0, 0.0])
    assert json.loads((tmp_path / "s" / "store.json").read_text())["dimensions"] == 2
    for index in range(len(store)):
        clip = store.clip(index)
        assert not clip[..., 1].any()
        np.testing.assert_allclose(clip[:, 0][:, HIPS].mean(axis=1), 0, atol=1e-5)
        assert body_size(clip) == pytest.approx(TALL, rel=1e-3)
        head, ankle = COCO.joints.index("nose"), COCO.joints.index("left_ankle")
        assert (clip[:, 0, head, 2] > clip[:, 0, ankle, 2]).all()
    assert "flat" not in {finding.name for finding in check_store(store).findings}
    assert any("poses in a picture" in note for note in store.report["notes"])


def test_a_clip_is_what_its_docstring_says(tmp_path):
    store = stored(tmp_path / "s")
    raw = pixels(0)[:, 0]
    size = np.median(np.ptp(raw, axis=1).max(axis=1))
    wanted = (raw - raw[:, HIPS].mean(axis=1, keepdims=True)) * TALL / size
    np.testing.assert_allclose(store.clip(0)[:, 0, :, 0], wanted[..., 0], atol=1e-4)
    np.testing.assert_allclose(store.clip(0)[:, 0, :, 2], -wanted[..., 1], atol=1e-4)


@given(scale=st.floats(0.01, 20), shift=st.floats(-500, 500), downwards=st.booleans())
@settings(max_examples=30, deadline=None)
def test_size_place_and_direction_of_the_picture_do_not_count(scale, shift, downwards):
    frames = np.pad(pixels(1), [(0, 0)] * 3 + [(0, 1)])
    present = np.ones(frames.shape[:3], np.bool_)
    other = frames * [scale, scale if downwards else -scale, 0] + [shift, -shift, 0]
    up = (0.0, -1.0 if downwards else 1.0, 0.0)
    wanted = normalise_in_plane(scaled(frames, present), present, COCO, (0.0, -1.0, 0.0))
    got = normalise_in_plane(scaled(other, present), present, COCO, up)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_absent_joints_count_for_no_size_and_stay_zeros():
    frames = np.pad(pixels(1), [(0, 0)] * 3 + [(0, 1)])
    present = np.ones(frames.shape[:3], np.bool_)
    present[:, 0, COCO.joints.index("left_wrist")] = False
    far = np.where(present[..., None], frames, 0)
    moved = scaled(far, present)
    assert not moved[~present].any()
    assert body_size(np.where(present[..., None], moved, np.nan)) == pytest.approx(TALL)


@pytest.mark.parametrize(
    ("clips", "flat"),
    [([np.ones((2, 1, 3, 3))], False), ([np.ones((2, 1, 3, 2))], True), ([np.zeros((2, 1, 3, 3))], False),
     ([np.ones((2, 1, 3, 3)) * [1, 1, 0], np.ones((2, 1, 3, 3))], False), ([np.ones((2, 1, 3, 3)) * [1, 1, 0]], True)],
)  # fmt: skip
def test_what_has_no_third_coordinate_is_flat(clips, flat):
    assert are_flat(clips) is flat


def test_pyskls_poses_of_two_coordinates_are_imported(tmp_path):
    keypoint = pixels(3).transpose(1, 0, 2, 3).astype(np.float16)
    score = np.ones(keypoint.shape[:3], np.float16)
    score[0, 4, 9] = 0
    annotations = [
        {"frame_dir": f"v{n}", "label": n % 2, "keypoint": keypoint, "keypoint_score": score, "total_frames": 20,
         "img_shape": (1080, 1920)} for n in range(4)
    ]  # fmt: skip
    held = {"split": {"own_train": ["v0", "v1"], "own_val": ["v2", "v3"]}, "annotations": annotations}
    (tmp_path / "ucf_hrnet.pkl").write_bytes(pickle.dumps(held))
    import_recordings("pyskl", tmp_path / "ucf_hrnet.pkl", tmp_path / "s", progress=False, fill=0.0)
    store = ClipStore.open(tmp_path / "s")
    assert (store.layout.name, store.dimensions, len(store)) == ("coco17", 2, 4)
    assert store.absent.tolist() == [1] * 4
    assert not store.clip(0)[4, 0, 9].any()
    assert store.scores[4, 0, 9] == 0
    with pytest.raises(ConfigError, match="expected flat for recordings of two coordinates, got upright"):
        import_recordings("pyskl", tmp_path / "ucf_hrnet.pkl", tmp_path / "t", progress=False, rule="upright")


def test_arrays_of_two_coordinates_are_imported_and_retargeted(tmp_path):
    frames = np.concatenate([pixels(0), pixels(1)])
    np.savez(tmp_path / "mine.npz", frames=frames, length=[20, 20], layout="coco17", label=[0, 1])
    import_recordings("npz", tmp_path / "mine.npz", tmp_path / "s", progress=False)
    import_recordings("npz", tmp_path / "mine.npz", tmp_path / "wanted", progress=False, to="openpose25")
    store, wanted = ClipStore.open(tmp_path / "s"), ClipStore.open(tmp_path / "wanted")
    assert store.dimensions == wanted.dimensions == 2
    retarget_store(store, tmp_path / "got", load_layout("openpose25"))
    got = ClipStore.open(tmp_path / "got")
    assert got.dimensions == 2
    scale = body_size(wanted.clip(0)) / body_size(got.clip(0))  # another skeleton is of another size
    np.testing.assert_allclose(got.clip(0) * scale, wanted.clip(0), atol=1e-4)


def test_a_recording_of_three_coordinates_among_those_of_two_is_told(tmp_path):
    recordings = [Recording(f"p{n}", pixels(n).astype(np.float32), 0) for n in range(60)]
    deep = np.pad(pixels(0), [(0, 0)] * 3 + [(0, 1)], constant_values=1.0).astype(np.float32)
    with pytest.raises(DataError, match="expected two coordinates as in the other recordings, got three"):
        store_recordings(
            [*recordings, Recording("deep", deep, 0)], tmp_path / "s", layout="coco17", fps=30.0, strict=True
        )


@pytest.mark.parametrize("normalise", [True, False])
def test_every_view_stays_in_the_plane_and_nobody_is_seen_from_another_side(tmp_path, normalise):
    store = stored(tmp_path / "s", normalise=normalise)
    bank = ClipBank.of(store, "joint", 8, torch.device("cpu"))
    batch = bank.batch(torch.arange(4))
    flat = 1 if normalise else 2
    assert batch.flat == flat
    every = ViewSettings(yaw=180.0, tilt=180.0, bone_scale=0.2, flip_prob=0.5, min_frames=4, spatial="both")
    views = CropMaker(COCO, 8, every).two_views(batch, torch.Generator().manual_seed(0))
    for view in views:
        assert not view[..., flat].any()
        assert view[..., 0].any()
    still = ViewSettings(yaw=0.0, min_frames=4)
    turned = ViewSettings(yaw=180.0, tilt=90.0, min_frames=4)
    one, other = (
        CropMaker(COCO, 8, view).crops(batch, 1, torch.Generator().manual_seed(1)) for view in (still, turned)
    )
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    changed = PCM3Settings()
    changed.views = every
    made = ViewMaker(COCO, "joint", 8, changed)(batch, torch.Generator().manual_seed(0))
    for clips in (made.query, made.key, made.source, made.mixed.clips):
        assert not clips[..., flat].any()


def test_an_encoder_of_two_coordinates_is_none_of_three(tmp_path):
    flat = format_of(stored(tmp_path / "s"))
    spec = EncoderSpec.of(EncoderSettings(hidden_size=4), flat, "joint", 16)
    spec.check_compatible(flat, "model")
    recordings = [Recording("a", standing(0, layout=COCO).astype(np.float32), 0)]
    store_recordings(recordings, tmp_path / "deep", layout="coco17", fps=30.0)
    deep = format_of(ClipStore.open(tmp_path / "deep"))
    with pytest.raises(CheckpointError, match="trained on poses of two coordinates, the store's have three"):
        spec.check_compatible(deep, "model")
    with pytest.raises(CheckpointError, match="trained on poses of three coordinates, the store's have two"):
        EncoderSpec.of(EncoderSettings(hidden_size=4), deep, "joint", 16).check_compatible(flat, "model")


def test_a_model_of_pictures_takes_arrays_of_pixels_and_nothing_else(tmp_path):
    store = stored(tmp_path / "s")
    spec = EncoderSpec.of(EncoderSettings(hidden_size=4), format_of(store), "joint", 16)
    recorded = Recorded(fps=30.0)
    clips = [pixels(seed)[:, 0] for seed in range(4)]
    held = given_clips(clips, spec, recorded).store
    np.testing.assert_allclose(held.frames, store.frames, atol=1e-4)
    with pytest.raises(DataError, match="expected two coordinates a joint, as the model learned from, got three"):
        given_clips([standing(0, layout=COCO)], spec, recorded)
    upright = replace(spec, rule="upright")
    with pytest.raises(DataError, match="expected three coordinates a joint, as the model learned from, got two"):
        given_clips([np.pad(clips[0], [(0, 0), (0, 0), (0, 1)])], upright, recorded)
