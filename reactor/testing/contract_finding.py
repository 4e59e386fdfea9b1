"""The contract, finding: newest first, page by page, and counts that are exact."""

from __future__ import annotations

from functools import partial
from typing import Any

from reactor.errors import ReactorError
from reactor.record.store import Claimed
from reactor.testing.contract_ground import Broken, Ground, Laws, child_of, equal, holds, record_of

laws = Laws()


async def _found(ground: Ground, **wanted: Any) -> list[str]:
    """The ids that are found, newest first, and counted as many."""
    rows, _, total = await ground.store.find(**wanted)
    ids = [row.run.partition(":")[2] for row in rows]
    if "limit" not in wanted and "cursor" not in wanted:
        equal(total, len(ids), "how many match")
    return ids


async def _paged(ground: Ground, limit: int, **wanted: Any) -> list[str]:
    """The ids of all pages."""
    ids, cursor = [], None
    while True:
        rows, cursor, _ = await ground.store.find(limit=limit, cursor=cursor, **wanted)
        holds(len(rows) <= limit, "a page is over its limit")
        ids += [row.run.partition(":")[2] for row in rows]
        if cursor is None:
            return ids


async def _made(ground: Ground, *ids: str, **more: Any) -> None:
    """Runs that are made one after the other."""
    for id in ids:  # a run's
        await ground.made(f"shop:{id}", **more)
        await ground.let_pass(0.002)


@laws.add()
async def an_empty_store_has_nothing_to_find(ground: Ground) -> None:
    """No rows, no cursor, none in all, no counts."""
    rows, cursor, total = await ground.store.find()
    equal((list(rows), cursor, total, dict(await ground.store.counts())), ([], None, 0, {}))


@laws.add()
async def a_row_shows_its_run(ground: Ground) -> None:
    """Name, reactor, status, times, tags and index, as they are now."""
    await ground.ended(tags=("red", "blue"), index={"order": "o-1", "who": ""})
    [row] = (await ground.store.find())[0]
    got = await ground.loaded()
    equal((row.run, row.reactor, row.status, row.created_at), ("shop:1", "shop", "succeeded", got.created_at))
    equal((row.ended_at, tuple(row.tags), dict(row.index)), (got.ended_at, ("red", "blue"), {"order": "o-1", "who": ""}))


@laws.add()
async def the_newest_is_found_first(ground: Ground) -> None:
    """By creation, whatever happened since, and whatever the names."""
    await _made(ground, "b", "a", "c")
    await ground.end(await ground.taken("shop:b"))
    equal(await _found(ground), ["c", "a", "b"])


@laws.add()
async def runs_are_found_by_reactor(ground: Ground) -> None:
    """Its whole name."""
    await _made(ground, "1", "2")
    await ground.made("shopping:3", reactor="shopping")
    equal((await _found(ground, reactor="shop"), await _found(ground, reactor="sho")), (["2", "1"], []))


@laws.add()
async def runs_are_found_by_status(ground: Ground) -> None:
    """The present one, not a former one."""
    await _made(ground, "1", "2")
    claimed = await ground.taken("shop:1")
    equal(await _found(ground, status="queued"), ["2", "1"])
    await ground.append(claimed, 0, status="running")
    equal((await _found(ground, status="queued"), await _found(ground, status="running")), (["2"], ["1"]))
    await ground.end(claimed, status="failed")
    equal((await _found(ground, status="running"), await _found(ground, status="failed")), ([], ["1"]))


@laws.add()
async def runs_are_found_by_tag(ground: Ground) -> None:
    """Any of its tags, as a whole."""
    await _made(ground, "1", tags=("red", "big"))
    await _made(ground, "2", tags=("red,big",))
    await _made(ground, "3")
    equal([await _found(ground, tag=tag) for tag in ("red", "big", "re", "red,big")], [["1"], ["1"], [], ["2"]])


@laws.add()
async def runs_are_found_by_time(ground: Ground) -> None:
    """`since` takes the moment in, `until` leaves it out."""
    await _made(ground, "1", "2", "3")
    at = (await ground.loaded("shop:2")).created_at
    equal(await _found(ground, since=at), ["3", "2"])
    equal(await _found(ground, until=at), ["1"])
    equal(await _found(ground, since=at, until=at), [])


@laws.add()
async def runs_are_found_by_indexed_inputs(ground: Ground) -> None:
    """All that are given must be equal; a value that is empty is a value; one that is not there matches nothing."""
    await _made(ground, "1", index={"order": "o-1", "who": "ann"})
    await _made(ground, "2", index={"order": "o-2", "who": "ann"})
    await _made(ground, "3", index={"order": ""})
    equal(await _found(ground, where={"who": "ann"}), ["2", "1"])
    equal(await _found(ground, where={"who": "ann", "order": "o-1"}), ["1"])
    equal(await _found(ground, where={"order": ""}), ["3"])
    equal([await _found(ground, where=where) for where in ({"who": "an"}, {"who": "o-1"}, {"what": ""})], [[], [], []])
    equal(await _found(ground, where={}), ["3", "2", "1"])


