"""How many calls may be in flight: taken at once or not at all, handed over in turn, lent to whom a call waits for."""

import asyncio

import pytest

from reactor import Engine, Reactor, map_over, step
from reactor.run.slots import Loan, Slots, Waiter

pytestmark = pytest.mark.anyio


def waiting(log, name, *, wants=True):
    """Somebody in the queue who writes down that a slot was handed over."""

    def accept():
        if wants:
            log.append(name)
        return wants

    return Waiter(accept)


# ---- slots ----------------------------------------------------------------------------------------------------------


def test_a_slot_is_taken_at_once_or_not_at_all():
    """As many as there are."""
    slots = Slots(2)
    assert [slots.take() for _ in range(3)] == [True, True, False]
    assert not slots.any_free()
    slots.give()
    assert slots.any_free()
    assert slots.take()


def test_a_slot_that_is_given_back_goes_to_who_waits_longest():
    """It is never free in between: nobody who comes later can snatch it."""
    slots, log = Slots(1), []
    slots.take()
    slots.wait(waiting(log, "first"))
    slots.wait(waiting(log, "second"))
    slots.give()
    assert log == ["first"]
    assert not slots.take()
    slots.give()
    assert log == ["first", "second"]
    slots.give()
    assert slots.free == 1


def test_who_wants_no_slot_any_more_is_passed_over():
    """The next one gets it; nobody's slot is lost with one who left."""
    slots, log = Slots(1), []
    slots.take()
    slots.wait(waiting(log, "gone", wants=False))
    slots.wait(waiting(log, "here"))
    slots.give()
    assert log == ["here"]


def test_a_waiter_is_served_once():
    """Though it waits in several queues."""
    log = []
    one = waiting(log, "it")
    assert one.grant()
    assert not one.grant()
    assert log == ["it"]


def test_a_forced_slot_is_made_up_for():
    """A call that was cancelled while it took its slot back has one over the limit: the next one given back is not handed on."""
    slots, log = Slots(1), []
    slots.take()
    slots.force()
    assert slots.free == -1
    slots.wait(waiting(log, "it"))
    slots.give()
    assert log == []
    slots.give()
    assert log == ["it"]


# ---- loans ---------------------------------------------------------------------------------------------------------------


async def test_a_loan_is_given_once_and_taken_back_once():
    """However many things the call waits for at a time."""
    slots = Slots(1)
    slots.take()
    loan = Loan(slots)
    loan.give()
    loan.give()
    assert slots.free == 1
    await loan.take_back()
    assert slots.free == 1, "it still waits for something else"
    await loan.take_back()
    assert slots.free == 0


async def test_taking_back_waits_in_turn():
    """Those who came before are served first."""
    slots, log = Slots(1), []
    slots.take()
    loan = Loan(slots)
    loan.give()
    slots.take()  # somebody else's
    slots.wait(waiting(log, "before"))
    back = asyncio.ensure_future(loan.take_back())
    await asyncio.sleep(0)
    slots.give()
    await asyncio.sleep(0)
    assert log == ["before"]
    assert not back.done()
    slots.give()
    await back
    assert slots.free == 0


async def test_a_call_that_is_cancelled_while_it_takes_its_slot_back_has_it_at_once():
    """It ends now, and gives back one slot as every call does; its place in the queue swallows no slot."""
    slots, log = Slots(1), []
    slots.take()
    loan = Loan(slots)
    loan.give()
    slots.take()  # somebody else's
    back = asyncio.ensure_future(loan.take_back())
    await asyncio.sleep(0)
    slots.wait(waiting(log, "behind"))
    back.cancel()
    with pytest.raises(asyncio.CancelledError):
        await back
    assert slots.free == -1
    slots.give()  # the cancelled call's
    assert log == []
    slots.give()  # somebody else's
    assert log == ["behind"]


async def test_a_call_that_is_cancelled_just_when_it_is_served_keeps_the_slot():
    """It is neither lost nor taken twice."""
    slots = Slots(1)
    slots.take()
    loan = Loan(slots)
    loan.give()
    slots.take()
    back = asyncio.ensure_future(loan.take_back())
    await asyncio.sleep(0)
    slots.give()
    back.cancel()
    with pytest.raises(asyncio.CancelledError):
        await back
    assert slots.free == 0


# ---- in an engine ----------------------------------------------------------------------------------------------------------


class Three(Reactor):
    """Three steps of a second, one after the other."""

    name: str

    @step
    async def a(self) -> None:
        await self._act("a")

    @step(after=[a])
    async def b(self) -> None:
        await self._act("b")

    @step(after=[b])
    async def output(self) -> None:
        await self._act("c")

    async def _act(self, what):
        LOG.append(self.name + what)
        await asyncio.sleep(1)


