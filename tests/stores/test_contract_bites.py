"""The contract is worth its name: a store with one law broken does not pass it."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import msgspec
import pytest

from reactor.record.store import Appended, Behind, Claimed, Delivered, Fenced, Unread
from reactor.stores.memory import MemoryStore
from reactor.testing.contract import Broken, Provider, checks

pytestmark = pytest.mark.anyio
change = msgspec.structs.replace


class Forgetful(MemoryStore):
    """Knows no operation: a lost append is done twice, or fenced."""

    async def append(self, append):
        kept = self.data.records.get(append.run)
        if kept is not None:
            kept.last = None
        return await super().append(append)


class Unfenced(MemoryStore):
    """Writes under any token."""

    async def append(self, append):
        kept = self.data.records.get(append.run)
        return await super().append(change(append, token=kept.token) if kept and kept.token else append)


class FencesExpiry(MemoryStore):
    """Refuses who has merely expired."""

    async def append(self, append):
        return await super().append(append) if self.alive(append.token.rpartition(":")[0]) else Fenced()


class Blind(MemoryStore):
    """Parks over unread mail: a wake-up is lost."""

    async def append(self, append):
        kept = self.data.records.get(append.run)
        if kept and kept.token == append.token and append.release:
            kept.mail.clear()
        return await super().append(append)


class EndsOverMail(MemoryStore):
    """Asks for mail when it releases, not when it ends."""

    async def append(self, append):
        answer = await super().append(append)
        if isinstance(answer, Unread) and append.ended:
            answer = await super().append(change(append, read_up_to=1 << 60))
        return answer


class HalfWritten(MemoryStore):
    """Makes the children before it looks at the seq."""

    async def append(self, append):
        for child in append.children:
            if child.run not in self.data.records:
                self.keep(child)
        return await super().append(append)


class AnySeq(MemoryStore):
    """Takes a writer's word for the seq."""

    async def append(self, append):
        answer = await super().append(append)
        return await super().append(change(append, seq=answer.seq)) if isinstance(answer, Behind) else answer


class SlowAppend(MemoryStore):
    """Looks, and writes a little later: two may win."""

    async def append(self, append):
        kept = self.data.records.get(append.run)
        seen = len(kept.events) if kept else 0
        await asyncio.sleep(0)
        answer = await super().append(append)
        if isinstance(answer, Behind) and append.seq == seen:
            return Appended(answer.seq, self.time())
        return answer


class SlowCreate(MemoryStore):
    """As before, for names."""

    async def create(self, record):
        free = record.run not in self.data.records
        await asyncio.sleep(0)
        if free:
            self.data.records.pop(record.run, None)
        return await super().create(record)


class SlowClaim(MemoryStore):
    """As before, for claims."""

    async def claim_run(self, session, run):
        kept = self.data.records.get(run)
        free = kept is not None and kept.token is None
        await asyncio.sleep(0)
        if free:
            kept.token = None
        return await super().claim_run(session, run)


class Generous(MemoryStore):
    """Claims for a session that is not open."""

    async def claim(self, session, serves, place="", *, limit=100):
        await self.open_session(session, 60) if not self.alive(session) else None
        return await super().claim(session, serves, place, limit=limit)


class NewestFirst(MemoryStore):
    """Claims the shortest due first."""

    async def claim(self, session, serves, place="", *, limit=100):
        return list(await super().claim(session, serves, place, limit=10**6))[::-1][:limit]


class AnyVersion(MemoryStore):
    """Old code gets new records."""

    async def claim(self, session, serves, place="", *, limit=100):
        return await super().claim(session, [change(one, version=99) for one in serves], place, limit=limit)


class AnyPlace(MemoryStore):
    """A web process does a queue's work."""

    async def claim(self, session, serves, place="", *, limit=100):
        for kept in self.data.records.values():
            if kept.made.place:
                kept.made = change(kept.made, place=place)
        return await super().claim(session, serves, place, limit=limit)


class Stubborn(MemoryStore):
    """Offers what was refused."""

    async def refuse(self, run, token, fingerprint):
        answer = await super().refuse(run, token, fingerprint)
        if answer:
            self.data.records[run].refused_by.clear()
        return answer


