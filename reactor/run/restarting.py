"""A restart: which results a new run keeps, what of the old one is undone first, and how the kept ones are handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.errors import WrongState
from reactor.machine.events import Kept
from reactor.machine.marks import DONE, RECOVERED, SKIPPED
from reactor.machine.state import KEPT_BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor.machine.events import Event
    from reactor.run.live import Live
    from reactor.run.runner import Runner

SUCCEEDED = (DONE, SKIPPED, RECOVERED)


def kept_nodes(live: Live, from_step: str | None) -> list[int]:
    """The nodes whose results stay: they succeeded, are not undone, are not `from_step` nor depend on it, and so do their ancestors."""
    plan, root = live.plan, live.runner.machine.state.root
    if from_step is not None and from_step not in plan.index:
        said = f"{plan.name} has no node `{from_step}` to restart from"
        raise WrongState(said, code="unknown-node", known=plan.names, where=plan.definition.span)
    kept: set[int] = set()
    for index in plan.order:
        node = plan.nodes[index]
        if root.marks[index] in SUCCEEDED and node.name != from_step and kept.issuperset(node.parents):
            kept.add(index)
    return [index for index in plan.order if index in kept]


def partial_maps(live: Live, kept: list[int], from_step: str | None) -> list[int]:
    """Maps that were stopped half-way, or not reached again, and whose ancestors are all kept: they keep the elements that succeeded."""
    state, plan = live.runner.machine.state, live.plan
    found, stays = [], set(kept)
    for index, node in enumerate(plan.nodes):
        half_way = index in state.root.maps or node.name in state.kept
        whole = index in stays or node.name == from_step or state.root.marks[index] == DONE
        if half_way and not whole and stays.issuperset(node.parents):
            found.append(index)
    return found


def kept_facts(live: Live, kept: list[int], partial: list[int], now: float) -> Iterator[Event]:
    """What the new run's record begins with."""
    root = live.runner.machine.state.root
    for index in partial:
        yield from _kept_elements(live, index, now)
    for index in kept:
        child = root.children.get(index) or root.maps.get(index)
        yield Kept(now, root.names[index], root.values[index], root.marks[index] != DONE, child)


def _kept_elements(live: Live, index: int, now: float) -> Iterator[Event]:
    """Elements of batches that settled and are not undone, then those that an earlier restart kept and no batch took."""
    state = live.runner.machine.state
    name = state.root.names[index]
    yield from (Kept(now, one.address, one.value, one.skipped) for one in state.kept.get(name, {}).values())
    map_run = live.runner.maps.get(name)
    if map_run is None or index not in state.root.maps:
        return
    for number, settled in state.root.maps[index].batches.items():
        if number == KEPT_BATCH or number in map_run.undone or (map_run.node.children and settled.undoable):
            continue
        chunk = map_run.chunks[number]
        for element, kept in map_run.chunks.encoded(number):
            yield Kept(now, f"{name}[{element}]", kept, element in chunk.skipped)


def keep_addresses(live: Live, kept: list[int], partial: list[int]) -> tuple[str, ...]:
    """What an undo before the restart leaves alone."""
    nodes = live.plan.nodes
    return (*(nodes[index].name for index in kept), *(nodes[index].name for index in partial if not nodes[index].children))


def hand_over(live: Live, kept: list[int], runner: Runner) -> None:
    """Give the new run what it needs to undo the maps that it keeps."""
    names = {live.plan.names[index] for index in kept}
    for scope in runner.machine.state.scopes():
        for index in scope.maps:
            address = scope.names[index]
            if _top(address) in names and address in live.runner.maps:
                runner.maps[address] = live.runner.maps[address].moved(runner, scope)


def _top(address: str) -> str:
    return address.partition(".")[0].partition("[")[0]
