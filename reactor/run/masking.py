"""What must not be told of a call: the texts of its arguments that hold a secret, by what is declared of them.

A secret input is known for the whole run; a secret that a step returned, or that is an element, only to the calls that are handed it.
This room refuses to know what is masked with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.define.definition import FromNode, Items
from reactor.define.paths import Astray, follow
from reactor.machine.batch import BatchPlan
from reactor.record.sealing import is_secret
from reactor.run.arguments import code_of
from reactor.run.failures import texts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reactor.define.definition import Binding, Definition
    from reactor.machine.commands import Call

HANDED = {"undo": "value", "compensate": "error"}  # what a handler gets first; a map's body gets an element


def secrets_of(order: Call, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of the arguments of a call that are secret, as `secret_texts` gives those of inputs."""
    secret = set(_secret_names(order)) if arguments else set()
    return texts_of(value for name, value in arguments.items() if name in secret)


def _secret_names(order: Call) -> Iterator[str]:
    plan = order.scope.plan
    definition = (plan.owner if isinstance(plan, BatchPlan) else plan).definition
    for param in code_of(order).definition.params:
        if is_secret(param.type) or any(map(is_secret, _types(definition, param.binding))):
            yield param.name
    declared = order.node.definition
    if is_secret(declared.returns):
        yield HANDED["undo"]
    if declared.map is not None and is_secret(declared.map.element):
        yield "element"


def _types(definition: Definition, binding: Binding) -> Iterator[Any]:
    """What the bound results were declared as, where that tells more than the parameter does."""
    if isinstance(binding, Items):
        for item in binding.items:
            yield from _types(definition, item)
    elif isinstance(binding, FromNode):
        whole = definition.nodes[binding.node].returns
        yield _part(whole, binding) if is_secret(whole) else None


def _part(whole: Any, binding: FromNode) -> Any:
    try:
        part = follow(whole, binding.path)
    except Astray:
        return whole
    return whole if part is Any else part  # which part it is cannot be told
