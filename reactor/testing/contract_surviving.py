"""The contract, surviving: hostile names and bytes, large records, cancelled calls, a store that went back in time."""

from __future__ import annotations

import pickle
from functools import partial

import anyio

from reactor.record.store import Append, Appended, Behind, Fenced, Message, Served
from reactor.testing.contract_ground import LONG, Ground, Laws, child_of, equal, holds, is_a

laws = Laws()

HOSTILE = ("\x00", "a\x00b", "é\u2028\U0001f4a3", "{x}", "a:b|c;d,e", "'; DROP TABLE runs;--", '"', "\n\r\t", " ", "%s%n", "..", "x" * 1000)


@laws.add()
async def text_comes_back_as_it_went(ground: Ground) -> None:
    """NUL, separators, quotes, newlines, emoji, a thousand letters: statuses, tags, index values, places, fingerprints, ids."""
    for number, text in enumerate(HOSTILE):
        run = f"shop:{number}"
        await ground.made(run, tags=(text, ""), index={"order": text, text: "x"}, place=text, fingerprint=text, status=text)
        got = await ground.loaded(run)
        equal((got.tags, got.place, got.fingerprint, got.status), ((text, ""), text, text, text), f"{text!r:.40}")
        equal((await ground.claims(Served("shop", 1, text), place=text)), [run])
        [row] = (await ground.store.find(tag=text))[0]
        equal((row.run, row.status, dict(row.index)), (run, text, {"order": text, text: "x"}))
        equal((await ground.store.counts("shop")).get(text), 1, "a count")


@laws.add()
async def names_in_the_registry_are_any_text(ground: Ground) -> None:
    """Scopes, correlation ids, delivery ids, operations and fingerprints of definitions."""
    await ground.made()
    for text in HOSTILE:
        equal(await ground.store.keep_early(text, text, b"a", text), "kept")
        equal(list(await ground.store.open_wait(text, text, "shop:1", text)), [b"a"])
        equal(await ground.store.find_waiting(text, text), ("shop:1", text, True))
        equal(await ground.store.once(text, b"a"), None)
        await ground.store.put_definition(text, text.encode())
        equal(await ground.store.definition(text), text.encode())
        await ground.store.deliver("shop:1", Message("cancel", b""), moves=True, operation=text)
    equal(len((await ground.loaded()).mail), len(HOSTILE))


@laws.add()
async def names_of_runs_stay_apart(ground: Ground) -> None:
    """Ids of two hundred letters, dots, dashes, at signs, colons; reactors of any script; addresses with brackets."""
    names = ("shop:" + "a" * 200, "shop:" + "a" * 199, "shop:a:b", "shop:a", "shop:..", "shop:@", "Käse.Laden:1", "shop:-1", "shop:1~2")
    for name in names:
        await ground.made(name, inputs=name.encode())
    parent = await ground.taken("shop:a")
    children = [child_of("shop:a", address) for address in ("ship[3].label#0", "ship[3].label#00", "a/b#1", "é#2")]
    await ground.append(parent, 0, children=tuple(children))
    equal([(await ground.loaded(name)).inputs for name in names], [name.encode() for name in names])
    equal(sorted(row.run for row in (await ground.store.find())[0]), sorted(names))
    for child in children:
        await ground.end(await ground.taken(child.run))


@laws.add()
async def bytes_come_back_as_they_went(ground: Ground) -> None:
    """All of them, wherever bytes are kept; a pickle is bytes like any other, and nobody opens it."""
    every = bytes(range(256))
    for data in (every, b"", b"\x00", pickle.dumps(print), b"\xff\xfe", b"$-1\r\n"):
        run = ground.fresh("shop:")
        claimed = await ground.driven(run, inputs=data, elements=data, events=(data,))
        await ground.tell(run, data)
        await ground.append(claimed, 1, data, snapshot=(1, data))
        got = await ground.loaded(run)
        equal((got.inputs, got.elements, got.events, got.snapshot, got.mail[0].body), (data, data, (data,), (1, data), data))
        await ground.append(claimed, 2, chunk=data)
        equal(((await ground.loaded(run)).chunk, (await ground.loaded(run, after=0)).events), (data, (data, data)))
        await ground.store.once(run, data)
        equal(await ground.store.once(run, b"other"), data)


