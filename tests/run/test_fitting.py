"""Code fits a record, or it does not: the four rules, one by one, in the run, in children and in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from reactor import Ask, Continue, Incompatible, Reactor, Results, StepError, compose, interrupt, map_over, step
from reactor.define.failing import Failure
from reactor.machine import events
from reactor.machine.events import Event
from reactor.machine.machine import Machine
from reactor.machine.state import State
from reactor.plan.compile import plan_of
from reactor.record import facts
from reactor.record.codec import Codec
from reactor.record.definitions import definition_data, read_definition
from reactor.record.inputs import encode_inputs
from reactor.record.sealing import Sealer
from reactor.record.store import Loaded
from reactor.run.fitting import unfit
from reactor.run.loading import Reading
from reactor.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio
PLAIN = Sealer((), plain=True)
Fact = tuple[Event, bytes]


def began(address: str, call: Any = "do") -> Fact:
    """A call began."""
    return events.CallStarted(1.0, address, call), b""


def done(address: str, value: Any, declared: Any = str) -> list[Fact]:
    """A step has its result."""
    return [began(address), (events.CallSucceeded(1.0, address), Codec(declared).encode(value))]


def opened(address: str, child: Reactor, name: str | None = None) -> list[Fact]:
    """A compose returned a reactor."""
    name = name or plan_of(type(child)).name
    return [began(address), (events.ChildOpened(1.0, address, name), encode_inputs(child, PLAIN, "shop:1", address))]


def loaded_of(cls: type[Reactor], given: Sequence[Fact | list[Fact]]) -> Loaded:
    """A record as a store gives it."""
    flat = [(events.RunStarted(1.0, "", "shop:1"), b"")]
    for one in given:
        flat += one if isinstance(one, list) else [one]
    plan = plan_of(cls)
    return Loaded(
        run="shop:1", root="shop:1", parent=None, reactor=plan.name, version=1, fingerprint=plan.fingerprint, place="", status="parked",
        due=None, token=None, fence=1, seq=len(flat), inputs=b"\x80", elements=b"", chunk=None, tags=(), created_at=1.0, ended_at=None,
        snapshot=None, events=tuple(facts.encode(event, raw) for event, raw in flat), mail=(),
    )  # fmt: skip


def state_of(new: Reactor, loaded: Loaded) -> State:
    """The record folded under other code."""
    machine = Machine(plan_of(type(new)))
    Reading(MemoryStore(), "shop:1", new, root="shop:1", sealer=PLAIN).replay(machine, loaded.events)
    return machine.state


async def misfit(old: type[Reactor], new: type[Reactor], *given: Fact | list[Fact]) -> tuple[str, str] | None:
    """The rule and the address at which a record of the old code does not fit the new."""
    loaded = loaded_of(old, given)
    error = await unfit(loaded, read_definition(definition_data(plan_of(old))), plan_of(new), lambda: state_of(new(), loaded))
    if error is None:
        return None
    assert f"`{error.address}`" in str(error)
    assert error.fix
    return error.rule, error.address


# ---- code that fits ---------------------------------------------------------------------------------------------


class Shop(Reactor, name="shop"):
    """Three steps in a row; the middle one has an undo."""

    @step
    async def price(self) -> int:
        return 1

    @step
    async def reserve(self, price: int = price.result) -> str:
        return "hold"

    @reserve.undo
    async def release(self, hold: str) -> None: ...

    @step
    async def output(self, hold: str = reserve.result) -> str:
        return hold


HALF = [done("price", 1, int), done("reserve", "hold")]


async def test_the_same_code_is_asked_nothing():
    """Not even for what it was."""
    loaded = loaded_of(Shop, HALF)
    assert await unfit(loaded, None, plan_of(Shop), lambda: state_of(Shop(), loaded), plan_of(Shop).fingerprint) is None


async def test_code_that_only_adds_fits():
    """A new name with an alias, other bodies, a node at the end, another before what has not begun."""

    class Store(Reactor, name="store", aliases=["shop"], version=2):
        @step
        async def price(self) -> int:
            return 2

        @step
        async def reserve(self, price: int = price.result) -> str:
            return "other"

        @reserve.undo
        async def give_back(self, hold: str) -> None: ...

        @step
        async def check(self, hold: str = reserve.result) -> bool:
            return True

        @step
        async def ship(self, hold: str = reserve.result, ok: bool = check.result) -> str:
            return hold

        output = ship

    assert await misfit(Shop, Store, *HALF) is None


async def test_what_has_not_begun_may_go():
    """Or become something else."""

    class Shorter(Reactor, name="shop"):
        @step
        async def price(self) -> int:
            return 1

        @compose
        async def output(self, price: int = price.result) -> Shop:
            return Shop()

    assert await misfit(Shop, Shorter, done("price", 1, int)) is None


async def test_a_definition_that_is_gone_is_no_guess():
    """What had an undo cannot be told, so nothing goes on."""
    loaded = loaded_of(Shop, HALF)
    error = await unfit(loaded, None, plan_of(Other), lambda: state_of(Other(), loaded))
    assert isinstance(error, Incompatible)
    assert error.code == "definition-gone"


# ---- rule 1 -----------------------------------------------------------------------------------------------------


class Other(Reactor, name="shop"):
    """Without `reserve`."""

    @step
    async def price(self) -> int:
        return 1

    @step
    async def output(self, price: int = price.result) -> str:
        return "x"


async def test_what_has_begun_is_there():
    """A node that began, done or not; the nearest name is told."""
    assert await misfit(Shop, Other, *HALF) == ("begun", "reserve")
    assert await misfit(Shop, Other, HALF[0], began("reserve")) == ("begun", "reserve")
    assert await misfit(Shop, Other, HALF[0]) is None


async def test_what_has_begun_is_of_its_kind():
    """Also where nothing on record but its start tells the kind: the definition of the code that wrote it does."""

    class Asks(Reactor, name="shop"):
        @step
        async def price(self) -> int:
            return 1

        @interrupt
        async def reserve(self, price: int = price.result) -> Ask[str]:
            return Ask()

        @step
        async def output(self, hold: str = reserve.result) -> str:
            return hold

    assert await misfit(Shop, Asks, HALF[0], began("reserve")) == ("begun", "reserve")
    assert await misfit(Asks, Shop, HALF[0], began("reserve"), (events.Asked(1.0, "reserve"), b"")) == ("begun", "reserve")
    assert await misfit(Shop, Asks, HALF[0]) is None


def parent_of(child: type[Reactor]) -> type[Reactor]:
    """A reactor with a child."""

    class Parent(Reactor, name="shop"):
        @compose
        async def pay(self) -> child:  # type: ignore[valid-type]
            return child()

        @step
        async def output(self, paid: int = pay.result) -> int:
            return paid

    return Parent


class Pay(Reactor, name="pay"):
    """A child of two steps, the first with an undo."""

    @step
    async def hold(self) -> int:
        return 1

    @hold.undo
    async def drop(self, held: int) -> None: ...

    @step
    async def output(self, held: int = hold.result) -> int:
        return held


class PayAlike(Reactor, name="payment", aliases=["pay"]):
    """The same under another name."""

    @step
    async def hold(self) -> int:
        return 1

    @hold.undo
    async def drop(self, held: int) -> None: ...

    @step
    async def output(self, held: int = hold.result) -> int:
        return held


class PayOther(Reactor, name="pay"):
    """A child in which all is different."""

    @step
    async def held(self) -> int:
        return 1

    @step
    async def output(self, held: int = held.result) -> int:
        return held


async def test_what_has_begun_in_a_child_is_there():
    """By its address, with the name of the child that it had then, or an alias."""
    given = [opened("pay", Pay()), began("pay.hold")]
    assert await misfit(parent_of(Pay), parent_of(PayAlike), *given) is None
    assert await misfit(parent_of(Pay), parent_of(PayOther), *given) == ("begun", "pay.hold")
    assert await misfit(parent_of(Pay), parent_of(Shop), *given) == ("begun", "pay")


async def test_a_child_that_was_tried_again_is_the_latest_one():
    """A TryAgain may return another reactor: what the first had begun is nobody's any more."""
    first = [*opened("pay", Pay()), began("pay.hold")]

    class Both(Reactor, name="shop"):
        @compose
        async def pay(self) -> Pay | PayOther:
            return Pay()

        @step
        async def output(self, paid: int = pay.result) -> int:
            return paid

    class Later(Reactor, name="shop"):
        @compose
        async def pay(self) -> Pay | Shop:
            return Pay()

        @step
        async def output(self, paid: int | str = pay.result) -> int:
            return 1

    assert await misfit(parent_of(Pay), Both, first) is None
    assert await misfit(parent_of(Pay), Later, first, opened("pay", Pay())) is None


