"""Facts as a release wrote them, and how they read: one line of JSON a fact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from reactor.machine.events import Event
from reactor.record import facts
from tests.record.golden.samples import SAMPLES

FOLDER = Path(__file__).parent
VALUE = msgspec.msgpack.encode({"sku": "a-1", "lines": [1, 2.5, None, "ü", b"\x00"], "paid": True})


def releases() -> list[str]:
    """The releases of which there is a set, oldest first."""
    found = [folder.name for folder in FOLDER.iterdir() if folder.is_dir() and folder.name[0].isdigit()]
    return sorted(found, key=lambda name: [int(part) for part in name.split(".")])


def plain(event: Event) -> list[Any]:
    """A fact's fields as JSON has them."""
    found: list[Any] = json.loads(msgspec.json.encode(event))
    return found[1:]


def lines() -> list[str]:
    """What this release makes of the samples."""
    found = []
    for event in SAMPLES:
        value = VALUE if type(event) in facts.VALUED else b""
        data = facts.encode(event, value)
        found.append(json.dumps({"kind": type(event).__name__, "fields": plain(event), "value": value.hex(), "bytes": data.hex()}))
    return found


def read(release: str) -> list[dict[str, Any]]:
    """What a release wrote."""
    text = (FOLDER / release / "events.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def has_grown_from(now: Any, then: Any) -> bool:
    """Whether a fact reads as it did, new fields left aside: they are appended, to a fact and to what is in it."""
    if isinstance(now, list) and isinstance(then, list):
        return len(now) >= len(then) and all(map(has_grown_from, now, then))
    return bool(now == then)
