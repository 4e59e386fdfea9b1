"""The main job on the real data: its figures, what it takes, and what it leaves behind when it fails."""

import csv
import json
import math
import os
import sqlite3
import subprocess
import sys
import zipfile
from collections import defaultdict
from contextlib import closing
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from statistics import fmean
from xml.etree import ElementTree as ET

import pytest
from flights import Cleaned, DelayReport, Flight, Tables, miles_between

from reactor import Engine, Failed, InputInvalid, Succeeded, Undone

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FULL = """
import asyncio, pathlib, resource, sys, msgspec
from flights import DelayReport

def high_water():  # in MB; Linux's ru_maxrss would count what the parent held when it forked
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

async def main():
    report = await DelayReport(database="full.db", chart="full.svg")
    peak = high_water()
    print(msgspec.json.encode({"report": report, "peak": peak, "pandas": "pandas" in sys.modules}).decode())

asyncio.run(main())
"""


# ---- the figures, computed another way: no SQL, no msgspec, vectors for the distance ------------------------------------------


def read(name):
    """The rows of one of the package's files."""
    path = Tables().folder / name
    with TextIOWrapper(zipfile.ZipFile(path).open(path.stem) if path.suffix == ".zip" else path.open("rb"), "utf-8") as file:
        yield from csv.DictReader(file)


def vector(airport):
    """A place as a point of the unit sphere."""
    lat, lon = math.radians(float(airport["lat"])), math.radians(float(airport["lon"]))
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def expected():
    """By carrier: the figures of the report; and by route: the great-circle distance."""
    names = {row["carrier"]: row["name"] for row in read("airlines.csv")}
    points = {row["faa"]: vector(row) for row in read("airports.csv")}
    years = {row["tailnum"]: int(row["year"]) for row in read("planes.csv") if row["year"] != "NA"}
    rain = {(row["origin"], datetime.fromisoformat(row["time_hour"])): float(row["precip"]) for row in read("weather.csv")}
    counts, departures, arrivals, wet, ages, miles = defaultdict(int), *(defaultdict(list) for _ in range(4)), {}
    for row in read("flights.csv.zip"):
        carrier, route = row["carrier"], (row["origin"], row["dest"])
        counts[carrier] += 1
        if row["tailnum"] in years:
            ages[carrier].append(2013 - years[row["tailnum"]])
        if row["dep_delay"] != "NA":
            departures[carrier].append(int(row["dep_delay"]))
        if row["arr_delay"] != "NA":
            arrivals[carrier].append(int(row["arr_delay"]))
            if rain.get((row["origin"], datetime.fromisoformat(row["time_hour"])), 0) > 0:
                wet[carrier].append(int(row["arr_delay"]))
        if route not in miles and row["dest"] in points:
            miles[route] = 2 * 3958.8 * math.asin(math.dist(points[row["origin"]], points[row["dest"]]) / 2)
    lines = [
        {
            "carrier": carrier,
            "name": names[carrier],
            "flights": counts[carrier],
            "cancelled": counts[carrier] - len(departures[carrier]),
            "departure": fmean(departures[carrier]),
            "arrival": fmean(arrivals[carrier]),
            "late": fmean(delay > 15 for delay in arrivals[carrier]),
            "late_in_rain": fmean(delay > 15 for delay in wet[carrier]) if wet[carrier] else None,
            "plane_age": fmean(ages[carrier]) if ages[carrier] else None,
        }
        for carrier in counts
    ]
    return sorted(lines, key=lambda line: -line["arrival"]), miles


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """One run over all flights in a process of its own, so that its memory can be told."""
    folder = tmp_path_factory.mktemp("full")
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=folder, env=os.environ | {"PYTHONPATH": str(EXAMPLES)}, capture_output=True, text=True, check=True
    )
    return folder, json.loads(done.stdout)


def dump(path):
    """All that is in a database, as SQL."""
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def names(folder):
    """What is in a folder."""
    return {path.name for path in folder.iterdir()}


def read_text(path):
    """A file's text."""
    return path.read_text(encoding="utf-8")


