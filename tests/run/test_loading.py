"""A record, read back: facts as they were noted, values by the type that their node declares today."""

import base64
from typing import Annotated

import msgspec
import pytest
from msgspec import Struct

from reactor import Ask, Reactor, Results, Secret, compose, interrupt, map_over, step
from reactor.errors import Incompatible
from reactor.machine.events import (
    Answered,
    Asked,
    BatchSettled,
    BatchStarted,
    CallStarted,
    CallSucceeded,
    ChildOpened,
    Closed,
    Compensated,
    Kept,
    MapOpened,
    RunStarted,
    SignalKept,
    Skipped,
)
from reactor.machine.machine import Machine
from reactor.plan.compile import plan_of
from reactor.record import facts
from reactor.record.aesgcm import AesGcm
from reactor.record.inputs import encode_inputs
from reactor.record.sealing import CannotOpen, Sealer, Whose
from reactor.run.fitting import Unread
from reactor.run.loading import Reading
from reactor.run.references import KeptResults
from reactor.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio
RUN = "Shop:1"
PLAIN = Sealer((), plain=True)
SEALING = Sealer([base64.b64decode("q6urq6urq6urq6urq6urqw==")], plain=False, cipher=AesGcm)
pack = msgspec.msgpack.encode


class Price(Struct):
    """What a step gives."""

    amount: int


class Child(Reactor):
    """One step."""

    number: int

    @step
    async def output(self) -> Price: ...


class Shop(Reactor):
    """One node of each kind."""

    name: str = ""

    @step
    async def price(self) -> Price: ...

    @compose(after=[price])
    async def child(self) -> Child: ...

    @map_over([1, 2])
    async def some(self, one: int) -> Price: ...

    @interrupt
    async def approval(self) -> Ask[Price]: ...

    @step
    async def handed(self, some: Results[Price] = some.result) -> Results[Price]: ...

    @step
    async def secret(self) -> Annotated[str, Secret()]: ...

    @step(after=[child, approval, handed, secret])
    async def output(self) -> int: ...


def reading(sealer=PLAIN):
    """Of the run."""
    return Reading(MemoryStore(), RUN, Shop(name="a"), root=RUN, sealer=sealer)


def replayed(*written, sealer=PLAIN, reading=reading):
    """The facts, and the state that follows, of what was written: facts with the bytes of their values."""
    machine = Machine(plan_of(Shop))
    found = reading(sealer).replay(machine, [facts.encode(fact, raw) for fact, raw in ((RunStarted(1.0, "", RUN), b""), *written)])
    return found, machine.state


def value_of(state, address):
    """What lies at an address."""
    scope, index = state.place(address)
    return scope.values[index]


STARTED = CallStarted(2.0, "price")
BEGUN = (CallStarted(2.0, "child"), b""), (ChildOpened(3.0, "child", "Child"), encode_inputs(Child(number=7), PLAIN, RUN, "child"))


# ---- values -------------------------------------------------------------------------------------------------------------


def test_the_run_itself_is_whoever_is_driven():
    """Its inputs were read before."""
    [started], _ = replayed()
    assert (type(started.inputs), started.inputs.name) == (Shop, "a")


@pytest.mark.parametrize(
    "fact", [CallSucceeded(3.0, "price"), Skipped(3.0, "price", None, "raised"), Kept(3.0, "price")], ids=lambda fact: type(fact).__name__
)
def test_a_result_is_of_its_nodes_type(fact):
    """However it came about."""
    _, state = replayed((STARTED, b""), (fact, pack(Price(3))))
    assert value_of(state, "price") == Price(3)


@pytest.mark.parametrize("raw", [b"", b"\xc0"])
@pytest.mark.parametrize("fact", [Skipped(3.0, "price", None, "when"), Kept(3.0, "price", None, skipped=True)])
def test_none_is_what_a_skip_without_a_value_left(fact, raw):
    """Whether it was written or left out."""
    _, state = replayed((fact, raw))
    assert value_of(state, "price") is None


def test_what_a_compensate_continued_with_is_of_its_nodes_type():
    """As its own result would be."""
    found, _ = replayed((STARTED, b""), (Compensated(3.0, "price", "continued"), pack(Price(3))))
    assert found[-1].value == Price(3)


def test_a_payload_is_of_its_interrupts_type():
    """What it shows is plain data; what came before it asked is read when it is taken."""
    found, state = replayed(
        (SignalKept(2.0, "approval", b"", "d-1"), pack({"amount": 5})),
        (CallStarted(2.0, "approval"), b""),
        (Asked(3.0, "approval", "0", None, None), pack({"sum": 5})),
        (Answered(4.0, "approval", None, "d-1"), pack(Price(5))),
    )
    assert found[1].value == pack({"amount": 5})
    assert found[3].show == {"sum": 5}
    assert value_of(state, "approval") == Price(5)


