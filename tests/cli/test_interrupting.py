"""Ctrl-C: the first cancels and rolls back, the second waits, the third aborts. Each test waits for words, never for time."""

import signal

WAITING = """
    import asyncio, sys, time
    from pathlib import Path
    from reactor import Reactor, step

    class Slow(Reactor, name="slow"):
        undo_waits: bool = False
        blocks: bool = False

        @step
        async def reserve(self) -> str:
            return "hold"

        @reserve.undo
        async def release(self, hold: str) -> None:
            print("releasing", flush=True)
            while self.undo_waits and not Path("go").exists():
                await asyncio.sleep(0.01)
            Path("released").touch()

        @step
        async def output(self, hold: str = reserve.result) -> int:
            print("waiting", flush=True)
            if self.blocks:
                time.sleep(60)
            await asyncio.Event().wait()
            return 1
"""


def until(process, words: str) -> str:
    """Read the command's lines until one has the words."""
    seen = ""
    for line in process.stdout:
        seen += line
        if words in line:
            return seen
    raise AssertionError(f"ended without {words!r}:\n{seen}\n{process.stderr.read()}")


def ended(process) -> tuple[int, str]:
    """The exit code and the rest of what it said."""
    said, problems = process.communicate(timeout=30)
    return process.returncode, said + problems


def test_one_ctrl_c_cancels_and_rolls_back(folder):
    """What was done is undone and shown, the outcome says cancelled and why; exit 4."""
    folder.write("app.py", WAITING)
    process = folder.begin("run", "app:Slow")
    until(process, "waiting")
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 4
    for words in ("Ctrl-C: cancelling", "output  cancelled", "reserve  undone", " cancelled in "):
        assert words in said
    for words in ("reason      Ctrl-C", "undone      reserve"):
        assert words in said
    assert "Traceback" not in said
    assert (folder.path / "released").exists()


def test_sigterm_rolls_back_too(folder):
    """A run in memory cannot go on elsewhere: it is undone, as with Ctrl-C; exit 4."""
    folder.write("app.py", WAITING)
    process = folder.begin("run", "app:Slow")
    until(process, "waiting")
    process.send_signal(signal.SIGTERM)
    code, said = ended(process)
    assert (code, "reason      SIGTERM" in said) == (4, True)
    assert (folder.path / "released").exists()


def test_a_second_ctrl_c_waits_for_the_rollback(folder):
    """It warns and the rollback goes on to its end; exit 4."""
    folder.write("app.py", WAITING)
    process = folder.begin("run", "app:Slow", "undo_waits=true")
    until(process, "waiting")
    process.send_signal(signal.SIGINT)
    until(process, "releasing")
    process.send_signal(signal.SIGINT)
    until(process, "still rolling back")
    (folder.path / "go").touch()
    code, said = ended(process)
    assert code == 4
    assert "undone      reserve" in said


def test_a_third_ctrl_c_aborts(folder):
    """The process ends at once, says that the rollback did not finish, and exits like one that an interrupt killed."""
    folder.write("app.py", WAITING)
    process = folder.begin("run", "app:Slow", "undo_waits=true")
    until(process, "waiting")
    process.send_signal(signal.SIGINT)
    until(process, "releasing")
    process.send_signal(signal.SIGINT)
    until(process, "still rolling back")
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130
    assert "the rollback did not finish" in said
    assert not (folder.path / "released").exists()


def test_a_blocked_loop_can_be_aborted(folder):
    """Where the author's code blocks the loop nothing can be undone, but the third Ctrl-C is heard."""
    folder.write("app.py", WAITING)
    process = folder.begin("run", "app:Slow", "blocks=true")
    until(process, "waiting")
    while process.poll() is None:  # presses that come together may be heard as one
        process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130
    assert "aborted" in said


def test_ctrl_c_with_json(folder):
    """Lines stay JSON: the notice goes to stderr, the last line says cancelled."""
    folder.write("app.py", WAITING)
    process = folder.begin("run", "app:Slow", "--json")
    until(process, '"kind":"call_succeeded"')
    process.send_signal(signal.SIGINT)
    code, _ = ended(process)
    assert code == 4
