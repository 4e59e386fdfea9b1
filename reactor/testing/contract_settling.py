"""The contract, settling: a child tells its parent in the very append that ends it, and a parent its children."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reactor.record.store import Append, Appended, Message, Unread
from reactor.testing.contract_ground import SETTLED, Ground, Laws, child_of, equal, holds, is_a

if TYPE_CHECKING:
    from reactor.record.store import Claimed

laws = Laws()


async def _family(ground: Ground, children: int = 1) -> tuple[Claimed, list[Claimed]]:
    """A run that is driven, and its children, driven too."""
    parent = await ground.driven()
    await ground.append(parent, 0, children=tuple(child_of("shop:1", f"ship#{n}") for n in range(children)))
    return parent, [await ground.taken(f"shop:1/ship#{n}") for n in range(children)]


def _last(ground: Ground, child: Claimed, body: bytes = b"done") -> Append:
    """The append that ends a child and tells its parent."""
    return ground.append_of(child, 0, b"c", status="succeeded", ended=True, messages=(("shop:1", Message("settled", body)),))


@laws.add()
async def a_child_settles_in_the_append_that_ends_it(ground: Ground) -> None:
    """It has ended, and the message lies at its parent, which is due and keeps its status."""
    parent, [child] = await _family(ground)
    await ground.park(parent, status="running")
    is_a(await ground.store.append(_last(ground, child)), Appended)
    holds((await ground.loaded(child.run)).ended_at is not None, "the child has not ended")
    got = await ground.loaded()
    equal(([(message.kind, message.body) for message in got.mail], got.status), ([("settled", b"done")], "running"))
    equal(await ground.claims(), ["shop:1"])


@laws.add()
async def a_settlement_at_a_driven_parent_is_unread(ground: Ground) -> None:
    """Its driver learns of it by its next append, and cannot park over it."""
    parent, [child] = await _family(ground)
    await ground.store.append(_last(ground, child))
    equal((await ground.append(parent, 0)).unread, True)
    equal(await ground.store.append(ground.append_of(parent, 0, status="parked", release=True)), Unread())
    equal((await ground.loaded()).token, parent.token)


@laws.add()
async def a_lost_settlement_is_left_once(ground: Ground) -> None:
    """The operation is known: the parent has one message, also once it has read it."""
    parent, [child] = await _family(ground)
    append = _last(ground, child)
    await ground.twice(lambda store: store.append(append))
    [message] = (await ground.loaded()).mail
    await ground.append(parent, 0, read_up_to=message.number)
    is_a(await ground.store.append(append), Appended)
    equal((await ground.loaded()).mail, ())


@laws.add()
async def a_hundred_children_settle_at_once(ground: Ground) -> None:
    """The parent has a hundred messages, each with its number, whatever its limit of signals."""
    _, children = await _family(ground, 100)
    stores = await ground.handles(4)
    answers = await ground.at_once(partial(stores[n % 4].append, _last(ground, child, b"%d" % n)) for n, child in enumerate(children))
    equal({type(answer) for answer in answers}, {Appended})
    mail = (await ground.loaded()).mail
    equal((len({message.number for message in mail}), {message.body for message in mail}), (100, {b"%d" % n for n in range(100)}))


@laws.add()
async def a_parent_tells_its_children(ground: Ground) -> None:
    """Several at once: one that waits is queued and due, one that is driven is its driver's."""
    parent, [driven, parked] = await _family(ground, 2)
    await ground.park(parked)
    await ground.append(parent, 0, b"a", messages=tuple((child.run, Message("cancel", b"stop")) for child in (driven, parked)))
    got = [await ground.loaded(child.run) for child in (driven, parked)]
    equal([(one.status, [message.body for message in one.mail]) for one in got], [("queued", [b"stop"])] * 2)
    equal(await ground.claims(), [parked.run])


@laws.add()
async def a_child_may_be_told_as_it_is_made(ground: Ground) -> None:
    """The children of an append are there before its messages are left."""
    parent = await ground.driven()
    await ground.append(
        parent, 0, children=(child_of("shop:1", "ship#0", due=None),), messages=(("shop:1/ship#0", Message("cancel", b"")),)
    )
    equal(await ground.claims(), ["shop:1/ship#0"])


@laws.add()
async def a_message_that_nobody_can_take_is_dropped(ground: Ground) -> None:
    """Its record has ended, or never was: the append that carried it is written, and nothing else changes."""
    parent, [child] = await _family(ground)
    await ground.end(parent)
    before = await ground.loaded()
    append = ground.append_of(child, 0, b"c", ended=True, messages=(("shop:1", SETTLED), ("shop:1/none#0", SETTLED)))
    equal(is_a(await ground.store.append(append), Appended).seq, 1)
    equal(await ground.loaded(), before)
    equal(await ground.store.load("shop:1/none#0"), None)


@laws.add()
async def messages_of_an_append_keep_their_order(ground: Ground) -> None:
    """Two to one record: numbered as they were given."""
    _, [child] = await _family(ground)
    both = tuple(("shop:1", Message("settled", body)) for body in (b"first", b"second"))
    await ground.append(child, 0, messages=both)
    equal([message.body for message in (await ground.loaded()).mail], [b"first", b"second"])


@laws.add()
async def a_settlement_between_the_last_look_and_the_park_is_not_forgotten(ground: Ground) -> None:
    """A child's end and its parent's park, both at once: the park is unread, or the parked parent is due."""
    other = await ground.another()
    parent, children = await _family(ground, 20)
    for child in children:
        park = partial(ground.store.append, ground.append_of(parent, 0, status="parked", release=True))
        parked, _ = await ground.at_once((park, partial(other.append, _last(ground, child))))
        if isinstance(parked, Appended):
            equal(await ground.claims(), ["shop:1"], "what is due")
            await ground.lapse((await ground.loaded()).token.rpartition(":")[0])  # type: ignore[union-attr]
            parent = await ground.taken("shop:1")
        else:
            equal(parked, Unread())
        newest = (await ground.loaded()).mail[-1].number
        await ground.append(parent, 0, read_up_to=newest)


@laws.add()
async def a_child_is_not_a_run_in_any_list(ground: Ground) -> None:
    """Children are neither found nor counted."""
    await _family(ground, 3)
    rows, _, total = await ground.store.find()
    equal(([row.run for row in rows], total, sum((await ground.store.counts()).values())), (["shop:1"], 1, 1))
