"""One fact of every kind, and more where a field changes much: what a release is asked to write, and its successors to read."""

from reactor.define.failing import Failure, Frame
from reactor.machine import events

FAILURE = Failure(
    "Boom", "no", ("a.Boom", "builtins.Exception"), 2, (Frame("f.py", 3, "go", "go()"),), ("note",), {"x": "1"}, "code", "> go()"
)
STUCK = (events.RollbackFailed("a", "undo", FAILURE),)
WAITED = (events.Waited("shop:1/ship#2", "ship[107].approval", "order:o-1", 99.5, "card-payment.approval", "0.1"),)
SAMPLES: list[events.Event] = [
    events.CallStarted(1.5, "price", "undo", 3),
    events.CallSucceeded(1.5, "price"),
    events.CallFailed(1.5, "ship[3].label", "do", 2, FAILURE, 0.25),
    events.CallFailed(1.5, "a", "compensate", 1, FAILURE),
    events.CallCut(1.5, "a", "do", 2, lost=False, until=9.5),
    events.CallCancelled(1.5, "a", "late"),
    events.Skipped(1.5, "a", None, "raised"),
    events.Compensated(1.5, "a", "try_again", None, 2.0),
    events.Compensated(1.5, "a", "continued"),
    events.Undone(1.5, "a"),
    events.Halted(1.5, "a", "enough"),
    events.ChildOpened(1.5, "pay", "card-payment"),
    events.Closed(1.5, "pay"),
    events.MapOpened(1.5, "ship", None, "0.1"),
    events.BatchStarted(1.5, "ship", 2, 100, 50),
    events.SourceEnded(1.5, "ship", FAILURE),
    events.BatchSettled(1.5, "ship", 2, 49, 1, 49, FAILURE, "ship[107]", STUCK, "enough"),
    events.BatchUndoStarted(1.5, "ship", 2),
    events.BatchUndone(1.5, "ship", 2, STUCK),
    events.BatchParked(1.5, "ship", 2, WAITED),
    events.BatchWoke(1.5, "ship", 2),
    events.Asked(1.5, "approval", "0.1", "order:o-1", 99.5),
    events.Answered(1.5, "approval", None, "evt-7"),
    events.AnswerRefused(1.5, "approval", 2, FAILURE, "evt-8"),
    events.SignalKept(1.5, "*.card-payment.approval", None, "evt-9"),
    events.StopRequested(1.5, "", "deadline", "too late"),
    events.UndoRequested(1.5, "", ("a", "b"), "superseded"),
    events.RollbackRetried(1.5, ""),
    events.Kept(1.5, "a", None, skipped=True),
    events.RunStarted(1.5, "", "shop:1", "shop", 3, "f00d", None, 99.5, 30.0, ("vip",), 0, 0),
    events.RunStarted(1.5, "ship", "shop:1", "shop", 3, "f00d", None, None, 30.0, (), 100, 50),
    events.RunEnded(1.5, "", "stuck", "why"),
]


def sample_name(event: events.Event) -> str:
    """A test's id: pytest wants no two alike."""
    return f"{type(event).__name__} {SAMPLES.index(event)}"
