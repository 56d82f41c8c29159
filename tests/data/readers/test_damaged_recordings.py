"""Files of the smaller data sets, damaged 2,000 times each: an error that names the file, or a whole recording."""

import json

import numpy as np
import pytest
from ntu_file_text import walkers

from pcm3.data.readers import msr_action3d, nw_ucla
from pcm3.data.readers.npz import index as npz_index
from pcm3.data.source_index import Options
from pcm3.errors import DataError

FRAMES = walkers(3, 5, 1, 20)[:, 0]


def msr_file():
    lines = [f"{x:.5f} {y:.5f} {z:.5f} 1.0" for frame in FRAMES for x, y, z in frame]
    return "a01_s01_e01_skeleton3D.txt", "\n".join(lines).encode()


def ucla_file():
    return "a01_s01_e00_v01.json", json.dumps({"skeletons": FRAMES.tolist()}).encode()


def damaged(whole, rng):
    """The bytes with a few changed, cut out, put in, repeated, or their end cut off."""
    data = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        place, size = int(rng.integers(len(data))), int(rng.integers(1, 40))
        what = int(rng.integers(5))
        if what == 0:
            data[place] = int(rng.integers(256))
        elif what == 1:
            del data[place : place + size]
        elif what == 2:
            data[place:place] = bytes(rng.integers(0, 256, size, dtype=np.uint8))
        elif what == 3:
            data[place:place] = data[max(place - size, 0) : place]
        else:
            del data[place:]
        if not data:
            break
    return bytes(data)


def tried(read):
    """What was read, or the one line that says why it cannot be."""
    try:
        return read(), ""
    except DataError as refusal:
        told = str(refusal)
    assert "\n" not in told
    return None, told


@pytest.mark.parametrize(
    ("parse", "file"), [(msr_action3d.parse, msr_file), (nw_ucla.parse, ucla_file)], ids=["msr", "ucla"]
)
def test_a_damaged_file_is_an_error_with_its_name_or_a_whole_recording(parse, file):
    name, whole = file()
    rng, refused = np.random.default_rng(0), 0
    assert np.isfinite(parse(name, whole).frames).all()
    for _ in range(2000):
        data = damaged(whole, rng)
        recording, error = tried(lambda data=data: parse(name, data))
        if error:
            refused += 1
            assert error.startswith(name)
        else:
            assert recording.frames.shape[1:] == (1, 20, 3)
            assert np.isfinite(recording.frames).all()
    assert refused > 500


@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.soak)])
def test_a_damaged_npz_is_an_error_with_its_name_or_whole_clips(tmp_path, count):
    file = tmp_path / "mine.npz"
    np.savez_compressed(file, frames=walkers(0, 12, 1, 20), length=np.array([5, 7]), layout="kinect_v1", label=[0, 1])
    whole, rng, refused = file.read_bytes(), np.random.default_rng(0), 0
    for _ in range(count):
        file.write_bytes(damaged(whole, rng))
        clips, error = tried(lambda: [clip.read() for clip in npz_index(file, Options()).clips])
        refused += bool(error)
        assert error or all(np.isfinite(clip.frames).all() for clip in clips)
    assert refused > count // 4
