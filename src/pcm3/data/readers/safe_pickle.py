"""A pickle as plain data: containers, strings, numbers, NumPy arrays. Whatever else it asks for is refused by name.

A pickle is a program for a small stack machine, and Python's own machine obeys programs that are not about data: they
call what they like, and a dozen bytes make it fill the memory (a memo entry of number four billion) or hang (a tuple of
tuples as a key). This machine knows the instructions that make data and no others. Nothing is imported, no class is
instantiated, no method of an object is called; the few calls that data makes are those of `pickle_calls`. The values
that follow instructions are read by the standard library's `pickletools`; a size that the file announces is compared
with the bytes that are left before anything is allocated.

A file costs its own size in memory (an array keeps the bytes that were read), and hardly more time than Python's own
machine takes for it: arrays are long and instructions few.
"""

from __future__ import annotations

import codecs
import pickletools
import struct
import warnings
from collections.abc import Callable
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pcm3.data.readers.compressed import unpacked
from pcm3.data.readers.pickle_calls import CALLS, NEEDS, Name, Type, array_of, key, raw_bytes, refusal
from pcm3.errors import DataError

SMALL = 2**16
"""Bytes that are read without asking first how many are left."""
LARGE = 1000
"""Characters from which on a text is worth forgetting; Python shares short ones between values."""


def load(file: Path, limit: int | None = None) -> Any:
    """What the pickle in that file holds; texts that Python 2 wrote as bytes come as strings (Latin-1).

    Args:
        file: the pickle, of any protocol, as it is or compressed by gzip, bzip2 or xz.
        limit: bytes; a larger file is refused.

    Raises:
        DataError: it cannot be read, is damaged, or asks for anything but data.
    """
    try:
        size = file.stat().st_size
        if limit is not None and size > limit:
            raise DataError(f"expected at most {limit // 2**20} MB, got {size // 2**20} MB")
        with unpacked(file, limit) as (opened, size):
            return run(opened, size)
    except DataError as error:
        raise DataError(f"{file}: refused: {error}") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error}") from error


def run(opened: BinaryIO | BytesIO, size: int, *, objects: bool = False) -> Any:
    """What the pickle holds that begins where the open file stands.

    Args:
        opened: the file.
        size: where in it the pickle ends, counted from the file's start.
        objects: allow arrays of objects, as ``np.save`` pickles them; the objects are of the same few kinds.

    Raises:
        DataError: it is damaged, or asks for anything but data.
    """
    try:
        return _Machine(_Bounded(opened, size), objects).run()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError, struct.error) as error:
        raise DataError(f"expected a pickle, but it is damaged ({type(error).__name__}: {error})") from error


class _Bounded:
    """The file as the readers of `pickletools` see it: no more is asked of it than it has."""

    def __init__(self, file: BinaryIO | BytesIO, size: int) -> None:
        self.readline, self._file, self._size = file.readline, file, size

    def read(self, count: int) -> bytes:
        """So many bytes."""
        if count > SMALL and count > self._size - self._file.tell():
            raise DataError(f"announces {count} bytes where the file has {self._size - self._file.tell()}")
        data = self._file.read(count)
        if len(data) < count:
            raise DataError("the file ends within a value; is the download complete?")
        return data


