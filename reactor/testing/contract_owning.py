"""The contract, owning: a lease that runs out lets others claim; only a token that changed fences."""

from __future__ import annotations

from functools import partial

from reactor.record.keeping import session_of
from reactor.record.store import Appended, Claimed, Fenced, Served
from reactor.testing.contract_ground import LONG, Ground, Laws, equal, holds, is_a, record_of

laws = Laws()
SHOP = Served("shop", 1, "fp")


# ---- sessions -------------------------------------------------------------------------------------------------


@laws.add()
async def a_session_that_is_not_open_claims_nothing(ground: Ground) -> None:
    """Never opened, or closed."""
    await ground.made()
    closed = await ground.session()
    await ground.store.close_session(closed)
    for session in ("stranger", closed):
        equal(list(await ground.store.claim(session, [SHOP])), [], f"claims of {session}")
        equal(await ground.store.claim_run(session, "shop:1"), None, f"a claim of {session}")
    equal(await ground.claims(), ["shop:1"])


@laws.add()
async def a_session_that_has_run_out_claims_nothing_until_it_is_renewed(ground: Ground) -> None:
    """What it claimed would be others' at once."""
    await ground.made()
    session = await ground.session()
    await ground.lapse(session)
    equal(list(await ground.store.claim(session, [SHOP])), [])
    equal(await ground.store.claim_run(session, "shop:1"), None, "by name")
    await ground.store.open_session(session, LONG)
    equal([claimed.run for claimed in await ground.store.claim(session, [SHOP])], ["shop:1"])


@laws.add()
async def only_a_session_that_is_there_is_renewed(ground: Ground) -> None:
    """True for an open one, False for one that was never opened, or closed."""
    session = await ground.session()
    equal(await ground.store.renew(session), True)
    equal(await ground.store.renew("stranger"), False)
    await ground.store.close_session(session)
    equal(await ground.store.renew(session), False)


@laws.add()
async def a_renewed_lease_holds(ground: Ground) -> None:
    """Each renewal counts from its own time: three times six tenths of a lease lose nothing."""
    lease = ground.provider.lease * 20  # wide enough for a slow machine
    await ground.made()
    session = await ground.session(lease)
    await ground.store.claim(session, [SHOP])
    for _ in range(3):
        await ground.let_pass(lease * 0.6)
        equal(await ground.store.renew(session), True)
    equal(await ground.claims(), [])


@laws.add()
async def a_renewal_keeps_the_length_of_the_lease(ground: Ground) -> None:
    """And `open_session` of an open one gives it another."""
    claimed = await ground.driven()
    session = session_of(claimed.token)
    await ground.store.open_session(session, ground.provider.lease)
    await ground.store.renew(session)
    await ground.let_pass(ground.provider.lease * 1.2)
    equal(await ground.claims(), ["shop:1"])


@laws.add()
async def an_open_session_is_prolonged_by_opening_it(ground: Ground) -> None:
    """Its claims stay, and are safe for the new lease."""
    claimed = await ground.driven()
    await ground.lapse(session_of(claimed.token))
    await ground.store.open_session(session_of(claimed.token), LONG)
    equal(await ground.claims(), [])
    await ground.append(claimed, 0, b"a")


@laws.add()
async def a_late_renewal_saves_what_nobody_took(ground: Ground) -> None:
    """Its lease had run out: what nobody claimed is safe again, what somebody did is lost."""
    await ground.made("shop:1", due=1.0)
    await ground.made("shop:2", due=2.0)
    session = await ground.session()
    first, second = await ground.store.claim(session, [SHOP])
    await ground.lapse(session)
    thief = is_a(await ground.store.claim_run(await ground.session(), "shop:1"), Claimed)
    await ground.store.open_session(session, LONG)
    equal(await ground.store.renew(session), True)
    equal(await ground.claims(), [], "what others may claim")
    equal(await ground.store.append(ground.append_of(first, 0, b"late")), Fenced())
    await ground.append(second, 0, b"a")
    await ground.append(thief, 0, b"b")


@laws.add()
async def renew_alone_saves_what_nobody_took(ground: Ground) -> None:
    """A renewal after the lease ran out answers True, and the record is nobody else's."""
    lease = ground.provider.lease * 20
    claimed = await ground.driven()
    session = session_of(claimed.token)
    await ground.store.open_session(session, lease)
    await ground.let_pass(lease * 1.05)
    equal(await ground.store.renew(session), True)
    equal(await ground.claims(), [])
    await ground.append(claimed, 0, b"a")


