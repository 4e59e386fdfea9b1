"""The contract, mail: what tells a run something is numbered, left once, and never forgotten."""

from __future__ import annotations

from functools import partial
from typing import get_args

from reactor.record.store import MAIL_LIMIT, MESSAGE_LIMIT, Appended, Delivered, Fenced, Message, MessageKind, Unread
from reactor.testing.contract_ground import Ground, Laws, child_of, equal, holds, is_a, refused_as_too_large

laws = Laws()


# ---- deliver --------------------------------------------------------------------------------------------------


@laws.add()
async def mail_is_numbered_as_it_comes(ground: Ground) -> None:
    """From 1, rising, each record for itself; a load shows it in that order, with its kind and body."""
    await ground.made("shop:1")
    await ground.made("shop:2")
    numbers = [(await ground.tell("shop:1", b"%d" % n, kind=kind)).number for n, kind in enumerate(get_args(MessageKind))]
    equal(numbers, sorted(set(numbers)), "numbers")
    equal((numbers[0], (await ground.tell("shop:2")).number), (1, 1), "the first of two records")
    wanted = tuple(Message(kind, b"%d" % n, numbers[n]) for n, kind in enumerate(get_args(MessageKind)))
    equal((await ground.loaded()).mail, wanted)


@laws.add()
async def mail_after_a_number_is_what_is_newer(ground: Ground) -> None:
    """A look without a load; nothing for an unknown record."""
    await ground.made()
    for body in (b"a", b"b", b"c"):
        await ground.tell(body=body)
    for after, wanted in {0: [b"a", b"b", b"c"], 2: [b"c"], 3: [], 99: []}.items():
        equal([message.body for message in await ground.store.mail("shop:1", after)], wanted, f"after {after}")
    equal(list(await ground.store.mail("shop:2", 0)), [])


@laws.add()
async def numbers_are_never_given_again(ground: Ground) -> None:
    """Also after all mail was consumed, and by another driver."""
    claimed = await ground.driven()
    first, second = await ground.tell(), await ground.tell()
    await ground.park(claimed, read_up_to=second.number)
    third = await ground.tell()
    holds(first.number < second.number < third.number, "a number came again")


@laws.add()
async def a_message_to_nobody_is_unknown(ground: Ground) -> None:
    """No such run, no such child: nothing is kept."""
    for run in ("shop:1", "shop:1/ship#0"):
        equal(await ground.store.deliver(run, Message("signal", b"x"), moves=True, operation="x"), "unknown")
    await ground.made()
    equal((await ground.loaded()).mail, ())
    equal(is_a(await ground.store.deliver("shop:1", Message("signal", b"x"), moves=True, operation="x"), Delivered).number, 1)


@laws.add()
async def a_message_that_moves_makes_a_parked_run_due(ground: Ground) -> None:
    """It is `queued`, and the next claim gets it, mail and all."""
    await ground.park(await ground.driven())
    equal(await ground.claims(), [], "before")
    equal((await ground.tell()).moved, True, "moved")
    got = await ground.loaded()
    holds(got.due is not None and got.due <= await ground.store.now(), "it is not due")
    equal((got.status, [message.body for message in got.mail]), ("queued", [b"hello"]))
    equal(await ground.claims(), ["shop:1"])


@laws.add()
async def a_message_that_moves_is_sooner_than_a_timer(ground: Ground) -> None:
    """A record that is due in an hour is due now."""
    await ground.park(await ground.driven(), due=await ground.store.now() + 3600)
    await ground.tell()
    equal(await ground.claims(), ["shop:1"])


@laws.add()
async def every_kind_of_request_queues(ground: Ground) -> None:
    """Signal, cancel, undo, retry_rollback and restart alike."""
    for number, kind in enumerate(("signal", "cancel", "undo", "retry_rollback", "restart")):
        await ground.park(await ground.driven(f"shop:{number}"))
        equal((await ground.tell(f"shop:{number}", kind=kind)).moved, True, kind)
        equal((await ground.loaded(f"shop:{number}")).status, "queued", kind)


@laws.add()
async def a_settlement_makes_due_and_leaves_the_status(ground: Ground) -> None:
    """What a parent waits for moves it; it is no less running, or parked, for that."""
    await ground.park(await ground.driven(), status="rolling_back")
    equal((await ground.tell(kind="settled")).moved, True)
    equal((await ground.loaded()).status, "rolling_back")
    equal(await ground.claims(), ["shop:1"])


