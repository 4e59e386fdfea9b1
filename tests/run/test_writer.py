"""Appends what happened to one record: one at a time, each under a name of its own, however long the store takes."""

import asyncio

import pytest

from reactor.errors import StoreUnavailable
from reactor.machine.events import CallStarted
from reactor.record import facts
from reactor.record.words import EVENT_LIMIT, Appended, Behind, Fenced, Message, NewRecord, TooLarge, Unread
from reactor.run.writer import Writer
from reactor.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio
RUN = "shop:1"


class Shaky(MemoryStore):
    """A store whose answers get lost, before or after it did what it was asked, so many times."""

    lost_before = 0
    lost_after = 0
    asked = 0

    async def append(self, append):
        """As told."""
        self.asked += 1
        if self.lost_before:
            self.lost_before -= 1
            raise StoreUnavailable("away")
        answer = await super().append(append)
        if self.lost_after:
            self.lost_after -= 1
            raise StoreUnavailable("the answer was lost")
        return answer


@pytest.fixture
async def store():
    """With a session that is open, on the loop's time."""
    made = Shaky(clock=asyncio.get_running_loop().time)
    await made.open_session("s", 60.0)
    return made


@pytest.fixture
async def writer(store):
    """The pen of a record that was just made."""
    made = await store.create(NewRecord(run=RUN, root=RUN, reactor="shop", token="s:1"))
    return Writer(store, RUN, "s:1", fence=made.fence)


def note(writer, *addresses):
    """Take down that these began."""
    noted = [CallStarted(1.0, address) for address in addresses]
    for fact in noted:
        writer.add(fact, facts.encode(fact))
    return noted


async def addresses(store, run=RUN):
    """What is on record."""
    return [facts.decode(data)[0].address for data in (await store.load(run)).events]


async def test_all_that_was_noted_is_written_at_once(store, writer):
    """With its messages and children; then nothing waits to be written, and what was to follow is done."""
    done = []
    noted = note(writer, "a", "b")
    writer.children.append(NewRecord(run=f"{RUN}/m#0", root=RUN, parent=RUN, reactor="shop"))
    writer.messages.append((f"{RUN}/m#0", Message("cancel", b"x")))
    writer.afters.append(lambda: done.append(writer.seq))
    assert writer.is_dirty
    answer, written = await writer.append("running")
    assert isinstance(answer, Appended)
    assert written == noted
    assert (writer.seq, done, writer.is_dirty, store.asked) == (2, [2], False, 1)
    assert await addresses(store) == ["a", "b"]
    assert [message.body for message in (await store.load(f"{RUN}/m#0")).mail] == [b"x"]


async def test_what_is_noted_meanwhile_joins_the_next_append(store, writer):
    """It is not said to be written before it is, and what was to follow it waits for it."""
    done = []
    store.lost_before = 1
    note(writer, "a")
    writer.afters.append(lambda: done.append("a"))
    appending = asyncio.ensure_future(writer.append("running"))
    await asyncio.sleep(0)
    later = note(writer, "b")
    writer.afters.append(lambda: done.append("b"))
    _, written = await appending
    assert ([fact.address for fact in written], done, await addresses(store)) == (["a"], ["a"], ["a"])
    assert (writer.facts, writer.is_dirty) == (later, True)
    await writer.append("running")
    assert (done, await addresses(store)) == (["a", "b"], ["a", "b"])


@pytest.mark.parametrize("lost", ["lost_before", "lost_after"])
@pytest.mark.parametrize("times", [1, 2, 7])
async def test_a_lost_reply_is_asked_for_again(store, writer, lost, times):
    """Under the same name: whether the store had written it or not, it is there once, however often the answer gets lost."""
    setattr(store, lost, times)
    note(writer, "a")
    answer, _ = await writer.append("running")
    note(writer, "b")
    assert isinstance(answer, Appended)
    assert isinstance((await writer.append("running"))[0], Appended)
    assert await addresses(store) == ["a", "b"]
    assert store.asked == times + 2


