"""`Definition → Plan`: edges, degrees, a topological order, and arguments that bind at the speed of C.

A plan is compiled once for a class and shared by all its runs. The plans of children are compiled by name when first needed, so
a reactor may contain itself. Names, kinds and cycles were checked in `define/`; here a cycle is only a broken promise.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reactor.define.definition import Definition, FromNode, HandlerDefinition, Literally, MapDefinition, NodeDefinition, SourceDefinition
from reactor.define.kinds import check_encodable, output_of
from reactor.define.reactor import definition_of
from reactor.define.teaching import nearest
from reactor.errors import DefinitionError
from reactor.plan.binding import bind_of, call_of, names_of, path_of, providers_of
from reactor.plan.fingerprint import fingerprint_of
from reactor.plan.plan import Handler, MapPlan, Plan, PlanNode, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SLOT = "__reactor_plan__"


def plan_of(cls: type[Any]) -> Plan:
    """The plan of a reactor class, compiled when first asked for and kept on the class itself (never on a subclass).

    Args:
        cls: a subclass of `Reactor` that has an output.

    Raises:
        DefinitionError: an annotation, a reference or a name of it, or of a child that it can reach, does not hold.

    >>> from reactor import Reactor, step
    >>> class Greet(Reactor):
    ...     @step
    ...     async def output(self) -> str:
    ...         return "hello"
    >>> plan_of(Greet).nodes[0].name
    'output'
    """
    found = cls.__dict__.get(_SLOT)
    if found is None:
        found = compile_plan(definition_of(cls))
        setattr(cls, _SLOT, found)
    plan: Plan = found
    return plan


def child_plan(plan: Plan, node_index: int, reactor_name: str) -> Plan:
    """The plan of the child that a compose (or a map over reactors) returned, by the child's name or one of its aliases.

    Args:
        plan: the parent's plan.
        node_index: the compose or map node in it.
        reactor_name: what the child calls itself, or called itself when the run was recorded.

    Raises:
        DefinitionError: the node's return annotation lists no reactor of this name, or the child is not sound.
    """
    children = plan.nodes[node_index].children
    found = plan._children.get(reactor_name)  # noqa: SLF001 - the plan's cache, and this is the one function that fills it
    if found is None or found.definition.cls not in children:  # two nodes may have different children of one name
        found = plan._children[reactor_name] = plan_of(_child_named(plan, node_index, reactor_name))  # noqa: SLF001
    return found


def compile_plan(definition: Definition) -> Plan:
    """Compile a definition. Prefer `plan_of`, which does so once for a class.

    Raises:
        DefinitionError: a child that it can reach is not sound.
    """
    index = {name: at for at, name in enumerate(definition.nodes)}
    parents = [_parents_of(node, index) for node in definition.nodes.values()]
    feeds = _feeds_of(parents, list(index.values()))
    bare = [_node_of(at, node, index, (parents[at], tuple(feeds[at]))) for at, node in enumerate(definition.nodes.values())]
    family = family_of(definition)
    _check_elements(definition)
    in_degrees = [len(above) for above in parents]
    return Plan(
        definition=definition,
        name=definition.name,
        fingerprint=fingerprint_of(family),
        nodes=tuple(bare),
        index=index,
        in_degrees=in_degrees,
        out_degrees=[len(below) for below in feeds],
        roots=tuple(at for at, degree in enumerate(in_degrees) if degree == 0),
        output=index[definition.output],
        order=_order_of(definition, in_degrees, feeds),
        may_park=any(node.kind == "interrupt" for member in family for node in member.nodes.values()),
    )


def family_of(definition: Definition) -> list[Definition]:
    """The definition, then every reactor that can be reached from it through children, each once, in order of discovery.

    Raises:
        DefinitionError: one of them is not sound.
    """
    family = {definition.cls: definition}
    waiting = deque([definition])
    while waiting:
        for node in waiting.popleft().nodes.values():
            for child in node.children:
                if child not in family:
                    family[child] = definition_of(child)
                    waiting.append(family[child])
    return list(family.values())


# ---- edges -----------------------------------------------------------------------------------------------------


def _check_elements(definition: Definition) -> None:
    """A map's results are kept as bytes: where its elements are reactors, their outputs are only known here."""
    for node in definition.nodes.values():
        for child in node.children if node.kind == "map" else ():
            output = output_of(child)
            if output is not None:
                check_encodable(output, f"the output of {child.__name__}, an element of the map `{node.name}`,", node.span)


