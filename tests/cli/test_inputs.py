"""Inputs from `key=value` and JSON: what is converted, merged, refused and never printed."""

import json

import pytest

ORDER = """
    import datetime, enum
    from dataclasses import dataclass
    from typing import Annotated, Any, Literal
    import msgspec
    from reactor import Reactor, Secret, step

    class Line(msgspec.Struct):
        sku: str
        count: int = 1

    @dataclass
    class Address:
        city: str

    class Order(Reactor, name="order"):
        order_id: str
        amount: Annotated[int, msgspec.Meta(gt=0)]
        lines: list[Line] = []
        to: Address | None = None
        express: bool = False
        weight: float | None = None
        day: datetime.date | None = None
        size: Literal["s", "m"] = "m"
        extra: Any = None
        token: Annotated[str, Secret()] = ""
        pin: Annotated[int, Secret()] = 4321

        def __post_init__(self) -> None:
            if self.express and self.amount < 10:
                raise ValueError("express needs an amount of 10 or more")

        @step
        async def output(self) -> dict[str, Any]:
            print("the step began")
            return {"order_id": self.order_id, "amount": self.amount, "lines": self.lines, "to": self.to, "express": self.express,
                    "weight": self.weight, "day": self.day, "size": self.size, "extra": self.extra}
"""


def test_values_are_converted_by_their_types(folder):
    """`7` is a str for a str and an int for an int; lists, Structs and dataclasses are written as JSON."""
    folder.write("order.py", ORDER)
    done = folder.reactor(
        "run", "order.py:Order", "--quiet", "order_id=7", "amount=7", 'lines=[{"sku": "a"}, {"sku": "b", "count": 2}]',
        'to={"city": "Ulm"}', "express=false", "weight=1.5", "day=2026-01-31", "size=s", 'extra={"a": [1, null]}',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "order_id": "7", "amount": 7, "lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}], "to": {"city": "Ulm"},
        "express": False, "weight": 1.5, "day": "2026-01-31", "size": "s", "extra": {"a": [1, None]},
    }  # fmt: skip


@pytest.mark.parametrize("source", ["order.json", "-"])
def test_a_file_and_the_line_merge(folder, source):
    """`--input` gives an object from a file or from stdin; what the line says of the same input wins; `=` may be in a value."""
    folder.write("order.py", ORDER)
    said = '{"order_id": "from file", "amount": 3, "lines": [{"sku": "a"}]}'
    folder.write("order.json", said)
    done = folder.reactor("run", "order:Order", "order_id=a=b", "--input", source, "-q", stdin=said if source == "-" else "")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["order_id"], seen["amount"], seen["lines"]) == ("a=b", 3, [{"sku": "a", "count": 1}])


def test_all_that_is_wrong_is_listed_at_once(folder):
    """Unknown, missing and wrong inputs together, with the inputs and their types, the class's place, and a line to start from."""
    folder.write("order.py", ORDER)
    done = folder.reactor("run", "order.py:Order", "amuont=7", "amount=abc", "lines=a", "weight=heavy", "size=xl")
    assert (done.returncode, done.stdout) == (2, "")
    for words in (
        "[input-invalid] order did not begin: 6 things are wrong",
        "`amuont` is no input; did you mean `amount`?",
        "`order_id` is missing; it takes `str`",
        "`amount` expected `int`, got 'abc'",
        '`lines` is not `list[Line]`, which is written as JSON: lines=\'[{"sku":"…"}]\'',
        "`weight` expected `float | null`, got 'heavy'",
        "`size` expected one of 'm', 's', got 'xl'",
        "inputs of order (order.py:",
        "int [gt=0]",
        "fix: reactor run order.py:Order order_id=… amount=1",
    ):
        assert words in done.stderr


