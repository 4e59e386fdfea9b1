"""An input's default in the wiring: in a class body its name is a constant, and no run's input."""

import dataclasses
from collections.abc import AsyncIterator

import msgspec
import pytest

from reactor.define.decorators import map_over, source, step
from reactor.define.frozen import check_frozen
from reactor.define.reactor import Reactor, definition_of

SIZES = [1, 2]


def test_a_map_over_an_input_is_refused(refuses):
    """It would map over the default, whatever a run is given; the error says what to write."""
    with refuses(code="input-as-constant", line="async def output", fix="return self.items", what="input `items`"):

        class Wrong(Reactor):
            items: list[int] = []

            @map_over(items)
            async def output(self, n: int) -> int: ...


@pytest.mark.parametrize(
    "given", [(1, 2), range(3), {"a": 1}, msgspec.field(default_factory=list), dataclasses.field(default_factory=list)], ids=range(5)
)
def test_whatever_the_default_is(refuses, given):
    """A tuple, a range, what is no sequence at all, a field."""
    with refuses(code="input-as-constant", line="async def output", fix="@source"):

        class Wrong(Reactor):
            items: object = given

            @map_over(items)
            async def output(self, n: int) -> int: ...


def test_an_inherited_input_is_refused_too(refuses):
    """Named through its class."""

    class Base(Reactor, abstract=True):
        items: list[int] = []
        n: int = 5

    with refuses(code="input-as-constant", line="async def output", fix="self.items"):

        class Wrong(Base):
            @map_over(Base.items)
            async def output(self, n: int) -> int: ...

    with refuses(code="input-as-constant", line="async def output", fix="self.n"):

        class WrongToo(Base):
            @step
            async def output(self, m: int = Base.n) -> int: ...


def test_a_parameter_bound_to_an_input_is_refused(refuses):
    """Under whatever name, by keyword too, in steps, sources and handlers alike."""
    with refuses(
        code="input-as-constant", line="async def output(self, n: int = n)", fix="read `self.n` in the code", what="parameter `n`"
    ):

        class Wrong(Reactor):
            n: int = 5

            @step
            async def output(self, n: int = n) -> int: ...

    with refuses(code="input-as-constant", line="async def output(self, *, m", fix="self.names", what="parameter `m`"):

        class Renamed(Reactor):
            names: dict[str, int] = {}

            @step
            async def output(self, *, m: dict[str, int] = names) -> int: ...

    with refuses(code="input-as-constant", line="async def rows", fix="self.n"):

        class InSource(Reactor):
            n: int = 5

            @source
            async def rows(self, n: int = n) -> AsyncIterator[int]:
                yield n

            @map_over(rows)
            async def output(self, row: int) -> int: ...

    with refuses(code="input-as-constant", line="async def release", fix="self.n"):

        class InHandler(Reactor):
            n: int = 5

            @step
            async def output(self) -> int: ...

            @output.undo
            async def release(self, value: int, n: int = n) -> None: ...


def test_an_overridden_handler_is_looked_at(refuses):
    """A plain method that takes an undo's place."""

    class Base(Reactor):
        n: int = 5

        @step
        async def output(self) -> int: ...

        @output.undo
        async def release(self, value: int) -> None: ...

    with refuses(code="input-as-constant", line="async def release", fix="self.n"):

        class Wrong(Base):
            async def release(self, value: int, n: int = Base.n) -> None: ...


def test_equal_constants_are_none_of_an_inputs():
    """One object to Python, but the author said no input's name."""

    class Made(Reactor):
        n: int = 5
        wire: bool = False
        pair: tuple[int, ...] = (1, 2)
        sizes: list[int] = SIZES

        @map_over((1, 2))
        async def each(self, e: int, n: int = 5) -> int: ...

        @map_over(SIZES)
        async def size(self, e: int) -> int: ...

        @step
        async def output(self, wire: bool = False, sizes: list[int] = SIZES) -> int: ...

    assert definition_of(Made).nodes["each"].params[0].binding.value == 5


def test_without_a_source_the_object_decides():
    """Code that was made of text: a map over the very object, and a parameter of the very name."""
    made = {"Reactor": Reactor, "step": step, "map_over": map_over}
    for wrong in ("@map_over(items)\n    async def output(self, n: int) -> int: ...", "@step\n    async def output(self, n=n) -> int: ..."):
        with pytest.raises(Exception, match="input-as-constant"):
            exec(f"class Wrong(Reactor):\n    items: list = []\n    n: int = 5\n    {wrong}", dict(made))
    fine = "@step\n    async def output(self, m: int = 5) -> int: ..."
    exec(f"class Made(Reactor):\n    n: int = 5\n    {fine}", dict(made))


def test_a_class_with_no_inputs_has_none_to_freeze():
    """Nothing is looked at."""

    class Made(Reactor):
        @step
        async def output(self, n: int = 5) -> int: ...

    check_frozen(Made, ())