def _parents_of(node: NodeDefinition, index: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sorted({index[name] for name in _parent_names(node)}))


def _parent_names(node: NodeDefinition) -> Iterator[str]:
    yield from names_of(node.params)
    if node.map is not None:
        match node.map.elements:
            case FromNode(name):
                yield name
            case SourceDefinition(params=params):
                yield from names_of(params)
            case Literally():
                pass
    if node.when is not None:
        yield node.when
    yield from node.after


def _feeds_of(parents: Sequence[tuple[int, ...]], places: Sequence[int]) -> list[list[int]]:
    feeds: list[list[int]] = [[] for _ in parents]
    for at, above in zip(places, parents, strict=True):  # the index's own ints: one object a number is read from memory once
        for parent in above:
            feeds[parent].append(at)
    return feeds


def _order_of(definition: Definition, in_degrees: Sequence[int], feeds: Sequence[Sequence[int]]) -> tuple[int, ...]:
    left = list(in_degrees)
    order: list[int] = [at for at, degree in enumerate(left) if degree == 0]
    for at in order:  # grows while it is read
        for below in feeds[at]:
            left[below] -= 1
            if left[below] == 0:
                order.append(below)
    if len(order) != len(left):
        raise AssertionError(f"{definition.name}: a cycle reached the plan; it should have been refused when the class was made")
    return tuple(order)


# ---- nodes -----------------------------------------------------------------------------------------------------


def _node_of(at: int, node: NodeDefinition, index: Mapping[str, int], edges: tuple[tuple[int, ...], tuple[int, ...]]) -> PlanNode:
    return PlanNode(
        index=at,
        name=node.name,
        kind=node.kind,
        call=call_of(node.fn, node.params),
        bind=bind_of(node.params, index),
        providers=providers_of(node.params),
        is_async=node.is_async,
        retry=node.retry,
        timeout=node.timeout,
        when=-1 if node.when is None else index[node.when],
        parents=edges[0],
        feeds=edges[1],
        undo=_handler_of(node.undo, index),
        compensate=_handler_of(node.compensate, index),
        children=node.children,
        map=_map_of(node.map, index),
        returns=node.returns,
        definition=node,
    )


def _handler_of(handler: HandlerDefinition | None, index: Mapping[str, int]) -> Handler | None:
    if handler is None:
        return None
    return Handler(
        call=call_of(handler.fn, handler.params),
        bind=bind_of(handler.params, index),
        providers=providers_of(handler.params),
        retry=handler.retry,
        timeout=handler.timeout,
        definition=handler,
    )


def _map_of(definition: MapDefinition | None, index: Mapping[str, int]) -> MapPlan | None:
    if definition is None:
        return None
    return MapPlan(
        source=_source_of(definition.elements, index),
        batch_size=definition.batch_size,
        in_flight=definition.in_flight,
        on_error=definition.on_error,
        element=definition.element,
    )


def _source_of(elements: FromNode | Literally | SourceDefinition, index: Mapping[str, int]) -> Source:
    at_hand = Source(sequence=None, call=None, bind=bind_of((), index), providers=(), key=None)
    match elements:
        case FromNode(node):
            place, follow = index[node], path_of(elements)
            if follow is None:
                return replace(at_hand, sequence=lambda values: values[place])
            return replace(at_hand, sequence=lambda values: follow(values[place]))
        case Literally(value):
            return replace(at_hand, sequence=lambda _values: value)
        case SourceDefinition(fn=fn, params=params, key=key):
            return Source(
                sequence=None,
                call=call_of(fn, params, by_name=key is not None),  # a keyed one is also handed after=, wherever that stands
                bind=bind_of(params, index),
                providers=providers_of(params),
                key=key,
            )


# ---- children --------------------------------------------------------------------------------------------------


def _child_named(plan: Plan, node_index: int, reactor_name: str) -> type[Any]:
    node = plan.nodes[node_index]
    definitions = [definition_of(child) for child in node.children]
    for child in definitions:
        if child.name == reactor_name:
            return child.cls
    for child in definitions:
        if reactor_name in child.aliases:
            return child.cls
    known = sorted(child.name for child in definitions)
    raise DefinitionError(
        f"{plan.name}.{node.name} returned the reactor `{reactor_name}`, which its return annotation does not list",
        code="unknown-child",
        where=node.definition.span,
        known=known,
        nearest=nearest(reactor_name, known),
        fix=f"add the class of `{reactor_name}` to the union that `{node.name}` returns",
    )
