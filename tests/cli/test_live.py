"""The live tree, on a real terminal."""

WORK = """
    import asyncio
    from pathlib import Path
    from reactor import Reactor, compose, map_over, step

    async def gate(name: str) -> None:
        while not Path(name).exists():
            await asyncio.sleep(0.01)

    class Pay(Reactor, name="pay"):
        @step
        async def charge(self) -> str:
            await gate("charge")
            return "[bold]paid"

        @charge.undo
        async def refund(self, paid: str) -> None:
            await gate("refund")

        @step
        async def output(self, paid: str = charge.result) -> str:
            return paid

    class Work(Reactor, name="work"):
        fail: bool = False

        @step
        async def price(self) -> list[int]:
            return list(range(20))

        @compose
        async def payment(self, price: list[int] = price.result) -> Pay:
            return Pay()

        @map_over(price.result, batch_size=5, in_flight=1)
        async def ship(self, n: int, paid: str = payment.result) -> int:
            if n == 10:
                await gate("ship")
            return n

        @step
        async def output(self, paid: str = payment.result, after: object = ship.result) -> str:
            if self.fail:
                raise RuntimeError("[red]no[/red]\\x1b[2J")
            return paid
"""


def test_the_tree_is_drawn_as_it_happens(folder, terminal):
    """A line a node, a child's nodes below it, a bar with counts a map; at the end the picture stays, with the value below."""
    folder.write("app.py", WORK)
    screen = terminal("run", "app.py:Work")
    place = screen.expect("charge")
    (folder.path / "charge").touch()
    place = screen.expect("10 of 20", after=place)
    screen.expect("/s", after=place)
    screen.expect("left", after=place)
    (folder.path / "ship").touch()
    assert screen.code() == 0
    final = screen.text[screen.text.rindex("price") :]
    for words in ("payment", "charge", "20 of 20", "succeeded in", '"[bold]paid"'):
        assert words in final
    assert "━" in final


def test_rollback_is_drawn_as_it_happens(folder, terminal):
    """A failure turns the tree around: the child's step is shown undoing, then undone; the card names the line; markup is not obeyed."""
    folder.write("app.py", WORK)
    for name in ("charge", "ship"):
        (folder.path / name).touch()
    screen = terminal("run", "app.py:Work", "fail=true")
    screen.expect("undoing")
    screen.expect("rolling back")
    (folder.path / "refund").touch()
    assert screen.code() == 1
    for words in ("undone", "output failed at attempt 1", "RuntimeError: [red]no[/red]\\x1b[2J", "at app.py:"):
        assert words in screen.text
    assert "\x1b[2J" not in screen.raw


def test_ctrl_c_on_the_terminal(folder, terminal):
    """The key itself: a notice below the tree, the rollback, exit 4, and the cursor is back."""
    folder.write("app.py", WORK)
    screen = terminal("run", "app.py:Work")
    screen.expect("charge")
    screen.press("\x03")
    screen.expect("cancelling")
    assert screen.code() == 4
    assert "cancelled" in screen.text
    assert screen.raw.rindex("\x1b[?25h") > screen.raw.rindex("\x1b[?25l")


def test_many_nodes_fit_a_small_terminal(folder, terminal):
    """The picture never grows past the screen while it is live; what is left out is counted."""
    steps = "\n".join(f"    @step\n    async def s{i}(self) -> int:\n        return {i}" for i in range(60))
    text = (
        "import asyncio\nfrom pathlib import Path\nfrom reactor import Reactor, step\n\nclass Big(Reactor):\n"
        f"{steps}\n    @step\n    async def output(self) -> int:\n"
        "        while not Path('go').exists():\n            await asyncio.sleep(0.01)\n        return 1\n"
    )
    folder.write("big.py", text)
    screen = terminal("run", "big:Big", rows=12)
    screen.expect("and 54 more")
    (folder.path / "go").touch()
    assert screen.code() == 0
    assert "s59" in screen.text


def test_a_dumb_terminal_gets_lines(folder, terminal):
    """Nothing is redrawn where the terminal cannot; `--plain` asks for the same."""
    folder.write("app.py", WORK)
    for name in ("charge", "ship"):
        (folder.path / name).touch()
    for screen in (terminal("run", "app.py:Work", TERM="dumb"), terminal("run", "app.py:Work", "--plain")):
        assert screen.code() == 0
        assert "✓ price  succeeded" in screen.text
        assert "\x1b" not in screen.raw
