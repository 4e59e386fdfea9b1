"""What a step may know of itself, found at any call depth through the one context variable that each call sets."""

import asyncio
import logging
import threading

import pytest

from reactor import Engine, Reactor, ReactorError, Retry, StepError, TryAgain, compose, map_over, step, step_context
from reactor.run.context import LONGEST_KEY, call_counts, current_call

pytestmark = pytest.mark.anyio
SEEN: list[tuple] = []


@pytest.fixture(autouse=True)
def _fresh():
    SEEN.clear()


def note(what="do"):
    """Write down where we are."""
    here = step_context()
    SEEN.append((what, here.address, here.attempt, here.idempotency_key))


def keys():
    """The idempotency keys, without the run."""
    return [key.partition("/")[2] for _, _, _, key in SEEN]


# ---- where ------------------------------------------------------------------------------------------------------------


def test_outside_of_a_step_there_is_none():
    """The error says where to call it."""
    with pytest.raises(ReactorError, match="no step is running here") as raised:
        step_context()
    assert raised.value.code == "not-in-a-step"
    assert current_call() is None


async def test_a_step_knows_its_run_and_address():
    """At any call depth, in tasks that it starts, in threads; undo and compensate too."""

    class Deep(Reactor):
        @step
        async def a(self) -> int:
            await asyncio.gather(asyncio.create_task(self._deeper()), asyncio.to_thread(note))
            return 1

        async def _deeper(self):
            note()

        @a.undo
        async def undo_a(self, value: int) -> None:
            note("undo")

        @step(after=[a])
        def b(self) -> int:
            note()
            return 1

        @step(after=[b])
        async def output(self) -> int:
            note()
            raise ValueError

        @output.compensate
        async def answer(self, error: StepError) -> None:
            note("compensate")

    async with Engine() as engine:
        await engine.run(Deep(), id="d")
    assert [(what, address) for what, address, _, _ in SEEN] == [
        *[("do", "a")] * 2,
        ("do", "b"),
        ("do", "output"),
        ("compensate", "output"),
        ("undo", "a"),
    ]
    assert {key.partition("/")[0] for *_, key in SEEN} == {"Deep:d"}


async def test_an_awaited_run_draws_an_id_when_it_is_asked_for():
    """The same for all its steps."""

    class Plain(Reactor):
        @step
        async def a(self) -> str:
            return step_context().run_id

        @step
        async def output(self, a: str = a.result) -> bool:
            return a == step_context().run_id and a.startswith("Plain:")

    assert await Plain()


async def test_a_resource_and_an_observer_are_in_no_step():
    """What is opened for a step belongs to all of them."""
    from reactor import use

    found = []

    async def pool() -> int:
        found.append(current_call())
        return 1

    class Uses(Reactor):
        @step
        async def output(self, it: int = use(pool)) -> int:
            return it

    async with Engine() as engine:
        await engine.run(Uses())
    assert found == [None]


# ---- keys -------------------------------------------------------------------------------------------------------------


async def test_a_key_is_the_same_for_every_attempt():
    """Only what asks for another call moves it: a target can tell repeats."""

    class Retried(Reactor):
        @step(retry=Retry(3, base=1))
        async def output(self) -> int:
            note()
            raise ValueError

    async with Engine() as engine:
        await engine.run(Retried())
    assert keys() == ["output/do/0"] * 3
    assert [attempt for _, _, attempt, _ in SEEN] == [1, 2, 3]


async def test_a_try_again_is_another_call():
    """Its count is in the key, and attempts go on counting."""

    class Again(Reactor):
        @step(retry=Retry(2, base=1))
        async def output(self) -> int:
            note()
            raise ValueError

        @output.compensate
        async def answer(self, error: StepError) -> TryAgain | None:
            note("compensate")
            return TryAgain() if len(SEEN) < 6 else None

    async with Engine() as engine:
        await engine.run(Again())
    assert keys() == [
        "output/do/0",
        "output/do/0",
        "output/compensate/0",
        "output/do/1",
        "output/compensate/1",
        "output/do/2",
        "output/compensate/2",
    ]
    assert [attempt for what, _, attempt, _ in SEEN if what == "do"] == [1, 2, 3, 4]


async def test_a_key_lists_the_counts_of_all_around():
    """Of every compose and map that the call is in, outermost first; nothing else moves it."""

    class Leaf(Reactor):
        @step
        async def output(self) -> int:
            note()
            return 1

    class Mapped(Reactor):
        fails: bool

        @map_over([7])
        async def some(self, one: int) -> Leaf:
            return Leaf()

        @step(after=[some])
        async def output(self) -> int:
            if self.fails:
                raise ValueError
            return 1

    class Outer(Reactor):
        tries = 0

        @compose
        async def child(self) -> Mapped:
            type(self).tries += 1
            return Mapped(fails=self.tries < 3)

        @child.compensate
        async def again(self, error: StepError) -> TryAgain | None:
            return TryAgain()

        @step(after=[child])
        async def output(self) -> int:
            return 1

    async with Engine() as engine:
        await engine.run(Outer())
    assert keys() == [f"child.some[0].output/do/{count}.0.0.0" for count in range(3)]


