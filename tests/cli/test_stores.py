"""Which store a command means, and each way in which it cannot be had: one error, one fix, exit 2, no traceback, nothing made."""

import json

import pytest

from tests.cli.filling import SHOP, waiting_for

GREET = """
    from reactor import Reactor, step

    class Greet(Reactor):
        name: str

        @step
        async def output(self) -> str:
            print("the step began")
            return f"hello {self.name}"
"""

MISSED = {
    "unknown scheme": (["--store", "postgres://host/db"], ["[unknown-store]", "known: memory://, sqlite:///", "fix: "]),
    "no path": (["--store", "sqlite://"], ["[unknown-store]", "names no file", "sqlite:///runs.db"]),
    "no such file": (["--store", "sqlite:///nope.db"], ["[no-store]", "there is no file nope.db", "fix: "]),
    "nothing here": ([], ["[no-store]", "there is no file .reactor/runs.db", "`reactor run` makes it"]),
    "memory": (["--store", "memory://"], ["[nothing-kept]", "ends with its process", "sqlite:///runs.db"]),
    "not ours": (["--store", "sqlite:///app.py"], ["[store-foreign]", "app.py is no store of runs"]),
    "unreachable": (["--store", "redis://localhost:1/0"], ["the Redis at redis://localhost:1/0", "fix: start the server"]),
}


@pytest.mark.parametrize("case", MISSED)
@pytest.mark.parametrize("command", [["ls"], ["get", "Greet:1"], ["undo", "Greet:1"]])
def test_a_store_that_cannot_be_had(folder, case, command):
    """Whatever the command is."""
    folder.write("app.py", GREET)
    store, said = MISSED[case]
    done = folder.reactor("runs", *command, *store)
    assert (done.returncode, done.stdout) == (2, "")
    for words in said:
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in folder.path.iterdir()] == ["app.py"]


def test_a_run_is_kept_where_nothing_is_said(folder):
    """In this folder's `.reactor/`, which git does not see; the same id is the same run, and is not run again."""
    folder.write("app.py", GREET)
    done = folder.reactor("run", "app:Greet", "name=ann", "--id", "1", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, '"hello ann"\n', "the step began\n")
    assert (folder.path / ".reactor" / ".gitignore").read_text() == "*\n"
    done = folder.reactor("run", "app:Greet", "name=ann", "--id", "1", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, '"hello ann"\n', "")
    done = folder.reactor("run", "app:Greet", "name=bob", "--id", "1", "-q")
    assert (done.returncode, done.stdout) == (2, "")
    assert "[run-conflict] Greet:1 exists with other inputs" in done.stderr


def test_a_run_that_another_process_has(folder):
    """Whoever asks for it again is told why nothing happens, and shown how it goes on there."""
    text = """
        import asyncio
        from pathlib import Path
        from reactor import Reactor, step

        class Slow(Reactor):
            @step
            async def output(self) -> str:
                while not Path("go").exists():
                    await asyncio.sleep(0.02)
                return "done"
    """
    folder.write("app.py", text)
    first = folder.begin("run", "app:Slow", "--id", "1")
    waiting_for(first, "started")
    second = folder.begin("run", "app:Slow", "--id", "1")
    said = waiting_for(second, "is another process's")
    folder.write("go", "")
    assert all(process.communicate()[0].endswith('"done"\n') for process in (first, second))
    assert (first.returncode, second.returncode) == (0, 0)
    assert said.startswith("Slow:1 is another process's: it goes on there")


def test_memory_keeps_nothing(folder):
    """No folder is made."""
    folder.write("app.py", GREET)
    done = folder.reactor("run", "app:Greet", "name=ann", "--store", "memory://", "-q")
    assert (done.returncode, done.stdout) == (0, '"hello ann"\n')
    assert [path.name for path in folder.path.iterdir()] == ["app.py"]