@laws.add()
async def runs_are_found_by_how_they_begin(ground: Ground) -> None:
    """`text`: a prefix of the name, of the id, or of an index value."""
    await _made(ground, "alpha", index={"order": "o-77"})
    await _made(ground, "beta", index={"order": "x-77", "who": "alp"})
    equal(await _found(ground, text="shop:a"), ["alpha"])
    equal(await _found(ground, text="al"), ["beta", "alpha"])
    equal(await _found(ground, text="o-7"), ["alpha"])
    equal([await _found(ground, text=text) for text in ("77", "lpha", "hop", "order")], [[], [], [], []])
    equal(await _found(ground, text=""), ["beta", "alpha"])


@laws.add()
async def what_is_looked_for_is_taken_as_it_is_spelt(ground: Ground) -> None:
    """No wildcard, no pattern, no quote: each finds what begins so, and nothing else; upper case is not lower."""
    hostile = ("%", "_", "*", "?", "[a", "'", '"', "\\", "a%b", "{", "(", "|", ";--", "\x00", "é", "e\u0301", "\U0010ffff")
    for number, text in enumerate(hostile):
        await _made(ground, f"{number}", tags=(text,), index={"order": text})
    await _made(ground, "plain", tags=("plain",), index={"order": "Plain"})
    for number, text in enumerate(hostile):
        equal(await _found(ground, tag=text), [f"{number}"], f"by tag {text!r}")
        equal(await _found(ground, where={"order": text}), [f"{number}"], f"by index {text!r}")
        equal(await _found(ground, text=text), [f"{number}"], f"by text {text!r}")
    equal([await _found(ground, text=text) for text in ("pl", "Pl", "PL")], [["plain"], ["plain"], []])


@laws.add()
async def all_that_is_looked_for_must_hold(ground: Ground) -> None:
    """Every filter at once finds the one run that fits, and misses it where any is off."""
    await _made(ground, "1", "2", tags=("red",), index={"order": "o-1"})
    at = (await ground.loaded("shop:2")).created_at
    fits: dict[str, Any] = {
        "reactor": "shop",
        "status": "queued",
        "tag": "red",
        "since": at,
        "until": at + 3600,
        "where": {"order": "o-1"},
        "text": "o-",
    }
    equal(await _found(ground, **fits), ["2"])
    off = {"reactor": "x", "status": "failed", "tag": "x", "since": at + 1800, "until": at - 1, "where": {"order": "x"}, "text": "x"}
    for name, value in off.items():
        equal(await _found(ground, **{**fits, name: value}), [], f"with another {name}")


# ---- pages ----------------------------------------------------------------------------------------------------


@laws.add()
async def pages_give_every_run_once(ground: Ground) -> None:
    """In order, whatever their size; each says how many match in all; the last has no cursor, also where it is full."""
    ids = [f"{number}" for number in range(12)]
    await _made(ground, *ids)
    for limit in (1, 5, 6, 12, 50):
        equal(await _paged(ground, limit), ids[::-1], f"pages of {limit}")
    rows, cursor, total = await ground.store.find(limit=6)
    equal((len(rows), total), (6, 12))
    rows, cursor, total = await ground.store.find(limit=6, cursor=cursor)
    equal((len(rows), cursor, total), (6, None, 12))


@laws.add()
async def pages_of_one_moment_give_every_run_once(ground: Ground) -> None:
    """Forty that were made at once: no time tells them apart, their names do."""
    await ground.at_once(partial(ground.store.create, record_of(f"shop:{n:02}")) for n in range(40))
    ids = await _paged(ground, 7)
    equal(sorted(ids), [f"{n:02}" for n in range(40)])
    times = {row.run.partition(":")[2]: row.created_at for row in (await ground.store.find())[0]}
    equal(ids, sorted(ids, key=lambda one: (times[one], one), reverse=True), "the order")


@laws.add()
async def pages_keep_their_filters(ground: Ground) -> None:
    """A page goes on in what was looked for, and counts it."""
    for number in range(10):
        await _made(ground, f"{number}", tags=("even",) if number % 2 == 0 else ("odd",))
    equal(await _paged(ground, 2, tag="even"), ["8", "6", "4", "2", "0"])
    _, cursor, total = await ground.store.find(tag="even", limit=2)
    equal((total, (await ground.store.find(tag="even", limit=2, cursor=cursor))[2]), (5, 5))


@laws.add()
async def pages_survive_what_changes_between_them(ground: Ground) -> None:
    """Runs come, go, and change; those that matched all along come once, the cursor's own run being gone or not."""
    await _made(ground, *[f"{number}" for number in range(9)], status="parked")
    rows, cursor, _ = await ground.store.find(status="parked", limit=3)
    equal([row.run for row in rows], ["shop:8", "shop:7", "shop:6"])
    await _made(ground, "new", status="parked")
    for gone in ("6", "8", "4"):
        await ground.end(await ground.taken(f"shop:{gone}"))
    await ground.let_pass(0.01)
    equal(await ground.store.expire(0, 3600), 3)
    rows, cursor, total = await ground.store.find(status="parked", limit=3, cursor=cursor)
    equal(([row.run for row in rows], total), (["shop:5", "shop:3", "shop:2"], 7))
    rows, cursor, _ = await ground.store.find(status="parked", limit=3, cursor=cursor)
    equal(([row.run for row in rows], cursor), (["shop:1", "shop:0"], None))


