"""A run's output for people and for programs: as JSON where it can be, else its repr as a JSON string.

Map results are lazy and may be many: the first ones are read and the rest counted.
"""

from __future__ import annotations

from typing import Any

import msgspec

from reactor.cli.text import escape_json
from reactor.define.foreign import encode_foreign
from reactor.define.results import Results

MOST = 1000  # elements of a map's results that are printed


async def readable(value: object, most: int = MOST) -> object:
    """The value with map results read: `{"succeeded", "failed", "values", "failures"}` in their place."""
    if not isinstance(value, Results):
        return value
    values: list[object] = []
    async for element in value:
        if len(values) >= most:
            break
        values.append(element)
    failures: list[object] = []
    async for failure in value.failures():
        if len(failures) >= most:
            break
        failures.append({"index": failure.index, "error": failure.error})
    said: dict[str, object] = {"succeeded": value.succeeded, "failed": value.failed, "values": values}
    if failures:
        said["failures"] = failures
    if len(values) < value.succeeded or len(failures) < value.failed:
        said["shortened"] = True
    return said


def plain_data(value: object) -> Any:
    """JSON-ready data: what msgspec knows as it encodes it, anything else as its repr."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_otherwise))
    except Exception:  # noqa: BLE001 - an author's object may refuse in any way; its output is still worth showing
        return _repr(value)


def as_json(value: object, indent: int = 0) -> str:
    """JSON text that a terminal cannot be fooled by; `indent` 0 is one line."""
    encoded = msgspec.json.encode(plain_data(value))
    return escape_json((msgspec.json.format(encoded, indent=indent) if indent else encoded).decode())


def _otherwise(value: Any) -> Any:
    if isinstance(value, Results):
        return {"succeeded": value.succeeded, "failed": value.failed}
    try:
        return encode_foreign(value)
    except NotImplementedError:
        return _repr(value)


def _repr(value: object) -> str:
    try:
        return repr(value).encode("utf-8", "backslashreplace").decode()
    except Exception as error:  # noqa: BLE001 - a broken __repr__ must not hide that the run succeeded
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