class LowFence(MemoryStore):
    """A counter for a fence: a store that lost writes gives it again."""

    async def claim_run(self, session, run):
        kept = self.data.records.get(run)
        before = kept.fence if kept else 0
        claimed = await super().claim_run(session, run)
        if claimed is None:
            return None
        kept.fence = before + 1
        return replace_fence(claimed, before + 1)

    async def claim(self, session, serves, place="", *, limit=100):
        claimed = await super().claim(session, serves, place, limit=limit)
        for one in claimed:
            self.data.records[one.run].fence = 1
        return [replace_fence(one, 1) for one in claimed]


def replace_fence(claimed: Claimed, fence: int) -> Claimed:
    """The same claim with another fence."""
    return change(claimed, fence=fence)


class ThiefLoses(MemoryStore):
    """A late renewal takes back what another claimed."""

    def _take(self, session, kept):
        claimed = super()._take(session, kept)
        self.taken = {**getattr(self, "taken", {}), (session, claimed.run): claimed.token}
        return claimed

    async def open_session(self, session, lease):
        await super().open_session(session, lease)
        for (owner, run), token in getattr(self, "taken", {}).items():
            if owner == session and self.data.records[run].token is not None:
                self.data.records[run].token = token


class HalfRenewed(MemoryStore):
    """A renewal after the lease ran out does nothing."""

    async def renew(self, session):
        return await super().renew(session) if self.alive(session) or session not in self.data.leases else True


class Leaky(MemoryStore):
    """A closed session's claims are closed with it."""

    async def close_session(self, session):
        return 0 if self.data.leases.pop(session, None) is None else len(self._of(session))


class Deaf(MemoryStore):
    """Delivers twice what was delivered twice."""

    async def deliver(self, run, message, *, moves, operation):
        if run in self.data.records:
            self.data.records[run].delivered.clear()
        return await super().deliver(run, message, moves=moves, operation=operation)


class Hasty(MemoryStore):
    """A message does not make its run due."""

    async def deliver(self, run, message, *, moves, operation):
        return await super().deliver(run, message, moves=False, operation=operation)


class Bottomless(MemoryStore):
    """Takes any number of signals."""

    async def deliver(self, run, message, *, moves, operation):
        answer = await super().deliver(run, message, moves=moves, operation=operation)
        return self.leave(self.data.records[run], message, moves=moves) if answer == "full" else answer


class Reopens(MemoryStore):
    """A signal that comes after the end wakes the run."""

    async def deliver(self, run, message, *, moves, operation):
        answer = await super().deliver(run, message, moves=moves, operation=operation)
        return self.leave(self.data.records[run], message, moves=moves) if answer == "gone" and run in self.data.records else answer


class Renumbers(MemoryStore):
    """Numbers what lies there, not what came."""

    async def deliver(self, run, message, *, moves, operation):
        kept = self.data.records.get(run)
        if kept is not None:
            kept.numbered = max((one.number for one in kept.mail), default=0)
        answer = await super().deliver(run, message, moves=moves, operation=operation)
        return Delivered(answer.number, answer.moved) if isinstance(answer, Delivered) else answer


class Shared(MemoryStore):
    """Puts scope and id together with a colon."""

    async def open_wait(self, scope, correlation_id, run, address):
        return await super().open_wait("", f"{scope}:{correlation_id}", run, address)

    async def find_waiting(self, scope, correlation_id):
        return await super().find_waiting("", f"{scope}:{correlation_id}")

    async def keep_early(self, scope, correlation_id, body, delivery_id):
        return await super().keep_early("", f"{scope}:{correlation_id}", body, delivery_id)

    async def close_wait(self, scope, correlation_id, run, address):
        return await super().close_wait("", f"{scope}:{correlation_id}", run, address)


class Overtakes(MemoryStore):
    """A run that waits for an id loses it to the next."""

    async def open_wait(self, scope, correlation_id, run, address):
        wait = self.data.waits.get((scope, correlation_id))
        if wait is not None and not wait.open:
            self.data.waits.pop((scope, correlation_id))
        return await super().open_wait(scope, correlation_id, run, address)


class OnceOnly(MemoryStore):
    """Hands early messages over once: a lost reply loses them."""

    async def open_wait(self, scope, correlation_id, run, address):
        answer = await super().open_wait(scope, correlation_id, run, address)
        self.data.waits[scope, correlation_id].early = ()
        return answer


