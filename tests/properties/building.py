"""A reactor class from a graph: its source is written as an author would write it, and executed."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import reactor
from tests.properties import playing
from tests.properties.model import TIMEOUT

if TYPE_CHECKING:
    from tests.properties.model import Graph, Node

_numbers = count()

HEADER = """
class {name}(Reactor):
    path: str = ""
"""

STEP = """
    @step({options})
    async def {node}(self{params}) -> {returns}:
        return await playing.play(self.path, {spec}, [{given}])
"""

COMPOSE = """
    @compose{options}
    async def {node}(self{params}) -> {child}:
        return {child}(path=playing.enter(self.path, {spec}))
"""

SOURCE = """
    @source
    async def s{index}(self) -> AsyncIterator[int]:
        for element in range({size}):
            yield element
"""

MAP = """
    @map_over({elements}, batch_size={batch_size}, in_flight={in_flight}, on_error={on_error!r}{retry})
    async def {node}(self, element: int{params}) -> {returns}:
        return {body}
"""

UNDO = """
    @{node}.undo(retry=Retry({attempts}, backoff="fixed", base=1, jitter=False))
    async def undo_{node}(self, value: Any) -> None:
        await playing.unplay(self.path, {spec}, value)
"""

COMPENSATE = """
    @{node}.compensate
    async def compensate_{node}(self, error: StepError) -> Any:
        return await playing.answer(self.path, {spec})
"""

RETRY = 'retry=Retry({attempts}, backoff="fixed", base=1, jitter=False)'


def build(graph: Graph) -> type[Any]:
    """The class, ready to be made and run."""
    words = {name: getattr(reactor, name) for name in reactor.__all__}
    scope: dict[str, Any] = {**words, "playing": playing, "Any": Any, "__name__": __name__}
    exec("from collections.abc import AsyncIterator", scope)  # it is our own source
    return _built(graph, scope)


def _built(graph: Graph, scope: dict[str, Any]) -> type[Any]:
    name = f"Random{next(_numbers)}"
    lines = [HEADER.format(name=name)]
    for node in graph.nodes:
        spec = f"spec_{name}_{node.index}"
        scope[spec] = node
        child = _built(node.child, scope).__name__ if node.child else ""
        lines.append(_node(node, spec, child))
    lines.append(f"\n    output = {graph.nodes[-1].name}\n")
    exec("".join(lines), scope)  # it is our own source
    built: type[Any] = scope[name]
    return built


def _node(node: Node, spec: str, child: str) -> str:
    params = "".join(f", a{dep}: Any = n{dep}.result" for dep in node.deps)
    given = ", ".join(f"a{dep}" for dep in node.deps)
    options = [RETRY.format(attempts=node.attempts), f"timeout={TIMEOUT}"] if node.kind in ("step", "flag") else []
    if node.when is not None:
        options.append(f"when=n{node.when}")
    if node.after:
        options.append(f"after=[{', '.join(f'n{one}' for one in node.after)}]")
    common = {"node": node.name, "params": params, "spec": spec, "given": given}
    match node.kind:
        case "compose":
            text = COMPOSE.format(**common, child=child, options=f"({', '.join(options)})" if options else "")
        case "map":
            text = _map(node, common, child, options)
        case kind:
            text = STEP.format(**common, options=", ".join(options), returns="bool" if kind == "flag" else "int")
    if node.undo != "no":
        text += UNDO.format(node=node.name, spec=spec, attempts=1 if node.undo == "broken" else 5)
    if node.answers is not None:
        text += COMPENSATE.format(node=node.name, spec=spec)
    return text


def _map(node: Node, common: dict[str, str], child: str, options: list[str]) -> str:
    source = SOURCE.format(index=node.index, size=len(node.elements)) if node.lazy else ""
    body = f"await playing.play_element(self.path, {common['spec']}, element, [{common['given']}])"
    if child:
        body = f"{child}(path=playing.enter(self.path, {common['spec']}, element))"
    else:
        options = [*options, RETRY.format(attempts=node.attempts), f"timeout={TIMEOUT}"]
    return source + MAP.format(
        **common,
        elements=f"s{node.index}" if node.lazy else list(range(len(node.elements))),
        batch_size=node.batch_size,
        in_flight=node.in_flight,
        on_error="collect" if node.collect else "fail",
        retry="".join(f", {option}" for option in options),
        returns=child or "int",
        body=body,
    )
