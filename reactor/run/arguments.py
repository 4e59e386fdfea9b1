"""What a call is handed: the author's function, its reactor, and the arguments that its plan binds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.define.failing import StepError
from reactor.errors import ReactorError
from reactor.run.values import codec_of

if TYPE_CHECKING:
    from reactor.machine.commands import Call
    from reactor.plan.plan import Handler, PlanNode
    from reactor.run.runner import Runner


def code_of(order: Call) -> PlanNode | Handler:
    """What is called: the node's own code, its undo or its compensate."""
    code: PlanNode | Handler = order.node if order.call == "do" else getattr(order.node, order.call)
    return code


def arguments_of(runner: Runner, order: Call, code: Any) -> tuple[Any, ...]:
    """All arguments of a call, its reactor first. Raises what binding them raises."""
    scope = order.scope
    if scope.is_batch:
        return _element_arguments(runner, order, code)
    if order.call == "do":
        return (scope.reactor, *code.bind(scope.values, runner.opened))
    first = scope.values[order.index] if order.call == "undo" else error_of(runner, order)
    return (scope.reactor, first, *code.bind(scope.values, runner.opened))


def unbound(error: BaseException) -> Exception:
    """What binding raised, as a failure: a Halt or Skip out of a property is no word of a step's."""
    if isinstance(error, Exception):
        return error
    return ReactorError(f"reading what a parameter is bound to raised {type(error).__name__}", code="not-bound")


def error_of(runner: Runner, order: Call) -> StepError:
    """What `compensate` gets."""
    return StepError(order.scope.failures[order.index], order.address, runner.originals.get(order.address))


def _element_arguments(runner: Runner, order: Call, code: Any) -> tuple[Any, ...]:
    """The arguments of one element's call, or of its undo: what is bound past the element is the map's own."""
    batch = runner.batch
    if batch is None:
        raise AssertionError("a batch's runner has its elements")
    map_run, scope, index = batch.map_run, order.scope, order.index
    if order.call == "do":
        return (map_run.scope.reactor, batch.items[index], *map_run.extra)
    bound = code.bind(map_run.scope.values, runner.site.resources.opened)
    return (map_run.scope.reactor, _decoded(order.node, scope.values[index]), *bound)


def _decoded(node: Any, kept: Any) -> Any:
    """An element's result as its undo gets it."""
    return codec_of(node.returns).decode(kept) if type(kept) is bytes else kept
