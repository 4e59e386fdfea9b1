"""A source, pulled by a task of its own and only when asked."""

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar, copy_context

import anyio
import pytest

from reactor import Halt, SourceChanged
from reactor.run.pulling import Puller, RaisedInSource

pytestmark = pytest.mark.anyio
COLOUR: ContextVar[str] = ContextVar("COLOUR", default="none")


class Counting:
    """A source of numbers that tells how far it was pulled, and when it is closed."""

    def __init__(self, size, *, fails_at=None, error=None):
        self.size, self.fails_at, self.error = size, fails_at, error
        self.given = 0
        self.closed = 0
        self.task = None

    async def __call__(self):
        self.task = asyncio.current_task()
        try:
            for number in range(self.size):
                if number == self.fails_at:
                    raise self.error
                self.given += 1
                yield number
        finally:
            assert asyncio.current_task() is self.task
            self.closed += 1


def pulled(source, key=None):
    """A puller of it."""
    return Puller(source, copy_context(), key)


async def test_so_many_at_a_time():
    """Until there are none: the last ones may be fewer, and then there are no more, however often one asks."""
    source = Counting(5)
    puller = pulled(source)
    assert [await puller.take(2) for _ in range(5)] == [[0, 1], [2, 3], [4], [], []]
    assert source.closed == 1


async def test_the_end_may_fall_on_a_batch():
    """Nothing more is told only when asked for."""
    puller = pulled(Counting(4))
    assert [await puller.take(2) for _ in range(3)] == [[0, 1], [2, 3], []]


async def test_an_empty_source():
    """No element at all."""
    assert await pulled(Counting(0)).take(10) == []


async def test_it_is_pulled_only_when_asked():
    """Back pressure: not one element ahead, and not opened before."""
    source = Counting(100)
    puller = pulled(source)
    await asyncio.sleep(60)
    assert source.given == 0
    await puller.take(3)
    await asyncio.sleep(60)
    assert source.given == 3
    await puller.close()
    assert source.closed == 1


async def test_the_size_may_change():
    """Each time so many as are asked for."""
    puller = pulled(Counting(10))
    assert [await puller.take(count) for count in (1, 4, 2)] == [[0], [1, 2, 3, 4], [5, 6]]
    await puller.close()


async def test_one_task_opens_uses_and_closes_it():
    """Whoever asks, and whoever closes: a task group inside a source works."""
    entered = []

    async def source():
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 1)
            entered.append(asyncio.current_task())
            for number in range(10):
                yield number

    puller = pulled(source)
    assert await asyncio.create_task(puller.take(2)) == [0, 1]
    assert await asyncio.create_task(puller.take(2)) == [2, 3]
    await asyncio.create_task(puller.close())
    assert entered[0].done()


async def test_its_context_is_its_own():
    """Contextvars that a source sets live in it, over all its pulls."""

    async def source():
        COLOUR.set("red")
        while True:
            yield COLOUR.get()

    puller = pulled(source)
    assert await puller.take(2) == ["red", "red"]
    assert await puller.take(1) == ["red"]
    assert COLOUR.get() == "none"
    await puller.close()


# ---- failing ---------------------------------------------------------------------------------------------------------------


async def test_what_a_source_raises_is_raised_to_who_asked():
    """Elements of the batch that it was taking are not handed on: the map fails. Then there are no more."""
    source = Counting(9, fails_at=3, error=OSError("disk"))
    puller = pulled(source)
    assert await puller.take(2) == [0, 1]
    with pytest.raises(OSError, match="disk"):
        await puller.take(2)
    assert await puller.take(2) == []
    assert source.closed == 1


async def test_a_source_that_cannot_be_made():
    """Its call raises, or gives what is no async generator."""

    def broken():
        raise OSError("no file")

    with pytest.raises(OSError, match="no file"):
        await pulled(broken).take(1)
    with pytest.raises(TypeError):
        await pulled(lambda: [1, 2]).take(1)


@pytest.mark.parametrize("error", [Halt("enough"), asyncio.CancelledError("by itself"), SystemExit(3)], ids=repr)
async def test_what_is_no_exception_is_carried_as_one(error):
    """Halt and Skip are errors like any other in a source; a CancelledError of its own is a failure, not an end."""
    with pytest.raises(RaisedInSource) as raised:
        await pulled(Counting(9, fails_at=0, error=error)).take(2)
    assert raised.value.__cause__ is error
    assert type(error).__name__ in str(raised.value)


# ---- keys ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [[1, 3, 2], [1, 1], [2, 1]])
async def test_keys_must_rise(rows):
    """Where it would go on after a takeover must be one place: an element that falls back, or repeats, is a loud error."""

    async def source():
        for row in rows:
            yield row

    with pytest.raises(SourceChanged, match="keys must rise") as raised:
        await pulled(source, key=lambda row: row).take(10)
    assert raised.value.code == "keys-must-rise"


async def test_keys_rise_over_batches():
    """The last key of one batch is before the first of the next."""

    async def source():
        for row in [1, 2, 2]:
            yield row

    puller = pulled(source, key=lambda row: row)
    assert await puller.take(2) == [1, 2]
    with pytest.raises(SourceChanged):
        await puller.take(2)


@pytest.mark.parametrize("first", [0, "", False])
async def test_a_falsy_key_is_a_key(first):
    """The first one is remembered though it is zero."""

    async def source():
        yield first
        yield first

    with pytest.raises(SourceChanged):
        await pulled(source, key=lambda row: row).take(2)


async def test_a_key_that_cannot_be_made_or_compared_fails_the_source():
    """As what the source itself raises."""

    def no_key(row):
        raise KeyError(row)

    with pytest.raises(KeyError):
        await pulled(Counting(2), key=no_key).take(2)
    with pytest.raises(TypeError):
        await pulled(Counting(2), key=lambda _: object()).take(2)


# ---- closing ----------------------------------------------------------------------------------------------------------------


async def test_closing_while_it_is_pulled():
    """Whoever asked is cancelled; the source is closed before `close` returns."""
    closed = []

    async def source():
        try:
            yield 1
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(5)
            closed.append(1)

    puller = pulled(source)
    taking = asyncio.ensure_future(puller.take(2))
    await asyncio.sleep(1)
    await puller.close()
    assert closed == [1]
    with pytest.raises(asyncio.CancelledError):
        await taking


async def test_closing_what_was_never_opened():
    """Nothing to do; twice neither."""
    source = Counting(3)
    puller = pulled(source)
    await puller.close()
    await puller.close()
    assert source.given == source.closed == 0


async def test_closing_before_its_first_turn():
    """It was asked, and its task has not begun: whoever asked is cancelled, and waits for nothing."""
    puller = pulled(Counting(3))
    taking = asyncio.ensure_future(puller.take(2))
    await asyncio.sleep(0)
    await puller.close()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(taking, 5)


async def test_a_source_that_does_not_close_is_logged(caplog):
    """Its own `finally` raises: the map has its elements, or its failure, already."""

    async def source():
        try:
            while True:
                yield 1
        finally:
            raise OSError("cannot close")

    puller = pulled(source)
    await puller.take(1)
    await puller.close()
    assert "cannot close" in caplog.text


async def test_a_resource_inside_a_source_is_closed_with_it():
    """Park, release or stop: nothing stays open."""
    log = []

    @asynccontextmanager
    async def cursor():
        log.append("open")
        try:
            yield [1, 2, 3]
        finally:
            log.append("closed")

    async def source():
        async with cursor() as rows:
            for row in rows:
                yield row

    puller = pulled(source)
    await puller.take(1)
    await puller.close()
    assert log == ["open", "closed"]
