import numpy as np
import pytest
import torch
from fitted import linear, occlusion, retrieval
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import KINECT1, KINECT2, toy_encoder

from pcm3.clips import ClipBank, extract
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.in_bfloat16 import InBfloat16
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.report.occluded import occluded_picture
from pcm3.settings.tasks import LinearSettings, OcclusionSettings
from pcm3.tasks import occlusion as occlusion_module
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.occlusion import KINDS, drops, occluded_clips, occluded_features, occlusion_masks

TRAIN, TEST = np.arange(18), np.arange(18, 24)
ALL = np.arange(24)
HOW = OcclusionSettings()
HEAD = LinearSettings(epochs=3)


@pytest.fixture
def bank(store):
    return ClipBank.of(store, "joint", 16, torch.device("cpu"))


def many(kind, size=64, layout=KINECT2, how=HOW, clips=400):
    return occlusion_masks([f"S001C001P001R001A{number:03}" for number in range(clips)], layout, kind, size, how)


def hidden_of(store, kind):
    return occlusion_masks(list(map(str, store.ids)), store.layout, kind, 16, HOW)


# What is hidden


@pytest.mark.parametrize("layout", [KINECT1, KINECT2], ids=lambda layout: layout.name)
def test_spatial_occlusion_hides_two_or_three_whole_parts(layout):
    hidden = many("spatial", layout=layout)
    assert hidden.shape == (400, 1, len(layout.joints))
    parts = np.stack([hidden[:, 0, list(part)].mean(axis=1) for part in layout.parts], axis=1)
    assert set(np.unique(parts)) == {0, 1}, "a part is hidden whole or not at all"
    count = parts.sum(axis=1)
    assert set(count) == {2, 3}
    # The share is U[0.3, 0.7] of five parts: half the time nearer to 2, half to 3. All parts alike.
    assert count.mean() == pytest.approx(2.5, abs=0.1)
    np.testing.assert_allclose(parts.mean(axis=0), 0.5, atol=0.1)


def test_temporal_occlusion_hides_one_block_of_three_to_seven_tenths():
    size = 100
    hidden = many("temporal", size)
    assert hidden.shape == (400, size, 1)
    edges = np.abs(np.diff(hidden[:, :, 0].astype(int), prepend=0, append=0, axis=1)).sum(axis=1)
    assert set(edges) == {2}, "one block"
    length = hidden.sum(axis=(1, 2))
    assert (length.min(), length.max()) == (30, 70)
    assert length.mean() == pytest.approx(50, abs=2)
    assert length.std() == pytest.approx(40 / 12**0.5, abs=1), "evenly between"
    first = hidden[:, :, 0].argmax(axis=1)
    place = first / (size - length)
    assert (first == 0).any()
    assert (first + length == size).any()
    assert place.mean() == pytest.approx(0.5, abs=0.05)


def test_nothing_is_hidden_of_a_clean_clip():
    assert not many("none").any()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 70), st.floats(0, 1), st.floats(0, 1))
def test_any_range_of_shares_and_any_length_will_do(size, one, other):
    low, high = min(one, other), max(one, other)
    how = OcclusionSettings(share=(low, high))
    how.check()
    frames = many("temporal", size, how=how, clips=5).sum(axis=(1, 2))
    assert (np.floor(low * size) <= frames).all()
    assert (frames <= np.ceil(high * size)).all()
    parts = many("spatial", size, how=how, clips=5)[:, 0, [part[0] for part in KINECT2.parts]].sum(axis=1)
    assert (np.floor(low * 5) <= parts).all()
    assert (parts <= np.ceil(high * 5)).all()


@pytest.mark.parametrize("kind", ["spatial", "temporal"])
def test_what_is_hidden_follows_from_the_clips_name_alone(store, kind):
    whole, names = hidden_of(store, kind), list(map(str, store.ids))
    some = [names[5], names[2], "another"]
    np.testing.assert_array_equal(occlusion_masks(some, KINECT2, kind, 16, HOW)[:2], whole[[5, 2]])
    assert len(np.unique(whole, axis=0)) > 4, "and differs from clip to clip"


def test_a_known_clip_is_always_occluded_alike():
    """Golden: published figures stand on these draws."""
    spatial, temporal = (many(kind, clips=3) for kind in ("spatial", "temporal"))
    parts = [[place for place, part in enumerate(KINECT2.parts) if hidden[0, part[0]]] for hidden in spatial]
    assert parts == SPATIAL
    assert [(int(block.argmax()), int(block.sum())) for block in temporal] == TEMPORAL


