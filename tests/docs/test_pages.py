"""The README and every guide tell the truth: their code runs, prints what they say, and their links lead somewhere."""

import os
import re
from pathlib import Path

import pytest

from tests.docs.blocks import EXPORT, Reader, blocks_of, check
from tests.stores.redis_server import Server

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]\n]*\]\((?P<to>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)


def named(page: Path) -> str:
    """A page as a reader names it."""
    return page.relative_to(ROOT).as_posix()


def anchor(heading: str) -> str:
    """A heading's anchor, as Git hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.fixture
def exports(page):
    """Where a page says that it needs a server: the URL of one that is here."""
    said = {m["name"]: m["value"] for block in blocks_of(page) if block.language == "sh" for m in EXPORT.finditer(block.code)}
    needed = [name for name, value in said.items() if value.startswith("redis://")]
    if not needed:
        yield {}
        return
    server = Server(appendonly="yes", appendfsync="always", maxmemory="100mb")
    yield dict.fromkeys(needed, f"{server.address}?namespace=shop")
    server.remove()


@pytest.mark.parametrize("page", [p for p in PAGES if {"python", "console"} & {b.language for b in blocks_of(p)}], ids=named)
def test_a_pages_code_runs_and_prints_what_it_says(page, tmp_path, exports):
    """Every `python`, `text` and `console` block of a page holds, read from top to bottom."""
    assert Reader(page, tmp_path, exports).read() > 0


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_pages_links_lead_somewhere(page):
    """Every relative link names a file that exists, and a heading in it where it names one."""
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        path, _, heading = link["to"].partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{named(page)} links to {link['to']}"
        if heading:
            assert heading in {anchor(h["text"]) for h in HEADING.finditer(target.read_text(encoding="utf-8"))}, link["to"]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_pages_blocks_are_of_a_kind_that_is_checked(page):
    """No block escapes by its language: `sh` (installing) and pictures are not run, `pycon` is where the docstring stands."""
    assert {block.language for block in blocks_of(page)} <= {"python", "text", "console", "sh", "mermaid", "pycon"}


def test_ci_runs_the_readmes_test_command():
    """What the README tells a newcomer to run is what a change must pass."""
    commands = [block.code.strip() for block in blocks_of(ROOT / "README.md") if block.language == "sh"]
    last = commands[-1].rsplit("&&", 1)[1].split()[1:]
    assert last == ["-s", "tests"]
    assert "nox " + " ".join(last) in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_a_page_that_lies_is_found(tmp_path):
    """The reader itself: wrong output and wrong code are both errors."""
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n```text\n2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page.md:5 says:\n2\nbut this was printed:\n1"):
        Reader(page, tmp_path).read()
    page.write_text("```python\nx = 1\n```\n```python\nassert x == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        Reader(page, tmp_path).read()


def test_what_a_page_exports_holds_from_there_on(tmp_path, monkeypatch):
    """For its commands and its code, with the value that a test hands in; and no longer than the page."""
    monkeypatch.delenv("WHERE", raising=False)
    page = tmp_path / "page.md"
    asks, prints = "```console\n$ echo $WHERE\n{}\n```\n", "```python\nimport os\n\nprint(os.environ['WHERE'])\n```\n```text\nhere\n```\n"
    page.write_text(asks.format("") + "```sh\nexport WHERE='there'\n```\n" + asks.format("here") + prints, encoding="utf-8")
    assert Reader(page, tmp_path, {"WHERE": "here"}).read() == 4
    assert "WHERE" not in os.environ
    with pytest.raises(AssertionError, match="there"):
        Reader(page, tmp_path).read()


def test_dots_stand_for_anything():
    """`...` in what a page prints matches what changes from run to run."""
    check("began ... ended", "began at 12:00 and ended", "here")
    with pytest.raises(AssertionError):
        check("began ... ended", "began", "here")