def fetch(path, query):
    """The rows of one query."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def test_the_report_has_the_figures_of_an_independent_computation(full):
    """Every figure of every carrier over all 336,776 flights, and the distance of every route, are as computed another way."""
    folder, result = full
    lines, miles = expected()
    found = result["report"]["carriers"]
    assert [line["carrier"] for line in found] == [line["carrier"] for line in lines]
    for ours, theirs in zip(found, lines, strict=True):
        assert ours == {name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for name, value in theirs.items()}
    routes = fetch(folder / "full.db", "SELECT DISTINCT origin, dest, great_circle FROM flights WHERE great_circle IS NOT NULL")
    assert {(origin, dest): distance for origin, dest, distance in routes} == pytest.approx(miles, rel=1e-9)


def test_all_flights_are_loaded_and_drawn(full):
    """The table holds each flight once, cells without a value are NULL, and the chart has a bar a carrier."""
    folder, result = full
    assert result["report"]["quality"] == {
        "flights": 336_776,
        "missing": {"dep_time": 8255, "dep_delay": 8255, "arr_time": 8713, "arr_delay": 9430, "air_time": 9430, "tailnum": 2512},
    }
    [counts] = fetch(
        folder / "full.db",
        "SELECT count(*), count(dep_delay), count(arr_delay), count(tailnum), count(rain), count(plane_age),"
        " count(DISTINCT carrier || flight || time_hour), sum(distance) FROM flights",
    )
    assert counts == (336_776, 328_521, 327_346, 334_264, 335_220, 278_864, 336_776, 350_217_607)
    chart = ET.parse(folder / "full.svg")
    assert len(chart.findall(".//{*}rect")) == 16
    assert "Frontier Airlines Inc." in {text.text for text in chart.iter("{http://www.w3.org/2000/svg}text")}


def test_the_flights_are_never_all_in_memory(full):
    """336,776 flights as objects take over 150 MB; the whole process takes far less, and pandas is not loaded."""
    _, result = full
    assert not result["pandas"]
    assert result["peak"] < 120, "MB"


# ---- what a failed run leaves behind -------------------------------------------------------------------------------------------


async def test_a_late_failure_leaves_the_database_as_before(tmp_path):
    """Everything had been loaded when the last step failed: what this run loaded is gone, newest first, and nothing else is."""
    database, chart = tmp_path / "f.db", tmp_path / "f.svg"
    async with Engine() as engine:
        await engine.run(DelayReport(database=str(database), chart=str(chart), limit=500))
        before = dump(database), read_text(chart)
        run = await engine.start(DelayReport(database=str(database), chart=str(chart), limit=4500, inject_failure=True))
        outcome = await run.outcome()
        undone = [event.address async for event in run.events() if event.kind == "undone"]
    assert isinstance(outcome, Failed)
    assert (outcome.step, len(outcome.rollback_failures)) == ("output", 0)
    assert undone == ["load_flights", "load"]
    assert (dump(database), read_text(chart)) == before


async def test_a_failed_first_run_leaves_no_file(tmp_path):
    """Where there was no database there is none afterwards."""
    async with Engine() as engine:
        outcome = await engine.run(
            DelayReport(database=str(tmp_path / "f.db"), chart=str(tmp_path / "f.svg"), limit=100, inject_failure=True)
        )
    assert isinstance(outcome, Failed)
    assert names(tmp_path) == set()


async def test_an_undo_after_success_removes_its_own_load_only(tmp_path):
    """Of two loads, undoing the first leaves the second; undoing that, too, leaves nothing."""
    database, chart = str(tmp_path / "f.db"), str(tmp_path / "f.svg")
    async with Engine() as engine:
        first = await engine.start(DelayReport(database=database, chart=chart, limit=300))
        await first.result()
        second = await engine.start(DelayReport(database=database, chart=chart, limit=200))
        await second.result()
        await first.undo()
        assert isinstance(await first.outcome(), Undone)
        assert fetch(database, "SELECT load, count(*) FROM flights GROUP BY load") == [(2, 200)]
        await second.undo()
        assert isinstance(await second.outcome(), Undone)
    assert "f.db" not in names(tmp_path)


async def test_a_database_that_holds_other_things_keeps_them(tmp_path):
    """The rollback drops our tables and nothing else."""
    database = tmp_path / "f.db"
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE notes (text)")
        db.execute("INSERT INTO notes VALUES ('mine')")
    before = dump(database)
    async with Engine() as engine:
        await engine.run(DelayReport(database=str(database), chart=str(tmp_path / "f.svg"), limit=100, inject_failure=True))
    assert dump(database) == before


# ---- bad rows ------------------------------------------------------------------------------------------------------------------


def lines_of_flights(count):
    """The header and the first flights, as cells."""
    with TextIOWrapper(zipfile.ZipFile(Tables().folder / "flights.csv.zip").open("flights.csv"), "utf-8") as file:
        rows = csv.reader(file)
        return [next(rows) for _ in range(count + 1)]


def change(column, cell):
    """A change of one cell."""

    def apply(rows):
        rows[250][rows[0].index(column)] = cell

    return apply


BAD_ROWS = {
    "not a number": (change("dep_delay", "late"), "enriched[249]", "`$.dep_delay`"),
    "below its range": (change("distance", "-1"), "enriched[249]", "`$.distance`"),
    "contradicts the map": (change("distance", "99"), "enriched[249]", "miles apart on the map, not 99"),
    "unknown carrier": (change("carrier", "??"), "enriched[249]", "the carrier ??"),
    "unknown airport": (change("origin", "XXX"), "enriched[249]", "the airport XXX"),
    "no key": (change("flight", "NA"), "quality", "flight 250 "),
    "too short": (lambda rows: rows[250].pop(), "quality", "flight 250 "),
    "too long": (lambda rows: rows[250].append("x"), "quality", "flight 250 "),
    "none": (lambda rows: rows.__delitem__(slice(1, None)), "quality", "there are no flights"),
    "twice": (lambda rows: rows.insert(251, rows[250]), "quality", "flight 251 "),
}


@pytest.mark.parametrize(("spoil", "step", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
async def test_a_bad_row_fails_clearly_and_leaves_nothing(tmp_path, spoil, step, message):
    """The failure says which flight and what is wrong with it; no file is left."""
    rows = lines_of_flights(300)
    spoil(rows)
    bad = tmp_path / "bad.csv"
    with bad.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    async with Engine() as engine:
        outcome = await engine.run(DelayReport(database=str(tmp_path / "f.db"), chart=str(tmp_path / "f.svg"), rows=str(bad)))
    assert isinstance(outcome, Failed)
    assert (outcome.step, message in outcome.error.message) == (step, True), outcome.error.message
    assert names(tmp_path) == {"bad.csv"}


async def test_flights_that_never_landed_are_reported(tmp_path):
    """A carrier none of whose flights left has counts but no means, and a chart is drawn all the same."""
    rows = lines_of_flights(2)
    for row in rows[1:]:
        for column in ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"):
            row[rows[0].index(column)] = "NA"
    with (tmp_path / "none.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    report = await DelayReport(database=str(tmp_path / "f.db"), chart=str(tmp_path / "f.svg"), rows=str(tmp_path / "none.csv"))
    [line] = report.carriers
    assert (line.flights, line.cancelled, line.arrival, line.late, line.plane_age) == (2, 2, None, None, None)
    assert read_text(tmp_path / "f.svg").count("<rect") == 1


# ---- parts ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"), [("database", "flights.txt"), ("chart", "delays.png"), ("rows", "rows.json"), ("limit", 0), ("limit", "all")]
)
def test_inputs_are_refused_before_anything_begins(name, value):
    """A path of the wrong kind or a limit that is none is an InputInvalid that names the field."""
    with pytest.raises(InputInvalid, match=name):
        DelayReport(**{name: value})


async def test_a_step_is_tested_alone():
    """A flight is enriched with no engine: by its weather, its plane's age and the distance."""
    [columns, cells] = lines_of_flights(1)
    flight = await DelayReport().enriched(
        dict(zip(columns, cells, strict=True)),
        names={"UA": "United"},
        places={"EWR": (40.6925, -74.168667), "IAH": (29.984433, -95.341442)},
        built={"N14228": "1999"},
        skies={"EWR2013-01-01T10": (0.1, 9.0)},
    )
    assert isinstance(flight, Flight)
    assert isinstance(flight, Cleaned)
    assert (flight.plane_age, flight.rain, flight.visibility) == (14, 0.1, 9.0)
    assert flight.great_circle == pytest.approx(flight.distance, rel=0.01)


def test_a_distance_is_known_in_closed_form():
    """From the pole to the equator is a quarter of the circle; from anywhere to itself is nothing."""
    assert miles_between((90, 0), (0, 33)) == pytest.approx(math.pi / 2 * 3958.8)
    assert miles_between((40.6, -73.8), (40.6, -73.8)) == 0


async def test_values_survive_a_round_trip(tmp_path):
    """Every result, element and input is storable: `debug` encodes and decodes them as a store would."""
    async with Engine(debug=True) as engine:
        outcome = await engine.run(DelayReport(database=str(tmp_path / "f.db"), chart=str(tmp_path / "f.svg"), limit=2500))
    assert isinstance(outcome, Succeeded)
    assert sum(carrier.flights for carrier in outcome.value.carriers) == 2500


def test_the_script_shows_the_rollback(tmp_path):
    """`python flights.py --inject-failure` over all flights exits with 1, says what failed, and leaves nothing behind."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "flights.py"), "--inject-failure"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "output failed" in done.stderr
    assert names(tmp_path) == set()
