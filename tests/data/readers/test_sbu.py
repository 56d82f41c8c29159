"""SBU Kinect Interaction: files that tests write in its form."""

import re
import time
import zipfile

import numpy as np
import pytest
from damage import damage
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import walkers

from pcm3.data.importer import import_recordings
from pcm3.data.protocol import split
from pcm3.data.readers import sbu
from pcm3.data.readers.class_names import class_names
from pcm3.data.source_index import Options
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

LAYOUT = load_layout("sbu15")


def text(frames, first=55):
    """The file of a clip (T, 2, 15, 3) in metres, normalised by the README's formulas turned round, with CRLF."""
    x, y, z = 1000 * np.moveaxis(frames.astype(np.float64), -1, 0)
    written = np.stack([(1280 - x) / 2560, (960 - y) / 1920, z * 7.8125 / 10000], axis=-1)
    rows = written.reshape(len(frames), -1)
    return "".join(f"{first + t}," + ",".join(f"{value:.7g}" for value in row) + "\r\n" for t, row in enumerate(rows))


def pair(seed, frames=4):
    return walkers(seed, frames, 2, joints=15)


def write(folder, place, frames):
    file = folder / place / sbu.FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text(frames).encode())


def read(source):
    return sbu.index(source, Options())


def test_a_clip_is_two_bodies_in_metres_with_pair_and_action_from_its_path(tmp_path):
    write(tmp_path, "SBU/s03s04/08/002", pair(1))
    index = read(tmp_path)
    (clip,) = index.clips
    recording = clip.read()
    assert (recording.id, recording.setup, recording.subject) == ("s03s04-08-002", 9, -1)
    assert class_names("sbu")[recording.label] == "punch"
    np.testing.assert_allclose(recording.frames, pair(1), atol=2e-6)
    assert (index.skipped, index.unusable) == ([], [])


def test_coordinates_follow_the_authors_formulas_in_metres():
    row = ",".join(["7", "0.25,0.75,1.5625"] * 1 + ["0.5,0.5,7.8125"] * 29)
    points = sbu.parse("x", row.encode())[0, 0]
    np.testing.assert_allclose(points[0], [0.64, -0.48, 2.0], rtol=1e-6)
    np.testing.assert_allclose(points[1], [0, 0, 10], atol=1e-6)


def test_a_joint_that_is_written_as_zeros_is_absent():
    row = ",".join(["7"] + ["0,0,0"] * 15 + ["0.5,0.5,1"] * 15)
    frames = sbu.parse("x", row.encode())
    assert not frames[:, 0].any()
    assert frames[:, 1].any(axis=-1).all()


def test_zips_of_single_sets_and_unpacked_folders_are_the_same(tmp_path):
    for number, place in enumerate(("s01s02/01/001", "s01s02/05/001", "s07s03/02/002")):
        write(tmp_path / "folder", place, pair(number))
    (tmp_path / "zips").mkdir()
    with zipfile.ZipFile(tmp_path / "zips" / "s01s02.zip", "w") as archive:
        for place in ("01/001", "05/001"):  # the set is told by the zip's name alone
            archive.write(tmp_path / "folder" / "s01s02" / place / sbu.FILE, f"{place}/{sbu.FILE}")
        archive.writestr("01/001/rgb_000001.png", b"picture")
    with zipfile.ZipFile(tmp_path / "zips" / "s07s03.zip", "w") as archive:
        archive.write(tmp_path / "folder/s07s03/02/002" / sbu.FILE, f"s07s03/02/002/{sbu.FILE}")
    folder, zips = read(tmp_path / "folder"), read(tmp_path / "zips")
    assert [clip.id for clip in folder.clips] == ["s01s02-01-001", "s01s02-05-001", "s07s03-02-002"]
    assert [clip.id for clip in zips.clips] == [clip.id for clip in folder.clips]
    for one, other in zip(folder.clips, zips.clips, strict=True):
        np.testing.assert_array_equal(one.read().frames, other.read().frames)


def test_each_fold_tests_on_pairs_of_its_own(tmp_path):
    for number, name in enumerate(sbu.PAIRS):
        write(tmp_path / "in", f"{name}/{1 + number % 8:02}/001", pair(number))
    import_recordings("sbu", tmp_path / "in", tmp_path / "s", progress=False, strict=True)
    store = ClipStore.open(tmp_path / "s")
    assert (len(store), store.layout.name, store.fps, store.frames.shape[1:]) == (21, "sbu15", 15.0, (2, 15, 3))
    tested = []
    for fold in range(1, 6):
        train, test = split(store, f"fold{fold}")
        assert len(train) + len(test) == 21
        tested += [store.ids[clip][:6] for clip in test]
        if fold == 2:
            assert [store.ids[clip][:6] for clip in test] == ["s02s03", "s02s07", "s03s05", "s05s03"]
    assert sorted(tested) == list(sbu.PAIRS)


