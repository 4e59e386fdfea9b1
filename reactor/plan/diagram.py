"""A plan to look at: a JSON-ready dict, plain text for a terminal, Mermaid for documents. Every branch of a compose is shown.

Children are drawn one level deep; a reactor that contains itself is drawn as a link back. Names and labels are the author's, so
they are escaped for each medium. `layout.py` and `svg.py` make the picture with coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from reactor.define.definition import FromNode, FromResource, Items, Literally, SourceDefinition
from reactor.plan.compile import plan_of
from reactor.plan.spelling import printable, spell_path, spell_seconds, spell_type, spell_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reactor.define.definition import Binding, InputDefinition, Span
    from reactor.define.retrying import Retry
    from reactor.plan.plan import Handler, Plan, PlanNode

How: TypeAlias = Literal["data", "elements", "source", "when", "after"]


@dataclass(frozen=True, slots=True)
class Use:
    """One reason why a node waits for another: which parameter reads what of it, or an order without data."""

    source: str  # the node that is waited for
    how: How
    name: str = ""  # the parameter
    path: str = ""  # behind the result: ".lines[0]"


def uses_of(node: PlanNode) -> list[Use]:
    """Why the node waits for its parents, in the order of its parameters; then its flag; then `after`.

    >>> from reactor import Reactor, step
    >>> class Two(Reactor):
    ...     @step
    ...     async def one(self) -> list[int]:
    ...         return [1]
    ...
    ...     @step
    ...     async def output(self, n: int = one.result[0]) -> int:
    ...         return n
    >>> uses_of(plan_of(Two).nodes[1])
    [Use(source='one', how='data', name='n', path='[0]')]
    """
    definition = node.definition
    uses = [use for param in definition.params for use in _uses(param.binding, "data", param.name)]
    if definition.map is not None:
        match definition.map.elements:
            case SourceDefinition(params=params):
                uses += [use for param in params for use in _uses(param.binding, "source", param.name)]
            case elements:
                uses += _uses(elements, "elements", "")
    if definition.when is not None:
        uses.append(Use(definition.when, "when"))
    return uses + [Use(name, "after") for name in definition.after]


def type_of(node: PlanNode) -> str:
    """The type of what dependents get, spelt out: `Results[Parcel]` of a map, `Card | None` behind a `when`."""
    spelt = " | ".join(dict.fromkeys(_types(node, set())))
    if node.kind == "map":
        return f"Results[{spelt}]"
    return spelt if node.when < 0 or spelt == "None" else f"{spelt} | None"


def _types(node: PlanNode, seen: set[type[Any]]) -> Iterator[str]:
    """Of a node that returns reactors, the types of their outputs; of a ring that has none of its own, `…`."""
    if node.returns is not None or not node.children:
        yield spell_type(node.returns)
        return
    for child in node.children:
        plan = plan_of(child)
        yield from _types(plan.nodes[plan.output], {*seen, child}) if child not in seen else ["…"]


def flags_of(node: PlanNode) -> list[str]:
    """What else the author said of a node, a few words each: `retry 4`, `timeout 5 s`, `undo`."""
    definition, flags = node.definition, []
    if definition.map is not None:
        if isinstance(definition.map.elements, SourceDefinition):
            flags.append(f"from {definition.map.elements.name}")
        flags.append(f"{definition.map.batch_size} a batch, {definition.map.in_flight} in flight")
        if definition.map.on_error == "collect":
            flags.append("collect")
    if node.retry is not None:
        flags.append("retry" if node.retry.stop is not None else f"retry {node.retry.attempts}")
    if node.timeout is not None:
        flags.append(f"timeout {spell_seconds(node.timeout)}")
    if definition.offload:
        flags.append(f"offload to {printable(definition.offload)}" if isinstance(definition.offload, str) else "offload")
    if definition.attempts is not None:
        flags.append(f"{definition.attempts} payloads")
    return flags + [name for name, handler in (("undo", node.undo), ("compensate", node.compensate)) if handler is not None]


# ---- JSON ------------------------------------------------------------------------------------------------------


def as_dict(plan: Plan, *, depth: int = 1) -> dict[str, Any]:
    """The plan as plain data for JSON: inputs, nodes, edges with their parameters and paths, flags, spans, children.

    Args:
        plan: what to describe.
        depth: how many levels of children are described under `children`; deeper ones are only named.
    """
    definition = plan.definition
    return {
        "name": plan.name,
        "version": definition.version,
        "fingerprint": plan.fingerprint,
        "output": definition.output,
        "type": type_of(plan.nodes[plan.output]),
        "may_park": plan.may_park,
        "span": _span(definition.span),
        "inputs": [_input(field) for field in definition.inputs],
        "nodes": [_node(node, output=node.index == plan.output) for node in plan.nodes],
        "edges": [_edge(plan, node, parent) for node in plan.nodes for parent in node.parents],
        "order": [plan.nodes[at].name for at in plan.order],
        "children": [as_dict(child, depth=depth - 1) for child in _children(plan)] if depth > 0 else [],
    }


def _node(node: PlanNode, *, output: bool) -> dict[str, Any]:
    definition = node.definition
    return {
        "name": node.name,
        "kind": node.kind,
        "type": type_of(node),
        "output": output,
        "async": node.is_async,
        "when": definition.when,
        "after": [*definition.after],
        "retry": _attempts(node.retry),
        "timeout": node.timeout,
        "offload": definition.offload,
        "attempts": definition.attempts,
        "undo": _handler(node.undo),
        "compensate": _handler(node.compensate),
        "map": _map(node),
        "resources": [spell_value(provider) for provider in node.providers],
        "children": [plan_of(child).name for child in node.children],
        "span": _span(definition.span),
    }


def _handler(handler: Handler | None) -> dict[str, Any] | None:
    if handler is None:
        return None
    reads = [use for param in handler.definition.params for use in _uses(param.binding, "data", param.name)]
    return {
        "name": getattr(handler.definition.fn, "__name__", ""),
        "retry": _attempts(handler.retry),
        "timeout": handler.timeout,
        "reads": [{"from": use.source, "parameter": use.name, "path": use.path} for use in reads],
        "span": _span(handler.definition.span),
    }


def _attempts(retry: Retry | None) -> int | None:
    return None if retry is None else retry.attempts


def _map(node: PlanNode) -> dict[str, Any] | None:
    definition = node.definition.map
    if definition is None:
        return None
    elements = definition.elements
    return {
        "elements": elements.name if isinstance(elements, SourceDefinition) else None,  # a source's name; else see the edges
        "keyed": isinstance(elements, SourceDefinition) and elements.key is not None,
        "element": spell_type(definition.element),
        "batch_size": definition.batch_size,
        "in_flight": definition.in_flight,
        "on_error": definition.on_error,
    }


def _edge(plan: Plan, node: PlanNode, parent: int) -> dict[str, Any]:
    source = plan.nodes[parent].name
    uses = [{"how": use.how, "parameter": use.name, "path": use.path} for use in uses_of(node) if use.source == source]
    return {"from": source, "to": node.name, "uses": uses}


def _input(field: InputDefinition) -> dict[str, Any]:
    default = None if field.required else "•••" if field.secret else spell_value(field.default)
    return {
        "name": field.name,
        "type": spell_type(field.type),
        "required": field.required,
        "default": default,  # spelt out
        "secret": field.secret,
        "index": field.index,
    }


def _span(span: Span) -> dict[str, Any]:
    return {"file": span.file, "line": span.line, "end_line": span.end_line}


# ---- plain text ------------------------------------------------------------------------------------------------


def text(plan: Plan) -> str:
    """The plan for a terminal: one line a node in an order in which they could run, children below the node that returns them."""
    lines = [f"{title_of(plan)} -> {type_of(plan.nodes[plan.output])}"]
    lines += [f"  {field['name']}: {field['type']}{_default(field)}" for field in map(_input, plan.definition.inputs)]
    lines.append("")
    drawn = {plan.definition.cls}
    rows = [_row(plan, node) for node in _in_order(plan)]
    widths = _widths(rows)
    for node, row in zip(_in_order(plan), rows, strict=True):
        lines.append(_line(row, widths))
        lines += _child_lines(node, drawn)
    return "\n".join(lines) + "\n"


def title_of(plan: Plan) -> str:
    """`checkout (version 3)`; the version only where it says something."""
    name = printable(plan.name)
    return name if plan.definition.version == 1 else f"{name} (version {plan.definition.version})"


def _default(field: dict[str, Any]) -> str:
    return "" if field["required"] else f" = {field['default']}"


def _in_order(plan: Plan) -> list[PlanNode]:
    return [plan.nodes[at] for at in plan.order]


def _row(plan: Plan, node: PlanNode) -> tuple[str, str, str, str]:
    name = f"{node.name} (output)" if node.index == plan.output and node.name != "output" else node.name
    waits = ", ".join(_because(node, plan.nodes[parent].name) for parent in node.parents)
    return name, node.kind, type_of(node), " · ".join([f"<- {waits}"] * bool(waits) + flags_of(node))


def _because(node: PlanNode, source: str) -> str:
    uses = [use for use in uses_of(node) if use.source == source]
    paths = "/".join(dict.fromkeys(use.path for use in uses if use.path))
    hows = "".join(f" ({how})" for how in dict.fromkeys(use.how for use in uses) if how in ("when", "after"))
    return f"{source}{paths}{hows}"


def _widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    return [min(32, max(len(row[column]) for row in rows)) for column in range(3)]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return f"  {'  '.join([*cells, row[3]])}".rstrip()


def _child_lines(node: PlanNode, drawn: set[type[Any]]) -> Iterator[str]:
    children = [plan_of(child) for child in node.children]
    for at, child in enumerate(children):
        last = at == len(children) - 1
        yield f"  {'└' if last else '├'}─ {title_of(child)}{' (above)' if child.definition.cls in drawn else ''}"
        if child.definition.cls in drawn:
            continue
        drawn.add(child.definition.cls)
        rows = [_row(child, inner) for inner in _in_order(child)]
        widths = _widths(rows)
        for inner, row in zip(_in_order(child), rows, strict=True):
            returns = [printable(plan_of(grandchild).name) for grandchild in inner.children]
            deeper = f" · returns {' | '.join(returns)}" if returns else ""
            yield f"  {' ' if last else '│'}  {_line(row, widths)}{deeper}"


# ---- Mermaid ---------------------------------------------------------------------------------------------------

_SHAPES = {"step": ("[", "]"), "map": ("[[", "]]"), "compose": ("[/", "/]"), "interrupt": ("{{", "}}")}
_STYLES = (
    "classDef step fill:#eef2f7,stroke:#64748b,color:#0f172a",
    "classDef map fill:#f3e8ff,stroke:#9333ea,color:#0f172a",
    "classDef compose fill:#ccfbf1,stroke:#0d9488,color:#0f172a",
    "classDef interrupt fill:#fef3c7,stroke:#d97706,color:#0f172a",
    "classDef output stroke-width:3px",
)
_ENTITIES = {char: f"#{ord(char)};" for char in '#"<>&`%'}  # a quoted label ends at a quote; %% begins a comment anywhere


def mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flowchart; its children as subgraphs beside it, each once."""
    drawn: dict[type[Any], str] = {plan.definition.cls: "n"}  # what is drawn already, and the prefix of its nodes
    lines = ["flowchart TD", *_flow(plan, "n")]
    children = _children(plan)
    for at, child in enumerate(children):
        drawn[child.definition.cls] = f"c{at}n"
        lines += [f'    subgraph c{at}["{_escaped(title_of(child))}"]', *_flow(child, f"c{at}n"), "    end"]
    for member in (plan, *children):
        lines += _links(member, drawn)
    return "\n".join([*lines, *(f"    {style}" for style in _STYLES)]) + "\n"


