"""References against the types of what they refer to: flags, paths, and what a map is over.

Checked once every annotation is resolved. This room refuses to know how types are read (`assembling.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.define import kinds
from reactor.define.binding import references
from reactor.define.definition import FromNode
from reactor.define.paths import Astray, follow, is_no_sequence
from reactor.define.results import Results
from reactor.define.sources import spelled
from reactor.define.teaching import def_span, nearest, parameter_span
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reactor.define.definition import NodeDefinition, Param, SourceDefinition
    from reactor.errors import Place


def check_wiring(nodes: Mapping[str, NodeDefinition], sources: Mapping[str, SourceDefinition]) -> None:
    """Raises DefinitionError for a `when` that is no bool, a path that leads nowhere, and a map over what has no elements."""
    for node in nodes.values():
        _check_flag(nodes, node)
        _check_params(nodes, node.fn, node.params)
        for handler in (node.undo, node.compensate):
            if handler is not None:
                _check_params(nodes, handler.fn, handler.params)
        if node.map is not None and isinstance(node.map.elements, FromNode):
            _check_elements(nodes, node, node.map.elements)
    for source in sources.values():
        _check_params(nodes, source.fn, source.params)


def value_type(node: NodeDefinition) -> Any:
    """The type of a node's value, as its dependents get it; Any where it cannot be told."""
    if node.kind == "map":
        results: Any = Results
        return results[Any if node.returns is None else node.returns]
    return Any if node.returns is None else node.returns


def _check_flag(nodes: Mapping[str, NodeDefinition], node: NodeDefinition) -> None:
    flag = nodes[node.when] if node.when is not None else None
    if flag is not None and value_type(flag) not in {bool, Any}:
        raise DefinitionError(
            f"`when` of `{node.name}` is `{flag.name}`, which gives `{kinds.name_of(value_type(flag))}`",
            code="when-not-bool",
            where=def_span(node.fn),
            known=tuple(n.name for n in nodes.values() if n.returns is bool and n.kind != "map"),
            fix=f"make a step that asks: `async def is_…(self, x: T = {flag.name}.result) -> bool`",
        )


def _check_params(nodes: Mapping[str, NodeDefinition], fn: Callable[..., Any], params: tuple[Param, ...]) -> None:
    for param in params:
        for reference in references(param.binding):
            if reference.path:
                _end_of(nodes, reference, f"the parameter `{param.name}` of `{fn.__name__}`", parameter_span(fn, param.name))


def _check_elements(nodes: Mapping[str, NodeDefinition], node: NodeDefinition, elements: FromNode) -> None:
    where = def_span(node.fn)
    end = _end_of(nodes, elements, f"the map `{node.name}`", where)
    said = f"{elements.node}.result{spelled(elements.path)}"
    if end is Results or getattr(end, "__origin__", None) is Results:
        raise DefinitionError(
            f"the map `{node.name}` is over `{said}`, the Results of a map, which are never all in memory",
            code="map-over-results",
            where=where,
            fix="do both in one map, or make a step between them that returns the list it needs",
        )
    if is_no_sequence(end):
        raise DefinitionError(
            f"the map `{node.name}` is over `{said}`, which is `{kinds.name_of(end)}`, no sequence",
            code="not-elements",
            where=where,
            fix="map over a list, a tuple, or a @source",
        )


def _end_of(nodes: Mapping[str, NodeDefinition], reference: FromNode, of: str, where: Place) -> Any:
    try:
        return follow(value_type(nodes[reference.node]), reference.path)
    except Astray as astray:
        near = nearest(astray.part, astray.known)
        said = f"{reference.node}.result{spelled(reference.path)}"
        error = DefinitionError(
            f"{of} refers to `{said}`, and `{kinds.name_of(astray.annotation)}` has no `{astray.part}`",
            code="unknown-part",
            where=where,
            known=astray.known,
            nearest=near,
            fix=f"say `{near}`" if near else "take the whole result, and reach into it in the code",
        )
    raise error
