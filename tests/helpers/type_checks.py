"""Every call of an annotated function of pcm3 is checked: jaxtyping's import hook with a decorator that costs less.

`jaxtyped` binds the arguments anew at every call and checks them twice, which took half of the time of all tests. Here
beartype checks a call as it would alone, and where annotations have shapes their letters are remembered over the call.
What an annotation means is read as `jaxtyped` reads it: when the function is made; what has no meaning then is not
checked.
"""

import functools
import inspect
import types
import typing
from dataclasses import is_dataclass

import jaxtyping
from beartype import BeartypeConf, beartype

original = jaxtyping.jaxtyped
check = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))


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
    """The function, with every call checked."""
    hints = {name: meaning(hint, function.__globals__) for name, hint in function.__annotations__.items()}
    shaped = [hint for hint in hints.values() if has_shapes(hint)]
    if shaped and (inspect.isgeneratorfunction(function) or any("{" in str(hint) for hint in shaped)):
        return original(function, typechecker=beartype)  # which knows what to do where arguments name lengths
    call = check(with_annotations(function, hints))
    if call.__code__ is function.__code__:  # nothing to check
        return function
    if shaped:
        call = with_letters(call)
    call.__wrapped__, call.__annotations__, call.is_checked = function, function.__annotations__, True
    return call


def with_letters(call):
    """A letter stands for one length in all arguments and what is returned."""

    @functools.wraps(call)
    def within(*given, **named):
        __tracebackhide__ = True
        with original("context"):
            return call(*given, **named)

    return within


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
