"""What steps share: opened when first needed, once, each in a task of its own, and closed in reverse."""

import asyncio
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest

from reactor import Engine, Failed, Reactor, ReactorError, RunFailed, step, use
from reactor.run.resources import Resources

pytestmark = pytest.mark.anyio


class World:
    """What is opened and closed, by which task."""

    def __init__(self):
        self.log = []
        self.tasks = []

    def provider(self, name, *, opening=0.0, fails=None, closing=None):
        """A resource of this name."""

        @asynccontextmanager
        async def provide():
            self.tasks.append(asyncio.current_task())
            await asyncio.sleep(opening)
            if fails is not None and (error := fails()) is not None:
                raise error
            self.log.append(f"+{name}")
            yield name
            self.tasks.append(asyncio.current_task())
            self.log.append(f"-{name}")
            if closing is not None:
                raise closing

        return provide


@pytest.fixture
def world():
    """Nothing is open."""
    return World()


# ---- opening ---------------------------------------------------------------------------------------------------------


async def test_a_provider_may_be_of_four_kinds():
    """An async context manager, a context manager, something to await, or a plain value."""
    closed = []

    @asynccontextmanager
    async def asynchronous():
        yield "a"
        closed.append("a")

    @contextmanager
    def plain():
        yield "b"
        closed.append("b")

    async def awaited():
        return "c"

    def value():
        return "d"

    resources = Resources()
    providers = [asynchronous, plain, awaited, value]
    assert resources.missing(providers) == providers
    await resources.open(providers)
    assert [resources.opened[provider] for provider in providers] == ["a", "b", "c", "d"]
    assert resources.missing(providers) == []
    await resources.close()
    assert closed == ["b", "a"]


async def test_what_is_open_is_not_opened_again(world):
    """One opener, however many ask, at the same time or later."""
    pool = world.provider("pool", opening=1)
    resources = Resources()
    await asyncio.gather(*(resources.open([pool]) for _ in range(10)))
    await resources.open([pool])
    assert world.log == ["+pool"]
    await resources.close()
    assert world.log == ["+pool", "-pool"]


async def test_a_resource_is_entered_and_left_by_one_task(world):
    """So that a task group or a cancel scope inside it is used as it must be, whoever asked for it first and whoever closes it."""
    pool = world.provider("pool")
    resources = Resources()
    await asyncio.create_task(resources.open([pool]))
    await asyncio.create_task(resources.close())
    entered, left = world.tasks
    assert entered is left
    assert entered is not asyncio.current_task()


async def test_a_task_group_inside_a_resource_works():
    """One of anyio refuses to be left by another task than it was entered by."""
    beats = []

    @asynccontextmanager
    async def beating():
        async with anyio.create_task_group() as group:

            async def beat():
                while True:
                    beats.append(1)
                    await anyio.sleep(1)

            group.start_soon(beat)
            with anyio.CancelScope():
                yield "heart"
            group.cancel_scope.cancel()

    class Uses(Reactor):
        @step
        async def output(self, heart: str = use(beating)) -> str:
            await anyio.sleep(2.5)
            return heart

    async with Engine() as engine:
        first, second = [await engine.start(Uses()) for _ in range(2)]
        assert (await first.result(), await second.result()) == ("heart", "heart")
        assert len(beats) == 3


async def test_an_opening_that_fails_is_not_remembered(world):
    """All who wait get what it raised; the next one tries again."""
    errors = iter([OSError("no route"), None])
    pool = world.provider("pool", opening=1, fails=lambda: next(errors))
    resources = Resources()
    got = await asyncio.gather(*(resources.open([pool]) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in got] == ["no route"] * 3
    assert resources.missing([pool]) == [pool]
    await resources.open([pool])
    assert resources.opened[pool] == "pool"
    await resources.close()


async def test_a_provider_that_cannot_even_be_called(world):
    """It is an opening that fails."""

    def broken():
        raise OSError("no db")

    with pytest.raises(OSError, match="no db"):
        await Resources().open([broken])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()], ids=repr)
async def test_an_opening_that_ends_in_something_else(world, error):
    """It fails whoever needed it, and takes nothing down with it."""
    pool = world.provider("pool", fails=lambda: error)
    with pytest.raises(ReactorError, match="opening it ended in"):
        await Resources().open([pool])


async def test_the_first_that_fails_leaves_the_others_open(world):
    """What was opened before it is kept for the next call, and closed at the end."""
    resources = Resources()
    with pytest.raises(OSError, match="no"):
        await resources.open([world.provider("one"), world.provider("two", fails=lambda: OSError("no"))])
    await resources.close()
    assert world.log == ["+one", "-one"]


async def test_who_is_cancelled_while_it_opens_stops_only_waiting(world):
    """The others get it; so does who asks later."""
    pool = world.provider("pool", opening=5)
    resources = Resources()
    impatient, patient = (asyncio.ensure_future(resources.open([pool])) for _ in range(2))
    await asyncio.sleep(1)
    impatient.cancel()
    await patient
    assert impatient.cancelled()
    assert resources.opened[pool] == "pool"
    await resources.close()