class LastAnswer(MemoryStore):
    """Remembers the last answer, not the first."""

    async def once(self, delivery_id, answer):
        first = await super().once(delivery_id, answer)
        self.data.answers[delivery_id] = (self.time() + 8 * 86_400, answer)
        return first


class ShortMemory(MemoryStore):
    """Forgets answers when it keeps house."""

    async def expire(self, retention, tombstones, *, limit=1000):
        self.data.answers.clear()
        return await super().expire(retention, tombstones, limit=limit)


class NoTombstone(MemoryStore):
    """A name is free as soon as its run is dropped."""

    async def expire(self, retention, tombstones, *, limit=1000):
        return await super().expire(retention, 0, limit=limit)


class Eager(MemoryStore):
    """Drops by age since the beginning."""

    async def expire(self, retention, tombstones, *, limit=1000):
        for kept in self.data.records.values():
            kept.ended_at = kept.created_at if kept.token is None else kept.ended_at
        return await super().expire(retention, tombstones, limit=limit)


class Wild(MemoryStore):
    """Finds by text anywhere in it."""

    async def find(self, *, text=None, limit=50, **wanted):
        rows, cursor, total = await super().find(limit=10**6, **wanted)
        found = [row for row in rows if not text or any(text in value for value in (row.run, *row.index.values()))]
        return found[:limit], cursor, total if not text else len(found)


class Offsets(MemoryStore):
    """Pages by number: what changes between them comes twice, or never."""

    async def find(self, *, limit=50, cursor=None, **wanted):
        rows, _, total = await super().find(limit=10**6, **wanted)
        first = int(cursor or 0) if (cursor or "0").isdecimal() else 0
        return rows[first : first + limit], str(first + limit) if first + limit < total else None, total


class CountsChildren(MemoryStore):
    """Counts all records."""

    def _runs(self):
        return list(self.data.records.values())


class Backwards(MemoryStore):
    """Its time is its clock's."""

    def time(self):
        self._turn = getattr(self, "_turn", 0) + 1
        return super().time() - (self._turn % 2) * 5


class Mute(MemoryStore):
    """Tells nobody."""

    def changed(self, run):
        pass


class Chatty(MemoryStore):
    """Tells also who has stopped listening."""

    def watch(self, changed):
        super().watch(changed)
        return lambda: None


class Cut(MemoryStore):
    """Drops what a snapshot holds."""

    async def load(self, run, *, after=None):
        loaded = await super().load(run, after=after)
        snapshot = self.data.records[run].snapshot if loaded else None
        return change(loaded, events=loaded.events[snapshot[0] :]) if snapshot and after == 0 else loaded


class Careless(MemoryStore):
    """Loses what a claim took when its reply is lost."""

    async def held(self, session):
        return ()


class Trims(MemoryStore):
    """NUL ends a text."""

    async def create(self, record):
        return await super().create(change(record, tags=tuple(tag.partition("\0")[0] for tag in record.tags)))


BROKEN = [kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, MemoryStore) and kind is not MemoryStore]


def memory_provider():
    """The module that provides the true one."""
    path = Path(__file__).parent / "providers" / "memory.py"
    spec = importlib.util.spec_from_file_location("provider_memory", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def broken_by(kind, check) -> bool:
    """Whether the check finds that this store is broken."""
    provider: Provider = await memory_provider().provider(None, kind)
    try:
        await check(provider)
    except Broken:
        return True
    except ExceptionGroup as several:
        return several.subgroup(Broken) is not None
    return False


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
async def test_a_broken_law_is_found(kind):
    """At least one check fails for a store that breaks one law."""
    for check in checks({"days", "rewind"}):
        if await broken_by(kind, check):
            return
    pytest.fail(f"no check found that a store {kind.__doc__}")


def test_there_are_as_many_checks_as_were_promised():
    """Third parties may count on them: each has a name of its own and says its law."""
    asked = checks({"days", "rewind"})
    assert len(asked) >= 110
    assert len({check.name for check in asked}) == len(asked)
    assert all(check.law for check in asked)
    assert len(checks()) < len(checks({"days"})) < len(asked)
