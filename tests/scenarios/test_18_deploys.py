"""Scenario 18: a run that version 1 began goes on under compatible code, and stops with a clear status under code that does not fit."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reactor import (
    Ask,
    Cancelled,
    Engine,
    Incompatible,
    NotWaiting,
    Parked,
    Reactor,
    Results,
    Run,
    RunStopped,
    Succeeded,
    Undone,
    WrongState,
    compose,
    interrupt,
    map_over,
    step,
)
from tests.stores.redis_server import shared

pytestmark = pytest.mark.anyio
NAMESPACES = itertools.count()
calls: list[str] = []
gates: dict[str, asyncio.Event] = {}


@pytest.fixture
def anyio_backend() -> str:
    """The wall's time: what is tried here is what processes do to each other through a file."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _fresh_world() -> None:
    calls.clear()
    gates.update(reached=asyncio.Event(), opened=asyncio.Event())


@pytest.fixture(params=["sqlite", "redis"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A store that outlives an engine."""
    if request.param == "redis":
        return f"{shared().address}?namespace=deploys{next(NAMESPACES)}"
    return f"sqlite:///{tmp_path}/runs.db"


def deployed(store: str, *reactors: type[Reactor], lease: float = 2.0) -> Engine:
    """A process with this code."""
    return Engine(store, reactors=reactors, lease=lease, settle=1.0)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Look until it holds: what is waited for happens in another process's place."""
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110  # a file has no event
            await asyncio.sleep(0.01)


async def until_is(run: Run[Any], status: str) -> None:
    """Wait until the run is in this status."""

    async def is_it() -> bool:
        return await run.status() == status

    await until(is_it)


class Price(msgspec.Struct):
    """What is stored."""

    total: int


class Verdict(msgspec.Struct):
    """What is answered."""

    fine: bool


class Shop(Reactor, name="shop"):
    """Version 1: a price, a reservation that can be undone, a person's word."""

    sku: str = "a"

    @step
    async def price(self) -> Price:
        calls.append("price")
        return Price(7)

    @step
    async def reserve(self, price: Price = price.result) -> str:
        calls.append("reserve")
        return f"hold {price.total}"

    @reserve.undo
    async def release(self, hold: str) -> None:
        calls.append(f"release {hold}")

    @interrupt
    async def approval(self, hold: str = reserve.result) -> Ask[Verdict]:
        return Ask("order:1", show=hold)

    @step
    async def output(self, verdict: Verdict = approval.result, price: Price = price.result) -> str:
        calls.append("output")
        return f"{price.total} {verdict.fine}"


class WiderPrice(msgspec.Struct):
    """It reads what version 1 stored."""

    total: int
    currency: str = "eur"


class Grown(Reactor, name="store", aliases=["shop"], version=2):
    """Fits: another name with the old as an alias, a wider type, another body, a node before the output and one at its side."""

    sku: str = "b"
    colour: str = "red"

    @step
    async def price(self) -> WiderPrice:
        calls.append("price 2")
        return WiderPrice(8)

    @step
    async def reserve(self, price: WiderPrice = price.result) -> str:
        calls.append("reserve 2")
        return "hold 8"

    @reserve.undo
    async def release(self, hold: str) -> None:
        calls.append(f"release 2 {hold}")

    @interrupt
    async def approval(self, hold: str = reserve.result) -> Ask[Verdict]:
        return Ask("order:1", show=hold)

    @step
    async def label(self, verdict: Verdict = approval.result) -> str:
        calls.append("label")
        return f"label of {self.sku} {self.colour}"

    @step
    async def output(self, verdict: Verdict = approval.result, price: WiderPrice = price.result, label: str = label.result) -> str:
        calls.append("output 2")
        return f"{price.total} {price.currency} {verdict.fine} {label}"


class Removed(Reactor, name="shop", version=2):
    """Breaks rule 1: `reserve` has begun, and is gone."""

    sku: str = "a"

    @step
    async def price(self) -> Price:
        return Price(1)

    @interrupt
    async def approval(self, price: Price = price.result) -> Ask[Verdict]:
        return Ask("order:1")

    @step
    async def output(self, verdict: Verdict = approval.result) -> str:
        return "x"


class StrictPrice(msgspec.Struct):
    """It does not read what version 1 stored."""

    total: int
    currency: str


class Retyped(Reactor, name="shop", version=2):
    """Breaks rule 2: `output` is still to read what `price` left."""

    sku: str = "a"

    @step
    async def price(self) -> StrictPrice:
        return StrictPrice(1, "eur")

    @step
    async def reserve(self, price: StrictPrice = price.result) -> str:
        return "hold"

    @reserve.undo
    async def release(self, hold: str) -> None: ...

    @interrupt
    async def approval(self, hold: str = reserve.result) -> Ask[Verdict]:
        return Ask("order:1")

    @step
    async def output(self, verdict: Verdict = approval.result, price: StrictPrice = price.result) -> str:
        return "x"


class Inserted(Reactor, name="shop", version=2):
    """Breaks rule 3: `check` would have to come before `reserve`, which is done."""

    sku: str = "a"

    @step
    async def price(self) -> Price:
        return Price(1)

    @step
    async def check(self, price: Price = price.result) -> bool:
        calls.append("check")
        return True

    @step
    async def reserve(self, price: Price = price.result, fine: bool = check.result) -> str:
        return "hold"

    @reserve.undo
    async def release(self, hold: str) -> None: ...

    @interrupt
    async def approval(self, hold: str = reserve.result) -> Ask[Verdict]:
        return Ask("order:1")

    @step
    async def output(self, verdict: Verdict = approval.result, price: Price = price.result) -> str:
        return "x"


class Undoless(Reactor, name="shop", version=2):
    """Breaks rule 4: what `reserve` did can be undone no more."""

    sku: str = "a"

    @step
    async def price(self) -> Price:
        return Price(1)

    @step
    async def reserve(self, price: Price = price.result) -> str:
        return "hold"

    @interrupt
    async def approval(self, hold: str = reserve.result) -> Ask[Verdict]:
        return Ask("order:1")

    @step
    async def output(self, verdict: Verdict = approval.result, price: Price = price.result) -> str:
        return "x"


BREAKING = [(Removed, "begun", "reserve"), (Retyped, "value", "price"), (Inserted, "order", "reserve"), (Undoless, "undo", "reserve")]


async def parked_under_version_1(store: str) -> None:
    """A run that waits for its answer."""
    async with deployed(store, Shop) as engine:
        assert isinstance(await engine.run(Shop(), id="1"), Parked)
    assert calls == ["price", "reserve"]
    calls.clear()


async def test_a_parked_run_goes_on_under_code_that_fits(store):
    """What is done is not done again, under whatever name; new nodes run; inputs that came since have their defaults."""
    await parked_under_version_1(store)
    async with deployed(store, Grown) as engine:
        run = await engine.get("shop:1")
        await engine.signal(Grown.approval, Verdict(fine=True), run_id=run.id)
        assert await run.result(timeout=20) == "7 eur True label of a red"
    assert calls == ["label", "output 2"]


async def test_a_run_that_went_on_is_the_new_codes(store):
    """Its record took the version and the fingerprint: a process with the old version touches it no more."""
    await parked_under_version_1(store)
    async with deployed(store, Grown) as engine:
        await engine.signal(Grown.approval, Verdict(fine=True), run_id="shop:1")
        run = await engine.get("shop:1")
        await run.result(timeout=20)
        await run.undo()
        assert isinstance(await run.outcome(timeout=20), Undone)
    assert calls == ["label", "output 2", "release 2 hold 7"]


@pytest.mark.parametrize(("code", "rule", "address"), BREAKING, ids=[rule for _, rule, _ in BREAKING])
async def test_code_that_does_not_fit_stops_the_run(store, code, rule, address):
    """With a status of its own, the rule and the address; nothing is called, nothing is lost, and code that fits goes on."""
    await parked_under_version_1(store)
    async with deployed(store, code) as engine:
        run = await engine.get("shop:1")
        await engine.signal(code.approval, Verdict(fine=True), run_id=run.id)
        await until_is(run, "incompatible")
        with pytest.raises(Incompatible, match=f"`{address}`") as caught:
            await run.outcome(timeout=20)
        assert (caught.value.rule, caught.value.address) == (rule, address)
        assert caught.value.fix
        assert await engine.run(code(), id="2")  # other runs go on
    calls.clear()
    async with deployed(store, Shop) as engine:
        run = await engine.get("shop:1")
        assert await run.result(timeout=20) == "7 True"
    assert calls == ["output"]


async def test_code_that_does_not_fit_is_not_asked_again(store):
    """Nor does it spin: the record says by which code it was refused."""
    await parked_under_version_1(store)
    async with deployed(store, Removed) as engine:
        run = await engine.get("shop:1")
        await engine.signal(Removed.approval, Verdict(fine=True), run_id=run.id)
        await until_is(run, "incompatible")
    for _ in range(2):
        async with deployed(store, Removed) as engine:
            run = await engine.get("shop:1")
            with pytest.raises(Incompatible, match="unfit-begun"):
                await run.outcome(timeout=20)
            assert await run.status() == "incompatible"
            assert [one.id for one in (await engine.find(status="incompatible")).items] == ["shop:1"]


async def test_what_may_be_asked_of_an_incompatible_run(store):
    """A cancel with undo=False ends it, in doubt about nothing; undo, restart and the rest are refused."""
    await parked_under_version_1(store)
    async with deployed(store, Removed) as engine:
        run = await engine.get("shop:1")
        assert (await engine.signal(Removed.approval, Verdict(fine=True), run_id=run.id)).status == "early"
        await until_is(run, "incompatible")
        for refused in (run.undo(), run.restart(), run.retry_rollback(), run.cancel("no")):
            with pytest.raises(WrongState, match="incompatible"):
                await refused
        await run.cancel("not needed", undo=False)
        await until_is(run, "cancelled")
        outcome = await run.outcome(timeout=20)
        assert isinstance(outcome, Cancelled)
        assert outcome.reason.startswith("not needed")
        with pytest.raises(RunStopped):
            await run.result(timeout=20)
        for to in ({"run_id": run.id}, {"correlation_id": "order:1"}):
            with pytest.raises(NotWaiting):
                await engine.signal(Removed.approval, Verdict(fine=False), **to)
    assert calls == []


async def test_a_lower_version_neither_drives_nor_marks(store):
    """An old process that is still up leaves the run to the new one, asked for it or not."""

    class Newer(Shop, name="shop", version=2):
        """The same code, a higher version, one more node."""

        @step
        async def tidy(self) -> None:
            calls.append("tidy")

    async with deployed(store, Newer) as engine:
        assert isinstance(await engine.run(Newer(), id="1"), Parked)
    calls.clear()
    async with deployed(store, Shop) as engine:
        run = await engine.get("shop:1")
        await engine.signal(Shop.approval, Verdict(fine=True), run_id=run.id)
        await asyncio.sleep(0.6)  # over a sweep of this lease
        assert await run.status() == "queued"
        with pytest.raises(TimeoutError):
            await run.outcome(timeout=0.2)
    assert calls == []
    async with deployed(store, Newer) as engine:
        assert await (await engine.get("shop:1")).result(timeout=20) == "7 True"
    assert calls == ["output"]


class Slow(Reactor, name="slow"):
    """Two steps; the second waits at a gate."""

    @step
    async def first(self) -> int:
        calls.append("first")
        return 1

    @step
    async def second(self, first: int = first.result) -> int:
        calls.append("second")
        gates["reached"].set()
        await gates["opened"].wait()
        return first + 1

    @step
    async def output(self, second: int = second.result) -> int:
        return second


class Slower(Reactor, name="slow", version=2):
    """The same with another body, and a step after the gate."""

    @step
    async def first(self) -> int:
        return 100

    @step
    async def second(self, first: int = first.result) -> int:
        calls.append("second 2")
        return first + 1

    @step
    async def third(self, second: int = second.result) -> int:
        return second * 10

    output = third


async def test_a_run_in_the_middle_of_a_call_goes_on_under_code_that_fits(store):
    """A release is no failure: the call that was cut off is made again, by the new code."""
    async with deployed(store, Slow) as engine:
        run = await engine.start(Slow(), id="1")
        await gates["reached"].wait()
    async with deployed(store, Slower) as engine:
        assert await (await engine.get(run.id)).result(timeout=20) == 20
    assert calls == ["first", "second", "second 2"]


class Charge(Reactor, name="charge"):
    """A child: it charges, and a person confirms."""

    amount: int

    @step
    async def charge(self) -> str:
        calls.append("charge")
        return f"c{self.amount}"

    @charge.undo
    async def refund(self, charge: str) -> None:
        calls.append(f"refund {charge}")

    @interrupt
    async def confirm(self, charge: str = charge.result) -> Ask[Verdict]:
        return Ask(f"charge {self.amount}")

    @step
    async def output(self, charge: str = charge.result, verdict: Verdict = confirm.result) -> str:
        return f"{charge} {verdict.fine}"


class ChargeRenamed(Reactor, name="card-charge", aliases=["charge"]):
    """The same under another name, with one step more."""

    amount: int

    @step
    async def charge(self) -> str:
        return "other"

    @charge.undo
    async def refund(self, charge: str) -> None:
        calls.append(f"refund 2 {charge}")

    @interrupt
    async def confirm(self, charge: str = charge.result) -> Ask[Verdict]:
        return Ask(f"charge {self.amount}")

    @step
    async def receipt(self, verdict: Verdict = confirm.result) -> str:
        return "r"

    @step
    async def output(self, charge: str = charge.result, receipt: str = receipt.result) -> str:
        return f"{charge} {receipt}"


class ChargeUndoless(Reactor, name="charge"):
    """It cannot be undone."""

    amount: int

    @step
    async def charge(self) -> str:
        return "other"

    @interrupt
    async def confirm(self, charge: str = charge.result) -> Ask[Verdict]:
        return Ask(f"charge {self.amount}")

    @step
    async def output(self, charge: str = charge.result, verdict: Verdict = confirm.result) -> str:
        return "x"


def order_with(child: type[Reactor], number: int) -> type[Reactor]:
    """An order with a child."""

    class Order(Reactor, name="order", version=number):
        @compose
        async def pay(self) -> child:  # type: ignore[valid-type]
            return child(amount=5)

        @step
        async def output(self, paid: str = pay.result) -> str:
            return paid

    return Order


async def test_a_child_that_waits_goes_on_or_stops_the_run(store):
    """The rules hold inside: an address with dots, a child found by its alias."""
    old, new, bad = order_with(Charge, 1), order_with(ChargeRenamed, 3), order_with(ChargeUndoless, 2)
    async with deployed(store, old) as engine:
        assert isinstance(await engine.run(old(), id="1"), Parked)
    async with deployed(store, bad) as engine:
        run = await engine.get("order:1")
        await engine.signal(ChargeUndoless.confirm, Verdict(fine=True), run_id=run.id)
        await until_is(run, "incompatible")
        with pytest.raises(Incompatible, match="unfit-undo") as caught:
            await run.outcome(timeout=20)
        assert caught.value.address == "pay.charge"
    async with deployed(store, new) as engine:
        assert await (await engine.get("order:1")).result(timeout=20) == "c5 r"
    assert calls == ["charge"]


def mapped(child: type[Reactor], number: int) -> type[Reactor]:
    """An order with a child an element."""

    class Orders(Reactor, name="orders", version=number):
        @map_over([1, 2], batch_size=2)
        async def pay(self, amount: int) -> child:  # type: ignore[valid-type]
            return child(amount=amount)

        @step
        async def output(self, paid: Results[str] = pay.result) -> str:
            return " ".join(await paid.all())

    return Orders


async def test_elements_that_wait_go_on_under_code_that_fits(store):
    """A batch's record is asked like a run's."""
    old, new = mapped(Charge, 1), mapped(ChargeRenamed, 2)
    async with deployed(store, old) as engine:
        parked = await engine.run(old(), id="1")
        assert isinstance(parked, Parked)
        assert {one.step for one in parked.waiting} == {"pay[0].confirm", "pay[1].confirm"}
    async with deployed(store, new) as engine:
        run = await engine.get("orders:1")
        for wait in (await run.outcome()).waiting:
            await engine.signal(ChargeRenamed.confirm, Verdict(fine=True), correlation_id=wait.correlation_id)
        assert await run.result(timeout=20) == "c1 r c2 r"
    assert sorted(calls) == ["charge", "charge"]


async def test_elements_that_wait_stop_the_run_under_code_that_does_not_fit(store):
    """A batch that does not fit stops its run: that is where people look. Both go on when code comes that fits."""
    old, bad, new = mapped(Charge, 1), mapped(ChargeUndoless, 2), mapped(ChargeRenamed, 3)
    async with deployed(store, old) as engine:
        assert isinstance(await engine.run(old(), id="1"), Parked)
    async with deployed(store, bad) as engine:
        run = await engine.get("orders:1")
        await engine.signal(ChargeUndoless.confirm, Verdict(fine=True), correlation_id="charge 1")
        await until_is(run, "incompatible")
        with pytest.raises(Incompatible, match="unfit-undo") as caught:
            await run.outcome(timeout=20)
        assert caught.value.address in {"pay[0].charge", "pay[1].charge"}
    async with deployed(store, new) as engine:
        run = await engine.get("orders:1")
        await engine.signal(ChargeRenamed.confirm, Verdict(fine=True), correlation_id="charge 2")
        assert await run.result(timeout=20) == "c1 r c2 r"
    assert sorted(calls) == ["charge", "charge"]


def busy(child: type[Reactor], number: int) -> type[Reactor]:
    """Elements that wait, and a step of the run itself that is at work once a person said so."""

    class Busy(Reactor, name="busy", version=number):
        @map_over([1], batch_size=1)
        async def pay(self, amount: int) -> child:  # type: ignore[valid-type]
            return child(amount=amount)

        @interrupt
        async def word(self) -> Ask[Verdict]:
            return Ask()

        @step
        async def work(self, word: Verdict = word.result) -> str:
            calls.append("work")
            gates["reached"].set()
            await gates["opened"].wait()
            return "worked"

        @step
        async def output(self, paid: Results[str] = pay.result, work: str = work.result) -> str:
            return " ".join([work, *await paid.all()])

    return Busy


async def test_a_run_at_work_is_let_go_of_when_a_batch_does_not_fit(store):
    """It is one run: what is in flight is cut off, and made again by code that fits."""
    old, bad, new = busy(Charge, 1), busy(ChargeUndoless, 2), busy(ChargeRenamed, 3)
    async with deployed(store, old) as engine:
        assert isinstance(await engine.run(old(), id="1"), Parked)
    async with deployed(store, bad) as engine:
        run = await engine.get("busy:1")
        await engine.signal(bad.word, Verdict(fine=True), run_id=run.id)
        await gates["reached"].wait()
        await engine.signal(ChargeUndoless.confirm, Verdict(fine=True), correlation_id="charge 1")
        await until_is(run, "incompatible")
        with pytest.raises(Incompatible, match="unfit-undo"):
            await run.outcome(timeout=20)
    gates["opened"].set()
    async with deployed(store, new) as engine:
        assert await (await engine.get("busy:1")).result(timeout=20) == "worked c1 r"
    assert sorted(calls) == ["charge", "work", "work"]


async def test_a_lower_version_leaves_the_batches_of_a_run_that_went_on(store):
    """They were made under its own version; but the run is the new code's now."""
    old, new = busy(Charge, 1), busy(ChargeRenamed, 3)
    gates["opened"].set()
    async with deployed(store, old) as engine:
        assert isinstance(await engine.run(old(), id="1"), Parked)
    async with deployed(store, new) as engine:
        run = await engine.get("busy:1")
        await engine.signal(new.word, Verdict(fine=True), run_id=run.id)
        await gates["reached"].wait()
        await until_is(run, "parked")
    async with deployed(store, old) as engine:
        run = await engine.get("busy:1")
        await engine.signal(Charge.confirm, Verdict(fine=True), correlation_id="charge 1")
        await asyncio.sleep(0.6)  # over a sweep of this lease
        assert await run.status() == "parked"
    assert calls == ["charge", "work"]
    async with deployed(store, new) as engine:
        assert await (await engine.get("busy:1")).result(timeout=20) == "worked c1 r"
    assert calls == ["charge", "work"]


def summed(kind: Any, number: int) -> type[Reactor]:
    """A map, a person's word, and a step that reads what the map left."""

    class Sums(Reactor, name="sums", version=number):
        @map_over([1, 2, 3], batch_size=2)
        async def each(self, n: int) -> kind:
            calls.append("each")
            return kind(n)

        @interrupt(after=[each])
        async def word(self) -> Ask[Verdict]:
            return Ask()

        @step
        async def output(self, each: Results[kind] = each.result, word: Verdict = word.result) -> list[kind]:
            return await each.all()

    return Sums


async def test_what_a_map_left_is_tried_as_well(store):
    """Its chunks lie in other records; they are read once, when the code is another."""
    old, bad, new = summed(int, 1), summed(str, 2), summed(float, 3)
    async with deployed(store, old) as engine:
        assert isinstance(await engine.run(old(), id="1"), Parked)
    async with deployed(store, bad) as engine:
        run = await engine.get("sums:1")
        await engine.signal(bad.word, Verdict(fine=True), run_id=run.id)
        await until_is(run, "incompatible")
        with pytest.raises(Incompatible, match="unfit-value") as caught:
            await run.outcome(timeout=20)
        assert (caught.value.rule, caught.value.address) == ("value", "each")
    async with deployed(store, new) as engine:
        run = await engine.get("sums:1")
        assert await run.result(timeout=20) == [1.0, 2.0, 3.0]
    assert calls == ["each"] * 3


async def test_a_finished_run_is_read_where_it_reads(store):
    """Its status always; its outcome and its results under code whose types take them, else that is said."""
    async with deployed(store, Slow) as engine:
        gates["opened"].set()
        assert isinstance(await engine.run(Slow(), id="1"), Succeeded)

    class Text(Reactor, name="slow", version=2):
        @step
        async def first(self) -> int:
            return 1

        @step
        async def second(self, first: int = first.result) -> str:
            return "2"

        @step
        async def output(self, second: str = second.result) -> str:
            return second

    async with deployed(store, Text) as engine:
        run = await engine.get("slow:1")
        assert await run.status() == "succeeded"
        assert await run.value(Text.first) == 1
        for asked in (run.outcome(timeout=20), run.value(Text.second)):
            with pytest.raises(Incompatible, match="unfit-value"):
                await asked


async def test_a_restart_calls_again_what_its_code_cannot_read(store):
    """What reads is kept; a run whose record does not fit is not restarted at all."""
    async with deployed(store, Slow) as engine:
        gates["opened"].set()
        assert isinstance(await engine.run(Slow(), id="1"), Succeeded)
    calls.clear()

    class Text(Reactor, name="slow", version=2):
        @step
        async def first(self) -> int:
            calls.append("first 2")
            return 1

        @step
        async def second(self, first: int = first.result) -> str:
            calls.append("second 2")
            return f"{first}"

        @step
        async def output(self, second: str = second.result) -> str:
            calls.append("output 2")
            return second

    class Gone(Reactor, name="slow", version=3):
        @step
        async def output(self) -> str:
            return "x"

    async with deployed(store, Gone) as engine:
        with pytest.raises(Incompatible):
            await (await engine.get("slow:1")).restart()
    async with deployed(store, Text) as engine:
        again = await (await engine.get("slow:1")).restart(from_step="output")
        assert await again.result(timeout=20) == "1"
    assert calls == ["second 2", "output 2"]


class Before(Reactor, name="before"):
    """What a reactor was called."""

    @step
    async def output(self) -> str:
        calls.append("before")
        return "kept"


class Renamed(Reactor, name="after", aliases=["before"]):
    """What it is called now."""

    @step
    async def output(self) -> str:
        calls.append("after")
        return "made"


async def test_a_renamed_reactor_knows_its_runs_by_their_ids(store):
    """A run that was begun under the former name is the run of that id: it is joined and got, and no second one begins beside it."""
    async with deployed(store) as engine:
        await engine.run(Before(), id="1")
    async with deployed(store) as engine:
        assert (await engine.run(Renamed(), id="1")).value == "kept"
        assert (await engine.get(Renamed, "1")).id == "before:1"
        assert (await engine.run(Renamed(), id="2")).value == "made"
        assert (await engine.get(Renamed, "2")).id == "after:2"
    assert calls == ["before", "after"]
