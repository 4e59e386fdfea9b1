"""References stand in for values that do not exist yet, and say so when they are used as one."""

import copy
import math
import operator

import pytest

from reactor.define.decorators import step
from reactor.define.definition import Key
from reactor.define.reactor import Reactor
from reactor.define.sources import Ref, Resource, node_of, path_of, said, stands_in, use


class Shop(Reactor):
    @step
    async def price(self) -> dict[str, list[int]]:
        return {}

    output = price


REF = Ref(Shop.price)

USES = {
    "add": lambda r: r + 1,
    "add from the right": lambda r: 1 + r,
    "in place": lambda r: operator.iadd(r, 1),
    "matmul": lambda r: r @ r,
    "negate": lambda r: -r,
    "invert": lambda r: ~r,
    "or": lambda r: r | None,
    "divmod": lambda r: divmod(r, 2),
    "pow": lambda r: r**2,
    "abs": abs,
    "round": round,
    "floor": math.floor,
    "equal": lambda r: r == 1,
    "unequal": lambda r: r != 1,
    "less": lambda r: r < 1,
    "at least": lambda r: r >= 1,
    "hash": hash,
    "in a set": lambda r: {r},
    "as a key": lambda r: {r: 1},
    "call": lambda r: r(),
    "call an attribute": lambda r: r.total(),
    "bool": bool,
    "not": lambda r: not r,
    "and": lambda r: r and 1,
    "if": lambda r: 1 if r else 2,
    "str": str,
    "f-string": lambda r: f"{r}",
    "format": lambda r: f"{r:>10}",
    "percent": lambda r: "%s" % r,  # noqa: UP031 - it is one of the ways
    "bytes": bytes,
    "int": int,
    "float": float,
    "complex": complex,
    "as an index": lambda r: [1][r],
    "iterate": list,
    "unpack": lambda r: max(*r),
    "len": len,
    "in": lambda r: 1 in r,
    "reversed": reversed,
    "with": lambda r: r.__enter__(),
    "await": lambda r: r.__await__(),
    "async for": lambda r: r.__aiter__(),
    "set an attribute": lambda r: setattr(r, "x", 1),
    "delete an attribute": lambda r: delattr(r, "x"),
    "set an item": lambda r: operator.setitem(r, 0, 1),
    "a slice": lambda r: r[1:2],
    "an index that is no constant": lambda r: r[r],
    "an index of another type": lambda r: r[1.5],
    "a bool as an index": lambda r: r[True],
}


@pytest.mark.parametrize("using", USES.values(), ids=USES.keys())
def test_every_use_as_a_value_is_refused(refuses, using):
    """No operator, call, bool, text or loop is ever recorded or evaluated: it is refused where the author wrote it."""
    with refuses(code="reference-used", line="lambda" if using.__name__ == "<lambda>" else None, fix="", what="price.result"):
        using(REF)


def test_attributes_and_constant_indexes_are_recorded():
    """A path is data: attributes, ints, and str keys that are no attributes."""
    ref = REF.lines[0]["eur"].total[-1]
    assert path_of(ref) == ("lines", 0, Key("eur"), "total", -1)
    assert node_of(ref) is Shop.price
    assert said(ref) == "price.result.lines[0]['eur'].total[-1]"
    assert repr(ref) == "<reference price.result.lines[0]['eur'].total[-1]>"


@pytest.mark.parametrize("name", ["result", "node", "path", "name", "value", "total", "items", "keys", "count", "_private"])
def test_no_author_attribute_collides(name):
    """Whatever an author calls a field, the reference has no such name of its own."""
    assert path_of(getattr(REF, name)) == (name,)


def test_protocols_that_ask_get_a_plain_no():
    """copy, inspect and the like ask for dunder names: they are told no, and are not handed a reference."""
    assert not hasattr(REF, "__wrapped__")
    assert not hasattr(REF, "__fspath__")
    assert isinstance(copy.copy([REF]), list)


def test_use_holds_its_provider():
    """A resource is the provider, opened by nobody yet."""
    assert use(dict) == Resource(dict)


@pytest.mark.parametrize("given", [None, 3, "pool", {}])
def test_use_refuses_what_cannot_be_called(refuses, given):
    """Handing over what a provider returns, instead of the provider, is caught."""
    with refuses(code="provider-not-callable", line="use(given)", fix="not what it returns"):
        use(given)


@pytest.mark.parametrize(
    ("default", "expected"),
    [(REF, True), ([1, REF], True), ({"a": (REF,)}, True), (use(dict), True), ([use(dict)], True), ([1], False), ({}, False), ("x", False)],
)
def test_what_stands_in(default, expected):
    """References and resources are found in lists, tuples and dicts, at any depth."""
    assert stands_in(default) is expected
