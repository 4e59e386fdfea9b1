"""The thread that writes: groups share a commit, processes share the file, and who watches hears of both.

It refuses to know what is written.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from queue import Empty
from threading import Lock
from typing import TYPE_CHECKING

import msgspec

from reactor.stores.sqlite_file import CHECKPOINT, Durability, about, as_written, connect, gone, identity, is_busy, unavailable
from reactor.stores.sqlite_lanes import STOP, Answered, Asked, Change, Lane, Reader, Transaction, Watcher, fold, nothing

if TYPE_CHECKING:
    from collections.abc import Callable

TRY_AGAIN = (0.0002, 0.008)  # seconds between two tries to get the file: at first, at most
GROUP = 0.004  # seconds: what has come after so long waits for the next commit
FAIR = 0.020  # seconds that we write without a break; then others get a turn
TURN = 0.001  # seconds
LOOK = (0.005, 0.025)  # seconds between two looks for what others wrote: after some came, when all is quiet
KEPT = 1024  # commits that are remembered for those who look
STAYS = 0.02  # seconds that a file is taken to be there after it was seen
LEAST = 2  # pages that a commit writes, and each thing in it, about

Done = tuple[list[Answered], "list[Change] | None"]  # what is answered, and what of it is news to who watches

_runs = msgspec.msgpack.Decoder(list[str])


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
        self._looked = 0.0  # when the file was last seen where it was opened
        self._logged = 0  # pages in the log, about, since it was last folded
        self.hold = Lock()  # of the connection: a thread may also lend it

    def watch(self, changed: Callable[[str], None], besides: str) -> Callable[[], None]:
        """Tell this of every record that changes, but by the session `besides`, until what is returned is called."""
        watcher = Watcher(changed, besides)
        self._watchers = (*self._watchers, watcher)
        if len(self._watchers) == 1 and not self._closed:
            nobody = watcher.loop.create_future()
            nobody.cancel()
            self._queue.put(Asked(nothing, (), nobody, time.monotonic()))  # wake up: from now on there is looking to do

        def stop() -> None:
            watcher.done = True
            self._watchers = tuple(other for other in self._watchers if other is not watcher)

        return stop

    def _connect(self) -> None:
        self._connection = connect(self.path, self._durability, self._patience)
        self._execute = self._connection.cursor().execute
        self._transaction = Transaction(self._execute, self._time)
        self._seen = self._transaction.number
        self._whole_path = os.path.abspath(self.path)  # noqa: PTH100  # the working folder may change
        self._file = identity(self._whole_path)

    def _leave(self) -> None:
        """The last of a process folds the log into the file: it must not be one that only reads."""
        self._reader.wait()
        super()._leave()

    # ---- writing ----------------------------------------------------------------------------------------------

    def _perform(self, asked: Asked) -> None:
        with self.hold:
            done = self._done([asked])
        for answers, changes in done:  # nobody who is woken by them finds it held
            self._answer(answers, self._watchers if changes else (), changes)
        self._fold_the_rest()

    def _fold_the_rest(self) -> None:
        """What came while most of the log was folded, while nothing comes: only a log that is folded whole begins anew."""
        if self._reader.has_folded:
            self._reader.has_folded = False
            with self.hold:
                fold(self._transaction)

    def _done(self, group: list[Asked]) -> list[Done]:
        """One transaction for this and what came meanwhile. Where it fails, each is tried alone: one's failure is not another's."""
        try:
            return [self.together(group)]
        except BaseException as error:  # noqa: BLE001  # their callers are told
            self.undo_all()
            if len(group) > 1 and not (isinstance(error, sqlite3.Error) and is_busy(error)):
                return [self._alone(one) for one in group]
            return [([Answered(one.future, None, unavailable(self.path, error)) for one in group], None)]

    def _alone(self, asked: Asked) -> Done:
        try:
            return self.together([asked], more=False)
        except BaseException as error:  # noqa: BLE001  # its caller is told
            self.undo_all()
            return [Answered(asked.future, None, unavailable(self.path, error))], None

    def together(self, group: list[Asked], *, more: bool = True, waits: bool = True) -> Done:
        """Do all of a group, and of what comes until it is full; it is durable when this returns. Who does this holds `hold`."""
        if waits:
            self._begin(group[0].since + self._patience)
        else:
            self._execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        if began - self._looked > STAYS:
            self._looked = began
            self._see_that_it_is_there()
        transaction = self._transaction
        transaction.begin()
        before = self._connection.total_changes
        answers = []
        for asked in group:  # it grows meanwhile
            transaction.by = ""
            answers.append(Answered(asked.future, asked.work(transaction, *asked.arguments), None))
            if more and time.monotonic() - began < GROUP and (another := self._waiting()) is not None:
                group.append(another)
        is_news = len(group) > transaction.plain and self._connection.total_changes != before
        others = self._written_by_others(transaction.number) if self._watchers and (is_news or transaction.has_read) else []
        if is_news:
            self._remember(transaction.number + 1)  # what is ours: an echo of others would come back to us from them, for ever
        transaction.touched += others
        self._execute("COMMIT")
        if is_news or transaction.has_read:
            self._seen = transaction.number + is_news
        self._logged += LEAST + LEAST * len(group)
        if self._logged >= CHECKPOINT:
            self._logged = 0
            self._reader.fold()
        touched = transaction.touched
        return answers, list(dict.fromkeys(touched)) if touched and self._watchers else None

    def _remember(self, number: int) -> None:
        """Keep this commit, for the clock and for those who look."""
        transaction = self._transaction
        runs = msgspec.msgpack.encode([run for run, _ in transaction.touched])
        self._execute("INSERT INTO commits (number, at, runs) VALUES (?, ?, ?)", (number, transaction.now, runs))
        if number % (KEPT // 2) == 0:
            self._execute("DELETE FROM commits WHERE number <= ?", (number - KEPT,))

    def _see_that_it_is_there(self) -> None:
        """SQLite writes to a file that was removed, and says nothing. Raises StoreUnavailable."""
        if identity(self._whole_path) != self._file:
            self._looked = 0.0
            raise gone(self.path)

    def _begin(self, until: float) -> None:
        """Get the file, among all processes. Raises sqlite3.OperationalError where it cannot be had in time."""
        self._give_a_turn()
        pause = TRY_AGAIN[0]
        while True:
            try:
                self._execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() >= until:
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

    def undo_all(self) -> None:
        """Nothing of a transaction that failed was written."""
        with suppress(sqlite3.Error):  # SQLite may have done it
            self._execute("ROLLBACK")

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
        self._fold_the_rest()
        try:
            with self.hold:
                version = self._execute("PRAGMA data_version").fetchone()[0]
                changes = []
                if version != self._version:
                    self._transaction.begin()
                    number = self._transaction.number
                    changes, self._seen, self._version = self._written_by_others(number), number, version
        except (sqlite3.Error, msgspec.MsgspecError):
            changes = []  # the file cannot be read now: whoever writes is told
        self._pace = LOOK[0] if changes else min(self._pace * 1.3, LOOK[1])
        if changes:
            self._answer([], self._watchers, list(dict.fromkeys(changes)))

    def _written_by_others(self, number: int) -> list[Change]:
        if number == self._seen:
            return []
        rows = self._execute("SELECT runs FROM commits WHERE number > ? AND number <= ?", (self._seen, number)).fetchall()
        found: list[Change] = []
        for (runs,) in rows:
            with suppress(msgspec.MsgspecError):  # only a hint, and not worth a write
                found += [(run, "") for run in _runs.decode(as_written(runs, bytes))]
        return found