def test_a_path_as_sqlalchemy_spells_it(folder):
    """Three slashes are relative to the working folder, four are absolute."""
    folder.write("app.py", GREET)
    (folder.path / "deep").mkdir()
    assert folder.reactor("run", "app:Greet", "name=a", "--id", "1", "--store", "sqlite:///deep/runs.db").returncode == 0
    done = folder.reactor("runs", "ls", "--json", "--store", f"sqlite:///{folder.path}/deep/runs.db")
    assert json.loads(done.stdout)["run_id"] == "Greet:1"


@pytest.mark.parametrize("store", ["sqlite:///nowhere/runs.db", "redis://localhost:1/0", "postgres://host/db"])
def test_a_run_that_cannot_be_kept_does_not_begin(folder, store):
    """Exit 2, and no step was called."""
    folder.write("app.py", GREET)
    done = folder.reactor("run", "app:Greet", "name=ann", "--store", store)
    assert (done.returncode, done.stdout) == (2, "")
    assert "fix: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written(folder):
    """What stands in the way of `.reactor/` is told, and what to say instead."""
    folder.write("app.py", GREET)
    (folder.path / ".reactor").write_text("in the way")
    done = folder.reactor("run", "app:Greet", "name=ann")
    assert (done.returncode, done.stdout) == (2, "")
    assert "[store-folder] .reactor/ cannot be made here" in done.stderr
    assert "--store memory://" in done.stderr


def test_secrets_are_not_kept_open_by_accident(folder):
    """Without keys a reactor with secrets is refused, with the command's own ways out; --plain-secrets is one."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("run", "shop:Buy", "order=1", REACTOR_KEYS="")
    assert (done.returncode, done.stdout) == (2, "")
    for words in ("[secrets-need-keys]", "REACTOR_KEYS", "--plain-secrets", "--store memory://"):
        assert words in done.stderr
    done = folder.reactor("run", "shop:Buy", "order=1", "--id", "1", "--plain-secrets", REACTOR_KEYS="")
    assert done.returncode == 0, done.stderr
    done = folder.reactor("runs", "get", "buy:1", REACTOR_KEYS="")
    assert (done.returncode, "hunter2" in done.stdout, "paid with ********" in done.stdout) == (0, False, True)


def test_wrong_keys_are_told_without_a_key(folder):
    """No key is repeated in a message."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("run", "shop:Buy", "order=1", REACTOR_KEYS="c2hvcnQ=")
    assert (done.returncode, "[bad-secret-key]" in done.stderr, "c2hvcnQ" in done.stderr) == (2, True, False)


@pytest.mark.parametrize("option", [["--since", "1x"], ["--status", "prked"], ["--where", "order"], ["--limit", "-1"]])
def test_options_that_say_nothing(folder, option):
    """Exit 2 before a store is looked for."""
    done = folder.reactor("runs", "ls", *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_store_in_a_variable(folder):
    """A URL with a password is nothing for an argument: REACTOR_STORE says it, and no message repeats the password."""
    done = folder.reactor("doctor", REACTOR_STORE="redis://:t0ps3cr3t@localhost:1/0")
    assert (done.returncode, "t0ps3cr3t" in done.stdout + done.stderr) == (1, False)
    assert not list(folder.path.iterdir())


def test_a_run_in_memory_that_parks_is_undone(folder):
    """Nobody could answer it any more: what it had done is undone before the command ends, and that is said."""
    folder.write(
        "app.py",
        """
        from pathlib import Path
        from reactor import Ask, Reactor, interrupt, step

        class Asks(Reactor):
            @step
            async def charge(self) -> int:
                Path("charge").touch()
                return 1

            @charge.undo
            async def refund(self, value: int) -> None:
                Path("charge").unlink()

            @interrupt(after=[charge])
            async def approval(self) -> Ask[bool]:
                return Ask()

            @step(after=[approval])
            async def output(self) -> int:
                return 1
        """,
    )
    done = folder.reactor("run", "app:Asks", "--store", "memory://")
    assert (done.returncode, "it was cancelled and undone" in done.stderr) == (3, True)
    assert not (folder.path / "charge").exists()
    assert folder.reactor("run", "app:Asks").returncode == 3
    assert (folder.path / "charge").exists()
