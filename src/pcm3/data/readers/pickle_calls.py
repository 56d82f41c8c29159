"""The few calls that a pickle of data makes, written here: nothing that it names is imported."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.errors import DataError

NEEDS = "a data file needs only containers, strings, numbers and NumPy arrays"
DTYPE = re.compile(r"[biufSU][1-9]\d{0,6}", re.ASCII)
"""Numbers and strings. Others hold references or titles (O, V), or are not what data sets are made of (c, m, M)."""
END_OF_UNICODE = 0x10FFFF

WRITERS = {
    "joblib": "joblib.dump wrote it: load it with joblib and save it with pickle.dump",
    "torch": "it holds PyTorch's tensors: save them as arrays, tensor.numpy()",
    "pandas": "it holds tables of pandas: save their columns as arrays, table.to_numpy()",
}
"""Module that a pickle asks for → what to do."""


class Name:
    """A global that the pickle asked for; it can be called if it stands in `CALLS`, and that is all."""

    def __init__(self, name: str) -> None:
        self.name = name


class Type:
    """A dtype, whose byte order is told after it was made."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype


def key(value: Any) -> Any:
    """The value, when it is a string or a number: hashing anything deep can take for ever, or crash."""
    if not isinstance(value, (str, bytes, int, float, np.generic, type(None))):
        raise DataError(f"a {type(value).__name__} as a key; {NEEDS}")
    return value


def raw_bytes(data: Any) -> bytes:
    """The bytes of an array; Python 2 wrote them as a text."""
    if not isinstance(data, (bytes, str)):
        raise DataError(f"an array of objects; {NEEDS}")
    return data.encode("latin-1") if isinstance(data, str) else data


def array_of(dtype: Any, data: Any, shape: Any) -> NDArray[Any]:
    """An array over the bytes, when it has exactly so many of them; it shares their memory."""
    if not isinstance(dtype, Type):
        raise DataError(f"an array of something else than numbers or strings; {NEEDS}")
    if type(shape) is not tuple or len(shape) > 32 or not all(type(size) is int and size >= 0 for size in shape):
        raise DataError("an array whose shape is none")
    raw = raw_bytes(data)
    if math.prod(shape) * dtype.dtype.itemsize != len(raw):
        raise DataError(f"an array of shape {shape} of {dtype.dtype} with {len(raw)} bytes")
    values = np.frombuffer(raw, dtype.dtype)
    if values.dtype.kind == "U" and (values.view(f"{values.dtype.byteorder}u4") > END_OF_UNICODE).any():
        raise DataError("an array of strings with characters that do not exist")
    return values.reshape(shape)


def _dtype(code: Any, align: Any = False, copy: Any = True) -> Type:
    """``numpy.dtype``."""
    if not isinstance(code, str) or not DTYPE.fullmatch(code.lstrip("<>|=")):
        raise DataError(f"an array of {str(code)[:20]!r}; {NEEDS}")
    return Type(np.dtype(code))


def _reconstruct(kind: Any, shape: Any, code: Any) -> NDArray[Any]:
    """``numpy.core.multiarray._reconstruct``: an array without content, which gets its state afterwards."""
    if type(kind) is not Name or kind.name != "numpy.ndarray":
        raise DataError(f"an array of another class; {NEEDS}")
    return np.empty(0, np.int8)


def _scalar(dtype: Any, data: Any) -> Any:
    """``numpy.core.multiarray.scalar``."""
    return array_of(dtype, data, (1,))[0]


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> NDArray[Any]:
    """``numpy.core.numeric._frombuffer``: an array in protocol 5."""
    array = array_of(dtype, data, shape)
    if type(order) is not str or order not in "CFK":
        raise DataError("an array in an order that is none")
    if order == "F":
        return array.reshape(-1).reshape(shape, order="F")
    return array.transpose(axes) if order == "K" and axes is not None else array


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """``_codecs.encode``: bytes as protocols 0 to 2 write them."""
    if not isinstance(text, str) or str(encoding) not in ("latin1", "latin-1"):
        raise DataError(f"asks for _codecs.encode to {str(encoding)[:20]}; {NEEDS}")
    return text.encode("latin-1")


def _list(values: Any = ()) -> list[Any]:
    """The values that a constructor of a container was given."""
    if type(values) not in (list, tuple):
        raise DataError(f"makes a container of a {type(values).__name__}")
    return list(values)


def refusal(name: str) -> str:
    """What to say of a global that data does not need."""
    cure = WRITERS.get(name.split(".", maxsplit=1)[0], NEEDS)
    return f"asks for {name[:100].encode('unicode_escape').decode()}; {cure}"


CALLS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _frombuffer,
    "numpy.dtype": _dtype,
    "_codecs.encode": _encode,
    "builtins.set": lambda values=(): {key(value) for value in _list(values)},
    "builtins.frozenset": lambda values=(): frozenset(key(value) for value in _list(values)),
    "builtins.bytes": lambda: b"",
    "collections.OrderedDict": lambda pairs=(): {key(name): value for name, value in _list(pairs)},
}
"""The globals that data needs, as pickles name them (`_Machine.ask`), and what a call of them does here."""
