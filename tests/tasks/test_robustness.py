"""Recognition of clips that are worse than those that were learned from."""

import numpy as np
import pytest
import torch
from fitted import linear, retrieval
from toy import toy_encoder

from pcm3.clips import ClipBank
from pcm3.encoders.encoder import Encoder
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.report.harmed import harmed_picture
from pcm3.settings.tasks import LinearSettings, RobustnessSettings
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.classifier import LabelledClips
from pcm3.tasks.robustness import Harmed, evaluate_robustness, harmed_clips, harmed_features, harms_of

TRAIN, TEST = np.arange(18), np.arange(18, 24)
HEAD = LinearSettings(epochs=3)
NAMES = [f"S001C001P001R001A{number:03}" for number in range(64)]


def clips(count=64, frames=16, bodies=2, joints=25):
    made = torch.randn((count, frames, bodies, joints, 3), generator=torch.Generator().manual_seed(0)) + 3
    made[:, :, 1:] *= torch.arange(count)[:, None, None, None, None] % 2  # every other clip has one body
    return made


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_joints_are_lost_from_the_whole_clip_and_the_rest_is_as_it_was(share):
    before = clips()
    after = harmed_clips(before, Harmed("joints", share), NAMES)
    lost = (after[:, :, :1] == 0).all(dim=-1)
    assert torch.equal(lost, lost[:, :1].expand_as(lost)), "in all frames"
    assert (lost[:, 0, 0].sum(dim=-1) == round(25 * share)).all()
    assert torch.equal(after[1::2, :, 1] == 0, after[1::2, :, 0] == 0), "of all bodies"
    kept = ~lost[:, :, 0, None, :, None].expand_as(before)
    assert torch.equal(after[kept], before[kept])
    assert len({tuple(row) for row in lost[:, 0, 0].tolist()}) > 50, "each clip loses its own"


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_joints_flicker_each_by_itself(share):
    before = clips()
    after = harmed_clips(before, Harmed("flicker", share), NAMES)
    lost = (after == 0).all(dim=-1)[:, :, 0]
    assert lost.float().mean().item() == pytest.approx(share, abs=0.01)
    assert lost.float().mean(dim=(0, 1)).sub(share).abs().max() < 0.06
    assert lost.float().mean(dim=(0, 2)).sub(share).abs().max() < 0.06
    together = (lost[:, 1:] & lost[:, :-1]).float().mean().item()
    assert together == pytest.approx(share**2, abs=0.01), "whoever is lost in a frame may be there in the next"
    kept = ~(after == 0)
    assert torch.equal(after[kept], before[kept])


def test_noise_is_as_strong_as_told_and_makes_no_body_of_one_that_is_absent():
    before = clips()
    added = harmed_clips(before, Harmed("noise", 0.03), NAMES) - before
    assert added[:, :, 0].std().item() == pytest.approx(0.03, rel=0.01)
    assert added[:, :, 0].mean().abs().item() < 1e-4
    assert not added[0::2, :, 1].any()
    assert added[1::2, :, 1].std().item() == pytest.approx(0.03, rel=0.01)
    frames = added[:, :, 0].flatten(2)
    assert (frames[:, 1:] * frames[:, :-1]).mean().item() / 0.03**2 == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("every", [2, 3, 4, 7, 100])
