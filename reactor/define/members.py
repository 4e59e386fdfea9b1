"""The nodes and sources that a class ends up with, by name: base classes first, overrides in their place.

This room refuses to know parameters, types and what depends on what.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reactor.define.steps import Node, OptionalComposed, OptionalStep, Source
from reactor.define.teaching import def_span, nearest, span_of
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from reactor.define.definition import Span
    from reactor.define.handlers import Handler, HandlerKind
    from reactor.errors import Place


@dataclass(slots=True)
class Members:
    """What `collect` found. `declared` holds each name's nodes, the most derived last."""

    cls: type[Any]
    span: Span
    nodes: dict[str, Node[Any]] = field(default_factory=dict)
    declared: dict[str, list[Node[Any]]] = field(default_factory=dict)
    sources: dict[str, Source[Any]] = field(default_factory=dict)
    output: str | None = None

    def name_of(self, node: Node[Any] | Source[Any], where: Place, said: str) -> str:
        """The name that a node or source of this class goes by, whoever overrides it. Raises DefinitionError for another's."""
        if node.owner is None:
            raise DefinitionError(
                f"{said} refers to `{node.name}`, whose name something else in the class body has taken since",
                code="node-replaced",
                where=where,
                fix=f"give the two different names; the first is at line {span_of(node.fn).line}",
            )
        if not issubclass(self.cls, node.owner):
            raise DefinitionError(
                f"{said} refers to `{node.name}` of {node.owner.__name__}, which is no base of {self.cls.__name__}",
                code="foreign-node",
                where=where,
                known=tuple(self.nodes),
                nearest=nearest(node.name, self.nodes),
                fix=f"compose {node.owner.__name__} (`@compose`), and refer to the compose node's result",
            )
        if node.name not in (self.nodes if isinstance(node, Node) else self.sources):
            raise DefinitionError(
                f"{said} refers to `{node.name}`, which `output = …` hides",
                code="node-hidden",
                where=where,
                known=tuple(self.nodes),
                fix="rename the hidden step, or override it instead",
            )
        return node.name

    def handler(self, name: str, kind: HandlerKind) -> Handler | None:
        """The most derived handler of a node: an override keeps the ones of its name."""
        for node in reversed(self.declared[name]):
            if kind in node.handlers:
                found: Handler = node.handlers[kind]
                return found
        return None


def is_optional(node: Node[Any]) -> bool:
    """Whether it has a `when`."""
    return isinstance(node, OptionalStep | OptionalComposed)


def collect(cls: type[Any], span: Span) -> Members:
    """Walk the class and its bases. Raises DefinitionError where an override changes the kind, or a node has two names."""
    found = Members(cls, span)
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Node):
                _take_node(found, base, name, value)
            elif isinstance(value, Source):
                _take_source(found, name, value)
            elif name in found.nodes or name in found.sources:
                raise _no_longer(found, name, value)
    return found


def _take_node(found: Members, base: type[Any], name: str, node: Node[Any]) -> None:
    if node.name != name:
        _take_alias(found, base, name, node)
        return
    before = found.nodes.get(name)
    if name in found.sources:
        raise _other_kind(name, "source", node.kind, node)
    if before is not None and (before.kind, is_optional(before)) != (node.kind, is_optional(node)):
        raise _other_kind(name, _kind(before), _kind(node), node)
    found.nodes[name] = node
    found.declared.setdefault(name, []).append(node)
    if name == "output":
        found.output = name


def _take_alias(found: Members, base: type[Any], name: str, node: Node[Any]) -> None:
    where = def_span(node.fn)
    if name != "output":
        raise DefinitionError(
            f"the {node.kind} `{node.name}` goes by `{name}` too",
            code="two-names",
            where=where,
            fix="keep one name; only `output = …` names a node again",
        )
    found.nodes.pop("output", None)
    found.output = found.name_of(node, where, f"`output` of {base.__name__}")


def _take_source(found: Members, name: str, source: Source[Any]) -> None:
    if source.name != name:
        raise DefinitionError(
            f"the source `{source.name}` goes by `{name}` too", code="two-names", where=def_span(source.fn), fix="keep one name"
        )
    if name in found.nodes:
        raise _other_kind(name, _kind(found.nodes[name]), "source", source)
    found.sources[name] = source


def _kind(node: Node[Any]) -> str:
    return f"{node.kind} with `when`" if is_optional(node) else node.kind


def _other_kind(name: str, before: str, now: str, node: Node[Any] | Source[Any]) -> DefinitionError:
    return DefinitionError(
        f"`{name}` is a {before} in a base class, and a {now} here",
        code="override-kind",
        where=def_span(node.fn),
        fix=f"keep it a {before}, or give it another name",
    )


def _no_longer(found: Members, name: str, value: object) -> DefinitionError:
    where = def_span(value) if callable(value) else found.span
    return DefinitionError(
        f"`{name}` is a node in a base class, and {type(value).__name__} here",
        code="override-kind",
        where=where,
        fix=f"decorate it as the base class does, or give it another name than `{name}`",
    )
