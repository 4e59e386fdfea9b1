"""What is woken at a time: parked records, by the store's clock as it was last heard. It refuses to know what is done with one then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable

    from reactor.run.site import Site


class Alarms:
    """One a record, the last that was set. `ring` is told its name."""

    def __init__(self, site: Site, ring: Callable[[str], None]) -> None:
        self._site = site
        self._ring = ring
        self._set: dict[str, tuple[float, TimerHandle]] = {}

    def set(self, name: str, due: float) -> None:
        """Wake it then: `due` in seconds since the epoch."""
        self.drop(name)
        self._set[name] = due, self._site.loop.call_at(due - self._site.offset, self._rings, name)

    def drop(self, name: str) -> None:
        """It need not be woken."""
        former = self._set.pop(name, None)
        if former is not None:
            former[1].cancel()

    def set_anew(self) -> None:
        """It is another time than it was told to be."""
        for name, (due, _) in list(self._set.items()):
            self.set(name, due)

    def clear(self) -> None:
        """Wake none."""
        for name in list(self._set):
            self.drop(name)

    def _rings(self, name: str) -> None:
        due, _ = self._set.pop(name)
        if due > self._site.now():  # our time was set back a little
            self.set(name, due)
        else:
            self._ring(name)
