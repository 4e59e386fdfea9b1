"""What a call is handed: the author's function, its reactor, and the arguments that its plan binds."""

import pytest

from reactor import Engine, Reactor, StepError, compose, map_over, step, use
from reactor.machine.commands import Call
from reactor.machine.events import RunStarted
from reactor.machine.machine import Machine
from reactor.plan.compile import plan_of
from reactor.run.arguments import arguments_of, code_of, error_of
from reactor.run.runner import Runner
from reactor.run.site import Site
from tests.machine.folding import BOOM

pytestmark = pytest.mark.anyio


def pool():
    """A resource."""
    return "pool"


class Shop(Reactor):
    order: str = "o-1"

    @step
    async def price(self) -> int: ...

    @step
    async def pay(self, amount: int = price.result, how: str = "card", db: str = use(pool)) -> int: ...

    @pay.undo
    async def refund(self, charge: int, amount: int = price.result, db: str = use(pool)) -> None: ...

    @pay.compensate
    async def check(self, error: StepError, amount: int = price.result) -> None: ...

    @step
    async def output(self, paid: int = pay.result, both: tuple[int, int] = (price.result, pay.result)) -> int: ...


SHOP = Shop()


async def runner_of(**values):
    """A runner whose nodes have these values, and whose resource is open."""
    plan = plan_of(Shop)
    runner = Runner(Site(), Machine(plan), "Shop:1")
    runner.note(RunStarted(0.0, "", inputs=SHOP))
    for name, value in values.items():
        runner.machine.state.root.values[plan.index[name]] = value
    await runner.site.resources.open([pool])
    return runner


def order(runner, name, call="do"):
    """An order to call it."""
    root = runner.machine.state.root
    index = root.plan.index[name]
    return Call(root, index, name, root.plan.nodes[index], call)


async def test_a_step_is_handed_its_reactor_and_what_it_is_bound_to():
    """Results, literals and resources, in the order of its parameters."""
    runner = await runner_of(price=99)
    pay = order(runner, "pay")
    assert code_of(pay) is pay.node
    assert arguments_of(runner, pay, code_of(pay)) == (SHOP, 99, "card", "pool")


async def test_references_in_tuples_are_followed():
    """Each time anew."""
    runner = await runner_of(price=99, pay=7)
    output = order(runner, "output")
    assert arguments_of(runner, output, code_of(output)) == (SHOP, 7, (99, 7))


async def test_an_undo_is_handed_the_steps_own_value():
    """Then what it is bound to."""
    runner = await runner_of(price=99, pay=7)
    undo = order(runner, "pay", "undo")
    assert code_of(undo) is undo.node.undo
    assert arguments_of(runner, undo, code_of(undo)) == (SHOP, 7, 99, "pool")


async def test_a_compensate_is_handed_the_failure():
    """With its place, and the exception while that is at hand."""
    runner = await runner_of(price=99)
    compensate = order(runner, "pay", "compensate")
    compensate.scope.failures[compensate.index] = BOOM
    assert code_of(compensate) is compensate.node.compensate
    _, error, amount = arguments_of(runner, compensate, code_of(compensate))
    assert (error.failure, error.address, error.original, amount) == (BOOM, "pay", None, 99)
    runner.originals["pay"] = original = OSError("it")
    assert error_of(runner, compensate).original is original


async def test_an_element_is_handed_itself_and_what_the_map_is_bound_to():
    """And its undo what it had returned, decoded, at every depth."""
    seen = []

    class Inner(Reactor):
        factor: int

        @step
        async def base(self) -> int:
            return 10

        @map_over([1, 2])
        async def output(self, one: int, base: int = base.result, db: str = use(pool), extra: str = "x") -> dict[str, int]:
            seen.append((self.factor, one, base, db, extra))
            return {"made": one * base}

        @output.undo
        async def unmake(self, made: dict[str, int], db: str = use(pool), base: int = base.result) -> None:
            seen.append(("undo", self.factor, made["made"], db, base))

    class Outer(Reactor):
        @compose
        async def inner(self) -> Inner:
            return Inner(factor=3)

        @step(after=[inner])
        async def output(self) -> None:
            raise OSError("on purpose")

    async with Engine() as engine:
        await engine.run(Outer())
    made = [(3, 1, 10, "pool", "x"), (3, 2, 10, "pool", "x")]
    undone = [("undo", 3, 10, "pool", 10), ("undo", 3, 20, "pool", 10)]
    assert seen[:2] == made
    assert sorted(seen[2:]) == undone
