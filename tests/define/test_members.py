"""Inheritance: references go by name to the final class, whoever overrides what."""

from collections.abc import AsyncIterator

from reactor.define.decorators import map_over, source, step
from reactor.define.definition import FromNode
from reactor.define.failing import StepError
from reactor.define.reactor import Reactor, definition_of


class Base(Reactor):
    rate: int = 2

    @step
    async def price(self) -> int:
        return 1

    @step
    async def reserve(self, price: int = price.result) -> str:
        return ""

    @reserve.undo
    async def release(self, hold: str) -> None: ...

    @reserve.compensate
    async def drop(self, error: StepError) -> None: ...

    @step
    async def output(self, hold: str = reserve.result) -> str:
        return hold


def edges(cls):
    """Who takes whose result."""
    nodes = definition_of(cls).nodes
    return {n.name: [p.binding.node for p in n.params if isinstance(p.binding, FromNode)] for n in nodes.values()}


def test_an_override_is_found_by_its_name():
    """Dependents declared in the base take the subclass's result; order and name stay the base's."""

    class Sub(Base):
        @step
        async def price(self) -> int:
            return 2

    definition = definition_of(Sub)
    assert list(definition.nodes) == ["price", "reserve", "output"]
    assert definition.nodes["price"].fn is Sub.price.fn
    assert edges(Sub) == edges(Base) == {"price": [], "reserve": ["price"], "output": ["reserve"]}
    assert definition_of(Base).nodes["price"].fn is Base.price.fn
    assert definition.name == "Sub"


def test_an_override_keeps_undo_and_compensate():
    """Of its name; it may change parameters."""

    class Sub(Base):
        extra: str = ""

        @step
        async def reserve(self) -> str:
            return "other"

    node = definition_of(Sub).nodes["reserve"]
    assert node.params == ()
    assert node.undo is not None
    assert node.undo.fn is Base.release
    assert node.compensate is not None
    assert node.compensate.fn is Base.drop


def test_an_override_may_bring_handlers_of_its_own():
    """They win over the base's, one by one."""

    class Sub(Base):
        @step
        async def reserve(self) -> str:
            return "other"

        @reserve.undo
        async def put_back(self, hold: str) -> None: ...

    node = definition_of(Sub).nodes["reserve"]
    assert node.undo is not None
    assert node.undo.fn is Sub.put_back
    assert node.compensate is not None
    assert node.compensate.fn is Base.drop


def test_the_undo_method_may_be_overridden_by_name():
    """A plain method of the handler's name takes its place, with the base's options and its own parameters."""

    class Sub(Base):
        async def release(self, hold: str, price: int = Base.price.result) -> None: ...

    undo = definition_of(Sub).nodes["reserve"].undo
    assert undo is not None
    assert undo.fn is Sub.release
    assert [p.binding for p in undo.params] == [FromNode("price")]
    before = definition_of(Base).nodes["reserve"].undo
    assert before is not None
    assert before.fn is Base.release


def test_handlers_named_underscore_are_not_mixed_up():
    """Several undos that nobody calls may share the name `_`; none is then taken for an override of another."""

    class Two(Reactor):
        @step
        async def a(self) -> int: ...

        @a.undo
        async def _(self, value: int) -> None:
            """Of a."""

        @step
        async def output(self) -> int: ...

        @output.undo
        async def _(self, value: int) -> None:
            """Of output."""

    undos = [node.undo for node in definition_of(Two).nodes.values()]
    assert [undo.fn.__doc__ for undo in undos if undo is not None] == ["Of a.", "Of output."]


def test_an_override_of_a_handler_is_async(refuses):
    """A constant or a plain def of its name would lose the undo."""
    with refuses(code="override-kind", line="def release(self, hold", fix="async def release"):

        class Wrong(Base):
            def release(self, hold: str) -> None: ...


def test_a_new_step_refers_to_the_base_s(refuses):
    """Through the base's name; and what it overrides is found."""

    class Sub(Base):
        @step
        async def price(self) -> int:
            return 2

        @step
        async def tax(self, price: int = Base.price.result, now: int = price.result) -> int:
            return price

    assert edges(Sub)["tax"] == ["price", "price"]
    with refuses(code="foreign-node", line="x: int = Base.price.result", fix="compose Base", nearest=None, known="output"):

        class Wrong(Reactor):
            @step
            async def output(self, x: int = Base.price.result) -> int: ...


def test_mixins_bring_nodes():
    """A plain class of nodes serves several reactors."""

    class Priced:
        @step
        async def price(self) -> int:
            return 1

    class A(Priced, Reactor):
        @step
        async def output(self, x: int = Priced.price.result) -> int:
            return x

    assert edges(A) == {"price": [], "output": ["price"]}


def test_two_bases_meet_in_one_class():
    """Python's method order decides, as for methods."""

    class Left(Base):
        @step
        async def price(self) -> int:
            return 10

    class Right(Base):
        @step
        async def price(self) -> int:
            return 20

        @step
        async def reserve(self) -> str:
            return "right"

    class Both(Left, Right): ...

    nodes = definition_of(Both).nodes
    assert nodes["price"].fn is Left.price.fn
    assert nodes["reserve"].fn is Right.reserve.fn


