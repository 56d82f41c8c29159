import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import REST, skeleton_text, walkers

from pcm3.data.readers import ntu
from pcm3.data.readers.class_names import class_names
from pcm3.data.source_index import Options
from pcm3.errors import DataError

NAME = "S001C002P003R002A013.skeleton"


def read_line_by_line(text):
    """The format as its documentation tells it, one line and one joint at a time."""
    lines = iter(text.split("\n"))
    frames = []
    for _ in range(int(next(lines))):
        bodies = []
        for _ in range(int(next(lines))):
            next(lines)
            bodies.append([[float(c) for c in next(lines).split()[:3]] for _ in range(int(next(lines)))])
        frames.append(bodies)
    clip = np.zeros((len(frames), max(1, min(4, max(map(len, frames), default=1))), 25, 3))
    for t, bodies in enumerate(frames):
        for m, body in enumerate(bodies[:4]):
            clip[t, m] = body
    return clip


def test_numbers_in_the_name_become_label_subject_camera_setup():
    recording = ntu.parse(NAME, skeleton_text(walkers(0, 3)).encode())
    assert (recording.id, recording.label) == ("S001C002P003R002A013", 12)
    assert (recording.setup, recording.camera, recording.subject) == (1, 2, 3)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bodies", [1, 2, 4])
def test_reads_what_a_line_by_line_reader_reads(newline, bodies):
    frames = walkers(bodies, 12, bodies)
    frames[3] = 0
    frames[5:8, 0] = 0
    text = skeleton_text(frames, newline)
    recording = ntu.parse(NAME, text.encode())
    np.testing.assert_array_equal(recording.frames, read_line_by_line(text.replace("\r", "")).astype(np.float32))
    assert recording.frames.dtype == np.float32


@settings(max_examples=30, deadline=None)
@given(present=st.lists(st.integers(0, 6), max_size=8), seed=st.integers(0, 99))
def test_any_number_of_bodies_a_frame_reads_like_the_slow_reader(present, seed):
    frames = walkers(seed, len(present), 6)
    for frame, bodies in zip(frames, present, strict=True):
        frame[bodies:] = 0
    text = skeleton_text(frames)
    np.testing.assert_array_equal(ntu.parse(NAME, text.encode()).frames, read_line_by_line(text).astype(np.float32))


def test_mixed_line_ends_tabs_and_empty_lines_at_the_end_are_fine():
    text = skeleton_text(walkers(1, 4, 2))
    lines = text.split("\n")
    mixed = "".join(line + ("\r\n" if i % 3 else "\n") for i, line in enumerate(lines[:-1])) + "\n\r\n"
    tabbed = mixed.replace(" ", "  ", 7000).replace("2 ", "2\t", 50)
    expected = ntu.parse(NAME, text.encode()).frames
    np.testing.assert_array_equal(ntu.parse(NAME, mixed.encode()).frames, expected)
    np.testing.assert_array_equal(ntu.parse(NAME, tabbed.encode()).frames, expected)


def test_a_joint_with_nan_is_absent_and_what_is_no_number_is_a_mistake():
    frames = walkers(0, 3)
    text = skeleton_text(frames)
    place = " ".join(f"{x:.7g}" for x in frames[1, 0, 4])
    read = ntu.parse(NAME, text.replace(place, place.split()[0] + " nan NaN").encode()).frames
    assert not read[1, 0, 4].any()
    kept = np.ones(frames.shape[:3], bool)
    kept[1, 0, 4] = False
    np.testing.assert_allclose(read[kept], frames[kept], atol=1e-6)
    with pytest.raises(DataError, match=r"expected x, y, z in metres, got '.* none none'"):
        ntu.parse(NAME, text.replace(place, place.split()[0] + " none none").encode())


def test_nan_in_the_depth_and_colour_columns_is_passed_over():
    frames = walkers(2, 3)
    text = skeleton_text(frames, rest="NaN NaN NaN NaN 0 0 0 0 1")
    np.testing.assert_allclose(ntu.parse(NAME, text.encode()).frames, frames, rtol=1e-6)


def test_a_recording_without_bodies_has_frames_and_no_skeleton():
    recording = ntu.parse(NAME, b"3\n0\n0\n0\n")
    assert recording.frames.shape == (3, 1, 25, 3)
    assert not recording.frames.any()


def change(text, line, to):
    lines = text.split("\n")
    lines[line - 1] = to
    return "\n".join(lines)


