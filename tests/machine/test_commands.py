"""Orders: what each is about."""

from reactor.machine import commands
from reactor.machine.machine import DUE, Machine
from reactor.plan.compile import plan_of
from reactor.run.perform import PERFORM
from tests.machine.folding import Fold
from tests.machine.plans import Order

KINDS = {kind for kind in vars(commands).values() if isinstance(kind, type) and kind.__module__ == commands.__name__} - {commands.Order}


def test_an_order_knows_its_address():
    """The address of the occurrence that it is about; of the run itself, none."""
    machine = Machine(plan_of(Order))
    root = machine.state.root
    assert commands.Close(root, 1).address == "pay"
    assert commands.End(root, -1, "failed").address == ""


def test_an_order_in_a_child_has_the_childs_address():
    """Names are paths from the run on, however deep."""
    fold = Fold(Order).did("reserve").opened("pay", "Payment")
    child = fold.root.children[1]
    assert commands.CancelCall(child, 1, "told").address == "pay.output"
    assert commands.End(child, -1, "failed").address == "pay"


def test_every_order_can_be_performed_and_judged():
    """A new order has its function in the runner's table (a call has a lane of its own) and its rule of being due."""
    assert set(DUE) == KINDS
    assert set(PERFORM) == KINDS - {commands.Call}
