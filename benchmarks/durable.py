"""The durable suite: who plays, in turns, and what must come of it. `python -m benchmarks durable`.

Time is the wall clock's here: whoever makes a run durable waits for a disk or a server.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks import durable_ours as ours
from benchmarks.durable_places import ALWAYS, EVERYSEC, OFF, places
from benchmarks.durable_stage import Stage, stages
from benchmarks.measure import Contestant, paired, ratio

PARTS = ("chain", "crowd", "length", "load", "signal", "start")
STAGES = ("reactor", "LangGraph", "DBOS", "DBOS tuned")
ROUNDS = 30
ROUNDS_OF = {"crowd": 5, "length": 4, "load": 5, "signal": 8, "start": 8}  # at most; a part's turns differ in length
SLOW = {"LangGraph": 8, "DBOS": 4, "DBOS tuned": 8}  # rounds of a stage at most

CHAIN_REDIS = 1.4  # what a step costs in round trips, at most
CHAIN_SQLITE = 200.0  # microseconds
PEERS = 10.0  # what a peer's step costs in ours, at least
CROWD_RATE = 10_000.0  # durable steps a second
GROWTH = 1.3  # what a step of a long run costs in those of a short one
LOAD_MS = 1000.0
SIGNAL_MS, ACROSS_MS, START_MS = 5.0, 20.0, 10.0
UNJUDGED = ("LangGraph, functional, NORMAL",)  # not durable before the next step begins


@dataclass
class Player(Contestant):
    """A contestant that plays on a stage. `times` are its best of a turn, or the median where a turn is many; `samples` are all."""

    part: str = ""
    stage: str = ""
    samples: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        """The median of all."""
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        """What one of twenty exceeds."""
        return sorted(self.samples)[int(len(self.samples) * 0.95)]


@dataclass(frozen=True)
class Played:
    """All players of a run of the suite."""

    players: Sequence[Player]

    def of(self, part: str) -> list[Player]:
        """Those of a part, in the order in which they are shown."""
        return [player for player in self.players if player.part == part]

    def one(self, part: str, who: str) -> Player | None:
        """A player, where it played."""
        return next((player for player in self.of(part) if player.name == who), None)


async def nothing() -> None:
    """A player's turn is its stage's."""


def play(parts: Sequence[str], names: Sequence[str], rounds: int = ROUNDS, tell: Callable[[str], None] = print) -> Played:
    """All acts of these parts on these stages, in turns."""
    with places(OFF, EVERYSEC, ALWAYS) as at, stages(list(names), at) as opened:
        players = [player for stage in opened.values() for player in players_of(stage, parts, rounds)]
        for part in parts:
            tell(f"{part} …")
            interleave([player for player in players if player.part == part], opened)
    return Played(players)


def players_of(stage: Stage, parts: Sequence[str], rounds: int) -> Iterable[Player]:
    """A stage's acts as players."""
    for part, who in stage.acts:
        if part in parts:
            most = min(ROUNDS_OF.get(part, rounds), rounds, SLOW.get(stage.name, rounds))
            yield Player(who, 1, nothing, rounds=most, part=part, stage=stage.name)


def interleave(players: Sequence[Player], opened: dict[str, Stage]) -> None:
    """Every player once a round, after one untimed turn."""
    for player in players:
        opened[player.stage].play(player.part, player.name)
    rounds = max((player.rounds for player in players), default=0)
    for number in range(rounds):
        for player in players:
            if player.plays(number, rounds):
                turn = opened[player.stage].play(player.part, player.name)
                player.times[number] = statistics.median(turn)
                player.samples += turn


# ---- what must come of it -----------------------------------------------------------------------------------------


def misses(played: Played) -> list[str]:
    """The targets that were missed."""
    return [*chain_misses(played), *rate_misses(played), *length_misses(played), *latency_misses(played)]


def chain_misses(played: Played) -> list[str]:
    """A chain's step: against a round trip, in microseconds, against the peers."""
    wrong = []
    redis, sqlite = played.one("chain", ours.REDIS[OFF]), played.one("chain", ours.SQLITE)
    trip = played.one("chain", ours.REDIS_PY)
    if redis and trip and (times := at_least(redis, trip)) > CHAIN_REDIS:
        wrong.append(f"a step on Redis costs {times:.2f} times one EVALSHA by redis-py, at most {CHAIN_REDIS:g} is allowed")
    if sqlite and sqlite.best > CHAIN_SQLITE:
        wrong.append(f"a step on SQLite costs {sqlite.best:.0f} µs, at most {CHAIN_SQLITE:g} is allowed")
    return wrong + [
        f"a step of {peer.name} costs {times:.1f} times that of {mine.name}, at least {PEERS:g} is wanted"
        for peer in played.of("chain")
        if peer.stage != "reactor" and peer.name not in UNJUDGED
        for mine in (redis, sqlite)
        if mine and (times := at_most(peer, mine)) < PEERS
    ]


def rate_misses(played: Played) -> list[str]:
    """Many runs at once."""
    return [
        f"{player.name}: {1e6 / player.best:,.0f} durable steps a second, at least {CROWD_RATE:,.0f} are wanted"
        for player in played.of("crowd")
        if player.stage == "reactor" and 1e6 / player.best < CROWD_RATE
    ]


def length_misses(played: Played) -> list[str]:
    """Long runs: a step's cost, and loading one."""
    wrong = []
    for who in (ours.SQLITE, ours.REDIS[OFF]):
        short, long = (played.one("length", f"{who}, {steps:,} steps") for steps in (ours.STEPS, ours.LONG))
        if short and long and (times := at_least(long, short)) > GROWTH:
            wrong.append(f"{who}: a step of {ours.LONG:,} costs {times:.2f} times that of {ours.STEPS}, at most {GROWTH:g} is allowed")
    return wrong + [
        f"{player.name}: a run of {ours.LONG:,} steps takes {player.p50:.0f} ms to load, under {LOAD_MS:g} is wanted"
        for player in played.of("load")
        if player.p50 >= LOAD_MS
    ]


def latency_misses(played: Played) -> list[str]:
    """Signals and starts."""
    wrong = []
    for part, limit in (("signal", SIGNAL_MS), ("start", START_MS)):
        for player in played.of(part):
            most = ACROSS_MS if "another process" in player.name else limit
            if player.stage == "reactor" and player.p50 >= most:
                wrong.append(f"{part}, {player.name}: {player.p50:.2f} ms, under {most:g} is wanted")
    return wrong


def at_least(one: Player, other: Player) -> float:
    """How many times the other it costs: the kinder of best by best and the median of pairs, as one of the two may be off."""
    return min(ratio(one, other), paired(one, other))


def at_most(one: Player, other: Player) -> float:
    """The same where more is wanted."""
    return max(ratio(one, other), paired(one, other))
