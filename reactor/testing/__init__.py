"""What tests of reactors need: time that passes only when it must, orders to play with, and a run with failures put into it.

>>> from reactor.testing import HANG, trial
"""

from reactor.testing.clock import Stalled, VirtualTimeLoop, run_virtual, virtual_backend
from reactor.testing.faults import CANCEL, HANG, Made, NotReached
from reactor.testing.harness import Injected, Trial, fail_each, trial

__all__ = [
    "CANCEL",
    "HANG",
    "Injected",
    "Made",
    "NotReached",
    "Stalled",
    "Trial",
    "VirtualTimeLoop",
    "fail_each",
    "run_virtual",
    "trial",
    "virtual_backend",
]
