"""Where a map's results are kept: one encoded chunk a batch, in memory up to a bound, then in a temporary file."""

import gc
import os
import weakref

import msgspec
import pytest

from reactor import ElementFailure, Reactor, Results, map_over, step
from reactor.run import chunks as room
from reactor.run.chunks import Chunk, Chunks

pytestmark = pytest.mark.anyio


def chunk(first, values, *, failures=None, skipped=(), missing=()):
    """A settled batch; of a failed or missing element anything may stand in `values`."""
    encoded = [value if isinstance(value, Results) else msgspec.msgpack.encode(value) for value in values]
    return Chunk(first, encoded, failures or {}, frozenset(skipped), frozenset(missing))


def filled(*batches, element=int):
    """The chunks of a map, by batch."""
    made = Chunks(element)
    for number, one in enumerate(batches):
        made.add(number, one)
    return made


# ---- reading ------------------------------------------------------------------------------------------------------------


async def test_results_are_read_in_the_order_of_the_source():
    """Whatever order the batches settled in."""
    made = Chunks(int)
    for number in (2, 0, 1):
        made.add(number, chunk(2 * number, [20 * number, 20 * number + 10]))
    results = made.results()
    assert await results.all() == [0, 10, 20, 30, 40, 50]
    assert [index async for index, _ in results.items()] == list(range(6))
    assert made.batches() == [0, 1, 2]


async def test_failures_stand_in_their_place():
    """Counted, told by index, left out of iteration."""
    results = filled(chunk(0, [1, None, 3], failures={1: "Boom: it"}), chunk(3, [4])).results()
    assert (len(results), results.succeeded, results.failed) == (4, 3, 1)
    assert await results.all() == [1, 3, 4]
    assert [one async for one in results.failures()] == [ElementFailure(1, "Boom: it")]
    assert [pair async for pair in results.items()] == [(0, 1), (1, ElementFailure(1, "Boom: it")), (2, 3), (3, 4)]


async def test_missing_elements_are_left_out():
    """They came to no end: neither counted nor read."""
    made = filled(chunk(0, [1, None, 3], missing={1}))
    assert (made[0].succeeded, len(made.results())) == (2, 2)
    assert [pair async for pair in made.results().items()] == [(0, 1), (2, 3)]


async def test_none_is_a_result():
    """A Skip's value, or an output that was not called."""
    results = filled(chunk(0, [None, 1], skipped={0})).results()
    assert await results.all() == [None, 1]
    assert results.succeeded == 2


async def test_objects_need_no_encoding():
    """What an inner map left is a handle on bytes already."""
    inner = Results.of([7])
    made = filled(chunk(0, [inner, inner]), element=Results[int])
    assert await made.results().all() == [inner, inner]
    assert list(made.encoded(0)) == [(0, inner), (1, inner)]


async def test_a_reader_may_begin_anywhere():
    """Chunks before the place are not decoded."""
    made = filled(*(chunk(10 * number, range(10)) for number in range(3)))
    made[0].data = b"broken"
    assert [pair async for pair in made.results().read(18)] == [(18, 8), (19, 9), *((20 + n, n) for n in range(10))]


async def test_nothing_mapped_is_an_empty_result():
    """No chunk at all."""
    results = Chunks(int).results()
    assert (len(results), await results.all()) == (0, [])


async def test_results_can_be_read_again_and_by_several():
    """Each reader has its own place."""
    results = filled(*(chunk(2 * number, [number, number]) for number in range(4))).results()
    one, other = aiter(results), aiter(results)
    assert [await anext(one), await anext(other), await anext(one), await anext(other)] == [0, 0, 0, 0]
    assert await results.all() == await results.all() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_encoded_gives_the_bytes():
    """Of those that have a result: an undo decodes one at a time."""
    made = filled(chunk(5, [1, None, "x"], failures={6: "no"}))
    assert list(made.encoded(0)) == [(5, msgspec.msgpack.encode(1)), (7, msgspec.msgpack.encode("x"))]


async def test_elements_are_decoded_to_their_type():
    """A Struct comes back as one."""

    class Line(msgspec.Struct):
        sku: str

    assert await filled(chunk(0, [Line("a")]), element=Line).results().all() == [Line("a")]


# ---- spilling --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def _small(monkeypatch):
    monkeypatch.setattr(room, "SPILL", 100)


@pytest.mark.usefixtures("_small")
async def test_past_the_bound_bytes_go_to_a_file():
    """They are read back from there, in order, beside those in memory."""
    made = filled(*(chunk(10 * number, [f"{number}-{n}" for n in range(10)]) for number in range(20)), element=str)
    in_memory = [number for number in made.batches() if made[number].data is not None]
    assert in_memory == [0, 1]
    assert await made.results().all() == [f"{number}-{n}" for number in range(20) for n in range(10)]
    assert list(made.encoded(19))[-1] == (199, msgspec.msgpack.encode("19-9"))


@pytest.mark.usefixtures("_small")
async def test_reading_and_writing_may_interleave():
    """Neither moves the other's place in the file."""
    made = Chunks(str)
    for number in range(10):
        made.add(number, chunk(number, ["x" * 90]))
        assert [value for _, value in made.values(number)] == ["x" * 90]
        assert len(await made.results().all()) == number + 1


@pytest.mark.usefixtures("_small")
async def test_the_file_lives_as_long_as_its_results():
    """It has no name, and is gone with the last who holds them."""
    made = filled(*(chunk(number, ["x" * 90]) for number in range(5)), element=str)
    results = made.results()
    descriptor = made._file.fileno()
    assert os.fstat(descriptor).st_nlink == 0
    gone = weakref.ref(made._file)
    del made
    assert len(await results.all()) == 5
    del results
    gc.collect()
    assert gone() is None


@pytest.mark.usefixtures("_small")
async def test_a_full_disk_takes_nothing_from_a_map(monkeypatch, caplog):
    """Its results stay in memory then, and that is logged."""

    def full(**_):
        raise OSError("no space left")

    monkeypatch.setattr(room.tempfile, "TemporaryFile", full)
    made = filled(*(chunk(number, ["x" * 90]) for number in range(5)), element=str)
    assert await made.results().all() == ["x" * 90] * 5
    assert "no space left" in caplog.text


@pytest.mark.usefixtures("_small")
async def test_a_map_that_spilled_reads_and_undoes_as_any_other():
    """Through a whole run."""
    undone = []

    class Big(Reactor):
        @map_over(list(range(40)), batch_size=4)
        async def big(self, one: int) -> str:
            return f"{one}".zfill(30)

        @big.undo
        async def small(self, one: str) -> None:
            undone.append(int(one))

        @step
        async def output(self, big: Results[str] = big.result) -> list[str]:
            assert [int(one) for one in await big.all()] == list(range(40))
            raise OSError("on purpose")

    with pytest.raises(Exception, match="on purpose"):
        await Big()
    assert sorted(undone) == list(range(40))