def map_of(cls: type[Reactor] | None) -> type[Reactor]:
    """A map over steps, or over reactors."""
    if cls is None:

        class Steps(Reactor, name="shop"):
            @map_over([1, 2, 3])
            async def output(self, n: int) -> int:
                return n

        return Steps

    class Reactors(Reactor, name="shop"):
        @map_over([1, 2, 3])
        async def output(self, n: int) -> cls:  # type: ignore[valid-type]
            return cls()

    return Reactors


async def test_elements_are_of_their_kind():
    """A map of steps does not become one of reactors once it has begun; a kept element is looked for at its map."""
    steps, reactors = map_of(None), map_of(Pay)
    begun = (events.MapOpened(1.0, "output", 3), b"")
    assert await misfit(steps, reactors, begun) == ("begun", "output[…]")
    assert await misfit(reactors, steps, begun) == ("begun", "output[…]")
    assert await misfit(steps, reactors) is None
    kept = (events.Kept(1.0, "output[1]"), b"\x01")
    assert await misfit(steps, Mapless, kept) == ("begun", "output[1]")


class Mapless(Reactor, name="shop"):
    """No map where there was one."""

    @step
    async def out(self) -> int:
        return 1

    output = out


async def test_a_batch_is_asked_as_well():
    """Its elements are of their kind, and their children's nodes are there."""
    batch = (events.RunStarted(1.0, "output", "shop:1", first=3, size=2), b"")
    inside = [batch, opened("output[3]", Pay()), began("output[3].hold")]

    async def ask(old, new, given):
        loaded = loaded_of(old, given)
        plan = plan_of(new)
        machine = Machine.of_batch(plan, plan.nodes[0], "output", 3, 2)

        def replay() -> State:
            Reading(MemoryStore(), "shop:1", new(), root="shop:1", sealer=PLAIN).replay(machine, loaded.events[1:])
            return machine.state

        found = await unfit(loaded, read_definition(definition_data(plan_of(old))), machine.state.root.plan, replay)
        return None if found is None else (found.rule, found.address)

    assert await ask(map_of(Pay), map_of(PayAlike), inside) is None
    assert await ask(map_of(Pay), map_of(PayOther), inside) == ("begun", "output[3].hold")
    assert await ask(map_of(Pay), map_of(None), inside) == ("begun", "output[3]")
    assert await ask(map_of(None), map_of(Pay), [batch, done("output[4]", 1, int)]) == ("begun", "output[4]")
    assert await ask(map_with_undo(int), map_with_undo(str), [batch, done("output[4]", 1, int)]) == ("value", "output[4]")
    assert await ask(map_with_undo(int), map_of(None), [batch, done("output[4]", 1, int)]) == ("undo", "output[4]")
    assert await ask(map_with_undo(int), map_with_undo(float), [batch, done("output[4]", 1, int)]) is None


