"""A batch of a map as a plan of its own: one node an element, none depending on another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reactor.define.definition import NodeKind
    from reactor.plan.plan import Plan, PlanNode


class BatchPlan:
    """Elements `first … first + size - 1` of one map."""

    __slots__ = ("feeds", "first", "in_degrees", "index", "map_node", "names", "nodes", "out_degrees", "output", "owner", "roots")

    def __init__(self, owner: Plan, node: PlanNode, address: str, first: int, size: int) -> None:
        self.owner = owner
        self.map_node = node
        self.first = first
        self.nodes = (element_of(node),) * size
        self.names = tuple([f"{address}[{index}]" for index in range(first, first + size)])
        self.index = {name: index for index, name in enumerate(self.names)}
        self.in_degrees = [0] * size
        self.out_degrees = self.in_degrees
        self.feeds = ((),) * size
        self.roots = range(size)
        self.output = -1


def element_of(node: PlanNode) -> PlanNode:
    """A map's body as a node: a step, or a compose where it returns a reactor. `compensate` is the map's, never an element's."""
    kind: NodeKind = "compose" if node.children else "step"
    return replace(node, index=0, kind=kind, when=-1, parents=(), feeds=(), compensate=None, map=None)
