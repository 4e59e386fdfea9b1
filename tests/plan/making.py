"""Definitions made by hand, so that the plan is tested apart from how a class is read."""

from __future__ import annotations

from reactor.define.definition import Binding, Definition, FromNode, HandlerDefinition, InputDefinition, NodeDefinition, Param, Span

SPAN = Span("shop/checkout.py", 12, 14)


async def perform(*args, **named):
    """The code of every node here: gives back what it was called with."""
    return args, named


def param(name: str, binding: Binding | str, annotation: object = int, *, keyword_only: bool = False) -> Param:
    """A parameter; a str is the whole result of the node of that name."""
    return Param(name, annotation, FromNode(binding) if isinstance(binding, str) else binding, keyword_only)


def node(name: str, *needs: Binding | str | Param, kind="step", returns=int, **options) -> NodeDefinition:
    """A node whose parameters are `a0`, `a1`, … unless they are given whole."""
    params = tuple(need if isinstance(need, Param) else param(f"a{at}", need) for at, need in enumerate(needs))
    return NodeDefinition(name, kind, options.pop("fn", perform), is_async=True, params=params, returns=returns, span=SPAN, **options)


def handler(*params: Param, **options) -> HandlerDefinition:
    """An undo or compensate."""
    return HandlerDefinition(perform, params, options.get("retry"), options.get("timeout"), SPAN)


def definition(*nodes: NodeDefinition, name="checkout", inputs: tuple[InputDefinition, ...] = (), **options) -> Definition:
    """A reactor of these nodes; the last one is its output."""
    cls = options.pop("cls", None) or type(name, (), {})
    return Definition(
        cls, name, options.pop("version", 1), options.pop("aliases", ()), inputs, {n.name: n for n in nodes}, nodes[-1].name, SPAN
    )


def graph(parents: list[list[int]], **options) -> Definition:
    """A reactor of steps `n0`, `n1`, …, given each one's parents."""
    return definition(*[node(f"n{at}", *[f"n{parent}" for parent in above]) for at, above in enumerate(parents)], **options)