def map_with_undo(returns: Any) -> type[Reactor]:
    """A map whose elements are undone."""

    class Undoable(Reactor, name="shop"):
        @map_over([1, 2, 3])
        async def output(self, n: int) -> returns:
            return returns(n)

        @output.undo
        async def back(self, value: returns) -> None: ...

    return Undoable


# ---- rule 2 -----------------------------------------------------------------------------------------------------


class Price(msgspec.Struct):
    """What was stored."""

    total: int


class Wider(msgspec.Struct):
    """It reads what was stored."""

    total: int | str
    currency: str = "eur"


class Stricter(msgspec.Struct):
    """It does not."""

    total: int
    currency: str


def priced(kind: type, *, undo: bool = False, reader: bool = True) -> type[Reactor]:
    """A reactor whose `price` is of a type; its undo, and the last step, may read it."""

    class Priced(Reactor, name="shop"):
        @step
        async def price(self) -> kind:  # type: ignore[valid-type]
            return kind(total=1)

        if undo:

            @price.undo
            async def back(self, price: kind) -> None: ...  # type: ignore[valid-type]

        @step
        async def reserve(self, price: kind = price.result) -> str:  # type: ignore[valid-type]
            return "hold"

        if reader:

            @step
            async def output(self, hold: str = reserve.result, price: kind = price.result) -> str:  # type: ignore[valid-type]
                return hold
        else:

            @step
            async def output(self, hold: str = reserve.result) -> str:
                return hold

    return Priced


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (priced(Price), priced(Wider), None),
        (priced(Price), priced(Stricter), ("value", "price")),
        (priced(Price, reader=False), priced(Stricter, reader=False), None),
        (priced(Price, reader=False), priced(Stricter), ("value", "price")),
        (priced(Price, reader=False, undo=True), priced(Wider, reader=False, undo=True), None),
        (priced(Price, reader=False, undo=True), priced(Stricter, reader=False, undo=True), ("value", "price")),
        (priced(Price, reader=False), priced(Stricter, reader=False, undo=True), ("value", "price")),
    ],
    ids=["reads", "does not read", "nobody needs it", "a new reader", "its undo reads", "its undo does not", "a new undo"],
)
async def test_what_is_stored_and_still_needed_reads(old, new, found):
    """Tried, not compared: by what is still to be called, by its own undo; not where all that read it is done."""
    assert await misfit(old, new, done("price", Price(1), Price), done("reserve", "hold")) == found


