"""The thread that writes: groups share a commit, processes share the file, and who watches hears of both.

It refuses to know what is written.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from queue import Empty
from typing import TYPE_CHECKING

import msgspec

from reactor.stores.sqlite_file import Durability, about, connect, is_busy, unavailable
from reactor.stores.sqlite_lanes import STOP, Answered, Asked, Lane, Reader, Transaction, Watcher, nothing

if TYPE_CHECKING:
    from collections.abc import Callable

TRY_AGAIN = (0.0002, 0.008)  # seconds between two tries to get the file: at first, at most
GROUP = 0.004  # seconds: what has come after so long waits for the next commit
FAIR = 0.020  # seconds that we write without a break; then others get a turn
TURN = 0.001  # seconds
LOOK = (0.005, 0.025)  # seconds between two looks for what others wrote: after some came, when all is quiet
KEPT = 1024  # commits that are remembered for those who look


class Writer(Lane):
    """Writes: all that came while one commit ran shares the next. Looks for other processes' commits while somebody watches."""

    def __init__(self, reader: Reader, clock: Callable[[], float], durability: Durability, patience: float) -> None:
        super().__init__(reader.path, clock)
        self._reader = reader
        self._durability: Durability = durability
        self._patience = patience
        self._watchers: tuple[Watcher, ...] = ()
        self._seen = 0  # the last commit that watchers know of
        self._pace = LOOK[0]
        self._version = -1  # SQLite's: changes when another connection commits
        self._rested = 0.0  # when others last had a turn

    def watch(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """Tell this of every record that changes, by us or others, until what is returned is called."""
        watcher = Watcher(changed)
        self._watchers = (*self._watchers, watcher)
        if len(self._watchers) == 1 and not self._closed:
            nobody = watcher.loop.create_future()
            nobody.cancel()
            self._queue.put(Asked(nothing, (), nobody))  # wake up: from now on there is looking to do

        def stop() -> None:
            watcher.done = True
            self._watchers = tuple(other for other in self._watchers if other is not watcher)

        return stop

    def _connect(self) -> None:
        self._connection = connect(self.path, self._durability, self._patience)
        self._execute = self._connection.cursor().execute
        self._transaction = Transaction(self._execute)
        self._seen = self._newest()[0]

    def _leave(self) -> None:
        """The last of a process folds the log into the file: it must not be one that only reads."""
        self._reader.wait()
        super()._leave()

    def _newest(self) -> tuple[int, float]:
        """Number and time of the last commit."""
        found: tuple[int, float] | None = self._execute("SELECT number, at FROM commits ORDER BY number DESC LIMIT 1").fetchone()
        return found or (0, 0.0)

    # ---- writing ----------------------------------------------------------------------------------------------

    def _perform(self, asked: Asked) -> None:
        """One transaction for this and what came meanwhile. Where it fails, each is tried alone: one's failure is not another's."""
        group = [asked]
        try:
            answers = self._together(group)
        except BaseException as error:  # noqa: BLE001  # their callers are told
            self._undo_all()
            if len(group) > 1 and not (isinstance(error, sqlite3.Error) and is_busy(error)):
                for one in group:
                    self._alone(one)
                return
            self._answer([Answered(one.future, None, unavailable(self.path, error)) for one in group])
            return
        self._news(answers)

    def _alone(self, asked: Asked) -> None:
        try:
            answers = self._together([asked], more=False)
        except BaseException as error:  # noqa: BLE001  # its caller is told
            self._undo_all()
            self._answer([Answered(asked.future, None, unavailable(self.path, error))])
            return
        self._news(answers)

    def _together(self, group: list[Asked], *, more: bool = True) -> list[Answered]:
        """Do all of a group, and of what comes until it is full; it is durable when this returns."""
        self._begin()
        began = time.monotonic()
        transaction = self._transaction
        number, at = self._newest()
        transaction.now = self._time(at)
        transaction.touched = []
        before = self._connection.total_changes
        answers = []
        for asked in group:  # it grows meanwhile
            answers.append(Answered(asked.future, asked.work(transaction, *asked.arguments), None))
            if more and time.monotonic() - began < GROUP and (another := self._waiting()) is not None:
                group.append(another)
        if self._watchers and number != self._seen:
            transaction.touched += self._written_by_others(number)
        if self._connection.total_changes != before:
            number += 1
            self._remember(number)
        self._execute("COMMIT")
        self._seen = number
        return answers

    def _remember(self, number: int) -> None:
        """Keep this commit, for the clock and for those who look."""
        transaction = self._transaction
        runs = msgspec.msgpack.encode(transaction.touched)
        self._execute("INSERT INTO commits (number, at, runs) VALUES (?, ?, ?)", (number, transaction.now, runs))
        if number % (KEPT // 2) == 0:
            self._execute("DELETE FROM commits WHERE number <= ?", (number - KEPT,))

    def _begin(self) -> None:
        """Get the file, among all processes. Raises sqlite3.OperationalError where it cannot be had in time."""
        self._give_a_turn()
        pause, until = TRY_AGAIN[0], 0.0
        while True:
            try:
                self._execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                until = until or now + self._patience
                if not is_busy(error) or now >= until:
                    raise
            else:
                return
            time.sleep(about(pause))
            pause = min(pause * 1.5, TRY_AGAIN[1])

    def _give_a_turn(self) -> None:
        """SQLite's waiters stand in no line: who writes without a break would starve them."""
        if time.monotonic() - self._rested > FAIR:
            time.sleep(about(TURN))
            self._rested = time.monotonic()

    def _undo_all(self) -> None:
        with suppress(sqlite3.Error):  # SQLite may have done it
            self._execute("ROLLBACK")

    def _news(self, answers: list[Answered]) -> None:
        """Answer, and tell whoever watches."""
        touched = self._transaction.touched
        watchers = self._watchers if touched else ()
        self._answer(answers, watchers, list(dict.fromkeys(touched)) if watchers else None)

    # ---- looking for others ------------------------------------------------------------------------------------

    def _next(self) -> Asked:
        """The next that is asked; while nothing is, other processes' commits are looked for."""
        asked = self._waiting()
        if asked is not None or self._stopping:
            return asked or STOP
        while self._watchers:
            with suppress(Empty):
                asked = self._queue.get(timeout=about(self._pace))
                break
            self._look()
        else:
            asked = self._queue.get()
        self._rested = time.monotonic()
        return asked

    def _look(self) -> None:
        """Tell of what others committed since we last knew."""
        try:
            version = self._execute("PRAGMA data_version").fetchone()[0]
            runs = []
            if version != self._version:
                number = self._newest()[0]
                runs, self._seen, self._version = self._written_by_others(number), number, version
        except sqlite3.Error:
            runs = []  # the file cannot be read now: whoever writes is told
        self._pace = LOOK[0] if runs else min(self._pace * 1.3, LOOK[1])
        if runs:
            self._answer([], self._watchers, list(dict.fromkeys(runs)))

    def _written_by_others(self, number: int) -> list[str]:
        rows = self._execute("SELECT runs FROM commits WHERE number > ? AND number <= ?", (self._seen, number)).fetchall()
        return [run for (runs,) in rows for run in msgspec.msgpack.decode(runs, type=list[str])]
