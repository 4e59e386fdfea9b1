"""`reactor run`: how each outcome is shown and which exit code it has, in plain lines, JSON and quiet."""

import json
import os
import subprocess
import sys

import pytest

SHOP = """
    import asyncio
    from typing import Annotated
    import msgspec
    from reactor import Continue, Halt, Reactor, Retry, Secret, Skip, StepError, compose, map_over, step

    class Quote(msgspec.Struct):
        total: int

    class CardDeclined(Exception):
        pass

    class Buy(Reactor, name="buy"):
        card: str = "good"
        token: Annotated[str, Secret()] = "hunter2"

        @step
        async def price(self) -> Quote:
            return Quote(99)

        @step
        async def reserve(self, quote: Quote = price.result) -> str:
            return "hold-1"

        @reserve.undo
        async def release(self, hold: str) -> None:
            if self.card == "stuck":
                raise OSError("the warehouse is closed")

        @step(retry=Retry(2, base=0.01, jitter=False))
        async def charge(self, hold: str = reserve.result, token: str = token) -> str:
            if self.card == "halt":
                raise Halt("shop is closed")
            if self.card != "good":
                raise CardDeclined(f"no funds on {self.card}")
            return "paid"

        @step
        async def output(self, paid: str = charge.result, quote: Quote = price.result) -> Quote:
            return quote
"""
SHOP = SHOP.replace(", token: str = token", "")


def lines_of(text: str) -> list[str]:
    """The lines without the time in front."""
    return [line[10:] if line[:8].strip().replace(".", "").isdigit() else line for line in text.splitlines()]


def test_a_run_that_succeeds(folder):
    """Plain lines when piped: one a node, then the output as JSON; exit 0; nothing on stderr."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("run", "shop:Buy")
    assert (done.returncode, done.stderr) == (0, "")
    for node in ("price", "reserve", "charge", "output"):
        assert any(line.startswith(f"✓ {node}  succeeded") for line in lines_of(done.stdout)), done.stdout
    assert " succeeded in " in done.stdout
    assert json.loads(done.stdout[done.stdout.index("\n{") :]) == {"total": 99}
    assert "\x1b" not in done.stdout


def test_a_run_that_fails(folder):
    """The retry, the failure and the undo as they happen; then the card: why, which line of the author's, what was undone; exit 1."""
    file = folder.write("shop.py", SHOP)
    line = 1 + file.read_text().splitlines().index('            raise CardDeclined(f"no funds on {self.card}")')
    done = folder.reactor("run", "shop:Buy", "card=bad")
    assert done.returncode == 1
    seen = lines_of(done.stdout)
    assert any(said.startswith("↻ charge  retrying  attempt 1  CardDeclined: no funds on bad (again in") for said in seen), done.stdout
    assert any(said.startswith("✗ charge  failed  attempt 2  CardDeclined: no funds on bad") for said in seen)
    assert any(said.startswith("↶ reserve  undone") for said in seen)
    card = done.stdout[done.stdout.index("charge failed at attempt 2") :]
    for words in ("CardDeclined: no funds on bad", f"at shop.py:{line} in charge", "raise CardDeclined("):
        assert words in card
    for words in ("undone      reserve", "no undo     price"):
        assert words in card
    assert "hunter2" not in done.stdout


def test_a_run_that_is_stuck(folder):
    """What could not be undone is said loudest; exit 1."""
    folder.write("shop.py", SHOP.replace("@reserve.undo", "@reserve.undo(retry=Retry(1))"))
    done = folder.reactor("run", "shop:Buy", "card=stuck")
    assert done.returncode == 1
    assert " stuck in " in done.stdout
    assert "NOT UNDONE  reserve: its undo failed at attempt 1: OSError: the warehouse is closed" in done.stdout


def test_a_run_that_halts(folder):
    """Its reason, and that nothing was rolled back; exit 5."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("run", "shop:Buy", "card=halt")
    assert done.returncode == 5
    assert "reason      shop is closed" in done.stdout
    assert "undone" not in done.stdout


def test_json_is_one_event_a_line(folder):
    """Every line parses; events rise in seq and say kind and address; the last line is the outcome; the author's prints go to stderr."""
    folder.write("shop.py", SHOP.replace("return Quote(99)", "print('hello'); return Quote(99)"))
    done = folder.reactor("run", "shop:Buy", "--json")
    assert (done.returncode, done.stderr) == (0, "hello\n")
    *events, outcome = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
    assert {"seq", "at", "kind", "address", "call", "attempt", "detail"} == set(events[0])
    assert events[-1]["kind"] == "run_ended"
    assert ("call_succeeded", "price") in {(event["kind"], event["address"]) for event in events}
    assert outcome == {"outcome": "succeeded", "run_id": outcome["run_id"], "value": {"total": 99}}
    assert outcome["run_id"].startswith("buy:")