class _Machine:
    """The stack, the marks on it, and the memo."""

    def __init__(self, file: _Bounded, objects: bool) -> None:
        self.file = file
        self.objects = objects
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Obeys the instructions until the one that says stop; what is then on top is the result."""
        while (code := self.file.read(1)) != b".":
            instruction = INSTRUCTIONS.get(code)
            if instruction is None:
                raise DataError(
                    f"asks for {FORBIDDEN[code]}; {NEEDS}"
                    if code in FORBIDDEN
                    else f"{code!r} is no instruction of a pickle"
                )
            reader = READERS[code]
            instruction(self, reader(self.file) if reader is not None else None)
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        """Takes what lies above the last mark."""
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def last(self, kind: type) -> Any:
        """The value on top, which an instruction is about to add to."""
        if type(self.stack[-1]) is not kind:
            raise DataError(f"adds to what is no {kind.__name__}; {NEEDS}")
        return self.stack[-1]

    def collect(self, kind: type, values: list[Any]) -> None:
        """Adds values to the list, dict (keys and values in turn) or set on top."""
        container = self.last(kind)
        if kind is list:
            container.extend(values)
        elif kind is set:
            container.update(map(key, values))
        else:
            container.update(zip(map(key, values[::2]), values[1::2], strict=True))

    def ask(self, full: str) -> None:
        """Lays a global on the stack, when it is one that data needs."""
        known = full.replace("numpy._core.", "numpy.core.", 1).replace("__builtin__.", "builtins.", 1)
        if known not in CALLS and known != "numpy.ndarray":
            raise DataError(refusal(full))
        self.stack.append(Name(known))

    def call(self) -> None:
        """Calls a global."""
        arguments, called = self.stack.pop(), self.stack.pop()
        if type(called) is not Name or called.name not in CALLS or type(arguments) is not tuple:
            raise DataError(f"calls what is no constructor; {NEEDS}")
        if self.objects and called.name == "numpy.dtype" and arguments[:1] in (("O8",), ("O4",)):
            self.stack.append(Type(np.dtype(object)))
            return
        self.stack.append(CALLS[called.name](*arguments))
        if called.name == "_codecs.encode" and len(arguments[0]) > LARGE:
            self.forget(arguments)

    def forget(self, arguments: tuple[Any, ...]) -> None:
        """Drops from the memo the text of bytes that were written as one: nothing asks for it, and it is as large."""
        for number in list(islice(reversed(self.memo), 3)):
            if self.memo[number] is arguments or self.memo[number] is arguments[0]:
                self.memo[number] = Name("a text that became bytes")

    def build(self) -> None:
        """Gives an array its content, or a dtype its byte order."""
        state, built = self.stack.pop(), self.last_built()
        if isinstance(built, Type):
            _, order, *fields = state
            if (
                len(fields) != 6
                or str(order) not in ("<", ">", "=", "|")
                or any(part is not None for part in fields[:3])
            ):
                raise DataError(f"a dtype with fields; {NEEDS}")
            built.dtype = built.dtype.newbyteorder(order)
        else:
            _version, shape, dtype, fortran, data = state
            if self.objects and isinstance(dtype, Type) and dtype.dtype.hasobject:
                if type(data) is not list or shape not in ((), (len(data),)) or (shape == () and len(data) != 1):
                    raise DataError("an array of objects of another number than it says")
                built.__setstate__((1, shape, dtype.dtype, False, data))
                return
            checked = array_of(dtype, data, shape)
            built.__setstate__((1, checked.shape, checked.dtype, bool(fortran), raw_bytes(data)))

    def last_built(self) -> Any:
        """The array or dtype on top that has no state yet."""
        built = self.stack[-1]
        if not isinstance(built, Type) and (type(built) is not np.ndarray or built.shape != (0,)):
            raise DataError(f"sets the state of what is no array; {NEEDS}")
        return built


Instruction = Callable[[_Machine, Any], None]
"""What is done with the value that follows in the file, None where none does."""


def _push(machine: _Machine, value: Any) -> None:
    machine.stack.append(value)


def _make(value: Callable[[_Machine], Any]) -> Instruction:
    """The instruction that lays on the stack what is made of what lies there."""
    return lambda machine, _: machine.stack.append(value(machine))


def _protocol(_machine: _Machine, number: int) -> None:
    if number > 5:
        raise DataError(f"written in protocol {number}, expected up to 5")


def _refuse_instance(_machine: _Machine, name: str) -> None:
    raise DataError(refusal(name.replace(" ", ".", 1)))


def _stack_global(machine: _Machine, _: None) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.ask(f"{module}.{name}")


def _dict(machine: _Machine, _: None) -> None:
    items = machine.since_mark()
    machine.stack.append({})
    machine.collect(dict, items)


def _pop(machine: _Machine, _: None) -> None:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.stack.pop()


def _set_item(machine: _Machine, _: None) -> None:
    value, name = machine.stack.pop(), machine.stack.pop()
    machine.collect(dict, [name, value])


def _put(machine: _Machine, number: int | str) -> None:
    machine.memo[int(number)] = machine.stack[-1]


def _get(machine: _Machine, number: int | str) -> None:
    machine.stack.append(machine.memo[int(number)])


def _quoted(file: _Bounded) -> str:
    """What ``S`` writes: a Python 2 string in quotes, whose bytes are Latin-1 here (pickletools takes ASCII only)."""
    line = file.readline()[:-1]
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise DataError("a string without its quotes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 2 wrote some escapes that are none any more
        return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


READERS: dict[bytes, Callable[[Any], Any] | None] = {
    operation.code.encode("latin-1"): operation.arg.reader if operation.arg is not None else None
    for operation in pickletools.opcodes
} | {b"S": _quoted}
"""Instruction → what reads the value that follows it."""

VALUES = (
    b"I", b"L", b"F", b"J", b"K", b"M", b"G", b"\x8a", b"\x8b",  # numbers
    b"S", b"V", b"T", b"U", b"X", b"\x8c", b"\x8d", b"B", b"C", b"\x8e",  # texts and bytes
)  # fmt: skip
INSTRUCTIONS: dict[bytes, Instruction] = dict.fromkeys(VALUES, _push) | {
    b"\x80": _protocol,
    b"\x95": lambda machine, _: None,  # the size of a frame, whose content follows all the same
    b"N": _make(lambda machine: None),
    b"\x88": _make(lambda machine: True),
    b"\x89": _make(lambda machine: False),
    b"\x96": lambda machine, value: machine.stack.append(bytes(value)),
    # containers
    b"(": lambda machine, _: machine.marks.append(len(machine.stack)),
    b"]": _make(lambda machine: []),
    b"}": _make(lambda machine: {}),
    b")": _make(lambda machine: ()),
    b"\x8f": _make(lambda machine: set()),
    b"l": _make(_Machine.since_mark),
    b"t": _make(lambda machine: tuple(machine.since_mark())),
    b"d": _dict,
    b"\x91": _make(lambda machine: frozenset(map(key, machine.since_mark()))),
    b"\x85": _make(lambda machine: (machine.stack.pop(),)),
    b"\x86": _make(lambda machine: (machine.stack.pop(), machine.stack.pop())[::-1]),
    b"\x87": _make(lambda machine: (machine.stack.pop(), machine.stack.pop(), machine.stack.pop())[::-1]),
    b"a": lambda machine, _: machine.collect(list, [machine.stack.pop()]),
    b"e": lambda machine, _: machine.collect(list, machine.since_mark()),
    b"s": _set_item,
    b"u": lambda machine, _: machine.collect(dict, machine.since_mark()),
    b"\x90": lambda machine, _: machine.collect(set, machine.since_mark()),
    # the stack and the memo
    b"0": _pop,
    b"1": lambda machine, _: machine.since_mark().clear(),
    b"2": _make(lambda machine: machine.stack[-1]),
    **dict.fromkeys((b"g", b"h", b"j"), _get),
    **dict.fromkeys((b"p", b"q", b"r"), _put),
    b"\x94": lambda machine, _: _put(machine, len(machine.memo)),
    # names
    b"c": lambda machine, name: machine.ask(name.replace(" ", ".", 1)),
    b"\x93": _stack_global,
    b"R": lambda machine, _: machine.call(),
    b"b": lambda machine, _: machine.build(),
    b"i": _refuse_instance,
}

FORBIDDEN = {
    **dict.fromkeys((b"o", b"\x81", b"\x92"), "an object"),
    **dict.fromkeys((b"P", b"Q"), "an object outside the file"),
    **dict.fromkeys((b"\x82", b"\x83", b"\x84"), "a registered extension"),
    **dict.fromkeys((b"\x97", b"\x98"), "memory outside the file"),
}
"""Instructions that pickles have and data has not."""
