"""A restart: which results a new run keeps, what of the old one is undone first, and how the kept ones are handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.errors import WrongState
from reactor.machine.events import Kept
from reactor.machine.marks import DONE, RECOVERED, SKIPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor.machine.events import Event
    from reactor.run.live import Live
    from reactor.run.mapping import MapRun
    from reactor.run.runner import Runner

SUCCEEDED = (DONE, SKIPPED, RECOVERED)


def kept_nodes(live: Live, from_step: str | None) -> list[int]:
    """The nodes whose results stay: they succeeded, are not undone, are not `from_step` nor depend on it, and so do their ancestors."""
    plan, root = live.plan, live.runner.machine.state.root
    if from_step is not None and from_step not in plan.index:
        said = f"{plan.name} has no node `{from_step}` to restart from"
        raise WrongState(said, code="unknown-node", known=plan.names, where=plan.definition.span)
    kept: list[int] = []
    for index in plan.order:
        node = plan.nodes[index]
        if root.marks[index] in SUCCEEDED and node.name != from_step and all(parent in kept for parent in node.parents):
            kept.append(index)
    return kept


def partial_maps(live: Live, kept: list[int], from_step: str | None) -> list[MapRun]:
    """Maps that were stopped half-way and whose ancestors are all kept: they keep the elements that succeeded."""
    root, plan = live.runner.machine.state.root, live.plan
    found = []
    for index in root.maps:
        node = plan.nodes[index]
        whole = index in kept or node.name == from_step or root.marks[index] == DONE
        if not whole and all(parent in kept for parent in node.parents) and node.name in live.runner.maps:
            found.append(live.runner.maps[node.name])
    return found


def kept_facts(live: Live, kept: list[int], partial: list[MapRun], now: float) -> Iterator[Event]:
    """What the new run's record begins with."""
    root = live.runner.machine.state.root
    for map_run in partial:
        yield from _kept_elements(map_run, now)
    for index in kept:
        child = root.children.get(index) or root.maps.get(index)
        yield Kept(now, root.names[index], root.values[index], root.marks[index] != DONE, child)


def _kept_elements(map_run: MapRun, now: float) -> Iterator[Event]:
    elements = map_run.scope.maps[map_run.index]
    for number, settled in elements.batches.items():
        if number in map_run.undone or (map_run.node.children and settled.undoable):
            continue
        chunk = map_run.chunks[number]
        for index, kept in map_run.chunks.encoded(number):
            yield Kept(now, f"{map_run.address}[{index}]", kept, index in chunk.skipped)


def keep_addresses(live: Live, kept: list[int], partial: list[MapRun]) -> tuple[str, ...]:
    """What an undo before the restart leaves alone."""
    names = [live.plan.names[index] for index in kept]
    return (*names, *(one.address for one in partial if not one.node.children))


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
