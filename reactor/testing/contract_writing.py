"""The contract, writing: only who holds its token appends to a record, at the seq that is there, and once."""

from __future__ import annotations

from functools import partial

from reactor.record.store import (
    Appended,
    Behind,
    Claimed,
    Fenced,
)
from reactor.testing.contract_ground import Ground, Laws, equal, is_a

laws = Laws()


@laws.add()
async def events_come_back_in_their_order(ground: Ground) -> None:
    """Those of the create first, then append by append."""
    claimed = await ground.driven(events=(b"1", b"2"))
    equal((await ground.append(claimed, 2, b"3", b"4")).seq, 4, "seq")
    equal((await ground.append(claimed, 4, b"5")).seq, 5, "seq")
    got = await ground.loaded()
    equal((got.events, got.seq), ((b"1", b"2", b"3", b"4", b"5"), 5))


@laws.add()
async def an_append_without_events_changes_the_status(ground: Ground) -> None:
    """Nothing happened, but the status: seq stays."""
    claimed = await ground.driven()
    equal((await ground.append(claimed, 0, status="rolling_back")).seq, 0)
    got = await ground.loaded()
    equal((got.seq, got.events, got.status, got.token), (0, (), "rolling_back", claimed.token))


@laws.add()
async def an_append_tells_the_stores_time(ground: Ground) -> None:
    """`Appended.at` is the store's time, and never goes back."""
    claimed = await ground.driven()
    before = await ground.store.now()
    times = [before, *[(await ground.append(claimed, n, b"e")).at for n in range(5)], await ground.store.now()]
    equal(times, sorted(times), "times")


@laws.add()
async def another_token_is_fenced(ground: Ground) -> None:
    """An append under a token that is not the record's writes nothing, also where its seq is wrong, and where nobody drives."""
    await ground.made(events=(b"a",))
    stranger = Claimed("shop:1", "shop:1", "shop", "nobody:1", 1)
    before = await ground.loaded()
    equal(await ground.store.append(ground.append_of(stranger, 1, b"z")), Fenced(), "while nobody drives")
    equal(await ground.loaded(), before)
    claimed = await ground.taken("shop:1")
    equal(await ground.store.append(ground.append_of(stranger, 1, b"z")), Fenced(), "while another drives")
    equal(await ground.store.append(ground.append_of(stranger, 9, b"z")), Fenced(), "with a wrong seq as well")
    await ground.append(claimed, 1, b"b")
    equal((await ground.loaded()).events, (b"a", b"b"))


@laws.add()
async def a_record_that_is_not_there_fences(ground: Ground) -> None:
    """An append to an unknown record is Fenced, and makes none."""
    stranger = Claimed("shop:1", "shop:1", "shop", "nobody:1", 1)
    equal(await ground.store.append(ground.append_of(stranger, 0, b"z")), Fenced())
    equal(await ground.store.load("shop:1"), None)


@laws.add()
async def another_seq_is_behind(ground: Ground) -> None:
    """A writer that believes in more or fewer events than are there is told how many there are; nothing is written."""
    claimed = await ground.driven(events=(b"a", b"b"))
    for seq in (0, 1, 3, 99):
        equal(await ground.store.append(ground.append_of(claimed, seq, b"z", status="odd")), Behind(2), f"seq {seq}")
    got = await ground.loaded()
    equal((got.events, got.status, got.token), ((b"a", b"b"), "queued", claimed.token))


@laws.add()
async def the_operation_of_a_refused_append_is_free(ground: Ground) -> None:
    """Nothing was done under it: the append that is put right is written under the same."""
    claimed = await ground.driven()
    equal(await ground.store.append(ground.append_of(claimed, 5, b"a", op="x")), Behind(0))
    is_a(await ground.store.append(ground.append_of(claimed, 0, b"a", op="x")), Appended)
    equal((await ground.loaded()).events, (b"a",))


@laws.add()
async def one_of_a_hundred_appends_at_a_seq(ground: Ground) -> None:
    """Of a hundred appends of one token and seq, one is written; the others are behind."""
    claimed = await ground.driven()
    stores = await ground.handles(4)
    answers = await ground.at_once(partial(stores[n % 4].append, ground.append_of(claimed, 0, b"%d" % n)) for n in range(100))
    won = [number for number, answer in enumerate(answers) if isinstance(answer, Appended)]
    equal(len(won), 1, "how many were written")
    equal({answer for answer in answers if not isinstance(answer, Appended)}, {Behind(1)}, "the others")
    equal((await ground.loaded()).events, (b"%d" % won[0],))


