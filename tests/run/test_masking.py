"""What must not be told of a call: secrets that other steps returned, elements that are secret, and what an undo is handed."""

from typing import Annotated, Any

import msgspec
import pytest

from reactor import Engine, Failed, Halt, Reactor, Results, Secret, StepError, compose, map_over, step

pytestmark = pytest.mark.anyio

CANARY = "s3cr3t-canary"


class Token(msgspec.Struct):
    text: Annotated[str, Secret()]
    user: str = "ann"


async def all_told(reactor: Reactor) -> tuple[Any, str]:
    """The outcome, and all that anybody is told of a run."""
    told: list[Any] = []
    async with Engine(observers=[told.append]) as engine:
        outcome = await engine.run(reactor)
        run = await engine.get(outcome.run_id)
        told += [outcome, *[(event.kind, event.address, event.detail) async for event in run.events()]]
    if isinstance(outcome, Failed):
        told += [outcome.error.message, outcome.error, *[one.error for one in outcome.rollback_failures]]
        told += [getattr(one, "_failure", "") for one in (outcome.error, *(each.error for each in outcome.rollback_failures))]
    return outcome, repr(told)


class Login(Reactor):
    way: str

    @step
    async def issue(self) -> Token:
        return Token(CANARY)

    @step
    async def bare(self) -> Annotated[str, Secret()]:
        return CANARY

    @step
    async def many(self) -> dict[str, list[Token]]:
        return {"a": [Token(CANARY)]}

    @step
    async def output(
        self,
        whole: Token = issue.result,
        part: str = issue.result.text,
        bare: str = bare.result,
        item: Any = many.result["a"][0],
        listed: list[Any] = [issue.result.text],  # noqa: B006  # a reference in it
    ) -> int:
        shown = {"whole": whole.text, "part": part, "bare": bare, "item": item.text, "listed": listed[0]}[self.way]
        raise ValueError(f"no {shown}")


@pytest.mark.parametrize("way", ["whole", "part", "bare", "item", "listed"])
async def test_a_secret_result_is_masked_where_it_is_handed_on(way):
    """Whole, a part of it, by whatever annotation, in a list: neither in the message nor among the arguments."""
    outcome, told = await all_told(Login(way=way))
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert CANARY not in told


async def test_a_part_that_is_no_secret_stays_readable():
    """A path that leads past the secret is told."""

    class Named(Reactor):
        @step
        async def issue(self) -> Token:
            return Token(CANARY)

        @step
        async def output(self, user: str = issue.result.user) -> int:
            raise ValueError(f"no {user}")

    outcome, told = await all_told(Named())
    assert outcome.error.message == "no ann"
    assert CANARY not in told


async def test_a_secret_element_is_masked():
    """In the failure of its own call, and in what the map is told of it."""

    class Each(Reactor):
        @step
        async def issue(self) -> list[Token]:
            return [Token(f"{CANARY}-{at}") for at in range(3)]

        @map_over(issue.result, on_error="collect")
        async def used(self, token: Token) -> int:
            raise ValueError(f"no {token.text}")

        @step
        async def output(self, results: Results[int] = used.result) -> str:
            return " ".join([one.error async for one in results.failures()])

    outcome, told = await all_told(Each())
    assert outcome.value.count("no ****") == 3
    assert CANARY not in told


async def test_what_an_undo_and_a_compensate_are_handed_is_masked():
    """The result that is undone, and other results that they take."""

    class Back(Reactor):
        @step
        async def issue(self) -> Token:
            return Token(CANARY)

        @issue.undo
        async def take_back(self, token: Token) -> None:
            raise ValueError(f"still {token.text}")

        @step
        async def output(self, token: Token = issue.result) -> int:
            raise ValueError("no")

        @output.compensate
        async def mend(self, error: StepError, token: Token = issue.result) -> None:
            raise ValueError(f"also {token.text}")

    outcome, told = await all_told(Back())
    assert len(outcome.rollback_failures) == 2
    assert CANARY not in told


async def test_a_halts_reason_is_masked():
    """It is as public as a failure."""

    class Stop(Reactor):
        @step
        async def issue(self) -> Token:
            return Token(CANARY)

        @step
        async def output(self, token: Token = issue.result) -> int:
            raise Halt(f"enough of {token.text}")

    outcome, told = await all_told(Stop())
    assert outcome.reason.startswith("enough of ****")
    assert CANARY not in told


async def test_a_childs_secrets_are_masked_in_it_and_around_it():
    """What it was given, and what it returns to its parent."""

    class Inner(Reactor):
        token: Annotated[str, Secret()]

        @step
        async def output(self) -> Token:
            return Token(self.token)

    class Outer(Reactor):
        @step
        async def issue(self) -> Token:
            return Token(CANARY)

        @compose
        async def inner(self, token: Token = issue.result) -> Inner:
            return Inner(token=token.text)

        @step
        async def output(self, back: Any = inner.result) -> int:
            raise ValueError(f"no {back.text}")

    outcome, told = await all_told(Outer())
    assert isinstance(outcome, Failed)
    assert CANARY not in told
