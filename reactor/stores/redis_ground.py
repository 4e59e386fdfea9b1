"""What all parts of `redis://…` stand on: the wire, the scripts and the keys."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.errors import StoreUnavailable
from reactor.stores.redis_scripts import load_scripts

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

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


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Where answers are read. Raises StoreUnavailable (`store-corrupt`) where they are not what our scripts write: others wrote there."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, msgspec.MsgspecError) as error:
        raise damaged(what) from error


def damaged(what: str) -> StoreUnavailable:
    """What a caller is told of data that others have written to."""
    return StoreUnavailable(f"{what} is damaged", code="store-corrupt", fix="keep a copy, and bring back a backup")