@laws.add()
async def a_closed_session_gives_all_its_claims_back(ground: Ground) -> None:
    """How many; they are due at once for others, with the status that they had, and the old tokens are fenced."""
    mine = await ground.session()
    for number in range(3):
        await ground.made(f"shop:{number}", status="running")
    claimed = await ground.store.claim(mine, [SHOP])
    await ground.end(claimed[0])
    equal(await ground.store.close_session(mine), 2)
    left = sorted(one.run for one in claimed[1:])
    got = [await ground.loaded(run) for run in left]
    equal([(one.token, one.status) for one in got], [(None, "running")] * 2)
    equal(await ground.store.append(ground.append_of(claimed[1], 0, b"late")), Fenced())
    equal(sorted(await ground.claims()), left)


@laws.add()
async def a_closed_session_takes_nothing_from_others(ground: Ground) -> None:
    """Neither another's claims, nor what was claimed from it after its lease ran out, nor a session whose name begins alike."""
    await ground.made("shop:1")
    await ground.made("shop:2")
    for session in ("host:1", "host:11", "host"):
        await ground.store.open_session(session, LONG)
    mine = is_a(await ground.store.claim_run("host:1", "shop:1"), Claimed)
    theirs = is_a(await ground.store.claim_run("host:11", "shop:2"), Claimed)
    equal(await ground.store.close_session("host"), 0)
    await ground.lapse("host:1")
    thief = await ground.taken("shop:1")
    equal(await ground.store.close_session("host:1"), 0, "given back")
    equal((await ground.loaded("shop:1")).token, thief.token)
    await ground.append(theirs, 0, b"a")
    equal(await ground.store.append(ground.append_of(mine, 0, b"late")), Fenced())


@laws.add()
async def a_lost_reply_to_a_session_does_no_harm(ground: Ground) -> None:
    """Opened, renewed or closed twice is once; a second close, and one of a stranger, gives nothing back."""
    await ground.made()
    await ground.twice(lambda store: store.open_session("mine", LONG))
    await ground.store.claim("mine", [SHOP])
    equal(await ground.twice(lambda store: store.renew("mine")), True)
    equal(await ground.claims(), [])
    equal(await ground.twice(lambda store: store.close_session("mine")), 0)
    equal(await ground.store.close_session("stranger"), 0)
    equal(await ground.claims(), ["shop:1"])


@laws.add()
async def sessions_are_seen_by_all_handles(ground: Ground) -> None:
    """A lease is the store's, not the handle's: another may renew it and claim under it."""
    other = await ground.another()
    session = await ground.session()
    equal(await other.renew(session), True)
    await ground.made()
    equal([claimed.run for claimed in await other.claim(session, [SHOP])], ["shop:1"])


@laws.add()
async def a_session_finds_what_it_holds(ground: Ground) -> None:
    """All its claims as they were answered, however they came: claimed, claimed by name, made. What it gave back is not among them."""
    for number in range(3):
        await ground.made(f"shop:{number}", due=float(number))
    session = await ground.session()
    equal(list(await ground.store.held(session)), [], "at first")
    claimed = list(await ground.store.claim(session, [SHOP], limit=2))
    claimed.append(is_a(await ground.store.claim_run(session, "shop:2"), Claimed))
    await ground.store.create(record_of("shop:3", token=f"{session}:x"))
    await ground.park(claimed.pop(0))
    held = sorted(await (await ground.another()).held(session), key=lambda one: one.run)
    equal(held[:2], sorted(claimed, key=lambda one: one.run))
    equal([(one.run, one.token, one.fence) for one in held[2:]], [("shop:3", f"{session}:x", (await ground.loaded("shop:3")).fence)])
    equal(list(await ground.store.held("stranger")), [], "of a stranger")


@laws.add()
async def what_was_taken_away_is_not_held(ground: Ground) -> None:
    """A lease that ran out holds until somebody claims; a closed session holds nothing."""
    claimed = await ground.left()
    session = session_of(claimed.token)
    equal(list(await ground.store.held(session)), [claimed], "while nobody claims")
    thief = await ground.taken("shop:1")
    equal(list(await ground.store.held(session)), [], "once somebody did")
    equal(list(await ground.store.held(session_of(thief.token))), [thief])
    await ground.store.close_session(session_of(thief.token))
    equal(list(await ground.store.held(session_of(thief.token))), [], "once closed")


@laws.add()
async def a_lost_claim_is_found(ground: Ground) -> None:
    """What the first try took is not offered again: `held` gives it, tokens included, and it can be driven."""
    await ground.made("shop:1")
    await ground.made("shop:2", due=None)
    session = await ground.session()
    await ground.twice(lambda store: store.claim(session, [SHOP]))
    await ground.twice(lambda store: store.claim_run(session, "shop:2"))
    held = sorted(await ground.store.held(session), key=lambda one: one.run)
    equal([one.run for one in held], ["shop:1", "shop:2"])
    for one in held:
        await ground.append(one, 0, b"a")


