"""A record, looked at from anywhere to see what waits in it: its facts without their values, folded.

Values stay as they lie, so that nobody who only looks needs their types, or the keys of what is sealed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from reactor.define.reactor import record_of
from reactor.errors import Incompatible, ReactorError
from reactor.machine.machine import Machine
from reactor.record import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reactor.define.reactor import Reactor
    from reactor.machine.state import State
    from reactor.plan.plan import Plan
    from reactor.record.store import Store
    from reactor.record.words import Loaded


class Sighting(NamedTuple):
    """A record as it was when somebody looked."""

    loaded: Loaded
    state: State | None  # None: no code at hand reads it

    @property
    def name(self) -> str:
        """The record's."""
        return self.loaded.run


class Lookout:
    """Looks at records. `known` are the reactors of this process by name, `near` one more, and its subclasses."""

    def __init__(self, store: Store, known: dict[str, type[Reactor]], plan_for: Callable[[type[Reactor]], Plan], near: Any = None) -> None:
        self.store = store
        self._known = known
        self._plan_for = plan_for
        self._near = near

    async def see(self, name: str) -> Sighting | None:
        """A record and its state; None where there is none. Raises Incompatible where no code can read it."""
        loaded = await self.store.load(name)
        if loaded is None:
            return None
        if loaded.status == "incompatible":
            return Sighting(loaded, None)
        machine = await self._machine(loaded)
        for data in loaded.events:
            event, raw = facts.decode(data)
            field = facts.VALUED.get(type(event))
            try:
                machine.apply(event if field is None else msgspec.structs.replace(event, **{field: raw}))
            except (KeyError, IndexError, ReactorError):  # it was written by other code: whoever has that is to read it
                return Sighting(loaded, None)
        machine.forget_answered()
        return Sighting(loaded, machine.state)

    async def _machine(self, loaded: Loaded) -> Machine:
        if loaded.parent is None:
            return Machine(self._plan_for(self._class(loaded.reactor)))
        around = await self.see(loaded.parent)
        if around is None:
            raise Incompatible(f"the record around {loaded.run} is not there", code="record-unfit")
        started: Any = facts.decode(loaded.events[0])[0]
        if around.state is None:
            raise Incompatible(f"the record around {loaded.run} does not fit the code at hand", code="record-unfit")
        scope, index = around.state.place(started.address)
        return Machine.of_batch(scope.plan, scope.plan.nodes[index], started.address, started.first, started.size)

    def _class(self, name: str) -> type[Reactor]:
        found = self._known.get(name) or next((one for one in _family(self._near) if name in _names(one)), None)
        if found is None:
            raise ReactorError(
                f"this process does not know the reactor `{name}`",
                code="not-served",
                known=tuple(self._known),
                fix="list its class: `Engine(…, reactors=[…])`",
            )
        return found


def _family(cls: Any) -> Iterator[Any]:
    if cls is not None:
        yield cls
        for inner in cls.__subclasses__():
            yield from _family(inner)


def _names(cls: type[Any]) -> tuple[str, ...]:
    options = record_of(cls).options
    if record_of(cls).sketch.members.output is None:
        return ()
    return (options.name, *options.aliases)
