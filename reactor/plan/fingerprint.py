"""What a plan is, as sixteen bytes: equal in every process, hash seed and folder, other when what a record must fit changes.

In it: names and kinds of nodes, their edges with paths, constants, types (by structure: fields, constraints, tags), `when`,
`after`, sources, `on_error`, whether a node has an undo or a compensate and what those read, secret inputs, and all of this of
every reactor that can be reached through children. Not in it: `retry`, `timeout`, `offload`, `attempts`, `batch_size`,
`in_flight`, `max_running`, `version`, `aliases`, method bodies, docstrings, spans, and the order of methods; none
of them can keep code from going on with a run. Functions and classes without structure count by their qualified names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, TypeAlias

from reactor.define.definition import (
    Binding,
    Definition,
    FromNode,
    FromResource,
    HandlerDefinition,
    InputDefinition,
    Items,
    Key,
    Literally,
    MapDefinition,
    NodeDefinition,
    Param,
    SourceDefinition,
)
from reactor.plan.rendering import Rendered, Renderer, sorted_by_text

Family: TypeAlias = Mapping[type[Any], int]


def fingerprint_of(family: Sequence[Definition]) -> str:
    """Thirty-two hex digits for the first definition; the others are those it can reach, in order of discovery.

    Children refer to each other by their place in that order, so a reactor that contains itself has a fingerprint as well.
    """
    places = {definition.cls: at for at, definition in enumerate(family)}
    renderer = Renderer()
    document = [_definition(definition, places, renderer) for definition in family]
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _definition(definition: Definition, family: Family, renderer: Renderer) -> Rendered:
    nodes = sorted(definition.nodes.values(), key=lambda node: node.name)
    inputs = sorted(definition.inputs, key=lambda field: field.name)
    return [
        definition.name,
        definition.output,
        [_input(field, renderer) for field in inputs],
        [_node(node, family, renderer) for node in nodes],
    ]


def _input(field: InputDefinition, renderer: Renderer) -> Rendered:
    default = "required" if field.required else renderer.value(field.default)
    return [field.name, renderer.type(field.type), default, str(field.secret)]


def _node(node: NodeDefinition, family: Family, renderer: Renderer) -> Rendered:
    return [
        node.name,
        node.kind,
        renderer.type(node.returns),
        _params(node.params, renderer),
        node.when or "",
        [*sorted(set(node.after))],
        [*sorted(str(family[child]) for child in node.children)],
        _map(node.map, renderer),
        _handler(node.undo, renderer),
        _handler(node.compensate, renderer),
    ]


def _handler(handler: HandlerDefinition | None, renderer: Renderer) -> Rendered:
    return "" if handler is None else _params(handler.params, renderer)


def _map(definition: MapDefinition | None, renderer: Renderer) -> Rendered:
    if definition is None:
        return ""
    elements = definition.elements
    source = _source(elements, renderer) if isinstance(elements, SourceDefinition) else _binding(elements, renderer)
    return [source, renderer.type(definition.element), definition.on_error]


def _source(source: SourceDefinition, renderer: Renderer) -> Rendered:
    keyed = "plain" if source.key is None else "keyed"
    return [source.name, keyed, renderer.type(source.element), _params(source.params, renderer)]


def _params(params: Sequence[Param], renderer: Renderer) -> Rendered:
    return sorted_by_text([[param.name, renderer.type(param.type), _binding(param.binding, renderer)] for param in params])


def _binding(binding: Binding, renderer: Renderer) -> Rendered:
    match binding:
        case FromNode(node, path):
            return ["node", node, *[_part(part) for part in path]]
        case FromResource(provider):
            return ["resource", renderer.value(provider)]
        case Literally(value):
            return ["literal", renderer.value(value)]
        case Items(kind, items, keys):
            return [kind, [_binding(item, renderer) for item in items], [renderer.value(key) for key in keys]]


def _part(part: str | int | Key) -> Rendered:
    match part:
        case Key(name):
            return ["key", name]
        case int():
            return ["index", str(part)]
        case str():
            return ["attribute", part]
