"""The contract, keeping house: what goes and when, who is told, and that nothing comes back as something else."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import anyio

from reactor.record.store import Created, Fenced, Message
from reactor.testing.contract_ground import Ground, Laws, child_of, equal, holds, is_a, record_of

laws = Laws()
DAY = 86_400.0
AN_HOUR = 3600.0


# ---- time -----------------------------------------------------------------------------------------------------


@laws.add()
async def time_goes_on_and_is_one(ground: Ground) -> None:
    """It never goes back, whichever handle is asked, and goes on by what passes."""
    stores = await ground.handles(3)
    times = [await stores[n % 3].now() for n in range(12)]
    equal(times, sorted(times))
    await ground.let_pass(0.05)
    holds(await stores[1].now() >= times[-1] + 0.05, "time does not go on")


# ---- expire ---------------------------------------------------------------------------------------------------


@laws.add()
async def nothing_expires_in_an_empty_store(ground: Ground) -> None:
    """Zero, and no harm."""
    equal(await ground.store.expire(0, 0), 0)


@laws.add()
async def a_run_is_kept_for_its_retention(ground: Ground) -> None:
    """Since its end, not since its beginning; then it is gone."""
    await ground.ended()
    equal(await ground.store.expire(AN_HOUR, AN_HOUR), 0)
    holds(await ground.store.load("shop:1"), "it went too early")
    await ground.let_pass(0.05)
    equal(await ground.store.expire(0.04, AN_HOUR), 1)
    equal(await ground.store.load("shop:1"), None)


@laws.add("days")
async def what_has_not_ended_never_expires(ground: Ground) -> None:
    """Parked, driven, left behind, incompatible, never begun: a year later they are all there, with their mail."""
    await ground.made("shop:new", due=None)
    await ground.park(await ground.driven("shop:parked"))
    await ground.tell("shop:parked", moves=False)
    await ground.driven("shop:driven")
    refused = await ground.driven("shop:refused")
    await ground.store.refuse("shop:refused", refused.token, "fp")
    await ground.let_pass(365 * DAY)
    equal(await ground.store.expire(0, 0), 0)
    equal(len((await ground.loaded("shop:parked")).mail), 1)
    equal((await ground.store.find())[2], 4)


@laws.add("days")
async def a_week_and_three_months_are_kept(ground: Ground) -> None:
    """The designed retention of seven days, then a tombstone for ninety; then the name is free."""
    await ground.ended()
    await ground.let_pass(6.9 * DAY)
    equal(await ground.store.expire(7 * DAY, 90 * DAY), 0)
    await ground.let_pass(0.2 * DAY)
    equal(await ground.store.expire(7 * DAY, 90 * DAY), 1)
    await ground.let_pass(89 * DAY)
    await ground.store.expire(7 * DAY, 90 * DAY)
    equal(await ground.store.create(record_of("shop:1")), "expired")
    await ground.let_pass(2 * DAY)
    is_a(await ground.store.create(record_of("shop:1")), Created)


@laws.add()
async def a_tombstone_keeps_the_name(ground: Ground) -> None:
    """Its id is taken, and that is all that is left: it is not loaded, found, counted, claimed, written or told."""
    claimed = await ground.driven(tags=("red",), index={"order": "o-1"})
    await ground.end(claimed)
    await ground.let_pass(0.01)
    await ground.store.expire(0, AN_HOUR)
    equal(await ground.store.create(record_of("shop:1")), "expired")
    session = await ground.session()
    equal(await ground.store.create(record_of("shop:1", token=f"{session}:1")), "expired", "the answer to a create with a token")
    equal(await ground.store.claim_run(session, "shop:1"), None)
    equal(await ground.store.append(ground.append_of(claimed, 0, b"late")), Fenced())
    for kind in ("signal", "undo"):
        equal(await ground.store.deliver("shop:1", Message(kind, b"x"), moves=True, operation="x"), "gone")
    equal((await ground.store.find())[2], 0)
    equal([(await ground.store.find(tag="red"))[2], (await ground.store.find(where={"order": "o-1"}))[2]], [0, 0])
    equal((dict(await ground.store.counts()), list(await ground.store.mail("shop:1", 0))), ({}, []))


@laws.add()
async def a_tombstone_goes_and_the_name_is_new(ground: Ground) -> None:
    """Then the run of that name is another: no event, mail, delivery or refusal of the first is left."""
    claimed = await ground.driven(events=(b"old",), tags=("old",))
    message = Message("signal", b"old")
    await ground.store.deliver("shop:1", message, moves=True, operation="x")
    await ground.store.refuse("shop:1", claimed.token, "fp")
    await ground.end(await ground.taken("shop:1"), 1, op="end", read_up_to=9)
    await ground.let_pass(0.01)
    await ground.store.expire(0, 0.02)
    await ground.let_pass(0.05)
    equal(await ground.store.deliver("shop:1", message, moves=True, operation="x"), "unknown")
    await ground.made()
    got = await ground.loaded()
    equal((got.events, got.mail, got.tags, got.status, got.ended_at), ((), (), (), "queued", None))
    await ground.store.deliver("shop:1", message, moves=True, operation="x")
    equal([one.number for one in (await ground.loaded()).mail], [1])
    equal(await ground.claims(), ["shop:1"])


@laws.add()
async def children_go_with_their_run(ground: Ground) -> None:
    """Not before, however long they have ended; and also where they have not."""
    parent = await ground.driven()
    await ground.append(parent, 0, children=tuple(child_of("shop:1", f"ship#{n}") for n in range(3)))
    await ground.end(await ground.taken("shop:1/ship#0"))
    await ground.let_pass(0.01)
    equal(await ground.store.expire(0, AN_HOUR), 0)
    holds(await ground.store.load("shop:1/ship#0"), "a child went before its run")
    await ground.end(parent)
    await ground.let_pass(0.01)
    equal(await ground.store.expire(0, AN_HOUR), 1, "runs, children not counted")
    equal([await ground.store.load(f"shop:1/ship#{n}") for n in range(3)], [None] * 3)
    equal(await ground.claims(), [], "what is due")


@laws.add()
async def a_run_whose_name_begins_alike_stays(ground: Ground) -> None:
    """`shop:1` goes; `shop:10`, `shop:1~2` and `shop:1.a` have nothing to do with it."""
    await ground.ended("shop:1")
    others = ("shop:10", "shop:1~2", "shop:1.a", "shop:")
    for run in others:
        await ground.made(run)
    await ground.let_pass(0.01)
    equal(await ground.store.expire(0, AN_HOUR), 1)
    equal([bool(await ground.store.load(run)) for run in others], [True] * 4)


@laws.add()
async def house_is_kept_in_bites(ground: Ground) -> None:
    """At most `limit` runs at once, the longest ended first, and the rest the next time."""
    for number in range(5):
        await ground.ended(f"shop:{number}")
        await ground.let_pass(0.005)
    await ground.let_pass(0.01)
    equal(await ground.store.expire(0, AN_HOUR, limit=2), 2)
    equal([row.run for row in (await ground.store.find())[0]], ["shop:4", "shop:3", "shop:2"])
    equal([await ground.store.expire(0, AN_HOUR, limit=2) for _ in range(3)], [2, 1, 0])


@laws.add()
async def a_run_that_was_opened_again_does_not_expire(ground: Ground) -> None:
    """Its first end counts no more; its second does."""
    await ground.ended()
    number = (await ground.tell(kind="undo")).number
    await ground.let_pass(0.01)
    equal(await ground.store.expire(0, AN_HOUR), 0, "while it is open")
    await ground.end(await ground.taken("shop:1"), 0, status="undone", read_up_to=number)
    equal(await ground.store.expire(AN_HOUR, AN_HOUR), 0, "at once")
    await ground.let_pass(0.01)
    equal(await ground.store.expire(0, AN_HOUR), 1, "later")


@laws.add()
async def each_run_is_dropped_by_one(ground: Ground) -> None:
    """Twenty keep house at once: what they count together is what has gone, and the next time the rest goes."""
    for number in range(30):
        await ground.ended(f"shop:{number}")
    await ground.let_pass(0.01)
    stores = await ground.handles(4)
    dropped = sum(await ground.at_once(partial(stores[n % 4].expire, 0, AN_HOUR, limit=5) for n in range(20)))
    equal((await ground.store.find())[2], 30 - dropped, "how many are left")
    equal(await ground.store.expire(0, AN_HOUR), 30 - dropped, "how many the next one drops")
    equal(dict(await ground.store.counts()), {})


@laws.add()
async def a_lost_reply_to_keeping_house_does_no_harm(ground: Ground) -> None:
    """What was dropped is dropped; the second try drops nothing more, and the tombstone is there."""
    await ground.ended()
    await ground.let_pass(0.01)
    equal(await ground.twice(lambda store: store.expire(0, AN_HOUR)), 0)
    equal(await ground.store.create(record_of("shop:1")), "expired")


@laws.add()
async def a_lapsed_session_that_holds_something_stays(ground: Ground) -> None:
    """Keeping house drops no session that is alive, and none whose claims nobody has taken."""
    idle = await ground.session()
    claimed = await ground.left()
    await ground.store.expire(0, AN_HOUR)
    equal(await ground.store.renew(idle), True)
    equal(await ground.store.renew(claimed.token.rpartition(":")[0]), True)


# ---- definitions ----------------------------------------------------------------------------------------------


@laws.add()
async def a_fingerprint_stands_for_one_definition(ground: Ground) -> None:
    """The first that is put stays, also among a hundred at once; an unknown one is None; an empty one is one."""
    equal(await ground.store.definition("fp"), None)
    await ground.twice(lambda store: store.put_definition("fp", b"\x00first"))
    await ground.store.put_definition("fp", b"second")
    equal(await (await ground.another()).definition("fp"), b"\x00first")
    await ground.store.put_definition("empty", b"")
    equal(await ground.store.definition("empty"), b"")
    await ground.at_once(partial(ground.store.put_definition, "race", b"%d" % n) for n in range(100))
    first = await ground.store.definition("race")
    await ground.store.put_definition("race", b"late")
    equal(await ground.store.definition("race"), first)


# ---- watching -------------------------------------------------------------------------------------------------


async def _told(ground: Ground, told: dict[str, anyio.Event], run: str) -> None:
    """Whoever watches is told of this run; mail is left until it is: a hint may be missed, not all of them."""
    with anyio.move_on_after(6):
        while not told[run].is_set():
            with suppress(TimeoutError), anyio.fail_after(2):
                await ground.tell(run, kind="settled")
                await told[run].wait()
    holds(told[run].is_set(), f"nobody was told of {run}")


@laws.add()
async def who_watches_is_told(ground: Ground) -> None:
    """Of new records, of mail and of appends, its own handle's and another's; two that watch are both told."""
    told: list[dict[str, anyio.Event]] = []
    for store in (ground.store, await ground.another()):
        seen = {f"shop:{n}": anyio.Event() for n in range(3)}
        told.append(seen)
        store.watch(lambda run, seen=seen: seen[run].set() if run in seen else None)  # type: ignore[misc]
    await ground.made("shop:0")
    await ground.park(await ground.driven("shop:1"))
    await ground.made("shop:2")
    for seen in told:
        for run in seen:
            await _told(ground, seen, run)


@laws.add()
async def who_has_stopped_watching_is_not_told(ground: Ground) -> None:
    """Nothing comes after the end, twice is once, and another goes on."""
    await ground.made()
    heard: list[str] = []
    seen = {"shop:1": anyio.Event()}
    end = ground.store.watch(heard.append)
    ground.store.watch(lambda run: seen[run].set())
    end()
    end()
    count = len(heard)
    await _told(ground, seen, "shop:1")
    equal(len(heard), count, "how often it was told")


# ---- handles --------------------------------------------------------------------------------------------------


@laws.add()
async def what_was_written_outlives_its_handle(ground: Ground) -> None:
    """A handle that is closed, once or twice, takes nothing with it; another goes on where it was."""
    other = await ground.another()
    session = await ground.session(store=other)
    await other.create(record_of("shop:1", token=f"{session}:1", events=(b"a",)))
    await other.close()
    await other.close()
    equal((await ground.loaded()).events, (b"a",))
    equal(await ground.store.renew(session), True)
    equal(await ground.claims(), [])
