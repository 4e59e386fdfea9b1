"""What is known of a class before its annotations resolve: output, flags, elements, reach of handlers, cycles."""

import pytest

from reactor.define.decorators import map_over, source, step
from reactor.define.definition import FromNode, Literally
from reactor.define.failing import StepError
from reactor.define.reactor import Reactor, definition_of
from reactor.define.sources import use


def test_a_reactor_has_an_output(refuses):
    """Without one there is nothing to await; a likely name is offered."""
    with refuses(code="no-output", line="class Wrong(Reactor):", fix="output = outptu", nearest="outptu", known="price"):

        class Wrong(Reactor):
            @step
            async def price(self) -> int: ...

            @step
            async def outptu(self) -> int: ...


def test_an_abstract_reactor_needs_no_output(refuses):
    """It is subclassed, not run: asking for its definition says so."""

    class Base(Reactor, abstract=True):
        @step
        async def price(self) -> int: ...

    with refuses(code="abstract", line="class Base(Reactor, abstract=True)", fix="subclass it"):
        definition_of(Base)


def test_what_is_wrong_in_an_abstract_class_is_refused_at_once(refuses):
    """Abstract means no output, not no checks."""
    with refuses(code="unbound-parameter", line="async def price", fix="default"):

        class Wrong(Reactor, abstract=True):
            @step
            async def price(self, x: int) -> int: ...


def test_a_flag_that_may_be_skipped_is_refused(refuses):
    """None is neither true nor false."""
    with refuses(code="when-optional", line="async def output", fix="both questions", what="`second`"):

        class Wrong(Reactor):
            @step
            async def first(self) -> bool: ...

            @step(when=first)
            async def second(self) -> bool: ...

            @step(when=second)
            async def output(self) -> int: ...


@pytest.mark.parametrize("given", [[1, 2], (1, 2), range(3), []], ids=range(4))
def test_constants_may_be_mapped_over(given):
    """A list, a tuple or a range."""

    class Made(Reactor):
        @map_over(given)
        async def output(self, n: int) -> int: ...

    mapping = definition_of(Made).nodes["output"].map
    assert mapping is not None
    assert isinstance(mapping.elements, Literally)
    assert list(mapping.elements.value) == list(given)


def test_what_is_mapped_over_and_how():
    """Bounds and errors as said, or by default."""

    class Made(Reactor):
        @step
        async def lines(self) -> list[int]: ...

        @map_over(lines.result, batch_size=5, in_flight=2, on_error="collect", offload=True)
        async def output(self, n: int) -> int: ...

    node = definition_of(Made).nodes["output"]
    assert node.map is not None
    assert (node.map.elements, node.map.element) == (FromNode("lines"), int)
    assert (node.map.batch_size, node.map.in_flight, node.map.on_error, node.offload) == (5, 2, "collect", True)


@pytest.mark.parametrize("given", [None, 3, "abc", {1, 2}, use(list)], ids=["none", "number", "text", "set", "resource"])
def test_what_has_no_elements_is_refused(refuses, given):
    """A map is over a reference, a source or a constant list."""
    with refuses(code="not-elements", line="async def output", fix="", what="the map `output`"):

        class Wrong(Reactor):
            @map_over(given)
            async def output(self, n: int) -> int: ...


def test_a_node_or_a_list_of_references_is_no_source(refuses):
    """`.result` was forgotten; or a step must put the list together."""
    with refuses(code="not-elements", line="async def output", fix="@map_over(lines.result)"):

        class Wrong(Reactor):
            @step
            async def lines(self) -> list[int]: ...

            @map_over(lines)
            async def output(self, n: int) -> int: ...

    with refuses(code="not-elements", line="async def output", fix="puts the list together"):

        class Wrong(Reactor):
            @step
            async def one(self) -> int: ...

            @map_over([one.result, one.result])
            async def output(self, n: int) -> int: ...


