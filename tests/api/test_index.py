"""Search: whole clips by cosine, motions inside recordings, the index on disk."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers
from safetensors.torch import load_file, save_file

import pcm3
from pcm3.api.index import Index, Match, _windows, facing_forward
from pcm3.checksums import with_checksum
from pcm3.data.own_recordings import PreparedRecordings
from pcm3.data.recording import Recording
from pcm3.encoders.files import save_encoder, tensors_checksum
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import CheckpointError, ConfigError, DataError
from pcm3.skeleton import load_layout

KINECT1 = load_layout("kinect_v1")
FED = {"frames": 16, "fps": 30.0, "normalised": True, "rule": "upright"}


def model_of(folder, seed=3):
    spec = EncoderSpec(KINECT1, 1, 12, 1, "bidirectional", "mean", "joint", **FED)
    save_encoder(folder, spec.build(seed), spec)
    return pcm3.load(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_of(tmp_path_factory.mktemp("models") / "model")


def turned(clip, degrees):
    """About the vertical, y."""
    angle = np.deg2rad(degrees)
    about = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]], np.float32)
    return clip @ about


def waving(frames=40):
    """Somebody whose arms go round."""
    clip = np.repeat(walkers(0, 1, 1, 20), frames, axis=0)
    time = np.linspace(0, 2 * np.pi, frames, dtype=np.float32)
    clip[:, 0, 4:12, 1] += 0.4 * np.sin(time)[:, None]
    return clip


def recording_with(motion, start, frames=400):
    """Somebody who stands still, but for a motion from a frame on, turned to one side."""
    still = np.repeat(turned(motion[:1], 70), frames, axis=0)
    still[start : start + len(motion)] = turned(motion, 70)
    return still


def test_a_motion_is_found_where_it_occurs(model):
    motion = waving()
    places = [40, 200, 317]
    long = [recording_with(motion, start) for start in places]
    index = model.index(long, window=40 / 30)
    matches = index.search(motion, k=3)
    assert sorted(match.id for match in matches) == ["clip 0", "clip 1", "clip 2"]
    for match in matches:
        start = places[int(match.id.split()[1])] / 30
        assert abs(match.start - start) <= 5 / 30 + 1e-6, "half the hop between windows"
        assert match.stop - match.start == pytest.approx(40 / 30)
        assert 0.9 < match.score <= 1.001


def test_whole_clips_are_ranked_by_the_cosine_of_their_features(model):
    clips = [walkers(k, 40 + k, 1, 20) for k in range(7)]
    index = model.index(clips)
    assert index.window == 0
    matches = index.search(clips[4], k=7)
    assert (matches[0].id, matches[0].start, matches[0].stop) == ("clip 4", 0.0, pytest.approx(44 / 30))
    assert matches[0].score == pytest.approx(1, abs=1e-3)
    rows = index.rows.double()
    cosines = torch.cosine_similarity(rows, rows[4], dim=1)
    assert [match.id for match in matches] == [f"clip {k}" for k in cosines.argsort(descending=True).tolist()]


def test_the_likest_clip_to_each_clip_is_itself_however_near_the_others_are(model):
    clip = walkers(0, 40, 1, 20)
    near = [clip + np.float32(0.002 * k) * walkers(k + 1, 40, 1, 20) for k in range(30)]
    index = model.index(near)
    for row in range(len(near)):
        scores = {match.id: match.score for match in index.nearest(index.rows[[row]], len(near))}
        assert scores[f"clip {row}"] == pytest.approx(1, abs=1e-6)
        assert scores[f"clip {row}"] >= max(scores.values()) - 1e-6


def test_matches_that_overlap_are_one(model):
    index = model.index([recording_with(waving(), 100)], window=1.0)
    matches = index.search(waving(), k=8)
    for place, one in enumerate(matches):
        for other in matches[:place]:
            assert min(one.stop, other.stop) - max(one.start, other.start) <= 0.3 + 1e-6
    assert [match.score for match in matches] == sorted((match.score for match in matches), reverse=True)


@pytest.mark.parametrize(("lengths", "window"), [([100, 10, 31], 1.0), ([30], 1.0), ([7, 8], 0.05), ([64], 0.5)])
def test_windows_cover_every_frame_and_stay_inside(lengths, window):
    made = [Recording(f"r{k}", walkers(k, frames, 1, 20), intervals=()) for k, frames in enumerate(lengths)]
    store = PreparedRecordings.of(made, KINECT1, 30.0).in_memory("given")[0].recordings
    recording, start, length = _windows(store, window)
    for number, frames in enumerate(lengths):
        mine = recording == number
        covered = np.zeros(frames, bool)
        for begin, size in zip(start[mine], length[mine], strict=True):
            assert size == min(round(window * 30), frames)
            assert 0 <= begin <= frames - size
            covered[begin : begin + size] = True
        assert covered.all()
        assert len(set(start[mine].tolist())) == mine.sum()


@given(degrees=st.floats(-180, 180), seed=st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_stretches_are_turned_to_face_forward_however_they_were_turned(degrees, seed):
    angle = np.deg2rad(degrees)
    about = torch.tensor([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]]).float()
    clips = torch.randn((3, 5, 2, 20, 3), generator=torch.Generator().manual_seed(seed))
    forward = facing_forward(clips, KINECT1)
    torch.testing.assert_close(facing_forward(clips @ about, KINECT1), forward, atol=1e-4, rtol=1e-4)
    left, right = KINECT1.across
    way = forward[:, 0, 0, right] - forward[:, 0, 0, left]
    assert (way[:, 0] > 0).all()
    torch.testing.assert_close(way[:, 1], torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(forward.norm(dim=-1), clips.norm(dim=-1))


def test_whose_shoulders_are_not_there_stays_as_it_is():
    clips = torch.randn((1, 5, 1, 20, 3))
    clips[:, :, :, list(KINECT1.across)] = 0
    torch.testing.assert_close(facing_forward(clips, KINECT1), clips)
    clips = torch.randn((1, 5, 1, 20, 3))
    late = clips.clone()
    late[:, :2] = 0  # nobody is there yet
    torch.testing.assert_close(facing_forward(late, KINECT1)[:, 2:], facing_forward(clips[:, 2:], KINECT1))


def test_an_index_on_disk_finds_the_same(model, tmp_path):
    index = model.index([recording_with(waving(), 100), recording_with(waving(), 30)], window=1.0)
    index.save(tmp_path / "index")
    again = Index.load(tmp_path / "index", model)
    assert again.search(waving(), 5) == index.search(waving(), 5)
    assert isinstance(again.search(waving(), 1)[0], Match)
    other = model_of(tmp_path / "other", seed=4)
    with pytest.raises(CheckpointError, match="was made with another model"):
        Index.load(tmp_path / "index", other)


@pytest.mark.parametrize("harm", ["cut", "ids", "newer", "none"])
def test_a_damaged_index_is_refused_in_one_line(model, tmp_path, harm):
    folder = tmp_path / "index"
    model.index([waving(), waving(50)]).save(folder)
    text = json.loads((folder / "index.json").read_text())
    if harm == "cut":
        (folder / "index.safetensors").write_bytes((folder / "index.safetensors").read_bytes()[:-3])
    elif harm == "none":
        (folder / "index.safetensors").unlink()
    else:
        text |= {"format": 9} if harm == "newer" else {"ids": ["a"]}
        text = {name: value for name, value in text.items() if name != "checksum"}
        (folder / "index.json").write_text(json.dumps(with_checksum(text)))
    with pytest.raises(CheckpointError) as error:
        Index.load(folder, model)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


def test_what_cannot_be_searched(model):
    with pytest.raises(ConfigError, match="setting window: expected seconds"):
        model.index([waving()], window=0.0)
    index = model.index([waving()])
    with pytest.raises(ConfigError, match="setting k: expected at least 1, got 0"):
        index.search(waving(), 0)
    with pytest.raises(DataError, match="query: expected one clip, got 2"):
        index.search([waving(), waving()])
    assert len(index.search(waving(), 10)) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recording", torch.tensor([0, -1])),
        ("recording", torch.tensor([0.0, 1.0])),
        ("rows", torch.zeros(2, 5, dtype=torch.float16)),
        ("rows", torch.full((2, 12), torch.nan, dtype=torch.float16)),
        ("start", torch.tensor([0.0, torch.nan], dtype=torch.float64)),
        ("ids", ["a", "\x1b[31m"]),
        ("ids", "ab"),
        ("window", -1),
    ],
)
def test_a_forged_index_is_refused(model, tmp_path, name, value):
    model.index([waving(), waving(50)]).save(tmp_path)
    tensors, text = load_file(tmp_path / "index.safetensors"), json.loads((tmp_path / "index.json").read_text())
    (tensors if isinstance(value, torch.Tensor) else text)[name] = value
    save_file(tensors, tmp_path / "index.safetensors")
    text["tensors"] = tensors_checksum(tensors)
    (tmp_path / "index.json").write_text(json.dumps(with_checksum(text)))
    with pytest.raises(CheckpointError, match="damaged"):
        Index.load(tmp_path, model)


def test_a_cosine_is_at_most_1(model):
    clips = [waving(30 + k) for k in range(8)]
    index = model.index(clips)
    assert all(index.search(clip, 1)[0].score <= 1 for clip in clips)
