"""How values, batches and halts are kept by a run that is kept nowhere: in memory, as they are. Who drives a record does it otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.machine.events import StopRequested
from reactor.run.mapping import start_batch
from reactor.run.values import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactor.machine.events import ChildOpened, Event
    from reactor.plan.plan import PlanNode
    from reactor.run.mapping import Elements, MapRun
    from reactor.run.site import Site


class Ephemeral:
    """The part of a runner that a record's driver replaces."""

    __slots__ = ()

    if TYPE_CHECKING:
        site: Site
        maps: dict[str, MapRun]
        batch: Elements | None
        note: Callable[[Event], None]

    @property
    def keeps(self) -> bool:
        """Whether every value goes through its bytes."""
        return self.site.debug

    def results_of(self, address: str) -> Any:
        """What the map at an address left."""
        return self.maps[address].chunks.results()

    def note_value(self, event: Event, _raw: bytes) -> None:
        """Note a fact that holds a value. Its bytes are for those who keep them."""
        self.note(event)

    def start_batch(self, map_run: MapRun, number: int, first: int, items: Sequence[Any]) -> None:
        """Hand a batch to a runner of its own."""
        start_batch(map_run, number, first, items)

    def kept(self, node: PlanNode, value: Any, *, optional: bool = False, encoded: bool = False) -> tuple[Any, bytes]:
        """A value as it is kept, and its bytes. Raises ResultNotStorable."""
        return kept(node.returns, value, optional=optional, encoded=encoded)

    def halt_around(self, at: float, reason: str) -> None:
        """The runs around a batch hear of a halt at once."""
        around: Any = self
        while around.batch is not None:
            around = around.batch.map_run.runner
            around.tell(StopRequested(at, "", "halt", reason))

    def open_child(self, event: ChildOpened) -> None:
        """Note that a reactor was returned."""
        self.note(event)
