"""Scenario 6: extract a real CSV, check its quality, map clean/enrich/validate, two loads, a report; clean, dirty and invalid data."""

import csv
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from reactor import Fail, Failed, Reactor, Results, StepError, Succeeded, map_over, source, step
from tests.scenarios.world import Boom, planned, world

pytestmark = pytest.mark.anyio

DATA = Path(__file__).parent / "data"
COLUMNS = ["order_id", "customer", "country", "product", "quantity", "unit_price", "ordered_at"]
CURRENCIES = {"GB": "GBP", "US": "USD", "DE": "EUR", "AT": "EUR", "SE": "SEK"}


class Row(msgspec.Struct):
    order_id: int
    customer: Annotated[str, Meta(min_length=1)]
    country: str
    product: str
    quantity: Annotated[int, Meta(gt=0)]
    unit_price: float
    ordered_at: str


class Sale(msgspec.Struct):
    order_id: int
    customer: str
    currency: str
    total: float


class Quality(msgspec.Struct):
    rows: int
    columns: list[str]


class Report(msgspec.Struct):
    loaded: int
    rejected: int
    by_currency: dict[str, float]


class CleanRow(Reactor):
    """One row: clean, enrich, validate."""

    raw: dict[str, str]

    @step
    async def clean(self) -> dict[str, str]:
        row = {key: value.strip() for key, value in self.raw.items()}
        return row | {"customer": row["customer"].title(), "country": row["country"].upper()}

    @step
    async def validate(self, row: dict[str, str] = clean.result) -> Row:
        return msgspec.convert(row, Row, strict=False)

    @step
    async def output(self, row: Row = validate.result) -> Sale:
        if row.country not in CURRENCIES:
            raise Fail(f"no currency for {row.country}")
        return Sale(row.order_id, row.customer, CURRENCIES[row.country], round(row.quantity * row.unit_price, 2))


class Etl(Reactor, abstract=True):
    path: str
    database: str
    archive: str

    @step
    def quality(self) -> Quality:
        with Path(self.path).open(newline="") as file:
            rows = list(csv.reader(file))
        if missing := [column for column in COLUMNS if column not in rows[0]]:
            raise Fail(f"columns missing: {', '.join(missing)}")
        return Quality(len(rows) - 1, rows[0])

    @source
    async def lines(self, quality: Quality = quality.result) -> AsyncIterator[dict[str, str]]:
        with Path(self.path).open(newline="") as file:
            for line in csv.DictReader(file):
                yield line


class Strict(Etl):
    """Every row must be good."""

    @map_over(Etl.lines, batch_size=4, in_flight=2)
    async def sales(self, line: dict[str, str]) -> CleanRow:
        return CleanRow(raw=line)

    @step
    async def load_sales(self, sales: Results[Sale] = sales.result) -> int:
        rows = [msgspec.structs.astuple(sale) async for sale in sales]
        with closing(sqlite3.connect(self.database)) as db, db:
            db.execute("create table sales (order_id integer primary key, customer text, currency text, total real)")
            db.executemany("insert into sales values (?, ?, ?, ?)", rows)
        return len(rows)

    @load_sales.undo
    async def drop_sales(self, count: int) -> None:
        with closing(sqlite3.connect(self.database)) as db, db:
            db.execute("drop table sales")

    @step
    async def load_archive(self, sales: Results[Sale] = sales.result) -> str:
        Path(self.archive).write_bytes(msgspec.json.encode(await sales.all()))
        if error := planned("archive"):
            raise error
        return self.archive

    @load_archive.undo
    async def remove_archive(self, path: str) -> None:
        Path(path).unlink()

    @load_archive.compensate
    async def remove_what_there_is(self, error: StepError) -> None:
        Path(self.archive).unlink(missing_ok=True)

    @step
    async def output(
        self, sales: Results[Sale] = sales.result, loaded: int = load_sales.result, archive: str = load_archive.result
    ) -> Report:
        if error := planned("report"):
            raise error
        totals: dict[str, float] = {}
        async for sale in sales:
            totals[sale.currency] = round(totals.get(sale.currency, 0) + sale.total, 2)
        return Report(loaded, sales.failed, totals)


