"""Calls of annotated functions of pcm3 are checked: jaxtyping's import hook with a decorator that costs less.

`jaxtyped` binds the arguments anew at every call and checks them twice, which took half of the time of all tests. Here
beartype checks a call as it would alone, and where annotations have shapes their letters are remembered over the call.
What an annotation means is read when the function is first called; what has no meaning then is not checked.
In a test the first `FIRST` calls of each function are checked, and of the rest, of which a loop over frames makes
thousands that are alike, one in `ONE_IN`: checking all took a quarter of the time of all tests, five of each took an
eighth. A function inside of another is made anew at every call, and so would be its check, which costs a millisecond:
the first `FIRST` have one.
"""

import functools
import inspect
import types
import typing
from collections import Counter
from dataclasses import is_dataclass

import jaxtyping
from beartype import BeartypeConf, beartype

original = jaxtyping.jaxtyped
FIRST, ONE_IN = 2, 61
check = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))


INSIDE: Counter[types.CodeType] = Counter()
"""How often a function inside of another was made, by its code."""


class Test:
    """Which test is running: functions count their calls in each anew."""

    number = 0


def install():
    """From here on modules that jaxtyping's import hook reads are checked by `checked`."""
    jaxtyping.jaxtyped = checked


def checked(subject=None, *, typechecker=None):
    """The decorator that the import hook puts on every function and class."""
    if subject is None:
        return checked
    if inspect.isclass(subject):
        if is_dataclass(subject) and "__init__" in vars(subject) and not hasattr(subject.__init__, "is_checked"):
            subject.__init__ = checked_function(subject.__init__)
        return subject
    return checked_function(subject)


def checked_function(function):
    """The function, with its calls checked. The check is made at the first call: a process calls few of all."""
    if not function.__annotations__:
        return function
    if "<locals>" in function.__qualname__:
        INSIDE[function.__code__] += 1
        if INSIDE[function.__code__] > FIRST:
            return function
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        return original(function, typechecker=beartype)  # which keeps it one
    call, shaped, test, calls = None, False, 0, 0

    @functools.wraps(function)
    def within(*given, **named):
        __tracebackhide__ = True
        nonlocal call, shaped, test, calls
        if test != Test.number:
            test, calls = Test.number, 0
        calls += 1
        if calls > FIRST and calls % ONE_IN:
            return function(*given, **named)
        if call is None:
            call, shaped = check_of(function)
        if not shaped:
            return call(*given, **named)
        with original("context"):  # a letter stands for one length in all arguments and what is returned
            return call(*given, **named)

    within.is_checked = True
    return within


def check_of(function):
    """The function as it checks a call, and whether its letters are to be remembered over the call."""
    hints = {name: meaning(hint, function.__globals__) for name, hint in function.__annotations__.items()}
    shaped = [hint for hint in hints.values() if has_shapes(hint)]
    if any("{" in str(hint) for hint in shaped):
        return original(function, typechecker=beartype), False  # which knows what to do where arguments name lengths
    return check(with_annotations(function, hints)), bool(shaped)


def with_annotations(function, hints):
    """A copy of a function with other annotations."""
    code = function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    copy = types.FunctionType(*code)
    functools.update_wrapper(copy, function)
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, hints
    del copy.__wrapped__
    return copy


def meaning(hint, names):
    """What an annotation says; anything, where names in it are not there yet."""

    def takes(it):
        pass

    takes.__annotations__ = {"it": hint}
    try:
        return typing.get_type_hints(takes, names, include_extras=True)["it"]
    except Exception:
        return typing.Any


def has_shapes(hint):
    """Whether an annotation, or one inside of it, is jaxtyping's."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    inner = typing.get_args(hint) or getattr(hint, "__metadata__", ())
    return any(has_shapes(one) for one in inner if not isinstance(one, list | tuple)) or any(
        has_shapes(one) for some in inner if isinstance(some, list | tuple) for one in some
    )