def test_output_may_be_renamed():
    """`output = ship` names a node again, in the class or in a subclass; the node keeps its name."""

    class Renamed(Reactor):
        @step
        async def ship(self) -> int: ...

        output = ship

    class Again(Base):
        output = Base.reserve

    assert definition_of(Renamed).output == "ship"
    assert list(definition_of(Renamed).nodes) == ["ship"]
    assert Renamed.output is Renamed.ship
    assert definition_of(Again).output == "reserve"
    assert list(definition_of(Again).nodes) == ["price", "reserve"]


def test_a_renamed_output_may_be_overridden():
    """By its own name: the output follows."""

    class Renamed(Reactor):
        @step
        async def ship(self) -> int: ...

        output = ship

    class Sub(Renamed):
        @step
        async def ship(self) -> int: ...

    assert definition_of(Sub).output == "ship"
    assert definition_of(Sub).nodes["ship"].fn is Sub.ship.fn


def test_what_output_hides_is_not_referred_to(refuses):
    """The base's `output` step is gone where the subclass renames; who needs it is told."""
    with refuses(code="node-hidden", line="async def extra", fix="rename the hidden step"):

        class Wrong(Base):
            @step
            async def extra(self, x: str = Base.output.result) -> int: ...

            output = extra


def test_only_output_is_a_second_name(refuses):
    """Any other alias would be one node with two addresses."""
    with refuses(code="two-names", line="async def ship", fix="only `output = …`"):

        class Wrong(Reactor):
            @step
            async def ship(self) -> int: ...

            sent = ship
            output = ship


def test_an_override_keeps_the_kind(refuses):
    """A step stays a step, with or without `when` as it was."""
    with refuses(code="override-kind", line="async def price", fix="keep it a step"):

        class Wrong(Base):
            @map_over([1])
            async def price(self, n: int) -> int: ...

    with refuses(code="override-kind", line="async def price", fix="keep it a step", what="step with `when`"):

        class WrongToo(Base):
            @step
            async def flag(self) -> bool: ...

            @step(when=flag)
            async def price(self) -> int: ...

    with refuses(code="override-kind", line="async def price", fix="keep it a step"):

        class WrongAgain(Base):
            @source
            async def price(self):
                yield 1


def test_a_source_keeps_its_kind_and_its_name(refuses):
    """As a node does."""

    class Rows(Reactor, abstract=True):
        @source
        async def rows(self) -> AsyncIterator[int]:
            yield 1

    with refuses(code="override-kind", line="async def rows", fix="keep it a source"):

        class Wrong(Rows):
            @step
            async def rows(self) -> int: ...

    with refuses(code="two-names", line="async def rows", fix="keep one name"):

        class WrongToo(Rows):
            again = Rows.rows


def test_an_override_is_a_node(refuses):
    """A field, a constant or a method of its name would lose the step."""
    with refuses(code="override-kind", line="class Wrong(Base)", fix="another name"):

        class Wrong(Base):
            price: int = 3

    with refuses(code="override-kind", line="class WrongToo(Base)", fix="another name"):

        class WrongToo(Base):
            price = 3

    with refuses(code="override-kind", line="async def price", fix="decorate it as the base class does"):

        class WrongAgain(Base):
            async def price(self) -> int: ...


def test_an_override_keeps_the_type(refuses):
    """Dependents were written for it."""
    with refuses(code="override-type", line="async def price", fix="return `int`", what="`float`"):

        class Wrong(Base):
            @step
            async def price(self) -> float: ...


def test_a_name_taken_by_something_else_is_told(refuses):
    """The step is gone from the class, the reference to it is not."""
    with refuses(code="node-replaced", line="x: int = price_result", fix="two different names", what="`price`"):

        class Wrong(Reactor):
            @step
            async def price(self) -> int: ...

            price_result = price.result

            async def price(self) -> int: ...

            @step
            async def output(self, x: int = price_result) -> int: ...


def test_an_override_may_bring_about_a_cycle(refuses):
    """The final class is checked, and the cycle is spelled out."""
    with refuses(code="cycle", line="async def", fix="take something else", what="price → reserve → price"):

        class Wrong(Base):
            @step
            async def price(self, hold: str = Base.reserve.result) -> int: ...


def test_sources_are_overridden_by_name():
    """The base's map then pulls from the subclass's source."""

    class Rows(Reactor):
        @source
        async def rows(self) -> AsyncIterator[int]:
            yield 1

        @map_over(rows)
        async def output(self, n: int) -> int: ...

    class Sub(Rows):
        @source
        async def rows(self) -> AsyncIterator[int]:
            yield 2

    mapping = definition_of(Sub).nodes["output"].map
    assert mapping is not None
    assert mapping.elements.fn is Sub.rows.fn
    assert definition_of(Rows).nodes["output"].map.elements.fn is Rows.rows.fn