def test_json_of_a_failure(folder):
    """The outcome's line holds kind, message, attempt and place of the failure, and what could not be undone; exit 1."""
    folder.write("shop.py", SHOP.replace("@reserve.undo", "@reserve.undo(retry=Retry(1))"))
    done = folder.reactor("run", "shop:Buy", "--json", "card=stuck")
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert (outcome["outcome"], outcome["step"]) == ("stuck", "charge")
    assert (outcome["error"]["kind"], outcome["error"]["message"], outcome["error"]["attempt"]) == ("CardDeclined", "no funds on stuck", 2)
    assert outcome["error"]["file"].endswith("shop.py")
    assert [(f["step"], f["call"], f["error"]["kind"]) for f in outcome["rollback_failures"]] == [("reserve", "undo", "OSError")]
    assert "hunter2" not in done.stdout


def test_quiet_prints_the_output_alone(folder):
    """Stdout is the value, for a pipe; a failure goes to stderr."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("run", "shop:Buy", "-q")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {"total": 99}, "")
    done = folder.reactor("run", "shop:Buy", "-q", "card=bad")
    assert (done.returncode, done.stdout) == (1, "")
    assert "CardDeclined: no funds on bad" in done.stderr


VALUES = {
    "str": ("str", "'a'", '"a"'),
    "none": ("None", "None", "null"),
    "zero": ("int", "0", "0"),
    "dataclass": ("Point", "Point(1, 2)", '{"x": 1, "y": 2}'),
    "object": ("object", "Odd()", '"<Odd>"'),
    "hostile": ("str", "'\\x1b[2J\\u202e'", '"\\u001b[2J\\u202e"'),
    "int keys": ("dict[int, int]", "{1: 2}", '{"1": 2}'),
}


@pytest.mark.parametrize("case", VALUES)
def test_any_output_can_be_printed(folder, case):
    """As JSON where it can be, else its repr; never a control or bidi character."""
    kind, value, said = VALUES[case]
    folder.write(
        "app.py",
        f"""
        from dataclasses import dataclass
        from reactor import Reactor, step

        @dataclass
        class Point:
            x: int
            y: int

        class Odd:
            def __repr__(self) -> str:
                return "<Odd>"

        class App(Reactor):
            @step
            async def output(self) -> {kind}:
                return {value}
        """,
    )
    done = folder.reactor("run", "app:App", "-q")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(said)
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout


MAP = """
    from reactor import Reactor, Results, map_over, step

    class Many(Reactor):
        count: int = 250

        @step
        async def numbers(self) -> list[int]:
            return list(range(self.count))

        @map_over(numbers.result, batch_size=50, on_error="collect")
        async def output(self, n: int) -> int:
            if n % 100 == 7:
                raise ValueError(f"[bold]no {n}")
            return n * 2