def test_a_child_is_made_of_its_inputs():
    """Its nodes have places of their own, and values of their own types."""
    _, state = replayed(*BEGUN, (CallStarted(4.0, "child.output"), b""), (CallSucceeded(5.0, "child.output"), pack(Price(7))))
    assert state.root.children[state.root.plan.index["child"]].reactor.number == 7
    assert value_of(state, "child.output") == Price(7)


def test_what_a_map_left_is_a_reference():
    """As it is, and handed on by a step: nothing of it is read."""
    left = KeptResults(reading().shelf, f"{RUN}/some", [(0, 2, 0)], Price)
    _, state = replayed(
        (MapOpened(2.0, "some", 2), b""),
        (BatchStarted(2.0, "some", 0, 0, 2), b""),
        (BatchSettled(3.0, "some", 0, 2, 0), b""),
        (Closed(3.0, "some"), left.reference()),
        (CallStarted(4.0, "handed"), b""),
        (CallSucceeded(5.0, "handed"), left.reference()),
    )
    for node in ("some", "handed"):
        found = value_of(state, node)
        assert (type(found), found.prefix, len(found)) == (KeptResults, f"{RUN}/some", 2)


def test_an_elements_result_stays_encoded():
    """A batch may hold very many; None, too, is its bytes."""
    plan = plan_of(Shop)
    machine = Machine.of_batch(plan, plan.nodes[plan.index["some"]], "some", 0, 2)
    written = [
        (RunStarted(1.0, "some", first=0, size=2), b""),
        (CallStarted(2.0, "some[0]"), b""),
        (CallSucceeded(3.0, "some[0]"), pack(Price(3))),
        (CallStarted(2.0, "some[1]"), b""),
        (Skipped(3.0, "some[1]", None, "raised"), b""),
    ]
    Reading(MemoryStore(), f"{RUN}/some#0", Shop(), root=RUN, sealer=PLAIN).replay(machine, [facts.encode(*one) for one in written])
    assert machine.state.root.values == [pack(Price(3)), b"\xc0"]


# ---- what does not fit --------------------------------------------------------------------------------------------------


def test_a_value_of_another_type_stands_for_itself():
    """Whether anything needs it is known when all is read: until then nothing is refused."""
    _, state = replayed((STARTED, b""), (CallSucceeded(3.0, "price"), pack("three")))
    found = value_of(state, "price")
    assert isinstance(found, Unread)
    assert "Price" in found.why


@pytest.mark.parametrize(
    ("fact", "raw", "code"),
    [
        (CallSucceeded(3.0, "gone"), pack(1), "record-unfit"),
        (CallStarted(3.0, "price.inner"), b"", "record-unfit"),
        (ChildOpened(3.0, "child", "Nobody"), b"\x80", "record-unfit"),
        (BatchSettled(3.0, "some", 0, 2, 0), b"", "record-unfit"),
    ],
    ids=["no such node", "no such scope", "no such child", "no such map"],
)
def test_a_fact_that_the_code_has_no_place_for(fact, raw, code):
    """Which record, and which address; what there is to do."""
    with pytest.raises(Incompatible) as raised:
        replayed((fact, raw))
    assert raised.value.address == fact.address
    assert raised.value.code == code


def test_what_is_no_event_is_told():
    """It was written by no release."""
    with pytest.raises(Incompatible) as raised:
        reading().replay(Machine(plan_of(Shop)), [b"\x80\x04\x95"])
    assert raised.value.code == "unreadable-event"


# ---- secrets ------------------------------------------------------------------------------------------------------------


def test_a_secret_is_opened():
    """It was sealed for this place; the value is the value."""
    sealed = SEALING.seal(pack("4242"), Whose(RUN, "secret"), 1)
    _, state = replayed((CallStarted(2.0, "secret"), b""), (CallSucceeded(3.0, "secret"), sealed), sealer=SEALING)
    assert value_of(state, "secret") == "4242"


@pytest.mark.parametrize(
    ("raw", "sealer"),
    [(pack("4242"), SEALING), (SEALING.seal(pack("4242"), Whose("Shop:2", "secret"), 1), SEALING)],
    ids=["not sealed", "another run's"],
)
def test_a_secret_that_cannot_be_opened_is_no_unfit_code(raw, sealer):
    """It is told as what it is: whoever has the key may go on."""
    with pytest.raises(CannotOpen):
        replayed((CallStarted(2.0, "secret"), b""), (CallSucceeded(3.0, "secret"), raw), sealer=sealer)


# ---- attempts -----------------------------------------------------------------------------------------------------------


def test_when_the_first_of_the_attempts_that_go_on_began():
    """It bounds retries by time, across processes: a new round counts from its own first."""
    one = reading()
    machine = Machine(plan_of(Shop))
    for fact in (CallStarted(2.0, "price", "do", 1), CallStarted(9.0, "price", "do", 2), CallStarted(3.0, "secret", "do", 1)):
        one.read(machine.state, facts.encode(fact))
    assert one.began == {("price", "do"): 2.0, ("secret", "do"): 3.0}
    one.read(machine.state, facts.encode(CallStarted(20.0, "price", "do", 1)))
    assert one.began["price", "do"] == 20.0