def _flow(plan: Plan, prefix: str) -> Iterator[str]:
    for node in plan.nodes:
        opening, closing = _SHAPES[node.kind]
        label = f"<b>{_escaped(node.name)}</b><br/>{_escaped(type_of(node))}"
        yield f'    {prefix}{node.index}{opening}"{label}"{closing}:::{node.kind}'
        if node.index == plan.output:
            yield f"    class {prefix}{node.index} output"
    for node in plan.nodes:
        for parent in node.parents:
            yield f"    {prefix}{parent} {_arrow(node, plan.nodes[parent].name)} {prefix}{node.index}"


def _arrow(node: PlanNode, source: str) -> str:
    uses = [use for use in uses_of(node) if use.source == source]
    labels = [use.path or use.how for use in uses if use.path or use.how in ("when", "after")]
    line = "-->" if any(use.how not in ("when", "after") for use in uses) else "-.->"
    return f'{line}|"{_escaped(", ".join(dict.fromkeys(labels)))}"|' if labels else line


def _links(plan: Plan, drawn: dict[type[Any], str]) -> Iterator[str]:
    """From each node to the children it may return: to the subgraph, or, back, to the first node of what it is inside of."""
    own = drawn[plan.definition.cls]
    for node in plan.nodes:
        for child in map(plan_of, node.children):
            prefix = drawn.get(child.definition.cls)
            if prefix is None:
                continue
            back = prefix in (own, "n")
            target = f"{prefix}{child.order[0]}" if back else prefix.removesuffix("n")
            yield f'    {own}{node.index} -.->|"{"again" if back else "returns"}"| {target}'


def _escaped(label: str) -> str:
    return "".join(_ENTITIES.get(char, char) for char in printable(label))


# ---- common ----------------------------------------------------------------------------------------------------


def _uses(binding: Binding, how: How, name: str) -> Iterator[Use]:
    match binding:
        case FromNode(node, path):
            yield Use(node, how, name, spell_path(path))
        case Items(items=items):
            for item in items:
                yield from _uses(item, how, name)
        case FromResource() | Literally():
            pass


def _children(plan: Plan) -> list[Plan]:
    """The plans that the nodes may return, each once, but for the plan itself."""
    children = dict.fromkeys(child for node in plan.nodes for child in node.children)
    return [plan_of(child) for child in children if child is not plan.definition.cls]