@laws.add()
async def a_message_that_does_not_move_only_lies_there(ground: Ground) -> None:
    """Status and due time stay; whoever drives it next reads it."""
    await ground.park(await ground.driven(), due=4e9)
    equal((await ground.tell(moves=False)).moved, False)
    got = await ground.loaded()
    equal((got.status, got.due, len(got.mail)), ("parked", 4e9, 1))
    equal(await ground.claims(), [])


@laws.add()
async def a_message_leaves_a_driven_run_to_its_driver(ground: Ground) -> None:
    """It does not move: no status, no due time; the driver learns of it by its next append."""
    claimed = await ground.driven()
    await ground.append(claimed, 0, status="running")
    equal((await ground.tell()).moved, False)
    got = await ground.loaded()
    equal((got.status, got.due, got.token), ("running", None, claimed.token))
    equal((await ground.append(claimed, 0, b"a")).unread, True)


@laws.add()
async def a_lost_delivery_is_left_once(ground: Ground) -> None:
    """A second one of the same operation, from anywhere, is answered as the first, and leaves nothing."""
    await ground.park(await ground.driven())
    message = Message("signal", b"x")
    first = is_a(await ground.twice(lambda store: store.deliver("shop:1", message, moves=True, operation="x")), Delivered)
    equal(await (await ground.another()).deliver("shop:1", message, moves=True, operation="x"), first)
    equal((first.moved, len((await ground.loaded()).mail)), (True, 1))


@laws.add()
async def a_delivery_is_known_after_it_was_read(ground: Ground) -> None:
    """Its number is answered, and nothing lies there again: consumed, parked, and ended."""
    claimed = await ground.driven()
    first = await ground.store.deliver("shop:1", Message("signal", b"x"), moves=True, operation="x")
    await ground.append(claimed, 0, read_up_to=is_a(first, Delivered).number)
    equal(await ground.store.deliver("shop:1", Message("signal", b"x"), moves=True, operation="x"), first, "while driven")
    await ground.end(claimed)
    equal(await ground.store.deliver("shop:1", Message("signal", b"x"), moves=True, operation="x"), first, "after the end")
    equal((await ground.loaded()).mail, ())


@laws.add()
async def an_operation_is_a_records_own(ground: Ground) -> None:
    """The same name at another record is another delivery."""
    await ground.made("shop:1")
    await ground.made("shop:2")
    for run in ("shop:1", "shop:2"):
        is_a(await ground.store.deliver(run, Message("cancel", b"x"), moves=True, operation="x"), Delivered)
        equal(len((await ground.loaded(run)).mail), 1, run)


@laws.add()
async def one_of_a_hundred_deliveries_of_one_operation_is_left(ground: Ground) -> None:
    """They all get the one answer."""
    await ground.made()
    stores = await ground.handles(4)
    answers = await ground.at_once(
        partial(stores[n % 4].deliver, "shop:1", Message("signal", b"x"), moves=True, operation="x") for n in range(100)
    )
    equal((len(set(answers)), len((await ground.loaded()).mail)), (1, 1))


@laws.add()
async def a_hundred_messages_at_once_get_a_hundred_numbers(ground: Ground) -> None:
    """None is lost, none overwrites another."""
    await ground.made()
    stores = await ground.handles(4)
    answers = await ground.at_once(
        partial(stores[n % 4].deliver, "shop:1", Message("settled", b"%d" % n), moves=True, operation=f"{n}") for n in range(100)
    )
    got = await ground.loaded()
    equal(sorted(is_a(answer, Delivered).number for answer in answers), [message.number for message in got.mail], "numbers")
    equal({message.body for message in got.mail}, {b"%d" % n for n in range(100)}, "bodies")


# ---- limits ---------------------------------------------------------------------------------------------------


@laws.add()
async def sixty_four_signals_wait_and_no_more(ground: Ground) -> None:
    """The next is full, and leaves nothing; once some are read there is room again, also for the refused operation."""
    claimed = await ground.driven()
    for _ in range(MAIL_LIMIT):
        await ground.tell()
    equal(await ground.store.deliver("shop:1", Message("signal", b"x"), moves=True, operation="x"), "full")
    equal(len((await ground.loaded()).mail), MAIL_LIMIT)
    await ground.append(claimed, 0, read_up_to=1)
    is_a(await ground.store.deliver("shop:1", Message("signal", b"x"), moves=True, operation="x"), Delivered)
    equal(await ground.store.deliver("shop:1", Message("signal", b"y"), moves=False, operation="y"), "full", "one that does not move")


