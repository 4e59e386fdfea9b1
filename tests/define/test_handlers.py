"""`undo` and `compensate`: registered in the class body, bare or with options, and refused where they could not work."""

import pytest

from reactor.define.decorators import compose, interrupt, map_over, step
from reactor.define.failing import StepError
from reactor.define.outcomes import Continue
from reactor.define.reactor import Reactor, definition_of
from reactor.define.retrying import Retry
from reactor.define.steps import Ask


class Shop(Reactor):
    @step
    async def reserve(self) -> str:
        return "hold"

    @reserve.undo
    async def release(self, hold: str) -> None: ...

    @reserve.compensate(retry=Retry(2), timeout=3)
    async def drop(self, error: StepError) -> Continue[str] | None: ...

    @step
    async def output(self) -> int:
        return 1

    @output.undo(retry=Retry(8), timeout=30)
    async def refund(self, charge: int) -> None: ...


def test_a_handler_stays_a_plain_method():
    """What is decorated is unchanged: it can be called, tested and overridden."""
    assert Shop.release.__name__ == "release"
    assert not isinstance(Shop.release, type(Shop.reserve))


def test_bare_and_with_options():
    """An undo gets five attempts where its author says nothing, a compensate one."""
    nodes = definition_of(Shop).nodes
    undo, compensate, refund = nodes["reserve"].undo, nodes["reserve"].compensate, nodes["output"].undo
    assert undo is not None
    assert (undo.fn, undo.retry, undo.timeout) == (Shop.release, Retry(5), None)
    assert compensate is not None
    assert (compensate.fn, compensate.retry, compensate.timeout) == (Shop.drop, Retry(2), 3.0)
    assert refund is not None
    assert (refund.retry, refund.timeout) == (Retry(8), 30.0)
    assert nodes["output"].compensate is None


def test_two_nodes_may_share_a_handler():
    """The decorator gives the function back, so another may follow."""

    class Shared(Reactor):
        @step
        async def a(self) -> int: ...

        @step
        async def output(self) -> int: ...

        @a.undo
        @output.undo
        async def back(self, value: int) -> None: ...

    undos = [node.undo for node in definition_of(Shared).nodes.values()]
    assert [undo.fn for undo in undos if undo is not None] == [Shared.back, Shared.back]


def test_a_handler_is_async(refuses):
    """An undo is awaited."""
    with refuses(code="handler-not-async", line="def back(self", fix="async def back"):

        class Wrong(Reactor):
            @step
            async def output(self) -> int: ...

            @output.undo
            def back(self, value: int) -> None: ...


def test_a_handler_is_a_function(refuses):
    """A node, a class, a constant cannot undo."""
    with refuses(code="handler-not-a-function", line="output.undo(other)", fix="@output.undo"):

        class Wrong(Reactor):
            @step
            async def other(self) -> int: ...

            @step
            async def output(self) -> int: ...

            output.undo(other)


def test_one_undo_a_node(refuses):
    """A second one would silently win."""
    with refuses(code="handler-twice", line="async def also", fix="`back` or `also`"):

        class Wrong(Reactor):
            @step
            async def output(self) -> int: ...

            @output.undo
            async def back(self, value: int) -> None: ...

            @output.undo
            async def also(self, value: int) -> None: ...


@pytest.mark.parametrize("named", ["output", "other"])
def test_a_handler_takes_no_node_s_name(refuses, named):
    """The node would be gone from the class."""
    with refuses(code="handler-takes-name", line=f"async def {named}", fix="name it for what it does"):
        if named == "output":

            class Wrong(Reactor):
                @step
                async def output(self) -> int: ...

                @output.undo
                async def output(self, value: int) -> None: ...
        else:

            class Wrong(Reactor):
                @step
                async def other(self) -> int: ...

                @step
                async def output(self) -> int: ...

                @output.undo
                async def other(self, value: int) -> None: ...  # noqa: F811 - that is the point


def test_a_subclass_does_not_change_its_base(refuses):
    """Registering with a base's node would change the base's runs."""
    with refuses(code="handler-too-late", line="async def back", fix="override the method by its name"):

        class Wrong(Shop):
            @Shop.output.compensate
            async def back(self, error: StepError) -> None: ...


def test_options_of_handlers_are_two(refuses):
    """Retry and timeout, and nothing else."""
    with refuses(code="option-not-taken", line="@output.undo(", fix="leave it out", known="timeout"):

        class Wrong(Reactor):
            @step
            async def output(self) -> int: ...

            @output.undo(offload=True)
            async def back(self, value: int) -> None: ...


def test_an_interrupt_and_a_compose_take_no_undo(refuses):
    """Each says why."""
    with refuses(code="no-such-node-attribute", line="@ask.undo", fix="nothing to undo", known="compensate"):

        class Wrong(Reactor):
            @interrupt
            async def ask(self) -> Ask[int]: ...

            @ask.undo
            async def back(self, value: int) -> None: ...

    with refuses(code="no-such-node-attribute", line="@child.undo", fix="its own nodes' undos"):

        class WrongToo(Reactor):
            @compose
            async def child(self) -> Shop: ...

            @child.undo
            async def back(self, value: int) -> None: ...


def test_a_map_over_reactors_takes_no_undo(refuses):
    """Its elements undo themselves; a map over plain elements has an undo an element."""
    with refuses(code="undo-of-reactors", line="async def back", fix="the steps of Shop"):

        class Wrong(Reactor):
            @map_over([1, 2])
            async def output(self, n: int) -> Shop: ...

            @output.undo
            async def back(self, value: int) -> None: ...

    class Fine(Reactor):
        @map_over([1, 2])
        async def output(self, n: int) -> str: ...

        @output.undo
        async def back(self, value: str) -> None: ...

    assert definition_of(Fine).nodes["output"].undo is not None


def test_a_handler_is_handed_its_value(refuses):
    """`async def undo(self)` would get more than it takes."""
    with refuses(code="too-few-parameters", line="async def back", fix="async def back(self, value, …)"):

        class Wrong(Reactor):
            @step
            async def output(self) -> int: ...

            @output.undo
            async def back(self) -> None: ...


def test_what_a_handler_is_handed_is_not_bound(refuses):
    """The value comes first, then what is bound."""
    with refuses(code="handed-parameter-bound", line="error: int = first.result", fix="before `error`"):

        class Wrong(Reactor):
            @step
            async def first(self) -> int: ...

            @step
            async def output(self, f: int = first.result) -> int: ...

            @output.compensate
            async def answer(
                self,
                error: int = first.result,
            ) -> None: ...
