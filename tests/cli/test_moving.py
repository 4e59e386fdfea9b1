"""`reactor runs signal|cancel|undo|restart|retry-rollback`: what a run becomes, what is driven here, and what is refused."""

import json

import pytest

from tests.cli.filling import SHOP, waiting_for

APP = ("--app", "shop:Buy")


@pytest.fixture
def shop(folder):
    """The shop, and its runs in this folder's own store."""
    folder.write("shop.py", SHOP)
    return folder


@pytest.fixture
def parked(shop):
    """The same with `buy:1` parked."""
    assert shop.reactor("run", "shop:Buy", "order=1", "asks=true", "--id", "1").returncode == 3
    return shop


def status(folder, run="buy:1"):
    """What a run's record says."""
    return json.loads(folder.reactor("runs", "get", run, "--json").stdout)["status"]


# ---- signal ---------------------------------------------------------------------------------------------------


def test_a_parked_run_says_how_to_answer_it(shop):
    """`reactor run` exits with 3, keeps the run, and prints the command that goes on with it."""
    done = shop.reactor("run", "shop:Buy", "order=1", "asks=true", "--id", "1")
    assert done.returncode == 3
    assert "waiting     approval order:1" in done.stdout
    assert done.stderr == "answer it: reactor runs signal buy:1 approval PAYLOAD --app shop:Buy\n"
    assert (shop.path / ".reactor" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("said", [["buy:1", "approval", "true"], ["-", "approval", "true", "--correlation-id", "order:1"]])
def test_signal(parked, said):
    """By the run's name, or by the correlation id alone: it goes on here to its end, whose exit code it has."""
    done = parked.reactor("runs", "signal", *said, *APP)
    assert (done.returncode, done.stderr) == (0, "approval: accepted\n"), done.stdout
    assert "✓ approval  succeeded" in done.stdout
    assert "buy:1 succeeded in " in done.stdout
    assert "paid with ********" in done.stdout


def test_a_signal_that_makes_it_fail(parked):
    """The failure, its line and what was undone, as `reactor run` shows them; exit 1."""
    done = parked.reactor("runs", "signal", "buy:1", "approval", "false", *APP)
    assert done.returncode == 1
    for words in ("charge failed at attempt 2", "CardDeclined: no funds on good", "at shop.py:", "undone      reserve"):
        assert words in done.stdout
    assert (parked.path / "released").exists()


def test_signals_that_are_refused(parked):
    """A wrong payload, an unknown interrupt, none at all, a second answer that differs: each its own error, nothing changed; exit 2."""
    for said, words in (
        (["maybe"], "[payload-invalid]"),
        ([], "what does approval get? It takes bool"),
    ):
        done = parked.reactor("runs", "signal", "buy:1", "approval", *said, *APP)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    done = parked.reactor("runs", "signal", "buy:1", "aproval", "true", *APP)
    assert (done.returncode, "did you mean `approval`?" in done.stderr) == (2, True)
    assert status(parked) == "parked"
    assert parked.reactor("runs", "signal", "buy:1", "approval", "true", *APP).returncode == 0
    done = parked.reactor("runs", "signal", "buy:1", "approval", "false", *APP)
    assert (done.returncode, "[other-answer]" in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    done = parked.reactor("runs", "signal", "buy:1", "approval", "true", *APP)
    assert (done.returncode, done.stderr) == (0, "approval: known already: nothing was changed\n")


def test_a_payload_from_standard_input(parked):
    """`--input -` keeps it from the list of processes."""
    done = parked.reactor("runs", "signal", "buy:1", "approval", "--input", "-", *APP, stdin="true")
    assert done.returncode == 0, done.stderr


def test_a_signal_that_comes_early(shop):
    """It is kept for its correlation id, and consumed when a run asks: that run does not park."""
    done = shop.reactor("run", "shop:Buy", "order=0", "--id", "0")
    assert done.returncode == 0
    done = shop.reactor("runs", "signal", "-", "approval", "true", "--correlation-id", "order:1", *APP)
    assert (done.returncode, "kept: nobody has asked for it yet" in done.stderr) == (0, True)
    done = shop.reactor("run", "shop:Buy", "order=1", "asks=true", "--id", "1")
    assert done.returncode == 0, done.stdout + done.stderr


# ---- cancel and undo ------------------------------------------------------------------------------------------


def test_cancel(parked):
    """What was done is undone, here; exit 0: it is what was asked for. Again: it cannot be."""
    done = parked.reactor("runs", "cancel", "buy:1", "--reason", "too late", *APP)
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("↶ reserve  undone", "buy:1 cancelled in ", "reason      too late"):
        assert words in done.stdout
    assert (parked.path / "released").exists()
    done = parked.reactor("runs", "cancel", "buy:1", *APP)
    assert (done.returncode, done.stdout) == (2, "")
    assert "[wrong-state] buy:1 is cancelled: it cannot be asked to cancel" in done.stderr


def test_cancel_without_undo(parked):
    """Nothing is undone; an undo may still be asked for."""
    done = parked.reactor("runs", "cancel", "buy:1", "--no-undo", *APP)
    assert done.returncode == 0
    for words in ("left as is  reserve", "no undo was called, as was asked for; it still can be: reactor runs undo buy:1"):
        assert words in done.stdout
        assert words in parked.reactor("runs", "get", "buy:1").stdout
    assert (status(parked), (parked.path / "released").exists()) == ("cancelled", False)
    done = parked.reactor("runs", "undo", "buy:1", *APP)
    assert (done.returncode, status(parked)) == (0, "undone"), done.stderr


def test_undo(shop):
    """`--dry-run` tells what would be undone and does nothing; without, it is done, and the run is `undone`."""
    shop.reactor("run", "shop:Buy", "order=1", "--id", "1")
    done = shop.reactor("runs", "undo", "buy:1", "--dry-run", *APP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "reserve\n", "")
    assert json.loads(shop.reactor("runs", "undo", "buy:1", "--dry-run", "--json", *APP).stdout) == ["reserve"]
    assert not (shop.path / "released").exists()
    done = shop.reactor("runs", "undo", "buy:1", *APP)
    assert done.returncode == 0, done.stderr
    assert "↶ reserve  undone" in done.stdout
    assert (status(shop), (shop.path / "released").exists()) == ("undone", True)


@pytest.mark.parametrize(("command", "ends"), [("cancel", "cancelled"), ("undo", "undone")])
def test_without_code_a_message_is_left(parked, command, ends):
    """It says so, and that nothing is driven; the record holds it; the next command that has the code heeds it."""
    done = parked.reactor("runs", command, "buy:1")
    assert (done.returncode, done.stdout) == (0, "buy:1: the message is left; the next process that serves buy will heed it\n")
    assert "nothing is driven here without its code: --app module:Class" in done.stderr
    assert f"unread      a message: {command}" in parked.reactor("runs", "get", "buy:1").stdout
    done = parked.reactor("run", "shop:Buy", "order=1", "asks=true", "--id", "1")
    assert done.returncode == 4, done.stdout + done.stderr
    assert (status(parked), (parked.path / "released").exists()) == (ends, True)


def test_without_code_the_state_is_looked_at_too(shop):
    """What cannot be is refused, not left."""
    shop.reactor("run", "shop:Buy", "order=1", "--id", "1")
    done = shop.reactor("runs", "cancel", "buy:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "[wrong-state] buy:1 is succeeded" in done.stderr
    assert shop.reactor("runs", "undo", "buy:1").returncode == 0


def test_no_wait_only_tells(parked):
    """With the code, too: the message lies there, and nothing is driven here."""
    done = parked.reactor("runs", "cancel", "buy:1", "--no-wait", *APP)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the message is left" in done.stdout
    assert not (parked.path / "released").exists()


# ---- restart and retry-rollback -------------------------------------------------------------------------------


def test_restart(shop):
    """The next life keeps what succeeded and was not undone; `get` shows it, and the former one is superseded."""
    shop.reactor("run", "shop:Buy", "order=1", "--id", "1")
    done = shop.reactor("runs", "restart", "buy:1", "--from-step", "charge", *APP)
    assert done.returncode == 0, done.stderr
    for words in ("buy:1~2 started", "✓ reserve  succeeded  kept from before the restart", "buy:1~2 succeeded in "):
        assert words in done.stdout
    assert (status(shop, "buy:1"), status(shop, "buy:1~2")) == ("succeeded", "succeeded")
    rows = [json.loads(line) for line in shop.reactor("runs", "ls", "--json").stdout.splitlines()]
    assert [(row["run_id"], row["status"]) for row in rows] == [("buy:1~2", "succeeded"), ("buy:1", "superseded")]


def test_restart_of_what_cannot(parked):
    """A run that has not ended, a node that is not there: exit 2 with what is allowed."""
    done = parked.reactor("runs", "restart", "buy:1", *APP)
    assert (done.returncode, "[wrong-state] buy:1 is parked" in done.stderr) == (2, True)
    parked.reactor("runs", "cancel", "buy:1", *APP)
    done = parked.reactor("runs", "restart", "buy:1", "--from-step", "chrage", *APP)
    assert (done.returncode, "[unknown-node]" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_retry_rollback(shop):
    """A stuck run is stuck (1) until its undo can be called, and is then what it would have been: exit 0."""
    (shop.path / "closed").touch()
    done = shop.reactor("run", "shop:Buy", "order=1", "card=bad", "--id", "1")
    assert (done.returncode, status(shop)) == (1, "stuck")
    done = shop.reactor("runs", "retry-rollback", "buy:1", *APP)
    assert (done.returncode, "NOT UNDONE  reserve" in done.stdout) == (1, True), done.stderr
    (shop.path / "closed").unlink()
    done = shop.reactor("runs", "retry-rollback", "buy:1", *APP)
    assert (done.returncode, status(shop)) == (0, "failed"), done.stdout + done.stderr
    assert (shop.path / "released").exists()


def test_a_rollback_that_was_left_is_gone_on_with(shop):
    """Told without the code, it waits: told again it says so, and with the code it is driven, as a left cancel or undo is."""
    (shop.path / "closed").touch()
    assert shop.reactor("run", "shop:Buy", "order=1", "card=bad", "--id", "1").returncode == 1
    (shop.path / "closed").unlink()
    assert "the message is left" in shop.reactor("runs", "retry-rollback", "buy:1").stdout
    assert shop.reactor("runs", "retry-rollback", "buy:1").stdout == "buy:1 is told already\n"
    done = shop.reactor("runs", "retry-rollback", "buy:1", *APP)
    assert (done.returncode, status(shop)) == (0, "failed"), done.stdout + done.stderr
    assert (shop.path / "released").exists()


SLOW = """
    import asyncio
    from reactor import Reactor, step

    class Slow(Reactor):
        @step
        async def first(self) -> int:
            return 1

        @step
        async def output(self, first: int = first.result) -> str:
            await asyncio.sleep(60)
            return "done"
"""


def test_a_run_that_another_process_has(folder):
    """Whoever cancels it is told why nothing may happen for a while; what was in doubt at its end `get` says later, too."""
    folder.write("app.py", SLOW)
    first = folder.begin("run", "app:Slow", "--id", "1")
    waiting_for(first, "first  succeeded")  # with which the next call was put on record
    done = folder.reactor("runs", "cancel", "Slow:1", "--no-undo", "--app", "app:Slow")
    assert (done.returncode, done.stderr.startswith("Slow:1 is another process's: it goes on there, or here when")) == (0, True)
    assert "IN DOUBT    output" in done.stdout
    assert "IN DOUBT    output" in folder.reactor("runs", "get", "Slow:1").stdout
    assert "IN DOUBT    output" in first.communicate()[0]


# ---- which code, which store ----------------------------------------------------------------------------------


def test_pyproject_names_the_app(parked):
    """`[tool.reactor] app` stands in for --app, and may be an engine, which has its store with it."""
    parked.write(
        "service.py",
        f"""
        from reactor import Engine
        from shop import Buy

        engine = Engine("sqlite:///.reactor/runs.db", reactors=[Buy], keys=[__import__("base64").b64decode({parked.env["REACTOR_KEYS"]!r})])
        """,
    )
    parked.write("pyproject.toml", '[tool.reactor]\napp = "service:engine"\n')
    done = parked.reactor("runs", "signal", "buy:1", "approval", "true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "paid with ********" in done.stdout
    done = parked.reactor("runs", "undo", "buy:1", "--store", "sqlite:///other.db")
    assert (done.returncode, "service:engine is an engine with a store of its own" in done.stderr) == (2, True)


OTHER = """
    from reactor import Reactor, step

    class Other(Reactor):
        @step
        async def output(self) -> int:
            return 1
"""
NO_APP = {
    "none": ([], "", "[no-app] to answer an interrupt, the code of its reactor is needed"),
    "not a reactor": (["--app", "shop:CardDeclined"], "", "[not-an-app] shop:CardDeclined is the class CardDeclined"),
    "another reactor": (["--app", "other:Other"], "", "[not-served] other:Other does not serve buy"),
    "no such module": (["--app", "nope:Buy"], "", "[unknown-target] there is no module nope"),
    "broken pyproject": ([], "[tool.reactor\n", "[bad-pyproject] pyproject.toml cannot be read"),
    "no text": ([], "[tool.reactor]\napp = 7\n", "[bad-pyproject] `app` of [tool.reactor] in pyproject.toml is '7', no text"),
}


@pytest.mark.parametrize("case", NO_APP)
def test_an_app_that_is_none(parked, case):
    """Each says what is wrong and one fix; nothing changed; exit 2, no traceback."""
    said, project, words = NO_APP[case]
    parked.write("other.py", OTHER)
    if project:
        parked.write("pyproject.toml", project)
    done = parked.reactor("runs", "signal", "buy:1", "approval", "true", *said)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert status(parked) == "parked"


def test_on_a_server(shop, server):
    """The same on a real server: park, answer from another process, undo from a third."""
    shop.env["REACTOR_STORE"] = server(shop.path.name)
    done = shop.reactor("run", "shop:Buy", "order=1", "asks=true", "--id", "1")
    assert (done.returncode, done.stderr.endswith("PAYLOAD --app shop:Buy\n")) == (3, True)
    other = server(shop.path.name + "-2")
    done = shop.reactor("run", "shop:Buy", "order=1", "asks=true", "--id", "1", "--store", other)
    assert (done.returncode, done.stderr.endswith(f" --store '{other}'\n")) == (3, True), done.stderr
    assert shop.reactor("runs", "signal", "buy:1", "approval", "true", *APP).returncode == 0
    assert shop.reactor("runs", "undo", "buy:1", *APP).returncode == 0
    assert (status(shop), (shop.path / "released").exists()) == ("undone", True)


def test_only_the_run_that_was_named_is_driven(parked):
    """Another run of the same reactor that is due stays as it is: a command is no worker."""
    parked.reactor("run", "shop:Buy", "order=2", "asks=true", "--id", "2")
    parked.reactor("runs", "cancel", "buy:2")
    assert parked.reactor("runs", "signal", "buy:1", "approval", "true", *APP).returncode == 0
    assert (status(parked), status(parked, "buy:2")) == ("succeeded", "queued")