def test_other_paths_copies_and_the_noisy_version_are_named(tmp_path):
    good = pair(0)
    for place in ("s01s02/01/001", "again/s01s02/01/001", "s01s05/01/001", "s01s02/09/001", "s01s02/1/001"):
        write(tmp_path, place, good)
    write(tmp_path, "s01s02_noisy/s01s02/01/002", good)
    write(tmp_path, "s01s03_noisy/01/002", good)
    index = read(tmp_path)
    assert len(index.clips) == 1
    assert [reason for _, reason in index.skipped] == ["of the noisy version"] * 2
    reasons = {file[len(str(tmp_path)) + 1 : -len(sbu.FILE) - 1]: reason for file, reason in index.unusable}
    assert reasons.pop("s01s02/01/001").startswith("the id 's01s02-01-001' is taken by")
    assert reasons == {
        "s01s05/01/001": "skeleton_pos.txt: s01s05 is not one of the 21 pairs",
        "s01s02/09/001": "skeleton_pos.txt: expected an action from 01 to 08, got 09",
        "s01s02/1/001": "skeleton_pos.txt: expected a path like sXXsYY/CC/NNN/skeleton_pos.txt, "
        "got s01s02/1/001/skeleton_pos.txt",
    }


def test_the_layout_is_whole():
    assert (len(LAYOUT.joints), LAYOUT.joints[LAYOUT.centre], LAYOUT.joints[LAYOUT.root]) == (15, "torso", "torso")
    for left, right in LAYOUT.mirror:
        assert LAYOUT.joints[left].removeprefix("left_") == LAYOUT.joints[right].removeprefix("right_")
        parents = [
            LAYOUT.joints[LAYOUT.parents[side]].removeprefix(name)
            for side, name in ((left, "left_"), (right, "right_"))
        ]
        assert parents[0] == parents[1]


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=9),
    frames=st.integers(1, 5),
    form=st.sampled_from(["{:.5g}", "{!r}", " {:f}"]),
    newline=st.sampled_from(["\n", "\r\n", " \n"]),
)
def test_reads_what_a_line_by_line_reader_reads(values, frames, form, newline):
    numbers = np.resize(np.array(values), (frames, 90))
    written = newline.join(f"{t}," + ",".join(form.format(float(v)) for v in row) for t, row in enumerate(numbers))
    expected = np.zeros((frames, 2, 15, 3))
    for t, line in enumerate(written.split("\n")):
        fields = [float(field) for field in line.split(",")[1:]]
        for joint in range(30):
            x, y, z = fields[3 * joint : 3 * joint + 3]
            if (x, y, z) != (0, 0, 0):
                millimetres = (1280 - 2560 * x, 960 - 1920 * y, z * 10000 / 7.8125)
                expected[t, joint // 15, joint % 15] = np.array(millimetres) / 1000
    np.testing.assert_allclose(sbu.parse("x", (written + newline).encode()), expected, rtol=1e-6, atol=1e-6)


GOOD = text(pair(2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: expected a frame number and 90 coordinates, got the end of the file"),
        (GOOD[:-40], "line 3: expected a frame number and 90 coordinates"),
        (GOOD.replace("\r\n", ",1\r\n", 1), "line 1: expected a frame number and 90 coordinates"),
        (GOOD.replace("\n", "\n\n", 1), "line 2: expected a frame number and 90 coordinates, got ''"),
        (GOOD.replace("55,", "x,", 1), "line 1: expected a frame number"),
        (GOOD.replace("\n57,", "\n56,"), "line 3: expected rising frame numbers, got 56"),
        (re.sub(r"\n56,[^,]*", r"\n56,none", GOOD), "line 2: expected x, y, z .* got 'none"),
        (",".join(["1", *["640,480,2000"] * 30]), "line 1: expected x, y, z"),
        (",".join(["1", *["640,480,900"] * 30]), "line 1: expected x, y, z normalised, .* got '640,480,900'"),
        (",".join(["1", "0.5,x,0.5", *["0.5,0.5,1"] * 29]), "line 1: expected x, y, z .* got '0.5 x 0.5'"),
    ],
)
def test_each_mistake_is_told_with_its_line(content, message):
    with pytest.raises(DataError, match=message) as caught:
        sbu.parse(sbu.FILE, content.encode())
    assert str(caught.value).startswith(f"{sbu.FILE}: line ")


def test_two_thousand_damaged_files_parse_or_say_file_and_line():
    random = np.random.default_rng(9)
    refused = []
    began = time.process_time()
    for _ in range(2000):
        try:
            assert np.abs(sbu.parse(sbu.FILE, damage(GOOD.encode(), random, 200, b","))).max() <= 1000
        except DataError as error:
            refused.append(str(error))
    assert 1000 < len(refused) < 2000
    assert [said for said in refused if not said.startswith(f"{sbu.FILE}: line ") or len(said) > 300] == []
    assert time.process_time() - began < 30
