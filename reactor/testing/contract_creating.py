"""The contract, creating: a name is taken once, and what was given comes back."""

from __future__ import annotations

from functools import partial

from reactor.record.store import (
    BATCH_LIMIT,
    EVENT_LIMIT,
    Claimed,
    Created,
    Loaded,
    NewRecord,
)
from reactor.testing.contract_ground import Ground, Laws, equal, holds, is_a, record_of, refused_as_too_large

laws = Laws()


@laws.add()
async def one_of_a_hundred_creates_a_run(ground: Ground) -> None:
    """Of a hundred that create the same name at once, one creates it; the others get the record that is there."""
    stores = await ground.handles(4)
    answers = await ground.at_once(partial(stores[n % 4].create, record_of("shop:1", inputs=str(n).encode())) for n in range(100))
    made = [number for number, answer in enumerate(answers) if isinstance(answer, Created)]
    equal(len(made), 1, "how many created it")
    joined = {is_a(answer, Loaded).inputs for answer in answers if not isinstance(answer, Created)}
    equal(joined, {str(made[0]).encode()}, "the inputs that the others saw")


@laws.add()
async def a_hundred_create_a_hundred(ground: Ground) -> None:
    """Names that differ, made at once, do not get in each other's way."""
    answers = await ground.at_once(partial(ground.store.create, record_of(f"shop:{n}", inputs=b"%d" % n)) for n in range(100))
    equal([type(answer) for answer in answers], [Created] * 100)
    equal([(await ground.loaded(f"shop:{n}")).inputs for n in (0, 50, 99)], [b"0", b"50", b"99"])


@laws.add()
async def what_was_created_comes_back_whole(ground: Ground) -> None:
    """Every field of a new record is loaded as it was given, by any handle."""
    made = NewRecord(
        run="shop:1",
        root="shop:1",
        reactor="Checkout",
        version=7,
        fingerprint="f00",
        place="mail",
        status="parked",
        due=12.5,
        inputs=b"\x00in",
        elements=b"el\xff",
        tags=("red", "blue"),
        index={"order": "o-1"},
        events=(b"a", b"b"),
    )
    await ground.store.create(made)
    got = await ground.loaded()
    fields = (
        "run",
        "root",
        "parent",
        "reactor",
        "version",
        "fingerprint",
        "place",
        "status",
        "due",
        "inputs",
        "elements",
        "tags",
        "events",
    )
    for field in fields:
        equal(getattr(got, field), getattr(made, field), field)
    equal((got.token, got.seq, got.chunk, got.ended_at, got.snapshot, got.mail), (None, 2, None, None, None, ()), "the rest")


@laws.add()
async def a_bare_record_is_a_record(ground: Ground) -> None:
    """No event, no input, no tag: it is there, and empty."""
    await ground.store.create(NewRecord(run="shop:1", root="shop:1", reactor="shop"))
    got = await ground.loaded()
    equal((got.seq, got.events, got.inputs, got.elements, got.tags, got.mail), (0, (), b"", b"", (), ()))


@laws.add()
async def a_record_made_with_a_token_is_its_makers(ground: Ground) -> None:
    """While the maker's lease is alive nobody claims it, and its appends are written."""
    session = await ground.session()
    made = is_a(await ground.store.create(record_of("shop:1", token=f"{session}:1")), Created)
    got = await ground.loaded()
    equal((got.token, got.due, got.fence), (f"{session}:1", None, made.fence))
    equal(await ground.claims(), [], "what others may claim")
    await ground.append(Claimed("shop:1", "shop:1", "shop", f"{session}:1", made.fence), 0, b"a")


@laws.add()
async def a_lost_create_under_a_token_is_created(ground: Ground) -> None:
    """Asked again under the token that the record has, `create` answers as it did, and nothing is made twice."""
    session = await ground.session()
    record = record_of("shop:1", token=f"{session}:1", events=(b"a",))
    first = is_a(await ground.twice(lambda store: store.create(record)), Created)
    equal(await ground.store.create(record), first, "a third answer")
    equal((await ground.loaded()).events, (b"a",))


@laws.add()
async def a_lost_create_without_a_token_gives_the_record(ground: Ground) -> None:
    """Nobody can tell the maker from others then: it gets the record, once made."""
    got = is_a(await ground.twice(lambda store: store.create(record_of("shop:1", inputs=b"i", events=(b"a",)))), Loaded)
    equal((got.run, got.inputs, got.seq, got.status), ("shop:1", b"i", 1, "queued"))


@laws.add()
async def a_second_create_changes_nothing(ground: Ground) -> None:
    """A name is taken by the first: the second sees its head, without events, snapshot and mail."""
    await ground.append(await ground.driven(inputs=b"mine", events=(b"a",)), 1, b"b", snapshot=(1, b"s"))
    await ground.tell()
    before = await ground.loaded(after=0)
    session = await ground.session()
    got = is_a(
        await ground.store.create(record_of("shop:1", inputs=b"yours", token=f"{session}:1", reactor="other", events=(b"z",))), Loaded
    )
    equal((got.inputs, got.reactor, got.seq, got.token), (b"mine", "shop", 2, before.token))
    equal((got.events, got.snapshot, got.mail), ((), None, ()), "what a create does not read")
    equal(await ground.loaded(after=0), before)


@laws.add()
async def a_create_tells_the_stores_time(ground: Ground) -> None:
    """`Created.at` is the store's time then, and stays the record's `created_at`."""
    before = await ground.store.now()
    made = is_a(await ground.store.create(record_of("shop:1")), Created)
    holds(before <= made.at <= await ground.store.now(), "`at` is not the store's time")
    await ground.let_pass(0.01)
    equal((await ground.loaded()).created_at, made.at)


@laws.add()
async def a_record_over_a_limit_is_not_made(ground: Ground) -> None:
    """An event of over 1 MiB, or elements of over 8 MiB: TooLarge, and the name is free."""
    await refused_as_too_large(ground.store.create(record_of("shop:1", events=(b"a", b"x" * (EVENT_LIMIT + 1)))))
    await refused_as_too_large(ground.store.create(record_of("shop:1", elements=b"x" * (BATCH_LIMIT + 1))))
    equal(await ground.store.load("shop:1"), None)
    equal((await ground.store.find())[2], 0, "how many are found")


@laws.add()
async def what_just_fits_is_kept(ground: Ground) -> None:
    """An event of 1 MiB, elements and a chunk of 8 MiB."""
    claimed = await ground.driven(events=(b"e" * EVENT_LIMIT,), elements=b"m" * BATCH_LIMIT)
    await ground.append(claimed, 1, b"f" * EVENT_LIMIT)
    got = await ground.loaded()
    equal((got.events == (b"e" * EVENT_LIMIT, b"f" * EVENT_LIMIT), got.elements == b"m" * BATCH_LIMIT), (True, True))
    await ground.append(claimed, 2, chunk=b"c" * BATCH_LIMIT)
    holds((await ground.loaded()).chunk == b"c" * BATCH_LIMIT, "the chunk came back as something else")
