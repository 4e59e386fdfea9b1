"""How a value of a node is kept: by the codec of its declared type, and what a map left as a reference to where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, get_args, get_origin

from reactor.define.reactor import definition_of
from reactor.define.results import Results
from reactor.record.codec import Codec

if TYPE_CHECKING:
    from reactor.machine.state import Scope

TRUE, FALSE = b"\xc3", b"\xc2"  # a flag's bytes
_codecs: dict[Any, Codec] = {}


def codec_of(declared: Any, *, optional: bool = False) -> Codec:
    """The codec of a type; types that cannot be a key get one each time."""
    if optional and declared is not None:
        declared = Optional[declared]  # noqa: UP045  # a type that does not know `|` too
    try:
        found = _codecs.get(declared)
        if found is None:
            found = _codecs[declared] = Codec(declared)
    except TypeError:  # an Annotated with metadata that has no hash
        return Codec(declared)
    return found


def kept(declared: Any, value: Any, *, optional: bool = False, encoded: bool = False) -> tuple[Any, bytes]:
    """A value as its bytes give it back (`encoded`: the bytes themselves), and the bytes. Raises ResultNotStorable.

    What a map left is a handle on bytes already: it is kept as it is, by the reference that it gives.
    """
    if isinstance(value, Results):
        return value, value.reference()
    codec = codec_of(declared, optional=optional)
    if encoded:
        raw = codec.checked(value)
        return raw, raw
    return codec.exchanged(value)


def element_type(node: Any) -> Any:
    """The declared type of a node's own result, of a map an element's: of several reactors, whatever one of them gives."""
    definitions = [definition_of(child) for child in node.children]
    outputs = {definition.nodes[definition.output].returns for definition in definitions} or {node.returns}
    declared = outputs.pop()
    return Any if outputs or declared is None else declared


def held_type(node: Any) -> Any:
    """The declared type of what is in a Results that a node gave: a map's own, or one that a step was handed and gave on."""
    definitions = [definition_of(child) for child in node.children]
    kinds = {definition.nodes[definition.output].kind for definition in definitions} or {node.kind}
    declared = element_type(node)
    return declared if node.kind == "map" or kinds == {"map"} else inside(declared)


def inside(declared: Any) -> Any:
    """What a declared Results holds; any other type as it is.

    >>> inside(Results[int] | None)
    <class 'int'>
    """
    for one in (declared, *get_args(declared)):
        if get_origin(one) is Results:
            return get_args(one)[0]
    return Any if declared is Results else declared


def declared_type(scope: Scope, index: int) -> Any:
    """What the bytes of a node's value are decoded as."""
    node = scope.plan.nodes[index]
    return node.returns if node.kind in ("step", "interrupt") else element_type(node)
