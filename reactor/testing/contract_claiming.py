"""The contract, claiming: what is due goes to one who can drive it, the longest due first."""

from __future__ import annotations

from functools import partial

from reactor.record.keeping import session_of
from reactor.record.store import Claimed, Fenced, Served
from reactor.testing.contract_ground import LONG, SETTLED, Ground, Laws, child_of, equal, holds, is_a, record_of

laws = Laws()
SHOP = Served("shop", 1, "fp")


@laws.add()
async def nothing_is_due_where_nothing_is(ground: Ground) -> None:
    """A claim on an empty store, and one that serves nothing, is empty."""
    equal(await ground.claims(), [])
    await ground.made()
    equal(list(await ground.store.claim(await ground.session(), ())), [], "what one who serves nothing may claim")


@laws.add()
async def a_claim_says_all_that_a_driver_needs(ground: Ground) -> None:
    """Run, root, reactor, a token of this session, and the fence that the record has."""
    await ground.made(token=None)
    session = "host:17:a"  # a name may have colons, a nonce has none
    await ground.store.open_session(session, LONG)
    [claimed] = await ground.store.claim(session, [SHOP])
    equal((claimed.run, claimed.root, claimed.reactor, session_of(claimed.token)), ("shop:1", "shop:1", "shop", session))
    got = await ground.loaded()
    equal((got.token, got.fence, got.due, got.status), (claimed.token, claimed.fence, None, "queued"))


@laws.add()
async def what_is_not_due_is_not_claimed(ground: Ground) -> None:
    """A due time that is to come, or none."""
    await ground.made("shop:1", due=await ground.store.now() + LONG)
    await ground.made("shop:2", due=None)
    equal(await ground.claims(), [])


@laws.add()
async def what_falls_due_is_claimed(ground: Ground) -> None:
    """When the store's time reaches it, by itself; a park's due time as well as a new record's."""
    soon = await ground.store.now() + ground.provider.lease
    await ground.made("shop:1", due=soon)
    await ground.park(await ground.driven("shop:2"), due=soon)
    await ground.let_pass(ground.provider.lease * 1.2)
    equal(sorted(await ground.claims()), ["shop:1", "shop:2"])


@laws.add()
async def the_longest_due_is_claimed_first(ground: Ground) -> None:
    """In the order of their due times, whatever the order in which they were made."""
    for number, due in enumerate((30.0, 10.0, 40.0, 20.0)):
        await ground.made(f"shop:{number}", due=due)
    equal(await ground.claims(limit=3), ["shop:1", "shop:3", "shop:0"])
    equal(await ground.claims(limit=3), ["shop:2"])


@laws.add()
async def what_a_lease_left_behind_is_due_since_then(ground: Ground) -> None:
    """After what was due before the lease ran out, before what fell due later."""
    await ground.left("shop:1")
    await ground.made("shop:2", due=1.0)
    await ground.let_pass(0.01)
    await ground.made("shop:3", due=await ground.store.now())
    equal(await ground.claims(), ["shop:2", "shop:1", "shop:3"])


@laws.add()
async def a_claim_takes_no_more_than_its_limit(ground: Ground) -> None:
    """The rest is for the next."""
    for number in range(7):
        await ground.made(f"shop:{number}")
    equal([len(await ground.claims(limit=limit)) for limit in (1, 4, 100, 100)], [1, 4, 2, 0])


@laws.add()
async def only_served_reactors_are_claimed(ground: Ground) -> None:
    """By name, aliases among them: each `Served` is one name."""
    for reactor in ("Checkout", "OldCheckout", "Refund"):
        await ground.made(f"{reactor}:1", reactor=reactor)
    equal(await ground.claims(Served("checkout", 1, "fp"), Served("Check", 1, "fp")), [], "by a name that is none of theirs")
    equal(sorted(await ground.claims(Served("Checkout", 1, "fp"), Served("OldCheckout", 1, "fp"))), ["Checkout:1", "OldCheckout:1"])


@laws.add()
async def a_queue_has_its_own_records(ground: Ground) -> None:
    """A record of a place is claimed for that place only; it stays there."""
    await ground.made("shop:1", place="mail")
    await ground.made("shop:2")
    equal(await ground.claims(place="post"), [])
    equal(await ground.claims(), ["shop:2"])
    [claimed] = await ground.store.claim(await ground.session(), [SHOP], "mail")
    await ground.park(claimed, due=0.0)
    equal((await ground.claims(), await ground.claims(place="mail")), ([], ["shop:1"]))


@laws.add()
async def older_code_leaves_newer_records_alone(ground: Ground) -> None:
    """A record of a higher version than the served one is not claimed; of an equal or lower one it is."""
    for version in (1, 2, 3):
        await ground.made(f"shop:{version}", version=version)
    equal(sorted(await ground.claims(Served("shop", 2, "fp"))), ["shop:1", "shop:2"])
    equal(await ground.claims(Served("shop", 3, "fp")), ["shop:3"])


