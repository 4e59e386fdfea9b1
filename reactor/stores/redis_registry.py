"""`redis://…`, its registry: correlation ids and delivery ids, in slots of their own. It speaks to runs by their names only."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from reactor.record.keeping import check_message, life_of, root_of
from reactor.record.store import EARLY_KEPT, EARLY_LIMIT, ONCE_KEPT
from reactor.stores.redis_ground import Ground, understood

if TYPE_CHECKING:
    from collections.abc import Sequence


class RedisRegistry(Ground):
    """Correlation ids."""

    async def open_wait(self, scope: str, correlation_id: str, run: str, address: str) -> Sequence[bytes] | Literal["taken"]:
        """As the port says. The run notes the id before it has it, so that none is forgotten when it expires."""
        name = wait_name(scope, correlation_id)
        noted = self._call("note_wait", self._keys.of(run), root_of(run), name)
        life, number = life_of(run)
        opened = self._call("open_wait", self._keys.registering(name), name, run, address, life, number)
        _, early = await asyncio.gather(noted, opened)
        return "taken" if early is None else tuple(early)

    async def close_wait(self, scope: str, correlation_id: str, run: str, address: str) -> None:
        """As the port says."""
        name = wait_name(scope, correlation_id)
        await self._call("close_wait", self._keys.registering(name), name, run, address)

    async def find_waiting(self, scope: str, correlation_id: str) -> tuple[str, str, bool] | None:
        """As the port says."""
        name = wait_name(scope, correlation_id)
        key = self._keys.registering(name).encode() + b"w:" + name
        run, address, is_open = await self._wire.send("HMGET", key, "r", "a", "o")
        with understood(f"the wait for {correlation_id!r:.80}"):
            return None if run is None else (run.decode(), address.decode(), is_open == b"1")

    async def keep_early(
        self, scope: str, correlation_id: str, body: bytes, delivery_id: str | None
    ) -> Literal["kept", "duplicate", "full", "open"]:
        """As the port says."""
        check_message(correlation_id, body)
        name = wait_name(scope, correlation_id)
        sender = blake2b(
            body if delivery_id is None else delivery_id.encode(), digest_size=16, person=b"" if delivery_id is None else b"delivery"
        )
        prefix = self._keys.registering(name)
        answer: Literal["kept", "duplicate", "full", "open"] = (
            await self._call("keep_early", prefix, name, sender.digest(), body, EARLY_KEPT, EARLY_LIMIT)
        ).decode()
        return answer

    async def once(self, delivery_id: str, answer: bytes) -> bytes | None:
        """As the port says."""
        name = delivery_id.encode()
        first: bytes | None = await self._call("once", self._keys.registering(name), name, answer, ONCE_KEPT)
        return first


def wait_name(scope: str, correlation_id: str) -> bytes:
    """A correlation id of one scope, so that no two pairs are spelt alike.

    >>> wait_name("Shop.approval", "o-1")
    b'13:Shop.approvalo-1'
    """
    data = scope.encode()
    return b"%d:%b%b" % (len(data), data, correlation_id.encode())
