"""The SVG is one sound, self-contained document that shows every node, edge and branch, and runs nothing."""

import re
from xml.etree import ElementTree as ET

import pytest

from reactor.plan.compile import compile_plan, plan_of
from reactor.plan.svg import svg
from tests.plan.graphs import chain, growth, tangled
from tests.plan.making import definition, graph, node
from tests.plan.shop import Checkout, Countdown, Parker
from tests.plan.test_diagram import HOSTILE, hostile

NS = "{http://www.w3.org/2000/svg}"


def drawn(plan):
    """The document, parsed."""
    return ET.fromstring(svg(plan))


def cards(root):
    """The names of all cards, children's included, in the order of the document."""
    return [group.get("data-node") for group in root.iter(f"{NS}g") if group.get("data-node")]


def edges(root):
    """What all edges say when pointed at."""
    return [group.findtext(f"{NS}title") for group in root.iter(f"{NS}g") if "edge" in group.get("class", "").split()]


def words(root):
    """All visible text."""
    return [element.text for element in root.iter(f"{NS}text")]


def test_every_node_and_edge_is_drawn():
    """A card a node, a path an edge; a compose holds the cards of all its branches."""
    plan = plan_of(Checkout)
    root = drawn(plan)
    assert sorted(cards(root)) == sorted([*[n.name for n in plan.nodes], "output", "output"])
    assert len(edges(root)) == sum(plan.in_degrees)
    (payment,) = [group for group in root.iter(f"{NS}g") if group.get("data-node") == "payment"]
    assert cards(payment) == ["payment", "output", "output"]
    assert {"card-payment", "wire-payment"} <= set(words(payment))


def test_cards_and_edges_explain_themselves():
    """Name, type and flags on the card; parameter, path and order on the edge; file and line when pointed at."""
    root = drawn(plan_of(Checkout))
    assert {"price", "Quote", "retry 4 · timeout 5 s", "checkout (version 3)"} <= set(words(root))
    assert "order_id: str · token: str = ••• · wire: bool = False" in [re.sub(r"\s+", " ", line) for line in words(root)]
    assert "payment.total = price.result.total" in edges(root)
    assert "gift when is_big" in edges(root)
    assert "gift after reserve" in edges(root)
    assert any("shop.py:" in title.text for title in root.iter(f"{NS}title"))
    assert "sesame" not in svg(plan_of(Checkout))


def test_kinds_can_be_told_apart_without_colour():
    """Each kind has an icon of its own, and flags are dashed and named."""
    root = drawn(plan_of(Checkout))
    icons = {}
    for group in root.iter(f"{NS}g"):
        if group.get("data-node"):
            glyph = next(inner for inner in group if inner.get("class") == "glyph")
            icons.setdefault(group.get("class").split()[1], set()).add("".join(path.get("d") for path in glyph))
    assert set(icons) == {"step", "map", "compose", "interrupt"}
    assert all(len(shapes) == 1 for shapes in icons.values())
    assert len(set.union(*icons.values())) == 4
    assert "when" in words(root)


def test_it_runs_nothing_and_fetches_nothing():
    """No script, no handler, no link, no import: it may be shown anywhere; dark pages get dark colours."""
    text = svg(plan_of(Checkout))
    assert not re.search(r"<script|<foreignObject|<image|href|\son\w+=|url\(|@import|javascript:", text, re.IGNORECASE)
    assert "@media (prefers-color-scheme:dark)" in text
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]


def test_hostile_names_stay_text():
    """Markup, quotes and control characters in names come out as they are written, and parse."""
    root = drawn(hostile())
    assert {element.tag for element in root.iter()} <= {
        f"{NS}{tag}" for tag in ("svg", "style", "rect", "g", "text", "title", "path", "polygon")
    }
    assert words(root)[0].startswith('"]:::x\\n%%')
    assert "\x1b" not in svg(hostile())


def test_a_reactor_that_contains_itself_is_a_sign():
    """Recursion is a panel with the name and an arrow back, and a ring of reactors ends."""
    root = drawn(plan_of(Countdown))
    assert "Countdown ↺" in words(root)
    assert cards(root).count("is_over") == 1
    assert "returns Parker" in words(drawn(plan_of(Parker)))


def test_the_output_is_marked():
    """One card of the graph is drawn as its output."""
    root = drawn(compile_plan(definition(node("a"), node("z", "a"))))
    assert [group.get("data-node") for group in root.iter(f"{NS}g") if "output" in group.get("class", "").split()] == ["z"]


def test_long_and_wide_texts_are_cut_to_fit():
    """No label makes a card wider than a hand: it ends in an ellipsis."""
    root = drawn(compile_plan(definition(node("n" * 300), node("漢" * 100), node("z"))))
    assert all(len(word) < 60 for word in words(root))
    assert sum(word.endswith("…") for word in words(root)) == 2
    assert all(float(rect.get("width")) < 400 for rect in root.iter(f"{NS}rect") if rect.get("class") == "card")


def test_every_card_lies_inside_the_page():
    """Width and height of the document hold all that is drawn."""
    root = drawn(compile_plan(graph(tangled(80, 20), name=HOSTILE)))
    width, height = float(root.get("width")), float(root.get("height"))
    (body,) = [group for group in root if group.tag == f"{NS}g" and cards(group)]
    left, top = map(float, re.findall(r"[\d.]+", body.get("transform")))
    for group in body:
        if group.get("data-node"):
            x, y = map(float, re.findall(r"-?[\d.]+", group.get("transform")))
            rect = next(group.iter(f"{NS}rect"))
            assert 0 <= left + x <= left + x + float(rect.get("width")) <= width
            assert 0 <= top + y <= top + y + float(rect.get("height")) <= height


@pytest.mark.parametrize("shape", [chain, lambda count: tangled(count, 40)], ids=["chain", "tangled"])
def test_painting_costs_no_more_than_the_size(shape):
    """Eight times the nodes cost about eight times as much, far below the square."""

    def work(count):
        plan = compile_plan(graph(shape(count)))
        return lambda: svg(plan)

    assert growth(work) < 32
