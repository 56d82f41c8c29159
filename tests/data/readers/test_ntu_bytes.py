"""The quick reader of ``.skeleton`` files against the one that goes line by line: the same from any bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_file_text import REST, skeleton_text, walkers

from pcm3.data.readers.ntu import parse
from pcm3.data.readers.ntu_bytes import read_bytes
from pcm3.data.readers.ntu_lines import read_lines
from pcm3.errors import DataError
from pcm3.simulate import simulate

NAME = "S001C002P003R002A013.skeleton"
GOOD = skeleton_text(walkers(3, 4, 2)).encode()


def outcome(read, data):
    """The bodies as bytes, or the error."""
    try:
        bodies = read(NAME, data)
    except DataError as error:
        return str(error)
    return None if bodies is None else (bodies.frames, *(part(bodies) for part in PARTS))


PARTS = [
    lambda bodies, name=name: (getattr(bodies, name).shape, getattr(bodies, name).tobytes())
    for name in ("frame", "slot", "line", "points")
]


def assert_agree(data):
    """What both readers say, and whether the quick one said it: it may leave a file to the other."""
    quick, careful = outcome(read_bytes, data), outcome(read_lines, data)
    assert quick is None or quick == careful
    return careful, quick is not None


def test_simulated_recordings_are_read_quickly_and_to_the_bit(tmp_path):
    simulate(tmp_path, subjects=1, repetitions=1, cameras=1)
    files = sorted(tmp_path.glob("*.skeleton"))
    assert len(files) >= 20
    for file in files:
        bodies, quickly = assert_agree(file.read_bytes())
        assert quickly, file.name
        assert bodies[0] > 0


def edited(frames, **changes):
    """A file whose lines are changed: the number of a line, from 1, as ``line9`` → its new text."""
    lines = skeleton_text(frames).split("\n")
    for line, text in changes.items():
        lines[int(line.removeprefix("line")) - 1] = text
    return "\n".join(lines).encode()


def with_gaps():
    """Frames of nobody at the start, in the middle and at the end, and one of six."""
    frames = walkers(5, 9, 6)
    frames[[0, 4, 8]] = 0
    frames[1:4, 1:] = 0
    frames[5:7, 2:] = 0
    return skeleton_text(frames).encode()


def mixed_line_ends():
    return b"".join(line + (b"\r\n" if n % 3 else b"\n") for n, line in enumerate(GOOD.splitlines()))


QUICK = {
    "as written": GOOD,
    "CR LF": GOOD.replace(b"\n", b"\r\n"),
    "mixed line ends": mixed_line_ends(),
    "NaN in unused columns": skeleton_text(walkers(2, 3), rest="NaN NaN NaN NaN 0 0 0 0 1").encode(),
    "frames without bodies, and six bodies": with_gaps(),
    "no bodies at all": b"3\n0\n0\n0\n",
    "no frames": b"0\n",
    "empty lines at the end": GOOD + b"\r\n\n  \n\t\n",
    "no line end at the end": GOOD.rstrip(),
    "an exponent": edited(walkers(3, 2), line7=f"9.5e-05 -1.2E-05 3 {REST}"),
    "whole numbers and long ones": edited(walkers(3, 2), line8=f"1 -2 0.123456789012345678901234567890 {REST}"),
    "zeros before a count": GOOD.replace(b"4\n2\n", b"004\n02\n", 1),
    "ten metres and more": edited(walkers(3, 2), line8=f"10.5 -999.99 +3 {REST}"),
}
SLOWLY = {
    "tabs": GOOD.replace(b" ", b"\t"),
    "two spaces": GOOD.replace(b" ", b"  ", 40),
    "space at the end of a line": GOOD.replace(b"\n", b" \n", 40),
    "space at the start of a line": GOOD.replace(b"\n", b"\n ", 40),
    "old line ends": GOOD.replace(b"\n", b"\r"),
}
WRONG = {
    "a lone CR in a line": GOOD.replace(b" 282.1 ", b" 28\r.1 ", 1),
    "a lone CR between two numbers": GOOD.replace(b" 282.1 ", b"\r282.1 ", 1),
    "an empty last column before CR LF": GOOD.replace(b" 2\n", b" \r\n", 9),
    "24 joints and 25 lines": GOOD.replace(b"\n25\n", b"\n24\n", 1),
    "a count of odd bytes that come to two": GOOD.replace(b"\n2\n", b"\n*\xce\n", 1),
    "an empty line at the start": b"\n" + GOOD,
    "numbers before the first line": b"1 2 3\n" + GOOD,
    "numbers after the last line": GOOD + b"1 2 3 4 5 6 7 8 9 10\n",
    "025 joints": GOOD.replace(b"\n25\n", b"\n025\n", 1),
    "no number in x": edited(walkers(3, 2), line9=f"none 1.0 2.0 {REST}"),
    "11 columns and 13 in the next line": edited(walkers(3, 2), line9="1.5 " * 10 + "1", line10="1.5 " * 12 + "1"),
    "far away": edited(walkers(3, 2), line9=f"1.0 1000.5 2.0 {REST}"),
    "no number": edited(walkers(3, 2), line20=f"1.0 0.5 1.2.3 {REST}", line9=f"1e-1 0.5 1_0 {REST}"),
    "underscore behind the point": edited(walkers(3, 2), line9=f"1.0 0.5_1 2.0 {REST}"),
    "a body before the first frame": b"1\n" + b"".join(GOOD.splitlines(keepends=True)[2:29]) + b"0\n",
    "nothing": b"",
    "only zeros": bytes(1000),
    "only spaces": b" " * 1000,
    "only line ends": b"\r\n" * 500,
}


@pytest.mark.parametrize("data", QUICK.values(), ids=QUICK)
def test_what_the_recorder_writes_and_its_traps_are_read_quickly(data):
    assert assert_agree(data)[1]
    assert np.isfinite(parse(NAME, data).frames).all()


@pytest.mark.parametrize("data", SLOWLY.values(), ids=SLOWLY)
def test_other_forms_are_left_to_the_careful_reader(data):
    bodies, quickly = assert_agree(data)
    assert not quickly
    assert bodies[1:] == outcome(read_lines, GOOD)[1:]
    assert parse(NAME, data).frames.tobytes() == parse(NAME, GOOD).frames.tobytes()


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_mistakes_are_told_in_the_same_words(data):
    told, _ = assert_agree(data)
    with pytest.raises(DataError, match=f"{NAME}: line") as caught:
        parse(NAME, data)
    assert str(caught.value) == told


ODD = b"0123456789.-+eE \t\r\n\x00\x0b\x0c\x1fNa_\xff"


def damaged(data, random):
    """The bytes after one to three accidents: a byte changed, a piece cut off, taken out, doubled or put in."""
    for _ in range(random.integers(1, 4)):
        start = int(random.integers(len(data) + 1))
        stop = start + int(random.integers(1, random.choice([2, 8, 200])))
        odd = bytes(random.choice(list(ODD), random.integers(1, 4)).astype(np.uint8))
        match int(random.integers(6)):
            case 0 | 1:
                data = data[:start] + odd[:1] + data[start + 1 :]
            case 2:
                data = data[:start] + odd + data[start:]
            case 3:
                data = data[:start] + data[stop:]
            case 4:
                data = data[:stop] + data[start:]
            case 5:
                data = data[: max(start, len(data) // 2)]
    return data


@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.soak)])
def test_many_damaged_files_are_read_alike_or_refused_alike(count):
    random = np.random.default_rng(11)
    files = [GOOD, GOOD.replace(b"\n", b"\r\n"), mixed_line_ends(), with_gaps(), skeleton_text(walkers(0, 1)).encode()]
    read, read_quickly, refused = 0, 0, 0
    for number in range(count):
        told, quickly = assert_agree(damaged(files[number % len(files)], random))
        if isinstance(told, str):
            refused += 1
            assert told.startswith(f"{NAME}: line ")
        else:
            read += 1
            read_quickly += quickly
    assert refused > count / 4
    assert read > read_quickly > count / 8


BODY = "72057594037931101 0 1 1 1 1 0 0.02764709 0.05745083 2"
JOINT = f"0.25 -1.5 3.125 {REST}"
BLOCKS = ["0", "1", "2", "3", "25", BODY, JOINT, "\n".join([JOINT] * 25), "\n".join([BODY, "25", *[JOINT] * 25])]


@settings(max_examples=400, deadline=None)
@given(blocks=st.lists(st.sampled_from(BLOCKS), max_size=12))
def test_lines_in_any_order_are_read_alike(blocks):
    assert_agree("\n".join(blocks).encode())


@settings(max_examples=50, deadline=None)
@given(
    numbers=st.lists(st.floats(-999, 999) | st.floats(-9, 9) | st.floats(-1e-3, 1e-3), min_size=75, max_size=75),
    form=st.sampled_from(["%.7g", "%.7f", "%r", "%.3e", "%.12g"]),
)
def test_any_coordinates_are_read_as_by_float(numbers, form):
    fields = np.array([form % number for number in numbers]).reshape(25, 3)
    lines = ["1", "1", BODY, "25", *(f"{x} {y} {z} {REST}" for x, y, z in fields)]
    bodies = read_bytes(NAME, "\n".join(lines).encode())
    assert bodies.points.tobytes() == np.array([float(form % number) for number in numbers]).tobytes()