async def test_nobody_needs_what_only_a_stopped_run_would_have_read():
    """A run that is rolling back begins nothing: only what is undone must read."""
    stopped = (events.StopRequested(1.0, "", "cancel", "enough"), b"")
    given = [done("price", Price(1), Price), done("reserve", "hold"), stopped]
    assert await misfit(priced(Price), priced(Stricter), *given) is None
    assert await misfit(priced(Price, undo=True), priced(Stricter, undo=True), *given) == ("value", "price")


async def test_an_undo_needs_what_its_parameters_read():
    """Results that it takes beside its own."""

    def reading(kind: type) -> type[Reactor]:
        class Reads(Reactor, name="shop"):
            @step
            async def price(self) -> kind:  # type: ignore[valid-type]
                return kind(total=1)

            @step
            async def reserve(self, price: kind = price.result) -> str:  # type: ignore[valid-type]
                return "hold"

            @reserve.undo
            async def release(self, hold: str, price: kind = price.result) -> None: ...  # type: ignore[valid-type]

            @step
            async def output(self, hold: str = reserve.result) -> str:
                return hold

        return Reads

    given = [done("price", Price(1), Price), done("reserve", "hold")]
    assert await misfit(reading(Price), reading(Stricter), *given) == ("value", "price")
    assert await misfit(reading(Price), reading(Wider), *given) is None


async def test_flags_elements_sources_and_compensations_need_values():
    """Whatever reads: a `when`, a map's elements, a handler that may be called."""

    def choosing(elements: Any, kind: type) -> type[Reactor]:
        class Chooses(Reactor, name="shop"):
            @step
            async def lines(self) -> elements:
                return []

            @step
            async def price(self) -> kind:  # type: ignore[valid-type]
                return kind(total=1)

            @map_over(lines.result)
            async def ship(self, n: Any) -> int:
                return 1

            @step(after=[price])
            async def output(self, shipped: Results[int] = ship.result) -> int:
                return 1

            @output.compensate
            async def mend(self, error: StepError, price: kind = price.result) -> Continue[int]:  # type: ignore[valid-type]
                return Continue(1)

        return Chooses

    old = choosing(list[int], Price)
    given = [done("lines", [1], list[int]), done("price", Price(1), Price)]
    assert await misfit(old, choosing(list[str], Price), *given) == ("value", "lines")
    assert await misfit(old, choosing(list[int], Stricter), *given) == ("value", "price")
    assert await misfit(old, choosing(list[float], Wider), *given) is None


