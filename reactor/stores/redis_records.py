"""`redis://…`, its records: create, claim, append, deliver, load. Each is one script on the shard of the record's root."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from reactor.errors import StoreUnavailable
from reactor.record.keeping import check_append, check_message, check_record, root_of
from reactor.record.store import (
    HERE,
    MAIL_LIMIT,
    Append,
    Appended,
    Behind,
    Claimed,
    Created,
    Delivered,
    Fenced,
    Loaded,
    Message,
    NewRecord,
    Refused,
    Served,
    Unread,
)
from reactor.stores.redis_ground import Ground, damaged, understood

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping, Sequence

    from reactor.record.store import MessageKind

LETTERS: dict[MessageKind, str] = {"signal": "s", "settled": "t", "cancel": "c", "undo": "u", "retry_rollback": "r", "restart": "x"}
KINDS: dict[int, MessageKind] = {ord(letter): kind for kind, letter in LETTERS.items()}
ROUNDS = 20  # of looking for something to claim, where others are always quicker

pack = msgspec.msgpack.Encoder().encode


class RedisRecords(Ground):
    """What drives a run."""

    async def create(self, record: NewRecord) -> Created | Loaded | Literal["expired"]:
        """As the port says."""
        check_record(record)
        what, *answer = await self._call("create", self._keys.of(record.root), *_words(record))
        if what == b"c":
            with understood(f"the record of `{record.run}`"):
                return Created(float(answer[0]), answer[1])
        return "expired" if what == b"x" else _loaded(record.run, "-", answer[0])

    async def claim(self, session: str, serves: Sequence[Served], place: str = HERE, *, limit: int = 100) -> Sequence[Claimed]:
        """As the port says: a look at all shards, then a claim of the longest due, until there are enough."""
        self._give_back_lost()
        got: list[Claimed] = []
        for _ in range(ROUNDS):
            due = await self._due(serves, place, limit - len(got))
            claimed = await self._take(session, [(run, lane) for _, run, lane in due]) if due else None
            if claimed is None:
                break
            got += claimed
            if len(got) >= limit:
                break
        return got

    async def claim_run(self, session: str, run: str) -> Claimed | None:
        """As the port says."""
        self._give_back_lost()
        claimed = await self._take(session, [(run.encode(), b"")], forced=True)
        return claimed[0] if claimed else None

    async def _due(self, serves: Sequence[Served], place: str, limit: int) -> list[tuple[float, bytes, bytes]]:
        """What could be claimed now: since when it is due, its name, its lane; the longest due first."""
        served = [word for one in serves for word in (sized(one.name), one.version, digest_of(one.fingerprint))]
        answers = await self._all("peek", (sized(place), limit, *served))
        due = [
            (float(since), run, lane) for found in answers for run, lane, since in zip(found[::3], found[1::3], found[2::3], strict=True)
        ]
        return sorted(due)[:limit]

    async def _take(self, session: str, wanted: Sequence[tuple[bytes, bytes]], *, forced: bool = False) -> list[Claimed] | None:
        """Claim what of these is still to be had; None where the session may not. What nobody learns of is given back."""
        token = f"{session}:{token_hex(8)}"
        shards: defaultdict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
        with understood("what is due"):
            for run, lane in wanted:
                shards[self._keys.of(run.decode())].append((run, lane))
        asked = {
            shard: self._call("claim", shard, session, token, int(forced), *(word for pair in pairs for word in pair))
            for shard, pairs in shards.items()
        }
        try:
            await asyncio.wait(asked.values())
        except BaseException:
            for shard, pairs in shards.items():
                self._give_back(shard, token, [run for run, _ in pairs])
            raise
        return self._learn(token, [run for run, _ in wanted], shards, asked)

    def _learn(
        self,
        token: str,
        wanted: Sequence[bytes],
        shards: Mapping[str, Sequence[tuple[bytes, bytes]]],
        asked: Mapping[str, asyncio.Future[Any]],
    ) -> list[Claimed] | None:
        """What the shards answered, in the order that was wanted. Raises StoreUnavailable only where none of them did."""
        answers = [future.result() for future in asked.values() if future.exception() is None]
        for shard, future in asked.items():
            if future.exception() is not None:
                self._give_back(shard, token, [run for run, _ in shards[shard]])
        if not answers:
            raise StoreUnavailable("Redis gave no claim") from next(iter(asked.values())).exception()
        if all(answer is None for answer in answers):
            return None
        got = {run: (reactor, fence) for answer in answers for run, reactor, fence in answer or ()}
        with understood("a claim"):
            return [_claimed(run, got[run][0], got[run][1], token) for run in wanted if run in got]

    async def held(self, session: str) -> Sequence[Claimed]:
        """As the port says. A claim that went wrong is not among them: it is given back first."""
        self._give_back_lost()
        if self._giving_back:
            await asyncio.wait(self._giving_back)
        answers = await self._all("held", (session,))
        with understood("a claim"):
            return [_claimed(run, reactor, fence, token.decode()) for found in answers for run, reactor, fence, token in found]

    async def refuse(self, run: str, token: str, fingerprint: str) -> bool:
        """As the port says."""
        return bool(await self._call("refuse", self._keys.of(run), run, token, digest_of(fingerprint)))

    async def append(self, append: Append) -> Appended | Unread | Fenced | Behind:
        """As the port says."""
        check_append(append)
        flags = "re" if append.ended else "r" if append.release else ""
        due = "" if append.due is None or not flags else repr(append.due)
        more = append.children or append.messages or append.chunk is not None or append.snapshot or append.reactor_version
        answer = await self._call(
            "append",
            self._keys.of(append.run),
            append.run,
            append.token,
            append.seq,
            blake2b(append.op.encode(), digest_size=8).digest(),
            append.status,
            flags,
            due,
            append.read_up_to,
            len(append.events),
            *append.events,
            *(_more(append) if more else ()),
        )
        if isinstance(answer, int):
            return Appended(append.seq + len(append.events), answer / 1_000_000)
        if answer[0] == b"a":
            return Appended(answer[1], answer[2] / 1_000_000, answer[3] == 1)
        return Behind(answer[1]) if answer[0] == b"b" else Unread() if answer[0] == b"u" else Fenced()

    async def deliver(self, run: str, message: Message, *, moves: bool, operation: str) -> Delivered | Refused:
        """As the port says."""
        check_message(run, message.body)
        named = blake2b(operation.encode(), digest_size=8).digest()
        answer = await self._call("deliver", self._keys.of(run), run, LETTERS[message.kind], message.body, int(moves), named, MAIL_LIMIT)
        if isinstance(answer, int):
            return Delivered(abs(answer), answer > 0)
        with understood(f"the record of `{run}`"):
            refused: Refused = answer.decode()
        return refused

    async def load(self, run: str, *, after: int | None = None) -> Loaded | None:
        """As the port says."""
        answer = await self._call("load", self._keys.of(run), run, "" if after is None else after)
        return None if answer is None else _loaded(run, after, answer)

    async def mail(self, run: str, after: int) -> Sequence[Message]:
        """As the port says."""
        last, messages = await self._call("mail", self._keys.of(run), run, after)
        with understood(f"the mail of `{run}`"):
            return _messages(last, messages)

    async def open_session(self, session: str, lease: float) -> None:
        """As the port says: on every shard, in one round trip."""
        await self._all("session", (session, repr(lease)))

    async def renew(self, session: str) -> bool:
        """As the port says."""
        self._give_back_lost()
        leases = await self._all("session", (session, ""))
        lease = next((one for one in leases if one is not None), None)
        if lease is not None and None in leases:  # where it held nothing it was dropped; elsewhere it held something
            dropped = [shard for shard, one in zip(self._keys.shards, leases, strict=True) if one is None]
            await asyncio.gather(*[self._call("session", shard, session, lease) for shard in dropped])
        return lease is not None

    async def close_session(self, session: str) -> int:
        """As the port says."""
        self._give_back_lost()
        return sum(await self._all("close_session", (session,)))

    def _give_back(self, shard: str, token: str, runs: Sequence[bytes]) -> None:
        """Undo a claim that nobody learnt of; tried again with the next claim or renewal where it fails."""

        def ended(future: asyncio.Future[Any]) -> None:
            self._giving_back.discard(future)
            if future.cancelled() or future.exception() is not None:
                self._lost.append((shard, token, runs))

        try:
            future = self._call("unclaim", shard, token, *runs)
        except StoreUnavailable:
            self._lost.append((shard, token, runs))
        else:
            self._giving_back.add(future)
            future.add_done_callback(ended)

    def _give_back_lost(self) -> None:
        lost, self._lost = self._lost, []
        for shard, token, runs in lost:
            self._give_back(shard, token, runs)

    def _all(self, name: str, words: Iterable[Any]) -> Awaitable[list[Any]]:
        """What every shard answers to this."""
        return asyncio.gather(*[self._call(name, shard, *words) for shard in self._keys.shards])


def digest_of(fingerprint: str) -> str:
    """A fingerprint as lanes name it: of one length, without a comma."""
    return blake2b(fingerprint.encode(), digest_size=8).hexdigest()


def sized(text: str) -> bytes:
    """A text behind its length, so that what follows is not taken for a part of it."""
    data = text.encode()
    return b"%d:%b" % (len(data), data)


def unsized(data: bytes) -> tuple[str, bytes]:
    """A text behind its length, and what follows it.

    >>> unsized(b"4:shopqueued")
    ('shop', b'queued')
    """
    length, _, rest = data.partition(b":")
    return rest[: int(length)].decode(), rest[int(length) :]


def input_key(name: str, value: str) -> bytes:
    """Under which key the runs of one indexed input are listed."""
    return sized(name) + value.encode()


def _words(record: NewRecord) -> list[Any]:
    """A record as lua/making.lua takes it."""
    inputs = [sized(name) + value.encode() for name, value in record.index.items()]
    shown = pack((record.tags, record.index, [key.decode() for key in inputs])) if record.tags or record.index else b""
    due = "" if record.due is None else repr(record.due)
    kind = sized(record.reactor) + sized(record.place)
    named = (record.run, record.root, record.parent or "", kind, record.version, record.fingerprint, record.status, due, record.token or "")
    lists = (word for words in (record.tags, inputs, record.events) for word in (len(words), *words))
    return [*named, record.inputs, record.elements, shown, *lists]


def _more(append: Append) -> list[Any]:
    """What an append says beyond its events, as lua/append.lua takes it."""
    snapshot, version = append.snapshot or ("", b""), append.reactor_version or ("", "")
    children = (word for child in append.children for word in _words(child))
    messages = (word for to, message in append.messages for word in (to, LETTERS[message.kind], message.body))
    return [*version, int(append.chunk is not None), append.chunk or b"", *snapshot, len(append.children), *children, *messages]


def _claimed(run: bytes, reactor: bytes, fence: int, token: str) -> Claimed:
    name = run.decode()
    return Claimed(name, root_of(name), unsized(reactor)[0], token, fence)


def _messages(last: int, messages: Sequence[bytes]) -> tuple[Message, ...]:
    """Mail as it lies there: the highest number is the last one's."""
    first = last - len(messages) + 1
    return tuple(Message(KINDS[data[0]], data[1:], first + position) for position, data in enumerate(messages))