@laws.add()
async def a_record_takes_the_version_of_who_took_it_over(ground: Ground) -> None:
    """It is the record's present version that counts."""
    claimed = await ground.driven(version=1)
    await ground.park(claimed, due=0.0, reactor_version=(2, "new"))
    equal(await ground.claims(Served("shop", 1, "fp")), [])
    equal(await ground.claims(Served("shop", 2, "other")), ["shop:1"])


@laws.add()
async def what_was_made_elsewhere_is_offered_to_any_code(ground: Ground) -> None:
    """A fingerprint that differs is no reason: whether it fits is tried, not compared."""
    await ground.made(fingerprint="old")
    equal(await ground.claims(Served("shop", 1, "new")), ["shop:1"])


@laws.add()
async def children_are_claimed_as_others_are(ground: Ground) -> None:
    """By their own reactor and place, while their parent is driven by somebody else."""
    parent = await ground.driven()
    await ground.append(parent, 0, children=(child_of("shop:1", "ship#0"), child_of("shop:1", "mail#0", place="mail")))
    equal((await ground.claims(), await ground.claims(place="mail")), (["shop:1/ship#0"], ["shop:1/mail#0"]))


# ---- one winner -----------------------------------------------------------------------------------------------


@laws.add()
async def one_of_a_hundred_claims_a_record(ground: Ground) -> None:
    """Of a hundred sessions that claim at once, one gets it."""
    await ground.made()
    stores, sessions = await ground.handles(4), [await ground.session() for _ in range(100)]
    answers = await ground.at_once(partial(stores[n % 4].claim, session, [SHOP]) for n, session in enumerate(sessions))
    won = [claimed for answer in answers for claimed in answer]
    equal([claimed.run for claimed in won], ["shop:1"])
    equal((await ground.loaded()).token, won[0].token)


@laws.add()
async def one_of_a_hundred_claims_a_run(ground: Ground) -> None:
    """By name, too."""
    await ground.made(due=None)
    stores, sessions = await ground.handles(4), [await ground.session() for _ in range(100)]
    answers = await ground.at_once(partial(stores[n % 4].claim_run, session, "shop:1") for n, session in enumerate(sessions))
    won = [claimed for claimed in answers if claimed is not None]
    equal([claimed.token for claimed in won], [(await ground.loaded()).token])


@laws.add()
async def a_hundred_claims_share_what_is_due(ground: Ground) -> None:
    """Sixty records, a hundred that claim two at most: each record goes to one, and none is left."""
    for number in range(60):
        await ground.made(f"shop:{number}")
    stores, sessions = await ground.handles(4), [await ground.session() for _ in range(100)]
    answers = await ground.at_once(partial(stores[n % 4].claim, session, [SHOP], limit=2) for n, session in enumerate(sessions))
    holds(max(map(len, answers)) <= 2, "one got more than its limit")
    equal(sorted(claimed.run for answer in answers for claimed in answer), sorted(f"shop:{n}" for n in range(60)))


@laws.add()
async def one_of_a_hundred_takes_what_a_lease_left_behind(ground: Ground) -> None:
    """A race for a dead process's record has one winner, and its token is the record's."""
    await ground.left()
    stores, sessions = await ground.handles(4), [await ground.session() for _ in range(100)]
    answers = await ground.at_once(partial(stores[n % 4].claim, session, [SHOP]) for n, session in enumerate(sessions))
    equal([claimed.token for answer in answers for claimed in answer], [(await ground.loaded()).token])


@laws.add()
async def what_is_driven_is_not_claimed(ground: Ground) -> None:
    """While its owner's lease is alive: not by its time, not by name, not by its own session."""
    claimed = await ground.driven(due=0.0)
    equal(await ground.claims(), [])
    equal(await ground.store.claim_run(await ground.session(), "shop:1"), None, "by name")
    equal(await ground.store.claim_run(session_of(claimed.token), "shop:1"), None, "by its own session")
    equal((await ground.loaded()).token, claimed.token)


@laws.add()
async def a_run_is_claimed_by_name_due_or_not(ground: Ground) -> None:
    """Whatever its place, its version and who refused it."""
    await ground.made("shop:1", due=None, place="mail", version=9)
    await ground.made("shop:2", due=4e9)
    refused = await ground.driven("shop:3")
    await ground.store.refuse("shop:3", refused.token, "fp")
    for number in (1, 2, 3):
        equal((await ground.taken(f"shop:{number}")).run, f"shop:{number}")


@laws.add()
async def what_cannot_be_had_by_name_is_none(ground: Ground) -> None:
    """An unknown run, and one that has ended."""
    await ground.ended()
    session = await ground.session()
    equal([await ground.store.claim_run(session, run) for run in ("shop:1", "shop:2", "shop:1/ship#0")], [None] * 3)


