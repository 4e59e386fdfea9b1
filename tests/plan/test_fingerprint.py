"""The fingerprint says whether two plans are the same thing to a record, wherever and whenever it is taken."""

import dataclasses
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import reactor
from reactor import Reactor, compose, step
from reactor.define.definition import FromNode, FromResource, InputDefinition, Items, Key, Literally, MapDefinition, SourceDefinition, Span
from reactor.define.retrying import Retry
from reactor.plan.compile import compile_plan, plan_of
from tests.plan.making import SPAN, definition, handler, node, param, perform
from tests.plan.shop import Asker, Checkout, Countdown, Parker, Sweep


async def other_code():
    """Another body."""


def fingerprint(*nodes, **options):
    """Of a reactor made by hand."""
    return compile_plan(definition(*nodes, **options)).fingerprint


REFERENCE = FromNode("a")


def mapped(elements=REFERENCE, element=int, batch_size=10, in_flight=2, on_error="fail"):
    """The fingerprint of a map after a node `a`."""
    return fingerprint(node("a"), node("z", kind="map", map=MapDefinition(elements, element, batch_size, in_flight, on_error)))


def source(key=None, params=(), element=int, name="rows"):
    """A source made by hand."""
    return SourceDefinition(name, perform, params, key, element, SPAN)


def with_input(**options):
    """The fingerprint of a reactor with one input."""
    field = {"name": "x", "type": int, "required": False, "default": 1} | options
    return fingerprint(node("z"), inputs=(InputDefinition(**field),))


BASE = (node("a"), node("b"), node("z", "a"))
CHANGES = {
    "the name": lambda: fingerprint(*BASE, name="other"),
    "a node's name": lambda: fingerprint(node("a2"), node("b"), node("z", "a2")),
    "a node more": lambda: fingerprint(node("more"), *BASE),
    "a node fewer": lambda: fingerprint(node("a"), node("z", "a")),
    "a kind": lambda: fingerprint(node("a", kind="interrupt"), node("b"), node("z", "a")),
    "a result's type": lambda: fingerprint(node("a", returns=str), node("b"), node("z", "a")),
    "an edge": lambda: fingerprint(node("a"), node("b"), node("z", "b")),
    "an edge more": lambda: fingerprint(node("a"), node("b"), node("z", "a", "b")),
    "a path": lambda: fingerprint(node("a"), node("b"), node("z", FromNode("a", ("real",)))),
    "an index": lambda: fingerprint(node("a"), node("b"), node("z", FromNode("a", (0,)))),
    "a key": lambda: fingerprint(node("a"), node("b"), node("z", FromNode("a", (Key("real"),)))),
    "a parameter's name": lambda: fingerprint(node("a"), node("b"), node("z", param("q", "a"))),
    "a parameter's type": lambda: fingerprint(node("a"), node("b"), node("z", param("a0", "a", str))),
    "a container": lambda: fingerprint(node("a"), node("b"), node("z", Items("list", (FromNode("a"),)))),
    "another container": lambda: fingerprint(node("a"), node("b"), node("z", Items("tuple", (FromNode("a"),)))),
    "a constant": lambda: fingerprint(node("a"), node("b"), node("z", "a", Literally(1))),
    "another constant": lambda: fingerprint(node("a"), node("b"), node("z", "a", Literally(2))),
    "a constant of another type": lambda: fingerprint(node("a"), node("b"), node("z", "a", Literally(1.0))),
    "a function as a constant": lambda: fingerprint(node("a"), node("b"), node("z", "a", Literally(perform))),
    "a lambda as a constant": lambda: fingerprint(node("a"), node("b"), node("z", "a", Literally(lambda: 1))),
    "a resource": lambda: fingerprint(node("a"), node("b"), node("z", "a", FromResource(perform))),
    "another resource": lambda: fingerprint(node("a"), node("b"), node("z", "a", FromResource(other_code))),
    "a flag": lambda: fingerprint(node("a"), node("b"), node("z", "a", when="b")),
    "an order": lambda: fingerprint(node("a"), node("b"), node("z", "a", after=("b",))),
    "an undo": lambda: fingerprint(node("a", undo=handler()), node("b"), node("z", "a")),
    "what an undo reads": lambda: fingerprint(node("a"), node("b", "a", undo=handler(param("x", "a"))), node("z", "a")),
    "a compensate": lambda: fingerprint(node("a", compensate=handler()), node("b"), node("z", "a")),
    "a map": mapped,
    "a map's elements": lambda: mapped(FromNode("a", ("lines",))),
    "a map's constant": lambda: mapped(Literally((1,))),
    "a map's element": lambda: mapped(element=str),
    "a map's failures": lambda: mapped(on_error="collect"),
    "a source": lambda: mapped(source()),
    "a keyed source": lambda: mapped(source(key=int)),
    "what a source reads": lambda: mapped(source(params=(param("a", "a"),))),
    "a source's element": lambda: mapped(source(element=str)),
    "a source's name": lambda: mapped(source(name="lines")),
    "an input": with_input,
    "an input's name": lambda: with_input(name="y"),
    "an input's type": lambda: with_input(type=str),
    "an input's default": lambda: with_input(default=2),
    "an input's need": lambda: with_input(required=True),
    "an input's seal": lambda: with_input(secret=True),
}


