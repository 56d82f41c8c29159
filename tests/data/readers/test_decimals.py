import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.data.readers.decimals import DECIMALS, MARGIN, decimal_numbers, whole_numbers

USUAL = re.compile(rf"-?[0-9]\.[0-9]{{0,{DECIMALS}}}", re.ASCII)


def placed(fields):
    """The fields in one text with spaces between them, where each begins and ends."""
    text = b" ".join(fields)
    stop = np.cumsum([len(field) + 1 for field in fields], dtype=np.int64) - 1
    start = stop - np.array([len(field) for field in fields], np.int64)
    return text + b"7" * MARGIN, start, stop


def bits(number):
    return struct.pack("<d", number)


def assert_read_as_by_float(fields):
    numbers, valid = decimal_numbers(*placed(fields))
    usual = [USUAL.fullmatch(field.decode("latin-1")) is not None for field in fields]
    assert valid.tolist() == usual
    for field, number in zip(np.array(fields, object)[valid], numbers[valid], strict=True):
        assert bits(number) == bits(float(field)), field


FORMATS = ["%.7f", "%.7g", "%.0f", "%.1f", "%.9f", "%.12f", "%.13f", "%.14f", "%.17g", "%r", "%e", "%+.3f", " %.2f"]
numbers = st.floats(-11, 11) | st.floats(-1e-3, 1e-3) | st.floats()
written = st.builds(lambda number, form: (form % number).encode(), numbers, st.sampled_from(FORMATS))
scribbled = st.text("0123456789..--+eENan_x\0\x7f/:é", max_size=18).map(lambda text: text.encode("latin-1"))


@settings(max_examples=200, deadline=None)
@given(fields=st.lists(written | scribbled, min_size=1, max_size=30))
def test_usual_numbers_are_those_of_float_to_the_bit_and_others_are_told(fields):
    assert_read_as_by_float(fields)


@pytest.mark.parametrize("decimals", range(DECIMALS + 1))
def test_random_digits_are_read_as_by_float(decimals):
    random = np.random.default_rng(decimals)
    mantissas = random.integers(0, 10 ** (decimals + 1), 3000).tolist()
    signs = random.choice(["", "-"], 3000).tolist()
    text = [f"{n:0{decimals + 1}}" for n in mantissas]
    fields = [f"{sign}{digits[0]}.{digits[1:]}".encode() for sign, digits in zip(signs, text, strict=True)]
    read, valid = decimal_numbers(*placed(fields))
    assert valid.all()
    assert read.tobytes() == np.array([float(field) for field in fields]).tobytes()


@pytest.mark.parametrize(
    "field", ["0.0", "-0.0", "9.9999999", "-9.9999999", "0.30000000000000", "1.7976931348623", "4.9406564584124", "5."]
)
def test_numbers_near_an_edge(field):
    assert_read_as_by_float([field.encode()])


def test_nothing_behind_the_end_of_a_number_belongs_to_it():
    start, stop = np.zeros(6, np.int64), np.arange(6)
    read, valid = decimal_numbers(b"-1.25" + b"7" * MARGIN, start, stop)
    assert (valid.tolist(), read[3:].tolist()) == ([False, False, False, True, True, True], [-1.0, -1.2, -1.25])


def test_any_byte_in_any_place_of_a_number_is_seen():
    fields = []
    for number in (b"1.2345678", b"-1.234567890123", b"0.12345678901"):
        for place in range(len(number)):
            for byte in set(range(256)) - {32}:
                fields.append(number[:place] + bytes([byte]) + number[place + 1 :])
    assert_read_as_by_float(fields)


def test_whole_numbers_are_those_of_int_and_others_are_told():
    fields = [b"0", b"7", b"25", b"025", b"12345678", b"99999999", b"123456789", b"", b"-1", b"+1", b"1.", b"1_0", b"x"]
    fields += [b"1234567"[:place] + bytes([byte]) for place in range(8) for byte in set(range(256)) - {32}]
    read, valid = whole_numbers(*placed(fields))
    assert valid.tolist() == [field.isdigit() and len(field) <= 8 for field in fields]
    assert read[valid].tolist() == [int(field) for field in fields if field.isdigit() and len(field) <= 8]


def test_no_number_at_all_is_no_mistake():
    none = np.empty(0, np.int64)
    assert [part.shape for part in decimal_numbers(b"0" * MARGIN, none, none)] == [(0,), (0,)]
