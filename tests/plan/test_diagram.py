"""Dict, text and Mermaid show every node, edge and branch, and let no name out of its place."""

import json
import re

import pytest

from reactor.define.definition import FromNode, InputDefinition, Items, Key
from reactor.plan.compile import compile_plan, plan_of
from reactor.plan.diagram import Use, as_dict, flags_of, mermaid, text, title_of, type_of, uses_of
from tests.plan.making import definition, node, param
from tests.plan.shop import Checkout, Countdown, Parker, Sweep

HOSTILE = '"]:::x\n%%{init: {}}%% <script>alert(1)</script> \x1b[31m & `end`'


def hostile():
    """A plan whose every text is an attack; such names get no further than a definition made by hand."""
    inputs = (InputDefinition("x", type("T\x1b", (), {}), required=False, default=HOSTILE),)
    nodes = (node("a", returns=type(HOSTILE, (), {}), offload=HOSTILE), node("b", param("q", FromNode("a", (Key(HOSTILE),)))))
    return compile_plan(definition(*nodes, name=HOSTILE, inputs=inputs))


def named(plan, name):
    """The node of this name."""
    return plan.nodes[plan.index[name]]


def test_every_reason_to_wait_is_told():
    """Parameters with paths, containers one by one, elements, a source's reading, a flag, an order."""
    plan = plan_of(Checkout)
    assert uses_of(named(plan, "payment")) == [Use("price", "data", "total", ".total"), Use("approval", "data", "ok")]
    assert uses_of(named(plan, "gift")) == [Use("is_big", "when"), Use("reserve", "after")]
    assert uses_of(named(plan, "ship")) == [
        Use("payment", "data", "charge"),
        Use("reserve", "data", "both"),
        Use("payment", "data", "both"),
        Use("price", "elements", "", ".lines"),
    ]
    assert uses_of(named(plan_of(Sweep), "output")) == [Use("day", "source", "day")]


def test_types_are_what_dependents_get():
    """Results of a map, None beside the type behind a flag, the outputs of all branches of a compose."""
    plan = plan_of(Checkout)
    kinds = {n.name: type_of(n) for n in plan.nodes}
    assert kinds["ship"] == "Results[str]"
    assert kinds["gift"] == "str | None"
    assert kinds["payment"] == "str"
    assert kinds["approval"] == "Approval"
    assert type_of(named(plan_of(Countdown), "rest")) == "int | None"
    assert type_of(named(plan_of(Parker), "output")) == "…"


def test_flags_say_the_rest_in_a_few_words():
    """What the author said of a node besides its edges."""
    plan = plan_of(Checkout)
    assert flags_of(named(plan, "price")) == ["retry 4", "timeout 5 s"]
    assert flags_of(named(plan, "approval")) == ["timeout 2 d", "3 payloads", "compensate"]
    assert flags_of(named(plan, "ship")) == ["50 a batch, 2 in flight", "collect"]
    assert flags_of(named(plan, "reserve")) == ["undo"]
    assert flags_of(named(plan_of(Sweep), "output")) == ["from orders", "100 a batch, 4 in flight"]


# ---- JSON ------------------------------------------------------------------------------------------------------


def test_the_dict_is_json_and_whole():
    """Inputs, nodes, edges and children of a reactor with one of everything, as plain data."""
    told = json.loads(json.dumps(as_dict(plan_of(Checkout))))
    assert (told["name"], told["version"], told["output"], told["type"], told["may_park"]) == ("checkout", 3, "output", "int", True)
    assert [n["name"] for n in told["nodes"]] == [n.name for n in plan_of(Checkout).nodes]
    assert {(e["from"], e["to"]) for e in told["edges"]} == {
        (plan_of(Checkout).nodes[parent].name, n.name) for n in plan_of(Checkout).nodes for parent in n.parents
    }
    assert [child["name"] for child in told["children"]] == ["card-payment", "wire-payment"]
    assert told["children"][0]["children"] == []


def test_the_dict_tells_inputs_and_keeps_secrets():
    """Types, defaults and marks are told; what is sealed is not."""
    order, token, wire = as_dict(plan_of(Checkout))["inputs"]
    assert order == {"name": "order_id", "type": "str", "required": True, "default": None, "secret": False, "index": False}
    assert token["secret"]
    assert wire["default"] == "False"
    assert "sesame" not in json.dumps(as_dict(plan_of(Checkout))) + text(plan_of(Checkout))


def test_the_dict_tells_a_node_with_its_handlers_and_lines():
    """Flags, resources, what the undo reads, and where in the author's file each is said."""
    told = {n["name"]: n for n in as_dict(plan_of(Checkout))["nodes"]}
    assert (told["price"]["retry"], told["price"]["timeout"], told["price"]["async"]) == (4, 5.0, True)
    assert told["reserve"]["resources"] == ["warehouse"]
    undo = told["reserve"]["undo"]
    assert (undo["name"], undo["retry"]) == ("release", 5)
    assert undo["reads"] == [{"from": "price", "parameter": "quote", "path": ""}]
    assert told["payment"]["children"] == ["card-payment", "wire-payment"]
    assert told["ship"]["map"] == {
        "elements": None, "keyed": False, "element": "Line", "batch_size": 50, "in_flight": 2, "on_error": "collect",
    }  # fmt: skip
    assert told["gift"]["when"] == "is_big"
    assert told["output"]["output"]
    span = told["price"]["span"]
    assert span["file"].endswith("shop.py")
    assert 0 < span["line"] <= span["end_line"]


