"""What all parts of `redis://…` stand on: the wire, the scripts and the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.stores.redis_scripts import load_scripts

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from reactor.stores.redis_server import Namespace
    from reactor.stores.redis_wire import Wire


class Ground:
    """The wire, the scripts and the keys."""

    def __init__(self, wire: Wire, keys: Namespace) -> None:
        self._wire = wire
        self._keys = keys
        self._scripts = load_scripts()
        self._lost: list[tuple[str, str, Sequence[bytes]]] = []  # claims whose answer nobody got: shard, token, runs
        self._giving_back: set[asyncio.Future[Any]] = set()  # … that are being given back

    def _call(self, name: str, prefix: str, *words: Any) -> asyncio.Future[Any]:
        """Run a script on the shard, or in the slot, of this prefix."""
        return self._wire.call(self._scripts[name], prefix, *words)
