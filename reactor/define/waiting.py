"""The name that an interrupt goes by outside of any run: correlation ids are unique under it, and signals name it."""

from __future__ import annotations

from typing import Any

from reactor.define.steps import Interrupt


def wait_name(cls: type[Any], node: str) -> str:
    """The interrupt's name behind that of the reactor that declares it first, so that subclasses share it.

    >>> from reactor import Ask, Reactor, interrupt
    >>> class Order(Reactor):
    ...     @interrupt
    ...     async def output(self) -> Ask[bool]: ...
    >>> class Rush(Order):
    ...     pass
    >>> wait_name(Rush, "output")
    'Order.output'
    """
    return wait_names(cls, node)[0]


def wait_names(cls: type[Any], node: str) -> tuple[str, ...]:
    """The same, then those that it had under its reactor's aliases."""
    owner = next((base for base in reversed(cls.__mro__) if isinstance(vars(base).get(node), Interrupt)), cls)
    record = vars(owner).get("__reactor__")
    names = (owner.__name__,) if record is None else (record.options.name, *record.options.aliases)
    return tuple(f"{name}.{node}" for name in names)
