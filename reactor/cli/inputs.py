"""From `key=value…` and `--input FILE.json` to a reactor instance, or one `Problem` that lists all that is wrong.

A value on the command line is converted by its field's type: `7` is an int for an int and a str for a str; a list, dict or
Struct is written as JSON. A secret's value is repeated in no message.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.cli.problems import Problem, teach
from reactor.cli.shapes import example, is_structured, spell
from reactor.cli.targets import short
from reactor.cli.text import clean, clean_lines, escape_json
from reactor.define.foreign import decode_foreign
from reactor.define.problems import problems_of
from reactor.errors import InputInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.define.definition import Definition, InputDefinition
    from reactor.define.reactor import Reactor

_NO_JSON: Any = object()
Said = dict[str, Any]  # what a file or a command line says of each input


def build(definition: Definition, pairs: Sequence[str], source: str | None, target: str) -> Reactor:
    """The reactor with its inputs. `source` is a JSON file's path, or `-` for stdin; `pairs` win over it.

    Raises `Problem` with every wrong, missing and unknown input, before anything began.
    """
    said = _document(source) if source is not None else {}
    told: dict[str, str] = {}  # of a text that fits no type, what the library's own words would not say
    fields = {field.name: field for field in definition.inputs}
    for name, text in _pairs(pairs).items():
        field = fields.get(name)
        said[name] = text if field is None else _from_text(field, text, told)
    problems = [(path, told.get(path, text)) for path, text in problems_of(definition.inputs, said, str_keys=True)]
    if problems:
        raise _problem(definition, target, [f"`{clean(path, 80)}` {clean(text)}" for path, text in problems])
    try:
        built: Reactor = definition.cls(**{name: _as_typed(fields[name], value) for name, value in said.items()})
    except InputInvalid as error:  # a rule across fields
        where = [f"  at {short(error.where.file)}:{error.where.line}"] if error.where is not None else []
        raise _problem(definition, target, [*clean_lines(error.what), *where], code=error.code) from None
    return built


# ---- reading --------------------------------------------------------------------------------------------------


def _pairs(pairs: Sequence[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            shown = re.split(r"\W", name, maxsplit=1)[0]  # what follows may be a secret: `token:s3cr3t`
            dots = "…" if shown != name else ""
            raise Problem(f"an argument is not key=value: {clean(shown, 60) + dots!r}", "fix: order_id=7, or lines='[1, 2]'", code="usage")
        if name in said:
            raise Problem(f"{clean(name, 60)} is given twice", "fix: give it once", code="usage")
        said[name] = value
    return said


def _document(source: str) -> Said:
    where = "standard input" if source == "-" else short(source)
    try:
        body = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except FileNotFoundError:
        folder = Path(source).parent
        known = sorted(entry.name for entry in folder.glob("*.json")) if folder.is_dir() else []
        raise Problem(f"there is no file {where}", *teach(Path(source).name, known, "JSON files there"), code="input-file") from None
    except OSError as error:
        raise Problem(f"{where} cannot be read: {clean(error.strerror or error)}", code="input-file") from None
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Problem(f"{where}{_line_of(body, str(error))} is not JSON: {clean(error)}", code="input-file") from None
    if not isinstance(said, dict):
        raise Problem(f"{where} must hold one JSON object, an entry an input; it holds {_json_kind(said)}", code="input-file")
    return said


def _line_of(body: bytes, message: str) -> str:
    """`:line:column` of the byte that a decode error speaks of."""
    found = re.search(r"byte (\d+)", message)
    if not found:
        return ""
    before = body[: int(found[1])]
    return f":{before.count(10) + 1}:{len(before) - (before.rfind(10) + 1) + 1}"


def _json_kind(value: object) -> str:
    kinds = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
    return kinds.get(type(value), "something else")


# ---- converting -----------------------------------------------------------------------------------------------


def _from_text(field: InputDefinition, text: str, told: dict[str, str]) -> Any:
    """The text as its field's type: as it stands if it fits, else as JSON; else unchanged, to be refused."""
    if field.type is Any or field.type is object:
        return _parsed(text, text)
    try:
        return msgspec.convert(text, field.type, strict=False, dec_hook=decode_foreign)
    except (msgspec.MsgspecError, RecursionError):
        value = _parsed(text, _NO_JSON)
    if is_structured(field.type) and not isinstance(value, list | dict):
        told[field.name] = f"is not `{spell(field.type)}`, which is written as JSON: {_shape(field)}"
    return text if value is _NO_JSON else value


def _parsed(text: str, otherwise: Any) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # a lone surrogate from the shell's bytes is no JSON either
        return otherwise


def _as_typed(field: InputDefinition, value: Any) -> Any:
    """JSON as the field's type, so that an object's keys may be numbers; what is typed already stays."""
    return msgspec.convert(value, field.type, str_keys=True, dec_hook=decode_foreign)


# ---- telling --------------------------------------------------------------------------------------------------


def _shape(field: InputDefinition) -> str:
    return f"{field.name}='{escape_json(msgspec.json.encode(example(field.type)).decode())}'"


def _given(field: InputDefinition) -> str:
    """What to type for a field, as an example."""
    value = example(field.type)
    if isinstance(value, list | dict):
        return _shape(field)
    return f"{field.name}={'true' if value is True else value}"


def inputs_table(definition: Definition) -> list[str]:
    """A line an input: name, type, and whether it is required."""
    rows = [(clean(f.name, 60), spell(f.type), _default(f)) for f in definition.inputs]
    names = max((len(r[0]) for r in rows), default=0)
    kinds = min(max((len(r[1]) for r in rows), default=0), 40)
    return [f"  {name:<{names}}  {kind:<{kinds}}  {default}".rstrip() for name, kind, default in rows]


def _default(field: InputDefinition) -> str:
    secret = ", secret" if field.secret else ""
    if field.required:
        return f"required{secret}"
    return "optional, secret" if secret else f"optional ({clean(repr(field.default), 60)})"


def _problem(definition: Definition, target: str, wrong: list[str], code: str = InputInvalid.code) -> Problem:
    things = "1 thing is" if len(wrong) == 1 or code != InputInvalid.code else f"{len(wrong)} things are"
    where = f"{short(definition.span.file)}:{definition.span.line}"
    known = inputs_table(definition)
    takes = [f"inputs of {clean(definition.name, 80)} ({where}):", *known] if known else [f"{clean(definition.name, 80)} takes no inputs"]
    required = [_given(f) for f in definition.inputs if f.required]
    fix = f"fix: reactor run {clean(target)} {' '.join(required)}".rstrip()
    return Problem(f"{clean(definition.name, 80)} did not begin: {things} wrong with its inputs", *wrong, "", *takes, "", fix, code=code)
