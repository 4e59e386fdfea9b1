"""The lease of one process: renewed on the store's clock; when it may have run out nothing begins, and after an outage nobody claims."""

import asyncio

import pytest

from reactor.errors import StoreUnavailable
from reactor.record.words import NewRecord, Served
from reactor.run.session import FOREVER, Session
from reactor.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio
LEASE = 30.0


class Shaky(MemoryStore):
    """A store that can be away."""

    is_away = False
    renewals = 0
    takes = 0.0

    async def renew(self, session):
        """Unless it is away."""
        await asyncio.sleep(self.takes)
        if self.is_away:
            raise StoreUnavailable("away")
        self.renewals += 1
        return await super().renew(session)


@pytest.fixture
async def store():
    """On the loop's time."""
    return Shaky(clock=asyncio.get_running_loop().time)


@pytest.fixture
async def session(store):
    """Open."""
    made = Session(store, LEASE, asyncio.get_running_loop().time)
    await made.open()
    yield made
    await made.close()


async def claimed(store, session):
    """What this session claims of runs that are due or whose lease has run out."""
    return [one.run for one in await store.claim(session.id, [Served("shop", 1, "")])]


async def test_it_lives_as_long_as_it_is_renewed(store, session):
    """Nobody else gets its records, however long it takes; it asks three times a lease."""
    await store.create(NewRecord(run="shop:1", root="shop:1", reactor="shop", token=session.token()))
    before = store.renewals
    other = Session(store, LEASE, asyncio.get_running_loop().time)
    await other.open()
    await asyncio.sleep(10 * LEASE + 1)
    assert session.may_begin
    assert session.may_claim
    assert await claimed(store, other) == []
    await other.close()
    assert 55 <= store.renewals - before <= 65, "of both"


async def test_with_each_renewal_the_stores_time_is_heard(store):
    """As it was between two moments of ours; and when it opens."""
    told = []
    loop = asyncio.get_running_loop()
    session = Session(store, LEASE, loop.time)
    session.heard = lambda *times: told.append(times)
    await session.open()
    await asyncio.sleep(LEASE + 1)
    await session.close()
    assert len(told) == 3 + 1
    assert all(stored == asked == answered for stored, asked, answered in told)


async def test_each_token_is_another_and_names_its_session(session):
    """The nonce has no colon."""
    tokens = {session.token() for _ in range(100)}
    assert len(tokens) == 100
    assert {token.rpartition(":")[0] for token in tokens} == {session.id}


async def test_nothing_begins_after_two_thirds_of_a_lease_without_a_renewal(store, session):
    """Until the next one succeeds; who waits then goes on."""
    store.is_away = True
    await asyncio.sleep(LEASE * 2 / 3 - 0.5)
    assert session.may_begin
    await asyncio.sleep(1)
    assert not session.may_begin
    waits = [asyncio.ensure_future(session.ready()) for _ in range(3)]
    await asyncio.sleep(100)
    assert not any(one.done() for one in waits)
    store.is_away = False
    await asyncio.wait_for(asyncio.gather(*waits), 1)
    assert session.may_begin


async def test_after_an_outage_nobody_claims_what_merely_expired(store, session):
    """For a full lease: its owner had the same outage."""
    store.is_away = True
    await asyncio.sleep(LEASE)
    store.is_away = False
    await asyncio.wait_for(session.ready(), 1)
    assert not session.may_claim
    await asyncio.sleep(LEASE - 1)
    assert not session.may_claim
    await asyncio.sleep(2)
    assert session.may_claim


async def test_where_all_is_slow_what_expired_is_claimed_after_a_lease(store, session):
    """Each renewal comes too late, and none tells of an outage of its own: a process that waited on would take up nothing, ever."""
    store.takes = LEASE / 2
    await asyncio.sleep(LEASE)
    assert not session.may_claim
    await asyncio.sleep(2 * LEASE)
    assert session.may_claim
    assert await session.claims()


async def test_an_outage_of_a_slow_store_is_an_outage(store, session):
    """It is told from slowness by its length."""
    store.takes = LEASE / 2
    await asyncio.sleep(4 * LEASE)
    assert session.may_claim
    store.is_away = True
    await asyncio.sleep(2 * LEASE)
    store.is_away = False
    await asyncio.wait_for(session.ready(), LEASE)
    assert not session.may_claim


