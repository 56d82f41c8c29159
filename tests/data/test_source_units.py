"""What is no place in space is refused for what it looks like; what is odd but possible is told; metres are silent."""

import pickle

import numpy as np
import pytest
from ntu_field_forms import annotation, one_hot, write_agcn

from pcm3.data.importer import import_recordings, store_recordings
from pcm3.data.recording import Recording
from pcm3.data.source_units import check_units
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")
RANDOM = np.random.default_rng(0)


def people(seed=0, frames=40, bodies=1):
    """Somebody of kinect_v2's shape, 1.7 m tall, who sways before a camera: bones keep their lengths (T, M, V, 3)."""
    random = np.random.default_rng(seed)
    pose = random.normal(0, 0.1, (25, 3))
    pose[:, 1] = np.linspace(-0.85, 0.85, 25)[random.permutation(25)]
    angle = 0.5 * np.sin(np.linspace(0, 6, frames))
    turn = np.stack([np.cos(angle), 0 * angle, np.sin(angle), 0 * angle, 1 + 0 * angle, 0 * angle,
                     -np.sin(angle), 0 * angle, np.cos(angle)], -1).reshape(-1, 3, 3)  # fmt: skip
    way = np.linspace(0, 1, frames)[:, None, None] * np.array([0.4, 0, 0.3])
    moved = np.einsum("tij,vj->tvi", turn, pose) + way
    return np.repeat((moved + np.array([0, 0, 3]))[:, None], bodies, axis=1).astype(np.float32)


def pixels(seed=0, score=0.9, size=200.0):
    """The same as a detector gives it: pixels, and a score."""
    seen = people(seed)
    picture = 400 + size * seen[..., :2] / seen[..., 2:]
    return np.concatenate([picture, np.full_like(picture[..., :1], score)], -1).astype(np.float32)


def with_scores(seed, low=0.3, high=1.0):
    """Pixels whose scores differ."""
    made = pixels(seed)
    made[..., 2] = np.random.default_rng(seed).uniform(low, high, made.shape[:-1])
    return made


def in_a_picture(clip, centred):
    """Pixels as shares of a picture of 800 x 800."""
    made = clip / np.array([800, 800, 1], np.float32)
    return (made - np.array([0.5, 0.5, 0], np.float32) * centred).astype(np.float32)


