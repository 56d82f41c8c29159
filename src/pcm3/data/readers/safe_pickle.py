"""A pickle as plain data: containers, strings, numbers, NumPy arrays. Whatever else it asks for is refused by name.

A pickle is a program for a small stack machine, and Python's own machine obeys programs that are not about data: they
call what they like, and a dozen bytes make it fill the memory (a memo entry of number four billion) or hang (a tuple of
tuples as a key). This machine knows the instructions that make data and no others. Nothing is imported, no class is
instantiated, no method of an object is called; the few calls that data makes are those of `pickle_calls`. A size
that the file announces is compared with the bytes that are left before anything is allocated.

A file costs its own size in memory (an array keeps the bytes that were read), and hardly more time than Python's own
machine takes for it: arrays are long and instructions few.
"""

from __future__ import annotations

import codecs
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
        return _Machine(opened, size, objects).run()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError, struct.error) as error:
        raise DataError(f"expected a pickle, but it is damaged ({type(error).__name__}: {error})") from error


class _Machine:
    """The stack, the marks on it, and the memo."""

    def __init__(self, file: BinaryIO | BytesIO, size: int, objects: bool) -> None:
        self.file = file
        self.objects = objects
        self.size = size
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Obeys the instructions until the one that says stop; what is then on top is the result."""
        read, instructions = self.file.read, INSTRUCTIONS
        while (code := read(1)) != b".":
            instruction = instructions.get(code)
            if instruction is None:
                raise DataError(f"asks for {FORBIDDEN[code]}; {NEEDS}" if code in FORBIDDEN else _not_a_pickle(code))
            instruction(self)
        return self.stack.pop()

    def read(self, count: int) -> bytes:
        """So many bytes of the file."""
        if count > SMALL and count > self.size - self.file.tell():
            raise DataError(f"announces {count} bytes where the file has {self.size - self.file.tell()}")
        data = self.file.read(count)
        if len(data) < count:
            raise DataError("the file ends within a value; is the download complete?")
        return data

    def skip(self, count: int) -> None:
        """Passes over so many bytes."""
        self.read(count)

    def line(self, longest: int = SMALL) -> bytes:
        """The rest of the line; −1: however long it is (protocol 0 writes a whole array as one)."""
        data = self.file.readline(longest)
        if not data.endswith(b"\n"):
            raise DataError("the file ends within a line; is the download complete?")
        return data[:-1]

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

    def ask(self, module: Any, name: Any) -> None:
        """Lays a global on the stack, when it is one that data needs."""
        full = f"{module}.{name}"
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


def _not_a_pickle(code: bytes) -> str:
    return f"{code!r} is no instruction of a pickle" if code else "the file ends before the pickle does"


def _text_integer(line: bytes) -> int | bool:
    """What ``I`` and ``L`` write."""
    return line == b"01" if line in (b"00", b"01") else int(line.removesuffix(b"L"))


def _quoted(line: bytes) -> str:
    """What ``S`` writes: a Python 2 string in quotes."""
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise DataError("a string without its quotes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 2 wrote some escapes that are none any more
        return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


def _two_lines(machine: _Machine) -> tuple[str, str]:
    return machine.line().decode(), machine.line().decode()


def _refuse_instance(machine: _Machine) -> None:
    raise DataError(refusal(".".join(_two_lines(machine))))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.ask(module, name)


def _dict(machine: _Machine) -> None:
    items = machine.since_mark()
    machine.stack.append({})
    machine.collect(dict, items)


def _pop(machine: _Machine) -> None:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.stack.pop()


def _set_item(machine: _Machine) -> None:
    value, name = machine.stack.pop(), machine.stack.pop()
    machine.collect(dict, [name, value])


def _value(read: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    """The instruction that lays on the stack what ``read`` makes of the bytes that follow."""
    return lambda machine: machine.stack.append(read(machine))


def _number(form: str) -> Callable[[_Machine], Any]:
    """Reads a number of fixed size."""
    number = struct.Struct(form)
    return lambda machine: number.unpack(machine.file.read(number.size))[0]


BYTE, SHORT, LONG, EIGHT = _number("<B"), _number("<H"), _number("<I"), _number("<Q")


def _line_number(machine: _Machine) -> int:
    return int(machine.line())


def _counted(count: Callable[[_Machine], int], decode: Callable[[bytes], Any]) -> Callable[[_Machine], None]:
    """The instruction for a value that is preceded by the number of its bytes."""
    return lambda machine: machine.stack.append(decode(machine.read(count(machine))))


def _put(number: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    """The instruction that remembers the value on top under a number."""
    return lambda machine: machine.memo.update({number(machine): machine.stack[-1]})


def _get(number: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    """The instruction that lays on the stack what was remembered."""
    return lambda machine: machine.stack.append(machine.memo[number(machine)])


UTF8: Callable[[bytes], str] = lambda data: data.decode("utf-8", "surrogatepass")  # noqa: E731 (not to be checked each time)
LATIN1: Callable[[bytes], str] = lambda data: data.decode("latin-1")  # noqa: E731
WHOLE: Callable[[bytes], int] = lambda data: int.from_bytes(data, "little", signed=True)  # noqa: E731


def _protocol(machine: _Machine) -> None:
    number = machine.read(1)[0]
    if number > 5:
        raise DataError(f"written in protocol {number}, expected up to 5")


INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _protocol,
    b"\x95": lambda machine: machine.skip(8),  # the size of a frame, whose content follows all the same
    # values
    b"N": _value(lambda machine: None),
    b"\x88": _value(lambda machine: True),
    b"\x89": _value(lambda machine: False),
    b"I": _value(lambda machine: _text_integer(machine.line())),
    b"L": _value(lambda machine: _text_integer(machine.line())),
    b"F": _value(lambda machine: float(machine.line())),
    b"J": _value(_number("<i")),
    b"K": _value(BYTE),
    b"M": _value(SHORT),
    b"G": _value(_number(">d")),
    b"\x8a": _counted(BYTE, WHOLE),
    b"\x8b": _counted(LONG, WHOLE),
    b"S": _value(lambda machine: _quoted(machine.line(-1))),
    b"V": _value(lambda machine: machine.line(-1).decode("raw-unicode-escape")),
    b"T": _counted(LONG, LATIN1),
    b"U": _counted(BYTE, LATIN1),
    b"X": _counted(LONG, UTF8),
    b"\x8c": _counted(BYTE, UTF8),
    b"\x8d": _counted(EIGHT, UTF8),
    b"B": _counted(LONG, bytes),
    b"C": _counted(BYTE, bytes),
    b"\x8e": _counted(EIGHT, bytes),
    b"\x96": _counted(EIGHT, bytes),
    # containers
    b"(": lambda machine: machine.marks.append(len(machine.stack)),
    b"]": _value(lambda machine: []),
    b"}": _value(lambda machine: {}),
    b")": _value(lambda machine: ()),
    b"\x8f": _value(lambda machine: set()),
    b"l": _value(lambda machine: machine.since_mark()),
    b"t": _value(lambda machine: tuple(machine.since_mark())),
    b"d": _dict,
    b"\x91": _value(lambda machine: frozenset(map(key, machine.since_mark()))),
    b"\x85": _value(lambda machine: (machine.stack.pop(),)),
    b"\x86": _value(lambda machine: (machine.stack.pop(), machine.stack.pop())[::-1]),
    b"\x87": _value(lambda machine: (machine.stack.pop(), machine.stack.pop(), machine.stack.pop())[::-1]),
    b"a": lambda machine: machine.collect(list, [machine.stack.pop()]),
    b"e": lambda machine: machine.collect(list, machine.since_mark()),
    b"s": _set_item,
    b"u": lambda machine: machine.collect(dict, machine.since_mark()),
    b"\x90": lambda machine: machine.collect(set, machine.since_mark()),
    # the stack and the memo
    b"0": _pop,
    b"1": lambda machine: machine.since_mark().clear(),
    b"2": _value(lambda machine: machine.stack[-1]),
    b"g": _get(_line_number),
    b"h": _get(BYTE),
    b"j": _get(LONG),
    b"p": _put(_line_number),
    b"q": _put(BYTE),
    b"r": _put(LONG),
    b"\x94": _put(lambda machine: len(machine.memo)),
    # names
    b"c": lambda machine: machine.ask(*_two_lines(machine)),
    b"\x93": _stack_global,
    b"R": _Machine.call,
    b"b": _Machine.build,
    b"i": _refuse_instance,
}

FORBIDDEN = {
    b"o": "an object",
    b"\x81": "an object",
    b"\x92": "an object",
    b"P": "an object outside the file",
    b"Q": "an object outside the file",
    b"\x82": "a registered extension",
    b"\x83": "a registered extension",
    b"\x84": "a registered extension",
    b"\x97": "memory outside the file",
    b"\x98": "memory outside the file",
}
"""Instructions that pickles have and data has not."""
