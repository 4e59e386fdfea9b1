"""Which interrupt a word on the command line means, and its payload: by its name or address, as JSON that its type takes.

This room refuses to know stores and engines: it has the author's classes, and what a record says of its children.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from reactor.cli.problems import Problem, teach
from reactor.cli.shapes import example, is_structured, spell
from reactor.cli.targets import short
from reactor.cli.text import clean
from reactor.define.foreign import decode_foreign, encode_foreign
from reactor.define.reactor import definition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reactor.define.definition import Definition, NodeDefinition
    from reactor.define.reactor import Reactor
    from reactor.define.steps import Interrupt


class Chosen(NamedTuple):
    """An interrupt: of which class, the node, and the object that `signal` takes."""

    cls: type[Reactor]
    node: NodeDefinition
    interrupt: Any  # as `Checkout.approval`: a checker would take it for a descriptor here


def choose(reactors: Iterable[type[Reactor]], word: str, children: Mapping[str, str]) -> Chosen:
    """The interrupt of this name or address, in these reactors or those that they open.

    `children` says which a record has opened, by address. Raises `Problem` where there is none, or several could be meant.
    """
    above, _, name = word.rpartition(".")
    name = name.partition("[")[0]
    family = _family(reactors)
    found = [definition for definition in family if name in definition.nodes and definition.nodes[name].kind == "interrupt"]
    opened = children.get(above)
    meant = [definition for definition in found if opened in (definition.name, *definition.aliases)]
    found = meant if opened is not None and meant else found
    if len({_interrupt(definition, name) for definition in found}) > 1 and not above:
        roots = {definition_of(cls).name for cls in reactors}
        found = [definition for definition in found if definition.name in roots] or found
    if not found:
        known = sorted({node.name for definition in family for node in definition.nodes.values() if node.kind == "interrupt"})
        lines = teach(name, known, "interrupts") or ["its reactor has no interrupt"]
        raise Problem(f"there is no interrupt {clean(word)}", *lines, code="unknown-interrupt")
    if len({_interrupt(definition, name) for definition in found}) > 1:
        names = ", ".join(clean(definition.name) for definition in found)
        fix = "fix: say the address that waits, as `reactor runs get` shows it"
        raise Problem(f"several reactors have an interrupt {clean(name)}: {names}", fix, code="ambiguous-interrupt")
    definition = found[0]
    return Chosen(definition.cls, definition.nodes[name], _interrupt(definition, name))


def _interrupt(definition: Definition, name: str) -> Interrupt[Any]:
    found: Interrupt[Any] = getattr(definition.cls, name)
    return found


def _family(reactors: Iterable[type[Reactor]]) -> list[Definition]:
    """These and all that they may open."""
    found: dict[type[Any], Definition] = {}
    waiting = list(reactors)
    while waiting:
        cls = waiting.pop(0)
        if cls not in found:
            found[cls] = definition_of(cls)
            waiting += [child for node in found[cls].nodes.values() for child in node.children]
    return list(found.values())


def payload(chosen: Chosen, text: str | None, source: str | None) -> bytes:
    """The payload as JSON: what was said, or a file's (`-`: stdin's); a text that is no JSON is taken as its type would have it.

    Raises `Problem` where there is none; whether it is right is for `signal` to say.
    """
    kind = chosen.node.returns
    if source is not None:
        if text is not None:
            raise Problem("a payload and --input exclude one another", "fix: say one of them", code="usage")
        return _read(source)
    if text is None:
        if kind is type(None):
            return b"null"
        shape = msgspec.json.encode(example(kind)).decode()
        given = f"'{shape}'" if is_structured(kind) else shape.strip('"')
        raise Problem(
            f"what does {clean(chosen.node.name)} get? It takes {spell(kind)}",
            f"fix: reactor runs signal ID {clean(chosen.node.name)} {given}",
            code="usage",
        )
    return _typed(kind, text)


def _typed(kind: Any, text: str) -> bytes:
    """As with an input: the text as its type where it fits, else as JSON, else as a text that will be refused."""
    try:
        if kind is not Any and kind is not object:
            return msgspec.json.encode(msgspec.convert(text, kind, strict=False, dec_hook=decode_foreign), enc_hook=encode_foreign)
    except (msgspec.MsgspecError, RecursionError, TypeError):
        pass
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return msgspec.json.encode(text)
    return text.encode()


def _read(source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise Problem(f"{short(source)} cannot be read: {clean(error.strerror or error)}", code="input-file") from None