LOG: list[str] = []


@pytest.fixture(autouse=True)
def _fresh_log():
    LOG.clear()


async def test_runs_take_turns():
    """One slot, three runs: none of them waits until another has done all its steps."""
    async with Engine(concurrency=1) as engine:
        for run in [await engine.start(Three(name=name)) for name in "ABC"]:
            await run.result()
    assert LOG == ["Aa", "Ba", "Ca", "Ab", "Bb", "Cb", "Ac", "Bc", "Cc"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_no_more_calls_than_slots(limit):
    """With maps in maps, whatever waits for what; and every slot comes back."""
    now, most = 0, 0

    class Inner(Reactor):
        @map_over([1, 2, 3], batch_size=2)
        async def output(self, one: int) -> int:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(one)
            now -= 1
            return one

    class Outer(Reactor):
        @map_over([1, 2, 3], batch_size=1)
        async def output(self, one: int) -> Inner:
            return Inner()

    async with Engine(concurrency=limit) as engine:
        runs = [await engine.start(Outer()) for _ in range(3)]
        for run in runs:
            await run.result()
        assert engine._site.slots.free == limit
    assert most == limit


async def test_a_run_is_woken_though_another_waited_before_and_needs_none():
    """A step awaits a reactor with two steps at once, starts a run meanwhile and waits for it: with one slot, no deadlock."""

    class Inner(Reactor):
        @step
        async def one(self) -> None:
            await asyncio.sleep(1)

        @step
        async def other(self) -> None:
            await asyncio.sleep(1)

        @step(after=[one, other])
        async def output(self) -> int:
            return 1

    class Other(Reactor):
        @step
        async def output(self) -> int:
            await asyncio.sleep(1)
            return 5

    async with Engine(concurrency=1) as engine:

        class Asks(Reactor):
            @step
            async def output(self) -> int:
                async def inner() -> int:
                    return await Inner()

                waits = asyncio.ensure_future(inner())
                await asyncio.sleep(0.5)
                run = await engine.start(Other())
                await asyncio.sleep(0.1)
                return await waits + await run.result()

        assert (await engine.run(Asks())).value == 6
        assert engine._site.slots.free == 1


async def test_what_a_step_awaits_may_wait_for_a_run():
    """The slot that it was lent is lent on: with one slot, no deadlock, at any depth."""
    async with Engine(concurrency=1) as engine:

        class Nested(Reactor):
            depth: int

            @step
            async def output(self) -> int:
                if self.depth == 0:
                    return 0
                if self.depth % 2:
                    return 1 + await Nested(depth=self.depth - 1)
                run = await engine.start(Nested(depth=self.depth - 1))
                return 1 + await run.result()

        assert (await engine.run(Nested(depth=6))).value == 6
        assert engine._site.slots.free == 1


async def test_runs_that_wait_for_each_other_hold_no_slot():
    """A chain of steps each of which waits for another run's result: one slot is enough."""
    async with Engine(concurrency=1) as engine:

        class Nested(Reactor):
            depth: int

            @step
            async def output(self) -> int:
                if self.depth == 0:
                    return 0
                run = await engine.start(Nested(depth=self.depth - 1))
                return 1 + await run.result()

        assert (await engine.run(Nested(depth=5))).value == 5


async def test_a_step_that_waits_for_several_runs_lends_its_slot_once():
    """It counts as one call when it goes on."""
    async with Engine(concurrency=1) as engine:

        class Asks(Reactor):
            @step
            async def output(self) -> int:
                runs = [await engine.start(Three(name=name)) for name in "XY"]
                await asyncio.gather(*(run.result() for run in runs))
                return engine._site.slots.free

        assert (await engine.run(Asks())).value == 0
        assert engine._site.slots.free == 1


async def test_a_cancel_while_a_step_takes_its_slot_back():
    """The step ends at once, is recorded as cancelled, and every slot comes back."""
    async with Engine(concurrency=1) as engine:
        other = await engine.start(Three(name="X"), id="x")

        class Asks(Reactor):
            @step
            async def output(self) -> int:
                try:
                    await (await engine.get(Three, "x")).outcome(timeout=1.5)
                except TimeoutError:
                    LOG.append("timed out")
                return 1

        run = await engine.start(Asks())
        await asyncio.sleep(2.75)
        await run.cancel("enough")
        await run.outcome()
        await other.outcome()
        assert engine._site.slots.free == 1
    assert await run.status() == "cancelled"
