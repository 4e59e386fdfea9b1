"""A store that tells the ledger what it acknowledged, and kills its process at the nth write: right before it, or right after."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from reactor import Engine
from reactor.machine.events import Asked, CallFailed, CallSucceeded, ChildOpened, Compensated, Halted, Skipped, Undone
from reactor.record import facts
from reactor.record.words import Appended, Fenced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reactor.machine.events import Event
    from tests.crash.ledger import Ledger

WRITES = ("create", "append", "deliver", "open_wait", "close_wait", "keep_early", "once")
CLAIMS = ("claim", "claim_run", "held")
ENDS = (CallSucceeded, Skipped, Halted, ChildOpened, Asked)


def end_of(fact: Event) -> str | None:
    """Which call this fact ends for good: `address/call`."""
    if isinstance(fact, ENDS):
        return f"{fact.address}/do"
    if isinstance(fact, Undone):
        return f"{fact.address}/undo"
    if isinstance(fact, Compensated):
        return f"{fact.address}/compensate"
    if isinstance(fact, CallFailed) and fact.next_in is None:
        return f"{fact.address}/{fact.call}"
    return None


def ends_in(data: Iterable[bytes]) -> list[str]:
    """The calls that these facts end."""
    return [end for one in data if (end := end_of(facts.decode(one)[0])) is not None]


class Witness:
    """Around a store. `kill_at`: the nth write (from 1; 0: none), `moment`: before or after it is applied."""

    def __init__(self, store: Any, ledger: Ledger, kill_at: int = 0, moment: str = "before") -> None:
        self._store = store
        self._ledger = ledger
        self._kill_at = kill_at
        self._moment = moment
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in WRITES:
            return self._writing(name, method)
        return self._claiming(method) if name in CLAIMS else method

    def _writing(self, name: str, method: Any) -> Any:
        async def write(*given: Any, **more: Any) -> Any:
            self.writes += 1
            dies = self.writes == self._kill_at
            if dies and self._moment == "before":
                self._die(name)
            answer = await method(*given, **more)
            if dies:
                self._die(name)
            if isinstance(answer, Appended):
                for end in ends_in(given[0].events):
                    self._ledger.write("recorded", f"{given[0].run.partition('/')[0]}/{end}")
            elif isinstance(answer, Fenced):
                self._ledger.write("fenced", given[0].run)
            return answer

        return write

    def _claiming(self, method: Any) -> Any:
        async def claim(*given: Any, **more: Any) -> Any:
            answer = await method(*given, **more)
            for one in answer if isinstance(answer, list | tuple) else [answer]:
                if one is not None:
                    self._ledger.write("claimed", one.run, fence=one.fence)
            return answer

        return claim

    def _die(self, name: str) -> None:
        self._ledger.write("killed", f"{self._moment} {name}")
        os.kill(os.getpid(), signal.SIGKILL)


class WitnessedEngine(Engine):
    """An engine whose store is witnessed."""

    def __init__(self, url: str, ledger: Ledger, *, kill_at: int = 0, moment: str = "before", **options: Any) -> None:
        super().__init__(url, **options)
        self._ledger_of_store, self._kill_at, self._moment = ledger, kill_at, moment
        self.witness: Any = None

    async def _open_store(self, site: Any) -> Any:
        store = await super()._open_store(site)
        self.witness = Witness(store, self._ledger_of_store, self._kill_at, self._moment)
        return self.witness
