"""Runs as a release left them: their records, one line of JSON each, and how to lay them into a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from reactor import Engine
from reactor.engine import open_store
from reactor.machine.events import BatchStarted
from reactor.record import facts
from reactor.record.words import Append, NewRecord
from tests.record.golden.events import FOLDER
from tests.record.golden.reactors import ITEMS, SERVED, Doomed, Order, Slow, at_the_gate, gate

if TYPE_CHECKING:
    from reactor.record.store import Loaded, Store

HOME = f"{Path(__file__).parents[3]}/"
ENDED = ("succeeded", "failed")


async def written(folder: Path) -> list[str]:
    """What this release makes of the golden reactors."""
    gate.clear()
    url = f"sqlite:///{folder / 'runs.db'}"
    async with Engine(url, reactors=SERVED, plain_secrets=True) as engine:
        await engine.run(Order(order_id="quick-1", items=ITEMS), id="done", tags=("vip",))
        await engine.run(Order(order_id="o-1", items=ITEMS), id="parked")
        await engine.run(Doomed(), id="failed")
        await engine.start(Slow(), id="cut")
        await at_the_gate.wait()
    store = await open_store(url)
    names = ["golden-order:done", "golden-order:parked", "golden-doomed:failed", "golden-slow:cut"]
    lines = [line for name in names for line in await _lines(store, name)]
    await store.close()
    return lines


async def _lines(store: Store, name: str) -> list[str]:
    loaded = await store.load(name)
    assert loaded is not None
    definition = await store.definition(loaded.fingerprint)
    assert definition is not None
    found = [_line(loaded, definition if loaded.parent is None else b"")]
    for data in loaded.events:
        fact, _ = facts.decode(data)
        if isinstance(fact, BatchStarted):
            found += await _lines(store, f"{loaded.root}/{fact.address}#{fact.batch}")
    return found


def _line(loaded: Loaded, definition: bytes) -> str:
    told = {name: getattr(loaded, name) for name in ("run", "root", "parent", "reactor", "version", "fingerprint", "status", "tags")}
    raw = {"inputs": loaded.inputs, "elements": loaded.elements, "chunk": loaded.chunk or b"", "definition": definition}
    data = {name: homeless(one).hex() for name, one in raw.items()}
    return json.dumps({**told, **data, "events": [homeless(one).hex() for one in loaded.events]}, separators=(",", ":"))


def homeless(data: bytes) -> bytes:
    """Without the folder of whoever wrote the set: his files are named from the project's root on."""
    if HOME.encode() not in data:
        return data
    return msgspec.msgpack.encode(_homeless(msgspec.msgpack.decode(data)))


def _homeless(part: Any) -> Any:
    if isinstance(part, str):
        return part.replace(HOME, "")
    if isinstance(part, list):
        return [*map(_homeless, part)]
    return {name: _homeless(value) for name, value in part.items()} if isinstance(part, dict) else part


def read(release: str) -> list[dict[str, Any]]:
    """What a release wrote."""
    text = (FOLDER / release / "runs.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


async def lay_into(store: Store, lines: list[dict[str, Any]]) -> None:
    """As if they had been there when we came."""
    await store.open_session("golden", 60.0)
    for line in lines:
        raw = {name: bytes.fromhex(line[name]) for name in ("inputs", "elements", "chunk", "definition")}
        data = tuple(bytes.fromhex(one) for one in line["events"])
        told = {name: line[name] for name in ("run", "root", "parent", "reactor", "version", "fingerprint", "status")}
        if raw["definition"]:
            await store.put_definition(line["fingerprint"], raw["definition"])
        token = f"golden:{line['run']}"
        record = NewRecord(**told, token=token, inputs=raw["inputs"], elements=raw["elements"], tags=tuple(line["tags"]), events=data)
        await store.create(record)
        await store.append(
            Append(
                run=line["run"],
                token=token,
                seq=len(data),
                op="laid",
                status=line["status"],
                due=0.0 if line["status"] == "running" else None,
                release=True,
                ended=line["status"] in ENDED,
                chunk=raw["chunk"] or None,
            )
        )
    await store.close_session("golden")
