"""Reading a run's record from a store, with no code of the author's: its rows, its story, its inputs and output without secrets.

Values are bytes of a type that only the code knows; which are secret the stored definition says. Where that is missing, none is
shown: a terminal is no place to find out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.cli.board import Board
from reactor.cli.problems import Problem, teach
from reactor.cli.story import Story
from reactor.cli.text import clean
from reactor.cli.values import blotted
from reactor.define.problems import leaves_of
from reactor.define.wording import MASK
from reactor.errors import Incompatible, ReactorError
from reactor.machine.events import CallSucceeded, Compensated, Kept, Skipped
from reactor.record import facts
from reactor.record.definitions import DefinitionData, ReactorData, read_definition
from reactor.record.keeping import life_of
from reactor.record.sealing import Whose, is_sealed
from reactor.run.observe import Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reactor.record.sealing import Sealer
    from reactor.record.store import Loaded, Store

TERMINAL = frozenset({"succeeded", "failed", "halted", "cancelled", "undone", "superseded"})
RECENT = 200  # runs among which a name that is near is looked for
UNKNOWN = "(not shown: which values are secret is not known here)"
_FIELDS = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])


@dataclass
class Reading:
    """One record, and all that was made of it so far."""

    loaded: Loaded
    board: Board
    story: Story
    definition: DefinitionData | None
    events: list[Event] = field(default_factory=list)
    raws: dict[str, bytes] = field(default_factory=dict)  # values by address

    @property
    def run(self) -> str:
        """The run's whole name."""
        return self.loaded.run

    @property
    def status(self) -> str:
        """Where it stands."""
        return self.loaded.status

    @property
    def names(self) -> list[str]:
        """The nodes of its reactor, where they are known."""
        return [node.name for node in self.definition.root.nodes] if self.definition else []

    def take(self, loaded: Loaded) -> list[Event]:
        """Fold what came since; the new events. Raises Incompatible for what no release of ours wrote."""
        self.loaded = loaded
        new = []
        for data in loaded.events[len(self.events) - (loaded.seq - len(loaded.events)) :]:
            fact, raw = facts.decode(data)
            if isinstance(fact, CallSucceeded | Skipped | Compensated | Kept) and raw:
                self.raws[fact.address] = raw
            self.story.apply(fact)
            event = Event(self.run, len(self.events) + 1, fact)
            self.events.append(event)
            new.append(event)
        return new

    # ---- values ---------------------------------------------------------------------------------------------------

    def inputs(self) -> dict[str, Any]:
        """The inputs as JSON-ready data, each secret one masked."""
        secret = self._secret_names()
        stored = _fields(self.loaded.inputs)
        if secret is None:
            return dict.fromkeys(stored, UNKNOWN)
        return {name: MASK if name in secret else plain(bytes(raw)) for name, raw in stored.items()}

    def output(self, sealer: Sealer) -> Any:
        """The output of a run that succeeded, as JSON-ready data, without secrets; None where it lies elsewhere."""
        address, is_secret = self._output_address()
        raw = self.raws.get(address)
        if raw is None:
            return None
        texts = self.secret_texts(sealer)
        if is_secret is None or texts is None:
            return UNKNOWN
        return MASK if is_secret else blotted(plain(raw), texts)

    def _secret_names(self) -> set[str] | None:
        """The names of secret inputs; None where nothing says which they are."""
        return None if self.definition is None else {one.name for one in self.definition.root.inputs if one.secret}

    def secret_texts(self, sealer: Sealer) -> tuple[str, ...] | None:
        """What secret inputs would show as in an output; None where that cannot be known: they are sealed with other keys."""
        secret = self._secret_names()
        if secret is None:
            return None
        found: set[str] = set()
        for name, raw in _fields(self.loaded.inputs).items():
            if name in secret:
                try:
                    found.update(leaves_of(plain(sealer.open(bytes(raw), Whose(self.run, "", name)))))
                except ReactorError:
                    return None
        return tuple(sorted(found, key=len, reverse=True))

    def _output_address(self) -> tuple[str, bool | None]:
        """Where the output's value lies, through composes that are outputs; whether its type holds a secret."""
        if self.definition is None:
            return "output", None
        reactor: ReactorData | None = self.definition.root
        address = ""
        while reactor is not None:
            node = reactor.node(reactor.output)
            if node is None:
                break
            address = f"{address}.{node.name}".lstrip(".")
            if node.kind != "compose":
                return address, node.secret
            reactor = self.definition.child(node, self.story.children.get(address, ""))
        return address or "output", None


def plain(raw: bytes) -> Any:
    """A value without its type, as JSON-ready data; sealed ones masked, those of a map told as what they are.

    >>> plain(msgspec.msgpack.encode({"total": 3}))
    {'total': 3}
    """
    if is_sealed(raw):
        return MASK
    try:
        return msgspec.to_builtins(msgspec.msgpack.decode(raw, ext_hook=_foreign), str_keys=True)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return "(unreadable)"


def _foreign(code: int, data: memoryview) -> Any:
    """An extension: what is sealed deep inside is masked; a map's results lie in records of their own."""
    return MASK if is_sealed(msgspec.msgpack.encode(msgspec.msgpack.Ext(code, bytes(data)))) else "(the results of a map)"


def _fields(inputs: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        return _FIELDS.decode(inputs) if inputs else {}
    except (msgspec.MsgspecError, RecursionError):
        return {}


# ---- finding it ---------------------------------------------------------------------------------------------------


async def read(store: Store, name: str) -> Reading:
    """A run as it is now, its board aside; of a restarted one, the newest life. Raises `Problem` where there is none."""
    reading = await begin(store, name)
    reading.take(reading.loaded)
    return reading


async def begin(store: Store, name: str) -> Reading:
    """The same, with nothing folded yet."""
    loaded = await load(store, name)
    definition = await definition_of(store, loaded.fingerprint)
    reading = Reading(loaded, Board(loaded.reactor, ()), Story(loaded.run), definition)
    reading.board = Board(loaded.reactor, reading.names)
    reading.board.run_id = loaded.run
    return reading


async def load(store: Store, name: str) -> Loaded:
    """The record with all its events; of a restarted run, of its newest life. Raises `Problem` where there is none."""
    found = await store.load(name, after=0)
    if found is None:
        raise await unknown(store, name)
    base, life = life_of(name)
    while "~" not in name and (newer := await store.load(f"{base}~{life + 1}", after=0)) is not None:
        found, life = newer, life + 1
    return found


async def unknown(store: Store, name: str) -> Problem:
    """There is no such run: which names are near."""
    rows, _, total = await store.find(limit=RECENT)
    known = [row.run for row in rows]
    ids = {run.partition(":")[2]: run for run in reversed(known)}
    if not total:
        lines = ["this store holds no run at all: is it the right one?"]
    elif name in ids:
        lines = [f"did you mean `{clean(ids[name])}`?"]
    else:
        lines = teach(name, known, "newest runs")
    return Problem(
        f"there is no run {clean(name)}",
        *lines,
        "fix: say its whole name, REACTOR:ID, as `reactor runs ls` lists it; what ended long ago is dropped",
        code="unknown-run",
    )


async def definition_of(store: Store, fingerprint: str) -> DefinitionData | None:
    """What the code of that fingerprint looked like, where it was kept and can be read."""
    kept = await store.definition(fingerprint) if fingerprint else None
    if kept is None:
        return None
    try:
        return read_definition(kept)
    except Incompatible:
        return None