SPATIAL = [[0, 3], [0, 1, 2], [1, 4]]
"""Parts that are hidden of S001C001P001R001A000, …001, …002."""
TEMPORAL = [(37, 23), (22, 41), (8, 20)]
"""First frame and number of frames that are hidden of them, of 64."""


# What the encoder gets


@pytest.mark.parametrize("kind", ["spatial", "temporal"])
def test_what_is_hidden_is_zero_in_all_bodies_and_the_rest_is_untouched(bank, kind):
    clips = bank.centre(torch.from_numpy(ALL))
    hidden = hidden_of(bank.store, kind)
    occluded = occluded_clips(clips, torch.from_numpy(hidden)).numpy()
    for clip, before, mask in zip(occluded, clips.numpy(), hidden, strict=True):
        for frame in range(16):
            for joint in range(25):
                gone = mask[frame if kind == "temporal" else 0, joint if kind == "spatial" else 0]
                expected = np.zeros((2, 3)) if gone else before[frame, :, joint]
                np.testing.assert_array_equal(clip[frame, :, joint], expected)


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_joints_are_occluded_before_the_stream_is_taken(store, name):
    bank, raw = ClipBank.of(store, name, 16, torch.device("cpu")), RawCoordinates(16, 2, 25)
    mask = torch.from_numpy(hidden_of(store, "spatial"))
    found = occluded_features(raw, bank, TEST, mask)
    joints = ClipBank.of(store, "joint", 16, torch.device("cpu")).centre(torch.from_numpy(TEST))
    expected = stream(joints.masked_fill(mask[TEST][:, :, None, :, None], 0), name, store.layout, gaps=True)
    torch.testing.assert_close(found, expected.flatten(1))


@pytest.mark.parametrize("seed", [None, 3])
def test_clean_features_are_those_of_every_other_task(bank, seed):
    clean = torch.from_numpy(hidden_of(bank.store, "none"))
    drawn = [None if seed is None else torch.Generator().manual_seed(seed) for _ in range(2)]
    found = occluded_features(toy_encoder(), bank, TEST, clean, drawn[0])
    assert torch.equal(found, extract(toy_encoder(), bank, TEST, drawn[1]))