@laws.add()
async def what_is_no_cursor_is_refused(ground: Ground) -> None:
    """ReactorError, `bad-cursor`: never a guess, never all runs."""
    await _made(ground, "1", "2")
    for cursor in ("nonsense", "shop:1", "0", "é", "\x00", "' OR 1=1"):
        try:
            answer = await ground.store.find(cursor=cursor)
        except ReactorError as error:
            equal(error.code, "bad-cursor", f"the code for {cursor!r}")
        else:
            raise Broken(f"{cursor!r} was taken for a cursor: {answer!r:.200}")


# ---- counts ---------------------------------------------------------------------------------------------------


@laws.add()
async def counts_follow_every_change(ground: Ground) -> None:
    """Made, driven, parked, moved, refused, ended, opened again: by status, and only what there is."""
    await _made(ground, "1", "2", "3")
    equal(dict(await ground.store.counts()), {"queued": 3})
    one, two = await ground.taken("shop:1"), await ground.taken("shop:2")
    await ground.append(one, 0, status="running")
    await ground.park(two)
    equal(dict(await ground.store.counts()), {"running": 1, "parked": 1, "queued": 1})
    await ground.store.refuse("shop:1", one.token, "fp")
    await ground.tell("shop:2")
    equal(dict(await ground.store.counts()), {"incompatible": 1, "queued": 2})
    await ground.end(await ground.taken("shop:3"))
    equal(dict(await ground.store.counts()), {"incompatible": 1, "queued": 1, "succeeded": 1})
    await ground.tell("shop:3", kind="undo")
    equal(dict(await ground.store.counts()), {"incompatible": 1, "queued": 2})


@laws.add()
async def counts_are_of_one_reactor_where_it_is_named(ground: Ground) -> None:
    """And of all where none is."""
    await _made(ground, "1", "2")
    await ground.made("mail:1", reactor="mail", status="parked")
    equal([dict(await ground.store.counts(name)) for name in ("shop", "mail", "sho")], [{"queued": 2}, {"parked": 1}, {}])
    equal(dict(await ground.store.counts()), {"queued": 2, "parked": 1})


@laws.add()
async def children_are_neither_found_nor_counted(ground: Ground) -> None:
    """By no filter; nor do their ends change a count."""
    parent = await ground.driven(tags=("red",), index={"order": "o-1"})
    children = tuple(child_of("shop:1", f"ship#{n}", tags=("red",), index={"order": "o-1"}) for n in range(3))
    await ground.append(parent, 0, children=children)
    await ground.end(await ground.taken("shop:1/ship#0"))
    for wanted in ({}, {"reactor": "shop"}, {"tag": "red"}, {"where": {"order": "o-1"}}, {"text": "shop:1"}):
        equal(await _found(ground, **wanted), ["1"], f"{wanted}")
    equal(dict(await ground.store.counts()), {"running": 1})


@laws.add()
async def counts_stay_exact_under_concurrent_change(ground: Ground) -> None:
    """Forty runs go their ways at once, from four handles; whoever looks meanwhile sees all forty, and the end is exact."""
    stores = await ground.handles(4)
    claimed = [await ground.driven(f"shop:{n}") for n in range(40)]

    async def live(number: int, one: Claimed) -> None:
        store = stores[number % 4]
        await store.append(ground.append_of(one, 0, b"a", status="running"))
        await store.append(ground.append_of(one, 1, b"b", status="rolling_back"))
        equal((await store.find(limit=1))[2], 40, "how many match in all")
        equal(sum((await store.counts()).values()), 40, "the sum of all counts")
        more = {"ended": True, "status": "failed"} if number % 2 else {"release": True, "status": "parked"}
        await store.append(ground.append_of(one, 2, **more))

    await ground.at_once(partial(live, number, one) for number, one in enumerate(claimed))
    equal(dict(await ground.store.counts()), {"failed": 20, "parked": 20})
    equal([(await ground.store.find(status=status, limit=1))[2] for status in ("failed", "parked", "running", "queued")], [20, 20, 0, 0])


@laws.add()
async def refused_and_repeated_writes_count_nothing(ground: Ground) -> None:
    """Lost replies, joins, fenced and behind appends: each run counts once, under its present status."""
    claimed = await ground.driven()
    await ground.store.create(record_of("shop:1"))
    append = ground.append_of(claimed, 0, b"a", status="running")
    await ground.twice(lambda store: store.append(append))
    await ground.store.append(ground.append_of(claimed, 7, status="odd"))
    await ground.store.append(ground.append_of(Claimed("shop:1", "shop:1", "shop", "nobody:1", 1), 1, status="odd"))
    equal((dict(await ground.store.counts()), (await ground.store.find())[2]), ({"running": 1}, 1))
