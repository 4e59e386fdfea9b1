"""A class's sketch with its annotations resolved: the Definition that the plan is compiled from.

This room refuses to know what follows from the graph, and how a node is performed.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reactor.define import kinds
from reactor.define.definition import FromNode, HandlerDefinition, Literally, MapDefinition, NodeDefinition, SourceDefinition
from reactor.define.retrying import Retry
from reactor.define.teaching import def_span, parameter_span, span_of
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.define.binding import Read
    from reactor.define.definition import Param
    from reactor.define.scope import Scope
    from reactor.define.sketch import HandlerSketch, NodeSketch, Sketch, SourceSketch

UNDO_RETRY = Retry(5)
"""What an undo gets where its author says nothing: it should not give up over a blip."""


@dataclass(frozen=True, slots=True)
class Assembler:
    """Reads types into a sketch. `scopes` gives the Scope of a class body."""

    sketch: Sketch
    scopes: Callable[[type[Any] | None], Scope]
    retry: Retry | None

    def nodes(self) -> dict[str, NodeDefinition]:
        """Every node, resolved. Raises DefinitionError, or Unresolved where an annotation names what is not there yet."""
        sources = self.sources()
        return {name: self._node(node, sources) for name, node in self.sketch.nodes.items()}

    def sources(self) -> dict[str, SourceDefinition]:
        """Every source, resolved; raises as `nodes`."""
        return {name: self._source(source) for name, source in self.sketch.sources.items()}

    def _hints(self, fn: Callable[..., Any], owner: type[Any] | None) -> dict[str, Any]:
        return self.scopes(owner).hints_of(fn, f"`{fn.__name__}`", def_span(fn))

    def _source(self, made: SourceSketch) -> SourceDefinition:
        source = made.source
        hints = self._hints(source.fn, source.owner)
        element = kinds.element_of(_returned(source.fn, hints, "AsyncIterator[E]"))
        if element is None:
            raise DefinitionError(
                f"the source `{source.name}` returns `{kinds.name_of(hints['return'])}`",
                code="source-return",
                where=def_span(source.fn),
                fix="annotate it with `AsyncIterator[E]`, E being the type of an element",
            )
        return SourceDefinition(source.name, source.fn, _typed(made.read, hints), source.options.key, element, span_of(source.fn))

    def _node(self, made: NodeSketch, sources: dict[str, SourceDefinition]) -> NodeDefinition:
        node, options = made.node, made.node.options
        hints = self._hints(node.fn, node.owner)
        is_async, returns, children = _RETURNS[node.kind](made, hints)
        self._check_override(made, returns, children)
        return NodeDefinition(
            name=made.name,
            kind=node.kind,
            fn=node.fn,
            is_async=is_async,
            params=_typed(made.read, hints),
            returns=returns,
            span=span_of(node.fn),
            children=children,
            when=made.when,
            after=made.after,
            retry=options.retry or (self.retry if node.kind == "step" else None),
            timeout=options.timeout,
            offload=options.offload,
            attempts=options.attempts,
            map=self._map(made, hints, sources) if node.kind == "map" else None,
            undo=self._handler(made, "undo", children),
            compensate=self._handler(made, "compensate", children),
        )

    def _map(self, made: NodeSketch, hints: dict[str, Any], sources: dict[str, SourceDefinition]) -> MapDefinition:
        options, elements, handed = made.node.options, made.elements, made.read.handed[0]
        if handed not in hints:
            raise DefinitionError(
                f"the element `{handed}` of the map `{made.name}` has no type",
                code="element-untyped",
                where=parameter_span(made.node.fn, handed),
                fix=f"annotate it: `{handed}: T`",
            )
        kinds.check_storable(hints[handed], f"the element `{handed}` of the map `{made.name}`", parameter_span(made.node.fn, handed))
        found: FromNode | Literally | SourceDefinition = sources[elements] if isinstance(elements, str) else elements or Literally(())
        return MapDefinition(found, hints[handed], options.batch_size, options.in_flight, options.on_error)

    def _handler(self, made: NodeSketch, kind: Any, children: tuple[type[Any], ...]) -> HandlerDefinition | None:
        handler: HandlerSketch | None = made.handlers.get(kind)
        if handler is None:
            return None
        if kind == "undo" and children:
            raise DefinitionError(
                f"the map `{made.name}` has an undo, and its elements are reactors, which undo themselves",
                code="undo-of-reactors",
                where=def_span(handler.fn),
                fix=f"move the undo to the steps of {' and '.join(c.__name__ for c in children)}",
            )
        options = handler.handler.options
        name = handler.fn.__name__
        owner = next((base for base in self.sketch.members.cls.__mro__ if vars(base).get(name) is handler.fn), made.node.owner)
        params = _typed(handler.read, self._hints(handler.fn, owner))
        retry = options.retry or (UNDO_RETRY if kind == "undo" else None)
        return HandlerDefinition(handler.fn, params, retry, options.timeout, span_of(handler.fn))

    def _check_override(self, made: NodeSketch, returns: Any, children: tuple[type[Any], ...]) -> None:
        for base in self.sketch.members.declared[made.name][:-1]:
            before = _RETURNS[base.kind](replace(made, node=base), self._hints(base.fn, base.owner))
            if (returns, children) != before[1:]:
                now, then = (kinds.name_of(self._hints(n.fn, n.owner).get("return")) for n in (made.node, base))
                raise DefinitionError(
                    f"the {base.kind} `{made.name}` returns `{now}`, and `{then}` in the base class",
                    code="override-type",
                    where=def_span(made.node.fn),
                    fix=f"return `{then}`: an override may change parameters, not kind or type",
                )


def _typed(read: Read, hints: dict[str, Any]) -> tuple[Param, ...]:
    return tuple(replace(param, type=hints.get(param.name, Any)) for param in read.params)


def _returned(fn: Callable[..., Any], hints: dict[str, Any], example: str = "T") -> Any:
    if "return" not in hints:
        raise DefinitionError(
            f"`{fn.__name__}` has no return annotation",
            code="no-return-annotation",
            where=def_span(fn),
            fix=f"say what it returns: `-> {example}`" + ("; `-> None` if nothing" if example == "T" else ""),
        )
    return hints["return"]


# ---- what the return annotation means, by kind: (is_async, returns, children) ---------------------------------

_Returns = tuple[bool, Any, tuple[type[Any], ...]]


def _of_step(made: NodeSketch, hints: dict[str, Any]) -> _Returns:
    fn = made.node.fn
    annotation = _returned(fn, hints)
    awaited = kinds.awaited(annotation)
    is_async = inspect.iscoroutinefunction(inspect.unwrap(fn)) or awaited is not None
    returns = annotation if awaited is None else awaited
    if any(map(kinds.is_reactor, kinds.members(returns))):
        raise DefinitionError(
            f"the step `{made.name}` returns a reactor, `{kinds.name_of(returns)}`",
            code="step-returns-reactor",
            where=def_span(fn),
            fix="decorate it with `@compose`: the reactor then runs in its place",
        )
    if kinds.payload_of(returns) is not None:
        raise DefinitionError(
            f"the step `{made.name}` returns an Ask", code="step-returns-ask", where=def_span(fn), fix="decorate it with `@interrupt`"
        )
    kinds.check_storable(returns, f"the result of the step `{made.name}`", def_span(fn))
    return is_async, returns, ()


def _of_map(made: NodeSketch, hints: dict[str, Any]) -> _Returns:
    annotation = _returned(made.node.fn, hints)
    if any(map(kinds.is_reactor, kinds.members(annotation))):
        return _of_compose(made, hints)
    what, where = f"the result of an element of the map `{made.name}`", def_span(made.node.fn)
    kinds.check_storable(annotation, what, where)
    kinds.check_encodable(annotation, what, where)
    return True, annotation, ()


def _of_compose(made: NodeSketch, hints: dict[str, Any]) -> _Returns:
    fn = made.node.fn
    annotation = _returned(fn, hints, "SomeReactor")
    children = kinds.members(annotation)
    wrong = [c for c in children if not kinds.is_reactor(c) or c.__reactor__ is None]
    if wrong:
        raise DefinitionError(
            f"the {made.node.kind} `{made.name}` returns `{kinds.name_of(wrong[0])}`, which is no reactor of its own",
            code="compose-return",
            where=def_span(fn),
            fix="annotate it with each reactor class that it may return: `-> CardPayment | WirePayment`",
        )
    return True, kinds.output_of(children[0]) if len(children) == 1 else None, children


def _of_interrupt(made: NodeSketch, hints: dict[str, Any]) -> _Returns:
    fn = made.node.fn
    annotation = _returned(fn, hints, "Ask[T]")
    payload = kinds.payload_of(annotation)
    if payload is None:
        raise DefinitionError(
            f"the interrupt `{made.name}` returns `{kinds.name_of(annotation)}`",
            code="interrupt-return",
            where=def_span(fn),
            fix="annotate it with `Ask[T]`, T being the type of the payload that answers it",
        )
    kinds.check_storable(payload, f"the payload of the interrupt `{made.name}`", def_span(fn))
    return True, payload, ()


_RETURNS: dict[str, Callable[[NodeSketch, dict[str, Any]], _Returns]] = {
    "step": _of_step,
    "map": _of_map,
    "compose": _of_compose,
    "interrupt": _of_interrupt,
}
