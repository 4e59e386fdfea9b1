"""Bad inputs, each with its own clear error, and nothing begun."""

import dataclasses
from typing import Annotated, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from msgspec import Meta

from reactor import InputInvalid, Reactor, ReactorError, RunFailed, Secret, Succeeded, step
from tests.scenarios.world import Boom, act, engine, world

pytestmark = pytest.mark.anyio


class Line(msgspec.Struct):
    sku: str
    count: Annotated[int, Meta(gt=0)]


class Order(Reactor):
    order_id: Annotated[str, Meta(pattern="^o-")]
    lines: list[Line]
    limit: int = 10
    token: Annotated[str, Secret()] = "t0ps3cret"

    def __post_init__(self) -> None:
        if sum(line.count for line in self.lines) > self.limit:
            raise ValueError("more than the limit")

    @step
    async def output(self) -> int:
        return await act("output", len(self.lines))


GOOD = {"order_id": "o-1", "lines": [Line("a", 1)]}

BAD = {
    "wrong type": ({"limit": "ten"}, "limit"),
    "wrong type inside": ({"lines": [{"sku": "a", "count": "one"}]}, "lines"),
    "missing": ({"order_id": None, "drop": "order_id"}, "order_id"),
    "unknown": ({"limits": 3}, "limits"),
    "constraint": ({"order_id": "x-1"}, "order_id"),
    "wrong type in an instance": ({"lines": [Line("a", "one")]}, "lines"),
    "constraint in an instance": ({"lines": [Line("a", 0)]}, "lines"),
    "constraint inside": ({"lines": [{"sku": "a", "count": 0}]}, "lines"),
    "cross-field rule": ({"lines": [Line("a", 99)]}, "more than the limit"),
}


def made(change):
    """Good inputs with something wrong."""
    inputs = GOOD | change
    if dropped := inputs.pop("drop", None):
        del inputs[dropped]
    return Order(**inputs)


@pytest.mark.parametrize("case", BAD)
async def test_bad_inputs_begin_nothing_when_awaited(case):
    """The error is an `InputInvalid` that names the field; no step is called."""
    change, names = BAD[case]
    with pytest.raises(InputInvalid, match=names):
        await made(change)
    assert world.began == []


@pytest.mark.parametrize("case", BAD)
async def test_bad_inputs_begin_nothing_in_an_engine(case):
    """Nor is a run persisted."""
    change, names = BAD[case]
    async with engine() as eng:
        with pytest.raises(InputInvalid, match=names):
            await eng.start(made(change), id="x")
        assert (await eng.find()).total == 0
    assert world.began == []


async def test_an_unknown_field_shows_the_nearest():
    """`limits` is near `limit`."""
    with pytest.raises(InputInvalid, match=r"'?limit\b"):
        made({"limits": 3})


async def test_secrets_are_never_printed():
    """Neither in the repr, nor in an error about it or about another field, nor in a failure's arguments."""
    assert "hunter2" not in repr(Order(**GOOD, token="hunter2"))
    for change in ({"token": ["hunter2"]}, {"token": "hunter2", "limit": "ten"}):
        with pytest.raises(InputInvalid) as caught:
            await made(change)
        assert "hunter2" not in str(caught.value)
    world.fails("output", Boom("no"))
    with pytest.raises(RunFailed) as failed:
        await Order(**GOOD, token="hunter2")
    assert "hunter2" not in str(failed.value)
    assert "hunter2" not in str(failed.value.outcome.error.failure)


async def test_inputs_are_frozen():
    """A step cannot change what the run was given."""
    order = Order(**GOOD)
    with pytest.raises(ReactorError, match="limit"):
        order.limit = 3


# ---- other people's models -------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Data:
    n: int


@attrs.define
class Attrs:
    n: int


class Typed(TypedDict):
    n: int


class Pydantic(pydantic.BaseModel):
    n: int = pydantic.Field(gt=0)


def over(model):
    """A reactor whose input and result are of this type."""

    class Over(Reactor):
        given: model

        @step
        async def again(self) -> model:
            return self.given

        @step
        async def output(self, again: model = again.result) -> int:
            return again["n"] if isinstance(again, dict) else again.n

    return Over


@pytest.mark.parametrize(
    ("model", "given"),
    [(Data, Data(3)), (Attrs, Attrs(3)), (Typed, {"n": 3}), (Pydantic, Pydantic(n=3))],
    ids=lambda value: type(value).__name__,
)
async def test_other_peoples_models_serve(mode, model, given):
    """As inputs and as results, passed on and round-tripped alike."""
    outcome = await mode(over(model)(given=given))
    assert isinstance(outcome, Succeeded)
    assert outcome.value == 3
