"""Annotations as text: the class itself, classes below, locals of a test; and no frame is kept for longer than it must."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Annotated

import msgspec
import pytest

from reactor.define.decorators import compose, map_over, step
from reactor.define.inputs import Secret
from reactor.define.reactor import Reactor, definition_of

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


class Module(Reactor):
    token: Annotated[str, Secret()]
    below: Below | None = None

    @step
    async def output(self) -> Below: ...


class Recursive(Reactor):
    depth: int

    @compose
    async def again(self) -> Recursive: ...

    @step
    async def output(self, x: int = again.result) -> int: ...


class Mutual(Reactor):
    @compose
    async def output(self) -> Other: ...


class Other(Reactor):
    @compose
    async def output(self) -> Mutual | Recursive: ...


class Below(msgspec.Struct):
    n: int


def test_a_class_below_is_found_when_it_is_needed():
    """The annotation is text until then."""
    definition = definition_of(Module)
    assert definition.nodes["output"].returns is Below
    assert definition.inputs[1].type == Below | None
    assert definition.inputs[0].secret


def test_a_reactor_may_name_itself():
    """Recursion resolves at once: the class is known to its own annotations."""
    assert Recursive.__dict__["__reactor__"].definition is not None
    node = definition_of(Recursive).nodes["again"]
    assert (node.children, node.returns) == ((Recursive,), None)


def test_reactors_may_name_each_other():
    """The children are classes; what they give is asked of them later."""
    assert definition_of(Mutual).nodes["output"].children == (Other,)
    assert definition_of(Other).nodes["output"].children == (Mutual, Recursive)


def test_locals_of_a_test_are_found():
    """Before and below the class, and closed-over ones."""

    class Line(msgspec.Struct):
        sku: str

    class Local(Reactor):
        line: Line

        @step
        async def output(self, line: Line | None = None) -> Later: ...

    class Later(msgspec.Struct):
        n: int

    definition = definition_of(Local)
    assert definition.nodes["output"].returns is Later
    assert definition.inputs[0].type is Line
    assert Local(line=Line("a")).line == Line("a")


def test_names_of_the_class_body_are_found():
    """A type that the class itself holds."""

    class Nested(Reactor):
        class Line(msgspec.Struct):
            sku: str

        @step
        async def output(self) -> Line: ...

    assert definition_of(Nested).nodes["output"].returns is Nested.Line


def test_a_step_named_like_a_type_does_not_hide_it():
    """`list`, `Below`: the module's and Python's names win over the class's nodes."""

    class Hiding(Reactor):
        @step
        async def list(self) -> list[int]: ...

        @map_over(list.result)  # noqa: A003 - that is the point
        async def output(self, n: int) -> list[int]: ...

    assert definition_of(Hiding).nodes["list"].returns == list[int]


def test_an_override_s_annotations_are_the_subclass_s():
    """Each function's names are looked up where its class was written."""

    def base():
        class Hold(msgspec.Struct):
            id: str

        class Base(Reactor, abstract=True):
            @step
            async def reserve(self) -> Hold: ...

        return Base, Hold

    found, hold = base()

    class Sub(found):
        @step
        async def output(self, h: object = found.reserve.result) -> int: ...

    assert definition_of(Sub).nodes["reserve"].returns is hold


def test_what_is_never_there_is_told(refuses):
    """With the file and line, the name, and the usual cause."""

    class Wrong(Reactor):
        @step
        async def output(self) -> OnlyForCheckers: ...

    with refuses(
        code="unresolved-annotation",
        line="async def output(self) -> OnlyForCheckers",
        fix="not under TYPE_CHECKING",
        what="`OnlyForCheckers`",
    ):
        definition_of(Wrong)


def test_an_attribute_that_a_module_lacks_is_told(refuses):
    """As in an import that goes round about: it may be there later, so it is asked again."""

    class Wrong(Reactor):
        @step
        async def output(self) -> msgspec.Strcut: ...

    with refuses(code="unresolved-annotation", line="async def output(self) -> msgspec.Strcut", fix="at run time", what="Strcut"):
        definition_of(Wrong)


def test_a_closed_over_type_may_come_later():
    """The cell is empty when the class is made."""

    class Early(Reactor):
        @step
        async def output(self) -> Late:
            return Late(1)

    class Late(msgspec.Struct):
        n: int

    assert definition_of(Early).nodes["output"].returns is Late


def test_an_input_that_is_never_there_is_told(refuses):
    """Already when an instance is made; the nearest name is offered."""

    class Wrong(Reactor):
        below: Belwo  # noqa: F821 - that is the point

        @step
        async def output(self) -> int: ...

    with refuses(code="unresolved-annotation", line="class Wrong(Reactor)", fix="import `Belwo`", nearest="Below"):
        Wrong(below=1)


def test_an_annotation_that_is_no_type_is_told_at_once(refuses):
    """It will never be one."""
    with refuses(code="annotation-not-a-type", line="async def output", fix="annotate with a type"):

        class Wrong(Reactor):
            @step
            async def output(self) -> int[str]: ...


@pytest.mark.parametrize("resolves", ["at once", "later"])
def test_no_frame_is_kept_once_all_resolves(resolves):
    """A test's locals are not held by the class it makes."""

    class Held: ...

    def make():
        held = Held()
        seen.append(weakref.ref(held))
        if resolves == "at once":

            class Made(Reactor):
                @step
                async def output(self) -> int: ...

        else:

            class Made(Reactor):
                @step
                async def output(self) -> Soon: ...

            class Soon(msgspec.Struct):
                n: int

        definition_of(Made)
        return Made

    seen: list[weakref.ref[Held]] = []
    made = make()
    gc.collect()
    assert definition_of(made) is definition_of(made)
    assert seen[0]() is None
