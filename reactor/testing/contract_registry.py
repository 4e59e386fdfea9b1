"""The contract, correlation ids: one occurrence has each, and what came before anybody asked is handed over."""

from __future__ import annotations

from functools import partial

from reactor.record.store import EARLY_KEPT, EARLY_LIMIT, MESSAGE_LIMIT, ONCE_KEPT
from reactor.testing.contract_ground import Ground, Laws, equal, holds, refused_as_too_large

laws = Laws()
PAID = "Checkout.paid"  # a scope


# ---- open and close -------------------------------------------------------------------------------------------


@laws.add()
async def nobody_waits_for_an_unknown_id(ground: Ground) -> None:
    """None, and closing it is nothing."""
    equal(await ground.store.find_waiting(PAID, "o-1"), None)
    await ground.store.close_wait(PAID, "o-1", "shop:1", "paid")
    equal(await ground.store.find_waiting(PAID, "o-1"), None, "after a close")


@laws.add()
async def an_opened_id_leads_to_its_occurrence(ground: Ground) -> None:
    """Run, address, and that it is open; any handle sees it."""
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:1", "items[3].paid")), [])
    equal(await (await ground.another()).find_waiting(PAID, "o-1"), ("shop:1", "items[3].paid", True))


@laws.add()
async def an_id_is_one_occurrences(ground: Ground) -> None:
    """Another run, and another address of the same run, find it taken; it leads to the first still."""
    await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")
    for run, address in (("shop:2", "paid"), ("shop:1", "paid2"), ("shop:1/ship#0", "paid"), ("shop:10", "paid")):
        equal(await ground.store.open_wait(PAID, "o-1", run, address), "taken", f"{run} {address}")
    equal(await ground.store.find_waiting(PAID, "o-1"), ("shop:1", "paid", True))


@laws.add()
async def ids_are_a_scopes_own(ground: Ground) -> None:
    """The same id of another node is another, however the two are put together."""
    await ground.store.open_wait("a", "b:c", "shop:1", "x")
    for scope, correlation_id in (("a:b", "c"), ("a", "b"), ("", "a:b:c"), ("b:c", "a")):
        equal(await ground.store.find_waiting(scope, correlation_id), None, f"{scope!r} {correlation_id!r}")
        equal(list(await ground.store.open_wait(scope, correlation_id, "shop:2", "y")), [])
    equal(await ground.store.find_waiting("a", "b:c"), ("shop:1", "x", True))


@laws.add()
async def a_closed_id_leads_to_its_run_still(ground: Ground) -> None:
    """Not open any more, and taken for all others."""
    await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")
    await ground.twice(lambda store: store.close_wait(PAID, "o-1", "shop:1", "paid"))
    equal(await ground.store.find_waiting(PAID, "o-1"), ("shop:1", "paid", False))
    equal(await ground.store.open_wait(PAID, "o-1", "shop:2", "paid"), "taken")


@laws.add()
async def only_its_occurrence_closes_an_id(ground: Ground) -> None:
    """Another run, or another address, closes nothing."""
    await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")
    await ground.store.close_wait(PAID, "o-1", "shop:2", "paid")
    await ground.store.close_wait(PAID, "o-1", "shop:1", "other")
    await ground.store.close_wait("other", "o-1", "shop:1", "paid")
    equal(await ground.store.find_waiting(PAID, "o-1"), ("shop:1", "paid", True))


@laws.add()
async def an_occurrence_opens_its_id_again(ground: Ground) -> None:
    """Also after it was closed: another try asks anew."""
    await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")
    await ground.store.close_wait(PAID, "o-1", "shop:1", "paid")
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")), [])
    equal(await ground.store.find_waiting(PAID, "o-1"), ("shop:1", "paid", True))


@laws.add()
async def one_of_a_hundred_opens_an_id(ground: Ground) -> None:
    """The others find it taken."""
    stores = await ground.handles(4)
    answers = await ground.at_once(partial(stores[n % 4].open_wait, PAID, "o-1", f"shop:{n}", "paid") for n in range(100))
    won = [number for number, answer in enumerate(answers) if answer != "taken"]
    equal(len(won), 1, "how many opened it")
    equal(await ground.store.find_waiting(PAID, "o-1"), (f"shop:{won[0]}", "paid", True))


