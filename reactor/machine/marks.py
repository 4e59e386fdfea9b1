"""Where a node stands (marks) and where a scope stands (phases): small ints, compared in the hot path.

```
IDLE → READY → RUNNING → DONE                                   a step; a map or compose is OPEN instead of RUNNING
               RUNNING → BACKOFF → RUNNING                      an attempt failed and another is due
               RUNNING → COMPENSATE_READY → COMPENSATING → FAILED | RECOVERED | BACKOFF (TryAgain)
               RUNNING → LEFT                                   halted or abandoned: neither succeeded nor compensated
DONE → UNDO_READY → UNDOING → UNDONE | UNDO_FAILED
```
"""

from __future__ import annotations

from typing import Final

IDLE: Final = 0
READY: Final = 1
RUNNING: Final = 2
BACKOFF: Final = 3
OPEN: Final = 4
COMPENSATE_READY: Final = 5
COMPENSATING: Final = 6
COMPENSATE_BACKOFF: Final = 7
DONE: Final = 8  # succeeded; an undo, where there is one, will be called
SKIPPED: Final = 9  # done, never undone
RECOVERED: Final = 10  # compensate said Continue: done, never undone
FAILED: Final = 11
COMPENSATE_FAILED: Final = 12
LEFT: Final = 13
HALTED: Final = 14
UNDO_READY: Final = 15
UNDOING: Final = 16
UNDO_BACKOFF: Final = 17
UNDONE: Final = 18
UNDO_FAILED: Final = 19

MARKS: Final = (
    "idle", "ready", "running", "backoff", "open", "compensate_ready", "compensating", "compensate_backoff", "done", "skipped",
    "recovered", "failed", "compensate_failed", "left", "halted", "undo_ready", "undoing", "undo_backoff", "undone", "undo_failed",
)  # fmt: skip

FORWARD: Final = 0
STOPPING: Final = 1  # nothing new begins; what is in flight settles
ROLLBACK: Final = 2
CLOSED: Final = 3  # succeeded, or rolled back
QUIET: Final = 4  # halted or abandoned: stopped with nothing undone

PHASES: Final = ("forward", "stopping", "rollback", "closed", "quiet")
