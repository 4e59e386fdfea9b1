"""A run's output for people and for programs: as JSON where it can be, else its repr as a JSON string, secrets masked.

Map results are lazy and may be many: the first ones are read and the rest counted.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import typing
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.cli.text import escape_json
from reactor.define.foreign import encode_foreign
from reactor.define.inputs import Secret, has_secret
from reactor.define.results import Results
from reactor.define.wording import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST = 1000  # elements of a map's results that are printed
SHORT = 4  # characters: a secret below this is masked only where it stands alone, else `0` would be blotted out of every figure


async def readable(value: object, secrets: Sequence[str] = (), most: int = MOST) -> Any:
    """JSON-ready data of an output; `secrets` are texts that must not be shown.

    Map results are read: `{"succeeded", "failed", "values", "failures"}` stands in their place.
    """
    if isinstance(value, Results):
        value = await _read(value, most)
    return _blotted(plain_data(_sealed(value)), secrets)


async def _read(results: Results[Any], most: int) -> dict[str, object]:
    values: list[object] = []
    async for element in results:
        if len(values) >= most:
            break
        values.append(element)
    failures: list[object] = []
    async for failure in results.failures():
        failures.append({"index": failure.index, "error": failure.error})
        if len(failures) >= min(most, results.failed):
            break
    said: dict[str, object] = {"succeeded": results.succeeded, "failed": results.failed, "values": values}
    if failures:
        said["failures"] = failures
    if len(values) < results.succeeded or len(failures) < results.failed:
        said["shortened"] = True
    return said


# ---- secrets --------------------------------------------------------------------------------------------------


def _sealed(value: Any) -> Any:
    """The value with every field that its type calls secret masked; the author's own objects stay as they are."""
    if isinstance(value, list | tuple | set | frozenset):
        return [_sealed(one) for one in value]
    if isinstance(value, dict):
        return {name: _sealed(one) for name, one in value.items()}
    is_record = isinstance(value, msgspec.Struct) or (dataclasses.is_dataclass(value) and not isinstance(value, type))
    if not is_record or not has_secret(type(value)):
        return value
    change: Callable[[Any, str, Any], None] = msgspec.structs.force_setattr if isinstance(value, msgspec.Struct) else object.__setattr__
    sealed = copy.copy(value)
    for name, hint in _hints(type(value)).items():
        if hasattr(value, name):
            change(sealed, name, MASK if _is_secret(hint) else _sealed(getattr(value, name)))
    return sealed


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError):  # not all of it resolves: what is only text is searched as text
        return {name: hint for base in reversed(cls.__mro__) for name, hint in inspect.get_annotations(base).items()}


def _is_secret(hint: Any) -> bool:
    """Whether the field itself is marked, in whatever place of its type; secrets inside its class's fields are those fields' own."""
    if isinstance(hint, str):
        return "Secret" in hint
    return isinstance(hint, Secret) or any(_is_secret(part) for part in typing.get_args(hint))


def _blotted(data: Any, secrets: Sequence[str]) -> Any:
    """Plain data with the texts of secrets masked wherever they stand."""
    if not secrets:
        return data
    if isinstance(data, list):
        return [_blotted(one, secrets) for one in data]
    if isinstance(data, dict):
        return {_blot(name, secrets): _blotted(one, secrets) for name, one in data.items()}
    return _blot(data, secrets) if isinstance(data, str) else data


def _blot(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = MASK if text == secret else text.replace(secret, MASK) if len(secret) >= SHORT else text
    return text


# ---- JSON -----------------------------------------------------------------------------------------------------


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