GOOD = skeleton_text(walkers(3, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the number of frames, got the end of the file"),
        ("\n", "line 1: expected the number of frames"),
        (change(GOOD, 1, "two"), "line 1: expected the number of frames, got 'two'"),
        (change(GOOD, 1, "-2"), "line 1: expected the number of frames, got '-2'"),
        (change(GOOD, 1, "3"), "line 58: expected the number of bodies in frame 3 of 3"),
        (change(GOOD, 1, "1"), "line 30: expected the end after 1 frames"),
        (change(GOOD, 1, "1000000000000"), "line 1: says 1000000000000 frames, but the file has only"),
        (change(GOOD, 1, "9" * 5000), "line 1: expected the number of frames, got '9999"),
        (change(GOOD, 2, "2"), "line 30: expected 10 numbers"),
        (change(GOOD, 2, "7777777"), "line 2: says 7777777 bodies, but only"),
        (change(GOOD, 2, "1.5"), "line 2: expected the number of bodies in frame 1 of 2, got '1.5'"),
        (change(GOOD, 3, "1 2 3"), "line 3: expected 10 numbers, got '1 2 3'"),
        (change(GOOD, 4, "24"), "line 4: expected 25 joints, got '24'"),
        (change(GOOD, 9, "0.1 0.2 0.3"), "line 9: expected 12 numbers for a joint, got '0.1 0.2 0.3'"),
        (change(GOOD, 9, "0.1 inf 0.3 " + "0 " * 8 + "2"), "line 9: expected x, y, z in metres, got '0.1 inf 0.3'"),
        (change(GOOD, 9, "0.1 x 0.3 " + "0 " * 8 + "2"), "line 9: expected x, y, z in metres, got '0.1 x 0.3'"),
        (change(GOOD, 9, "0.1 1e300 3 " + "0 " * 8 + "2"), "line 9: expected x, y, z in metres"),
        (change(GOOD, 9, "0.1 inf 3 " + "0 " * 8 + "2"), "line 9: expected x, y, z in metres"),
        (GOOD + "more\n", "line 58: expected the end after 2 frames, got 'more'"),
        (GOOD[: len(GOOD) // 2], "line 30: says 1 bodies|line 2: says|lines follow|got the end"),
    ],
)
def test_each_mistake_is_told_with_its_line(text, message):
    with pytest.raises(DataError, match=message) as caught:
        ntu.parse(NAME, text.encode())
    assert str(caught.value).startswith(NAME)


@pytest.mark.parametrize("name", ["a.skeleton", "S1C2P3R2A13.skeleton", "S001C002P003R002A013.skeleton.skeleton"])
def test_wrong_names_say_how_right_ones_look(name):
    with pytest.raises(DataError, match="SsssCcccPpppRrrrAaaa"):
        ntu.parse(name, GOOD.encode())


LINES = ["NaN", "1" + "0" * 12, "-1", "9" * 400, "\x00", "", "1e400", "２", "0x1", "1_0"]
FIELDS = ["NaN", "nan", "inf", "1e39", "1_0", "-", "", "٣", "1\x0b2", "1\x002"]


def damage(text, random):
    """The bytes of a file after one of the accidents that happen to files."""
    data = bytearray(text.encode())
    lines = text.split("\n")
    line = int(random.integers(len(lines) - 1))
    match int(random.integers(9)):
        case 0:
            return bytes(data[: random.integers(len(data))])
        case 1:
            for place in random.integers(0, len(data), random.integers(1, 20)):
                data[place] = random.integers(256)
            return bytes(data)
        case 2:
            lines[line] = random.choice(LINES)
        case 3:
            fields = lines[line].split(" ")
            fields[random.integers(len(fields))] = random.choice(FIELDS)
            lines[line] = " ".join(fields)
        case 4:
            del lines[line]
        case 5:
            lines.insert(line, lines[line])
        case 6:
            return text.replace("\n", "\r\n", int(random.integers(60))).encode()
        case 7:
            return bytes(random.integers(0, 256, random.integers(2000), dtype=np.uint8))
        case 8:
            lines[0 if random.random() < 0.5 else 1] = str(random.choice([0, 1, 2, 10**6, 10**12, 10**17, -5]))
    return "\n".join(lines).encode()


@pytest.mark.soak
def test_two_thousand_damaged_files_parse_or_say_file_and_line():
    random = np.random.default_rng(7)
    texts = [skeleton_text(walkers(seed, 4, 1 + seed % 3)) for seed in range(6)]
    refusals = []
    tracemalloc.start()
    began = time.process_time()
    for number in range(2000):
        data = damage(texts[number % len(texts)], random)
        try:
            recording = ntu.parse(NAME, data)
        except DataError as error:
            refusals.append(str(error))
        else:
            assert np.isfinite(recording.frames).all()
            assert np.abs(recording.frames).max(initial=0) <= 1000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20
    assert time.process_time() - began < 60
    assert 1000 < len(refusals) < 2000
    assert [text for text in refusals if not text.startswith(f"{NAME}: line ") or len(text) > 300] == []


def skeleton_text_of(frames):
    """A file with the bodies of each frame in the order given, as (id, joints (25, 3))."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for number, body in bodies:
            lines += [f"{number} 0 1 1 1 1 0 0.02764709 0.05745083 2", str(len(body))]
            lines += [f"{x:.7g} {y:.7g} {z:.7g} {REST}" for x, y, z in body]
    return "\n".join(lines) + "\n"


def people(seed, present):
    """Who is in each frame, as (id, joints), of as many people as a row of `present` has."""
    clip = walkers(seed, len(present), len(present[0]) if present else 1)
    ids = [72057594037927936 + 9973 * number for number in range(clip.shape[1])]
    frames = [[(ids[m], frame[m]) for m in np.flatnonzero(here)] for frame, here in zip(clip, present, strict=True)]
    return clip, frames


def test_bodies_that_swap_slots_stay_themselves_by_id():
    clip, frames = people(0, [[True, True]] * 8)
    swapped = [bodies[::-1] if 3 <= t < 6 else bodies for t, bodies in enumerate(frames)]
    data = skeleton_text_of(swapped).encode()
    np.testing.assert_allclose(ntu.parse(NAME, data, "id").frames, clip, rtol=1e-6)
    np.testing.assert_allclose(ntu.parse(NAME, data, "slot").frames[3:6], clip[3:6, ::-1], rtol=1e-6)
    np.testing.assert_array_equal(ntu.parse(NAME, data).frames, ntu.parse(NAME, data, "slot").frames)


@settings(max_examples=40, deadline=None)
@given(
    present=st.integers(1, 6).flatmap(
        lambda bodies: st.lists(st.lists(st.booleans(), min_size=bodies, max_size=bodies), min_size=1, max_size=8)
    ),
    seed=st.integers(0, 99),
)
def test_the_order_within_a_frame_is_nothing_to_ids(present, seed):
    _, frames = people(seed, present)
    random = np.random.default_rng(seed)
    shuffled = [[bodies[m] for m in random.permutation(len(bodies))] for bodies in frames]
    expected = ntu.parse(NAME, skeleton_text_of(frames).encode(), "id").frames
    np.testing.assert_array_equal(ntu.parse(NAME, skeleton_text_of(shuffled).encode(), "id").frames, expected)
    seen = sorted(
        (m for m in range(len(present[0])) if np.any([here[m] for here in present])), key=lambda m: first(present, m)
    )
    assert expected.shape[1] == max(len(seen), 1)
    for place, m in enumerate(seen):
        np.testing.assert_array_equal(expected[:, place].any(axis=(1, 2)), [here[m] for here in present])


def first(present, body):
    """The first frame with the body, and which it is: the order that ids get."""
    return [here[body] for here in present].index(True), body


def test_of_many_ids_those_in_most_frames_are_kept_by_first_frame():
    present = np.zeros((20, 11), bool)
    for m, length in enumerate([9, 1, 8, 7, 2, 6, 5, 4, 3, 10, 11]):
        present[m : m + length, m] = True
    clip, frames = people(1, present.tolist())
    kept = [0, 2, 3, 5, 6, 7, 9, 10]
    expected = np.where(present[..., None, None], clip, 0)[:, kept]
    read = ntu.parse(NAME, skeleton_text_of(frames).encode(), "id").frames
    assert read.shape == (20, ntu.IDS, 25, 3)
    np.testing.assert_allclose(read, expected, rtol=1e-6)


@pytest.mark.parametrize(("number", "line"), [("72057594037927936", 30), ("x7", 30), ("1.5", 30)])
def test_an_id_twice_in_a_frame_or_none_is_told_with_its_line(number, line):
    body = walkers(0, 1)[0, 0]
    data = skeleton_text_of([[(72057594037927936, body), (number, body)]]).encode()
    message = f"line {line}: expected a body id, once a frame, got '{number}'"
    with pytest.raises(DataError, match=message):
        ntu.parse(NAME, data, "id")
    assert ntu.parse(NAME, data).frames.shape[1] == 2


def test_contents_read_by_id_when_asked(tmp_path):
    _, frames = people(0, [[True, True]] * 4)
    file = tmp_path / "S001C001P001R001A001.skeleton"
    file.write_text(skeleton_text_of([bodies[::-1] if t % 2 else bodies for t, bodies in enumerate(frames)]))
    by_id, by_slot = (ntu.index_60(tmp_path, Options(track=track)).clips[0] for track in ("id", "slot"))
    np.testing.assert_array_equal(by_id.read().frames, ntu.parse(file.name, file.read_bytes(), "id").frames)
    np.testing.assert_array_equal(by_slot.read().frames, ntu.parse(file.name, file.read_bytes()).frames)
    assert not np.array_equal(by_id.read().frames, by_slot.read().frames)


def write(folder, names):
    for number, name in enumerate(names):
        (folder / name).write_text(skeleton_text(walkers(number, 3)))


def test_ntu60_leaves_out_actions_of_ntu120(tmp_path):
    write(tmp_path, ["S001C001P001R001A060.skeleton", "S001C001P001R001A061.skeleton"])
    sixty, all_of_them = ntu.index_60(tmp_path, Options()), ntu.index_120(tmp_path, Options())
    assert [clip.id for clip in sixty.clips] == ["S001C001P001R001A060"]
    assert [reason for _, reason in sixty.skipped] == ["action 61 is not one of the 60 classes"]
    assert (len(all_of_them.clips), all_of_them.skipped) == (2, [])


def test_files_with_other_names_are_unusable_and_named(tmp_path):
    write(tmp_path, ["S001C001P001R001A001.skeleton", "mine.skeleton"])
    index = ntu.index_60(tmp_path, Options())
    assert [file for file, _ in index.unusable] == [str(tmp_path / "mine.skeleton")]


def test_classes_txt_replaces_the_class_names(tmp_path):
    write(tmp_path, ["S001C001P001R001A002.skeleton", "S001C001P001R001A003.skeleton"])
    (tmp_path / "classes.txt").write_text("walk\nrun\n")
    index = ntu.index_60(tmp_path, Options())
    assert index.classes == ("walk", "run")
    assert [reason for _, reason in index.skipped] == ["action 3 is not one of the 2 classes"]


@pytest.mark.parametrize("data", [b"", b"walk\n\nrun\n", b"walk\nwalk\n", b"\xff\xfe"])
def test_a_classes_txt_that_names_no_classes_is_refused(tmp_path, data):
    write(tmp_path, ["S001C001P001R001A001.skeleton"])
    (tmp_path / "classes.txt").write_bytes(data)
    with pytest.raises(DataError, match=r"classes\.txt: expected one class name a line"):
        ntu.index_60(tmp_path, Options())


def test_class_names_are_120_different_ones():
    assert len(set(class_names("ntu"))) == len(class_names("ntu")) == 120
    classes = class_names("ntu")
    assert (classes[7], classes[49], classes[59], classes[98], classes[119]) == (
        "sit down", "punch", "walk apart", "run on the spot", "rock-paper-scissors",
    )  # fmt: skip


def test_protocol_lists_have_the_published_sizes():
    assert (len(ntu.TRAIN_SUBJECTS_60), len(ntu.TRAIN_SUBJECTS_120)) == (20, 53)


def test_protocol_lists_leave_the_published_subjects_to_test_on():
    tested = [3, 6, 7, 10, 11, 12, 20, 21, 22, 23, 24, 26, 29, 30, 32, 33, 36, 37, 39, 40]
    assert sorted({*range(1, 41)} - {*ntu.TRAIN_SUBJECTS_60}) == tested
    tested += [
        41, 42, 43, 44, 48, 51, *range(60, 70), 71, 72, 73, 75, 76, 77, 79, 87, 88, 90, 96, 99, 101, 102, 104, 105, 106,
    ]  # fmt: skip
    assert sorted({*range(1, 107)} - {*ntu.TRAIN_SUBJECTS_120}) == tested