async def test_a_long_key_ends_in_its_digest():
    """Targets bound them: at most 200 characters, readable in front, and no two alike."""

    class Long(Reactor, name="n" * 60):
        @map_over(list(range(3)))
        async def a_rather_long_name_for_a_map_of_things(self, one: int) -> int:
            note()
            return one

        output = a_rather_long_name_for_a_map_of_things

    async with Engine() as engine:
        await engine.run(Long(), id="i" * 150)
    found = [key for *_, key in SEEN]
    assert [len(key) for key in found] == [LONGEST_KEY] * 3
    assert len(set(found)) == 3
    assert all(key.startswith("n" * 60 + ":" + "i" * 100) for key in found)


async def test_counts_of_a_scope():
    """As the key has them: zero where nothing was tried again."""
    from tests.machine.folding import Fold
    from tests.machine.plans import Order

    fold = Fold(Order).did("reserve").broke("pay").compensated("pay", "try_again").opened("pay", "Payment")
    scope, index = fold.machine.state.place("pay.output")
    assert call_counts(scope, index) == [1, 0]
    assert call_counts(fold.root, 0) == [0]


# ---- the rest ---------------------------------------------------------------------------------------------------------


async def test_a_deadline_is_known_at_every_depth():
    """As a time; None where there is none."""
    found = []

    class Leaf(Reactor):
        @step
        async def output(self) -> int:
            found.append(step_context().deadline)
            return 1

    class Mapped(Reactor):
        @map_over([1])
        async def some(self, one: int) -> Leaf:
            found.append(step_context().deadline)
            return Leaf()

        @step(after=[some])
        async def output(self) -> int:
            found.append(step_context().deadline)
            return 1

    async with Engine() as engine:
        run = await engine.start(Mapped(), deadline=60)
        await run.result()
        begun = (await anext(run.events())).at
        assert found == [pytest.approx(begun + 60)] * 3
        found.clear()
        await engine.run(Mapped())
    assert found == [None] * 3


async def test_a_step_in_a_thread_can_see_that_it_was_told_to_end():
    """It cannot be interrupted: it looks, and may stop early."""
    started, seen = threading.Event(), []

    class Threaded(Reactor):
        @step
        def output(self) -> int:
            here = step_context()
            seen.append(here.cancelled)
            started.set()
            for _ in range(1000):
                if here.cancelled:
                    seen.append("told")
                    return 1
                threading.Event().wait(0.005)
            return 2

    async with Engine() as engine:
        run = await engine.start(Threaded())
        assert await asyncio.to_thread(started.wait, 5)
        await run.cancel("enough")
        await run.outcome()
    assert seen == [False, "told"]


async def test_a_logger_knows_where_it_is(caplog):
    """Run, address and attempt are on every record."""

    class Logs(Reactor):
        @step
        async def output(self) -> int:
            step_context().logger.info("hello")
            return 1

    caplog.set_level(logging.INFO, logger="reactor")
    async with Engine() as engine:
        await engine.run(Logs(), id="l")
    [record] = [record for record in caplog.records if record.message == "hello"]
    assert (record.run_id, record.address, record.attempt, record.name) == ("Logs:l", "output", 1, "reactor")


async def test_progress_is_heard_by_observers():
    """From steps, elements and threads, in the engine's loop; it is no fact: the record does not grow by it."""
    loop, told = asyncio.get_running_loop(), []

    def watch(event):
        if event.kind == "progress":
            assert asyncio.get_running_loop() is loop
            told.append((event.address, event.detail))

    class Works(Reactor):
        @map_over([1])
        async def some(self, one: int) -> int:
            step_context().progress(1, 3)
            await asyncio.to_thread(step_context().progress, 2)
            return one

        @step(after=[some])
        def output(self) -> int:
            step_context().progress(7, 9)
            return 1

    async with Engine(observers=[watch]) as engine:
        run = await engine.start(Works())
        await run.result()
        await asyncio.sleep(1)
        assert "progress" not in {event.kind async for event in run.events()}
    assert told == [("some[0]", {"done": 1, "total": 3}), ("some[0]", {"done": 2}), ("output", {"done": 7, "total": 9})]
    assert await Works() == 1, "an awaited reactor has nobody who watches"


async def test_a_fence_is_a_number():
    """One owner, while nothing is taken over."""

    class Fenced(Reactor):
        @step
        async def output(self) -> int:
            return step_context().fence

    assert await Fenced() == 1
