"""A shop whose runs the tests of `reactor runs` look at and steer."""

SHOP = """
    from typing import Annotated
    from pathlib import Path
    import msgspec
    from reactor import Ask, Index, Reactor, Retry, Secret, Skip, interrupt, step

    class Bill(msgspec.Struct):
        total: int
        said: str

    class CardDeclined(Exception):
        pass

    class Buy(Reactor, name="buy"):
        order: Annotated[str, Index()]
        card: str = "good"
        asks: bool = False
        token: Annotated[str, Secret()] = "hunter2"

        @step
        async def reserve(self) -> str:
            return "hold-1"

        @reserve.undo(retry=Retry(1))
        async def release(self, hold: str) -> None:
            if Path("closed").exists():
                raise OSError("the warehouse is closed")
            Path("released").touch()

        @step
        async def needs_approval(self, hold: str = reserve.result) -> bool:
            return self.asks

        @interrupt(timeout=3600)
        async def approval(self, needed: bool = needs_approval.result) -> Ask[bool]:
            if not needed:
                raise Skip(True)
            return Ask(f"order:{self.order}")

        @step(retry=Retry(2, base=0.01, jitter=False))
        async def charge(self, ok: bool = approval.result) -> str:
            if self.card == "bad" or not ok:
                raise CardDeclined(f"no funds on {self.card}")
            return "paid"

        @step
        async def output(self, paid: str = charge.result) -> Bill:
            return Bill(99, f"{paid} with {self.token}")
"""


def waiting_for(process, words: str) -> str:
    """Read a command's lines until one has the words."""
    seen = ""
    for line in process.stdout:
        seen += line
        if words in line:
            return seen
    raise AssertionError(f"ended without {words!r}:\n{seen}\n{process.stderr.read()}")
