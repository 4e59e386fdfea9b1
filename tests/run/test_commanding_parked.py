"""A command and a park at the same time: what was acknowledged is heeded, and no outcome is told that it has overtaken."""

import asyncio

import pytest

from reactor import Ask, Cancelled, Parked, Reactor, Undone, interrupt, map_over, step
from reactor.record.words import Append, Appended
from reactor.run.session import FOREVER
from tests.places import place_of

pytestmark = pytest.mark.anyio


class Asks(Reactor):
    """A step, then a question."""

    who: str = ""

    @step
    async def first(self) -> int:
        return 1

    @first.undo
    async def undo_first(self, value: int) -> None:
        await asyncio.sleep(10)

    @interrupt(after=[first])
    async def approval(self) -> Ask[bool]:
        return Ask()

    @step(after=[approval])
    async def output(self) -> int:
        return 1


class Many(Reactor):
    """Questions in elements."""

    @map_over(["a", "b"], batch_size=1)
    async def some(self, who: str) -> Asks:
        return Asks(who=who)

    @step(after=[some])
    async def output(self) -> int:
        return 1


@pytest.fixture
def place():
    """A store in memory that outlives its engines."""
    with place_of("memory") as made:
        yield made


COMMANDS = {"cancel": (lambda run: run.cancel("enough"), Cancelled), "undo": (lambda run: run.undo(), Undone)}


@pytest.mark.parametrize("reactor", [Asks, Many])
@pytest.mark.parametrize("command", COMMANDS)
async def test_the_outcome_after_a_command_is_what_came_of_it(place, reactor, command):
    """Asked on the handle that had told of the park, and on another."""
    act, ends = COMMANDS[command]
    async with place.engine() as engine:
        run = await engine.start(reactor(), id="a")
        assert isinstance(await run.outcome(), Parked)
        await act(run)
        assert [type(one) for one in await asyncio.gather(run.outcome(), (await engine.get(run.id)).outcome())] == [ends, ends]


@pytest.mark.parametrize("command", COMMANDS)
async def test_who_drives_it_elsewhere_is_waited_for(place, command):
    """It has the run, and has written nothing yet: the record still says parked, and the command lies there."""
    act, ends = COMMANDS[command]
    async with place.engine() as engine:
        run = await engine.start(Asks(), id="a")
        assert isinstance(await run.outcome(), Parked)
        store = await place.outside()
        await store.open_session("other", FOREVER)
        assert await store.claim_run("other", run.id) is not None
        await act(run)
        assert (await store.load(run.id)).status == "parked"
        with pytest.raises(TimeoutError):
            await run.outcome(timeout=30)
        await store.close_session("other")
        assert isinstance(await run.outcome(), ends)


class Between:
    """A store that leaves something to be done right after a run was given back, before whoever gave it back knows."""

    def __init__(self, store, meanwhile):
        self._store, self._meanwhile = store, meanwhile

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def append(self, append: Append):
        """Released first, acknowledged later."""
        answer = await self._store.append(append)
        if append.release and append.status == "parked" and isinstance(answer, Appended) and self._meanwhile:
            task = asyncio.ensure_future(self._meanwhile.pop()())
            await asyncio.sleep(5)
            assert not task.done(), "it waits until it is known here that the run was given back"
        return answer


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_that_meets_a_park_is_heeded(place, command):
    """Nobody asks for an outcome, no sweep finds it: who has acknowledged it sees to it."""
    act, ends = COMMANDS[command]
    acts = []
    place.wrapped = lambda store: Between(store, acts)
    async with place.engine() as engine:
        acts.append(lambda: act(run))
        run = await engine.start(Asks(), id="a")
        await asyncio.sleep(60)
        assert not acts
        assert await run.status() == {Cancelled: "cancelled", Undone: "undone"}[ends]
