"""The test run itself: calls of pcm3 that are not as annotated fail, so that every test is a test of these too."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from jaxtyping import Float, Int, TypeCheckError
from torch import Tensor
from type_checks import FIRST, ONE_IN, checked

import pcm3
from pcm3.summary import mean_of

if TYPE_CHECKING:
    from nowhere import Unknown


@pytest.fixture
def all_checked(monkeypatch):
    """All calls of a test are checked, not the first alone."""
    monkeypatch.setattr("type_checks.FIRST", 100)


def refuses(function, *given, **named):
    with pytest.raises(TypeCheckError):
        function(*given, **named)
    return True


@checked
def pairs(left: Float[Tensor, "B D"], right: Float[Tensor, "B D"], turned: bool = False) -> Float[Tensor, "B B"]:
    return left @ right.T if not turned else left.T @ right


@checked
def outer(left: Float[Tensor, "B D"]) -> Float[Tensor, "B B"]:
    return pairs(left, left)[:, :1].expand(-1, len(left)) + pairs(left.T, left.T).sum()


@checked
@dataclass
class Held:
    number: int
    place: "Path | None" = None
    keys: "Int[Tensor, '*']" = None

    @checked
    def plus(self, other: "int") -> "int":
        return self.number + other if other else "nothing"


@checked
def unknown(it: "Unknown", number: "int") -> "Unknown":
    return it


@checked
def first(rows: list[Float[Tensor, "B T"]] | None, name: str = "x") -> Float[Tensor, " T"]:
    return rows[0][0]


@pytest.mark.usefixtures("all_checked")
def test_types_are_checked_on_the_way_in_and_out():
    held = Held(3)
    assert held.plus(4) == 7
    assert refuses(held.plus, 4.0)
    assert refuses(held.plus, 0), "what is returned"
    assert refuses(Held, "3")
    assert refuses(Held, 3, place="here")
    assert unknown("anything", 1) == "anything"
    assert refuses(unknown, "anything", "1")


@pytest.mark.usefixtures("all_checked")
def test_a_letter_is_one_length_in_a_call_and_another_in_the_next():
    assert pairs(torch.ones(2, 3), torch.ones(2, 3)).shape == (2, 2)
    assert pairs(torch.ones(4, 5), torch.ones(4, 5)).shape == (4, 4)
    assert refuses(pairs, torch.ones(2, 3), torch.ones(2, 4))
    assert refuses(pairs, torch.ones(2, 3), torch.ones(3, 2))
    assert refuses(pairs, torch.ones(2, 3), torch.ones(2, 3), turned=True), "what is returned"


@pytest.mark.usefixtures("all_checked")
def test_what_is_in_a_tensor_and_the_letters_of_a_call_inside_of_one_are_its_own():
    assert refuses(pairs, torch.ones(2, 3).long(), torch.ones(2, 3).long())
    assert outer(torch.ones(2, 3)).shape == (2, 2), "a call inside of one has letters of its own"
    assert first([torch.ones(2, 3)]).shape == (3,)
    assert refuses(first, [torch.ones(3)])
    assert refuses(first, [torch.ones(2, 3)], name=3)


def test_of_many_calls_the_first_are_checked_and_then_one_in_some():
    @checked
    def plus_one(number: int) -> int:
        return int(number) + 1

    def is_checked(calls):
        found = []
        for _ in range(calls):
            try:
                plus_one(1.0)
            except TypeCheckError:
                found.append(True)
            else:
                found.append(False)
        return found

    checks = is_checked(FIRST + 3 * ONE_IN)
    assert checks[:FIRST] == [True] * FIRST
    assert sum(checks[FIRST:]) == 3

    def made(answer):
        @checked
        def inside() -> int:
            return answer

        return inside

    for _ in range(FIRST):
        assert refuses(made("3"))
    assert made("3")() == "3"


def test_pcm3_is_checked():
    assert refuses(mean_of, 3)
    for name, module in list(sys.modules.items()):
        if name.startswith("pcm3.") and getattr(module, "__file__", None):
            assert type(module.__loader__).__name__ == "_JaxtypingLoader", name
    assert Path(pcm3.__file__).is_file()
