"""The reactor class: instances that never change, and the one slot that performs them."""

from pathlib import Path
from typing import Annotated

import pytest

from reactor.define import reactor as module
from reactor.define.decorators import step
from reactor.define.definition import Span
from reactor.define.inputs import Secret
from reactor.define.reactor import Reactor, definition_of, record_of
from reactor.errors import DefinitionError

pytestmark = pytest.mark.anyio


class Greet(Reactor):
    name: str
    times: int = 1

    @step
    async def output(self) -> str:
        return f"hello {self.name}"


def test_a_definition_is_made_once():
    """And kept on its class, not in a registry."""
    assert definition_of(Greet) is definition_of(Greet)
    assert definition_of(Greet).cls is Greet


def test_a_definition_says_where():
    """File and lines of the class and of its nodes: the decorator's first line to the code's last."""
    definition = definition_of(Greet)
    lines = open_lines()
    assert definition.span.file == __file__
    assert lines[definition.span.line - 1] == "class Greet(Reactor):"
    span = definition.nodes["output"].span
    assert isinstance(span, Span)
    assert lines[span.line - 1].strip() == "@step"
    assert lines[span.end_line - 1].strip() == 'return f"hello {self.name}"'
    assert definition.span.end_line == span.end_line


def open_lines():
    """Those of the file."""
    return Path(__file__).read_text(encoding="utf-8").splitlines()


def test_equality_is_by_inputs():
    """And by class."""

    class Sub(Greet):
        pass

    assert Greet(name="a") == Greet(name="a", times=1)
    assert Greet(name="a") != Greet(name="b")
    assert Greet(name="a") != Sub(name="a")
    assert {Greet(name="a"), Greet(name="a")} == {Greet(name="a")}


def test_an_instance_never_changes(refuses):
    """What runs is what was validated; a step's own state is its result."""
    greet = Greet(name="a")
    with refuses(code="reactor-frozen", line="greet.name = ", fix="return the value"):
        greet.name = "b"
    with refuses(code="reactor-frozen", line="greet.new = ", fix="return the value"):
        greet.new = 1
    with refuses(code="reactor-frozen", line="del greet.name", fix="return the value"):
        del greet.name
    assert greet.name == "a"


def test_repr_is_the_call_that_makes_it():
    """Secrets masked."""

    class Login(Greet):
        token: Annotated[str, Secret()]

    assert repr(Greet(name="a")) == "Greet(name='a', times=1)"
    assert repr(Login(name="a", token="t")) == "Login(name='a', times=1, token=********)"


@pytest.mark.parametrize("given", [Reactor, int, "Greet", None, object()], ids=range(5))
def test_what_is_no_reactor_class_is_refused(refuses, given):
    """The base class itself too."""
    with refuses(code="not-a-reactor", line="definition_of(given)", fix="subclass Reactor"):
        definition_of(given)


def test_the_base_class_makes_no_instance(refuses):
    """There is nothing in it."""
    with refuses(code="not-a-reactor", line="Reactor()", fix="subclass Reactor"):
        Reactor()


async def test_awaiting_asks_the_one_slot(monkeypatch):
    """The engine fills it when it is imported."""

    async def perform(reactor):
        return ("performed", reactor)

    monkeypatch.setattr(module, "perform", perform)
    assert await Greet(name="a") == ("performed", Greet(name="a"))


async def test_awaiting_without_an_engine_is_told(monkeypatch):
    """Only where define alone was imported."""
    monkeypatch.setattr(module, "perform", None)
    with pytest.raises(module.NeedsEngine, match="import reactor"):
        await Greet(name="a")


def test_an_author_s_own_init_subclass_is_called():
    """And the class is still found where it was written."""
    seen = []

    class Listed(Reactor, abstract=True):
        def __init_subclass__(cls, **options):
            super().__init_subclass__(**options)
            seen.append(cls)

    class One(Listed):
        @step
        async def output(self) -> int: ...

    assert seen == [One]
    assert open_lines()[definition_of(One).span.line - 1].strip() == "class One(Listed):"


def test_a_refused_class_leaves_nothing():
    """The error is raised by the class statement itself."""
    with pytest.raises(DefinitionError):

        class Wrong(Reactor):
            @step
            async def output(self, x) -> int: ...

    assert "Wrong" not in locals()


def test_plain_methods_properties_and_constants_are_the_author_s():
    """Only decorated methods are nodes, only annotated names inputs."""

    class Mixed(Reactor):
        LIMIT = 3
        name: str

        @property
        def upper(self) -> str:
            return self.name.upper()

        def helper(self) -> int:
            return self.LIMIT

        @step
        async def output(self) -> int:
            return self.helper()

    assert list(definition_of(Mixed).nodes) == ["output"]
    assert [f.name for f in definition_of(Mixed).inputs] == ["name"]
    assert (Mixed(name="a").upper, Mixed(name="a").helper()) == ("A", 3)


def test_thousands_of_nodes_are_taken_down():
    """A chain with an undo each, deep enough that recursion would fail."""
    namespace, before = {}, None
    for n in range(2000):

        async def code(self, x: int = before.result if before is not None else 0) -> int: ...

        async def undo(self, value: int) -> None: ...

        code.__name__, undo.__name__ = f"s{n}", f"u{n}"
        before = namespace[f"s{n}"] = step(code)
        namespace[f"u{n}"] = before.undo(undo)
    namespace["output"] = before
    made = type("Long", (Reactor,), namespace)
    assert len(definition_of(made).nodes) == 2000
    assert definition_of(made).output == "s1999"
    assert record_of(made).definition is not None