@laws.add()
async def only_signals_are_counted(ground: Ground) -> None:
    """A full mailbox takes settlements, cancels and undos, and they leave room for signals; a known operation is answered still."""
    await ground.made()
    for number in range(MAIL_LIMIT + 6):
        await ground.tell(kind="settled", body=b"%d" % number)
    first = await ground.store.deliver("shop:1", Message("signal", b"x"), moves=True, operation="x")
    for _ in range(MAIL_LIMIT - 1):
        await ground.tell()
    equal(await ground.store.deliver("shop:1", Message("signal", b"z"), moves=True, operation="z"), "full")
    equal(await ground.store.deliver("shop:1", Message("signal", b"x"), moves=True, operation="x"), first)
    for kind in ("settled", "cancel", "undo", "restart", "retry_rollback"):
        await ground.tell(kind=kind)


@laws.add()
async def racing_signals_do_not_overfill(ground: Ground) -> None:
    """Of a hundred at once, sixty-four are left."""
    await ground.made()
    stores = await ground.handles(4)
    answers = await ground.at_once(
        partial(stores[n % 4].deliver, "shop:1", Message("signal", b"x"), moves=True, operation=f"{n}") for n in range(100)
    )
    equal((sum(isinstance(answer, Delivered) for answer in answers), answers.count("full")), (MAIL_LIMIT, 100 - MAIL_LIMIT))


@laws.add()
async def a_message_over_its_limit_is_not_left(ground: Ground) -> None:
    """64 KiB fit, one more byte is TooLarge: delivered or in an append, which then leaves nothing either."""
    claimed = await ground.driven()
    huge = Message("settled", b"x" * (MESSAGE_LIMIT + 1))
    await refused_as_too_large(ground.store.deliver("shop:1", huge, moves=True, operation="x"))
    await ground.made("shop:1/ship#0", root="shop:1", parent="shop:1")
    await refused_as_too_large(ground.store.append(ground.append_of(claimed, 0, b"a", messages=(("shop:1/ship#0", huge),))))
    equal(((await ground.loaded()).mail, (await ground.loaded()).seq), ((), 0))
    await ground.tell(body=b"x" * MESSAGE_LIMIT)
    equal(len((await ground.loaded()).mail[0].body), MESSAGE_LIMIT)


# ---- unread ---------------------------------------------------------------------------------------------------


@laws.add()
async def an_append_tells_of_unread_mail(ground: Ground) -> None:
    """`unread` says that newer messages lie there than were read; reading them takes it away."""
    claimed = await ground.driven()
    equal((await ground.append(claimed, 0)).unread, False, "without mail")
    number = (await ground.tell()).number
    equal((await ground.append(claimed, 0)).unread, True, "with mail")
    equal((await ground.append(claimed, 0, read_up_to=number)).unread, False, "with its mail read")


@laws.add()
async def what_was_read_is_consumed(ground: Ground) -> None:
    """All messages up to the number are gone, the newer ones are there."""
    claimed = await ground.driven()
    numbers = [(await ground.tell(body=b"%d" % n)).number for n in range(4)]
    equal((await ground.append(claimed, 0, read_up_to=numbers[1])).unread, True)
    equal([message.body for message in (await ground.loaded()).mail], [b"2", b"3"])
    await ground.append(claimed, 0, read_up_to=0)
    equal([message.body for message in (await ground.loaded()).mail], [b"2", b"3"], "after an append that read nothing")


@laws.add()
async def a_release_over_unread_mail_writes_nothing(ground: Ground) -> None:
    """Unread: neither events nor status nor children nor messages, the claim stays; with the mail read the same append is written."""
    claimed = await ground.driven()
    await ground.append(claimed, 0, children=(child_of("shop:1", "ship#0"),))
    number = (await ground.tell()).number
    before = (await ground.loaded(), await ground.loaded("shop:1/ship#0"))
    more = {
        "op": "x",
        "status": "parked",
        "release": True,
        "children": (child_of("shop:1", "late#0"),),
        "messages": (("shop:1/ship#0", Message("cancel", b"")),),
        "snapshot": (1, b"s"),
    }
    equal(await ground.store.append(ground.append_of(claimed, 0, b"a", **more)), Unread())
    equal((await ground.loaded(), await ground.loaded("shop:1/ship#0")), before)
    equal(await ground.store.load("shop:1/late#0"), None, "a child")
    is_a(await ground.store.append(ground.append_of(claimed, 0, b"a", **more, read_up_to=number)), Appended)