async def test_it_asks_again_less_and_less_often(store, writer):
    """At once at first, every two seconds in the end; the log says once that it waits."""
    store.lost_before = 20
    began = asyncio.get_running_loop().time()
    note(writer, "a")
    await writer.append("running")
    waited = asyncio.get_running_loop().time() - began
    assert waited == pytest.approx(0.05 + 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 14 * 2.0)


async def test_the_log_says_once_that_it_waits(store, writer, caplog):
    """For each append that has to."""
    store.lost_before = 5
    note(writer, "a")
    await writer.append("running")
    assert caplog.text.count("waits for its store") == 1


async def test_an_append_that_nobody_waits_for_is_given_up(store, writer):
    """The record goes elsewhere: the next loss of an answer is raised."""
    store.lost_before = 100
    note(writer, "a")
    appending = asyncio.ensure_future(writer.append("running"))
    await asyncio.sleep(1)
    writer.given_up = True
    with pytest.raises(StoreUnavailable):
        await appending
    assert await addresses(store) == []


async def test_what_can_never_be_written_is_raised_at_once(store, writer):
    """Trying again would change nothing."""
    writer.add(CallStarted(1.0, "a"), b"x" * (EVENT_LIMIT + 1))
    with pytest.raises(TooLarge):
        await writer.append("running")
    assert store.asked == 1


@pytest.mark.parametrize("how", ["release", "ended"])
async def test_unread_mail_keeps_a_release_or_an_end_from_being_written(store, writer, how):
    """All that was noted waits on, in its order; once the mail is read it is written."""
    await store.deliver(RUN, Message("cancel", b"x"), moves=True, operation="1")
    noted = note(writer, "a")
    writer.messages.append((RUN, Message("cancel", b"y")))
    answer, written = await writer.append("running", **{how: True})
    assert (isinstance(answer, Unread), written, writer.facts, len(writer.messages)) == (True, [], noted, 1)
    note(writer, "b")
    writer.messages.clear()
    writer.read_up_to = 1
    answer, _ = await writer.append("running", **{how: True})
    assert isinstance(answer, Appended)
    assert await addresses(store) == ["a", "b"]


async def test_an_append_says_that_newer_mail_lies_there(store, writer):
    """And consumes what was read."""
    for number in range(2):
        await store.deliver(RUN, Message("cancel", b"x"), moves=True, operation=str(number))
    writer.read_up_to = 1
    answer, _ = await writer.append("running")
    assert answer.unread
    writer.read_up_to = 2
    answer, _ = await writer.append("running")
    assert not answer.unread
    assert (await store.load(RUN)).mail == ()


async def test_another_owner_refuses_it(store, writer):
    """Nothing is written, and nothing that was to follow is done."""
    done = []
    await store.close_session("s")
    await store.open_session("other", 60.0)
    await store.claim_run("other", RUN)
    noted = note(writer, "a")
    writer.afters.append(lambda: done.append("a"))
    answer, written = await writer.append("running")
    assert (type(answer), written, writer.facts, done) == (Fenced, [], noted, [])
    assert await addresses(store) == []


async def test_a_store_that_holds_another_number_of_events_refuses_it(store, writer):
    """It went back in time, or another wrote under our token."""
    writer.seq = 5
    note(writer, "a")
    answer, _ = await writer.append("running")
    assert answer == Behind(0)


async def test_the_version_goes_over_with_the_first_append(store, writer):
    """Of code that took the record over; it is said once."""
    writer.version = (3, "f00")
    await writer.append("running")
    loaded = await store.load(RUN)
    assert (loaded.version, loaded.fingerprint, writer.version) == (3, "f00", None)


async def test_a_fact_that_was_to_go_with_a_refused_append_can_be_withdrawn(writer):
    """It, and its message: the very ones, though others are equal to them."""
    first, second = note(writer, "a", "a")
    told = [(RUN, Message("cancel", b"x")), (RUN, Message("cancel", b"x"))]
    writer.messages.extend(told)
    writer.withdraw(second, told[1])
    assert len(writer.facts) == len(writer.data) == len(writer.messages) == 1
    assert writer.facts[0] is first
    assert writer.messages[0] is told[0]