async def test_slowness_that_is_over_says_nothing_of_the_next_outage(store, session):
    """Once a renewal was in time, the next that is not means that a lease is waited for again."""
    store.takes = LEASE / 2
    await asyncio.sleep(4 * LEASE)
    store.takes = 0.0
    await asyncio.sleep(LEASE)
    assert session.may_claim
    store.is_away = True
    await asyncio.sleep(LEASE)
    store.is_away = False
    await asyncio.wait_for(session.ready(), 1)
    assert not session.may_claim


async def test_a_short_outage_changes_nothing(store, session):
    """Within two thirds of a lease: no lease can have run out for it."""
    await asyncio.sleep(LEASE / 3)
    store.is_away = True
    await asyncio.sleep(LEASE / 4)
    store.is_away = False
    await asyncio.sleep(1)
    assert session.may_begin
    assert session.may_claim


async def test_another_server_is_an_outage(session):
    """Whoever notices says so."""
    session.doubt()
    assert not session.may_claim
    await asyncio.sleep(LEASE + 1)
    assert session.may_claim


async def test_before_anything_begins_again_it_is_asked_what_is_still_held(store, session):
    """Once a lapse, after the renewal and before anybody is let go on."""
    asked = []

    async def lapsed():
        asked.append(session.may_begin)

    session.lapsed = lapsed
    await asyncio.sleep(LEASE)
    assert asked == []
    store.is_away = True
    await asyncio.sleep(2 * LEASE)
    store.is_away = False
    await session.ready()
    await asyncio.sleep(LEASE)
    assert asked == [False]


async def test_whatever_fails_in_a_renewal_it_is_renewed_on(store, session, caplog):
    """A mistake of ours must not cost the process all its runs, one after another, with nobody told."""
    failures = [ValueError("a mistake")]

    async def lapsed():
        if failures:
            raise failures.pop()

    session.lapsed = lapsed
    store.is_away = True
    await asyncio.sleep(LEASE)
    store.is_away = False
    await asyncio.sleep(2 * LEASE)
    assert failures == []
    assert session.may_begin
    assert session.may_claim
    assert "a mistake" in caplog.text


async def test_a_session_that_the_store_dropped_is_opened_again(store, session):
    """It had run out and held nothing."""
    await store.close_session(session.id)
    await asyncio.sleep(LEASE / 2)
    await store.create(NewRecord(run="shop:1", root="shop:1", reactor="shop"))
    assert await claimed(store, session) == ["shop:1"]


async def test_a_claim_is_asked_for_right_after_a_renewal(store, session):
    """With the store away it is not asked for at all; after an outage not before a lease has gone by."""
    assert await session.claims()
    store.is_away = True
    with pytest.raises(StoreUnavailable):
        await session.claims()
    await asyncio.sleep(LEASE)
    store.is_away = False
    assert not await session.claims()


async def test_closing_gives_its_records_back(store):
    """They are due at once, and nothing of it is left; what is ending may still begin a call."""
    session = Session(store, LEASE, asyncio.get_running_loop().time)
    await session.open()
    other = Session(store, LEASE, asyncio.get_running_loop().time)
    await other.open()
    await store.create(NewRecord(run="shop:1", root="shop:1", reactor="shop", token=session.token()))
    await session.close()
    assert await claimed(store, other) == ["shop:1"]
    await other.close()
    assert session.may_begin
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "reactor session"] == []


async def test_a_store_that_is_away_does_not_keep_it_from_closing(store, session, monkeypatch, caplog):
    """Its lease runs out instead; the log says so."""

    async def away(_store, _session):
        raise StoreUnavailable("away")

    monkeypatch.setattr(MemoryStore, "close_session", away)
    await session.close()
    assert "runs out instead" in caplog.text


async def test_the_log_says_once_that_it_cannot_be_renewed(store, session, caplog):
    """Not at every try."""
    store.is_away = True
    await asyncio.sleep(5 * LEASE)
    assert caplog.text.count("cannot be renewed") == 1
    store.is_away = False


async def test_a_lease_for_ever_needs_no_task(store):
    """Of a store that has one process."""
    session = Session(store, FOREVER, asyncio.get_running_loop().time)
    await session.open()
    assert session._task is None
    await asyncio.sleep(86_400 * 365)
    assert session.may_begin
    assert await session.claims()
    await session.close()