# ---- leases and tokens ----------------------------------------------------------------------------------------


@laws.add()
async def what_a_lease_left_behind_is_claimed(ground: Ground) -> None:
    """With the sweep's claim, whatever its status and due; the events that were written are all there."""
    claimed = await ground.driven()
    await ground.append(claimed, 0, b"a", status="running")
    await ground.lapse(session_of(claimed.token))
    [again] = await ground.store.claim(await ground.session(), [SHOP])
    got = await ground.loaded()
    equal((got.token, got.events, got.status), (again.token, (b"a",), "running"))


@laws.add()
async def what_a_lease_left_behind_is_claimed_by_name(ground: Ground) -> None:
    """`claim_run` waits for nobody whose lease has run out."""
    old = await ground.left()
    equal((await ground.loaded()).token, old.token, "before")
    new = await ground.taken("shop:1")
    equal((await ground.loaded()).token, new.token, "after")


@laws.add()
async def expiry_alone_refuses_nobody(ground: Ground) -> None:
    """The lease has run out and nobody claimed: an append, a refusal and a release with the old token still succeed."""
    claimed = await ground.left("shop:1")
    equal((await ground.append(claimed, 0, b"a")).seq, 1)
    await ground.park(claimed, 1, b"b")
    refused = await ground.left("shop:2")
    equal(await ground.store.refuse("shop:2", refused.token, "fp"), True)
    got = await ground.loaded("shop:1")
    equal((got.events, got.token), ((b"a", b"b"), None))


@laws.add()
async def who_was_claimed_from_is_fenced(ground: Ground) -> None:
    """Append, release, end, refuse: none of them is done, and who claimed goes on undisturbed."""
    old = await ground.left()
    new = await ground.taken("shop:1")
    before = await ground.loaded()
    for more in ({}, {"release": True}, {"ended": True}):
        equal(await ground.store.append(ground.append_of(old, 0, b"late", **more)), Fenced(), f"{more}")
    equal(await ground.store.refuse("shop:1", old.token, "fp"), False)
    equal(await ground.loaded(), before)
    await ground.append(new, 0, b"a")


@laws.add()
async def who_was_claimed_from_cannot_renew_its_way_back(ground: Ground) -> None:
    """Neither a renewal nor a new lease brings a token back."""
    old = await ground.left()
    new = await ground.taken("shop:1")
    await ground.store.renew(session_of(old.token))
    await ground.store.open_session(session_of(old.token), LONG)
    equal(await ground.store.append(ground.append_of(old, 0, b"late")), Fenced())
    equal((await ground.loaded()).token, new.token)


@laws.add()
async def a_late_write_and_a_claim_have_one_order(ground: Ground) -> None:
    """Both at once: the write is there and its writer was told so, or it is not and its writer was fenced; the claimer sees which."""
    for number in range(10):
        old = await ground.left(f"shop:{number}")
        session, other = await ground.session(), await ground.another()
        wrote, claimed = await ground.at_once(
            (partial(ground.store.append, ground.append_of(old, 0, b"late")), partial(other.claim_run, session, old.run))
        )
        got = await ground.loaded(old.run)
        there = (b"late",) if isinstance(wrote, Appended) else ()
        equal((got.token, got.events), (is_a(claimed, Claimed).token, there))


@laws.add()
async def a_token_of_no_session_protects_nobody(ground: Ground) -> None:
    """A record made under a session that is not there may be claimed at once; until then its maker writes."""
    await ground.store.create(record_of("shop:1", token="nobody:1"))  # noqa: S106  # no password
    maker = Claimed("shop:1", "shop:1", "shop", "nobody:1", 0)
    await ground.append(maker, 0, b"a")
    equal(await ground.claims(), ["shop:1"])
    equal(await ground.store.append(ground.append_of(maker, 1, b"late")), Fenced())


@laws.add()
async def a_live_process_keeps_its_records_whatever_another_does(ground: Ground) -> None:
    """One session's end, lapse or close says nothing about another's."""
    kept = await ground.driven("shop:1")
    await ground.left("shop:2")
    closed = await ground.driven("shop:3")
    await ground.store.close_session(session_of(closed.token))
    equal(sorted(await ground.claims()), ["shop:2", "shop:3"])
    holds((await ground.append(kept, 0, b"a")).seq == 1, "it was not written")
