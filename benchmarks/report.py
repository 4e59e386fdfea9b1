"""The figures as Markdown, and docs/benchmarks.md rewritten between its two marks."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.maps import MILLION
from benchmarks.race import LIMIT, Race
from benchmarks.scale import Sizes, WayBack
from benchmarks.soak import Point

DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures: begin (written by `python -m benchmarks --write`) -->", "<!-- figures: end -->"
MEASURED = ("reactor-saga", "apache-hamilton", "pydantic-graph", "langgraph", "llama-index-workflows")


def machine() -> str:
    """What it ran on, as a class of machine, and which versions."""
    versions = ", ".join(f"{name} {installed(name)}" for name in MEASURED)
    system = f"{processor()}, {os.cpu_count()} cores, {platform.system()}, {platform.python_implementation()} {platform.python_version()}"
    return f"Taken on {datetime.now(UTC):%Y-%m-%d} on: {system}. Versions: {versions}."


def installed(name: str) -> str:
    """A distribution's version."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The processor's family, where the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
    return f"{models[0]} ({platform.machine()})" if models else platform.machine()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column is text, the others are numbers."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def races_table(races: Sequence[Race]) -> str:
    """A row a contestant: microseconds a step, and how many times ours that is."""
    names = list(dict.fromkeys(one.name for race in races for one in race.contestants))
    head = ["µs a step (times ours)", *(race.shape.name for race in races)]
    return table(head, [[name, *(cell(race, name) for race in races)] for name in names])


def cell(race: Race, name: str) -> str:
    """One contestant on one shape."""
    for one in race.contestants:
        if one.name == name:
            times = f" ({shown(race.ratio_of(one))}x)" if one is not race.ours else f" ({limit_share(race)} of the limit)"
            return f"{shown(one.best)}{times}" + (f" *{one.note}*" if one.note else "")
    return ""


def limit_share(race: Race) -> str:
    """Our cost in hand-written steps."""
    limit = next(one for one in race.contestants if one.name == LIMIT)
    return f"**{1 / race.ratio_of(limit):.2f}**"


def shown(figure: float) -> str:
    """Two digits where they mean something."""
    return f"{figure:,.2f}" if figure < 10 else f"{figure:,.1f}" if figure < 100 else f"{figure:,.0f}"  # noqa: PLR2004


def sizes_table(sizes: Sequence[Sizes]) -> str:
    """A row a shape: what a step costs at each size, and what the hand-written one does."""
    head = ["µs a step (hand-written)", "a tenth", "as above", "ten times", "dearest by cheapest"]
    rows = [
        [
            size.shape,
            *(f"{steps:,} steps: {shown(us)} ({shown(limit)})" for steps, us, limit in zip(size.steps, size.ours, size.limit, strict=True)),
            f"{size.growth:.2f}",
        ]
        for size in sizes
    ]
    return table(head, rows)


def one_step_line(us: float, limit: float) -> str:
    """What a run costs besides its steps."""
    return f"A run of a single step takes {shown(us)} µs, the hand-written one {shown(limit)} µs."


def way_back_table(ways: Sequence[WayBack]) -> str:
    """A row a size."""
    rows = [[f"{way.steps:,}", shown(way.success), shown(way.failure), f"{way.failure / way.success:.2f}"] for way in ways]
    return table(["steps of a chain", "succeeds, µs a step", "fails in the last and undoes all, µs a step", "ratio"], rows)


def maps_table(memory: dict[str, float], noop: dict[str, float], wide: dict[str, float]) -> str:
    """A row a figure."""
    rows = [
        [f"peak memory above the start, {MILLION:,} distinct strings of 19 characters, run and read back", f"{memory['grew_mb']:.1f} MB"],
        ["elements a second while it does so", f"{memory['mapped_a_second']:,.0f}"],
        ["results read back a second, in order", f"{memory['read_a_second']:,.0f}"],
        [f"no-op elements a second, {MILLION:,}, batches of 100 (the default)", f"{noop['a_second']:,.0f}"],
        [f"no-op elements a second, {MILLION:,}, batches of 1,000", f"{wide['a_second']:,.0f}"],
    ]
    return table(["a map over a generator of ints", ""], rows)


def soak_table(points: Sequence[Point]) -> str:
    """A row a point."""
    rows = [[f"{point.runs:,}", str(point.tasks), f"{point.objects:,}", f"{point.resident / 1e6:.1f} MB"] for point in points]
    return table(["runs", "tasks left", "objects tracked", "resident"], rows)


def write(figures: str, path: Path = DOCS) -> None:
    """Put the figures between the marks. Raises ValueError where the marks are gone."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has lost its marks: {BEGIN!r} and {END!r}")
    path.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}", encoding="utf-8")
