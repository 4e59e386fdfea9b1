"""Arguments come from values at hand: the right ones, in order, fresh where they could be changed."""

import operator

import pytest

from reactor.define.definition import FromNode, FromResource, Items, Key, Literally
from reactor.plan.binding import bind_of, call_of, names_of, path_of, providers_of
from tests.plan.making import param

INDEX = {f"n{at}": at for at in range(2000)}
VALUES = [at * 10 for at in range(2000)]


class Quote:
    def __init__(self):
        self.lines = ["a", "b"]
        self.rates = {"eur": [1.5]}
        self.inner = self


def bound(*bindings, values=VALUES, opened=None):
    """The arguments that these bindings give."""
    return bind_of([param(f"a{at}", binding) for at, binding in enumerate(bindings)], INDEX)(values, opened or {})


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 1000])
def test_plain_references_give_their_values_in_parameter_order(count):
    """However many whole results a step reads, it gets them as a tuple, last parameter last."""
    nodes = [f"n{at}" for at in reversed(range(count))]
    assert bound(*nodes) == tuple(at * 10 for at in reversed(range(count)))


def test_falsy_results_are_values():
    """None, False, 0 and "" are handed over like any other result."""
    assert bound("n0", "n1", "n2", "n3", values=[None, False, 0, ""]) == (None, False, 0, "")


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_kinds_of_bindings_mix(count):
    """References, constants, paths and resources may stand side by side in any number."""
    bindings = ["n1", Literally("x"), FromNode("n2", ("real",)), FromResource(dict), "n3"][:count]
    assert bound(*bindings, opened={dict: "pool"}) == (10, "x", 20, "pool", 30)[:count]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), None),
        (("lines",), ["a", "b"]),
        (("lines", 1), "b"),
        (("inner", "inner", "lines"), ["a", "b"]),
        (("rates", Key("eur"), 0), 1.5),
        (("inner", "rates", Key("eur")), [1.5]),
    ],
)
def test_paths_lead_through_attributes_indexes_and_keys(path, expected):
    """A path is followed step by step from the result; an empty one is the result itself."""
    quote = Quote()
    assert bound(FromNode("n0", path), values=[quote]) == (quote if expected is None else expected,)


def test_a_path_that_does_not_hold_raises_as_the_language_does():
    """A missing attribute, index or key is the author's own error, unchanged."""
    for path, error in ((("nope",), AttributeError), (("lines", 9), IndexError), (("rates", Key("usd")), KeyError)):
        follow = path_of(FromNode("n0", path))
        with pytest.raises(error):
            follow(Quote())


def test_a_list_of_a_thousand_references_is_one_argument():
    """A list keeps the order of its references, and each call gets a list of its own."""
    many = Items("list", tuple(FromNode(f"n{at}") for at in range(1000)))
    bind = bind_of([param("all", many)], INDEX)
    (first,), (second,) = bind(VALUES, {}), bind(VALUES, {})
    assert first == [at * 10 for at in range(1000)]
    assert first is not second


def test_containers_nest():
    """Tuples and dicts hold references and constants to any depth, and keep their types and keys."""
    nested = Items("dict", (Items("tuple", (FromNode("n1"),)), Items("list", (Literally(7), FromNode("n2", ("real",))))), ("one", 2))
    assert bound(nested, "n3") == ({"one": (10,), 2: [7, 20]}, 30)


def test_a_container_of_one_reference_is_still_a_container():
    """A list of one is no bare value."""
    assert bound(Items("list", (FromNode("n1"),)), Items("tuple", (FromNode("n2"),))) == ([10], (20,))


def test_a_constant_stays_one():
    """A step that changes the list it got as a constant changes neither the next call's argument nor what the author wrote."""
    said = [[1]]
    bind = bind_of([param("a", Literally(said))], INDEX)
    bind(VALUES, {})[0][0].append(2)
    assert bind(VALUES, {}) == ([[1]],)
    assert said == [[1]]


def test_a_constant_object_is_handed_over_itself():
    """Only plain containers are copied: an object of the author's keeps its identity."""
    thing = object()
    assert bound(Literally(thing))[0] is thing


def test_providers_are_listed_once_in_order():
    """A resource that two parameters use, or a container holds, is opened once."""
    params = [
        param("a", FromResource(list)),
        param("b", Items("list", (FromResource(dict), FromNode("n1")))),
        param("c", FromResource(list)),
    ]
    assert providers_of(params) == (list, dict)
    assert list(names_of(params)) == ["n1"]


def test_a_call_by_position_is_the_function_itself():
    """Where every parameter may be positional there is no wrapper, so a call costs nothing more."""

    def fn(self, a, b):
        return a, b

    assert call_of(fn, [param("a", "n0"), param("b", "n1")]) is fn


def test_keyword_only_parameters_get_their_names():
    """What comes by position reaches parameters behind the star under their own names."""

    def fn(self, element, a, *, b, c):
        return element, a, b, c

    call = call_of(fn, [param("a", "n0"), param("b", "n1", keyword_only=True), param("c", "n2", keyword_only=True)])
    assert call("self", "element", 1, 2, 3) == ("element", 1, 2, 3)


def test_a_keyed_source_takes_after_wherever_it_stands():
    """`after=` may come before the bound parameters of a keyed source: those are handed over by name then."""

    def rows(self, after, quote):
        return after, quote

    assert call_of(rows, [param("quote", "n0")], by_name=True)("self", "q", after=5) == (5, "q")


def test_binding_whole_results_costs_about_an_item_getter():
    """The cost of binding is a small multiple of the least that Python can do, however many results are read."""
    import time
    import timeit

    bind = bind_of([param(f"a{at}", f"n{at}") for at in range(1000)], INDEX)
    least = operator.itemgetter(*range(1000))
    ours = min(timeit.repeat(lambda: bind(VALUES, {}), number=50, repeat=7, timer=time.process_time))
    theirs = min(timeit.repeat(lambda: least(VALUES), number=50, repeat=7, timer=time.process_time))
    assert ours < theirs * 3
