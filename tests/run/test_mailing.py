"""What a message makes of a run: the facts that are noted for it, and no others."""

import asyncio

import pytest

from reactor import Reactor, Retry, map_over, step
from reactor.machine.events import BatchParked, BatchSettled, BatchWoke, StopRequested, UndoRequested
from reactor.record.words import Message
from reactor.run import mailing
from reactor.run.mailing import AGAIN, letter
from reactor.run.opening import open_record
from tests.places import place_of

pytestmark = pytest.mark.anyio
BREAKS: set[str] = set()


@pytest.fixture(autouse=True)
def _fresh():
    BREAKS.clear()


class Shop(Reactor):
    """A batch that takes an hour, after a step that can be undone."""

    @step
    async def first(self) -> int:
        return 1

    @first.undo(retry=Retry(1))
    async def undo_first(self, value: int) -> None:
        if "undo" in BREAKS:
            raise OSError

    @map_over([1, 2], after=[first], batch_size=2)
    async def some(self, one: int) -> int:
        if "quick" not in BREAKS:
            await asyncio.sleep(3600)
        return one

    @step(after=[some])
    async def output(self) -> int:
        return 1


@pytest.fixture
async def engine():
    """On a store in memory that outlives it."""
    with place_of("memory") as place:
        async with place.engine() as made:
            yield made


async def driven(engine):
    """A run in the middle, and its driver; nothing of what is noted is written meanwhile."""
    run = await engine.start(Shop(), id="s")
    await asyncio.sleep(1)
    return engine._host.drivers[run.id]


async def ended(engine, *breaks):
    """The driver of a run that has ended, as it is when a message opens it again."""
    BREAKS.update(("quick", *breaks))
    run = await engine.start(Shop(), id="s")
    await run.outcome()
    if breaks:
        await run.undo()
        await run.outcome()
    host = engine._host
    await host.store.deliver(run.id, Message("restart", b""), moves=True, operation="look")
    return await open_record(host, await host.store.claim_run(host.session.id, run.id))  # it is looked at, and not driven


def noted(driver, message):
    """The facts that a message makes."""
    before = len(driver.writer.facts)
    mailing.heed(driver, message)
    return driver.writer.facts[before:]


def kinds(facts):
    """By name."""
    return [type(fact).__name__ for fact in facts]


# ---- stopping -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["cancel", "abandon", "undo", "settle"])
async def test_a_cancel_says_how_and_why(engine, mode):
    """At the time at which it is heeded, not when it was sent."""
    driver = await driven(engine)
    driver.hushed = True
    facts = noted(driver, letter("cancel", StopRequested(5.0, "", mode, "enough")))
    assert facts == [StopRequested(facts[0].at, "", mode, "enough")]
    assert facts[0].at == pytest.approx(driver.site.now(), abs=1)
    assert not driver.hushed, "the word that it waited for has come"


async def test_a_cancel_of_what_has_ended_says_nothing(engine):
    """It comes too late."""
    driver = await ended(engine)
    assert noted(driver, letter("cancel", StopRequested(5.0, "", "cancel", "enough"))) == []


async def test_a_halt_goes_up_to_the_run(engine):
    """From a batch in a batch each passes it on, under its own name; one from above goes no further."""
    await driven(engine)
    batch = engine._host.drivers["Shop:s/some#0"]
    noted(batch, letter("cancel", StopRequested(5.0, "Shop:s/some#0/inner#1", "halt", "enough")))
    [(to, message)] = batch.writer.messages
    assert (to, message.kind) == ("Shop:s", "cancel")
    assert mailing.facts.decode(message.body)[0] == StopRequested(5.0, "Shop:s/some#0", "halt", "enough")
    noted(batch, letter("cancel", StopRequested(5.0, "", "halt", "enough")))
    assert len(batch.writer.messages) == 1


# ---- undoing ------------------------------------------------------------------------------------------------------------


async def test_an_undo_in_the_middle_stops_it_first(engine):
    """Then what succeeded is undone."""
    [fact] = noted(await driven(engine), letter("undo"))
    assert (type(fact), fact.mode) == (StopRequested, "undo")


async def test_an_undo_after_the_end_opens_it_again(engine):
    """All that succeeded is undone."""
    driver = await ended(engine)
    [fact] = noted(driver, letter("undo"))
    assert (type(fact), fact.keep, fact.then) == (UndoRequested, (), "undone")
    assert driver.machine.state.ended is None


@pytest.mark.parametrize("message", [letter("retry_rollback"), letter("undo", body=AGAIN)])
async def test_a_rollback_is_tried_again_where_it_is_stuck(engine, message):
    """Of a run by its own word, of a batch by its map's; an undo says nothing there."""
    driver = await ended(engine, "undo")
    assert driver.machine.state.ended == "stuck"
    assert noted(driver, letter("undo")) == []
    assert kinds(noted(driver, message)) == ["RollbackRetried"]


@pytest.mark.parametrize("message", [letter("retry_rollback"), letter("undo", body=AGAIN)])
async def test_no_rollback_is_tried_again_where_none_is_stuck(engine, message):
    """In the middle, and after the end."""
    assert noted(await driven(engine), message) == []
    run = await engine.get("Shop:s")
    await run.cancel("enough", undo=False)
    await run.outcome()
    assert noted(run._driver, message) == []


# ---- restarts -----------------------------------------------------------------------------------------------------------


async def test_a_restart_undoes_all_that_is_not_kept(engine):
    """As the message says; one without a fact is for the run that follows, and says nothing here."""
    driver = await ended(engine)
    assert noted(driver, Message("restart", b"")) == []
    [fact] = noted(driver, letter("restart", UndoRequested(5.0, "", ("first",), "superseded")))
    assert (fact.keep, fact.then, fact.at > 5) == (("first",), "superseded", True)
    assert noted(driver, letter("restart", UndoRequested(5.0, "", (), "superseded"))) == [], "it goes on already"


# ---- what batches tell --------------------------------------------------------------------------------------------------


SETTLED = BatchSettled(5.0, "some", 0, 2, 0)
PARKED = BatchParked(5.0, "some", 0)
WOKE = BatchWoke(5.0, "some", 0)


@pytest.mark.parametrize(
    ("told", "facts"),
    [
        ([SETTLED], ["BatchSettled"]),
        ([SETTLED, SETTLED], ["BatchSettled"]),
        ([PARKED, WOKE, SETTLED], ["BatchParked", "BatchWoke", "BatchSettled"]),
        ([WOKE], []),
        ([SETTLED, PARKED, WOKE], ["BatchSettled"]),
        ([BatchSettled(5.0, "some", 7, 2, 0)], []),
        ([BatchSettled(5.0, "first", 0, 2, 0)], []),
        ([BatchSettled(5.0, "other", 0, 2, 0)], []),
    ],
    ids=["settled", "twice", "parked and woken", "woken unparked", "too late", "no such batch", "no map", "no such node"],
)
async def test_what_a_batch_tells_is_one_fact(engine, told, facts):
    """However often it comes; what says nothing new is passed over."""
    driver = await driven(engine)
    found = [fact for one in told for fact in noted(driver, letter("settled", one))]
    assert kinds(found) == facts


async def test_what_nobody_can_read_is_left_aside(engine, caplog):
    """And told to the log; the next message is heeded."""
    driver = await driven(engine)
    for kind in ("cancel", "settled", "signal"):
        assert noted(driver, Message(kind, b"\x80\x04\x95")) == []
    assert caplog.text.count("cannot be read: it is left aside") == 3
    assert kinds(noted(driver, letter("undo"))) == ["StopRequested"]