REFUSED = {
    "pixels, one score": ([pixels(n) for n in range(3)], r"looks like \(pixel, pixel, confidence\): x from 3"),
    "pixels, scores": ([with_scores(n) for n in range(3)], r"looks like \(pixel, pixel, confidence\)"),
    "pixels, low scores": ([with_scores(n, 0.0, 0.4) for n in range(3)], r"looks like \(pixel, pixel, confidence\)"),
    "pixels, no third": ([pixels(n, 0) for n in range(3)], "looks like pixels in two dimensions"),
    "pixels, depth": (
        [pixels(n) * [1, 1, 0] + people(n) * [0, 0, 1] for n in range(3)],
        "beside a depth in another unit",
    ),
    "picture, scores": ([in_a_picture(with_scores(n), False) for n in range(3)], "positions in a picture, from 0 to 1"),
    "picture, low": ([in_a_picture(with_scores(n, 0, 0.5), False) for n in range(3)], "positions in a picture"),
    "centred, scores": (
        [in_a_picture(with_scores(n), True) for n in range(3)],
        "positions in a picture, from 0 to 1 or",
    ),
    "centred, one": ([in_a_picture(pixels(n, 1.0), True) for n in range(3)], "positions in a picture"),
}
TOLD = {
    "centimetres": (
        [people(n) * 100 for n in range(3)],
        "look like centimetres, and are taken for metres. Divide them by 100",
    ),
    "feet": ([people(n) * 3.3 for n in range(3)], "are the coordinates metres"),
    "tiny": ([people(n) / 100 for n in range(3)], "are the coordinates metres"),
    "flat": ([people(n) * [1, 1, 0] for n in range(3)], "The third coordinate is always 0"),
    "minus one": (
        [np.where(RANDOM.random((40, 1, 25, 1)) < 0.05, -1, people(n)) for n in range(3)],
        r"at \(-1, -1, -1\)",
    ),
    "99": ([np.where(RANDOM.random((40, 1, 25, 1)) < 0.05, 99, people(n)) for n in range(3)], r"at \(99, 99, 99\)"),
}
SILENT = {
    "metres": [people(n) for n in range(3)],
    "centred": [people(n) - people(n)[:, :, 1:2] for n in range(3)],
    "two": [people(n, bodies=2) for n in range(3)],
    "with absent joints": [np.where(RANDOM.random((40, 1, 25, 1)) < 0.3, 0, people(n)) for n in range(3)],
    "a hand": [people(n) * 0.1 for n in range(3)],
    "a hand in the unit cube": [people(n) * 0.1 + [0.3, 0.3, 0.1] for n in range(3)],
    "one frame": [people(n, 1) for n in range(3)],
    "noise": [RANDOM.normal(0, 0.4, (20, 1, 25, 3)) for n in range(3)],
    "uniform noise": [RANDOM.random((20, 1, 25, 3)) for n in range(3)],
    "nobody": [np.zeros((5, 1, 25, 3))],
    "nothing": [],
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_place_in_space_is_refused_for_what_it_looks_like(case):
    clips, message = REFUSED[case]
    with pytest.raises(DataError, match=message) as told:
        check_units("f.npy", [np.asarray(clip, np.float32) for clip in clips], KINECT)
    assert "f.npy: looks like" in str(told.value)
    assert "pcm3 needs three dimensions in metres" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("case", TOLD)
def test_what_is_odd_is_told(case):
    clips, message = TOLD[case]
    notes = check_units("f.npy", [np.asarray(clip, np.float32) for clip in clips], KINECT)
    assert len(notes) == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(notes[0])


@pytest.mark.parametrize("case", SILENT)
def test_metres_are_silent(case):
    assert check_units("f.npy", [np.asarray(clip, np.float32) for clip in SILENT[case]], KINECT) == []


def write_npz(folder, clips):
    frames = np.concatenate(clips)
    np.savez(folder / "f.npz", frames=frames, length=[len(clip) for clip in clips], layout="kinect_v2")
    return "npz", folder / "f.npz"


def write_agcn_folder(folder, clips):
    made = [clip.transpose(3, 0, 2, 1) for clip in clips]
    write_agcn(folder, "train", made, [f"v{n}" for n in range(len(clips))], [0] * len(clips))
    return "agcn", folder


def write_ctr(folder, clips):
    flat = np.stack([clip.reshape(len(clip), -1) for clip in clips])
    np.savez(folder / "f.npz", x_train=flat, y_train=one_hot([0] * len(clips)))
    return "ctrgcn", folder / "f.npz"


def write_pyskl(folder, clips):
    held = [annotation(f"v{n}", clip, 0, np.float32) for n, clip in enumerate(clips)]
    (folder / "f.pkl").write_bytes(pickle.dumps(held))
    return "pyskl", folder / "f.pkl"


@pytest.mark.parametrize("write", [write_npz, write_agcn_folder, write_ctr, write_pyskl])
def test_every_kind_of_array_is_looked_at_once_and_nothing_is_written(tmp_path, write):
    (tmp_path / "source").mkdir()
    kind, source = write(tmp_path / "source", [pixels(n) for n in range(3)])
    with pytest.raises(DataError, match=r"looks like \(pixel, pixel, confidence\)"):
        import_recordings(kind, source, tmp_path / "store", progress=False)
    assert [file.name for file in tmp_path.iterdir()] == ["source"]
    kind, source = write(tmp_path / "source", [people(n) * 100 for n in range(3)])
    report = import_recordings(kind, source, tmp_path / "store", progress=False)
    assert "look like centimetres" in report.notes[0]


def test_own_recordings_are_looked_at_too(tmp_path):
    made = (Recording(f"v{n}", pixels(n), 0) for n in range(30))
    with pytest.raises(DataError, match=r"looks like \(pixel, pixel, confidence\)"):
        store_recordings(made, tmp_path / "store", layout="kinect_v2", fps=30.0)
    assert list(tmp_path.iterdir()) == []
    made = (Recording(f"v{n}", (people(n) * 100).astype(np.float32), 0) for n in range(30))
    report = store_recordings(made, tmp_path / "store", layout="kinect_v2", fps=30.0)
    assert (report.clips, "look like centimetres" in report.notes[0]) == (30, True)