"""


def test_a_map_is_one_line_and_its_results_are_read(folder):
    """Counts and rate on its line; the output has values in source order and failures by index."""
    folder.write("app.py", MAP)
    done = folder.reactor("run", "app:Many")
    assert done.returncode == 0, done.stderr
    line = next(line for line in lines_of(done.stdout) if line.startswith("✓ output"))
    assert "250 of 250, 3 failed" in line
    value = json.loads(done.stdout[done.stdout.index("\n{") :])
    assert (value["succeeded"], value["failed"], value["values"][:3]) == (247, 3, [0, 2, 4])
    assert [failure["index"] for failure in value["failures"]] == [7, 107, 207]


def test_hostile_errors_are_shown_harmless(folder):
    """An exception's message and a node's value cannot forge a line, repaint the terminal or be read as markup."""
    folder.write("shop.py", SHOP.replace('f"no funds on {self.card}"', '"[red]x[/red]\\x1b[2J\\n      0.00s ✓ forged\\u202e"'))
    done = folder.reactor("run", "shop:Buy", "card=bad")
    assert done.returncode == 1
    assert "[red]x[/red]\\x1b[2J" in done.stdout
    assert not [c for c in done.stdout + done.stderr if c in "\x1b\u202e"]
    assert not [line for line in done.stdout.splitlines() if line.startswith("      0.00s ✓ forged")]


def test_a_terminal_that_knows_only_ascii(folder):
    """Marks fall back, and what cannot be encoded is escaped: no crash for want of an encoding."""
    folder.write("shop.py", SHOP.replace("no funds", "kein Geld für"))
    done = folder.reactor("run", "shop:Buy", "card=bad", PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "x charge  failed" in done.stdout
    assert "kein Geld f\\xfcr" in done.stdout


def test_a_reader_that_went_away_changes_nothing(folder):
    """`reactor run … | head -1`: the run goes on to its end, with its exit code and without a traceback."""
    folder.write("shop.py", SHOP)
    process = folder.begin("run", "shop:Buy", "card=bad", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(30) == 1
    process.stderr.close()


def test_it_works_without_rich(folder):
    """Rich is an extra: without it, a terminal gets plain lines."""
    folder.write("shop.py", SHOP)
    folder.write("blocked/rich/__init__.py", "raise ImportError('not installed')")
    path = os.pathsep.join([str(folder.path / "blocked"), folder.env["PYTHONPATH"]])
    done = folder.reactor("run", "shop:Buy", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "✓ price" in done.stdout


def test_a_name_for_the_run(folder):
    """`--id` names it; an id that cannot be one is refused before anything begins."""
    folder.write("shop.py", SHOP)
    assert json.loads(folder.reactor("run", "shop:Buy", "--json", "--id", "o-1").stdout.splitlines()[-1])["run_id"] == "buy:o-1"
    done = folder.reactor("run", "shop:Buy", "--id", "a/b")
    assert done.returncode == 2
    assert "a/b" in done.stderr


@pytest.mark.parametrize("args", [["run"], ["run", "shop:Buy", "--nope"], ["rnu"], ["run", "shop:Buy", "-q", "--json"]])
def test_usage_errors_exit_2(folder, args):
    """A missing target, an unknown option or command, options that exclude one another."""
    folder.write("shop.py", SHOP)
    done = folder.reactor(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_reactor_that_would_park_is_refused(folder):
    """In memory nothing could answer it later: exit 2 or 3, the interrupt named, nothing left running."""
    folder.write(
        "app.py",
        """
        from reactor import Ask, Reactor, interrupt

        class Asks(Reactor):
            @interrupt
            async def output(self) -> Ask[bool]:
                return Ask("key")
        """,
    )
    done = folder.reactor("run", "app:Asks")
    assert done.returncode in {2, 3}
    assert "Traceback" not in done.stderr


def test_help_names_the_exit_codes(folder):
    """What a script must know is in `--help`."""
    done = folder.reactor("run", "--help")
    assert done.returncode == 0
    for words in ("0  succeeded", "1  failed", "2  never began", "3  parked", "4  cancelled", "5  halted", "Ctrl-C"):
        assert words in done.stdout


def test_the_package_itself_loads_no_terminal():
    """`import reactor` loads neither click nor rich: only the command does."""
    code = "import sys, reactor; print([m for m in ('click', 'rich', 'reactor.cli') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_secrets_are_masked_in_the_output(folder):
    """A field that its type calls secret, and a secret input's text, are masked in every form; what is beside them is not."""
    folder.write(
        "app.py",
        """
        from dataclasses import dataclass
        from typing import Annotated
        import msgspec
        from reactor import Reactor, Secret, step

        @dataclass(frozen=True)
        class Key:
            id: int
            text: Annotated[str, Secret()]

        class Account(msgspec.Struct, frozen=True):
            name: str
            keys: list[Key]
            pin: Annotated[int, Secret()] | None

        class App(Reactor):
            token: Annotated[str, Secret()] = "hunter2"

            @step
            async def output(self) -> list[Account]:
                return [Account(f"ann, {self.token}", [Key(1, "t0psecret")], 4321)]
        """,
    )
    for how in ([], ["-q"], ["--json"]):
        done = folder.reactor("run", "app:App", *how)
        assert done.returncode == 0, done.stderr
        assert not [word for word in ("hunter2", "t0psecret", "4321") if word in done.stdout + done.stderr]
    masked = "********"
    assert json.loads(folder.reactor("run", "app:App", "-q").stdout) == [
        {"name": f"ann, {masked}", "keys": [{"id": 1, "text": masked}], "pin": masked}
    ]


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
def test_a_step_that_ends_the_process(folder, kind):
    """It is a failure, whatever code it asked for, and says what it left behind; exit 1."""
    folder.write(
        "app.py",
        f"""
        from reactor import Reactor, step

        class App(Reactor):
            @step
            async def output(self) -> int:
                raise {kind}(0)
        """,
    )
    done = folder.reactor("run", "app:App")
    assert done.returncode == 1
    assert kind in done.stdout
    assert "Traceback" not in done.stderr


def test_the_package_is_the_command_too(folder):
    """`python -m reactor`, where the script is not on PATH."""
    done = subprocess.run(
        [sys.executable, "-m", "reactor", "--version"], cwd=folder.path, env=folder.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("reactor, version")
