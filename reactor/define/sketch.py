"""All that can be known of a class before its annotations resolve: nodes, parameters, references, what waits for what.

Checked when the class is made. This room refuses to know types.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reactor.define.binding import Read, read_function, references, through_optional
from reactor.define.definition import FromNode, Literally
from reactor.define.members import Members, collect, is_optional
from reactor.define.sources import Ref, node_of, path_of, stands_in
from reactor.define.steps import Node, Source
from reactor.define.teaching import def_span, nearest, parameter_span
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reactor.define.definition import Span
    from reactor.define.handlers import Handler, HandlerKind
    from reactor.errors import Place


@dataclass(frozen=True, slots=True)
class HandlerSketch:
    """An `undo` or `compensate`: the function that the final class has for it."""

    fn: Callable[..., Any]
    read: Read
    handler: Handler


@dataclass(frozen=True, slots=True)
class SourceSketch:
    """A source and its parameters."""

    source: Any  # a Source; declared as one, a checker would take the field for a descriptor
    read: Read


@dataclass(slots=True)
class NodeSketch:
    """A node, its parameters, and the names that it waits for."""

    name: str
    node: Node[Any]
    read: Read
    when: str | None
    after: tuple[str, ...]
    elements: FromNode | Literally | str | None  # a str names a source
    waits_for: tuple[str, ...] = ()
    handlers: dict[HandlerKind, HandlerSketch] = field(default_factory=dict)


@dataclass(slots=True)
class Sketch:
    """A class, its names resolved and its types open."""

    members: Members
    nodes: dict[str, NodeSketch]
    sources: dict[str, SourceSketch]


WORDS = {"step": "step", "map": "map", "compose": "compose", "interrupt": "interrupt"}
_HANDED: dict[HandlerKind, str] = {"undo": "value", "compensate": "error"}


def sketch(cls: type[Any], span: Span, *, abstract: bool) -> Sketch:
    """Read the class. Raises DefinitionError for what is wrong whatever the annotations say."""
    members = collect(cls, span)
    sources = {name: _source(members, source) for name, source in members.sources.items()}
    made = Sketch(members, {name: _node(members, sources, name, node) for name, node in members.nodes.items()}, sources)
    check_cycles(made)
    for node in made.nodes.values():
        _handlers(made, node)
    if members.output is None and not abstract:
        raise _no_output(members)
    return made


def _no_output(members: Members) -> DefinitionError:
    known = tuple(members.nodes)
    near = nearest("output", known)
    return DefinitionError(
        f"{members.cls.__name__} has no output",
        code="no-output",
        where=members.span,
        known=known,
        nearest=near,
        fix=f"name the node that is its result `output`, or say `output = {near or (known[-1] if known else 'ship')}`; "
        "a base class that is never run says `abstract=True`",
    )


def _source(members: Members, source: Source[Any]) -> SourceSketch:
    keyed = source.options.key is not None
    read = read_function(members, source.fn, "the source", (), by_name="after" if keyed else None)
    if keyed and "after" not in inspect.signature(source.fn).parameters:
        raise DefinitionError(
            f"the source `{source.name}` has a key and takes no `after`",
            code="keyed-source-without-after",
            where=def_span(source.fn),
            fix=f"write `async def {source.name}(self, *, after: K | None)`: the last key, or None; go on after it",
        )
    return SourceSketch(source, read)


def _node(members: Members, sources: dict[str, SourceSketch], name: str, node: Node[Any]) -> NodeSketch:
    where = def_span(node.fn)
    handed = ("element",) if node.kind == "map" else ()
    read = read_function(members, node.fn, f"the {WORDS[node.kind]}", handed)
    options = node.options
    when = members.name_of(options.when, where, f"`when` of `{name}`") if options.when is not None else None
    if when is not None and is_optional(members.nodes[when]):
        raise DefinitionError(
            f"`when` of `{name}` is `{when}`, which has a `when` of its own and may be None",
            code="when-optional",
            where=where,
            fix="make a step that answers both questions with a bool",
        )
    after = tuple(members.name_of(one, where, f"`after` of `{name}`") for one in options.after)
    made = NodeSketch(name, node, read, when, after, _elements(members, name, node) if node.kind == "map" else None)
    made.waits_for = tuple(dict.fromkeys(_waits_for(made, sources)))
    return made


def _waits_for(made: NodeSketch, sources: dict[str, SourceSketch]) -> Iterator[str]:
    if isinstance(made.elements, FromNode):
        yield made.elements.node
    params = list(made.read.params)
    if isinstance(made.elements, str):
        params += sources[made.elements].read.params
    for param in params:
        yield from (reference.node for reference in references(param.binding))
    if made.when is not None:
        yield made.when
    yield from made.after


def _elements(members: Members, name: str, node: Node[Any]) -> FromNode | Literally | str:
    given, where, of = node.options.elements, def_span(node.fn), f"the map `{name}`"
    if isinstance(given, Source):
        return members.name_of(given, where, of)
    if isinstance(given, Ref):
        source = members.name_of(node_of(given), where, of)
        if is_optional(members.nodes[source]):
            raise through_optional(given, where, of)
        return FromNode(source, path_of(given))
    if isinstance(given, list | tuple | range) and not stands_in(given):
        return Literally(given if isinstance(given, tuple) else list(given))
    raise _not_elements(given, where, of)


def _not_elements(given: Any, where: Place, of: str) -> DefinitionError:
    if isinstance(given, Node):
        fix = f"say `@map_over({given.name}.result)`"
    elif stands_in(given):
        fix = "map over the result of a step that puts the list together"
    else:
        fix = "give a reference to a list, `price.result.lines`, a @source of the class, or a constant list"
    return DefinitionError(f"{of} is over {given!r}", code="not-elements", where=where, fix=fix)


# ---- undo and compensate --------------------------------------------------------------------------------------


def _handlers(made: Sketch, node: NodeSketch) -> None:
    for kind, handed in _HANDED.items():
        handler = made.members.handler(node.name, kind)
        if handler is None:
            continue
        fn = _final(made.members.cls, handler.fn)
        what = f"the {kind} of `{node.name}`,"
        read = read_function(made.members, fn, what, (handed,))
        _check_reach(made, node.name, kind, fn, read)
        node.handlers[kind] = HandlerSketch(fn, read, handler)


def _check_reach(made: Sketch, name: str, kind: HandlerKind, fn: Callable[..., Any], read: Read) -> None:
    wanted = [(param.name, reference.node) for param in read.params for reference in references(param.binding)]
    reachable = _ancestors(made, name) if wanted else {}
    for param, node in wanted:
        if node not in reachable:
            raise _out_of_reach(name, kind, fn, param, node, reachable)


def _final(cls: type[Any], fn: Callable[..., Any]) -> Callable[..., Any]:
    """The class's own method of the handler's name, where a subclass overrides it; else the handler itself."""
    owners = [base for base in cls.__mro__ if vars(base).get(fn.__name__) is fn]
    if not owners or fn.__name__ == "_":
        return fn
    final: Callable[..., Any] = getattr(cls, fn.__name__)
    if final is fn or _is_async(final):
        return final
    raise DefinitionError(
        f"`{fn.__name__}` is an undo or compensate in {owners[0].__name__}, and no `async def` here",
        code="override-kind",
        where=def_span(final) if inspect.isfunction(final) else def_span(fn),
        fix=f"make it `async def {fn.__name__}`, or give it another name",
    )


def _is_async(fn: Any) -> bool:
    return inspect.isfunction(fn) and inspect.iscoroutinefunction(inspect.unwrap(fn))


def _ancestors(made: Sketch, name: str) -> dict[str, None]:
    found: dict[str, None] = {}
    open_names = [name]
    while open_names:
        for parent in made.nodes[open_names.pop()].waits_for:
            if parent not in found:
                found[parent] = None
                open_names.append(parent)
    return found


def _out_of_reach(name: str, kind: str, fn: Callable[..., Any], param: str, wanted: str, reachable: dict[str, None]) -> DefinitionError:
    own = wanted == name
    why = f"on which `{name}` does not depend"
    if own:
        why = "which it is handed already" if kind == "undo" else "which failed and has none"
    return DefinitionError(
        f"`{param}` of `{fn.__name__}` is the result of `{wanted}`, {why}",
        code="handler-out-of-reach",
        where=parameter_span(fn, param),
        known=tuple(reachable),
        fix="drop the parameter" if own else f"let `{name}` depend on `{wanted}` (`after=[{wanted}]`), or take what it depends on",
    )


# ---- cycles ---------------------------------------------------------------------------------------------------


def check_cycles(made: Sketch) -> None:
    """Raises DefinitionError where a node waits for itself, round about: overrides can bring that about."""
    left = {name: len(node.waits_for) for name, node in made.nodes.items()}
    feeds: dict[str, list[str]] = {name: [] for name in made.nodes}
    for name, node in made.nodes.items():
        for parent in node.waits_for:
            feeds[parent].append(name)
    ready = [name for name, count in left.items() if count == 0]
    while ready:
        for name in feeds[ready.pop()]:
            left[name] -= 1
            if left[name] == 0:
                ready.append(name)
    stuck = {name for name, count in left.items() if count}
    if stuck:
        raise _cycle(made, stuck)


def _cycle(made: Sketch, stuck: set[str]) -> DefinitionError:
    path = [next(name for name in made.nodes if name in stuck)]
    while path.count(path[-1]) == 1:
        path.append(next(parent for parent in made.nodes[path[-1]].waits_for if parent in stuck))
    circle = path[path.index(path[-1]) :]
    last = made.nodes[circle[-2]]
    return DefinitionError(
        f"in {made.members.cls.__name__} nodes wait for each other: {' → '.join(reversed(circle))}",
        code="cycle",
        where=def_span(last.node.fn),
        fix=f"let `{circle[-2]}` take something else than `{circle[-1]}`'s result",
    )