def moving_encoder():
    """An encoder of motions, as the presets for little data have it, and bones that learned from whole clips."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Encoder(2, 25, hidden_size=6, layers=1, direction="bidirectional", pooling="mean_max",
                       input_features=("motion", "motion4", "bone"), parents=KINECT2.parents,
                       at_origin=KINECT2.at_origin)  # fmt: skip
    return made.eval()


@pytest.mark.parametrize("kind", ["spatial", "temporal"])
def test_what_is_hidden_is_to_an_encoder_of_bones_and_motions_what_is_masked_in_pretraining(bank, kind):
    encoder, mask = moving_encoder(), torch.from_numpy(hidden_of(bank.store, kind))
    found = occluded_features(encoder, bank, TEST, mask)
    clips = bank.centre(torch.from_numpy(TEST))
    masked = mask[TEST][:, :, None].expand(clips.shape[:-1])
    with torch.no_grad():
        (frames,) = encoder.encode_views(encoder.build_inputs(clips, masked))
        expected = encoder.readout.finish(encoder.pool(frames))
    torch.testing.assert_close(found, expected)
    assert not encoder.gaps, "the encoder itself stays as it was"


def test_zeros_of_what_is_hidden_are_places_where_that_is_asked_for(bank):
    encoder, mask = moving_encoder(), torch.from_numpy(hidden_of(bank.store, "temporal"))
    found = occluded_features(encoder, bank, TEST, mask, jumps=True)
    clips = bank.centre(torch.from_numpy(TEST)).masked_fill(mask[TEST][:, :, None, :, None], 0)
    with torch.no_grad():
        torch.testing.assert_close(found, encoder.embed(clips))
    figures = [
        occlusion(encoder, bank, TRAIN, TEST, 3, OcclusionSettings(jumps=jumps), HEAD, 0, "cached").metrics
        for jumps in (False, True)
    ]
    assert figures[0]["top1_clean"] == figures[1]["top1_clean"]


def test_an_encoder_of_the_products_of_bfloat16_is_told_too(bank):
    mask = torch.from_numpy(hidden_of(bank.store, "temporal"))
    found = occluded_features(InBfloat16(moving_encoder()), bank, TEST, mask)
    expected = occluded_features(moving_encoder(), bank, TEST, mask)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.05)


# Figures


@pytest.mark.parametrize("features", ["cached", "fresh"])
def test_clean_figures_are_those_of_linear_and_retrieval(bank, features):
    found = occlusion(toy_encoder(), bank, TRAIN, TEST, 3, HOW, HEAD, 5, features)
    alone = linear(toy_encoder(), bank, TRAIN, TEST, 3, HEAD, 5, features)
    np.testing.assert_array_equal(found.clean["none"].logits, alone.logits)
    assert found.metrics["top1_clean"] == found.metrics["trained_top1_clean"] == alone.top1
    assert found.metrics["best_top1_clean"] == alone.best_top1
    assert found.metrics["nearest_top1_clean"] == retrieval(toy_encoder(), bank, TRAIN, TEST).top1


def test_drops_are_against_clean():
    figures = drops({"none": 80.0, "spatial": 70.0, "temporal": 76.0}, "a_")
    assert figures == {
        "a_top1_spatial": 70.0,
        "a_top1_temporal": 76.0,
        "a_top1_clean": 80.0,
        "a_delta_spatial": 10.0,
        "a_delta_temporal": 4.0,
        "a_delta": 7.0,
    }


def test_every_figure_has_its_name_and_stands_for_what_was_predicted(bank):
    found = occlusion(toy_encoder(), bank, TRAIN, TEST, 3, HOW, HEAD, 0, "cached")
    names = ["top1_spatial", "top1_temporal", "top1_clean", "delta_spatial", "delta_temporal", "delta"]
    best = ["best_top1_clean", "best_top1_spatial", "best_top1_temporal"]
    best += ["best_trained_top1_spatial", "best_trained_top1_temporal"]
    assert (
        list(found.metrics) == [f"{prefix}{name}" for prefix in ("", "trained_", "nearest_") for name in names] + best
    )
    label = bank.store.label[TEST]
    for kind in ("spatial", "temporal"):
        assert found.metrics[f"top1_{kind}"] == pytest.approx(100 * np.mean(found.clean[kind].predicted == label))
        trained = found.occluded[kind]
        assert found.metrics[f"trained_top1_{kind}"] == pytest.approx(100 * np.mean(trained.predicted == label))
        assert found.metrics[f"best_trained_top1_{kind}"] == trained.best_top1


def test_heads_are_trained_and_tested_on_what_they_are_said_to_be(bank, monkeypatch):
    calls = []

    def watch(encoder, bank, numbers, hidden, generator=None, jumps=False):
        kind = "none" if not hidden.any() else "spatial" if hidden.shape[1] == 1 else "temporal"
        calls.append(("train" if len(numbers) == len(TRAIN) else "test", kind, generator is None))
        return occluded_features(encoder, bank, numbers, hidden, generator, jumps)

    monkeypatch.setattr(occlusion_module, "occluded_features", watch)
    occlusion(toy_encoder(), bank, TRAIN, TEST, 3, HOW, HEAD, 0, "fresh")
    assert calls[:3] == [("test", kind, True) for kind in KINDS]
    assert calls[3:-1] == [("train", kind, False) for kind in KINDS for _ in range(HEAD.epochs)]
    assert calls[-1] == ("train", "none", True), "the gallery of the nearest neighbours"


def test_an_occluded_evaluation_leaves_the_encoder_as_it_is_and_repeats_to_the_bit(bank):
    encoder = toy_encoder().train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    results = [occlusion(encoder, bank, TRAIN, TEST, 3, HOW, HEAD, 1, "fresh") for _ in range(2)]
    assert results[0].metrics == results[1].metrics
    np.testing.assert_array_equal(results[0].occluded["temporal"].logits, results[1].occluded["temporal"].logits)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert encoder.training


def test_seeing_occluded_clips_in_training_helps_where_all_else_is_equal(bank):
    """Raw coordinates tell the classes by joints far from their place, of which some are left."""
    found = occlusion(RawCoordinates(16, 2, 25), bank, TRAIN, TEST, 3, HOW, LinearSettings(epochs=30), 0, "cached")
    assert found.metrics["top1_clean"] == 100
    assert found.metrics["trained_top1_temporal"] >= found.metrics["top1_temporal"]


@pytest.mark.parametrize("share", [(0.7, 0.3), (-0.1, 0.5), (0.5, 1.1)])
def test_a_range_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match=r"occlusion\.share"):
        OcclusionSettings(share=share).check()


def test_the_picture_shows_three_rows_a_clip(store, tmp_path):
    from PIL import Image

    heights = []
    for clips in ([0], [9], [0, 9]):
        occluded_picture(store, clips, tmp_path / "seen.png")
        with Image.open(tmp_path / "seen.png") as image:
            assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 8, "there is a picture"
            heights.append(image.height)
    assert heights[0] == heights[1] <= heights[2]