async def test_who_is_cancelled_just_when_it_has_opened(world):
    """In the very turn of the loop: the resource is open, is not opened again, and is closed at the end."""
    pool = world.provider("pool", opening=1)
    resources = Resources()
    opening = asyncio.ensure_future(resources.open([pool]))
    await asyncio.sleep(0)
    resources._keepers[pool].value.add_done_callback(lambda _: opening.cancel())
    with pytest.raises(asyncio.CancelledError):
        await opening
    await resources.open([pool])
    await resources.close()
    assert world.log == ["+pool", "-pool"]


async def test_overrides_stand_in_for_providers(world):
    """As tests want it; the provider itself is the name that steps know."""
    real, fake = world.provider("real"), world.provider("fake")
    resources = Resources({real: fake})
    await resources.open([real])
    assert resources.opened[real] == "fake"
    await resources.close()


# ---- closing ---------------------------------------------------------------------------------------------------------------


async def test_the_newest_is_closed_first(world):
    """A client may need its pool until it is closed."""
    resources = Resources()
    await resources.open([world.provider("pool"), world.provider("client")])
    await resources.close()
    assert world.log == ["+pool", "+client", "-client", "-pool"]
    assert resources.opened == {}
    assert not resources.used


async def test_all_are_closed_though_some_fail(world):
    """What closing raised comes in a group, when all are closed."""
    resources = Resources()
    await resources.open([world.provider("a"), world.provider("b", closing=OSError("b")), world.provider("c", closing=ValueError("c"))])
    with pytest.raises(ExceptionGroup) as raised:
        await resources.close()
    assert [str(error) for error in raised.value.exceptions] == ["c", "b"]
    assert world.log[-1] == "-a"


async def test_closing_while_one_is_being_opened(world):
    """The opening is cancelled; whoever waits for it is told so."""
    resources = Resources()
    opening = asyncio.ensure_future(resources.open([world.provider("pool", opening=60)]))
    await asyncio.sleep(1)
    await resources.close()
    with pytest.raises(ReactorError, match="opening it ended in"):
        await opening
    assert world.log == []


async def test_nothing_is_opened_while_the_engine_closes(world):
    """A call that comes too late fails; an engine that was opened again opens them again."""
    leaving = asyncio.Event()

    @asynccontextmanager
    async def slow():
        yield "slow"
        leaving.set()
        await asyncio.sleep(5)

    resources = Resources()
    await resources.open([slow])
    closing = asyncio.ensure_future(resources.close())
    await leaving.wait()
    with pytest.raises(ReactorError, match="no resource is opened any more") as raised:
        await resources.open([world.provider("pool")])
    assert raised.value.code == "closing"
    await closing
    await resources.open([slow])
    await resources.close()


async def test_a_resource_that_broke_while_it_was_open_is_told_when_it_is_closed():
    """Its task ended before: closing says what of."""
    died = asyncio.Event()

    @asynccontextmanager
    async def fragile():
        async with asyncio.TaskGroup() as group:

            async def die():
                died.set()
                raise OSError("connection lost")

            group.create_task(die())
            yield "it"

    resources = Resources()
    await resources.open([fragile])
    await died.wait()
    with pytest.raises(ExceptionGroup) as raised:
        await resources.close()
    assert raised.group_contains(OSError, match="connection lost")


# ---- in runs ----------------------------------------------------------------------------------------------------------------


async def test_an_engine_opens_once_for_all_its_runs(world):
    """And closes with itself."""
    pool = world.provider("pool", opening=1)

    class Uses(Reactor):
        @step
        async def output(self, it: str = use(pool)) -> str:
            return it

    async with Engine() as engine:
        for run in [await engine.start(Uses()) for _ in range(3)]:
            await run.result()
        assert world.log == ["+pool"]
    assert world.log == ["+pool", "-pool"]


async def test_an_awaited_run_has_resources_for_itself(world):
    """Closed when it ends, whichever way."""
    pool = world.provider("pool")

    class Uses(Reactor):
        good: bool

        @step
        async def output(self, it: str = use(pool)) -> str:
            if not self.good:
                raise ValueError("bad")
            return it

    await Uses(good=True)
    with pytest.raises(RunFailed):
        await Uses(good=False)
    assert world.log == ["+pool", "-pool"] * 2


async def test_a_resource_that_does_not_close_takes_nothing_from_an_awaited_run(world, caplog):
    """The value is there; what failed is logged."""
    pool = world.provider("pool", closing=OSError("stuck"))

    class Uses(Reactor):
        @step
        async def output(self, it: str = use(pool)) -> str:
            return it

    assert await Uses() == "pool"
    assert "did not close" in caplog.text


async def test_a_step_whose_resource_does_not_open_has_not_begun(world):
    """It fails without being compensated; opening is an attempt, and is tried again like one."""
    pool = world.provider("pool", fails=lambda: OSError("no db"))

    class Uses(Reactor):
        @step
        async def output(self, it: str = use(pool)) -> str:
            world.log.append("called")
            return it

        @output.compensate
        async def answer(self, error: object) -> None:
            world.log.append("compensated")

    async with Engine() as engine:
        outcome = await engine.run(Uses())
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(OSError)
    assert world.log == []
