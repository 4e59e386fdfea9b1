"""The persistence port, as law: three small protocols that every store answers alike (`reactor.testing.contract` asks them).

A record is the numbered events of one run, or of one child (a batch of a map, an offloaded call), and what goes with it: who may
write, when it is due, the mail that waits for it. Events, inputs and messages are bytes to a store: it never looks inside.

What holds for every method:

- It is atomic: it does all that it says, or nothing. Where it raises `StoreUnavailable` it did one of the two, and calling it again
  with the same arguments is safe: it is done once, and the answer is the first one, or one that says so (`create` without a token:
  the record; `claim` and `claim_run`: without what the first try took, see `held`; `keep_early`: "duplicate"; `close_session`,
  `expire`: without what was done; `once`: the answer that was given).
- Time is the store's own (`now`), seconds since the epoch; it never goes back, whatever the wall clocks of its users say.
- A name of a run is `{reactor}:{id}`, of a child `{root's name}/{address}` with `#{batch}` behind it for a batch. All records of one
  root lie together, so that what concerns a parent and its child is one step.
- Limits are refused before anything is written: an event of over 1 MiB, a batch's elements or chunk of over 8 MiB, a message of over
  64 KiB raise `TooLarge`. Text is any unicode but lone surrogates, NUL and all separators included; bytes are any bytes.

Who may write: a claim gives a record's *token*, `session:nonce` (the nonce has no colon). Only a call with the record's present
token changes it. A session is one process's lease; when it has run out, others may claim its records, which changes their tokens.
Until somebody does, the old token still writes: expiry alone refuses nobody. A token whose session is not there is as one whose lease
has run out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from reactor.record.words import (
    BATCH_LIMIT,
    EARLY_KEPT,
    EARLY_LIMIT,
    EVENT_LIMIT,
    HERE,
    MAIL_LIMIT,
    MESSAGE_LIMIT,
    ONCE_KEPT,
    Append,
    Appended,
    Behind,
    Claimed,
    Created,
    Delivered,
    Fenced,
    Loaded,
    Message,
    MessageKind,
    NewRecord,
    Refused,
    Row,
    Served,
    TooLarge,
    Unread,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "BATCH_LIMIT",
    "EARLY_KEPT",
    "EARLY_LIMIT",
    "EVENT_LIMIT",
    "HERE",
    "MAIL_LIMIT",
    "MESSAGE_LIMIT",
    "ONCE_KEPT",
    "Append",
    "Appended",
    "Behind",
    "Claimed",
    "Created",
    "Delivered",
    "Fenced",
    "Loaded",
    "Message",
    "MessageKind",
    "NewRecord",
    "Operations",
    "Records",
    "Refused",
    "Registry",
    "Row",
    "Served",
    "Store",
    "TooLarge",
    "Unread",
]


class Records(Protocol):
    """Create, claim, append, deliver, load: what drives a run."""

    async def create(self, record: NewRecord) -> Created | Loaded | Literal["expired"]:
        """Create a run if its name is free. Else the record that is there, without its events, snapshot and mail.

        "expired" where only a tombstone is. Of a hundred that create the same name at once, one gets `Created`. Asked again under
        the same token, while the record has it, the answer is `Created` again.
        """
        ...

    async def claim(self, session: str, serves: Sequence[Served], place: str = HERE, *, limit: int = 100) -> Sequence[Claimed]:
        """Claim records of these reactors in this place that are due and unowned, or whose owner's lease has run out.

        The longest due first; what a lease that ran out left behind is due since then. Not those whose version is higher than the
        served one, nor those that were refused by the served fingerprint (`refuse`): one of `serves` must fit in all three. Of many that
        claim at once, one gets a record. A session that is not open, or has run out, claims nothing.
        """
        ...

    async def claim_run(self, session: str, run: str) -> Claimed | None:
        """Claim one record, due or not, of any place, version and fingerprint, unless a lease on it is alive (one's own, too).

        None: it cannot be had, has ended, or is not there; or the session is not open, or has run out.
        """
        ...

    async def held(self, session: str) -> Sequence[Claimed]:
        """All claims of a session, in no order; its own, whether its lease has run out or not. None where it is not there.

        What a lost reply of `claim`, `claim_run` or `create` leaves behind: claimed, and nobody drives it. Whoever got StoreUnavailable
        from one of them looks here for what it does not know.
        """
        ...

    async def refuse(self, run: str, token: str, fingerprint: str) -> bool:
        """Our code does not fit this record: give the claim back, mark it `incompatible` and never offer it to this fingerprint again.

        It is due at once, for others. False: the token is another's, and this fingerprint was not refused before; nothing changed.
        """
        ...

    async def append(self, append: Append) -> Appended | Unread | Fenced | Behind:
        """Write what happened.

        Answers in this order: the same `op` was this record's last → Appended; another token, or no such record → Fenced; another
        seq → Behind; newer mail (numbers over `read_up_to`) where it would release or end → Unread. The fence, the token and the
        children's names are the store's to look after; status, versions and events are taken as they are given.
        """
        ...

    async def deliver(self, run: str, message: Message, *, moves: bool, operation: str) -> Delivered | Refused:
        """Leave a message. With `moves` the record, if nobody drives it, is due at once and `queued`; its driver is woken else.

        A settlement makes it due, but leaves its status. A record that has ended takes undo, restart and retry_rollback, and with
        `moves` is open again: it does not expire before it ends once more. All else is "gone" there.

        `operation` names the delivery to this record: a second one of the same name answers as the first, and leaves nothing, for as
        long as the record is there. A refused one may be tried again. In this order: known, unknown, gone, full.
        """
        ...

    async def load(self, run: str, *, after: int | None = None) -> Loaded | None:
        """A record with its mail, and its snapshot and the events from there on.

        With `after` no snapshot, and the events with a higher seq (the first event is 1). None where there is no such record.
        """
        ...

    async def mail(self, run: str, after: int) -> Sequence[Message]:
        """The messages with a higher number."""
        ...

    async def open_session(self, session: str, lease: float) -> None:
        """Begin a lease of so many seconds: all claims are a session's. Again: prolong it, with this lease."""
        ...

    async def renew(self, session: str) -> bool:
        """Prolong it from now on, also where it had run out: what nobody claimed from it meanwhile is safe again.

        False: it was closed, or never opened, or `expire` dropped it: it had run out and held nothing.
        """
        ...

    async def close_session(self, session: str) -> int:
        """End it and give all its claims back: they are due at once, their status stays. How many."""
        ...


class Registry(Protocol):
    """Correlation ids: which run waits for which business key, and the answers that came before anybody asked."""

    async def open_wait(self, scope: str, correlation_id: str, run: str, address: str) -> Sequence[bytes] | Literal["taken"]:
        """An occurrence waits for that id (`scope` is the defining class and node): the early messages that were kept for it.

        Asked again by the same occurrence it answers the same, and is open again where it was closed. "taken": another occurrence
        waits for it, or did. A later life of the same run (`shop:1~2` after `shop:1`, and their children) takes it over, open or not,
        without the early messages of the former; an earlier one is answered "taken".
        """
        ...

    async def close_wait(self, scope: str, correlation_id: str, run: str, address: str) -> None:
        """It waits no longer (answered, timed out, dropped): the id leads to it still, until the run expires. Not its own: nothing."""
        ...

    async def find_waiting(self, scope: str, correlation_id: str) -> tuple[str, str, bool] | None:
        """(run, address, open) of an id that was opened; None for one that nobody has opened."""
        ...

    async def keep_early(
        self, scope: str, correlation_id: str, body: bytes, delivery_id: str | None
    ) -> Literal["kept", "duplicate", "full", "open"]:
        """Keep a message for an id that nobody has opened, for `EARLY_KEPT`, at most `EARLY_LIMIT` an id, in the order in which they came.

        In this order: "open": somebody has, meanwhile (and may have closed it); "duplicate": one with the same delivery id lies there
        (without one: the same body, also without one); "full".
        """
        ...

    async def once(self, delivery_id: str, answer: bytes) -> bytes | None:
        """Remember the first answer to a delivery id, for `ONCE_KEPT` at least; the one that is remembered where there is one."""
        ...


class Operations(Protocol):
    """Finding, watching, keeping house."""

    async def now(self) -> float:
        """The store's time."""
        ...

    async def put_definition(self, fingerprint: str, definition: bytes) -> None:
        """Keep what a fingerprint stands for: once."""
        ...

    async def definition(self, fingerprint: str) -> bytes | None:
        """What a fingerprint stands for."""
        ...

    async def find(  # noqa: PLR0913  # what the engine's `find` offers
        self,
        *,
        reactor: str | None = None,
        status: str | None = None,
        tag: str | None = None,
        since: float | None = None,
        until: float | None = None,
        where: Mapping[str, str] | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[Sequence[Row], str | None, int]:
        """Runs (no children), newest first; the cursor of the next page, None after the last; how many match in all, exactly.

        All that is given must hold: `since` ≤ created < `until`; each of `where` an equal index value; `text` a prefix of the run's
        name, of what follows its first colon, or of an index value, as it is spelt. Of one time, the higher name first. Whatever
        comes, goes or changes between two pages: no run comes twice, and one that matched all along comes once. Raises ReactorError
        (`bad-cursor`) for a cursor that no `find` gave.
        """
        ...

    async def counts(self, reactor: str | None = None) -> Mapping[str, int]:
        """How many runs there are by status, from an index; no status that none has, no children."""
        ...

    async def expire(self, retention: float, tombstones: float, *, limit: int = 1000) -> int:
        """Drop runs that ended `retention` seconds ago or longer, children with their root, at most `limit`. How many runs.

        Their names stay taken for `tombstones` seconds from then on. Their correlation ids are free again. A run that has not ended
        is never dropped, nor a child before its run.
        """
        ...

    def watch(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """Call this with the name of each record that gets events, mail, or becomes due, soon after, in the loop that watches.

        A hint, no promise: some may be missed (a sweep finds them), some may come twice. What it returns ends it: nothing is called
        after that.
        """
        ...

    async def close(self) -> None:
        """Let go of files and connections, of this handle. What was acknowledged is durable. Twice is once."""
        ...


class Store(Records, Registry, Operations, Protocol):
    """All three."""
