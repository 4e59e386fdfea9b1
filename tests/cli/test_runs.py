"""`reactor runs ls|get|watch` on runs that the command itself kept, with no code of the author's: in a file, and on a server."""

import json
import os
import signal

import pytest

from tests.cli.filling import SHOP, waiting_for

pytestmark = pytest.mark.parametrize("where", ["file", "server"])


@pytest.fixture
def kept(folder, where, server):
    """A folder with three runs of one shop: succeeded, parked, failed; where they are kept is said to every command."""
    folder.write("shop.py", SHOP)
    folder.env["REACTOR_STORE"] = "sqlite:///runs.db" if where == "file" else server(folder.path.name)
    assert folder.reactor("run", "shop:Buy", "order=1", "--id", "1").returncode == 0
    assert folder.reactor("run", "shop:Buy", "order=2", "asks=true", "--id", "2").returncode == 3
    assert folder.reactor("run", "shop:Buy", "order=3", "card=bad", "--id", "3").returncode == 1
    (folder.path / "shop.py").unlink()
    return folder


def test_ls(kept):
    """Newest first, with status and what they are found by; the last line counts them."""
    done = kept.reactor("runs", "ls")
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows, counted = done.stdout.splitlines()
    assert head.split() == ["RUN", "STATUS", "BEGAN", "TOOK", "FOUND", "BY"]
    assert [row.split()[:2] for row in rows] == [["buy:3", "failed"], ["buy:2", "parked"], ["buy:1", "succeeded"]]
    assert (rows[0].split()[-1], counted) == ("order=3", "3 runs")


def test_ls_for_programs(kept):
    """One object a line; options narrow what is found, and an empty list is no error."""
    lines = [json.loads(line) for line in kept.reactor("runs", "ls", "--json").stdout.splitlines()]
    assert [(line["run_id"], line["status"], line["index"]) for line in lines] == [
        ("buy:3", "failed", {"order": "3"}),
        ("buy:2", "parked", {"order": "2"}),
        ("buy:1", "succeeded", {"order": "1"}),
    ]

    def found(*options):
        return [json.loads(line)["run_id"] for line in kept.reactor("runs", "ls", "--json", *options).stdout.splitlines()]

    assert found("--status", "parked") == ["buy:2"]
    assert found("--where", "order=3", "--since", "1h") == ["buy:3"]
    assert found("--text", "1", "--reactor", "buy") == ["buy:1"]
    assert found("--limit", "2") == ["buy:3", "buy:2"]
    assert found("--since", "2001-01-01", "--until", "2002-01-01") == found("--reactor", "nope") == []


def test_ls_by_pages(kept):
    """Each says how to see the next; a program is told beside its lines. What is no cursor is a clear error."""
    seen, more = [], ()
    for _ in range(3):
        done = kept.reactor("runs", "ls", "--json", "--limit", "1", *more)
        [line] = done.stdout.splitlines()
        seen.append(json.loads(line)["run_id"])
        more = done.stderr.removeprefix("more: ").split()
    assert (seen, more) == (["buy:3", "buy:2", "buy:1"], [])
    said = kept.reactor("runs", "ls", "--limit", "2").stdout.splitlines()[-1]
    assert said.startswith("2 of 3 runs; more: --cursor ")
    assert said.endswith(", or --limit 0 for all")
    cursor = said.split()[6].rstrip(",")
    assert "buy:1" in kept.reactor("runs", "ls", "--cursor", cursor).stdout
    wrong = kept.reactor("runs", "ls", "--cursor", "nonsense")
    assert (wrong.returncode != 0, "no cursor of a search" in wrong.stderr) == (True, True)


def test_get_one_that_failed(kept):
    """Inputs with the secret masked, the timeline, the failure with its line, and what was undone; exit 0: it could be shown."""
    done = kept.reactor("runs", "get", "buy:3")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        'input       order = "3"',
        'input       token = "********"',
        "✗ charge  failed  attempt 2  CardDeclined: no funds on bad",
    ):
        assert words in done.stdout
    for words in ("charge failed at attempt 2", "at shop.py:", "raise CardDeclined(", "undone      reserve", "buy:3 failed in "):
        assert words in done.stdout
    assert "hunter2" not in done.stdout


def test_get_one_that_is_parked(kept):
    """What it waits for, and under which correlation id."""
    done = kept.reactor("runs", "get", "buy:2")
    assert "buy:2  parked" in done.stdout
    assert "waiting     approval  correlation id order:2  until " in done.stdout


def test_get_for_programs(kept):
    """One object: the output with secrets blotted out, the events in order, why it waits, why it failed."""
    done, parked, failed = [json.loads(kept.reactor("runs", "get", f"buy:{n}", "--json").stdout) for n in (1, 2, 3)]
    assert (done["status"], done["outcome"]["value"]) == ("succeeded", {"total": 99, "said": "paid with ********"})
    assert [event["seq"] for event in done["events"]] == [*range(1, len(done["events"]) + 1)]
    assert (parked["waiting"][0]["step"], parked["waiting"][0]["correlation_id"]) == ("approval", "order:2")
    assert (failed["outcome"]["error"]["kind"], failed["outcome"]["step"]) == ("CardDeclined", "charge")
    assert failed["inputs"]["token"] == "********"


def test_an_output_whose_secrets_are_sealed_with_other_keys(kept):
    """What cannot be masked is not shown."""
    done = kept.reactor("runs", "get", "buy:1", REACTOR_KEYS="")
    assert done.returncode == 0
    assert "hunter2" not in done.stdout
    assert "not shown" in done.stdout


def test_an_unknown_run(kept):
    """The nearest name, the newest ones, one fix; exit 2."""
    for name, meant in (("bui:3", "buy:3"), ("2", "buy:2")):
        done = kept.reactor("runs", "get", name)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"[unknown-run] there is no run {name}" in done.stderr
        assert f"did you mean `{meant}`?" in done.stderr
        assert "Traceback" not in done.stderr


def test_watch_one_that_has_ended(kept):
    """The same lines as when it ran, and the exit code of its end."""
    done = kept.reactor("runs", "watch", "buy:3")
    assert done.returncode == 1
    assert "✗ charge  failed  attempt 2  CardDeclined: no funds on bad" in done.stdout
    *events, last = [json.loads(line) for line in kept.reactor("runs", "watch", "buy:1", "--json").stdout.splitlines()]
    assert (events[-1]["kind"], last["outcome"], last["value"]["total"]) == ("run_ended", "succeeded", 99)


def test_watch_follows_live(kept):
    """What another process does is told as it comes, until the run ends."""
    kept.write("shop.py", SHOP)
    process = kept.begin("runs", "watch", "buy:2")
    waiting_for(process, "parked: it waits for an answer")
    assert kept.reactor("runs", "signal", "buy:2", "approval", "true", "--app", "shop:Buy").returncode == 0
    said, problems = process.communicate(timeout=30)
    assert (process.returncode, problems) == (0, "")
    assert "✓ approval  succeeded" in said
    assert "buy:2 succeeded in " in said


def test_watch_can_be_left(kept):
    """Ctrl-C only stops watching: the run stays as it is; exit 130."""
    process = kept.begin("runs", "watch", "buy:2")
    waiting_for(process, "parked")
    os.kill(process.pid, signal.SIGINT)
    _, problems = process.communicate(timeout=30)
    assert (process.returncode, problems) == (130, "stopped watching; the run goes on\n")
    assert json.loads(kept.reactor("runs", "get", "buy:2", "--json").stdout)["status"] == "parked"