class Tolerant(Etl):
    """Bad rows are counted."""

    @map_over(Etl.lines, batch_size=4, in_flight=2, on_error="collect")
    async def sales(self, line: dict[str, str]) -> CleanRow:
        return CleanRow(raw=line)

    @step
    async def output(self, sales: Results[Sale] = sales.result) -> Report:
        return Report(sales.succeeded, sales.failed, {})


def at(kind, tmp_path, name):
    """The pipeline, on a file of the data folder."""
    return kind(path=str(DATA / name), database=str(tmp_path / "sales.db"), archive=str(tmp_path / "sales.json"))


def tables(tmp_path):
    """The tables of the database."""
    with closing(sqlite3.connect(tmp_path / "sales.db")) as db:
        return [name for (name,) in db.execute("select name from sqlite_master")]


async def test_clean_data(mode, tmp_path):
    """Every row is loaded twice and the report's figures are right, computed another way."""
    outcome = await mode(at(Strict, tmp_path, "orders.csv"))
    assert isinstance(outcome, Succeeded)
    with (DATA / "orders.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pounds = sum(int(row["quantity"]) * float(row["unit_price"]) for row in rows if row["country"].upper() == "GB")
    assert outcome.value.loaded == len(rows) == 12
    assert outcome.value.rejected == 0
    assert outcome.value.by_currency["GBP"] == pytest.approx(pounds)
    assert set(outcome.value.by_currency) == {"GBP", "USD", "EUR", "SEK"}
    with closing(sqlite3.connect(tmp_path / "sales.db")) as db:
        assert list(db.execute("select count(*), min(customer) from sales")) == [(12, "Ada Lovelace")]
    assert len(msgspec.json.decode((tmp_path / "sales.json").read_bytes(), type=list[Sale])) == 12


async def test_dirty_data_fails_before_any_load(mode, tmp_path):
    """A strict pipeline names the element and the step that refused a row, and loads nothing."""
    outcome = await mode(at(Strict, tmp_path, "orders_dirty.csv"))
    assert isinstance(outcome, Failed)
    assert outcome.step in ("sales[1].validate", "sales[3].validate")
    assert outcome.error.kind == "ValidationError"
    assert "int" in outcome.error.message or "length" in outcome.error.message
    assert not (tmp_path / "sales.json").exists()
    assert tables(tmp_path) == []


async def test_dirty_data_is_counted(mode, tmp_path):
    """A tolerant one goes on with the rows that are good."""
    outcome = await mode(at(Tolerant, tmp_path, "orders_dirty.csv"))
    assert isinstance(outcome, Succeeded)
    assert (outcome.value.loaded, outcome.value.rejected) == (3, 3)


@pytest.mark.parametrize("kind", [Strict, Tolerant])
async def test_invalid_data_never_maps(mode, tmp_path, kind):
    """A file that is not what it should be fails the quality check, with the reason, before the source is opened."""
    outcome = await mode(at(kind, tmp_path, "orders_invalid.csv"))
    assert isinstance(outcome, Failed)
    assert outcome.step == "quality"
    assert "country" in outcome.error.message


@pytest.mark.parametrize(("failing", "where"), [("archive", "load_archive"), ("report", "output")])
async def test_a_late_failure_leaves_no_trace(mode, tmp_path, failing, where):
    """Half a load is compensated, whole ones are undone: database and folder are as before."""
    world.fails(failing, Boom("disk full"))
    outcome = await mode(at(Strict, tmp_path, "orders.csv"))
    assert isinstance(outcome, Failed)
    assert outcome.step == where
    assert tables(tmp_path) == []
    assert not (tmp_path / "sales.json").exists()


async def test_a_missing_file_is_a_failure_like_any(mode, tmp_path):
    """The exception's own kind is told."""
    outcome = await mode(at(Strict, tmp_path, "no_such_file.csv"))
    assert outcome.error.is_a(OSError)
    assert outcome.error.kind == "FileNotFoundError"
