"""`reactor show`: the graph as text, Mermaid, SVG and JSON."""

import json
from xml.etree import ElementTree as ET

import pytest

SHOP = """
    from reactor import Reactor, compose, map_over, step

    print("imported")

    class Pay(Reactor, name="pay"):
        amount: int

        @step
        async def output(self) -> str:
            return "paid"

    class Checkout(Reactor, name="checkout"):
        order_id: str

        @step(timeout=5)
        async def price(self) -> list[int]:
            return [1]

        @price.undo
        async def forget(self, prices: list[int]) -> None: ...

        @compose
        async def payment(self, prices: list[int] = price.result) -> Pay:
            return Pay(amount=prices[0])

        @map_over(price.result)
        async def ship(self, n: int) -> int:
            return n

        @step
        async def output(self, paid: str = payment.result, ship: object = ship.result) -> str:
            return paid
"""


def test_text(folder):
    """Inputs, nodes and what each waits for; what the author's file prints is no part of it."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("show", "shop.py:Checkout")
    assert (done.returncode, done.stderr) == (0, "imported\n")
    for words in ("checkout", "order_id: str", "price", "timeout 5 s", "undo", "ship", "map", "payment", "compose", "pay"):
        assert words in done.stdout


def test_mermaid(folder):
    """A flowchart with every node."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("show", "shop.py:Checkout", "--mermaid")
    assert done.returncode == 0
    assert done.stdout.startswith("flowchart")
    assert "payment" in done.stdout


def test_svg(folder):
    """A picture that parses, to a file."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("show", "shop.py:Checkout", "--svg", "--out", "graph.svg")
    assert (done.returncode, done.stdout) == (0, "")
    assert ET.parse(folder.path / "graph.svg").getroot().tag.endswith("svg")


def test_json(folder):
    """Nodes and edges for programs."""
    folder.write("shop.py", SHOP)
    said = json.loads(folder.reactor("show", "shop.py:Checkout", "--json").stdout)
    assert [node["name"] for node in said["nodes"]] == ["price", "payment", "ship", "output"]
    assert {(edge["from"], edge["to"]) for edge in said["edges"]} >= {("price", "payment"), ("price", "ship"), ("ship", "output")}


@pytest.mark.parametrize("args", [["--svg", "--nope"], ["--out", "nowhere/graph.txt"]])
def test_what_cannot_be_written_is_told(folder, args):
    """An unknown option and a directory that is not there: exit 2 and a word on why."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("show", "shop.py:Checkout", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [["--svg", "--json"], ["--mermaid", "--svg"], ["--mermaid", "--svg", "--json"]])
def test_one_form_at_a_time(folder, args):
    """Two exclude each other, as with `run`; nothing is picked silently."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("show", "shop.py:Checkout", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "[usage] --mermaid, --svg and --json exclude one another" in done.stderr