async def test_what_skip_and_continue_said_reads_as_well():
    """None always does, whatever the type."""
    skipped = (events.Skipped(1.0, "price", None, "raised"), Codec(Price).encode(Price(1)))
    none = (events.Skipped(1.0, "price", None, "raised"), b"")
    continued = [
        began("price"),
        (events.CallFailed(1.0, "price", "do", 1, Failure("Boom", "no")), b""),
        (events.Compensated(1.0, "price", "continued"), Codec(Price).encode(Price(1))),
    ]

    def mending(kind: type) -> type[Reactor]:
        class Mends(Reactor, name="shop"):
            @step
            async def price(self) -> kind:  # type: ignore[valid-type]
                return kind(total=1)

            @price.compensate
            async def mend(self, error: StepError) -> Continue[kind]:  # type: ignore[valid-type]
                return Continue(kind(total=1))

            @step
            async def output(self, price: kind = price.result) -> str:  # type: ignore[valid-type]
                return "x"

        return Mends

    old, strict = mending(Price), mending(Stricter)
    assert await misfit(old, strict, began("price"), skipped) == ("value", "price")
    assert await misfit(old, strict, began("price"), none) is None
    assert await misfit(old, strict, continued) == ("value", "price")
    assert await misfit(old, mending(Wider), continued) is None


async def test_the_outcome_needs_the_output():
    """Also a child's, for the node that returned it; not once the run is rolling back."""

    def ending(returns: Any) -> type[Reactor]:
        class Ends(Reactor, name="shop"):
            @step
            async def last(self) -> returns:
                return 1

            @step(after=[last])
            async def tidy(self) -> None: ...

            output = last

        return Ends

    given = done("last", 1, int)
    assert await misfit(ending(int), ending(str), given) == ("value", "last")
    assert await misfit(ending(int), ending(float), given) is None
    around = [*opened("pay", ending(int)()), began("pay.last"), given[1]]
    child = [*around[:2], *done("pay.last", 1, int)]
    assert await misfit(parent_of(ending(int)), parent_of(ending(str)), child) == ("value", "pay.last")
    closed = [*child, began("pay.tidy"), (events.CallSucceeded(1.0, "pay.tidy"), b"\xc0"), (events.Closed(1.0, "pay"), b"")]
    assert await misfit(parent_of(ending(int)), parent_of(ending(str)), closed) == ("value", "pay")


async def test_inputs_are_values_too():
    """A child's that do not fit are told with the child."""

    class Small(Reactor, name="pay"):
        count: int = 1

        @step
        async def output(self) -> int:
            return self.count

    class Large(Reactor, name="pay"):
        count: str = "1"

        @step
        async def output(self) -> int:
            return 1

    assert await misfit(parent_of(Small), parent_of(Large), opened("pay", Small(count=3))) == ("value", "pay")
    assert await misfit(parent_of(Small), parent_of(Small), opened("pay", Small(count=3))) is None


# ---- rule 3 -----------------------------------------------------------------------------------------------------


class Checked(Reactor, name="shop"):
    """A step between the first and the second."""

    @step
    async def price(self) -> int:
        return 1

    @step
    async def check(self, price: int = price.result) -> bool:
        return True

    @step
    async def reserve(self, price: int = price.result, ok: bool = check.result) -> str:
        return "hold"

    @reserve.undo
    async def release(self, hold: str) -> None: ...

    @step
    async def output(self, hold: str = reserve.result) -> str:
        return hold


async def test_nothing_new_comes_before_what_has_begun():
    """In flight or done; before what has not begun it may."""
    assert await misfit(Shop, Checked, *HALF) == ("order", "reserve")
    assert await misfit(Shop, Checked, HALF[0], began("reserve")) == ("order", "reserve")
    assert await misfit(Shop, Checked, HALF[0]) is None


class Apart(Reactor, name="shop"):
    """Two branches that know nothing of each other."""

    @step
    async def a(self) -> str:
        return "a"

    @step
    async def b(self) -> str:
        return "b"

    @step
    async def output(self, a: str = a.result, b: str = b.result) -> str:
        return a + b