def _loaded(run: str, after: int | Literal["-"] | None, answer: Sequence[Any]) -> Loaded:
    """A record as `read` in lua/reading.lua gives it. Raises StoreUnavailable (`store-corrupt`) where it is not what a script wrote."""
    with understood(f"the record of `{run}`"):
        loaded = _read(run, after is None, answer)
    first = loaded.seq if after == "-" else after if after is not None else loaded.snapshot[0] if loaded.snapshot else 0
    if len(loaded.events) != max(loaded.seq - max(first, 0), 0):
        raise damaged(f"the record of `{run}`")
    return loaded


def _read(run: str, snapshots: bool, answer: Sequence[Any]) -> Loaded:  # noqa: FBT001  # as it came
    (
        (last, token, status, version, fingerprint, fence, due, kind, created, ended, parent, numbered, snapped),
        kept,
        snapshot,
        events,
        mail,
    ) = answer
    inputs, elements, chunk, shown = kept
    reactor, rest = unsized(kind)
    return Loaded(
        run=run,
        root=root_of(run),
        parent=None if parent is None else parent.decode(),
        reactor=reactor,
        version=int(version),
        fingerprint=fingerprint.decode(),
        place=unsized(rest)[0],
        status=status.decode(),
        due=None if due is None else float(due),
        token=None if token is None else token.decode(),
        fence=int(fence),
        seq=int(last[8:]),
        inputs=inputs or b"",
        elements=elements or b"",
        chunk=chunk,
        tags=tuple(msgspec.msgpack.decode(shown)[0]) if shown else (),
        created_at=float(created),
        ended_at=None if ended is None else float(ended),
        snapshot=(int(snapped), snapshot) if snapshots and snapshot is not None else None,
        events=tuple(events),
        mail=_messages(int(numbered or 0), mail),
    )
