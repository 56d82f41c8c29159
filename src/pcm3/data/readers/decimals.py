"""Numbers in text, thousands at once with NumPy, equal to ``float`` and ``int`` to the last bit.

A whole number below 2^53 divided by a power of ten up to 10^22 is rounded once, by the division, and so is the double
nearest to what is written (Clinger 1990). Eight digits in a 64-bit word become their number by three multiplications.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
"""Where something is in a text, in bytes from its start."""
Words = NDArray[np.uint64]

POINT, MINUS, ZERO = ord("."), ord("-"), ord("0")

DECIMALS = 13
"""Digits behind the point that a number may have."""
MARGIN = 20
"""Bytes that a text must go on for from the start of a number, whether or not the number does."""

TEN = 10.0 ** np.arange(DECIMALS + 1)


def whole_numbers(text: bytes, start: Places, stop: Places) -> tuple[Places, NDArray[np.bool_]]:
    """``int(text[start:stop])`` (N), and where it is that (N): where there are one to eight digits and nothing else."""
    digits = stop - start
    numbers, valid = _number(text, start, digits)
    return numbers.astype(np.int64), valid & (digits >= 1) & (digits <= 8)


def decimal_numbers(text: bytes, start: Places, stop: Places) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """``float(text[start:stop])`` (N), and where it is that (N): where the number has the usual form.

    That is: perhaps a minus, one digit, a point, up to `DECIMALS` digits. Metres before a depth camera look so, but for
    those below 0.0001 that were written with an exponent.
    """
    codes = np.frombuffer(text, np.uint8)
    negative = codes[start] == MINUS
    first = start + negative
    digit = codes[first] - np.uint8(ZERO)  # where it is none, this wraps to more than 9
    decimals = stop - first - 2
    valid = (digit <= 9) & (codes[first + 1] == POINT) & (decimals >= 0) & (decimals <= DECIMALS)
    fraction, fine = _number(text, first + 2, np.minimum(decimals, 8))
    valid &= fine
    behind = fraction.astype(np.float64)
    long = np.flatnonzero(valid & (decimals > 8))
    if len(long):
        tail, valid[long] = _number(text, first[long] + 10, decimals[long] - 8)
        behind[long] = behind[long] * TEN[decimals[long] - 8] + tail
    power = TEN.take(decimals, mode="clip")
    magnitude = (digit * power + behind) / power  # all but the quotient is whole, and exact
    return np.where(negative, -magnitude, magnitude), valid


def _number(text: bytes, start: Places, digits: Places) -> tuple[Words, NDArray[np.bool_]]:
    """The number that so many characters from the start are, at most eight (N); and whether all are digits (N)."""
    words: Words = np.ndarray((len(text) - 7,), "V8", text, strides=(1,))[start].view("<u8")
    # The digits move to the high end, where the last one counts ones, and zeros come in before them.
    unused = (64 - 8 * digits).astype(np.uint64)
    values: Words = (words ^ np.uint64(0x3030303030303030)) << unused
    over_nine = (values | (values + np.uint64(0x7676767676767676))) & np.uint64(0x8080808080808080)
    pairs = (values * np.uint64(10) + (values >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    fours = (pairs * np.uint64(100) + (pairs >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    eights = (fours * np.uint64(10000) + (fours >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    return eights, over_nine == 0