@laws.add()
async def a_long_record_comes_back_whole(ground: Ground) -> None:
    """Five thousand events in ten appends; its end alone is read by itself."""
    claimed = await ground.driven()
    events = [b"event %d" % number for number in range(5000)]
    for first in range(0, 5000, 500):
        await ground.append(claimed, first, *events[first : first + 500])
    got = await ground.loaded()
    equal((got.seq, list(got.events) == events), (5000, True))
    equal((await ground.loaded(after=4998)).events, tuple(events[4998:]))
    await ground.append(claimed, 5000, b"last", snapshot=(5000, b"s"))
    equal((await ground.loaded()).events, (b"last",))


@laws.add()
async def a_large_append_is_one(ground: Ground) -> None:
    """Two thousand events, a hundred children and a hundred messages go in together."""
    claimed = await ground.driven()
    children = tuple(child_of("shop:1", f"ship#{n}", elements=b"e" * 100) for n in range(100))
    messages = tuple((child.run, Message("cancel", b"%d" % n)) for n, child in enumerate(children))
    await ground.append(claimed, 0, *[b"%d" % n for n in range(2000)], children=children, messages=messages)
    equal((await ground.loaded()).seq, 2000)
    equal([(await ground.loaded(f"shop:1/ship#{n}")).mail[0].body for n in (0, 57, 99)], [b"0", b"57", b"99"])


# ---- a caller that went away -----------------------------------------------------------------------------------


@laws.add()
async def a_call_that_is_cancelled_harms_no_other(ground: Ground) -> None:
    """Whoever is cancelled in the middle of a call leaves it done or not done, and no answer of it to somebody else."""
    claimed = [await ground.driven(f"shop:{n}", inputs=b"%d" % n) for n in range(40)]
    appends = [ground.append_of(one, 0, one.run.encode()) for one in claimed]

    async def left_alone(number: int, append: Append) -> None:
        with anyio.CancelScope() as scope, anyio.move_on_after(0.001 * (number % 5)):
            if number % 8 == 0:
                scope.cancel()
            await ground.store.append(append)
            await ground.store.load(append.run)

    await ground.at_once(partial(left_alone, number, append) for number, append in enumerate(appends))
    for number, append in enumerate(appends):
        got = await ground.loaded(append.run)
        holds(got.events in ((), append.events), f"{append.run} has {got.events!r}")
        equal(got.inputs, b"%d" % number)
        equal(is_a(await ground.store.append(append), Appended).seq, 1)
        equal((await ground.loaded(append.run)).events, append.events)


# ---- a store that went back in time ---------------------------------------------------------------------------


@laws.add("rewind")
async def a_driver_sees_that_its_store_went_back(ground: Ground) -> None:
    """It lost an append that it had acknowledged: the next is Behind, and its driver goes on from what is there."""
    claimed = await ground.driven()
    await ground.append(claimed, 0, b"a")
    go_back = await ground.remember()
    await ground.append(claimed, 1, b"lost")
    await go_back()
    equal(await ground.store.append(ground.append_of(claimed, 2, b"c")), Behind(1))
    equal((await ground.loaded()).events, (b"a",))
    await ground.append(claimed, 1, b"b")
    equal((await ground.loaded()).events, (b"a", b"b"))


@laws.add("rewind")
async def a_lost_claim_fences_its_driver(ground: Ground) -> None:
    """The store forgot a claim: that token is nobody's, the next claim's fence is higher than the lost one's, and time goes on."""
    await ground.made()
    session = await ground.session(LONG)
    go_back = await ground.remember()
    await ground.let_pass(0.01)
    lost = await ground.taken("shop:1")
    now = await ground.store.now()
    await go_back()
    await ground.let_pass(0.01)
    equal(await ground.store.append(ground.append_of(lost, 0, b"lost")), Fenced())
    [claimed] = await ground.store.claim(session, [Served("shop", 1, "fp")])
    holds(claimed.fence > lost.fence, f"the fence went from {lost.fence} to {claimed.fence}")
    holds(await ground.store.now() >= now, "time went back")


@laws.add("rewind")
async def a_lost_run_may_be_made_again(ground: Ground) -> None:
    """The store forgot that it was made: its writer is fenced, the name is free, counts say what is there."""
    go_back = await ground.remember()
    claimed = await ground.driven()
    await go_back()
    equal(await ground.store.append(ground.append_of(claimed, 0, b"lost")), Fenced())
    equal(dict(await ground.store.counts()), {})
    await ground.made()
    equal(dict(await ground.store.counts()), {"queued": 1})