WRONG = {
    "constraint": (["order_id=1", "amount=0"], "`amount` expected `int` >= 1, got 0"),
    "cross-field": (["order_id=1", "amount=1", "express=true"], "express needs an amount of 10 or more"),
    "nested": (["order_id=1", "amount=1", 'lines=[{"sku": 3}]'], "`lines[0].sku` expected `str`, got 3"),
    "unknown": (["order_id=1", "amount=1", "nope=1"], "`nope` is no input"),
    "missing": (["order_id=1"], "`amount` is missing"),
    "no pair": (["order_id"], "not key=value"),
    "twice": (["order_id=1", "order_id=2"], "order_id is given twice"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_begins_nothing(folder, case):
    """Each wrong input has its own words, exit code 2, and no step was called."""
    folder.write("order.py", ORDER)
    args, words = WRONG[case]
    done = folder.reactor("run", "order.py:Order", *args)
    assert done.returncode == 2
    assert words in done.stderr
    assert "the step began" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_secret_is_never_printed(folder):
    """Neither a wrong secret nor a right one beside a wrong input is repeated, in any form."""
    folder.write("order.py", ORDER)
    folder.write("order.json", '{"token": 987654, "pin": "hunter2"}')
    for args in (["pin=hunter2", "token=t0p"], ["--input", "order.json"], ["--input", "order.json", "order_id=1", "amount=1"]):
        done = folder.reactor("run", "order.py:Order", *args)
        assert done.returncode == 2
        assert not {word for word in ("hunter2", "t0p", "987654") if word in done.stdout + done.stderr}
        assert "secret" in done.stderr


FILES = {
    "missing": (None, ["no file ordr.json", "did you mean `order.json`?"]),
    "no JSON": ('{"a": 1,\n  b}', ["order.json:2:3", "is not JSON"]),
    "no object": ("[1]", ["must hold one JSON object", "an array"]),
    "empty": ("", ["is not JSON"]),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_told(folder, case):
    """Where `--input` cannot be used: which file, which place in it, and what was expected."""
    text, said = FILES[case]
    folder.write("order.py", ORDER)
    folder.write("order.json", "{}" if text is None else text)
    done = folder.reactor("run", "order.py:Order", "--input", "ordr.json" if text is None else "order.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "[input-file]" in done.stderr
    for words in said:
        assert words in done.stderr


def test_hostile_input_is_shown_harmless(folder):
    """Escape sequences and newlines in what was typed cannot repaint the terminal or forge a line."""
    folder.write("order.py", ORDER)
    done = folder.reactor("run", "order.py:Order", "amount=\x1b[2Jx\nfix: rm", "\x1b[31mnope=1", "[red]=1")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert "\\x1b[2Jx\\nfix: rm" in done.stderr
    assert "[red]" in done.stderr


def test_what_is_no_pair_is_not_repeated_behind_its_name(folder):
    """It may be a secret that was mistyped."""
    folder.write("order.py", ORDER)
    for wrong in ("token:hunter2", "token hunter2", "token->hunter2"):
        done = folder.reactor("run", "order.py:Order", wrong)
        assert done.returncode == 2
        assert "hunter2" not in done.stderr
        assert "not key=value: 'token…'" in done.stderr


def test_a_secret_s_rule_is_named(folder):
    """Which one it breaks, and not what it is."""
    folder.write(
        "login.py",
        """
        from typing import Annotated
        from msgspec import Meta
        from reactor import Reactor, Secret, step

        class Login(Reactor):
            token: Annotated[str, Meta(min_length=8), Secret()]

            @step
            async def output(self) -> int:
                return 1
        """,
    )
    done = folder.reactor("run", "login.py:Login", "token=hunter2")
    assert done.returncode == 2
    assert "`token` expected `str` of length >= 8, got ********" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("raise ValueError('no')", ["[input-rule]", "Buggy: no", "at buggy.py:7"]),
        ("{}['x']", ["[input-rule]", "Buggy: `__post_init__` raised KeyError: 'x'", "at buggy.py:7"]),
        ("self.n = 3", ["[reactor-frozen]", "buggy.py:7", "fix: return the value"]),
    ],
)
def test_whatever_a_rule_raises(folder, rule, told):
    """Exit 2 with the author's line, and no traceback of ours."""
    folder.write(
        "buggy.py",
        f"""
        from reactor import Reactor, step

        class Buggy(Reactor):
            n: int = 1

            def __post_init__(self) -> None:
                {rule}

            @step
            async def output(self) -> int:
                return 1
        """,
    )
    done = folder.reactor("run", "buggy.py:Buggy")
    assert (done.returncode, done.stdout) == (2, "")
    assert not [words for words in told if words not in done.stderr], done.stderr
    assert "Traceback" not in done.stderr


def test_paths_are_read_and_shown(folder):
    """As their text, inside lists too."""
    folder.write(
        "paths.py",
        """
        from pathlib import Path
        from reactor import Reactor, Results, map_over, step

        class Paths(Reactor):
            folder: Path
            more: list[Path] = []

            @step
            async def all(self) -> list[Path]:
                return [self.folder, *self.more]

            @map_over(all.result)
            async def parent(self, path: Path) -> Path:
                return path.parent

            @step
            async def output(self, parents: Results[Path] = parent.result) -> list[Path]:
                return await parents.all()
        """,
    )
    done = folder.reactor("run", "paths.py:Paths", "folder=a/b", 'more=["c/d"]', "-q")
    assert (done.returncode, json.loads(done.stdout)) == (0, ["a", "c"]), done.stderr
    assert "fix: reactor run paths.py:Paths folder=file" in folder.reactor("run", "paths.py:Paths").stderr
