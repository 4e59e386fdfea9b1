"""An author's function, read: what it is handed first, and what each other parameter's default binds it to.

This room refuses to know types: annotations may not resolve yet. There is no matching by name: a parameter with no default is an error.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.define.definition import Binding, FromNode, FromResource, Items, Literally, Param
from reactor.define.foreign import encode_foreign
from reactor.define.members import is_optional
from reactor.define.sources import Ref, Resource, node_of, path_of, said, stands_in
from reactor.define.steps import Node, Source
from reactor.define.teaching import def_span, nearest, parameter_span
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reactor.define.members import Members
    from reactor.errors import Place

_VARIADIC = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


@dataclass(frozen=True, slots=True)
class Read:
    """One function: the names of the parameters that it is handed, and the bound ones, their types left open."""

    handed: tuple[str, ...]
    params: tuple[Param, ...]


def read_function(members: Members, fn: Callable[..., Any], what: str, handed: tuple[str, ...], by_name: str | None = None) -> Read:
    """Read a function that is handed `self` and then `handed` (in words), and `by_name` by keyword, if given.

    Raises DefinitionError for a parameter that is bound to nothing, and for a default that is neither reference, resource nor constant.
    """
    parameters = list(inspect.signature(fn).parameters.values())
    first = parameters[: 1 + len(handed)]
    if len(first) < 1 + len(handed) or any(p.kind in _VARIADIC or p.kind is p.KEYWORD_ONLY for p in first):
        takes = ", ".join(["self", *handed])
        raise DefinitionError(
            f"{what} `{fn.__name__}` takes too little: it is handed {takes}",
            code="too-few-parameters",
            where=def_span(fn),
            fix=f"write `async def {fn.__name__}({takes}, …)`",
        )
    for parameter in first[1:]:
        _check_handed(fn, parameter, what)
    rest = [p for p in parameters[len(first) :] if p.name != by_name]
    return Read(tuple(p.name for p in first[1:]), tuple(_bound(members, fn, p, what) for p in rest))


def _check_handed(fn: Callable[..., Any], parameter: inspect.Parameter, what: str) -> None:
    if stands_in(parameter.default):
        raise DefinitionError(
            f"{what} `{fn.__name__}` binds its first parameter `{parameter.name}`, which it is handed",
            code="handed-parameter-bound",
            where=parameter_span(fn, parameter.name),
            fix=f"put a parameter with no default before `{parameter.name}`",
        )


def _bound(members: Members, fn: Callable[..., Any], parameter: inspect.Parameter, what: str) -> Param:
    name = parameter.name
    if parameter.kind in _VARIADIC:
        raise DefinitionError(
            f"{what} `{fn.__name__}` takes `{_VARIADIC[parameter.kind]}{name}`, which nothing can be bound to",
            code="variadic-parameter",
            where=parameter_span(fn, name),
            fix=f"take a list, `{name}: list[T] = [a.result, b.result]`",
        )
    if parameter.default is parameter.empty:
        raise _unbound(members, fn, name, what)
    binding = _Binder(members, fn, name).bind(parameter.default)
    return Param(name, Any, binding, keyword_only=parameter.kind is parameter.KEYWORD_ONLY)


def _unbound(members: Members, fn: Callable[..., Any], name: str, what: str) -> DefinitionError:
    near = name if name in members.nodes else nearest(name, members.nodes)
    return DefinitionError(
        f"the parameter `{name}` of {what} `{fn.__name__}` is bound to nothing",
        code="unbound-parameter",
        where=parameter_span(fn, name),
        known=tuple(n for n in members.nodes if n != fn.__name__),
        nearest=near,
        fix=f"give it a default: `{name}: T = {near or 'price'}.result`, a constant, or `use(provider)`; an input is `self.{name}`",
    )


@dataclass(frozen=True, slots=True)
class _Binder:
    members: Members
    fn: Callable[..., Any]
    name: str

    def bind(self, default: Any) -> Binding:
        if isinstance(default, Ref):
            return self._reference(default)
        if isinstance(default, Resource):
            return FromResource(default.provider)
        if stands_in(default):
            return self._items(default)
        if isinstance(default, Node | Source) or (isinstance(default, list | tuple) and any(isinstance(d, Node) for d in default)):
            raise self._node_itself(default)
        self._check_plain(default)
        return Literally(default)

    def _reference(self, ref: Ref) -> FromNode:
        where = parameter_span(self.fn, self.name)
        name = self.members.name_of(node_of(ref), where, f"the parameter `{self.name}` of `{self.fn.__name__}`")
        path = path_of(ref)
        if path and is_optional(self.members.nodes[name]):
            raise through_optional(ref, where, f"`{self.fn.__name__}`")
        return FromNode(name, path)

    def _items(self, default: Any) -> Items:
        if isinstance(default, dict):
            return Items("dict", tuple(map(self.bind, default.values())), tuple(default))
        return Items("list" if isinstance(default, list) else "tuple", tuple(map(self.bind, default)))

    def _node_itself(self, default: Any) -> DefinitionError:
        node = default if isinstance(default, Node | Source) else next(d for d in default if isinstance(d, Node))
        source = isinstance(node, Source)
        return DefinitionError(
            f"the parameter `{self.name}` of `{self.fn.__name__}` is bound to the {'source' if source else 'node'} `{node.name}` itself",
            code="node-as-default",
            where=parameter_span(self.fn, self.name),
            fix=f"map over it, `@map_over({node.name})`" if source else f"refer to its result, `{node.name}.result`",
        )

    def _check_plain(self, default: Any) -> None:
        try:
            msgspec.msgpack.encode(default, enc_hook=encode_foreign)
        except (TypeError, ValueError, NotImplementedError, OverflowError, RecursionError):
            pass
        else:
            return
        raise DefinitionError(
            f"the constant of parameter `{self.name}` of `{self.fn.__name__}` is a {type(default).__name__}, no plain data",
            code="literal-not-plain",
            where=parameter_span(self.fn, self.name),
            fix=f"make it in the step, or hand it in as a resource: `{self.name}: T = use(provider)`",
        )


def through_optional(ref: Ref, where: Place, by: str) -> DefinitionError:
    """A path through, or a map over, the result of a node that may be skipped."""
    node = node_of(ref)
    return DefinitionError(
        f"{by} reaches into `{said(ref)}`, but `{node.name}` has a `when`: where it is skipped, its result is None",
        code="path-through-optional",
        where=where,
        fix=f"take the whole result, `x: T | None = {node.name}.result`, and reach into it in the code",
    )


def references(binding: Binding) -> Iterator[FromNode]:
    """Every reference in a binding."""
    if isinstance(binding, FromNode):
        yield binding
    elif isinstance(binding, Items):
        for item in binding.items:
            yield from references(item)