def test_a_keyed_source_takes_after(refuses):
    """The last key comes in by name; a source with no key takes none."""
    with refuses(code="keyed-source-without-after", line="async def rows", fix="*, after: K | None"):

        class Wrong(Reactor):
            @source(key=int)
            async def rows(self):
                yield 1

            @map_over(rows)
            async def output(self, n: int) -> int: ...

    with refuses(code="unbound-parameter", line="async def rows", fix="default"):

        class Wrong(Reactor):
            @source
            async def rows(self, *, after: int | None):
                yield 1

            @map_over(rows)
            async def output(self, n: int) -> int: ...


class Reached(Reactor, abstract=True):
    @step
    async def first(self) -> bool: ...

    @step
    async def second(self, x: bool = first.result) -> list[int]: ...


first, second = Reached.first, Reached.second


@pytest.mark.parametrize(
    ("options", "takes", "reaches"),
    [
        ({}, first.result, first.result),
        ({}, second.result, first.result),
        ({"when": first}, 0, first.result),
        ({"after": [second]}, 0, [first.result, second.result]),
        ({}, 0, use(dict)),
        ({}, 0, 3),
    ],
    ids=["parent", "grandparent", "flag", "after", "resource", "constant"],
)
def test_handlers_reach_what_their_node_depended_on(options, takes, reaches):
    """Results, transitively, through data, `when` and `after`; resources and constants."""

    class Made(Reached):
        @step(**options)
        async def output(self, x: object = takes) -> int: ...

        @output.undo
        async def back(self, n: int, seen: object = reaches) -> None: ...

    undo = definition_of(Made).nodes["output"].undo
    assert undo is not None
    assert [p.name for p in undo.params] == ["seen"]


def test_handlers_reach_what_their_map_was_over():
    """Elements are a dependency as well."""

    class Made(Reached):
        @map_over(second.result)
        async def output(self, n: int) -> int: ...

        @output.undo
        async def back(self, n: int, seen: bool = first.result) -> None: ...

    undo = definition_of(Made).nodes["output"].undo
    assert undo is not None
    assert [p.binding for p in undo.params] == [FromNode("first")]


@pytest.mark.parametrize("kind", ["undo", "compensate"])
def test_handlers_reach_no_further(refuses, kind):
    """Another branch's result may not be there when they are called."""
    with refuses(code="handler-out-of-reach", line="aside: int = aside.result", fix="after=[aside]", what=f"`aside` of `{kind}_it`"):

        class Wrong(Reactor):
            @step
            async def aside(self) -> int: ...

            @step
            async def output(self) -> int: ...

            if kind == "undo":

                @output.undo
                async def undo_it(self, value: int, aside: int = aside.result) -> None: ...
            else:

                @output.compensate
                async def compensate_it(self, error: StepError, aside: int = aside.result) -> None: ...


@pytest.mark.parametrize("kind", ["undo", "compensate"])
def test_handlers_do_not_take_their_own_result(refuses, kind):
    """An undo is handed it, a compensate has none."""
    why = "handed already" if kind == "undo" else "has none"
    with refuses(code="handler-out-of-reach", line="again: int = output.result", fix="drop the parameter", what=why):

        class Wrong(Reactor):
            @step
            async def output(self) -> int: ...

            if kind == "undo":

                @output.undo
                async def back(self, value: int, again: int = output.result) -> None: ...
            else:

                @output.compensate
                async def answer(self, error: StepError, again: int = output.result) -> None: ...


def test_after_names_its_nodes():
    """Order without data is kept by name."""

    class Made(Reactor):
        @step
        async def first(self) -> int: ...

        @step(after=[first])
        async def output(self) -> int: ...

    assert definition_of(Made).nodes["output"].after == ("first",)


def test_a_cycle_by_after_is_found(refuses):
    """Not by data alone."""

    class Base(Reactor):
        @step
        async def first(self) -> int: ...

        @step(after=[first])
        async def output(self) -> int: ...

    with refuses(code="cycle", line="async def", fix="take something else", what="first → output → first"):

        class Wrong(Base):
            @step(after=[Base.output])
            async def first(self) -> int: ...