@laws.add()
async def fences_rise(ground: Ground) -> None:
    """With every claim, however it was lost before, and above the fence of the record's making."""
    session = await ground.session()
    record = record_of("shop:1", token=f"{session}:1")
    await ground.store.create(record)
    fences = [(await ground.loaded()).fence]
    await ground.store.close_session(session)
    for _ in range(3):
        claimed = await ground.taken("shop:1")
        await ground.park(claimed, due=0.0)
        [again] = await ground.store.claim(await ground.session(), [SHOP])
        await ground.lapse(session_of(again.token))
        fences += [claimed.fence, again.fence]
    equal(fences, sorted(set(fences)), "fences")


@laws.add()
async def tokens_never_come_twice(ground: Ground) -> None:
    """One session claims one record again and again: each token is new, and fences the last."""
    await ground.made()
    session = await ground.session()
    tokens = []
    for _ in range(5):
        claimed = is_a(await ground.store.claim_run(session, "shop:1"), Claimed)
        tokens.append(claimed.token)
        await ground.park(claimed)
        equal(await ground.store.append(ground.append_of(claimed, 0, b"late")), Fenced())
    equal(len(set(tokens)), 5, "how many tokens")


# ---- code that does not fit -----------------------------------------------------------------------------------


@laws.add()
async def refused_code_is_not_offered_the_record_again(ground: Ground) -> None:
    """The claim is given back, the record `incompatible`, and due at once for other code."""
    claimed = await ground.driven()
    equal(await ground.store.refuse("shop:1", claimed.token, "fp"), True)
    got = await ground.loaded()
    equal((got.status, got.token, got.ended_at), ("incompatible", None, None))
    equal(await ground.store.append(ground.append_of(claimed, 0, b"late")), Fenced())
    equal(await ground.claims(), [], "what is offered to the same code")
    equal(await ground.claims(Served("shop", 1, "other")), ["shop:1"])


@laws.add()
async def a_record_remembers_all_who_refused_it(ground: Ground) -> None:
    """Also after one that fits has driven it."""
    claimed = await ground.driven()
    await ground.store.refuse("shop:1", claimed.token, "one")
    [claimed] = await ground.store.claim(await ground.session(), [Served("shop", 1, "two")])
    await ground.store.refuse("shop:1", claimed.token, "two")
    [claimed] = await ground.store.claim(await ground.session(), [Served("shop", 1, "three")])
    await ground.park(claimed, due=0.0, reactor_version=(1, "three"))
    equal(await ground.claims(Served("shop", 1, "one"), Served("shop", 1, "two")), [])
    equal(await ground.claims(Served("shop", 1, "three")), ["shop:1"])


@laws.add()
async def one_of_what_is_served_must_fit_in_all(ground: Ground) -> None:
    """Name, version and fingerprint of one `Served`, not of three."""
    claimed = await ground.driven(version=2)
    await ground.store.refuse("shop:1", claimed.token, "refused")
    equal(await ground.claims(Served("shop", 1, "fine"), Served("shop", 2, "refused"), Served("other", 2, "fine")), [])
    equal(await ground.claims(Served("shop", 2, "refused"), Served("shop", 2, "fine")), ["shop:1"])


@laws.add()
async def only_the_driver_refuses(ground: Ground) -> None:
    """Under another token the answer is False, and nothing changes; so it is for a record that is not there."""
    claimed = await ground.driven()
    before = await ground.loaded()
    equal(await ground.store.refuse("shop:1", "nobody:1", "fp"), False)
    equal(await ground.store.refuse("shop:2", "nobody:1", "fp"), False)
    equal(await ground.loaded(), before)
    await ground.park(claimed, due=0.0)
    equal(await ground.claims(), ["shop:1"], "what is offered to code that refused in vain")


@laws.add()
async def a_lost_refusal_is_refused(ground: Ground) -> None:
    """Asked again, the claim given back, it answers True; what another does with the record meanwhile is not touched."""
    claimed = await ground.driven()
    equal(await ground.twice(lambda store: store.refuse("shop:1", claimed.token, "fp")), True)
    [other] = await ground.store.claim(await ground.session(), [Served("shop", 1, "other")])
    equal(await ground.store.refuse("shop:1", claimed.token, "fp"), True)
    equal((await ground.loaded()).token, other.token)


@laws.add()
async def a_driver_hands_on_what_fell_due_in_its_hands(ground: Ground) -> None:
    """A settlement that came to a record while it was driven does not make it due once it was read and the record parked."""
    claimed = await ground.driven()
    number = (await ground.tell(kind="settled", body=SETTLED.body)).number
    await ground.park(claimed, read_up_to=number)
    equal(await ground.claims(), [])