@laws.add()
async def a_later_life_takes_an_id_over(ground: Ground) -> None:
    """A restarted run asks again under the same id, open or closed; its children too; the earlier life has lost it."""
    await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:1~2", "paid")), [])
    equal(await ground.store.find_waiting(PAID, "o-1"), ("shop:1~2", "paid", True))
    equal(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid"), "taken", "to the earlier life")
    await ground.store.close_wait(PAID, "o-1", "shop:1~2", "paid")
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:1~10/ship#0", "paid")), [])
    equal(await ground.store.find_waiting(PAID, "o-1"), ("shop:1~10/ship#0", "paid", True))
    for run in ("shop:1~9", "shop:2~11", "shop:1~10"):
        equal(await ground.store.open_wait(PAID, "o-1", run, "paid"), "taken", run)


# ---- early messages -------------------------------------------------------------------------------------------


@laws.add()
async def early_messages_wait_for_their_asker(ground: Ground) -> None:
    """In the order in which they came, to the first that opens the id, and to the same one if it asks again."""
    for body in (b"a", b"", b"\x00\xff"):
        equal(await ground.store.keep_early(PAID, "o-1", body, None), "kept")
    equal(await ground.store.find_waiting(PAID, "o-1"), None)
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")), [b"a", b"", b"\x00\xff"])
    equal(await ground.store.open_wait(PAID, "o-1", "shop:2", "paid"), "taken")
    await ground.store.close_wait(PAID, "o-1", "shop:1", "paid")
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")), [b"a", b"", b"\x00\xff"], "asked again")


@laws.add()
async def a_lost_open_is_answered_alike(ground: Ground) -> None:
    """Early messages are not lost with the reply."""
    await ground.store.keep_early(PAID, "o-1", b"a", None)
    equal(list(await ground.twice(lambda store: store.open_wait(PAID, "o-1", "shop:1", "paid"))), [b"a"])


@laws.add()
async def nothing_is_early_once_somebody_asks(ground: Ground) -> None:
    """An id that is open, or was, answers "open" and keeps nothing, duplicates of what came early too."""
    await ground.store.keep_early(PAID, "o-1", b"a", "d-1")
    await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")
    equal(await ground.store.keep_early(PAID, "o-1", b"b", None), "open")
    equal(await ground.store.keep_early(PAID, "o-1", b"a", "d-1"), "open", "the answer to a duplicate")
    await ground.store.close_wait(PAID, "o-1", "shop:1", "paid")
    equal(await ground.store.keep_early(PAID, "o-1", b"c", None), "open", "the answer once it is closed")
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")), [b"a"])


@laws.add()
async def an_early_message_is_kept_once(ground: Ground) -> None:
    """The same delivery id, whatever the body; without one, the same body without one."""
    kept = [(b"a", "d-1"), (b"a", "d-2"), (b"a", None), (b"b", None)]
    for body, delivery_id in kept:
        equal(await ground.store.keep_early(PAID, "o-1", body, delivery_id), "kept", f"{body!r} {delivery_id}")
    for body, delivery_id in ((b"a", "d-1"), (b"z", "d-2"), (b"a", None), (b"b", None)):
        equal(await ground.store.keep_early(PAID, "o-1", body, delivery_id), "duplicate", f"{body!r} {delivery_id}")
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")), [body for body, _ in kept])


@laws.add()
async def a_lost_early_message_is_kept_once(ground: Ground) -> None:
    """The second try is told that it is there."""
    for delivery_id in ("d-1", None):
        equal(await ground.twice(lambda store, name=delivery_id: store.keep_early(PAID, "o-1", b"a", name)), "duplicate")  # type: ignore[misc]
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")), [b"a", b"a"])


@laws.add()
async def sixteen_messages_are_early_and_no_more(ground: Ground) -> None:
    """The next is full; a duplicate of what is there is a duplicate still; another id has room."""
    for number in range(EARLY_LIMIT):
        equal(await ground.store.keep_early(PAID, "o-1", b"%d" % number, f"d-{number}"), "kept")
    equal(await ground.store.keep_early(PAID, "o-1", b"x", "d-x"), "full")
    equal(await ground.store.keep_early(PAID, "o-1", b"0", "d-0"), "duplicate")
    equal(await ground.store.keep_early(PAID, "o-2", b"x", "d-x"), "kept")
    equal(len(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")), EARLY_LIMIT)


@laws.add()
async def racing_early_messages_do_not_overfill(ground: Ground) -> None:
    """Of a hundred at once, sixteen are kept, and those are handed over."""
    stores = await ground.handles(4)
    answers = await ground.at_once(partial(stores[n % 4].keep_early, PAID, "o-1", b"%d" % n, f"d-{n}") for n in range(100))
    kept = {b"%d" % number for number, answer in enumerate(answers) if answer == "kept"}
    equal((len(kept), answers.count("full")), (EARLY_LIMIT, 100 - EARLY_LIMIT))
    equal(set(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")), kept)


@laws.add()
async def an_early_message_over_its_limit_is_not_kept(ground: Ground) -> None:
    """64 KiB fit, one more byte is TooLarge."""
    await refused_as_too_large(ground.store.keep_early(PAID, "o-1", b"x" * (MESSAGE_LIMIT + 1), None))
    equal(await ground.store.keep_early(PAID, "o-1", b"x" * MESSAGE_LIMIT, None), "kept")
    equal([len(body) for body in await ground.store.open_wait(PAID, "o-1", "shop:1", "paid")], [MESSAGE_LIMIT])


@laws.add()
async def a_message_between_asking_and_not_is_not_forgotten(ground: Ground) -> None:
    """Kept while somebody opens the id: it is handed over, or its sender is told that the id is open."""
    other = await ground.another()
    for number in range(25):
        early = partial(other.keep_early, PAID, f"o-{number}", b"a", None)
        asks = partial(ground.store.open_wait, PAID, f"o-{number}", "shop:1", f"paid{number}")
        if number % 2:
            kept, got = await ground.at_once((early, asks))
        else:
            got, kept = await ground.at_once((asks, early))
        equal(kept, "kept" if list(got) else "open", f"the sender's answer, {got!r} handed over")


@laws.add("days")
async def early_messages_go_after_a_day(ground: Ground) -> None:
    """Each by its own age; then there is room again, and nobody gets the old ones."""
    await ground.store.keep_early(PAID, "o-1", b"old", "d-1")
    await ground.let_pass(EARLY_KEPT / 2)
    for number in range(EARLY_LIMIT - 1):
        await ground.store.keep_early(PAID, "o-1", b"%d" % number, None)
    await ground.let_pass(EARLY_KEPT / 2 - 60)
    equal(await ground.store.keep_early(PAID, "o-1", b"x", None), "full", "just before")
    await ground.let_pass(120)
    equal(await ground.store.keep_early(PAID, "o-1", b"again", "d-1"), "kept", "just after")
    bodies = list(await ground.store.open_wait(PAID, "o-1", "shop:1", "paid"))
    equal((b"old" in bodies, bodies[-1], len(bodies)), (False, b"again", EARLY_LIMIT))


# ---- once -----------------------------------------------------------------------------------------------------


@laws.add()
async def the_first_answer_to_a_delivery_stays(ground: Ground) -> None:
    """None at first; then the first answer, whatever is brought."""
    equal(await ground.store.once("d-1", b"first"), None)
    equal(await ground.store.once("d-1", b"second"), b"first")
    equal(await (await ground.another()).once("d-1", b"third"), b"first")
    equal(await ground.store.once("d-2", b""), None)
    equal(await ground.store.once("d-2", b"x"), b"", "an empty answer, asked again")


@laws.add()
async def a_lost_answer_is_remembered(ground: Ground) -> None:
    """The second try is given the answer that it brings."""
    equal(await ground.twice(lambda store: store.once("d-1", b"mine")), b"mine")


@laws.add()
async def one_of_a_hundred_answers_a_delivery(ground: Ground) -> None:
    """The others are given its answer."""
    stores = await ground.handles(4)
    answers = await ground.at_once(partial(stores[n % 4].once, "d-1", b"%d" % n) for n in range(100))
    won = [number for number, answer in enumerate(answers) if answer is None]
    equal(len(won), 1, "how many were first")
    equal({answer for answer in answers if answer is not None}, {b"%d" % won[0]})


@laws.add("days")
async def an_answer_is_remembered_for_a_week(ground: Ground) -> None:
    """`ONCE_KEPT` at least, whoever keeps house meanwhile."""
    await ground.store.once("d-1", b"first")
    await ground.let_pass(ONCE_KEPT - 60)
    await ground.store.expire(0, 0)
    equal(await ground.store.once("d-1", b"second"), b"first")


@laws.add()
async def an_id_is_free_when_its_run_has_expired(ground: Ground) -> None:
    """Not when it has ended; the run's children's ids go with it, nobody else's."""
    await ground.ended()
    for name, run in (("o-1", "shop:1"), ("o-2", "shop:1/ship#0"), ("o-3", "shop:11")):
        await ground.store.open_wait(PAID, name, run, "paid")
    await ground.let_pass(0.01)
    equal(await ground.store.open_wait(PAID, "o-1", "shop:2", "paid"), "taken", "before")
    equal(await ground.store.expire(0, 3600), 1)
    equal([await ground.store.find_waiting(PAID, name) for name in ("o-1", "o-2")], [None, None])
    equal(list(await ground.store.open_wait(PAID, "o-1", "shop:2", "paid")), [], "after")
    holds(await ground.store.find_waiting(PAID, "o-3"), "another run's id went, too")
