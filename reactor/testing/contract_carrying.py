"""The contract, what goes with an append: children, chunks, snapshots, and all of it or nothing."""

from __future__ import annotations

from reactor.record.store import (
    BATCH_LIMIT,
    EVENT_LIMIT,
    Appended,
    Behind,
    Claimed,
    Fenced,
)
from reactor.testing.contract_ground import SETTLED, Ground, Laws, child_of, equal, is_a, refused_as_too_large

laws = Laws()


@laws.add()
async def children_come_with_their_parents_append(ground: Ground) -> None:
    """A child is a record of its own, below its root, and is claimed as any other."""
    claimed = await ground.driven()
    await ground.append(claimed, 0, b"a", children=(child_of("shop:1", "ship#0", elements=b"el", place="mail", events=(b"c",)),))
    got = await ground.loaded("shop:1/ship#0")
    equal((got.root, got.parent, got.elements, got.place, got.events, got.status), ("shop:1", "shop:1", b"el", "mail", (b"c",), "queued"))
    equal(await ground.claims(place="mail"), ["shop:1/ship#0"])


@laws.add()
async def a_child_that_is_there_stays_as_it_is(ground: Ground) -> None:
    """A name that is taken is not made anew; the append that tries is written."""
    claimed = await ground.driven()
    await ground.append(claimed, 0, children=(child_of("shop:1", "ship#0", inputs=b"first"),))
    child = await ground.taken("shop:1/ship#0")
    await ground.append(child, 0, b"c")
    equal((await ground.append(claimed, 0, b"a", children=(child_of("shop:1", "ship#0", inputs=b"second"),))).seq, 1)
    got = await ground.loaded("shop:1/ship#0")
    equal((got.inputs, got.events, got.token), (b"first", (b"c",), child.token))


@laws.add()
async def a_lost_append_makes_its_children_once(ground: Ground) -> None:
    """A child that went on meanwhile is left alone by the second try."""
    claimed = await ground.driven()
    append = ground.append_of(claimed, 0, b"a", children=(child_of("shop:1", "ship#0"),))
    await ground.twice(lambda store: store.append(append))
    await ground.append(await ground.taken("shop:1/ship#0"), 0, b"c")
    is_a(await ground.store.append(append), Appended)
    equal((await ground.loaded("shop:1/ship#0")).events, (b"c",))


@laws.add()
async def a_chunk_replaces_the_elements(ground: Ground) -> None:
    """Elements stay until the chunk comes, and are dropped with it; an empty chunk is one."""
    claimed = await ground.driven(elements=b"el")
    await ground.append(claimed, 0, b"a")
    got = await ground.loaded()
    equal((got.elements, got.chunk), (b"el", None))
    await ground.append(claimed, 1, chunk=b"")
    got = await ground.loaded()
    equal((got.elements, got.chunk), (b"", b""))


@laws.add()
async def a_load_begins_at_the_snapshot(ground: Ground) -> None:
    """The state, and the events after its seq; a newer one takes its place; seq counts all."""
    claimed = await ground.driven(events=(b"1", b"2", b"3"))
    await ground.append(claimed, 3, b"4", snapshot=(2, b"state"))
    got = await ground.loaded()
    equal((got.snapshot, got.events, got.seq), ((2, b"state"), (b"3", b"4"), 4))
    await ground.append(claimed, 4, b"5", snapshot=(5, b"later"))
    got = await ground.loaded()
    equal((got.snapshot, got.events, got.seq), ((5, b"later"), (), 5))
    await ground.append(claimed, 5, b"6")
    equal(((await ground.loaded()).snapshot, (await ground.loaded()).events), ((5, b"later"), (b"6",)), "after an append without one")


@laws.add()
async def a_load_after_a_seq_gives_what_follows(ground: Ground) -> None:
    """The events with a higher seq and no snapshot: they are never cut, whatever snapshot there is."""
    claimed = await ground.driven(events=(b"1", b"2", b"3"))
    await ground.append(claimed, 3, b"4", snapshot=(3, b"state"))
    for after, wanted in {0: (b"1", b"2", b"3", b"4"), 1: (b"2", b"3", b"4"), 3: (b"4",), 4: (), 9: ()}.items():
        got = await ground.loaded(after=after)
        equal((got.events, got.snapshot, got.seq), (wanted, None, 4), f"after {after}")


@laws.add()
async def what_is_not_there_is_none(ground: Ground) -> None:
    """A load of an unknown record, and of a child of a known one."""
    await ground.made()
    equal([await ground.store.load(run) for run in ("shop:2", "shop:1/ship#0", "shop:", "")], [None] * 4)


@laws.add()
async def an_append_over_a_limit_leaves_nothing(ground: Ground) -> None:
    """Whatever in it is too large: neither its events, nor its children, nor the operation are there."""
    claimed = await ground.driven(elements=b"el")
    child, huge = child_of("shop:1", "ship#0"), b"x" * (EVENT_LIMIT + 1)
    for more in (
        {"chunk": b"x" * (BATCH_LIMIT + 1)},
        {"children": (child, child_of("shop:1", "ship#1", events=(huge,)))},
        {"children": (child, child_of("shop:1", "ship#1", elements=b"x" * (BATCH_LIMIT + 1)))},
    ):
        await refused_as_too_large(ground.store.append(ground.append_of(claimed, 0, b"a", op="x", **more)))
    await refused_as_too_large(ground.store.append(ground.append_of(claimed, 0, b"a", huge, op="x", children=(child,))))
    got = await ground.loaded()
    equal((got.seq, got.elements, got.status), (0, b"el", "queued"))
    equal(await ground.store.load("shop:1/ship#0"), None)
    equal((await ground.append(claimed, 0, b"a", op="x")).seq, 1)


@laws.add()
async def a_refused_append_leaves_nothing(ground: Ground) -> None:
    """Behind or Fenced: no event, status, child, message, chunk, snapshot or version is there, and no mail is consumed."""
    parent = await ground.driven()
    await ground.append(parent, 0, children=(child_of("shop:1", "ship#0", elements=b"el"),))
    child = await ground.taken("shop:1/ship#0")
    await ground.tell("shop:1/ship#0")
    before = (await ground.loaded(), await ground.loaded("shop:1/ship#0"))
    stranger = Claimed(child.run, child.root, child.reactor, "nobody:1", 1)
    for who, seq in ((child, 3), (stranger, 0)):
        append = ground.append_of(
            who,
            seq,
            b"z",
            status="odd",
            ended=True,
            read_up_to=99,
            messages=(("shop:1", SETTLED),),
            children=(child_of("shop:1", "late#0"),),
            chunk=b"chunk",
            snapshot=(1, b"s"),
            reactor_version=(9, "new"),
        )
        equal(type(await ground.store.append(append)), Behind if who is child else Fenced)
    equal((await ground.loaded(), await ground.loaded("shop:1/ship#0")), before)
    equal(await ground.store.load("shop:1/late#0"), None, "a child")