def test_the_dict_tells_an_edge_with_parameters_and_paths():
    """One edge may have several reasons."""
    edges = {(e["from"], e["to"]): e["uses"] for e in as_dict(plan_of(Checkout))["edges"]}
    assert edges["price", "payment"] == [{"how": "data", "parameter": "total", "path": ".total"}]
    assert [use["parameter"] for use in edges["payment", "ship"]] == ["charge", "both"]


def test_a_source_is_named_in_the_dict():
    """A map over a source says which, and whether it can go on from a key."""
    told = {n["name"]: n for n in as_dict(plan_of(Sweep))["nodes"]}
    assert (told["output"]["map"]["elements"], told["output"]["map"]["keyed"]) == ("orders", True)


# ---- text ------------------------------------------------------------------------------------------------------


def test_the_text_reads_from_top_to_bottom():
    """Title, inputs, then a line a node in an order that could be run, each branch below its compose."""
    lines = text(plan_of(Checkout)).splitlines()
    assert lines[0] == "checkout (version 3) -> int"
    assert "  token: str = •••" in lines
    (price,) = [line for line in lines if line.startswith("  price")]
    assert re.fullmatch(r"  price +step +Quote +retry 4 · timeout 5 s", price)
    (gift,) = [line for line in lines if line.startswith("  gift")]
    assert gift.endswith("<- reserve (after), is_big (when)")
    (ship,) = [line for line in lines if line.startswith("  ship")]
    assert "<- price.lines, reserve, payment" in ship
    assert "  ├─ card-payment" in lines
    assert "  └─ wire-payment" in lines
    assert lines.index("  ├─ card-payment") > next(at for at, line in enumerate(lines) if line.startswith("  payment"))
    assert "  │    output  step  str  retry 4 · timeout 10 s · undo" in lines


def test_a_reactor_that_contains_itself_is_drawn_once_in_text():
    """The second time it is only named."""
    assert text(plan_of(Countdown)).count("is_over  step") == 1
    assert "└─ Countdown (above)" in text(plan_of(Countdown))


def test_a_ring_of_reactors_ends_in_text():
    """The child is drawn, its own child is named."""
    told = text(plan_of(Parker))
    assert "└─ Asker" in told
    assert "returns Parker" in told


def test_an_output_of_another_name_is_marked():
    """`output = ship` renames: the text says which node it is."""
    assert "last (output)" in text(compile_plan(definition(node("last"))))


def test_nothing_in_the_text_can_steer_a_terminal():
    """Hostile names are shown escaped, on the lines where they belong."""
    told = text(hostile())
    assert all(line.isprintable() for line in told.splitlines())
    assert len(told.splitlines()) == 5


# ---- Mermaid ---------------------------------------------------------------------------------------------------


def test_mermaid_has_every_node_edge_and_branch():
    """All nodes with the shapes of their kinds, flags and paths on edges, children as subgraphs that are linked to."""
    told = mermaid(plan_of(Checkout))
    at = plan_of(Checkout).index
    assert told.startswith("flowchart TD\n")
    assert f'    n{at["approval"]}{{{{"<b>approval</b><br/>Approval"}}}}:::interrupt' in told
    assert f'    n{at["is_big"]} -.->|"when"| n{at["gift"]}' in told
    assert f'    n{at["reserve"]} -.->|"after"| n{at["gift"]}' in told
    assert f'    n{at["price"]} -->|".lines"| n{at["ship"]}' in told
    assert f"    n{at['approval']} --> n{at['payment']}" in told
    assert '    subgraph c0["card-payment"]' in told
    assert '    subgraph c1["wire-payment"]' in told
    assert f'    n{at["payment"]} -.->|"returns"| c1' in told
    assert f"    class n{at['output']} output" in told


def test_recursion_is_a_link_back_in_mermaid():
    """A reactor that contains itself points to its own first node; in a ring the child points back to the parent."""
    told = mermaid(plan_of(Countdown))
    assert "subgraph" not in told
    assert f'    n{plan_of(Countdown).index["rest"]} -.->|"again"| n0' in told
    ring = mermaid(plan_of(Parker))
    assert ring.count("subgraph") == 1
    assert '    n0 -.->|"returns"| c0' in ring
    assert '    c0n1 -.->|"again"| n0' in ring


def test_no_label_ends_its_quotes_in_mermaid():
    """Quotes, brackets, comments and markup in names stay text: every line is one of the known forms."""
    label = r'"[^"\n]*"'
    known = [
        r"flowchart TD",
        rf"    n\d\[{label}\]:::step",
        r"    class n\d output",
        rf"    n\d -->(\|{label}\|)? n\d",
        r"    classDef [a-z]+ [a-z0-9:#,-]+",
    ]
    told = mermaid(hostile())
    for line in told.splitlines():
        assert any(re.fullmatch(form, line) for form in known), line
    assert "<script" not in told
    assert "%%" not in told


def test_the_title_says_a_version_that_matters():
    """Version 1 goes without saying."""
    assert title_of(plan_of(Sweep)) == "Sweep"
    assert title_of(plan_of(Checkout)) == "checkout (version 3)"


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_references_in_containers_are_edges_like_any(kind):
    """One edge, with the container's parameter as its reason."""
    both = Items(kind, (FromNode("a"), FromNode("a", ("x",))), ("k", "l"))
    (edge,) = as_dict(compile_plan(definition(node("a"), node("b", both))))["edges"]
    assert [use["path"] for use in edge["uses"]] == ["", ".x"]