class Joined(Reactor, name="shop"):
    """One waits for the other."""

    @step
    async def a(self) -> str:
        return "a"

    @step
    async def b(self, a: str = a.result) -> str:
        return a + "b"

    @step
    async def output(self, a: str = a.result, b: str = b.result) -> str:
        return a + b


async def test_what_is_done_may_come_before_what_has_begun():
    """Whichever was first on record: the fold counts what is in flight as it is, and what follows begins."""
    assert await misfit(Apart, Joined, began("a"), began("b")) == ("order", "b")
    given = [began("b"), *done("a", "a")]
    assert await misfit(Apart, Joined, given) is None
    state = state_of(Joined(), loaded_of(Apart, [given]))
    assert state.root.in_flight == 1
    state = state_of(Joined(), loaded_of(Apart, [[*given, done("b", "b")[1]]]))
    assert (state.root.in_flight, state.root.left) == (0, 1)
    assert [scope.names[index] for scope, index, _ in state.ready] == ["output"]


async def test_the_order_in_a_child_counts_as_well():
    """A child's node that has begun waits for nothing new."""

    class PayChecked(Reactor, name="pay"):
        @step
        async def check(self) -> bool:
            return True

        @step
        async def hold(self, ok: bool = check.result) -> int:
            return 1

        @hold.undo
        async def drop(self, held: int) -> None: ...

        @step
        async def output(self, held: int = hold.result) -> int:
            return held

    given = [*opened("pay", Pay()), *done("pay.hold", 1, int)]
    assert await misfit(parent_of(Pay), parent_of(PayChecked), given) == ("order", "pay.hold")


# ---- rule 4 -----------------------------------------------------------------------------------------------------


class Plain(Reactor, name="shop"):
    """As `Shop`, with no undo."""

    @step
    async def price(self) -> int:
        return 1

    @step
    async def reserve(self, price: int = price.result) -> str:
        return "hold"

    @step
    async def output(self, hold: str = reserve.result) -> str:
        return hold


async def test_what_succeeded_and_had_an_undo_has_one():
    """What has not succeeded may lose it; what is undone, or was skipped, needs none."""
    assert await misfit(Shop, Plain, *HALF) == ("undo", "reserve")
    assert await misfit(Shop, Plain, HALF[0], began("reserve")) is None
    assert await misfit(Shop, Plain, HALF[0], began("reserve"), (events.Skipped(1.0, "reserve", None, "raised"), b"")) is None
    stopped = (events.StopRequested(1.0, "", "cancel", "enough"), b"")
    undone = [began("reserve", "undo"), (events.Undone(1.0, "reserve"), b"")]
    assert await misfit(Shop, Plain, *HALF, stopped, began("reserve", "undo")) == ("undo", "reserve")
    assert await misfit(Shop, Plain, *HALF, stopped, undone) is None
    assert await misfit(Plain, Shop, *HALF) is None


async def test_an_undo_in_a_child_counts_as_well():
    """Open or closed."""

    class PayPlain(Reactor, name="pay"):
        @step
        async def hold(self) -> int:
            return 1

        @step
        async def output(self, held: int = hold.result) -> int:
            return held

    given = [*opened("pay", Pay()), *done("pay.hold", 1, int)]
    assert await misfit(parent_of(Pay), parent_of(PayPlain), given) == ("undo", "pay.hold")
    closed = [*given, *done("pay.output", 1, int), (events.Closed(1.0, "pay"), b"")]
    assert await misfit(parent_of(Pay), parent_of(PayPlain), closed) == ("undo", "pay.hold")


async def test_a_map_keeps_the_undo_of_its_elements():
    """While a batch is out, and for those that settled and would be undone."""
    old, new = map_with_undo(int), map_of(None)
    begun = [(events.MapOpened(1.0, "output", 3), b"")]
    out = [*begun, (events.BatchStarted(1.0, "output", 0, 0, 3), b"")]
    assert await misfit(old, new, begun) is None
    assert await misfit(old, new, out) == ("undo", "output")
    assert await misfit(old, new, [*out, (events.BatchSettled(1.0, "output", 0, 3, 0, 3), b"")]) == ("undo", "output")
    assert await misfit(old, new, [*out, (events.BatchSettled(1.0, "output", 0, 0, 3, 0), b"")]) is None