@laws.add()
async def appends_of_many_runs_at_once_stay_apart(ground: Ground) -> None:
    """A hundred runs append at once, three times: each has its own events."""
    claimed = [await ground.driven(f"shop:{n}") for n in range(100)]
    for turn in range(3):
        answers = await ground.at_once(
            partial(ground.store.append, ground.append_of(one, turn, b"%s %d" % (one.run.encode(), turn))) for one in claimed
        )
        equal({is_a(answer, Appended).seq for answer in answers}, {turn + 1}, "seqs")
    for one in claimed[::33]:
        equal((await ground.loaded(one.run)).events, tuple(b"%s %d" % (one.run.encode(), turn) for turn in range(3)))


@laws.add()
async def one_refused_append_among_many_refuses_no_other(ground: Ground) -> None:
    """Appends that come together may share a journey, not a fate."""
    claimed = [await ground.driven(f"shop:{n}") for n in range(20)]
    answers = await ground.at_once(
        partial(ground.store.append, ground.append_of(one, 7 if n % 2 else 0, b"e")) for n, one in enumerate(claimed)
    )
    equal([type(answer) for answer in answers], [Appended, Behind] * 10)


@laws.add()
async def a_lost_append_is_done_once(ground: Ground) -> None:
    """Asked again with the same operation it is answered as the first was, and nothing is written twice."""
    claimed = await ground.driven()
    append = ground.append_of(claimed, 0, b"a", b"b")
    first = is_a(await ground.twice(lambda store: store.append(append)), Appended)
    await ground.let_pass(0.01)
    again = is_a(await (await ground.another()).append(append), Appended)
    equal((again.seq, again.at), (first.seq, first.at), "a third answer")
    equal((await ground.loaded()).events, (b"a", b"b"))


@laws.add()
async def a_lost_release_is_done_once(ground: Ground) -> None:
    """The claim is gone, the token too: the operation is known still, also after another has claimed the record."""
    claimed = await ground.driven()
    append = ground.append_of(claimed, 0, b"a", status="parked", release=True)
    equal(is_a(await ground.twice(lambda store: store.append(append)), Appended).seq, 1)
    other = await ground.taken("shop:1")
    equal(is_a(await ground.store.append(append), Appended).seq, 1, "seq, asked after another's claim")
    got = await ground.loaded()
    equal((got.events, got.token), ((b"a",), other.token))


@laws.add()
async def a_lost_end_is_done_once(ground: Ground) -> None:
    """As a release: Appended, and ended at its first time."""
    claimed = await ground.driven()
    append = ground.append_of(claimed, 0, b"a", status="failed", ended=True)
    is_a(await ground.store.append(append), Appended)
    ended_at = (await ground.loaded()).ended_at
    await ground.let_pass(0.01)
    equal(is_a(await ground.twice(lambda store: store.append(append)), Appended).seq, 1)
    equal((await ground.loaded()).ended_at, ended_at)


@laws.add()
async def an_append_that_is_no_release_keeps_the_claim(ground: Ground) -> None:
    """Until it is given back a record is its driver's, and due for nobody, whatever its status says."""
    claimed = await ground.driven()
    await ground.append(claimed, 0, status="queued", due=0.0)
    equal(await ground.claims(), [])
    got = await ground.loaded()
    equal((got.token, got.due), (claimed.token, None))


@laws.add()
async def a_release_gives_the_claim_back(ground: Ground) -> None:
    """No token, the status and due that it said; the old token is fenced."""
    claimed = await ground.driven()
    await ground.park(claimed, status="parked", due=4e9)
    got = await ground.loaded()
    equal((got.token, got.status, got.due, got.ended_at), (None, "parked", 4e9, None))
    equal(await ground.store.append(ground.append_of(claimed, 0, b"late")), Fenced())


@laws.add()
async def an_end_is_an_end(ground: Ground) -> None:
    """A record that has ended is nobody's, due for nobody, and knows when; `release` need not be said."""
    claimed = await ground.driven()
    done = await ground.end(claimed, 0, b"a", due=0.0)
    got = await ground.loaded()
    equal((got.status, got.token, got.due, got.ended_at), ("succeeded", None, None, done.at))
    equal(await ground.claims(), [], "what is due")
    equal(await ground.store.append(ground.append_of(claimed, 1, b"late")), Fenced())


@laws.add()
async def code_that_fits_takes_the_record_over(ground: Ground) -> None:
    """`reactor_version` puts the record's version and fingerprint; without it they stay."""
    claimed = await ground.driven(version=2)
    await ground.append(claimed, 0, b"a", reactor_version=(3, "new"))
    await ground.append(claimed, 1, b"b")
    got = await ground.loaded()
    equal((got.version, got.fingerprint), (3, "new"))