@pytest.mark.parametrize("frames", [1, 8, 13])
def test_between_the_frames_that_are_kept_are_straight_lines(every, frames):
    before = clips(4, frames).double()
    after = harmed_clips(before, Harmed("every", float(every)), NAMES[:4])
    kept = np.arange(0, frames, every)
    for place in np.ndindex(4, 2, 25, 3):
        clip, *rest = place
        values = before[(clip, slice(None), *rest)].numpy()
        expected = np.interp(np.arange(frames), kept, values[kept])  # after the last it stands still
        np.testing.assert_allclose(after[(clip, slice(None), *rest)].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("harm", harms_of(RobustnessSettings()), ids=lambda harm: harm.name)
def test_what_is_done_to_a_clip_follows_from_its_name_alone(harm):
    before = clips()
    all_of_them = harmed_clips(before, harm, NAMES)
    backwards = harmed_clips(before.flip(0), harm, NAMES[::-1]).flip(0)
    assert torch.equal(all_of_them, backwards)
    alone = harmed_clips(before[5:6], harm, NAMES[5:6])
    assert torch.equal(all_of_them[5:6], alone)
    assert not torch.equal(all_of_them, before)


@pytest.fixture
def bank(store):
    return ClipBank.of(store, "joint", 16, torch.device("cpu"))


def labelled(bank):
    label = bank.store.label.astype(np.int64)
    return (LabelledClips(bank, of, label[of], tuple(bank.store.classes)) for of in (TRAIN, TEST))


def test_clean_clips_come_to_what_the_tasks_of_clean_clips_say(bank):
    encoder = toy_encoder()
    head, found = evaluate_robustness(encoder, *labelled(bank), RobustnessSettings(), HEAD, seed=1)
    expected = linear(encoder, bank, TRAIN, TEST, 3, HEAD, 1, "cached")
    assert found.metrics["top1_clean"] == expected.metrics["top1"]
    assert found.metrics["nearest_top1_clean"] == retrieval(encoder, bank, TRAIN, TEST).metrics["top1"]
    harmed = [found.metrics[f"top1_{harm.name}"] for harm in harms_of(RobustnessSettings())]
    assert len(harmed) == 8
    assert found.metrics["top1_harmed"] == pytest.approx(np.mean(harmed))
    assert found.metrics["delta"] == pytest.approx(found.metrics["top1_clean"] - np.mean(harmed))
    assert head.classes == tuple(bank.store.classes)


def test_a_joint_that_flickers_does_not_leap_to_the_origin_and_back(bank):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(2, 25, hidden_size=6, layers=1, pooling="mean", input_features=("motion",)).eval()
    harm = Harmed("flicker", 0.1)
    found = harmed_features(encoder, bank, TEST, harm)
    clips = bank.centre(torch.from_numpy(TEST))
    worse = harmed_clips(clips, harm, [str(bank.store.ids[clip]) for clip in TEST])
    lost = (worse == 0).all(dim=-1) & (clips != 0).any(dim=-1)
    with torch.no_grad():
        (frames,) = encoder.encode_views(encoder.build_inputs(clips, lost))
        torch.testing.assert_close(found, encoder.readout.finish(encoder.pool(frames)))
        torch.testing.assert_close(harmed_features(encoder, bank, TEST, harm, jumps=True), encoder.embed(worse))
    clean = harmed_features(encoder, bank, TEST, None)
    away, leapt = ((harmed_features(encoder, bank, TEST, harm, jumps) - clean).norm() for jumps in (False, True))
    assert away < leapt / 2


@pytest.mark.parametrize("harm", harms_of(RobustnessSettings()), ids=lambda harm: harm.name)
def test_harm_is_done_to_the_joints_before_the_stream_is_taken(store, harm):
    bones, joints = (ClipBank.of(store, name, 16, torch.device("cpu")) for name in ("bone", "joint"))
    raw = RawCoordinates(16, 2, 25, 3)
    found = harmed_features(raw, bones, TEST, harm)
    worse = harmed_clips(joints.centre(torch.from_numpy(TEST)), harm, [str(store.ids[clip]) for clip in TEST])
    gaps = harm.kind in ("joints", "flicker")
    assert torch.equal(found, raw.embed(stream(worse, "bone", store.layout, gaps)))
    assert not torch.equal(found, harmed_features(raw, bones, TEST, None))


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"joints": [0.0]}, "between 0 and 1"),
        ({"flicker": [1.0]}, "between 0 and 1"),
        ({"noise": [-0.01]}, "metres"),
        ({"every": [1]}, "from 2 to 100"),
        ({"joints": [], "flicker": [], "noise": [], "every": []}, "something to be done"),
    ],
    ids=str,
)
def test_strengths_that_make_no_sense_are_refused(values, word):
    with pytest.raises(ConfigError, match=word):
        RobustnessSettings(**values).check()


def test_the_command_tells_each_harm_and_draws_it(cli, finished_path, store_path, tmp_path):
    asked = ["evaluate", "robustness", "--model", finished_path, "--store", store_path, "--protocol", "xsub"]
    found = cli(*asked, "--seeds", 1, "--robustness.every", "[2]", "--head.epochs", 2, "--head.drop_epochs", "[1]",
                "--out", tmp_path)  # fmt: skip
    assert found.code == 0, found.err
    for head in ("clean %", "mean of what follows %", "30 % of joints lost", "10 % flickers", "noise of 3 cm"):
        assert head in found.out
    assert "one frame of 2" in found.out
    assert "one frame of 4" not in found.out
    assert (tmp_path / "robustness-xsub-clips.png").stat().st_size > 5000
    assert cli(*asked, "--robustness.noise", "[2]").code == 2


def test_the_picture_shows_a_line_for_each_harm(store, tmp_path):
    from PIL import Image

    heights = []
    for noise in ([0.01], [0.01, 0.03]):
        harmed_picture(store, [0], 16, tmp_path / "a.png", RobustnessSettings([], [], noise, []))
        with Image.open(tmp_path / "a.png") as picture:
            heights.append(picture.height)
    assert heights[1] > heights[0] * 1.3