@laws.add()
async def an_end_over_unread_mail_writes_nothing(ground: Ground) -> None:
    """As a release: also where some was read, but not the last; also a message that moves nothing."""
    claimed = await ground.driven()
    read = (await ground.tell(kind="cancel")).number
    newer = (await ground.tell(moves=False)).number
    append = ground.append_of(claimed, 0, b"a", status="failed", ended=True, read_up_to=read)
    equal(await ground.store.append(append), Unread())
    got = await ground.loaded()
    equal((got.seq, got.status, got.token, got.ended_at, len(got.mail)), (0, "queued", claimed.token, None, 2))
    await ground.end(claimed, 0, read_up_to=newer)


@laws.add()
async def fenced_and_behind_come_before_unread(ground: Ground) -> None:
    """Who may not write is not told of mail."""
    claimed = await ground.driven()
    await ground.tell()
    append = ground.append_of(claimed, 4, release=True)
    holds(not isinstance(await ground.store.append(append), Unread), "Unread was answered to a wrong seq")
    await ground.store.refuse("shop:1", claimed.token, "fp")
    equal(await ground.store.append(ground.append_of(claimed, 0, release=True)), Fenced())


@laws.add()
async def a_message_between_the_last_look_and_the_park_is_not_forgotten(ground: Ground) -> None:
    """Whichever of the two comes first: the park is refused as unread, or the message makes the parked run due."""
    sender = await ground.another()
    for number in range(25):
        claimed = await ground.driven(f"shop:{number}")
        park = partial(ground.store.append, ground.append_of(claimed, 0, status="parked", release=True))
        tell = partial(sender.deliver, claimed.run, Message("signal", b"x"), moves=True, operation="x")
        parked, told = await ground.at_once((park, tell) if number % 2 else (tell, park))
        parked, told = (parked, told) if number % 2 else (told, parked)
        moved = is_a(told, Delivered).moved
        equal(isinstance(parked, Unread), not moved, "whether the park was refused, and the message moved nothing")
        equal(await ground.claims(), [claimed.run] if moved else [], "what is due")


# ---- after the end --------------------------------------------------------------------------------------------


@laws.add()
async def an_ended_run_is_gone_for_signals(ground: Ground) -> None:
    """Signals, settlements and cancels come too late, and leave nothing."""
    await ground.ended()
    before = await ground.loaded()
    for kind in ("signal", "settled", "cancel"):
        equal(await ground.store.deliver("shop:1", Message(kind, b"x"), moves=True, operation=kind), "gone", kind)
    equal(await ground.loaded(), before)


@laws.add()
async def an_ended_run_is_opened_again(ground: Ground) -> None:
    """By undo, restart and retry_rollback: queued, due, not ended, and driven to another end."""
    for kind in ("undo", "restart", "retry_rollback"):
        run = f"shop:{kind}"
        await ground.ended(run)
        equal((await ground.tell(run, kind=kind)).moved, True, kind)
        got = await ground.loaded(run)
        equal((got.status, got.ended_at), ("queued", None), kind)
        equal(await ground.claims(), [run])
        session = await ground.session()
        await ground.store.close_session(session)
    equal((await ground.store.counts()).get("queued"), 3)


@laws.add()
async def a_run_that_was_opened_again_ends_again(ground: Ground) -> None:
    """With its own time and status, and its events go on."""
    claimed = await ground.driven()
    await ground.end(claimed, 0, b"a")
    number = (await ground.tell(kind="undo")).number
    done = await ground.end(await ground.taken("shop:1"), 1, b"b", status="undone", read_up_to=number)
    got = await ground.loaded()
    equal((got.events, got.status, got.ended_at, got.mail), ((b"a", b"b"), "undone", done.at, ()))


@laws.add()
async def an_undo_that_does_not_move_leaves_the_end(ground: Ground) -> None:
    """It lies there; the run has ended still."""
    await ground.ended()
    before = await ground.loaded()
    equal((await ground.tell(kind="undo", moves=False)).moved, False)
    got = await ground.loaded()
    equal((got.ended_at, got.status, len(got.mail)), (before.ended_at, "succeeded", 1))
