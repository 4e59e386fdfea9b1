"""The layout painted: one self-contained SVG, light and dark by media query, without script, every text escaped.

A node is a card: icon of its kind, name, type, and what else its author said. A compose is a card with its children inside, each
drawn once; deeper ones are named. `data-node` names each card, for whoever wants to paint a run's state over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from reactor.plan.compile import plan_of
from reactor.plan.diagram import flags_of, title_of, type_of, uses_of
from reactor.plan.layout import layout
from reactor.plan.spelling import printable, spell_type, spell_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.plan.layout import Box, Point, Route
    from reactor.plan.plan import Plan, PlanNode

_PAD = 12.0
_ICON = 22.0
_MARGIN = 28.0
_TEXT_MOST = 300.0  # pixels of one line on a card
_NAME, _TYPE, _FLAGS, _TITLE = 13.5, 12.0, 11.0, 19.0  # font sizes
_CHAR_WIDTHS = {**dict.fromkeys("iIjl.,:;'|!()[]{}ft r", 0.36), **dict.fromkeys("mwMW@%…↺", 0.92)}

_ICONS = {
    "step": '<path d="M5.5 3.2 13 8l-7.5 4.8z"/>',
    "map": '<path d="M2.5 3h11v2.4h-11zM2.5 6.8h11v2.4h-11zM2.5 10.6h11V13h-11z"/>',
    "compose": '<path d="M2.5 2.5h11v11h-11zm2 2v7h7v-7z" fill-rule="evenodd"/><path d="M6 6h4v4H6z"/>',
    "interrupt": '<path d="M4 3h3v10H4zM9 3h3v10H9z"/>',
}
_COLOURS = {
    "step": ("#475569", "#94a3b8"),
    "map": ("#9333ea", "#c084fc"),
    "compose": ("#0f766e", "#2dd4bf"),
    "interrupt": ("#b45309", "#fbbf24"),
}

_LIGHT = """
text{font-family:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif;fill:#0f172a}
.page{fill:#ffffff}.name{font-size:13.5px;font-weight:600}.type{font-size:12px;fill:#475569}.flags{font-size:11px;fill:#64748b}
.title{font-size:19px;font-weight:700}.input{font-size:12px;fill:#475569}.panel-title{font-size:12px;font-weight:600;fill:#475569}
.card{fill:#ffffff;stroke:#cbd5e1;stroke-width:1.25}.output>.card{stroke:#334155;stroke-width:2.25}.panel{fill:#f8fafc;stroke:#e2e8f0}
.glyph{fill:#ffffff}.edge path{fill:none;stroke:#94a3b8;stroke-width:1.5}.edge polygon{fill:#94a3b8}
.edge.when path{stroke:#d97706;stroke-dasharray:6 4}.edge.when polygon{fill:#d97706}.edge.after path{stroke-dasharray:2 4}
.edge text{font-size:10.5px;fill:#b45309}.left{text-anchor:end}
.edge:hover path{stroke:#2563eb;stroke-width:2.5}.edge:hover polygon{fill:#2563eb}
"""
_DARK = """
text{fill:#e2e8f0}.page{fill:#0b1120}.type,.input,.panel-title{fill:#a3b1c6}.flags{fill:#8b9bb4}
.card{fill:#172033;stroke:#334155}.output>.card{stroke:#cbd5e1}.panel{fill:#0f172a;stroke:#26334a}.glyph{fill:#0b1120}
.edge path{stroke:#64748b}.edge polygon{fill:#64748b}.edge.when path{stroke:#fbbf24}.edge.when polygon{fill:#fbbf24}.edge text{fill:#fbbf24}
.edge:hover path{stroke:#60a5fa}.edge:hover polygon{fill:#60a5fa}
"""


@dataclass(frozen=True, slots=True)
class _Picture:
    """Painted SVG, its upper left corner at (0, 0)."""

    body: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class _Card:
    """A node before it has a place: its lines of text with their classes, and the pictures of its children."""

    node: PlanNode
    lines: tuple[tuple[str, str], ...]  # (class, text)
    panels: tuple[_Picture, ...]
    width: float
    height: float


def svg(plan: Plan) -> str:
    """The plan as a self-contained SVG document.

    >>> from reactor import Reactor, step
    >>> class Greet(Reactor):
    ...     @step
    ...     async def output(self) -> str:
    ...         return "hello"
    >>> svg(plan_of(Greet)).startswith("<svg xmlns")
    True
    """
    graph = _graph(plan, {plan.definition.cls}, depth=1)
    head = _head(plan, graph.width)
    width, height = max(graph.width, head.width) + 2 * _MARGIN, graph.height + head.height + 2 * _MARGIN
    dark = "".join(f".tile.{kind}{{fill:{colour}}}" for kind, (_, colour) in _COLOURS.items())
    light = "".join(f".tile.{kind}{{fill:{colour}}}" for kind, (colour, _) in _COLOURS.items())
    style = f"{_LIGHT}{light}\n@media (prefers-color-scheme:dark){{{_DARK}{dark}}}\n"
    size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{_x(title_of(plan))}">',
            f"<style>{style}</style>",
            f'<rect class="page" width="{_n(width)}" height="{_n(height)}"/>',
            _moved(head.body, _MARGIN, _MARGIN),
            _moved(graph.body, _MARGIN + (width - 2 * _MARGIN - graph.width) / 2, _MARGIN + head.height),
            "</svg>\n",
        ]
    )


def _head(plan: Plan, room: float) -> _Picture:
    """The title, and the inputs on as many lines as they need."""
    title = _shortened(title_of(plan), _TITLE, 2 * _TEXT_MOST)
    inputs = [_input_text(field) for field in plan.definition.inputs]
    lines = _wrapped(inputs, max(room, 1.5 * _TEXT_MOST))
    parts = [_text("title", title, 0, 16), *[_text("input", line, 0, 40 + 18 * at) for at, line in enumerate(lines)]]
    width = max(_measure(title, _TITLE), *[_measure(line, _TYPE) for line in lines], 0.0)
    return _Picture("\n".join(parts), width, 48.0 + 18 * len(lines))


def _input_text(field: Any) -> str:
    default = "" if field.required else " = •••" if field.secret else f" = {spell_value(field.default)}"
    return _shortened(f"{field.name}: {spell_type(field.type)}{default}", _TYPE, _TEXT_MOST)


def _wrapped(words: Sequence[str], room: float) -> list[str]:
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]}  ·  {word}" if lines else word
        if lines and _measure(longer, _TYPE) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


# ---- a graph ---------------------------------------------------------------------------------------------------


def _graph(plan: Plan, drawn: set[type[Any]], *, depth: int) -> _Picture:
    cards = [_card(node, drawn, depth=depth) for node in plan.nodes]
    placed = layout(plan, [(card.width, card.height) for card in cards])
    parts = [_edge(plan, route, placed.nodes[route.target]) for route in placed.edges]
    parts += [_paint(card, box, output=card.node.index == plan.output) for card, box in zip(cards, placed.nodes, strict=True)]
    return _Picture("\n".join(parts), placed.width, placed.height)


def _edge(plan: Plan, route: Route, box: Box) -> str:
    source, target = plan.nodes[route.source], plan.nodes[route.target]
    uses = [use for use in uses_of(target) if use.source == source.name]
    hows = {use.how for use in uses}
    kind = "after" if hows == {"after"} else "when" if hows == {"when"} else ""
    said = [f"{target.name}.{use.name or use.how} = {source.name}.result{use.path}" for use in uses if use.how not in ("when", "after")]
    said += [f"{target.name} {use.how} {source.name}" for use in uses if use.how in ("when", "after")]
    x, y = route.points[-1]
    outwards = "left" if x < box.x + box.w / 2 else "right"  # away from the other edges that enter there
    label = _text(outwards, "when", x + (7 if outwards == "right" else -7), y - 12) if kind == "when" else ""
    head = f'<polygon points="{_n(x)},{_n(y)} {_n(x - 4)},{_n(y - 8)} {_n(x + 4)},{_n(y - 8)}"/>'
    return f'<g class="edge {kind}"><title>{_x(chr(10).join(said))}</title><path d="{_curve(route.points)}"/>{head}{label}</g>'


def _curve(points: Sequence[Point]) -> str:
    """Straight down, and between two layers a curve that leaves and arrives vertically; it ends at the arrow's foot."""
    (x, y), *rest = [*points[:-1], (points[-1][0], points[-1][1] - 6)]
    parts = [f"M{_n(x)} {_n(y)}"]
    for nx, ny in rest:
        middle = (y + ny) / 2
        if (nx, ny) != (x, y):
            parts.append(f"V{_n(ny)}" if nx == x else f"C{_n(x)} {_n(middle)} {_n(nx)} {_n(middle)} {_n(nx)} {_n(ny)}")
        x, y = nx, ny
    return "".join(parts)


# ---- a card ----------------------------------------------------------------------------------------------------


def _card(node: PlanNode, drawn: set[type[Any]], *, depth: int) -> _Card:
    name = _shortened(node.name, _NAME, _TEXT_MOST)
    lines = [("name", name), ("type", _shortened(type_of(node), _TYPE, _TEXT_MOST))]
    flags = flags_of(node)
    panels = []
    if node.children and depth == 0:
        flags.insert(0, f"returns {' | '.join(printable(plan_of(child).name) for child in node.children)}")
    elif node.children:
        panels = [_panel(plan_of(child), drawn) for child in node.children]
    if flags:
        lines.append(("flags", _shortened(" · ".join(flags), _FLAGS, _TEXT_MOST)))
    sizes = {"name": _NAME * 1.13, "type": _TYPE, "flags": _FLAGS}  # bold is a little wider
    width = _ICON + 10 + max(_measure(line, sizes[kind]) for kind, line in lines)
    height = 18.0 * len(lines)
    if panels:
        width = max(width, sum(panel.width for panel in panels) + _PAD * (len(panels) - 1))
        height += 10 + max(panel.height for panel in panels)
    return _Card(node, tuple(lines), tuple(panels), max(width + 2 * _PAD, 110.0), height + 2 * _PAD - 6)


def _panel(plan: Plan, drawn: set[type[Any]]) -> _Picture:
    """One branch: the child's graph, or only its name where it is drawn elsewhere already."""
    title = _shortened(title_of(plan), _TYPE, _TEXT_MOST)
    if plan.definition.cls in drawn:
        title, inner = f"{title} ↺", _Picture("", 0, -8)
    else:
        drawn.add(plan.definition.cls)
        inner = _graph(plan, drawn, depth=0)
    width = max(inner.width, _measure(title, _TYPE * 1.13)) + 2 * _PAD
    height = inner.height + 2 * _PAD + 20
    parts = [
        f'<rect class="panel" width="{_n(width)}" height="{_n(height)}" rx="7"/>',
        _text("panel-title", title, _PAD, 20),
        _moved(inner.body, (width - inner.width) / 2, 20 + _PAD) if inner.body else "",
    ]
    return _Picture("\n".join(parts), width, height)


def _paint(card: _Card, box: Box, *, output: bool) -> str:
    node = card.node
    span = node.definition.span
    hint = "\n".join([f"{node.name}: {node.kind}", *(text for _, text in card.lines[1:]), f"{printable(span.file)}:{span.line}"])
    parts = [
        f"<title>{_x(hint)}</title>",
        f'<rect class="card" width="{_n(box.w)}" height="{_n(box.h)}" rx="9"/>',
        f'<rect class="tile {node.kind}" x="{_n(_PAD)}" y="{_n(_PAD)}" width="{_n(_ICON)}" height="{_n(_ICON)}" rx="6"/>',
        f'<g class="glyph" transform="translate({_n(_PAD + 3)} {_n(_PAD + 3)})">{_ICONS[node.kind]}</g>',
    ]
    parts += [_text(kind, line, _PAD + _ICON + 10, 24 + 18 * at) for at, (kind, line) in enumerate(card.lines)]
    x, y = _PAD, 18.0 * len(card.lines) + 10 + _PAD - 3
    x += (box.w - 2 * _PAD - sum(panel.width for panel in card.panels) - _PAD * (len(card.panels) - 1)) / 2 if card.panels else 0
    for panel in card.panels:
        parts.append(_moved(panel.body, x, y))
        x += panel.width + _PAD
    kinds = f"node {node.kind}{' output' if output else ''}"
    place = f'transform="translate({_n(box.x)} {_n(box.y)})"'
    return f'<g class="{kinds}" data-node="{_x(node.name)}" {place}>{"".join(parts)}</g>'


# ---- text ------------------------------------------------------------------------------------------------------


def _measure(text: str, size: float) -> float:
    """About how wide a text is, in pixels: on the safe side for the usual fonts."""
    return size * sum(_char_width(char) for char in text)


def _char_width(char: str) -> float:
    if east_asian_width(char) in "WF":
        return 1.05
    return _CHAR_WIDTHS.get(char) or (0.72 if char.isupper() else 0.6)


def _shortened(text: str, size: float, most: float) -> str:
    text = printable(text)
    while _measure(text, size) > most:
        text = f"{text[:-2]}…"
    return text


def _text(kind: str, content: str, x: float, y: float) -> str:
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}">{_x(content)}</text>'


def _moved(body: str, x: float, y: float) -> str:
    return f'<g transform="translate({_n(x)} {_n(y)})">{body}</g>'


def _x(text: str) -> str:
    return escape("\n".join(printable(line) for line in text.split("\n")), quote=True)


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