def test_every_change_that_a_record_could_feel_gives_another():
    """No two of all these changes, nor what they change, share a fingerprint."""
    seen = {fingerprint(*BASE): "what is changed"}
    for change, make in CHANGES.items():
        print_ = make()
        assert print_ not in seen, f"{change} is the same as {seen[print_]}"
        seen[print_] = change


SAME = {
    "retries": lambda: fingerprint(node("a", retry=Retry(3)), node("b"), node("z", "a")),
    "a timeout": lambda: fingerprint(node("a", timeout=3.0), node("b"), node("z", "a")),
    "offload": lambda: fingerprint(node("a", offload="heavy"), node("b"), node("z", "a")),
    "the order of methods": lambda: fingerprint(node("b"), node("a"), node("z", "a")),
    "a body": lambda: fingerprint(node("a", fn=other_code), node("b"), node("z", "a")),
    "the version": lambda: fingerprint(*BASE, version=2),
    "old names": lambda: fingerprint(*BASE, aliases=("old",)),
    "a place in the file": lambda: fingerprint(dataclasses.replace(BASE[0], span=Span("/elsewhere/x.py", 1, 2)), *BASE[1:]),
    "keyword-only": lambda: fingerprint(node("a"), node("b"), node("z", param("a0", "a", keyword_only=True))),
}


@pytest.mark.parametrize("change", SAME)
def test_what_cannot_keep_code_from_going_on_changes_nothing(change):
    """How often, how long, where and in which order of methods: a run goes on under the same fingerprint."""
    assert SAME[change]() == fingerprint(*BASE)


def test_the_size_of_a_batch_changes_nothing():
    """Batches that are recorded say their own sizes."""
    assert mapped(batch_size=99, in_flight=9) == mapped()


def test_the_order_of_a_handlers_timeouts_changes_nothing():
    """An undo may be given more time or attempts under a run that is there already."""
    assert fingerprint(node("z", undo=handler(timeout=9.0, retry=Retry(9)))) == fingerprint(node("z", undo=handler()))


def parent_of(child):
    """The fingerprint of a reactor that returns the child."""

    class Parent(Reactor):
        @compose
        async def output(self) -> child:
            return child()

    return plan_of(Parent).fingerprint


def child_of(result):
    """A reactor whose result has this type."""

    class Child(Reactor):
        @step
        async def output(self) -> result:
            raise NotImplementedError

    return Child


def nested(grandchild):
    """A reactor that only returns another."""

    class Nested(Reactor):
        @compose
        async def output(self) -> grandchild:
            return grandchild()

    return Nested


def test_a_change_in_a_child_changes_its_parents():
    """A child's nodes live in the parent's record; so do a grandchild's."""
    assert parent_of(child_of(int)) == parent_of(child_of(int))
    assert parent_of(child_of(int)) != parent_of(child_of(str))
    assert parent_of(nested(child_of(int))) != parent_of(nested(child_of(str)))


def test_reactors_that_contain_each_other_have_fingerprints():
    """Rings end, and each member's fingerprint is its own."""
    assert len({plan_of(each).fingerprint for each in (Parker, Asker, Countdown, Sweep, Checkout)}) == 5


def test_it_is_thirty_two_hex_digits():
    """Sixteen bytes, readable in a key or a URL."""
    text = plan_of(Checkout).fingerprint
    assert len(bytes.fromhex(text)) == 16


TELL = """
import sys
from tests.plan.shop import *
from reactor.plan.compile import plan_of
for each in (Checkout, Sweep, Countdown, Parker):
    print(plan_of(each).fingerprint)
"""


@pytest.mark.parametrize("seed", [0, 1, 4242])
def test_it_is_the_same_in_another_process_folder_and_hash_seed(seed, tmp_path):
    """A worker elsewhere, whose strings hash otherwise and whose files lie elsewhere, finds the same sixteen bytes."""
    shutil.copytree(Path(__file__).parent, tmp_path / "tests" / "plan", ignore=shutil.ignore_patterns("__pycache__"))
    search = os.pathsep.join([str(tmp_path), str(Path(reactor.__file__).parent.parent)])
    told = subprocess.run(
        [sys.executable, "-c", TELL],
        env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": search},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == [plan_of(each).fingerprint for each in (Checkout, Sweep, Countdown, Parker)]


def test_a_shuffled_definition_has_the_same(subtests):
    """Whatever order a class body has, equal structure is an equal fingerprint."""
    nodes = [node(f"n{at}", *[f"n{parent}" for parent in range(max(0, at - 3), at)]) for at in range(12)]
    last = nodes.pop()
    expected = fingerprint(*nodes, last)
    for seed in range(5):
        with subtests.test(seed=seed):
            random.Random(seed).shuffle(nodes)
            assert fingerprint(*nodes, last) == expected


def test_a_struct_that_grows_a_field_changes_it():
    """The type of a result counts by its fields, not by its name."""
    small = msgspec.defstruct("Quote", [("total", int)])
    grown = msgspec.defstruct("Quote", [("total", int), ("tax", int)])
    assert fingerprint(node("z", returns=small)) != fingerprint(node("z", returns=grown))
